"""Does a study show what step 2 planned, and do step 6's tests find what it says they could?

Run:    python -m benchmarks.plan [rounds]
Prints: 1. the interval of a share: planned width, and the mean width of step 4's own in simulated draws
        2. the same of Krippendorff's alpha, from simulated ratings
        3. how often the largest clear category comes out as the largest: planned, and in simulated draws
Takes:  a minute
"""

import sys
from typing import NamedTuple

import numpy as np

from common.labels import agreement, plan, shares

SIZES = (50, 200, 1000)
POPULATIONS = (1811, 17390)  # failures of the bundled sample, and about those of COCO
RATERS = (2, 3, 5)


class Held(NamedTuple):
    """A planned number and the simulated one."""

    planned: float
    simulated: float

    @property
    def off(self) -> float:
        """By what part the plan is off."""
        return self.planned / self.simulated - 1


def width_of_share(n: int, share: float, population: int, rounds: int) -> Held:
    """Mean width over draws without replacement."""
    rng = np.random.default_rng([n, population, int(100 * share)])
    good = round(share * population)
    counts = rng.hypergeometric(good, population - good, n, rounds)
    widths = {count: np.diff(shares.interval(count, n, population))[0] for count in set(counts.tolist())}
    low, high = shares.interval(share * n, n, population)
    return Held(high - low, float(np.mean([widths[count] for count in counts.tolist()])))


def width_of_alpha(n: int, raters: int, rounds: int) -> Held:
    """Mean width of step 4's interval, of raters who know a label or draw it by chance."""
    rng, expected = np.random.default_rng([n, raters]), plan.assumed()
    names, q = [str(rater) for rater in range(raters)], len(plan.assumed())
    widths = []
    for number in range(rounds):
        truth = rng.choice(q, n, p=expected)
        guesses = rng.choice(q, (n, raters), p=expected)
        ratings = np.where(rng.random((n, raters)) < np.sqrt(plan.ALPHA), truth[:, None], guesses)
        redraws = agreement.Redraws(400, [number])
        alpha = agreement.assess(ratings, names, [str(code) for code in range(q)], redraws)[1]
        widths.append(alpha.high - alpha.low)
    low, high = plan.of_alpha(n, raters, expected)
    return Held(high - low, float(np.mean(widths)))


def largest(n: int, population: int, rounds: int) -> Held:
    """How often the first clear category has more labels than any other."""
    rng, expected = np.random.default_rng([n, population]), np.array(plan.assumed())
    sizes = np.round(expected * population).astype(int)
    counts = rng.multivariate_hypergeometric(sizes, min(n, sizes.sum()), rounds, method="marginals")
    seen = counts[:, 1] > counts[:, 2:].max(1)
    return Held(plan.chance_of_largest(expected[1:], n, population), float(seen.mean()))


def show(words: str, held: Held) -> None:
    print(f"{words:<44} {held.planned:>8.4f} {held.simulated:>10.4f} {100 * held.off:>+7.1f}%", flush=True)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    print(f"{rounds:,} rounds{'':<32} {'planned':>8} {'simulated':>10} {'off by':>8}")
    for population in POPULATIONS:
        for n in SIZES:
            for share in plan.SHARES:
                words = f"width at {share:.0%}, n {n:,} of {population:,}"
                show(words, width_of_share(n, share, population, rounds))
            show(f"largest seen, n {n:,} of {population:,}", largest(n, population, rounds))
    for raters in RATERS:
        for n in SIZES:
            show(f"width of alpha, {raters} raters, n {n:,}", width_of_alpha(n, raters, rounds // 10))


if __name__ == "__main__":
    main()
