"""How methods and models differ from each other, as records: `fixes` writes them, `report` reads them.

They are a part of `net_effects.json` (common/results.py). Values are in points of R@1 or in percent, but for
coefficients and counts.
"""

from common.records import Record


class Difference(Record):
    """R@1 of one method less that of another one, in points, on the same queries."""

    first: str  # the method with the higher R@1
    second: str
    value: float
    low: float  # 95 % interval for other images of this kind, clustered by image, of this pair by itself
    high: float
    low_all: float  # the same for all pairs at once (Bonferroni)
    high_all: float
    gained: int  # queries that the first has right and the second has not
    lost: int


class Recovered(Record):
    """What became of some failures: in how many cases something happened, as a share with its interval."""

    categories: str  # the set: a category, all clear ones, or all failures
    n: int  # failures
    hits: int
    value: float  # percent
    low: float  # 95 % interval for other failures like these, clustered by image
    high: float


class Overlap(Record):
    """Which queries two models fail at R@1."""

    both_fail: int
    only_first_fails: int  # the cache's own model
    only_other_fails: int
    both_right: int
    consistency: float  # kappa of right and wrong (Geirhos et al. 2020): 0 by chance, 1 the same failures
    consistency_low: float  # 95 % interval for other images of this kind, clustered by image
    consistency_high: float
    recovered_back: float | None  # percent of the other's failures that the first has right
