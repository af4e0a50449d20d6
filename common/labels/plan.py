"""What a study of this size will show, before anybody labels: intervals, agreement, an order, hours of work.

Every number is what step 4's own formulas give in the mean; `benchmarks/plan.py` holds them to a simulation.
"""

import bisect
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common import say, statistics
from common.labels import merged, shares, sheet_reader, spellings
from common.labels.agreement import FEW, RELIABLE
from common.labels.handed_in import RATERS, TIMES
from common.labels.manifest import Design
from common.labels.taxonomy import AMBIGUOUS, CLEAR_NAMES

SHARES = (0.50, 0.25, 0.10, 0.05)  # whose intervals are shown
HALF_WIDTHS = (0.05, 0.03)  # for which the labels that they take are shown, at the share that takes most
WIDEST = 0.50
ALPHA = RELIABLE  # assumed: from here on annotators can be relied on
GUIDES_SECONDS = 36.0  # an item: "a hundred captions take about an hour"


class Pace(NamedTuple):
    """How long people take."""

    seconds: float = GUIDES_SECONDS  # an item, in the mean
    timed: int = 0  # items that annotation pages timed; 0: it is the guide's rate


class Plan(NamedTuple):
    """What to expect of a draw."""

    labels: int  # failures that get a label
    population: int  # failures in all
    intervals: dict[float, tuple[float, float]]  # share -> its 95 % interval
    needed: dict[float, int]  # half width at a share of WIDEST -> labels that it takes
    alpha: tuple[float, float] | None  # 95 % interval of an alpha of ALPHA; None without shared items
    raters: int
    shared: int  # items that all raters label
    largest: float  # chance that the largest clear category comes out as the largest
    each: int  # items that one annotator labels, repeated ones among them
    pace: Pace

    @property
    def minutes(self) -> float:
        """Of work for each annotator."""
        return self.each * self.pace.seconds / 60


def read_pace(folder: Path) -> Pace:
    """As step 4 counted what pages timed; the guide's rate where it did not, or pages timed nothing."""
    if not (folder / RATERS).is_file():
        return Pace()
    spelled = {spellings.squeezed(name): name for name in ("rater", *TIMES)}
    rows = sheet_reader.read(folder / RATERS, {}, spelled, ("rater",), f", or {merged.AGAIN}").rows
    timed, seconds = (
        sum(sheet_reader.whole_number(row.cells.get(name, "")) or 0 for row in rows) for name in TIMES
    )
    return Pace(seconds / timed, timed) if timed else Pace()


def of(design: Design, population: int, pace: Pace) -> Plan:
    """The plan of a draw of failures, of which there are `population`."""
    n, raters, shared = design.SAMPLE_SIZE, len(design.ANNOTATORS), design.OVERLAP_SIZE
    clear = np.array(assumed()[1:])
    return Plan(
        labels=n,
        population=population,
        intervals={share: shares.interval(share * n, n, population) for share in SHARES},
        needed={half: needed(half, population) for half in HALF_WIDTHS},
        alpha=of_alpha(shared, raters, assumed()) if shared and raters > 1 else None,
        raters=raters,
        shared=shared,
        largest=chance_of_largest(clear, n, population),
        each=shared + design.PER_ANNOTATOR + design.REPEAT,
        pace=pace,
    )


def assumed() -> list[float]:
    """Shares that nobody knows yet: half Ambiguous, and k clear categories as k : k-1 : ... : 1.

    Of COCO's kind, and without a word on which category is the frequent one.
    """
    ranks = range(len(CLEAR_NAMES), 0, -1)
    return [0.5, *(0.5 * rank / sum(ranks) for rank in ranks)]


def needed(half: float, population: int) -> int:
    """Labels with which the interval of a share of WIDEST is no wider than +-half.

    The width falls with every further label.
    """

    def is_enough(n: int) -> bool:
        low, high = shares.interval(WIDEST * n, n, population)
        return high - low <= 2 * half

    return 1 + bisect.bisect_left(range(1, population), True, key=is_enough)


def of_alpha(n: int, raters: int, expected: list[float]) -> tuple[float, float]:
    """95 % interval to expect of Krippendorff's alpha over n items, if it is ALPHA.

    Raters know an item's label or draw one by chance, as the shares `expected` say: who knows it in a part r
    of the items agrees by r^2 beyond chance, so alpha is r^2. Wilson's interval of the share of agreeing
    pairs, at the sample size that its spread over items is worth, is carried to alpha by 1 - (1 - p) / D_e,
    as `agreement` does where nearly all items agree.
    """
    prevalence, know = np.array(expected), math.sqrt(ALPHA)
    # (q, q): of an item that truly is in row i, how often a rater says j.
    says = know * np.eye(len(prevalence)) + (1 - know) * prevalence
    two, three = ((says**power).sum(1) for power in (2, 3))  # that so many raters say the same
    agreed = prevalence @ two
    # Two pairs of raters are one and the same, share a rater, or have none in common.
    pairs = math.comb(raters, 2)
    sharing, apart = 2 * (raters - 2) / pairs, math.comb(raters - 2, 2) / pairs
    both = agreed / pairs + sharing * (prevalence @ three) + apart * (prevalence @ two**2)
    worth = n * agreed * (1 - agreed) / (both - agreed**2)
    if n * min(agreed, 1 - agreed) < FEW:  # where step 4 trusts no sample to be worth more than its size
        worth = min(worth, n)
    by_chance = prevalence @ prevalence
    low, high = ((end - by_chance) / (1 - by_chance) for end in statistics.wilson(agreed * worth, worth))
    return float(low), float(high)


def chance_of_largest(clear: np.ndarray, n: int, population: int) -> float:
    """Chance that the first of `clear` shares, the largest, has more of n labels than any other.

    Counts are taken for independent Poisson ones, which differences of a multinomial's nearly are; of a
    finite population n is what a draw without replacement is worth (as in `statistics.wilson_of_finite`).
    """
    if n >= population:
        return 1.0
    means = clear * n * (population - 1) / (population - n)
    most = int(means[0] + 12 * math.sqrt(means[0]) + 30)
    counts = np.arange(most + 1)
    logs = np.cumsum(np.log(np.maximum(counts, 1)))  # of factorials
    density = np.exp(counts * np.log(means)[:, None] - means[:, None] - logs)  # (k, most + 1)
    below = np.cumsum(density, axis=1) - density
    return float(min(1.0, density[0] @ below[1:].prod(0)))


def told(plan: Plan) -> list[tuple[str, str]]:
    """What is told of a plan, and its value, as words."""
    ends = (say.share(share, *ends) for share, ends in plan.intervals.items())
    takes = (f"+-{100 * half:.0f} points {say.number(n)}" for half, n in plan.needed.items())
    agreed = "none to measure, which takes OVERLAP_SIZE above 0 and two ANNOTATORS"
    if plan.alpha:
        agreed = f"an alpha of {say.coefficient(ALPHA, *plan.alpha)} by {plan.raters} people on "
        agreed += say.items(plan.shared, "item")
    k = len(CLEAR_NAMES)
    kind = f"half are {AMBIGUOUS} and {k} clear ones are as {' : '.join(map(str, range(k, 0, -1)))}"
    whence = f"as pages timed {say.items(plan.pace.timed, 'item')}" if plan.pace.timed else "the guide's rate"
    minutes = say.number(round(plan.minutes))
    return [
        ("shares", ", ".join(ends)),
        (f"labels that a share of {100 * WIDEST:.0f}% takes", ", ".join(takes)),
        ("agreement", agreed),
        ("the largest clear category as the largest", f"in {say.share(plan.largest)} of draws, if {kind}"),
        ("work of each annotator", f"{say.items(plan.each, 'item')}, about {minutes} minutes ({whence})"),
    ]


def sentences(plan: Plan) -> list[str]:
    """The plan as lines to read."""
    labels, failures = say.items(plan.labels, "label"), say.items(plan.population, "failure")
    return [
        f"Plan: {labels} of {failures} show (95%)",
        *(f"  {what}: {value}" for what, value in told(plan)),
    ]
