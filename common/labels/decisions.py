"""One label an item, from what its raters chose and what a person decided where they have no majority."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from common.labels.ratings import Choice, Labels


class Item(NamedTuple):
    """An item's label, counted once."""

    idx: int  # caption row
    choice: Choice
    decided: str  # "one rater", "all agree", "majority" or "adjudicated"
    n_raters: int  # who labeled it, the adjudicator aside


def decide(labels: Labels, adjudicated: dict[int, Choice]) -> tuple[list[Item], list[int]]:
    """One label an item, and the idx of items that wait for a person: no majority, and not adjudicated.

    An adjudication stands above a majority, since it was made in knowledge of the raters' labels.
    """
    decided, waiting = [], []
    for idx in sorted(labels.keys() | adjudicated.keys()):
        given = list(labels.get(idx, {}).values())
        if idx in adjudicated:
            decided.append(Item(idx, adjudicated[idx], "adjudicated", len(given)))
        elif (most := majority(given)) is None:
            waiting.append(idx)
        else:
            same = len({choice.category for choice in given}) == 1
            how = "one rater" if len(given) == 1 else "all agree" if same else "majority"
            decided.append(Item(idx, most, how, len(given)))
    return decided, waiting


def majority(given: list[Choice]) -> Choice | None:
    """What more than half of an item's raters chose; None where no category has that.

    The subtype is the one of more than half of those who gave one, else blank.
    """
    category = _more_than_half(choice.category for choice in given)
    if category is None:
        return None
    subtypes = (choice.subtype for choice in given if choice.category == category and choice.subtype)
    return Choice(category, _more_than_half(subtypes) or "")


def _more_than_half(values: Iterable[str]) -> str | None:
    """The value that more than half of all are, if there is one."""
    counts = Counter(values)
    value, n = counts.most_common(1)[0] if counts else (None, 0)
    return value if 2 * n > counts.total() else None
