"""Rows of the tables on fixes, from what step 6 measured. Recall is in percent, changes are in points of it.

Cells are numbers, texts or None: `summaries` writes them with the decimals of their column.
"""

from typing import NamedTuple

from common import records
from common.labels.taxonomy import CATEGORY_NAMES
from common.results import (
    ALL,
    CLEAR,
    FAILURES,
    MEASURES,
    Beyond,
    Chance,
    Change,
    Index,
    IndexRow,
    Marks,
    Measured,
    MethodResult,
    NetEffect,
    SetResult,
)

ENDS = ("low", "high")
OF_LABELS = (*CATEGORY_NAMES, CLEAR)  # sets of queries that people's labels make
SUBSET_RESULTS = (  # columns; the first ones are those that other programs look for
    *("file", "subset_size", "categories", "pooling", "tau", "K_templates", "seed"),
    *(f"baseline_{measure}" for measure in MEASURES),
    *(f"improved_{measure}" for measure in MEASURES),
    *(f"delta_pp_{measure}" for measure in MEASURES),
    *("name", "method", "marks", *records.names(Marks), "category_of_query", "labels"),
    *(f"delta_pp_{measure}_{end}" for measure in MEASURES for end in ENDS),
    *(f"{what}_{measure}" for measure in MEASURES for what in ("gained", "lost")),
    *("recovered", "baseline_MRR", "improved_MRR"),
    *(f"placebo_delta_pp_{measure}" for measure in MEASURES),
    *(f"placebo_delta_pp_{measure}_{what}" for measure in MEASURES for what in (*ENDS, "sd")),
    *(f"placebo_{what}_{measure}" for measure in MEASURES for what in ("gained", "lost")),
    *(f"beyond_{measure}" for measure in MEASURES),
    *(f"beyond_{measure}_{what}" for measure in MEASURES for what in (*ENDS, "seen", "needed")),
    *("share_of_labelled_failures", "contribution_pp"),
)


class Effect(NamedTuple):
    """What a method does to one measure of a set."""

    before: float  # percent
    after: float
    change: Change | NetEffect  # with its interval
    placebo: Chance
    beyond: Beyond | None  # None of an earlier version's


def best_first(index: Index) -> list[IndexRow]:
    """Fixes first, the largest net effect on R@1 on top, then what nobody could use as it was measured."""
    return sorted(index.net_effects, key=lambda row: (not row.marks.is_fix, -row.net_effect["R@1"].value))


def best_fix(index: Index) -> IndexRow | None:
    """The fix with the largest net effect on R@1, whether it helps or not; None where nothing is a fix."""
    return next((row for row in best_first(index) if row.marks.is_fix), None)


def _marks(marks: Marks) -> dict:
    """A number's status: in words, as every table and figure shows it, and one by one."""
    return {"marks": "; ".join(marks.words), **records.plain(marks)}


def subset_results(measured: Measured, labels: str | None) -> list[dict]:
    """A row for each method on each set of queries, the best fix on top.

    labels: the status of the labels that make categories; None without labels.
    """
    return [
        _subset_result(method, result, found.file) | {"labels": labels if _of_labels(result) else None}
        for found, method in _with_results(measured)
        for result in method.sets
    ]


def _of_labels(result: SetResult) -> bool:
    return result.categories in OF_LABELS


def _subset_result(method: MethodResult, result: SetResult, file: str) -> dict:
    row = {"file": file, "subset_size": result.marks.ranked, "categories": result.categories}
    row |= {"pooling": method.pooling, "tau": method.tau, "K_templates": method.K_templates}
    row |= {"seed": method.seed, "name": method.name, "method": method.method, **_marks(result.marks)}
    row["category_of_query"] = result.category_of_query
    for measure in MEASURES:
        row |= _effect_cells(_effect(result, measure), measure)
        for prefix, changed in (("", result.changed), ("placebo_", result.placebo)):
            row[f"{prefix}gained_{measure}"] = changed.gained[measure]
            row[f"{prefix}lost_{measure}"] = changed.lost[measure]
    # Among failures, whatever comes first now was recovered.
    row["recovered"] = result.changed.gained["R@1"]
    # In samples failures and successes do not have their true shares, so a mean over them says nothing.
    if result.net_effect is None or result.marks.exact:
        row |= {"baseline_MRR": result.baseline["MRR"], "improved_MRR": result.changed.improved["MRR"]}
    row["share_of_labelled_failures"] = result.share_of_labelled_failures
    row["contribution_pp"] = result.contribution_pp
    return {name: row.get(name) for name in SUBSET_RESULTS}


def _effect(result: SetResult, measure: str) -> Effect:
    """On all queries the effect on the whole set, estimated or exact; else that on the queries of the set."""
    if result.net_effect is not None:
        net, placebo = result.net_effect[measure], result.placebo_net_effect[measure]
        return Effect(net.before, net.after, net, placebo, (result.beyond_net_effect or {}).get(measure))
    before, after, placebo = result.baseline[measure], result.changed.improved[measure], result.placebo
    change = result.changed.delta_pp[measure]
    return Effect(before, after, change, placebo.delta_pp[measure], placebo.beyond.get(measure))


def _effect_cells(effect: Effect, measure: str) -> dict:
    return {
        f"baseline_{measure}": effect.before,
        f"improved_{measure}": effect.after,
        f"delta_pp_{measure}": effect.change.value,
        f"delta_pp_{measure}_low": effect.change.low,
        f"delta_pp_{measure}_high": effect.change.high,
        f"placebo_delta_pp_{measure}": effect.placebo.value,
        f"placebo_delta_pp_{measure}_low": effect.placebo.low,
        f"placebo_delta_pp_{measure}_high": effect.placebo.high,
        f"placebo_delta_pp_{measure}_sd": effect.placebo.sd,
    } | _beyond_cells(effect.beyond, measure)


def _beyond_cells(beyond: Beyond | None, measure: str) -> dict:
    """Blank where an earlier version did not compare a method with its placebo."""
    if beyond is None:
        return {}
    return {
        f"beyond_{measure}": beyond.value,
        f"beyond_{measure}_low": beyond.low,
        f"beyond_{measure}_high": beyond.high,
        f"beyond_{measure}_seen": beyond.seen,
        f"beyond_{measure}_needed": beyond.needed,
    }


def net_effects(measured: Measured) -> list[dict]:
    """A row for each method, with one pooling, on the whole set, the best fix on top."""
    return [_net_effect(row, method) for row, method in _with_results(measured)]


def _with_results(measured: Measured) -> list[tuple[IndexRow, MethodResult]]:
    """The index's rows, the best fix on top, each with its method's result."""
    by_file = dict(zip(measured.index.cells, measured.methods, strict=True))
    return [(row, by_file[row.file]) for row in best_first(measured.index)]


def _net_effect(found: IndexRow, method: MethodResult) -> dict:
    row = {"name": found.name, "method": found.method, "pooling": found.pooling, **_marks(found.marks)}
    row |= {"fix": found.marks.is_fix, "helps": found.helps and found.marks.is_fix}
    row |= {"subset_size": found.marks.ranked, "category_of_query": found.category_of_query}
    for measure in MEASURES:
        row |= net_cells(found.net_effect[measure], measure)
        if measure == "R@1":
            row["p_holm"] = found.p_holm
        placebo, beyond = found.placebo[measure], found.beyond.get(measure)
        row |= {f"placebo_{measure}": placebo.value, f"placebo_low_{measure}": placebo.low}
        row |= {f"placebo_high_{measure}": placebo.high, f"placebo_sd_{measure}": placebo.sd}
        for name, what in (("beyond", "value"), ("beyond_low", "low"), ("beyond_high", "high")):
            row[f"{name}_{measure}"] = getattr(beyond, what, None)
        if measure == "R@1":
            row |= dict(zip(("gained_pp", "lost_pp"), in_points_of_all(method), strict=True))
    return row | {"file": found.file}


def net_cells(effect: NetEffect, measure: str) -> dict:
    """The columns of a net effect on one measure."""
    return {
        f"baseline_{measure}": effect.before,
        f"improved_{measure}": effect.after,
        f"net_{measure}": effect.value,
        f"low_{measure}": effect.low,
        f"high_{measure}": effect.high,
        f"sampling_low_{measure}": effect.sampling_low,
        f"sampling_high_{measure}": effect.sampling_high,
        f"gained_{measure}": effect.gained,
        f"lost_{measure}": effect.lost,
        f"p_{measure}": effect.p,
    }


def in_points_of_all(method: MethodResult) -> tuple[float, float]:
    """Points of R@1 of the whole set that failures give and successes cost; their difference is the net.

    Where samples of both were ranked, their counts are brought to the size of what they were drawn from.
    """
    n, failures = method.queries.all, method.queries.failures
    whole, drawn = method.on(ALL), method.on(FAILURES)
    ranked = failures if whole.marks.exact else drawn.marks.ranked
    gained = whole.changed.gained["R@1"] / max(ranked, 1) * failures / n
    lost = whole.changed.lost["R@1"] / max(whole.marks.ranked - ranked, 1) * (n - failures) / n
    return 100 * gained, 100 * lost


def matrix(measured: Measured, labels: str | None) -> list[dict]:
    """A row for each method: what it recovers of each category, and how far that is above its placebo.

    `marks` are those that all its numbers share; `<set>_marks` those of this one alone. labels: as above.
    """
    return [
        _matrix_row(found, method, labels)
        for found, method in _with_results(measured)
        if any(map(_of_labels, method.sets))
    ]


def _matrix_row(found: IndexRow, method: MethodResult, labels: str | None) -> dict:
    own = {name: method.on(name) for name in OF_LABELS}
    words = {name: result.marks.words for name, result in own.items() if result is not None}
    shared = [mark for mark in next(iter(words.values())) if all(mark in each for each in words.values())]
    row = {"name": found.name, "marks": "; ".join(shared), "labels": labels}
    for name, result in own.items():
        cells = dict.fromkeys(("n", "recovered", "low", "high", "placebo", "beyond", "beyond_low"))
        cells |= dict.fromkeys(("beyond_high", "marks"))
        if result is not None:
            change, placebo = result.changed.delta_pp["R@1"], result.placebo.delta_pp["R@1"]
            beyond = result.placebo.beyond.get("R@1")
            cells |= {"n": result.marks.ranked, "recovered": result.changed.improved["R@1"]}
            cells |= {"low": change.low, "high": change.high, "placebo": placebo.value}
            if beyond is not None:
                cells |= {"beyond": beyond.value, "beyond_low": beyond.low, "beyond_high": beyond.high}
            cells["marks"] = "; ".join(mark for mark in words[name] if mark not in shared)
        row |= {f"{name}_{what}": cell for what, cell in cells.items()}
    return row


def forest(index: Index) -> list[dict]:
    """What the forest plot shows of each method."""
    rows = []
    for found in best_first(index):
        net, placebo = found.net_effect["R@1"], found.placebo["R@1"]
        row = {"name": found.name, **_status(found), "net": net.value, "low": net.low, "high": net.high}
        row |= {"placebo": placebo.value, "placebo_low": placebo.low, "placebo_high": placebo.high}
        rows.append(row)
    return rows


def _status(found: IndexRow) -> dict:
    """A method's marks in words, and the queries that were ranked, for a figure."""
    return {"marks": "; ".join(found.marks.words), "n": found.marks.ranked}


def gained_lost(measured: Measured) -> list[dict]:
    """Points of R@1 that each method gains and loses."""
    rows = []
    for found, method in _with_results(measured):
        gained, lost = in_points_of_all(method)
        rows.append({"name": found.name, **_status(found), "gained_pp": gained, "lost_pp": lost})
    return rows


def hubness(measured: Measured) -> list[dict]:
    """Hubs before and after each method that ranked all queries, for each k that they were counted at."""
    rows = []
    for found, method in _with_results(measured):
        for hubs in method.on(ALL).hubness or []:
            row = {"name": found.name, **_status(found), "k": hubs.k}
            counts = {"before": hubs.before, "after": hubs.after}
            row |= {when: one.skewness for when, one in counts.items()}
            row |= {f"never_{when}": one.never_among_first for when, one in counts.items()}
            row |= {f"top_{when}": one.top[0].file_name for when, one in counts.items()}
            row |= {f"top_{when}_queries": one.top[0].queries for when, one in counts.items()}
            rows.append(row)
    return sorted(rows, key=lambda row: row["k"])
