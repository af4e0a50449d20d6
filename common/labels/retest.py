"""Does a person say the same again? Items that an annotation page showed a second time, late in the set.

A second answer is no rating: it decides nothing, fills no gap, and counts in no agreement between people. It
says how steady each person is, which bounds how far two of them can agree.
"""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from common import records, say
from common.labels import agreement, levels, ratings, sheet_reader
from common.labels.agreement import Estimate, Redraws
from common.labels.findings import Finding
from common.labels.ratings import Known, Labels, Rating
from common.labels.sheets import Table
from common.labels.taxonomy import CATEGORY_NAMES

NAME = "retest.csv"
STATUS = "a second answer: compared with the first one, and no rating"


def is_repeat(row: sheet_reader.Row) -> bool:
    """Whether a row of a page's export is a second answer."""
    return sheet_reader.whole_number(row.cells.get("repeat", "")) == 1


def rate(
    handed: Iterable[tuple[str, str, list[sheet_reader.Row]]], known: Known
) -> tuple[list[Rating], list[Finding]]:
    """The second answers among (file, rater, rows), and what is wrong with them, as of any other row."""
    rated, findings = [], []
    for file, rater, rows in handed:
        for row in filter(ratings.is_labeled, rows):
            rating, found = ratings.rate(row, file, rater, known)
            rated.append(rating)
            findings += found
    return rated, findings


def struck(repeats: list[Rating]) -> list[Rating]:
    """The same as rows that count for nothing, which they are to everything but `compare`."""
    return [rating.struck(STATUS) if rating.choice else rating for rating in repeats]


def compare(repeats: list[Rating], labels: Labels, redraws: Redraws) -> list[Estimate]:
    """Percent agreement and Cohen's kappa of each person's first and second answers, by category."""
    pairs = defaultdict(dict)  # rater -> idx -> the codes of both answers
    for rating in repeats:
        first = labels.get(rating.idx, {}).get(rating.rater)
        if rating.choice and first:
            both = (CATEGORY_NAMES.index(each.category) for each in (first, rating.choice))
            pairs[rating.rater][rating.idx] = tuple(both)
    found = []
    for rater, by_idx in sorted(pairs.items()):
        matrix = np.array([by_idx[idx] for idx in sorted(by_idx)])
        names = [rater, f"{rater} again"]
        estimates = agreement.assess(matrix, names, list(CATEGORY_NAMES), redraws)
        found += [levels.rounded(each) for each in estimates if each.over == "pair"]
    return found


def tables(found: list[Estimate]) -> dict[str, Table]:
    """retest.csv, where somebody answered twice."""
    if not found:
        return {}
    return {NAME: Table(records.names(Estimate), [records.plain(each) for each in found])}


def sentences(found: list[Estimate]) -> list[str]:
    """A line for each person who answered twice."""
    lines = []
    for percent, kappa in zip(found[::2], found[1::2], strict=True):
        rater, n = percent.raters.partition(",")[0], say.items(percent.n_items, "item")
        lines.append(f"{rater} the second time, on {n}: percent {percent}, kappa {kappa}")
    return lines
