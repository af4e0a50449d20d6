"""Intervals for shares, means and odds ratios: of independent items, a finite population, queries."""

import math
from statistics import NormalDist

import numpy as np

Z = 1.959963984540054  # 97.5 % quantile of the normal distribution
ANECDOTAL = 30  # queries or items below which a number is an anecdote


def z_of(together: int) -> float:
    """The quantile with which so many 95 % intervals hold all at once in 95 % of studies (Bonferroni).

    For shares of one set of items it is Goodman's choice too (1965, Technometrics 7, p. 247).
    """
    return NormalDist().inv_cdf(1 - 0.025 / together)


def wilson(successes: float, n: float, z: float = Z) -> tuple[float, float]:
    """95 % score interval of a share (Wilson 1927, JASA 22, p. 209), as shares between 0 and 1.

    n may be an effective sample size, and so needn't be whole; z as `z_of` gives it. Raises ValueError where
    n is not positive.
    """
    if n <= 0:
        raise ValueError("a share of nothing has no interval")
    share = successes / n
    center = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # At a share of 0 or 1 the bound is exact; rounding would leave it a hair outside.
    return (0.0 if share == 0 else center - half, 1.0 if share == 1 else center + half)


def wilson_of_finite(successes: float, n: float, population: int, z: float = Z) -> tuple[float, float]:
    """95 % interval of a share among `population` items, n of which were drawn without replacement.

    Wilson's interval at the sample size that gives the variance of such a draw, P (1 - P) / n times
    (N - n) / (N - 1) (Cochran 1977, eq. 3.8): n (N - 1) / (N - n). Once all are drawn the share is known.
    n may be an effective sample size, as for `wilson`.
    """
    share = successes / n
    if n >= population:
        return share, share
    worth = n * (population - 1) / (population - n)
    return wilson(share * worth, worth, z)


def clustered_share(hits: np.ndarray, cluster: np.ndarray) -> tuple[float, float]:
    """95 % interval of a share whose observations come in clusters: the captions of one image.

    hits (n,) bool and cluster (n,) int. Wilson's interval at the effective sample size n / deff (Kish 1965,
    sect. 8.2; Korn and Graubard 1998), deff being the variance of the ratio estimator over clusters
    (Cochran 1977, eq. 11.12) against that of n independent observations. Where all or none hit, no
    spread can be seen: the number of clusters then stands for n, the most cautious choice.
    """
    hits = np.asarray(hits, dtype=float)
    share, n = hits.mean(), len(hits)
    variance = clustered_variance(hits, cluster)
    clusters = len(np.unique(cluster))
    effective = share * (1 - share) / variance if 0 < variance < math.inf else clusters
    # Clusters that happen to be more even than chance don't make a sample larger than it is.
    effective = min(effective, n)
    return wilson(share * effective, effective)


def clustered_mean(
    values: np.ndarray, cluster: np.ndarray, limits: tuple[float, float] | None = None
) -> tuple[float, float]:
    """95 % interval of a mean over clustered observations: mean -+ 1.96 standard errors (Cochran 1977).

    limits: the least and the most that a value can be. The interval ends there and, where no spread can be
    seen (all values alike, or one cluster), is Wilson's for a share as far between the limits, of as many
    observations as there are clusters: no mean of such values varies more than a share does. Without limits
    it has no width where all values are alike, and no end with a single cluster.
    """
    mean, variance = float(np.mean(values)), clustered_variance(values, cluster)
    half = Z * math.sqrt(variance)
    if limits is None:
        return mean - half, mean + half
    least, most = limits
    # Rounding leaves 1e-33 or so of a variance of 0, which would give an interval of no width.
    if 1e-20 * (most - least) ** 2 < variance < math.inf:
        return max(least, mean - half), min(most, mean + half)
    clusters = len(np.unique(cluster))
    low, high = wilson((mean - least) / (most - least) * clusters, clusters)
    return least + low * (most - least), least + high * (most - least)


def clustered_variance(values: np.ndarray, cluster: np.ndarray) -> float:
    """Variance of the mean of observations that come in clusters of unequal size.

    values (n,) float and cluster (n,) int. The ratio estimator's linearization (Cochran 1977, eq. 11.12):
    m / (m - 1) * sum over the m clusters of (sum of the cluster's residuals)^2 / n^2.
    Infinite with a single cluster, which shows no spread.
    """
    values = np.asarray(values, dtype=float)
    _, cluster = np.unique(cluster, return_inverse=True)
    sums = np.bincount(cluster, weights=values - values.mean())
    m = len(sums)
    return float(m / (m - 1) * np.sum(sums**2) / len(values) ** 2) if m > 1 else math.inf


def odds_ratio(
    exposed: np.ndarray, failed: np.ndarray, cluster: np.ndarray | None = None
) -> tuple[float, float, float] | None:
    """Odds of failing where `exposed`, over the odds elsewhere, with its 95 % interval: (value, low, high).

    exposed and failed (n,) bool, cluster (n,) int; without clusters Woolf's interval (1955, Ann. Hum. Genet.
    19, p. 251). With them its variance is the sandwich of a logistic regression on `exposed` (Liang and Zeger
    1986, Biometrika 73, p. 13) times m / (m - 1) for m clusters, but never below Woolf's. None where one of
    the four counts is 0, or all is one cluster: the ratio, or what it varies by, is then not known.
    """
    exposed, failed = np.asarray(exposed, dtype=bool), np.asarray(failed, dtype=bool)
    n = np.array([[(failed[at] == fails).sum() for fails in (True, False)] for at in (exposed, ~exposed)])
    if (n == 0).any():
        return None
    log_ratio = math.log(n[0, 0] / n[0, 1]) - math.log(n[1, 0] / n[1, 1])
    variance = float((1 / n).sum())
    if cluster is not None:
        of_group, share = n.sum(axis=1), n[:, 0] / n.sum(axis=1)
        group = np.where(exposed, 0, 1)
        # How far each observation moves the logarithm of the ratio.
        moved = (failed - share[group]) / (of_group * share * (1 - share))[group]
        _, cluster = np.unique(cluster, return_inverse=True)
        sums = np.bincount(cluster, weights=np.where(exposed, moved, -moved))
        m = len(sums)
        if m == 1:
            return None
        # Clusters that happen to be more even than chance don't make a sample larger than it is.
        variance = max(variance, m / (m - 1) * float(np.sum(sums**2)))
    half = Z * math.sqrt(variance)
    return math.exp(log_ratio), math.exp(log_ratio - half), math.exp(log_ratio + half)
