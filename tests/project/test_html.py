"""What the project's HTML files share: nothing gets in unescaped, and a policy names a script by its hash."""

import base64

import jinja2
import pytest

from common import html


@pytest.fixture
def rendered(tmp_path):
    def render(template: str, trim: bool = False, **values) -> str:
        (tmp_path / "a.html.j2").write_text(template)
        return html.environment(tmp_path, trim).get_template("a.html.j2").render(**values)

    return render


def test_values_are_escaped(rendered):
    assert rendered("<b>{{ a }}</b>\n", a="<script>'\"&") == "<b>&lt;script&gt;&#39;&#34;&amp;</b>\n"


def test_a_name_that_is_not_given_is_an_error(rendered):
    with pytest.raises(jinja2.UndefinedError, match="missing"):
        rendered("{{ missing }}")


def test_trim_leaves_no_line_of_a_block_tag(rendered):
    template = "a\n  {% if true %}\nb\n  {% endif %}\nc\n"
    assert rendered(template, trim=True) == "a\nb\nc\n"
    assert rendered(template) == "a\n  \nb\n  \nc\n"


def test_a_digest_is_the_one_that_browsers_compute():
    """The example of the Content Security Policy, level 2, section "nonce usage"."""
    assert html.digest("alert('Hello, world.');") == "qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng="


def test_a_data_uri_holds_the_bytes():
    kind, data = html.data_uri("image/jpeg", b"\xff\xd8\x00").split(",")
    assert kind == "data:image/jpeg;base64" and base64.b64decode(data) == b"\xff\xd8\x00"
