"""What chance alone does to a set of queries, by many draws of a placebo, and what a method does beyond it.

One draw of a placebo is a random number: its effect on R@1 of 3,000 queries has a standard deviation of 0.6
to 0.9 points between seeds. So it is drawn several times, and its mean is what a method is compared with.
"""

import math
from typing import NamedTuple

import numpy as np

from common.fixes import net_effect, power
from common.fixes.net_effect import Design, Ranks


class Mean(NamedTuple):
    """A placebo's effect, as shares between -1 and 1: mean over draws, 95 % interval of it, spread."""

    value: float
    low: float
    high: float
    sd: float  # between draws
    draws: list[float]


class Difference(NamedTuple):
    """A method's effect less its placebo's, with its 95 % interval, and what could be seen."""

    value: float
    low: float
    high: float
    seen: float | None  # smallest difference found with 80 % power at this n; None where no spread is known
    needed: int | None  # queries with which this difference is found; None where no number would do


class Draws(NamedTuple):
    """A method and the draws of its placebo on the same queries, as changes of recall@K of each query."""

    method: np.ndarray  # (n,) -1, 0 or 1
    placebo: np.ndarray  # (draws, n)
    image: np.ndarray  # (n,)

    @classmethod
    def of(cls, ranks: Ranks, placebos: np.ndarray, cutoff: int) -> "Draws":
        """placebos (draws, n): ranks."""
        return cls(ranks.change(cutoff), ranks._replace(after=placebos).change(cutoff), ranks.image)

    @property
    def mean(self) -> np.ndarray:
        """(n,) what the placebo does to each query on average."""
        return self.placebo.mean(0)

    @property
    def beyond(self) -> np.ndarray:
        """(n,) what the method does to each query less what its placebo does on average."""
        return self.method - self.mean


def on_set(draws: Draws, before: np.ndarray, cutoff: int) -> tuple[Mean, Difference]:
    """On the queries at hand: `before` (n,) are their ranks."""
    each = draws.placebo.mean(1)
    spread = _variance_of_mean(each)
    value, least, most = float(each.mean()), *net_effect.possible(before, cutoff)
    around = net_effect.agresti_min(draws.mean, draws.image)
    low, high = net_effect.within(around.center, around.reach(spread), least, most)
    mean = Mean(value, min(low, value), max(high, value), _sd(each), each.tolist())
    value = float(draws.beyond.mean())
    around = net_effect.agresti_min(draws.beyond, draws.image)
    low, high = net_effect.within(around.center, around.reach(spread))
    low, high = min(low, value), max(high, value)
    return mean, Difference(value, low, high, *_power(value, around.variance, spread, len(before)))


def on_whole(draws: Draws, before: np.ndarray, sizes: tuple[int, int]) -> tuple[Mean, Difference]:
    """Net effects on the whole set, of `sizes` = (failures, successes); `before` as in `on_set`."""
    design = Design(before > 1, draws.image, sizes)
    each = np.array([design.mean(change) for change in draws.placebo])
    spread, value = _variance_of_mean(each), float(each.mean())
    ends = net_effect.within(value, design.reach(draws.mean, spread))
    mean = Mean(value, *ends, _sd(each), each.tolist())
    value = design.mean(draws.beyond)
    low, high = net_effect.within(value, design.reach(draws.beyond, spread))
    variance = design.image_variance(draws.beyond) + design.sampling_variance(draws.beyond)
    return mean, Difference(value, low, high, *_power(value, variance, spread, len(before)))


def _power(value: float, variance: float, spread: float, n: int) -> tuple[float | None, int | None]:
    """Difference.seen and Difference.needed. `spread` is what draws add, which more queries don't lessen."""
    if not 0 < variance < math.inf:
        return None, None
    left = (value / power.seen(1)) ** 2 - spread
    return power.seen(variance + spread), math.ceil(n * variance / left) if left > 0 else None


def _sd(each: np.ndarray) -> float:
    return float(each.std(ddof=1)) if len(each) > 1 else 0.0


def _variance_of_mean(each: np.ndarray) -> float:
    """Of the mean over draws. Where a placebo draws for each query by itself, part of it is in the variance
    between queries too: the interval is then a hair wide."""
    return _sd(each) ** 2 / len(each)
