"""Whose a sheet is by what it says, and who may be one person twice."""

import pytest

from common.labels import whose
from common.labels.ratings import Choice, Rating

COUNT, OBJECT = Choice("Count", ""), Choice("Object", "")
PLAIN, UNDER, NEAR = (Choice("Ambiguous", name) for name in ("", "underspecified", "nearduplicate"))


def rating(idx: int, choice: Choice | None, file: str = "assign_A.csv", rater: str = "A") -> Rating:
    return Rating(file, str(idx + 2), rater, idx, {}, {}, choice, "counted")


def labels(*choices: Choice | None, start: int = 0) -> whose.Given:
    """A label each, from idx `start` on; None: not labeled."""
    return {idx: [choice] for idx, choice in enumerate(choices, start) if choice}


A, B = labels(*[COUNT] * 12), labels(*[COUNT, OBJECT] * 6)
TWO = {"A": A, "B": B}


@pytest.mark.parametrize(
    ("own", "named", "expected"),
    [
        (A, "A", "A"),
        (labels(*[COUNT] * 3), "A", "A"),  # a part of it
        (labels(*[COUNT] * 20), "A", "A"),  # labeled further in a copy
        (labels(COUNT, COUNT, OBJECT), "A", "A"),  # what differs clashes row by row
        (labels(COUNT, OBJECT, OBJECT, OBJECT), "A", None),
        (labels(COUNT, start=30), "A", None),  # nothing to compare
        (A, "C", None),  # who handed in nothing
        (A, None, "A"),
        (labels(*[COUNT, OBJECT] * 5), None, "B"),
        (labels(*[COUNT] * 9), None, None),  # too few
        (labels(*[COUNT] * 20), None, None),  # more than A says
        (labels(*[OBJECT] * 12), None, None),
    ],
)
def test_whose_a_sheet_is_by_its_labels(own, named, expected):
    assert whose.owner(own, named, TWO) == expected


def test_what_two_raters_say_is_neithers():
    assert whose.owner(A, None, {"A": A, "B": A}) is None


def test_a_blank_subtype_is_no_difference():
    assert whose.owner(labels(PLAIN, UNDER), "A", {"A": labels(NEAR, PLAIN)}) == "A"
    assert whose.owner(labels(UNDER), "A", {"A": labels(NEAR)}) is None


def test_sheets_without_a_letter_are_separated_by_their_labels():
    """Two that agree are one person; a third that differs is another."""
    files = {"a": (COUNT, COUNT), "b": (COUNT, COUNT), "c": (COUNT, OBJECT)}
    given = [
        rating(idx, choice, file, "overlap")
        for file, choices in files.items()
        for idx, choice in enumerate(choices)
    ]
    separated = whose.separate([*given, rating(0, COUNT)], "overlap")
    assert [one.rater for one in separated] == ["overlap 1"] * 4 + ["overlap 2"] * 2 + ["A"]
    assert whose.separate(given[:4], "overlap") == given[:4]


@pytest.mark.parametrize("copy", ["assign_overlap (1).csv", "assign_overlap - Copy.csv"])
def test_a_copy_of_such_a_sheet_is_no_further_rater(copy):
    given = [rating(0, COUNT, "assign_overlap.csv", "overlap"), rating(0, OBJECT, copy, "overlap")]
    assert [one.rater for one in whose.separate(given, "overlap")] == ["overlap", "overlap"]


def alike(n: int) -> list[Rating]:
    """Ratings of three people: A and B say the same of n items, C of all but the last."""
    people = {"A": [COUNT] * n, "B": [COUNT] * n, "C": [*[COUNT] * (n - 1), OBJECT]}
    return [
        rating(idx, choice, f"assign_overlap_{rater}.csv", rater)
        for rater, choices in people.items()
        for idx, choice in enumerate(choices)
    ]


def test_two_raters_who_always_agree_are_named():
    (found,) = whose.doubles([*alike(10), rating(30, OBJECT), rating(31, COUNT, rater="C")])
    assert (found.file, found.rater, found.is_report) == ("assign_overlap_B.csv", "B", True)
    assert found.what == "says exactly what A says of 10 items: remove it if A filled it in"
    assert whose.doubles(alike(9)) == []


def test_a_subtype_that_one_left_blank_is_no_difference_either():
    given = [rating(idx, UNDER) for idx in range(10)]
    other = [rating(idx, PLAIN, "assign_B.csv", "B") for idx in range(10)]
    assert len(whose.doubles([*given, *other])) == 1
    assert whose.doubles([*given, *other[1:], rating(0, NEAR, "assign_B.csv", "B")]) == []
