"""What a method does to the recall of the whole set: net effect, intervals, tests.

A method fixes some failures and breaks some successes. Its net effect on R@1 is

    (1 - R@1) x share of all failures fixed  -  R@1 x share of successes broken

    0.67 x 0.12  -  0.33 x 0.15  =  +3.09 points      (12 % of failures fixed, 15 % of successes broken)

and likewise for R@5 and R@10, where failures of R@1 can be lost as well as gained. It is exact where all
queries were ranked, and estimated where a random sample of the failures and one of the successes were
(stratified sampling, Cochran 1977, ch. 5). Measured on failures alone any disturbance looks like a gain.

Two intervals, for two questions:
- `low`, `high`: for other images of this kind. Captions of one image depend on each other, so images are what
  is drawn, and the sampling of queries comes on top.
- `sampling_low`, `sampling_high`: for the exact effect on this very set. Only the sampling of queries counts,
  with its finite-population correction; nothing is left of it once all queries were ranked.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from common.heavy import stats
from common.statistics import Z, clustered_share, clustered_variance

FLIPS = 9999  # random sign flips where the sums aren't whole numbers; p is then a multiple of 1 / 10,000


class Ranks(NamedTuple):
    """Some queries before and after a method: all of a set, or a simple random sample of its failures and one
    of its successes."""

    before: np.ndarray  # (n,) rank of each query's own image
    after: np.ndarray  # (n,) the same under the method, or (draws, n) under its placebo
    image: np.ndarray  # (n,) row of the own image

    def change(self, cutoff: int) -> np.ndarray:
        """As `after`, int: 1 where a query came into the first `cutoff`, -1 where it fell out, else 0."""
        return (self.after <= cutoff).astype(int) - (self.before <= cutoff)


class Design(NamedTuple):
    """Which queries were ranked, and for how many of their kind each stands."""

    failed: np.ndarray  # (n,) bool: a failure of R@1 before the method
    image: np.ndarray  # (n,) row of the own image
    sizes: tuple[int, int]  # failures and successes of the whole set

    @property
    def ranked(self) -> tuple[int, int]:
        """Failures and successes that were ranked."""
        failures = int(self.failed.sum())
        return failures, len(self.failed) - failures

    @property
    def exact(self) -> bool:
        return self.ranked == tuple(self.sizes)

    @property
    def weight(self) -> np.ndarray:
        """(n,) how many queries of the whole set each represents."""
        pairs = zip(self.ranked, self.sizes, strict=True)
        return np.where(self.failed, *(size / max(n, 1) for n, size in pairs))

    def mean(self, change: np.ndarray) -> float:
        """The mean change over the whole set. change (n,) between -1 and 1."""
        return float(np.sum(self.weight * change) / sum(self.sizes))

    def image_variance(self, change: np.ndarray) -> float:
        """Variance between images of the mean change, as if all queries had been ranked.

        For a whole set this is the clustered variance of statistics.py. From a sample the sum of squared
        image totals is estimated: the squares of the weighted totals, less what sampling itself adds to them,
        which is w (w - 1) times the square of each query's residual (as under Poisson sampling).
        """
        weight, centered = self.weight, change - self.mean(change)
        totals = np.bincount(self.image, weights=weight * centered)
        m = len(np.unique(self.image))
        if m < 2:
            return math.inf
        squares = np.sum(totals**2) - np.sum(weight * (weight - 1) * centered**2)
        return max(0.0, float(m / (m - 1) * squares / sum(self.sizes) ** 2))

    def sampling_variance(self, change: np.ndarray) -> float:
        """Variance of a stratified estimate (Cochran 1977, eq. 5.9) with its finite-population correction."""
        total = 0.0
        for stratum, n, size in zip((self.failed, ~self.failed), self.ranked, self.sizes, strict=True):
            if n < size:
                own = change[stratum]
                total += of_sample(spread(own.sum(), np.sum(own**2), n), n, size, sum(self.sizes))
        return float(total)

    def reach(self, change: np.ndarray, further: float = 0.0) -> float:
        """Half of the 95 % interval for other images of this kind. `further`: a variance that is added."""
        half = Z * math.sqrt(self.image_variance(change) + self.sampling_variance(change) + further)
        # No spread can be seen where nothing changed: Wilson's bound at 0, with images standing for n.
        none = 0.0 if change.any() else Z**2 / (len(np.unique(self.image)) + Z**2)
        return max(half, none)


def spread(total: float, squares: float, n: int) -> float:
    """Variance of one query's change, from the sum and the sum of squares of n.

    Half a gain and half a loss more are imagined in each sample (Agresti and Min 2005), so that a sample
    without any change doesn't pass for certainty.
    """
    return (squares + 1) / (n + 1) - (total / (n + 1)) ** 2


def of_sample(spread: float, n: int, size: int, of: int) -> float:
    """What n ranked of the `size` queries of a stratum add to a net effect's variance; `of`: all queries."""
    return (size / of) ** 2 * (1 - n / size) * spread / n if n < size else 0.0


class Effect(NamedTuple):
    """A net effect on recall@K, as a share between -1 and 1. Counts are of the queries that were ranked."""

    value: float
    low: float
    high: float
    sampling_low: float
    sampling_high: float
    gained: int
    lost: int
    p: float  # sign-flip permutation of per-image sums, two-sided


def effect(ranks: Ranks, sizes: tuple[int, int], cutoff: int, seed: int, flips: int = FLIPS) -> Effect:
    """Net effect on recall@cutoff of a set with `sizes` = (failures, successes) of R@1 in all.

    Raises ValueError where the ranked queries can't stand for a set of these sizes.
    """
    design, change = Design(ranks.before > 1, ranks.image, sizes), ranks.change(cutoff)
    if any(bool(n) != bool(size) or n > size for n, size in zip(design.ranked, sizes, strict=True)):
        raise ValueError(f"{design.ranked} failures and successes can't stand for {sizes}")
    value, exact = design.mean(change), design.exact
    sums = np.bincount(ranks.image, weights=change if exact else design.weight * change)
    return Effect(
        value,
        *within(value, design.reach(change)),
        *within(value, Z * math.sqrt(design.sampling_variance(change))),
        gained=int((change > 0).sum()),
        lost=int((change < 0).sum()),
        p=sign_flip_p(sums, seed, flips),
    )


def within(value: float, half: float, least: float = -1.0, most: float = 1.0) -> tuple[float, float]:
    """value -+ half, and nothing outside of what can be."""
    return max(least, value - half), min(most, value + half)


def sign_flip_p(sums: np.ndarray, seed: int, flips: int = FLIPS) -> float:
    """Two-sided p of a sum of per-image sums under random flips of their signs (Fisher's randomization test).

    If method and baseline are exchangeable, each image's sum is as likely to have the other sign. For whole
    numbers the whole distribution is computed, a convolution of binomials; else random flips are drawn.
    """
    sizes = np.abs(sums[sums != 0])
    observed = abs(sums.sum())
    if np.array_equal(sizes, np.round(sizes)):
        density, offset = np.ones(1), 0
        for size, n in zip(*np.unique(sizes.astype(int), return_counts=True), strict=True):
            step = np.zeros(2 * size * n + 1)
            step[:: 2 * size] = stats.binom.pmf(np.arange(n + 1), n, 0.5)
            density, offset = np.convolve(density, step), offset + size * n
        values = np.arange(len(density)) - offset
        return min(1.0, float(density[np.abs(values) >= observed].sum()))
    signs = np.random.default_rng(seed).integers(0, 2, size=(flips, len(sizes)), dtype=np.int8)
    drawn = np.abs((2.0 * signs - 1.0) @ sizes)
    # The observed flip is one of those that could have been drawn.
    return float((1 + np.sum(drawn >= observed * (1 - 1e-9))) / (flips + 1))


def holm(p_values: list[float]) -> list[float]:
    """p-values adjusted over the tests of one family, in the same order (Holm 1979, p. 67).

    The smallest of m is multiplied by m, the next by m - 1 ...; none ends below a smaller one, or above 1.
    """
    order = np.argsort(p_values)
    adjusted = np.array(p_values)[order] * np.arange(len(order), 0, -1)
    result = np.empty(len(order))
    result[order] = np.minimum(np.maximum.accumulate(adjusted), 1)
    return result.tolist()


def paired(ranks: Ranks, cutoff: int) -> tuple[float, float, float]:
    """Change of recall@cutoff on the queries at hand, with a paired 95 % interval clustered by image.

    For description alone: on failures R@1 is 0 by construction, so nothing can be lost and a test is void.
    Where all queries are failures of R@1 nothing can be lost of it, and where all are successes nothing can
    be gained: the interval is then that of a share. Else both can happen, whether it did here or not.
    """
    change, image = ranks.change(cutoff), ranks.image
    value = float(change.mean())
    least, most = possible(ranks.before, cutoff)
    if least == 0:
        return value, *clustered_share(change > 0, image)
    if most == 0:
        low, high = clustered_share(change < 0, image)
        return value, -high, -low
    around = agresti_min(change, image)
    low, high = within(around.center, around.reach())
    return value, min(low, value), max(high, value)


def possible(before: np.ndarray, cutoff: int) -> tuple[int, int]:
    """The least and the most that recall@cutoff of such queries can change: -1, 0 or 1, by what they are."""
    return -int(cutoff > 1 or (before == 1).any()), int((before > 1).any())


class Around(NamedTuple):
    """Where an interval of a mean is, and how wide it is."""

    center: float
    variance: float
    quantile: float  # standard errors on each side

    def reach(self, further: float = 0.0) -> float:
        """Half of the interval. `further`: a variance that is added."""
        return self.quantile * math.sqrt(self.variance + further)


def agresti_min(change: np.ndarray, image: np.ndarray) -> Around:
    """The paired interval of Agresti and Min (2005), with the design effect by image.

    change (n,) between -1 and 1. Half a gain and half a loss are added to n queries, and two to their number.
    Captions of one image depend on each other: n is divided by the design effect, as in `clustered_share`,
    and as that is estimated from few images, Student's quantile with as many degrees of freedom counts.
    """
    n, mean, square = len(change), float(np.mean(change)), float(np.mean(np.square(change)))
    clustered, images = clustered_variance(change, image), len(np.unique(image))
    alone = (square - mean**2) / n
    effective = n * alone / clustered if 0 < clustered < math.inf else images
    effective = min(effective, n)
    center = mean * effective / (effective + 2)
    variance = ((square * effective + 1) / (effective + 2) - center**2) / (effective + 2)
    return Around(center, variance, float(stats.t.ppf(0.975, images - 1)) if 1 < images < n else Z)
