"""How far raters agree on nominal labels: five coefficients, each with a 95 % interval over items.

Ratings come as a matrix (n_items, n_raters) of label codes 0 .. q-1, with `MISSING` where a rater gave none.
Only items with two or more ratings say anything about agreement; the others play no part in any value.

Every coefficient depends on an item only through its pattern of ratings, so it is written as a function of
how often each pattern occurs (`coefficients`). A bootstrap round redraws those frequencies (one multinomial
draw), and all rounds are computed in one matrix product: 2,000 rounds cost about as much as one call of a
library. Where nearly all items agree redraws hardly differ; `_score_interval` then takes over.
"""

import functools
import itertools
import math
import zlib
from collections.abc import Iterable, Iterator
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from common import say, statistics
from common.labels import coefficients
from common.labels.coefficients import Coefficient, Formulas
from common.records import Record, replace

MISSING = -1
SMALL = 50  # items; so many give an alpha of 0.8 to about -+0.1, and fewer give it less closely
FEW = 10  # agreeing or disagreeing items below which redraws show too little of the spread
SKEWED = 0.8  # share of the commonest label from which kappa and alpha mislead (the prevalence paradox)
# The grades of Landis and Koch (1977), Biometrics 33, p. 165, are 0.2 wide: up to 0.4 is fair at best, above
# 0.6 is substantial. An interval wider than one grade can't tell weak agreement from good.
WEAK, GOOD, GRADE = 0.4, 0.6, 0.2
# Krippendorff (2004), Content Analysis, p. 241: rely on an alpha of 0.8 or more, draw tentative conclusions
# from 0.667 on, and none below.
TENTATIVE, RELIABLE = 0.667, 0.8
GRADES = ((0.8, "almost perfect"), (0.6, "substantial"), (0.4, "moderate"), (0.2, "fair"))
UNDEFINED_ROUNDS = 0.05  # share of redraws without a value above which no interval is given
CELLS_AT_ONCE = 4_000_000  # of the (rounds, patterns) array of weights: 32 MB


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

    def __str__(self) -> str:
        """`0.74 [0.62, 0.85]`, or that it is undefined."""
        return "undefined" if self.value is None else say.coefficient(self.value, self.low, self.high)


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
    agreeing: np.ndarray  # (p,) share of its rater pairs that agree; 0 of a single rating
    used: np.ndarray  # (q,) int, ratings under each label, of items with two or more

    @property
    def n(self) -> int:
        """Items with two or more ratings."""
        return int(self.weights[self.several].sum())


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
    estimates = _overall(coefficients.ANY_NUMBER, rated, everybody, redraws, nothing)
    # Of another seed than the others, since its items are others too.
    fleiss = {"Fleiss' kappa": coefficients.fleiss_kappa}
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
    agreeing = np.zeros(len(counts))
    agreeing[several] = coefficients.agreeing(counts[several])
    patterns = _Patterns(weights, several, agreeing, weights[several] @ counts[several])
    return _estimates(bound, raters, patterns, redraws)


def _pair(pair: np.ndarray, raters: _Raters, redraws: Redraws) -> list[Estimate]:
    """Percent agreement and Cohen's kappa of two raters: their patterns are a confusion table's cells."""
    q = len(raters.labels)
    formulas: Formulas = {
        "percent agreement": lambda cells: _alike(cells, q),
        "Cohen's kappa": lambda cells: coefficients.cohen_kappa(cells.reshape(*cells.shape[:-1], q, q)),
    }
    if not len(pair):
        return raters.undefined(formulas, "no item has labels of both at this level")
    table = pair_table(pair, q)
    patterns = _Patterns(table.ravel(), np.ones(q * q, bool), np.eye(q).ravel(), table.sum(0) + table.sum(1))
    # Python's own hash differs from run to run.
    return _estimates(formulas, raters, patterns, redraws.seeded(zlib.crc32(raters.names.encode("utf-8"))))


def _alike(cells: np.ndarray, q: int) -> Coefficient:
    """Percent agreement from (..., q * q) cells of a pair's table."""
    agreed = cells[..., :: q + 1].sum(-1)
    return Coefficient(agreed, np.zeros_like(agreed), cells.sum(-1))


def _estimates(formulas: Formulas, raters: _Raters, patterns: _Patterns, redraws: Redraws) -> list[Estimate]:
    """Values of several coefficients with their intervals, from the same bootstrap redraws.

    A formula takes weights (..., p).
    """
    redrawn = {name: [] for name in formulas}
    for drawn in _redrawn(patterns, redraws):
        for name, formula in formulas.items():
            redrawn[name].append(formula(drawn).value)
    estimates = []
    for name, formula in formulas.items():
        found, low, high, missing = formula(patterns.weights), None, None, ""
        value = float(found.value)
        if not np.isnan(value):
            low, high, missing = _interval(found, patterns, np.concatenate([*redrawn[name], []]))
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


def _interval(
    found: Coefficient, patterns: _Patterns, redrawn: np.ndarray
) -> tuple[float | None, float | None, str]:
    """95 % interval of a coefficient, or why there is none. redrawn (rounds,): its bootstrap values.

    The expanded percentile interval (Hesterberg 2015, Am. Stat. 69, p. 371-386): plain percentiles are too
    narrow by the factor sqrt((n - 1) / n), and take n for endless. What it and `_score_interval` cover:
    `benchmarks/agreement_intervals.py`.
    """
    defined, n = redrawn[~np.isnan(redrawn)], patterns.n
    if not len(redrawn):
        return None, None, "no interval: no bootstrap rounds were asked for"
    undefined = 1 - len(defined) / len(redrawn)
    if undefined > UNDEFINED_ROUNDS:
        return None, None, f"no interval: {undefined:.0%} of the redraws held one label only"
    agreed = n * float(found.observed)
    if min(agreed, n - agreed) < FEW:
        return *_score_interval(found, patterns), ""
    tail = NormalDist().cdf(-_t_quantile(n - 1) * math.sqrt(n / (n - 1)))
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high), ""


def _score_interval(found: Coefficient, patterns: _Patterns) -> tuple[float, float]:
    """An interval that has a width even where all items agree, as a bootstrap's has not.

    Wilson's for the share of agreement p, at the sample size that the spread of items is worth (no more than
    n, and n where there is no spread), carried to the coefficient by 1 - (1 - p) / D_e with D_e as it was
    seen: near full agreement p is nearly all that varies.
    """
    weights, agreeing = patterns.weights[patterns.several], patterns.agreeing[patterns.several]
    n, observed = patterns.n, min(1.0, float(found.observed))
    mean = weights @ agreeing / n
    variance = weights @ (agreeing - mean) ** 2 / (n * (n - 1)) if n > 1 else 0
    worth = min(n, mean * (1 - mean) / variance) if variance > 0 else n
    low, high = map(found.at, statistics.wilson(observed * worth, worth))
    return max(-1.0, low), high


def _t_quantile(freedom: int) -> float:
    """97.5 % quantile of Student's t from ten degrees of freedom on (Abramowitz and Stegun 1964, 26.7.5)."""
    z = statistics.Z
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


def judged(alpha: float) -> str:
    """How good an alpha is: by the grades of Landis and Koch, and by Krippendorff's own limits."""
    lowest = "slight" if alpha >= 0 else "poor"
    grade = next((word for above, word in GRADES if alpha > above), lowest)
    if alpha >= RELIABLE:
        use = "enough to rely on"
    else:
        use = "enough for tentative conclusions only" if alpha >= TENTATIVE else "too low for any conclusion"
    return f"{grade} by Landis and Koch, {use} by Krippendorff's limits of {TENTATIVE} and {RELIABLE}"


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
    if estimate.statistic == "percent agreement":
        return cautions
    if low is not None and high - low > GRADE and low < GOOD and high > WEAK:
        cautions.append("the interval is too wide to tell weak agreement from good")
    if estimate.statistic == "Krippendorff's alpha" and estimate.value < RELIABLE:
        cautions.append(judged(estimate.value))
    share = used[commonest] / used.sum()
    if share > SKEWED:
        cautions.append(
            f"{share:.0%} of the ratings are {labels[commonest]}: with labels so skewed kappa and alpha can "
            "be low where raters mostly agree; read AC1 and percent agreement next to them"
        )
    return cautions
