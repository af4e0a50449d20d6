"""What the intervals of the category distribution cover when annotators err, and what they can't.

Run:   python -m benchmarks.label_intervals
Takes: about ten seconds.

A study is redrawn 1,000 times: 200 failures with true categories, 50 of them labeled by all three annotators
and 50 by each alone, every label wrong with probability 15 % (another category, all alike likely). Labels go
through step 4's own majority, an adjudicator who errs alike decides what waits, and step 4's own intervals
are asked two things: do they cover the distribution as such annotators label it (the truth sent through the
error matrix), which they should in 95 % of redraws; and do they cover the truth, which no interval can fix.
"""

import itertools
import random

from common.labels import gaps, shares
from common.labels.decisions import decide
from common.labels.ratings import Choice
from common.labels.shares import Share
from common.labels.taxonomy import CATEGORY_NAMES

# Shares of the kind that COCO's failures have: near half of them ambiguous.
TRUTH = dict(zip(CATEGORY_NAMES, (0.45, 0.12, 0.08, 0.09, 0.06, 0.08, 0.12), strict=True))
SHARED, EACH, RATERS = 50, 50, ("A", "B", "C")
REDRAWS = 1000
ERROR_RATES = (0.0, 0.15)


def heard(truth: str, error_rate: float) -> dict[str, float]:
    """How often each label is given to an item of one true category: a row of the error matrix."""
    other = error_rate / (len(CATEGORY_NAMES) - 1)
    return {name: 1 - error_rate if name == truth else other for name in CATEGORY_NAMES}


def decided(row: dict[str, float]) -> dict[str, float]:
    """The same for an item that all three label: the majority's category, else one further person's."""
    expected = dict.fromkeys(CATEGORY_NAMES, 0.0)
    for given in itertools.product(row, repeat=len(RATERS)):
        chance = row[given[0]] * row[given[1]] * row[given[2]]
        most = max(given, key=given.count)
        if 2 * given.count(most) > len(RATERS):
            expected[most] += chance
        else:
            for name in row:
                expected[name] += chance * row[name]
    return expected


def as_labeled(error_rate: float) -> dict[str, float]:
    """The distribution that such annotators' labels have, were there endless failures."""
    expected = dict.fromkeys(CATEGORY_NAMES, 0.0)
    alone = EACH * len(RATERS) / (SHARED + EACH * len(RATERS))
    for truth, share in TRUTH.items():
        row = heard(truth, error_rate)
        together = decided(row)
        for name in CATEGORY_NAMES:
            expected[name] += share * (alone * row[name] + (1 - alone) * together[name])
    return expected


def redraw(error_rate: float, draw: random.Random) -> list[Share]:
    """One study's share of each category, as step 4 computes it."""

    def label(truth: str) -> Choice:
        wrong = [name for name in CATEGORY_NAMES if name != truth]
        return Choice(draw.choice(wrong) if draw.random() < error_rate else truth, "")

    n = SHARED + EACH * len(RATERS)
    truths = draw.choices(list(TRUTH), list(TRUTH.values()), k=n)
    labels = {idx: {rater: label(truths[idx]) for rater in RATERS} for idx in range(SHARED)}
    for idx in range(SHARED, n):
        labels[idx] = {RATERS[idx % len(RATERS)]: label(truths[idx])}
    _, waiting = decide(labels, {})
    items, _ = decide(labels, {idx: label(truths[idx]) for idx in waiting})
    basis = shares.Basis(items, gaps.NONE, population=None)  # drawn from endless failures
    return [row.share for row in shares.of_categories(basis) if row.over == shares.ALL]


def covered(studies: list[list[Share]], place: int, share: float) -> float:
    """How many studies' intervals of one category hold a share."""
    return sum(study[place].low <= share <= study[place].high for study in studies) / len(studies)


def all_covered(studies: list[list[Share]], expected: dict[str, float], alone: bool = False) -> float:
    """How many studies' intervals for all seven at once hold every share; or those of each one alone."""
    held = 0
    for study in studies:
        ends = [(one.low, one.high) if alone else (one.low_all, one.high_all) for one in study]
        held += all(low <= share <= high for (low, high), share in zip(ends, expected.values(), strict=True))
    return held / len(studies)


def main() -> None:
    print(f"{REDRAWS:,} redraws of {SHARED + EACH * len(RATERS)} failures, 95 % intervals; shares in %")
    for error_rate in ERROR_RATES:
        draw = random.Random(11)
        expected = as_labeled(error_rate)
        studies = [redraw(error_rate, draw) for _ in range(REDRAWS)]
        print(f"\nannotators err in {error_rate:.0%} of labels")
        print(f"{'category':<10} {'truth':>6} {'as labeled':>12} {'bias':>6} {'mean':>6}", end="")
        print(f" {'covers as labeled':>19} {'covers truth':>13}")
        rows = []
        for place, name in enumerate(CATEGORY_NAMES):
            mean = sum(study[place].share for study in studies) / REDRAWS
            rows.append((covered(studies, place, expected[name]), covered(studies, place, TRUTH[name])))
            bias = expected[name] - TRUTH[name]
            print(
                f"{name:<10} {TRUTH[name]:>6.1%} {expected[name]:>12.1%} {bias:>+6.1%} {mean:>6.1%}", end=""
            )
            print(f" {rows[-1][0]:>19.1%} {rows[-1][1]:>13.1%}")
        both = [sum(values) / len(values) for values in zip(*rows, strict=True)]
        print(f"{'mean':<10} {'':>6} {'':>12} {'':>6} {'':>6} {both[0]:>19.1%} {both[1]:>13.1%}")
        alone, together = all_covered(studies, expected, alone=True), all_covered(studies, expected)
        print(f"all seven at once, as labeled: {alone:.1%} in low, high; {together:.1%} in low_all, high_all")


if __name__ == "__main__":
    main()
