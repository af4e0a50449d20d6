"""Rows of the tables on comparisons: corrections of hubs with each other, other models with the first one.

Shares are between 0 and 1; changes are in points of R@1. Cells are as in fix_rows.py.
"""

from common import records
from common.comparisons import Recovered
from common.report.fix_rows import net_cells
from common.results import FAILURES, MEASURES, ComparedModel, Index
from common.statistics import ANECDOTAL

WAYS = ("both_fail", "only_first_fails", "only_other_fails", "both_right")  # of a caption, by two models


def differences(index: Index) -> list[dict]:
    """A row for each two corrections of hubs, those that are farthest apart for certain on top."""
    rows = []
    for pair in sorted(index.differences, key=lambda pair: -pair.low_all):
        row = {"first": pair.first, "second": pair.second, "difference_pp": pair.value}
        row |= {"low_pp": pair.low, "high_pp": pair.high}
        row |= {"low_all_pp": pair.low_all, "high_all_pp": pair.high_all}
        rows.append(row | {"apart": pair.low_all > 0, "gained": pair.gained, "lost": pair.lost})
    return rows


def models(index: Index) -> list[dict]:
    """A row for each compared model on the whole set, in the order of COMPARE."""
    return [_model(model) for model in index.compared]


def _model(model: ComparedModel) -> dict:
    names = ("name", "model", "revision", "dtype", "cache", "meta_file")
    row = {name: getattr(model, name) for name in names} | {"differs": model.differs}
    for measure in MEASURES:
        row |= net_cells(model.net_effect[measure], measure)
        if measure == "R@1":
            row["p_holm"] = model.p_holm
    both = records.plain(model.overlap)
    back = both.pop("recovered_back")
    row |= {"queries": sum(both[name] for name in WAYS)} | both
    row |= {"recovered_back": None if back is None else back / 100}
    row["first_fails"] = model.overlap.both_fail + model.overlap.only_first_fails
    row["other_fails"] = model.overlap.both_fail + model.overlap.only_other_fails
    every = next(found for found in model.recovered if found.categories == FAILURES)
    return row | _share(every, "recovered", "recovered_low", "recovered_high")


def categories(index: Index, labels: str | None) -> list[dict]:
    """A row for each compared model and category: what it has right of the first model's failures.

    Next to each stands the same of all failures. labels: the status of the labels.
    """
    rows = []
    for model in index.compared:
        every, *named = model.recovered
        shared = {"labels": labels, "all_n": every.n, **_share(every, "all_share", "all_low", "all_high")}
        rows += [{"name": model.name} | _counted(found) | shared for found in named]
    return rows


def failed_by_all(index: Index, labels: str | None) -> list[dict]:
    """A row for all failures of the first model and for each category: those that all models fail."""
    shared = {"models": len(index.compared) + 1, "labels": labels}
    return [_counted(found) | shared for found in index.failed_by_all]


def overlap(index: Index) -> list[dict]:
    """What the figure shows of each compared model: captions by which of the two models fails them."""
    rows = []
    for model in index.compared:
        counts = {name: getattr(model.overlap, name) for name in WAYS}
        rows.append({"name": model.name, "n": sum(counts.values()), **counts})
    return rows


def _counted(found: Recovered) -> dict:
    marks = f"anecdotal: n = {found.n}" if found.n < ANECDOTAL else ""
    row = {"category": found.categories, "marks": marks, "n": found.n, "hits": found.hits}
    return row | _share(found, "share", "low", "high")


def _share(found: Recovered, value: str, low: str, high: str) -> dict:
    return {value: found.value / 100, low: found.low / 100, high: found.high / 100}
