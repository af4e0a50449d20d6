"""Everything that is measured of a method on one set of queries, in the units of the result files.

Recall, MRR and differences are in percent or points of it; shares and p-values are between 0 and 1.
"""

import numpy as np

from common import say
from common.fixes import hubness, net_effect
from common.fixes.cells import Cell, Pass
from common.fixes.net_effect import Ranks
from common.fixes.rerank import Ranked
from common.fixes.study import Study
from common.labels.taxonomy import CATEGORY_NAMES
from common.results import (
    ALL,
    MEASURES,
    Change,
    Changed,
    Hubness,
    Hubs,
    NetEffect,
    SetResult,
    TopImage,
)
from common.retrieval import evaluation
from common.statistics import ANECDOTAL

HUBS_SHOWN = 10  # images that come first most often, named before and after
CUTOFFS = dict(zip(MEASURES, evaluation.CUTOFFS, strict=True))  # name of a measure -> its K


def measured(cell: Cell, name: str, passed: Pass, study: Study, seed: int) -> SetResult:
    """A cell's method on one of its sets. `passed`: the ranks of exactly that set's queries."""
    queries, gt = passed.queries, study.frozen.gt
    before, image = study.before.of(queries), gt[queries]
    ranks = Ranks(before.rank, passed.after.rank, image)
    under_placebo = Ranks(before.rank, passed.placebo.rank, image)
    exact = len(queries) == len(study.queries)
    further = {}
    if name in CATEGORY_NAMES:
        share, contribution = _contribution(study, name, passed.after.rank)
        further = {"share_of_labelled_failures": share, "contribution_pp": contribution}
    if name == ALL:
        further["net_effect"] = net_effects(ranks, study, seed)
        further["placebo_net_effect"] = net_effects(under_placebo, study, seed)
        if exact:
            further["hubness"] = hubs(before, passed.after, study.frozen.meta.file_names)
    return SetResult(
        categories=name,
        subset_size=len(queries),
        anecdotal=len(queries) < ANECDOTAL,
        confirmatory=name == ALL,
        exact=name != ALL or exact,
        oracle=cell.recipe.is_oracle,
        category_of_query=passed.source,
        baseline=levels(before.rank),
        changed=changed(ranks),
        ties=int(passed.after.tied.sum()),
        placebo=changed(under_placebo),
        **further,
    )


def levels(ranks: np.ndarray) -> dict[str, float]:
    """R@1, R@5, R@10 and MRR in percent."""
    recall = {name: points(evaluation.recall(ranks, cutoff)) for name, cutoff in CUTOFFS.items()}
    return recall | {"MRR": points(evaluation.mean_reciprocal_rank(ranks))}


def changed(ranks: Ranks) -> Changed:
    """What became of some queries: levels, differences with paired intervals, gained and lost."""
    change = {name: ranks.change(cutoff) for name, cutoff in CUTOFFS.items()}
    paired = {name: net_effect.paired(ranks, cutoff) for name, cutoff in CUTOFFS.items()}
    return Changed(
        improved=levels(ranks.after),
        delta_pp={
            name: Change(value=points(value), low=points(low), high=points(high))
            for name, (value, low, high) in paired.items()
        },
        gained={name: int((each > 0).sum()) for name, each in change.items()},
        lost={name: int((each < 0).sum()) for name, each in change.items()},
    )


def net_effects(ranks: Ranks, study: Study, seed: int) -> dict[str, NetEffect]:
    """Net effect on each measure of the whole set."""
    sizes, found = (len(study.failures), len(study.successes)), {}
    for name, cutoff in CUTOFFS.items():
        effect = net_effect.effect(ranks, sizes, cutoff, seed)
        # Of the whole set, which a sample's own level is not.
        level = evaluation.recall(study.before.rank[study.queries], cutoff)
        found[name] = NetEffect(
            before=points(level),
            after=points(level + effect.value),
            value=points(effect.value),
            low=points(effect.low),
            high=points(effect.high),
            sampling_low=points(effect.sampling_low),
            sampling_high=points(effect.sampling_high),
            gained=effect.gained,
            lost=effect.lost,
            p=p_value(effect.p),
            mcnemar_p=None if effect.mcnemar_p is None else p_value(effect.mcnemar_p),
        )
    return found


def hubs(before: Ranked, after: Ranked, file_names: list[str]) -> Hubness:
    """k-occurrence before and after: its skewness, and the images that come first most often."""
    return Hubness(k=hubness.OCCURRENCE_K, before=_hubs(before, file_names), after=_hubs(after, file_names))


def points(share: float) -> float:
    """A share as percent, with digits enough for any table and few enough for another machine's last bits."""
    return float(say.rounded(100 * share, 4))


def p_value(p: float) -> float:
    """A p-value to six significant digits."""
    return float(f"{p:.6g}")


def _hubs(ranked: Ranked, file_names: list[str]) -> Hubs:
    counts = hubness.occurrence(ranked.first, len(file_names))
    top = np.argsort(-counts, kind="stable")[:HUBS_SHOWN]
    return Hubs(
        skewness=say.rounded(hubness.skewness(counts)),
        never_among_first=int((counts == 0).sum()),
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
