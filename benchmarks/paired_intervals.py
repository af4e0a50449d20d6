"""What the intervals of differences on a few queries cover, and what can be seen there.

Run:    python -m benchmarks.paired_intervals [rounds]
Prints: 1. How often the 95 % interval of a change of R@5 covers the true one, where some queries are gained
           and some lost; also that of the rule before: an interval of a share where only gains or only losses
           were seen. Alone, and with two captions an image that fare together
        2. The same for a method less its placebo's mean over draws, at R@1 among failures
        3. The smallest share of failures that a method must recover to be seen beyond its placebo
Takes:  a minute
"""

import sys

import numpy as np

from common.fixes import chance, net_effect
from common.fixes.chance import Draws
from common.fixes.net_effect import Ranks
from common.results import DRAWS
from common.statistics import clustered_mean, clustered_share

SIZES = (11, 20, 50, 150)
SHARES = ((0.03, 0.03), (0.08, 0.06), (0.03, 0.0), (0.2, 0.02))  # of queries that are gained, and lost
BY_CHANCE = 0.10  # of failures that a placebo recovers in the mean
SPREAD = 0.03  # of that share between draws, on top of what each query's own chance gives


def drawn(n: int, gained: float, lost: float, random: np.random.Generator, together: bool) -> Ranks:
    """n queries, each gained or lost at R@5 by chance; `together`: the two captions of an image alike."""
    image = np.arange(n) // (2 if together else 1)
    luck = random.random(image.max() + 1)[image]
    before = np.where(luck < gained, 9, np.where(luck < gained + lost, 3, 7))
    after = np.where(luck < gained, 3, np.where(luck < gained + lost, 9, 7))
    return Ranks(before, after, image)


def formerly(ranks: Ranks) -> tuple[float, float]:
    """The interval of the rule before."""
    change = ranks.change(5)
    if not (change < 0).any():
        return clustered_share(change > 0, ranks.image)
    if not (change > 0).any():
        low, high = clustered_share(change < 0, ranks.image)
        return -high, -low
    return clustered_mean(change, ranks.image)


def of_changes(rounds: int) -> None:
    """Table 1."""
    print(f"1. Change of R@5, {rounds:,} rounds: coverage, formerly and now, in %")
    print(f"{'n':>4} {'gained':>7} {'lost':>6} {'alone':>15} {'two an image':>17}")
    for gained, lost in SHARES:
        for n in SIZES:
            line = f"{n:>4} {gained:>7.0%} {lost:>6.0%}"
            for together in (False, True):
                random, covered = np.random.default_rng([n, together]), np.zeros(2)
                for _ in range(rounds):
                    ranks = drawn(n, gained, lost, random, together)
                    ends = formerly(ranks), net_effect.paired(ranks, 5)[1:]
                    covered += [low <= gained - lost <= high for low, high in ends]
                before, now = 100 * covered / rounds
                line += f"    {before:>5.1f} {now:>6.1f}"
            print(line, flush=True)


def beyond(n: int, recovered: float, random: np.random.Generator) -> chance.Difference:
    """A method that recovers a share of n failures, and its placebo, at R@1."""
    before, image = np.full(n, 3), np.arange(n)
    method = np.where(random.random(n) < recovered, 1, 3)
    # A query has its own chance, since placebos recover what was nearly right; a draw differs as a whole.
    own = random.beta(1, 1 / BY_CHANCE - 1, n)
    shift = np.clip(1 + random.normal(0, SPREAD / BY_CHANCE, DRAWS), 0, None)
    placebos = [np.where(random.random(n) < np.clip(own * each, 0, 1), 1, 3) for each in shift]
    _, found = chance.on_set(Draws.of(Ranks(before, method, image), placebos, 1), before, 1)
    return found


def of_placebos(rounds: int) -> None:
    """Tables 2 and 3."""
    print(
        f"\n2. A method that recovers more than its placebo's {BY_CHANCE:.0%} of failures: coverage, and how"
    )
    print("   often its whole interval is above zero, in %")
    print(f"{'n':>4}  " + "".join(f"{f'recovers {share:.0%}':>18}" for share in (0.1, 0.2, 0.3, 0.4, 0.5)))
    for n in (*SIZES, 200):
        line, seen = f"{n:>4}  ", []
        for share in (0.1, 0.2, 0.3, 0.4, 0.5):
            random = np.random.default_rng([n, int(100 * share)])
            found = [beyond(n, share, random) for _ in range(rounds)]
            covered = np.mean([each.low <= share - BY_CHANCE <= each.high for each in found])
            above = np.mean([each.low > 0 for each in found])
            seen += [each.seen for each in found if share == 0.2]
            line += f"{100 * covered:>10.1f} {100 * above:>7.1f}"
        print(line + f"   seen at 80 % power: {100 * np.median(seen):.0f} points", flush=True)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    of_changes(rounds)
    of_placebos(rounds // 4)


if __name__ == "__main__":
    main()
