"""Does a study show what step 2 planned, and do step 6's tests find what it says they could?

Run:    python -m benchmarks.plan [rounds]
Prints: 1. the interval of a share: planned width, and the mean width of step 4's own in simulated draws
        2. the same of Krippendorff's alpha, from simulated ratings
        3. how often the largest clear category comes out as the largest: planned, and in simulated draws
        4. how often the test of step 6 finds an effect that it says it finds with 80 % power: of a method on
           all queries of n images, and on n failures and n successes of 1,000 images
Takes:  two minutes
"""

import sys
from typing import NamedTuple

import numpy as np

from common.fixes import net_effect
from common.fixes.net_effect import Design, Ranks
from common.fixes.power import Spread
from common.labels import agreement, plan, shares

SIZES = (50, 200, 1000)
POPULATIONS = (1811, 17390)  # failures of the bundled sample, and about those of COCO
RATERS = (2, 3, 5)
FAILS, CAPTIONS = 0.67, 5  # share of captions, and captions of an image
TOGETHER = 0.3  # share of captions that fare as their image does, and not by themselves
CHANGED = 0.4  # share of queries that a method changes: enough for an effect that 50 images can show
ALPHA = 0.05


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


class Method(NamedTuple):
    """What a method does to captions."""

    images: int
    effect: float  # net effect on R@1
    sampled: int = 0  # failures, and successes, that are ranked; 0: all

    def run(self, rng: np.random.Generator) -> tuple[Ranks, tuple[int, int]]:
        """Ranks of one set of captions, and how many failures and successes it has in all."""
        image = np.repeat(np.arange(self.images), CAPTIONS)
        failed = rng.random(len(image)) < FAILS
        alike = rng.random(len(image)) < TOGETHER
        luck = np.where(alike, rng.random(self.images)[image], rng.random(len(image)))
        gained, lost = (CHANGED + self.effect) / 2 / FAILS, (CHANGED - self.effect) / 2 / (1 - FAILS)
        before = np.where(failed, 3, 1)
        after = np.where(luck < np.where(failed, gained, lost), 4 - before, before)
        rows, strata = np.arange(len(image)), (np.flatnonzero(failed), np.flatnonzero(~failed))
        if self.sampled:
            rows = np.concatenate([rng.permutation(each)[: self.sampled] for each in strata])
        return Ranks(before[rows], after[rows], image[rows]), tuple(map(len, strata))


def of_power(n: int, is_sampled: bool, together: int, rounds: int) -> Held:
    """0.8, and how often Bonferroni's test, Holm's for the smallest p, finds what is to be found so often."""
    rng = np.random.default_rng([n, is_sampled, together])
    images, sampled = (1000, n) if is_sampled else (n, 0)
    told = []
    for _ in range(20):
        ranks, sizes = Method(images, 0.0, sampled).run(rng)
        design, change = Design(ranks.before > 1, ranks.image, sizes), ranks.change(1)
        changed = np.mean(change[design.failed] > 0), np.mean(change[~design.failed] < 0)
        spread = Spread(design.image_variance(change), changed, design.ranked, sizes)
        told.append(spread.seen(together))
    method, found = Method(images, float(np.mean(told)), sampled), 0
    for seed in range(rounds):
        ranks, sizes = method.run(rng)
        effect = net_effect.effect(ranks, sizes, 1, seed, flips=1999)
        found += effect.p < ALPHA / together and effect.value > 0
    return Held(0.8, found / rounds)


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
    for is_sampled in (False, True):
        for n in SIZES:
            for together in (1, 10):
                words = f"{n:,} of each sampled" if is_sampled else f"all of {n:,} images"
                held = of_power(n, is_sampled, together, rounds // 5)
                show(f"power, {words}, {together} tests", held)


if __name__ == "__main__":
    main()
