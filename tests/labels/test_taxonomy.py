"""Guides, page and taxonomy say the same: names, keys, definitions, the rule for which label wins."""

import html
import importlib.util
import re
import string

import pytest

from common.annotation import page
from common.errors import UserError
from common.labels import spellings, taxonomy
from tests.support import PROJECT

GUIDES = {"en": PROJECT / "annotation_guide.md", "zh": PROJECT / "annotation_guide_cn.md"}
LABELS = (*taxonomy.CATEGORIES, *taxonomy.SUBTYPES)
ENGLISH = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
CHINESE = "零一二三四五六七八九十"
MARKS = {"en": ("**Use when**", "**Don't use when**"), "zh": ("**适用：**", "**不适用：**")}


def sections(language: str) -> dict[str, str]:
    """Heading -> text of each part of a guide about one label."""
    parts = re.split(r"^(#{2,3}) (.*)$", GUIDES[language].read_text(encoding="utf-8"), flags=re.M)
    return {
        heading: text for mark, heading, text in zip(*[iter(parts[1:])] * 3, strict=True) if mark == "###"
    }


def section(label: taxonomy.Label, language: str) -> tuple[str, str]:
    found = [(h, text) for h, text in sections(language).items() if re.match(rf"{label.name}\b", h)]
    wanted = f"### {label.name}: {label.long_name} (key {label.key})"
    assert len(found) == 1, f"{GUIDES[language].name} has {len(found)} sections `{wanted}`"
    return found[0]


def rows(text: str, columns: int) -> list[list[str]]:
    """Cells of the Markdown tables that have so many columns, without their headers."""
    lines = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line] for line in lines if len(line) == columns]
    rulers = {number for number, line in enumerate(cells) if set("".join(line)) <= set("- ")}
    return [line for number, line in enumerate(cells) if number not in rulers and number + 1 not in rulers]


def changed(label: taxonomy.Label, **fields) -> tuple[taxonomy.Label, ...]:
    return tuple(one._replace(**fields) if one is label else one for one in taxonomy.CATEGORIES)


def test_each_label_has_a_key_of_its_own():
    page.check_keys()


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("z", "is taken by undo"),
        ("c", "is taken by the page"),
        ("2", "is taken by Attribute"),
        ("u", "is taken by Count"),
        ("?", "is taken by help"),
        ("T", "should be a digit or a small letter"),
        ("10", "should be a digit"),
        ("", "should be a digit"),
    ],
)
def test_a_key_that_cannot_be_is_one_line(monkeypatch, key, reason):
    count = next(label for label in taxonomy.CATEGORIES if label.name == "Count")
    monkeypatch.setattr(page, "CATEGORIES", changed(count, key=key))
    with pytest.raises(UserError, match=re.escape(reason)) as raised:
        page.html("A", [], {}, "0", "en")
    assert "\n" not in str(raised.value) and "common/labels/taxonomy.py" in str(raised.value)


@pytest.mark.parametrize(
    ("keys", "english", "chinese"),
    [
        ("1234567", "1 to 7", "1 到 7"),
        ("12345678", "1 to 8", "1 到 8"),
        ("12t", "1, 2, t", "1、2、t"),
        ("213", "2, 1, 3", "2、1、3"),
    ],
)
def test_keys_are_put_into_words(keys, english, chinese):
    assert (page.in_a_row(list(keys), "en"), page.in_a_row(list(keys), "zh")) == (english, chinese)


def test_precedence_orders_the_clear_categories():
    assert sorted(taxonomy.PRECEDENCE) == sorted(taxonomy.CLEAR_NAMES)
    places = {label.name: label.precedence for label in taxonomy.CATEGORIES}
    del places[taxonomy.AMBIGUOUS]
    lacking = [name for name, place in places.items() if place is None]
    assert not lacking, f"{', '.join(lacking)}: no precedence in common/labels/taxonomy.py"
    assert len(set(places.values())) == len(places), f"two categories have one precedence: {places}"


def test_the_label_of_no_error_keeps_its_name():
    """What is said of Ambiguous in texts, tables and guides is not made from the taxonomy."""
    assert taxonomy.AMBIGUOUS == "Ambiguous" == taxonomy.CATEGORY_NAMES[0]


def test_names_are_words_that_files_can_carry():
    for label in LABELS:
        assert re.fullmatch("[A-Za-z]{2,20}", label.name), f"{label.name!r} should be one word of letters"
    assert len(",".join(taxonomy.CATEGORY_NAMES)) <= 255, "Excel takes no longer drop-down list"


@pytest.mark.parametrize("language", GUIDES)
def test_guide_counts_the_labels(language):
    text = GUIDES[language].read_text(encoding="utf-8")
    n, last = len(taxonomy.CATEGORIES), taxonomy.CATEGORIES[-1].key
    number = {"en": ENGLISH, "zh": CHINESE}[language][n]
    phrases = {
        "en": [f"one label out of {number}", f"## The {number} categories"],
        "zh": [f"用{number}个标签", f"## {number}个类别"],
    }[language]
    phrases += [f"`{taxonomy.CATEGORIES[0].key}` ... `{last}`", *(f"`{label.name}`" for label in LABELS)]
    for phrase in phrases:
        assert phrase in text, f"{GUIDES[language].name} lacks {phrase!r}"


def test_definitions_are_short_and_all_there():
    for label in LABELS:
        assert 20 < len(label.definition) <= 110 and label.definition.endswith("."), label.name
        chinese = label.chinese_definition
        assert label.chinese_name and 8 < len(chinese) <= 50 and chinese.endswith("。"), label.name


@pytest.mark.parametrize("language", GUIDES)
@pytest.mark.parametrize("label", LABELS, ids=lambda label: label.name)
def test_guide_explains_each_label_in_the_taxonomys_words(label, language):
    heading, text = section(label, language)
    assert label.long_name in heading and re.search(rf"[ （(](key|按键) {label.key}[)）]", heading)
    if language == "zh":
        assert label.chinese_name in heading
    assert [line[2:] for line in text.splitlines() if line.startswith("> ")] == [label.meaning(language)]
    examples = rows(text, 3)
    assert len(examples) == 2
    assert {example[-1] for example in examples} == {label.name}
    if label in taxonomy.CATEGORIES:
        assert all(mark in text for mark in MARKS[language])


@pytest.mark.parametrize("language", GUIDES)
def test_guide_gives_the_precedence_and_follows_it(language):
    text = GUIDES[language].read_text(encoding="utf-8")
    assert f"**{' → '.join(taxonomy.PRECEDENCE)}**" in text
    reasons = [(label, why) for _, _, label, why in rows(text, 4)]
    assert len(reasons) >= 10
    for label, why in reasons:
        assert label in taxonomy.CATEGORY_NAMES
        named = [name for name in taxonomy.CLEAR_NAMES if re.search(rf"\b{name}\b", why, re.ASCII)]
        if len(named) == 2:
            assert label == min(named, key=taxonomy.PRECEDENCE.index), why


def test_both_guides_hold_the_same_examples():
    def examples(language):
        text = GUIDES[language].read_text(encoding="utf-8")
        found = rows(text, 3) + rows(text, 4)
        return [(re.sub(r"（.*?）", "", row[0]), row[2]) for row in found]

    assert examples("en") == examples("zh")
    assert len(examples("en")) > 30


@pytest.mark.parametrize("language", GUIDES)
def test_guide_names_the_pages_keys_and_files(language):
    text = GUIDES[language].read_text(encoding="utf-8")
    for cap in [key.cap for _, key in page.ACTIONS] + [cap for cap in page.FURTHER_KEYS if cap != "h"]:
        assert f"`{cap}`" in text
    for name in ("annotate_A.html", page.export_name("A"), "assign_overlap_A.csv", "assign_A.csv"):
        assert name in text


@pytest.mark.parametrize("language", taxonomy.LANGUAGES)
def test_page_shows_each_label_in_the_taxonomys_words(language):
    text = html.unescape(page.html("A", [], {}, "0", language).decode("utf-8"))
    visible = text[: text.index('<script type="application/json"')]
    for label in LABELS:
        assert label.title(language) in visible and label.meaning(language) in visible
        assert f"<kbd>{label.key}</kbd> {label.title(language)}" in visible
    titles = {label.name: label.title(language) for label in taxonomy.CATEGORIES}
    assert {"en": ", ", "zh": "、"}[language].join(titles[name] for name in taxonomy.PRECEDENCE) in visible


def test_page_texts_are_complete_in_both_languages():
    def fields(value):
        return {name for _, name, _, _ in string.Formatter().parse(value) if name}

    english, chinese = page.TEXTS["en"], page.TEXTS["zh"]
    assert list(english) == list(chinese)
    for name, text in english.items():
        pairs = zip(text, chinese[name], strict=True) if name == "rules" else [(text, chinese[name])]
        for one, other in pairs:
            assert one and other and fields(one) == fields(other), name


def test_the_samples_true_labels_follow_the_guides_rule():
    """Its world knows the first categories of this study; a further one has no scene in it."""
    assert {spellings.category(name) for name in world().CATEGORIES} <= set(taxonomy.CATEGORY_NAMES)
    known = [name for name in taxonomy.PRECEDENCE if name in world().PRECEDENCE]
    assert tuple(known) == tuple(world().PRECEDENCE)


@pytest.mark.parametrize(
    ("word", "english", "chinese"),
    [
        ("some", '"some" means two or more', "some 指两个或更多"),
        ("several", '"several" and "a group"\n  three or more', "several、a group 指三个或更多"),
    ],
)
def test_loose_numbers_mean_the_same_in_sample_and_guides(word, english, chinese):
    assert min(world().COUNTS[word]) == {"some": 2, "several": 3}[word]
    assert english in GUIDES["en"].read_text(encoding="utf-8")
    assert chinese in GUIDES["zh"].read_text(encoding="utf-8")


def world():
    spec = importlib.util.spec_from_file_location("sample_world", PROJECT / "data" / "sample" / "world.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
