"""Ratings: which rows clash, and that nothing is changed in place."""

from dataclasses import FrozenInstanceError, replace

import pytest

from common.labels import ratings
from common.labels.ratings import Choice, Rating

COUNT, OBJECT = Choice("Count", ""), Choice("Object", "")
PLAIN, UNDER, NEAR = (Choice("Ambiguous", name) for name in ("", "underspecified", "nearduplicate"))


def rating(idx: int, choice: Choice | None, file: str = "assign_A.csv", rater: str = "A") -> Rating:
    return Rating(file, str(idx + 2), rater, idx, {}, {}, choice, "counted")


def test_a_label_in_words():
    assert (str(COUNT), str(UNDER)) == ("Count", "Ambiguous (underspecified)")


def test_clashes_are_struck_and_reported_once():
    given = [rating(0, COUNT), rating(1, COUNT), rating(0, OBJECT, "assign_A.xlsx"), rating(0, None)]
    kept, (finding,) = ratings.set_clashes_aside(given)
    assert [one.choice for one in kept] == [None, COUNT, None, None]
    assert kept[0].status == "set aside: says otherwise than assign_A.xlsx row 2"
    assert kept[1:] == [given[1], replace(given[2], choice=None, status=kept[2].status), given[3]]
    assert (finding.value, finding.is_report) == ("Count", False)
    assert finding.what == "of idx 0, but rater A says 'Object' in assign_A.xlsx row 2: keep one"
    assert given[0].choice == COUNT  # what was handed in stays


def test_a_blank_subtype_clashes_with_none():
    given = [rating(0, UNDER), rating(0, PLAIN, "assign_A.xlsx")]
    assert ratings.set_clashes_aside(given) == (given, [])
    assert ratings.one_each(given) == {0: {"A": UNDER}}
    _, findings = ratings.set_clashes_aside([*given, rating(0, NEAR)])
    assert len(findings) == 1


def test_a_rating_is_frozen():
    with pytest.raises(FrozenInstanceError):
        rating(0, COUNT).choice = None
