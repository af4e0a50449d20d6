"""How far raters agree on nominal labels: five coefficients, each with a bootstrap interval over items.

Ratings come as a matrix (n_items, n_raters) of label codes 0 .. q-1, with `MISSING` where a rater gave none.
Only items with two or more ratings say anything about agreement; the others play no part in any value.

Every coefficient depends on an item only through its pattern of ratings, so it is written as a function of
how often each pattern occurs. A bootstrap round redraws those frequencies (one multinomial draw), and all
rounds are computed in one matrix product: 2,000 rounds cost about as much as one call of a library.
"""

import functools
import itertools
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from common.records import Record, replace

MISSING = -1
SMALL = 50  # items; below that a nominal alpha is known to about -+0.12 at best
SKEWED = 0.8  # share of the commonest label from which kappa and alpha mislead (the prevalence paradox)
# The grades of Landis and Koch (1977), Biometrics 33, p. 165, are 0.2 wide: up to 0.4 is fair at best, above
# 0.6 is substantial. An interval wider than one grade can't tell weak agreement from good.
WEAK, GOOD, GRADE = 0.4, 0.6, 0.2
UNDEFINED_ROUNDS = 0.05  # share of redraws without a value above which no interval is given
CELLS_AT_ONCE = 4_000_000  # of the (rounds, patterns) array of weights: 32 MB

Formulas = dict[str, Callable[..., np.ndarray]]  # statistic -> its formula


class Estimate(Record):
    """One coefficient of some raters; agreement.json holds it under these names."""

    over: str  # "all raters" or "pair"
    statistic: str
    raters: str  # "A, B, C"
    n_items: int
    value: float | None  # None where it is undefined
    low: float | None  # of the 95 % interval; None where there is none
    high: float | None
    caution: str  # what to beware of, and why a value is undefined; often blank


class Redraws(NamedTuple):
    """How often the items are drawn again for an interval."""

    rounds: int
    seed: list[int]

    def seeded(self, number: int) -> "Redraws":
        """As many others, from a seed of their own."""
        return Redraws(self.rounds, [*self.seed, number])


class _Raters(NamedTuple):
    """Whose agreement is measured, and on which labels."""

    over: str  # "all raters" or "pair"
    names: str  # "A, B, C"
    labels: list[str]  # (q,) that they could choose from

    def undefined(self, formulas: Iterable[str], why: str) -> list[Estimate]:
        """Estimates where there is nothing to measure."""
        blank = {"n_items": 0, "value": None, "low": None, "high": None, "caution": why}
        return [Estimate(over=self.over, statistic=name, raters=self.names, **blank) for name in formulas]


class _Patterns(NamedTuple):
    """The distinct ways in which items were rated: p of them."""

    weights: np.ndarray  # (p,) int, items of each pattern
    several: np.ndarray  # (p,) bool, whether it has two or more ratings
    used: np.ndarray  # (q,) int, ratings under each label, of items with two or more

    @property
    def n(self) -> int:
        """Items with two or more ratings."""
        return int(self.weights[self.several].sum())


# Coefficients of frequency tables; `weights` may have leading axes (bootstrap rounds).


def cohen_kappa(tables: np.ndarray) -> np.ndarray:
    """Cohen's kappa of two raters (Cohen 1960, Educ. Psychol. Meas. 20, eq. 1): (p_o - p_c) / (1 - p_c).

    tables (..., q, q): how many items the first rater put into row i and the second into column j.
    Returns (...); nan where both used one and the same label only (p_c is 1).
    """
    n = tables.sum((-2, -1))
    agreed = np.trace(tables, axis1=-2, axis2=-1)
    chance = (tables.sum(-1) * tables.sum(-2)).sum(-1)  # n**2 times p_c
    return _ratio(n * agreed - chance, n * n - chance)


def percent_agreement(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean over items of the share of rater pairs that agree: P_bar of Fleiss (1971, Psychol. Bull. 76).

    counts (p, q): how many raters put an item of pattern p under label q; weights (..., p): how many items
    have the pattern. Patterns of a single rating play no part. Returns (...).
    """
    counts, weights = _several(counts, weights)
    raters = counts.sum(-1)
    agreeing = (counts * (counts - 1)).sum(-1) / (raters * (raters - 1))
    return _ratio(weights @ agreeing, weights.sum(-1))


def fleiss_kappa(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Fleiss' kappa (Fleiss 1971, Psychol. Bull. 76, p. 379): (P_bar - P_e) / (1 - P_e).

    P_e is the sum over labels of the squared share of all ratings. Every item has the same number of ratings.
    counts (p, q) and weights (..., p) as in `percent_agreement`. nan where only one label occurs.
    """
    used = weights @ counts  # (..., q) ratings under each label
    total = used.sum(-1)
    observed = percent_agreement(counts, weights)
    chance = (used * used).sum(-1)  # total**2 times P_e
    return _ratio(observed * total * total - chance, total * total - chance)


def krippendorff_alpha(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Krippendorff's alpha, nominal, any number of ratings: 1 - D_o / D_e (Krippendorff 2004, ch. 11).

    D_o and D_e are observed and expected shares of unequal pairs, from the coincidences of Hayes and
    Krippendorff (2007, Commun. Methods Meas. 1, p. 80-83): an item with m ratings adds each of its ordered
    pairs with weight 1 / (m - 1). counts (p, q) and weights (..., p) as in `percent_agreement`; patterns of a
    single rating play no part. nan where only one label occurs.
    """
    counts, weights = _several(counts, weights)
    used = weights @ counts
    total = used.sum(-1)
    # Coincidences of equal labels; and total * (total - 1) times their expected share.
    observed = weights @ ((counts * (counts - 1)).sum(-1) / (counts.sum(-1) - 1))
    chance = (used * (used - 1)).sum(-1)
    return _ratio(observed * (total - 1) - chance, total * (total - 1) - chance)


def gwet_ac1(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Gwet's AC1 (Gwet 2008, Br. J. Math. Stat. Psychol. 61, p. 29-48): (p_a - p_e) / (1 - p_e).

    p_a is the percent agreement; p_e, agreement by chance, is the sum over labels of pi (1 - pi) / (q - 1),
    pi being a label's mean share of an item's ratings, and q the number of labels that the raters could
    choose from, used or not. Items with a single rating count for pi alone (Gwet 2014, Handbook of
    Inter-Rater Reliability, 4th ed., ch. 2). counts (p, q) and weights (..., p) as in `percent_agreement`.
    """
    q = counts.shape[-1]
    prevalence = _ratio(weights @ (counts / counts.sum(-1, keepdims=True)), weights.sum(-1)[..., None])
    chance = (prevalence * (1 - prevalence)).sum(-1) / (q - 1)
    return _ratio(percent_agreement(counts, weights) - chance, 1 - chance)


# Those that take any number of ratings an item.
ANY_NUMBER: Formulas = {
    "percent agreement": percent_agreement,
    "Krippendorff's alpha": krippendorff_alpha,
    "Gwet's AC1": gwet_ac1,
}


def _several(counts: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The patterns of two or more ratings, which alone tell of agreement, and their weights."""
    several = counts.sum(-1) > 1
    return counts[several], weights[..., several]


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """above / below, nan where below is 0 (it is a difference of whole numbers there, so exactly 0)."""
    above, below = np.broadcast_arrays(np.asarray(above, float), np.asarray(below, float))
    return np.divide(above, below, out=np.full(below.shape, np.nan), where=below != 0)


def assess(matrix: np.ndarray, raters: list[str], labels: list[str], redraws: Redraws) -> list[Estimate]:
    """Every coefficient of one matrix of ratings, over all raters and for each pair.

    matrix (n_items, n_raters) of codes into `labels`, or MISSING. Percent agreement, alpha and AC1 take all
    items with two or more ratings; Fleiss' kappa those that every rater rated who shares an item with
    another; Cohen's kappa the items of each pair. Items with one rating are redrawn apart from the others,
    since a study fixes how many are shared. Redraws are seeded from their seed and a pair's names, so that a
    further rater doesn't move the intervals of the pairs before.
    """
    rated = matrix[(matrix != MISSING).any(1)]
    shared = matrix[(matrix != MISSING).sum(1) >= 2]
    taking_part = np.flatnonzero((shared != MISSING).any(0))
    everybody = _Raters("all raters", ", ".join(raters[rater] for rater in taking_part), labels)
    complete = shared[(shared[:, taking_part] != MISSING).all(1)]
    if len(raters) < 2:
        nothing = "only one rater: agreement takes two" if raters else "no rating"
    else:
        nothing = "no item has labels of two raters at this level"
    incomplete = "no item has labels of all raters at this level" if len(shared) else nothing
    estimates = _overall(ANY_NUMBER, rated, everybody, redraws, nothing)
    # Of another seed than the others, since its items are others too.
    fleiss = {"Fleiss' kappa": fleiss_kappa}
    estimates += _overall(fleiss, complete, everybody, redraws.seeded(1), incomplete)
    for first, second in itertools.combinations(range(len(raters)), 2):
        pair = matrix[:, [first, second]]
        pair = pair[(pair != MISSING).all(1)]
        estimates += _pair(pair, _Raters("pair", f"{raters[first]}, {raters[second]}", labels), redraws)
    return estimates


def label_counts(matrix: np.ndarray, q: int) -> np.ndarray:
    """(n_items, q): how many raters put each item under each of q labels; MISSING counts for none."""
    return np.stack([(matrix == label).sum(1) for label in range(q)], axis=1)


def pair_table(pair: np.ndarray, q: int) -> np.ndarray:
    """(q, q) confusion table of two raters from their (n_items, 2) codes, none of them MISSING."""
    return np.bincount(pair[:, 0] * q + pair[:, 1], minlength=q * q).reshape(q, q)


def _overall(
    formulas: Formulas, matrix: np.ndarray, raters: _Raters, redraws: Redraws, why: str
) -> list[Estimate]:
    """Coefficients over many raters, from the distinct patterns of label counts; `why` there are none."""
    counts, weights = np.unique(label_counts(matrix, len(raters.labels)), axis=0, return_counts=True)
    several = counts.sum(1) > 1
    if not several.any():
        return raters.undefined(formulas, why)
    bound = {name: functools.partial(formula, counts) for name, formula in formulas.items()}
    patterns = _Patterns(weights, several, weights[several] @ counts[several])
    return _estimates(bound, raters, patterns, redraws)


def _pair(pair: np.ndarray, raters: _Raters, redraws: Redraws) -> list[Estimate]:
    """Percent agreement and Cohen's kappa of two raters: their patterns are a confusion table's cells."""
    q = len(raters.labels)
    formulas = {
        "percent agreement": lambda cells: _ratio(cells[..., :: q + 1].sum(-1), cells.sum(-1)),
        "Cohen's kappa": lambda cells: cohen_kappa(cells.reshape(*cells.shape[:-1], q, q)),
    }
    if not len(pair):
        return raters.undefined(formulas, "no item has labels of both at this level")
    table = pair_table(pair, q)
    patterns = _Patterns(table.ravel(), np.ones(q * q, bool), table.sum(0) + table.sum(1))
    # Python's own hash differs from run to run.
    return _estimates(formulas, raters, patterns, redraws.seeded(zlib.crc32(raters.names.encode("utf-8"))))


def _estimates(formulas: Formulas, raters: _Raters, patterns: _Patterns, redraws: Redraws) -> list[Estimate]:
    """Values of several coefficients with their intervals, from the same bootstrap redraws.

    A formula takes weights (..., p).
    """
    redrawn = {name: [] for name in formulas}
    for drawn in _redrawn(patterns, redraws):
        for name, formula in formulas.items():
            redrawn[name].append(formula(drawn))
    estimates = []
    for name, formula in formulas.items():
        value, low, high, missing = float(formula(patterns.weights)), None, None, ""
        if not np.isnan(value):
            low, high, missing = _interval(np.concatenate([*redrawn[name], []]))
        head = {"over": raters.over, "statistic": name, "raters": raters.names, "n_items": patterns.n}
        value = None if np.isnan(value) else value
        estimate = Estimate(**head, value=value, low=low, high=high, caution="")
        cautions = filter(None, [missing, *_cautions(estimate, patterns.used, raters.labels)])
        estimates.append(replace(estimate, caution="; ".join(cautions)))
    return estimates


def _redrawn(patterns: _Patterns, redraws: Redraws) -> Iterator[np.ndarray]:
    """Yield bootstrap redraws of the items as weights of their patterns: (some rounds, p) at a time."""
    weights = patterns.weights
    halves = (patterns.several, ~patterns.several)
    parts = [(part, np.random.default_rng([*redraws.seed, number])) for number, part in enumerate(halves)]
    at_once = max(1, CELLS_AT_ONCE // len(weights))
    for start in range(0, redraws.rounds, at_once):
        drawn = np.zeros((min(at_once, redraws.rounds - start), len(weights)))
        for part, generator in parts:
            n = int(weights[part].sum())
            if n:
                drawn[:, part] = generator.multinomial(n, weights[part] / n, size=len(drawn))
        yield drawn


def _interval(redrawn: np.ndarray) -> tuple[float | None, float | None, str]:
    """95 % percentile interval (Efron and Tibshirani 1993, ch. 13), or why there is none."""
    defined = redrawn[~np.isnan(redrawn)]
    if not len(redrawn):
        return None, None, "no interval: no bootstrap rounds were asked for"
    undefined = 1 - len(defined) / len(redrawn)
    if undefined > UNDEFINED_ROUNDS:
        return None, None, f"no interval: {undefined:.0%} of the redraws held one label only"
    low, high = np.quantile(defined, [0.025, 0.975])
    return float(low), float(high), ""


def _cautions(estimate: Estimate, used: np.ndarray, labels: list[str]) -> list[str]:
    """What a reader of one coefficient should beware of. used (q,): ratings under each of `labels`."""
    commonest, n = int(np.argmax(used)), estimate.n_items
    if estimate.value is None:
        return [
            f"undefined: every rating is {labels[commonest]}, so chance alone agrees; see percent agreement"
        ]
    low, high = estimate.low, estimate.high
    cautions = []
    if n < SMALL:
        cautions.append(f"only {n} item{'s' if n > 1 else ''}")
    if low is not None and low == high:
        cautions.append(
            f"the {n} items don't differ in agreement, so the interval can't show what others would do"
        )
    if estimate.statistic == "percent agreement":
        return cautions
    if low is not None and high - low > GRADE and low < GOOD and high > WEAK:
        cautions.append("the interval is too wide to tell weak agreement from good")
    share = used[commonest] / used.sum()
    if share > SKEWED:
        cautions.append(
            f"{share:.0%} of the ratings are {labels[commonest]}: with labels so skewed kappa and alpha can "
            "be low where raters mostly agree; read AC1 and percent agreement beside them"
        )
    return cautions
