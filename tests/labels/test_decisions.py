"""One label an item: majorities, and decisions that stand above them."""

import pytest

from common.labels.decisions import Item, decide, majority
from common.labels.ratings import Choice

COUNT, OBJECT, ACTION = (Choice(name, "") for name in ("Count", "Object", "Action"))
PLAIN, UNDER, NEAR = (Choice("Ambiguous", name) for name in ("", "underspecified", "nearduplicate"))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], None),
        ([COUNT], COUNT),
        ([COUNT, OBJECT], None),
        ([COUNT, COUNT, OBJECT, ACTION], None),
        ([COUNT, OBJECT, COUNT], COUNT),
        ([UNDER, NEAR], PLAIN),
        ([UNDER, PLAIN, OBJECT], UNDER),
        ([NEAR, UNDER, NEAR], NEAR),
    ],
)
def test_majority_is_more_than_half(given, expected):
    assert majority(given) == expected


def test_an_adjudication_stands_above_a_majority():
    labels = {3: {"A": COUNT, "B": COUNT}, 5: {"A": COUNT, "B": OBJECT}, 6: {"A": COUNT, "B": OBJECT}}
    items, waiting = decide(labels, {3: OBJECT, 6: NEAR, 9: ACTION})
    assert items == [
        Item(3, OBJECT, "adjudicated", 2),
        Item(6, NEAR, "adjudicated", 2),
        Item(9, ACTION, "adjudicated", 0),
    ]
    assert waiting == [5]
