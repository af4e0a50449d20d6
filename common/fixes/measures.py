"""Everything that is measured of a method on one set of queries, in the units of the result files.

Recall, MRR and differences are in percent or points of it; shares and p-values are between 0 and 1.
"""

from collections.abc import Iterable

import numpy as np

from common import say
from common.fixes import chance, hubness, net_effect
from common.fixes.cells import Cell, Pass
from common.fixes.chance import Draws
from common.fixes.net_effect import Ranks
from common.fixes.rerank import Ranked
from common.fixes.study import Study
from common.labels.taxonomy import CATEGORY_NAMES
from common.results import (
    ALL,
    MEASURES,
    SHOWS,
    Beyond,
    Chance,
    Change,
    Changed,
    Hubness,
    Hubs,
    NetEffect,
    PlaceboChanged,
    SetResult,
    TopImage,
)
from common.retrieval import evaluation

HUBS_SHOWN = 10  # images that come first most often, named before and after
CUTOFFS = dict(zip(evaluation.CUTOFFS, MEASURES, strict=True))  # K -> the name of its measure
ENDS = ("value", "low", "high")


def measured(cell: Cell, name: str, passed: Pass, study: Study, seed: int) -> SetResult:
    """A cell's method on one of its sets. `passed`: the ranks of exactly that set's queries."""
    queries, gt = passed.queries, study.frozen.gt
    before = study.before.of(queries)
    ranks = Ranks(before.rank, passed.after.rank, gt[queries])
    further = {}
    if name in CATEGORY_NAMES:
        share, contribution = _contribution(study, name, passed.after.rank)
        further = {"share_of_labelled_failures": share, "contribution_pp": contribution}
    if name == ALL:
        further["net_effect"] = net_effects(ranks, study, seed)
        sizes = len(study.failures), len(study.successes)
        both = {k: chance.on_whole(Draws.of(ranks, passed.placebos, k), before.rank, sizes) for k in CUTOFFS}
        further["placebo_net_effect"] = {CUTOFFS[k]: _chance(mean) for k, (mean, _) in both.items()}
        further["beyond_net_effect"] = {CUTOFFS[k]: _beyond(more) for k, (_, more) in both.items()}
        if passed.after.first is not None:
            further["hubness"] = hubs(before, passed.after, study.frozen.meta.file_names)
    return SetResult(
        categories=name,
        confirmatory=name == ALL,
        marks=cell.marks(name, len(queries), study),
        category_of_query=passed.source,
        baseline=levels(before.rank),
        changed=changed(ranks),
        ties=int(passed.after.tied.sum()),
        placebo=under_placebo(ranks, passed.placebos),
        **further,
    )


def levels(ranks: np.ndarray) -> dict[str, float]:
    """R@1, R@5, R@10 and MRR in percent."""
    recall = {name: points(evaluation.recall(ranks, cutoff)) for cutoff, name in CUTOFFS.items()}
    return recall | {"MRR": points(evaluation.mean_reciprocal_rank(ranks))}


def changed(ranks: Ranks) -> Changed:
    """What became of some queries: levels, differences with paired intervals, gained and lost."""
    change = {name: ranks.change(cutoff) for cutoff, name in CUTOFFS.items()}
    paired = {name: net_effect.paired(ranks, cutoff) for cutoff, name in CUTOFFS.items()}
    return Changed(
        improved=levels(ranks.after),
        delta_pp={name: Change(**_points(zip(ENDS, ends, strict=True))) for name, ends in paired.items()},
        gained={name: int((each > 0).sum()) for name, each in change.items()},
        lost={name: int((each < 0).sum()) for name, each in change.items()},
    )


def under_placebo(ranks: Ranks, placebos: np.ndarray) -> PlaceboChanged:
    """The same under the placebo, as means over its draws; placebos (draws, n): ranks."""
    draws = {name: Draws.of(ranks, placebos, cutoff) for cutoff, name in CUTOFFS.items()}
    both = {name: chance.on_set(draws[name], ranks.before, cutoff) for cutoff, name in CUTOFFS.items()}
    after = [levels(each) for each in placebos]
    n = len(placebos)
    return PlaceboChanged(
        improved={name: say.rounded(sum(each[name] for each in after) / n, 4) for name in after[0]},
        delta_pp={name: _chance(mean) for name, (mean, _) in both.items()},
        gained={name: say.rounded(float((each.placebo > 0).sum()) / n) for name, each in draws.items()},
        lost={name: say.rounded(float((each.placebo < 0).sum()) / n) for name, each in draws.items()},
        beyond={name: _beyond(more) for name, (_, more) in both.items()},
    )


def net_effects(ranks: Ranks, study: Study, seed: int) -> dict[str, NetEffect]:
    """Net effect on each measure of the whole set."""
    sizes, found = (len(study.failures), len(study.successes)), {}
    for cutoff, name in CUTOFFS.items():
        effect = net_effect.effect(ranks, sizes, cutoff, seed)
        # Of the whole set, which a sample's own level is not.
        level = evaluation.recall(study.before.rank[study.queries], cutoff)
        shares = effect._asdict()
        ends = _points((each, shares[each]) for each in (*ENDS, "sampling_low", "sampling_high"))
        found[name] = NetEffect(
            before=points(level),
            after=points(level + effect.value),
            **ends,
            gained=effect.gained,
            lost=effect.lost,
            p=p_value(effect.p),
        )
    return found


def hubs(before: Ranked, after: Ranked, file_names: list[str]) -> list[Hubness]:
    """k-occurrence before and after, for each k that is shown."""
    return [
        Hubness(k=k, before=_hubs(before, k, file_names), after=_hubs(after, k, file_names)) for k in SHOWS
    ]


def points(share: float) -> float:
    """A share as percent, with digits enough for any table and few enough for another machine's last bits."""
    return float(say.rounded(100 * share, 4))


def p_value(p: float) -> float:
    """A p-value to six significant digits."""
    return float(f"{p:.6g}")


def _points(named: Iterable[tuple[str, float]]) -> dict[str, float]:
    return {name: points(share) for name, share in named}


def _chance(mean: chance.Mean) -> Chance:
    ends = _points((name, getattr(mean, name)) for name in (*ENDS, "sd"))
    return Chance(**ends, draws=[points(each) for each in mean.draws])


def _beyond(more: chance.Difference) -> Beyond:
    ends = _points((name, getattr(more, name)) for name in ENDS)
    return Beyond(**ends, seen=None if more.seen is None else points(more.seen), needed=more.needed)


def _hubs(ranked: Ranked, k: int, file_names: list[str]) -> Hubs:
    counts = hubness.occurrence(ranked.first[:, :k], len(file_names))
    top = np.argsort(-counts, kind="stable")[:HUBS_SHOWN]
    return Hubs(
        skewness=say.rounded(hubness.skewness(counts)),
        never_among_first=int((counts == 0).sum()),
        largest_share=say.rounded(float(counts.max() / len(ranked.first))),
        top=[TopImage(file_name=file_names[row], queries=int(counts[row])) for row in top],
    )


def _contribution(study: Study, category: str, after: np.ndarray) -> tuple[float, float]:
    """A category's share of the labeled failures, and what the method's recovery of it is worth in points.

    share x (1 - R@1) x R@1 on that category after the method.
    """
    labeled = study.labeled
    share = sum(study.labels[idx] == category for idx in labeled) / len(labeled)
    failing = len(study.failures) / len(study.queries)
    return say.rounded(share), points(share * failing * evaluation.recall(after, 1))
