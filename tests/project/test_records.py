"""JSON artifacts through their one door."""

import json

import pytest

from common import records
from common.errors import UserError
from common.records import Record, field


class Part(Record):
    value: float


class Whole(Record, kw_only=True):
    recall: Part = field(name="R@1")
    note: str | None = None
    n: int


@pytest.fixture
def path(tmp_path):
    return tmp_path / "whole.json"


def test_what_is_written_is_read_back_in_the_declared_order(path):
    whole = Whole(recall=Part(value=0.5), n=3)
    records.write(path, whole)
    assert list(json.loads(path.read_text(encoding="utf-8"))) == ["R@1", "n"], "an absent note isn't written"
    assert records.read(path, Whole, "make it again") == whole
    assert records.names(Whole) == ["R@1", "note", "n"]
    assert records.names(Whole, required=True) == ["R@1", "n"]


def test_a_key_of_a_later_version_is_ignored(path):
    path.write_text('{"R@1": {"value": 0.5, "more": 1}, "n": 3, "later": []}', encoding="utf-8")
    assert records.read(path, Whole, "make it again").n == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"R@1": {"value": 0.5}}', "`n`"),
        ('{"R@1": {"value": "high"}, "n": 3}', "R@1"),
        ('{"R@1": {"value": 0.5}, "n": 2.5}', "$.n"),
        ("[]", "object"),
        ('{"R@1": ', "not valid JSON"),
    ],
)
def test_what_is_no_such_artifact_is_one_line(path, text, said):
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        records.read(path, Whole, "make it again")
    message = str(caught.value)
    assert said in message and "again" in message and str(path) in message and "\n" not in message
