"""Agreement at three levels, which raters' labels are counted against each other, and where they differ."""

import itertools
from typing import NamedTuple

import numpy as np

from common import records, say
from common.labels import adjudication, agreement
from common.labels.agreement import Estimate
from common.labels.decisions import Item
from common.labels.drawn import Folder
from common.labels.ratings import Choice, Labels, raters_of
from common.labels.sheets import Table, pictures
from common.labels.taxonomy import AMBIGUOUS, CATEGORY_NAMES, SUBTYPE_NAMES

AMBIGUOUS_OR_CLEAR, CATEGORY, SUBTYPE = f"{AMBIGUOUS.lower()} or clear", "category", "subtype"
# Level -> its labels, of which a rater gives an item at most one.
LEVELS = {
    AMBIGUOUS_OR_CLEAR: [AMBIGUOUS, "Clear"],
    CATEGORY: list(CATEGORY_NAMES),
    SUBTYPE: list(SUBTYPE_NAMES),
}
Measured = dict[str, list[Estimate]]  # level -> coefficients over all raters, then of each pair


class Confusion(NamedTuple):
    """A row of confusion.csv: on how many items the first said label_1 and the second label_2."""

    level: str
    rater_1: str
    rater_2: str
    label_1: str
    label_2: str
    n: int


def measure(labels: Labels, rounds: int, seed: int) -> Measured:
    """Every coefficient at each level, values in six digits. `rounds` bootstrap redraws, from `seed`."""
    raters = raters_of(labels)
    # Each level has redraws of its own, so that one level's labels don't move another's intervals.
    return {
        level: [
            rounded(estimate)
            for estimate in agreement.assess(
                codes(labels, raters, level), raters, names, agreement.Redraws(rounds, [seed, number])
            )
        ]
        for number, (level, names) in enumerate(LEVELS.items())
    }


def codes(labels: Labels, raters: list[str], level: str) -> np.ndarray:
    """(n_items, n_raters) int codes into the level's labels, or MISSING; items in ascending idx."""
    place = {rater: number for number, rater in enumerate(raters)}
    matrix = np.full((len(labels), len(raters)), agreement.MISSING)
    for row, idx in enumerate(sorted(labels)):
        for rater, choice in labels[idx].items():
            # No name: the rater says nothing at this level, a clear item has no subtype.
            if name := _at(level, choice):
                matrix[row, place[rater]] = LEVELS[level].index(name)
    return matrix


def confusion(labels: Labels) -> Table:
    """confusion.csv: for each level and pair of raters with common items, a row a cell of their table."""
    raters, rows = raters_of(labels), []
    for level, names in LEVELS.items():
        matrix = codes(labels, raters, level)
        for first, second in itertools.combinations(range(len(raters)), 2):
            pair = matrix[:, [first, second]]
            pair = pair[(pair != agreement.MISSING).all(1)]
            if len(pair):
                cells = agreement.pair_table(pair, len(names)).tolist()
                rows += [
                    Confusion(level, raters[first], raters[second], label_1, label_2, n)
                    for label_1, counts in zip(names, cells, strict=True)
                    for label_2, n in zip(names, counts, strict=True)
                ]
    return Table.of(Confusion, rows)


def coefficients(measured: Measured) -> Table:
    """agreement.csv: one row a coefficient, at each level."""
    rows = [
        {"level": level} | records.plain(one) for level, estimates in measured.items() for one in estimates
    ]
    return Table(["level", *records.names(Estimate)], rows)


def sentences(measured: Measured) -> list[str]:
    """The agreement on the categories as lines to read."""
    # The first three are over all raters with any number of ratings; the files have all, with cautions.
    percent, alpha, ac1 = measured[CATEGORY][:3]
    if percent.value is None:
        return [f"Agreement: none to measure, {percent.caution}"]
    named = (("percent", percent), ("alpha", alpha), ("AC1", ac1))
    values = ", ".join(f"{name} {estimate}" for name, estimate in named)
    which = say.items(len(CATEGORY_NAMES), "category", "categories")
    lines = [f"Agreement of {percent.raters} on {say.items(percent.n_items, 'item')} ({which}): {values}"]
    if alpha.value is not None and alpha.value >= agreement.RELIABLE:
        lines.append(f"  Alpha is {agreement.judged(alpha.value)}")
    return lines + ([f"  Caution: {alpha.caution}"] if alpha.caution else [])


def disagreements(labels: Labels, items: list[Item], folder: Folder) -> Table:
    """disagreements.csv: items on which two raters differ, and what became of them.

    They differ in category or, of those who gave one, in subtype.
    """
    decisions = {item.idx: item for item in items}
    found, rows = pictures(folder.path), []
    for idx, given in labels.items():
        differ = len({choice.category for choice in given.values()}) > 1
        if not differ and len({choice.subtype for choice in given.values()} - {""}) < 2:
            continue
        row = adjudication.side_by_side(idx, folder, found, given)
        # One that is adjudicated is decided, though its raters still differ.
        row |= {"level": CATEGORY if differ else SUBTYPE, "decided": "waits"}
        if idx in decisions:
            row |= {"decided": decisions[idx].decided, "final": str(decisions[idx].choice)}
        rows.append(row)
    return Table([*adjudication.columns(labels), "level", "final", "decided"], rows)


def _at(level: str, choice: Choice) -> str:
    """A label as one of the level's, or "" where it says nothing at this level."""
    if level == AMBIGUOUS_OR_CLEAR:
        return AMBIGUOUS if choice.category == AMBIGUOUS else "Clear"
    return choice.category if level == CATEGORY else choice.subtype


def rounded(one: Estimate) -> Estimate:
    """An estimate for files, without the last bits of one machine."""
    values = {name: getattr(one, name) for name in ("value", "low", "high")}
    values = {name: None if value is None else say.rounded(value) for name, value in values.items()}
    return records.replace(one, **values)
