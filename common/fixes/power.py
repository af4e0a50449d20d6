"""Which effects could be found here at all: the smallest with 80 % power, and what has to be ranked for one.

A method's effect varies with the images and, where samples stand for all queries, with what was sampled. Both
are taken as they were measured: what is told is for a method that changes as many queries as this one did.
`benchmarks/plan.py` holds it to simulated runs of the test.
"""

import bisect
import math
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from common import say
from common.fixes import net_effect, recipes
from common.results import ALL, FAILURES, SUCCESSES, MethodResult, Power
from common.statistics import Z, z_of

POWER = 0.8416212335729143  # 80 % quantile of the normal distribution
ROUNDS = 10  # after which an effect no longer moves
WANTED = 0.01  # net effect for which a CONTROL_SIZE is told


class Spread(NamedTuple):
    """What a net effect on R@1 varies by: of failures and of successes in this order, as shares."""

    images: float  # variance of the net effect between images, as if all queries had been ranked
    changed: tuple[float, float]  # gained, of the failures that were ranked; lost, of the successes
    ranked: tuple[int, int]
    sizes: tuple[int, int]  # of the whole set

    @classmethod
    def of(cls, result: MethodResult) -> "Spread":
        """As a method's result on the whole set shows it."""
        whole, failures = result.on(ALL), result.queries.failures
        effect, sizes = whole.net_effect["R@1"], (failures, result.queries.all - failures)
        ranked = sizes
        if not whole.marks.exact:
            samples = (result.on(name) for name in (FAILURES, SUCCESSES))
            ranked = tuple(sample.marks.ranked if sample else 0 for sample in samples)
        total, sampling = (
            ((high - low) / 200 / Z) ** 2
            for low, high in ((effect.low, effect.high), (effect.sampling_low, effect.sampling_high))
        )
        # At R@1 failures can only be gained and successes only be lost.
        changed = (effect.gained / max(ranked[0], 1), effect.lost / max(ranked[1], 1))
        return cls(max(0.0, total - sampling), changed, ranked, sizes)

    def seen(self, together: int) -> float:
        """The smallest net effect to be found, a share, with as many queries changed as there were.

        Failures count for more than successes in a sample of as many of both, so a method that gains more
        varies more: the effect is found in rounds, from that of one that gains as many as it loses.
        """
        effect = 0.0
        for _ in range(ROUNDS):
            changed = self._with(effect)
            # The test flips the signs of whole changes, so what all failures, or all successes, have in
            # common counts as chance there, though no sample varies by it.
            queries = (
                net_effect.spread(share * n, share * n, n)
                for share, n in zip(changed, self.ranked, strict=True)
            )
            effect = seen(self._variance(queries), together, self._variance(changed))
        return effect

    def _with(self, effect: float) -> tuple[float, float]:
        """`changed` of a method that has another net effect, and changes as many queries in all."""
        weights = [size / sum(self.sizes) for size in self.sizes]
        both = sum(weight * share for weight, share in zip(weights, self.changed, strict=True))
        moved = (both + effect) / 2, max(0.0, (both - effect) / 2)
        return tuple(min(1.0, each / (weight or 1)) for each, weight in zip(moved, weights, strict=True))

    def _variance(self, of_queries: Iterable[float]) -> float:
        strata = zip(of_queries, self.ranked, self.sizes, strict=True)
        return self.images + sum(net_effect.of_sample(*each, sum(self.sizes)) for each in strata)


def seen(variance: float, together: int = 1, at_none: float | None = None) -> float:
    """The smallest effect that a two-sided test at 5 % finds with 80 % power (Connor 1987, Biometrics 43).

    variance: of the estimate; at_none: the one that the test takes it to have, if that is another. together:
    tests that Holm adjusts over; the smallest p of all, which has the most to pass, is the one that counts.
    """
    at_none = variance if at_none is None else at_none
    return z_of(together) * math.sqrt(at_none) + POWER * math.sqrt(variance)


def control_size(spread: Spread, together: int) -> int | None:
    """The smallest CONTROL_SIZE with which WANTED is found; None where ranking all queries would not do."""

    def finds(n: int) -> bool:
        ranked = tuple(min(n, size) for size in spread.sizes)
        return spread._replace(ranked=ranked).seen(together) <= WANTED

    most = max(spread.sizes)
    return 1 + bisect.bisect_left(range(1, most), True, key=finds) if finds(most) else None


def of_kinds(found: dict[Path, MethodResult], tests: list[Path], together: int) -> list[Power]:
    """What methods of each kind could show, of `tests` alone: the family that Holm's p is adjusted over.

    together: tests of that family, compared models among them. A method that changed nothing has no spread.
    """
    kinds = {}
    for path in tests:
        effect = found[path].on(ALL).net_effect["R@1"]
        if effect.gained + effect.lost:
            parts = recipes.parse(found[path].method).parts
            kinds.setdefault("+".join(part.kind for part in parts), []).append(found[path])
    return [_of_kind(kind, results, together) for kind, results in kinds.items()]


def _of_kind(kind: str, results: list[MethodResult], together: int) -> Power:
    exact, spreads = all(result.on(ALL).marks.exact for result in results), list(map(Spread.of, results))
    smallest = [say.rounded(100 * spread.seen(together), 4) for spread in spreads]
    sizes = [] if exact else [control_size(spread, together) for spread in spreads]
    return Power(
        kind=kind,
        methods=len(results),
        exact=exact,
        least=min(smallest),
        most=max(smallest),
        control_size=None if exact or None in sizes else max(sizes),
    )
