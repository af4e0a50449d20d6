"""Rows of the tables on fixes, from what step 6 measured. Recall is in percent, changes are in points of it.

Cells are numbers, texts or None: `summaries` writes them with the decimals of their column.
"""

from typing import NamedTuple

from common.results import (
    ALL,
    FAILURES,
    MEASURES,
    Change,
    Index,
    IndexRow,
    Measured,
    MethodResult,
    NetEffect,
    SetResult,
)

ENDS = ("low", "high")
SUBSET_RESULTS = (  # columns; the first ones are those that other programs look for
    *("file", "subset_size", "categories", "pooling", "tau", "K_templates", "seed"),
    *(f"baseline_{measure}" for measure in MEASURES),
    *(f"improved_{measure}" for measure in MEASURES),
    *(f"delta_pp_{measure}" for measure in MEASURES),
    *("name", "method", "oracle", "transductive", "category_of_query", "anecdotal", "exact"),
    *(f"delta_pp_{measure}_{end}" for measure in MEASURES for end in ENDS),
    *(f"{what}_{measure}" for measure in MEASURES for what in ("gained", "lost")),
    *("recovered", "baseline_MRR", "improved_MRR"),
    *(f"placebo_delta_pp_{measure}" for measure in MEASURES),
    *(f"placebo_{what}_{measure}" for measure in MEASURES for what in ("gained", "lost")),
    *("share_of_labelled_failures", "contribution_pp"),
)


class Effect(NamedTuple):
    """What a method does to one measure of a set."""

    before: float  # percent
    after: float
    change: Change | NetEffect  # with its interval
    placebo: Change | NetEffect


def best_first(index: Index) -> list[IndexRow]:
    """Fixes first, the largest net effect on R@1 on top, then oracles, which are bounds."""
    return sorted(index.net_effects, key=lambda row: (row.oracle, -row.net_effect["R@1"].value))


def subset_results(measured: Measured) -> list[dict]:
    """A row for each method on each set of queries, in step 6's order."""
    return [
        _subset_result(method, result, file)
        for method, file in zip(measured.methods, measured.index.cells, strict=True)
        for result in method.sets
    ]


def _subset_result(method: MethodResult, result: SetResult, file: str) -> dict:
    row = {"file": file, "subset_size": result.subset_size, "categories": result.categories}
    row |= {"pooling": method.pooling, "tau": method.tau, "K_templates": method.K_templates}
    row |= {"seed": method.seed, "name": method.name, "method": method.method, "oracle": result.oracle}
    row |= {"transductive": method.transductive, "category_of_query": result.category_of_query}
    row |= {"anecdotal": result.anecdotal, "exact": result.exact}
    for measure in MEASURES:
        row |= _effect_cells(_effect(result, measure), measure)
        for prefix, changed in (("", result.changed), ("placebo_", result.placebo)):
            row[f"{prefix}gained_{measure}"] = changed.gained[measure]
            row[f"{prefix}lost_{measure}"] = changed.lost[measure]
    # Among failures, whatever comes first now was recovered.
    row["recovered"] = result.changed.gained["R@1"]
    # In samples failures and successes do not have their true shares, so a mean over them says nothing.
    if result.net_effect is None or result.exact:
        row |= {"baseline_MRR": result.baseline["MRR"], "improved_MRR": result.changed.improved["MRR"]}
    row["share_of_labelled_failures"] = result.share_of_labelled_failures
    row["contribution_pp"] = result.contribution_pp
    return {name: row.get(name) for name in SUBSET_RESULTS}


def _effect(result: SetResult, measure: str) -> Effect:
    """On all queries the effect on the whole set, estimated or exact; else that on the queries of the set."""
    if result.net_effect is not None:
        net, placebo = result.net_effect[measure], result.placebo_net_effect[measure]
        return Effect(net.before, net.after, net, placebo)
    before, after = result.baseline[measure], result.changed.improved[measure]
    return Effect(before, after, result.changed.delta_pp[measure], result.placebo.delta_pp[measure])


def _effect_cells(effect: Effect, measure: str) -> dict:
    return {
        f"baseline_{measure}": effect.before,
        f"improved_{measure}": effect.after,
        f"delta_pp_{measure}": effect.change.value,
        f"delta_pp_{measure}_low": effect.change.low,
        f"delta_pp_{measure}_high": effect.change.high,
        f"placebo_delta_pp_{measure}": effect.placebo.value,
    }


def net_effects(measured: Measured) -> list[dict]:
    """A row for each method, with one pooling, on the whole set, the best fix on top."""
    return [_net_effect(row, method) for row, method in _with_results(measured)]


def _with_results(measured: Measured) -> list[tuple[IndexRow, MethodResult]]:
    """The index's rows, the best fix on top, each with its method's result."""
    by_file = dict(zip(measured.index.cells, measured.methods, strict=True))
    return [(row, by_file[row.file]) for row in best_first(measured.index)]


def _net_effect(found: IndexRow, method: MethodResult) -> dict:
    row = {"name": found.name, "method": found.method, "pooling": found.pooling, "oracle": found.oracle}
    row |= {"transductive": found.transductive, "exact": found.exact, "subset_size": found.subset_size}
    row["category_of_query"] = found.category_of_query
    for measure in MEASURES:
        row |= _net_cells(found.net_effect[measure], measure)
        if measure == "R@1":
            row["p_holm"] = found.p_holm
        placebo = found.placebo[measure]
        row |= {f"placebo_{measure}": placebo.value, f"placebo_low_{measure}": placebo.low}
        row[f"placebo_high_{measure}"] = placebo.high
        if measure == "R@1":
            row |= dict(zip(("gained_pp", "lost_pp"), in_points_of_all(method), strict=True))
    return row | {"file": found.file}


def _net_cells(effect: NetEffect, measure: str) -> dict:
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
        f"mcnemar_p_{measure}": effect.mcnemar_p,
    }


def in_points_of_all(method: MethodResult) -> tuple[float, float]:
    """Points of R@1 of the whole set that failures give and successes cost; their difference is the net.

    Where samples of both were ranked, their counts are brought to the size of what they were drawn from.
    """
    n, failures = method.queries.all, method.queries.failures
    whole, drawn = method.on(ALL), method.on(FAILURES)
    ranked = failures if whole.exact else drawn.subset_size
    gained = whole.changed.gained["R@1"] / max(ranked, 1) * failures / n
    lost = whole.changed.lost["R@1"] / max(whole.subset_size - ranked, 1) * (n - failures) / n
    return 100 * gained, 100 * lost


def forest(index: Index) -> list[dict]:
    """What the forest plot shows of each method."""
    rows = []
    for found in best_first(index):
        net, placebo = found.net_effect["R@1"], found.placebo["R@1"]
        row = {"name": found.name, "oracle": found.oracle, "net": net.value, "low": net.low, "high": net.high}
        row |= {"placebo": placebo.value, "placebo_low": placebo.low, "placebo_high": placebo.high}
        rows.append(row)
    return rows


def gained_lost(measured: Measured) -> list[dict]:
    """Points of R@1 that each method gains and loses."""
    rows = []
    for found, method in _with_results(measured):
        gained, lost = in_points_of_all(method)
        rows.append({"name": found.name, "gained_pp": gained, "lost_pp": lost})
    return rows


def hubness(measured: Measured) -> list[dict]:
    """Hubs before and after each method that ranked all queries."""
    rows = []
    for found, method in _with_results(measured):
        hubs = method.on(ALL).hubness
        if hubs is not None:
            row = {"name": found.name, "k": hubs.k}
            moments = {"before": hubs.before, "after": hubs.after}
            row |= {when: one.skewness for when, one in moments.items()}
            row |= {f"never_{when}": one.never_among_first for when, one in moments.items()}
            row |= {f"top_{when}": one.top[0].file_name for when, one in moments.items()}
            row |= {f"top_{when}_queries": one.top[0].queries for when, one in moments.items()}
            rows.append(row)
    return rows
