"""What the intervals of agreement cover, and what plain bootstrap percentiles would.

Run:   python -m benchmarks.agreement_intervals [studies]
Takes: about six minutes for 500 studies a row.

Three raters label n failures in seven categories; each label is wrong with a rater's own probability (another
category, all alike likely). Step 4's own intervals, from 400 redraws, are asked whether they hold the value
that such raters reach on endless failures; so are the plain percentiles that step 4 once gave.
"""

import itertools
import sys
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from benchmarks._measuring import print_table
from common.labels import agreement, coefficients
from common.labels.taxonomy import CATEGORY_NAMES

TRUTH = (0.45, 0.12, 0.08, 0.09, 0.06, 0.08, 0.12)  # shares of the kind that COCO's failures have
Q, RATERS, STUDIES, REDRAWS, ENDLESS = len(TRUTH), ["A", "B", "C"], 500, 400, 1e9
ERRORS = ((0.005,) * 3, (0.02,) * 3, (0.05, 0.10, 0.15), (0.30,) * 3)  # of each rater
SIZES = (14, 20, 50, 100)
SHORT = {
    "percent agreement": "percent",
    "Krippendorff's alpha": "alpha",
    "Gwet's AC1": "AC1",
    "Fleiss' kappa": "Fleiss",
    "Cohen's kappa": "Cohen",
}
OVER_ALL = coefficients.ANY_NUMBER | {"Fleiss' kappa": coefficients.fleiss_kappa}


class Covered(NamedTuple):
    """Of the studies in which there was an interval, how many held the value."""

    now: float
    plain: float  # the same of plain percentiles
    without: float  # share of studies without an interval
    points: float  # share of studies whose interval has no width


def ratings(draw: np.random.Generator, n: int, errors: tuple[float, ...]) -> np.ndarray:
    """(n, 3) codes of what three raters say of failures drawn by TRUTH."""
    truth = draw.choice(Q, n, p=TRUTH)[:, None]
    wrong = draw.random((n, len(errors))) < errors
    return np.where(wrong, (truth + draw.integers(1, Q, wrong.shape)) % Q, truth)


def endless(errors: tuple[float, ...]) -> dict[str, float]:
    """Statistic -> its value on endless failures; Cohen's kappa of the first two raters."""
    patterns = np.array(list(itertools.product(range(Q), repeat=3)))  # (343, 3)
    chance = np.zeros(len(patterns))
    for code, share in enumerate(TRUTH):
        right = patterns == code
        chance += share * np.where(right, 1 - np.array(errors), np.array(errors) / (Q - 1)).prod(1)
    counts = agreement.label_counts(patterns, Q)
    values = {name: float(formula(counts, ENDLESS * chance).value) for name, formula in OVER_ALL.items()}
    pair = np.bincount(patterns[:, 0] * Q + patterns[:, 1], ENDLESS * chance).reshape(Q, Q)
    return values | {"Cohen's kappa": float(coefficients.cohen_kappa(pair).value)}


def now(matrix: np.ndarray, seed: int) -> dict[str, tuple[float, float] | None]:
    """Statistic -> step 4's interval over all raters, or of the first pair, or None."""
    every = agreement.assess(matrix, RATERS, list(CATEGORY_NAMES), agreement.Redraws(REDRAWS, [seed]))
    wanted = [one for one in every if one.raters == "A, B, C" or one.raters == "A, B"]
    return {one.statistic: None if one.low is None else (one.low, one.high) for one in reversed(wanted)}


def plain(matrix: np.ndarray, draw: np.random.Generator) -> dict[str, tuple[float, float]]:
    """Statistic -> plain 95 % percentiles over redraws of the items."""
    counts, weights = np.unique(agreement.label_counts(matrix, Q), axis=0, return_counts=True)
    cells = agreement.pair_table(matrix[:, :2], Q).ravel()

    def ends(weights: np.ndarray, formula: Callable) -> tuple[float, float]:
        drawn = draw.multinomial(len(matrix), weights / len(matrix), size=REDRAWS).astype(float)
        return tuple(np.nanquantile(formula(drawn).value, [0.025, 0.975]))

    found = {name: ends(weights, lambda of, f=formula: f(counts, of)) for name, formula in OVER_ALL.items()}
    kappa = ends(cells, lambda of: coefficients.cohen_kappa(of.reshape(-1, Q, Q)))
    return found | {"Cohen's kappa": kappa}


def coverage(n: int, errors: tuple[float, ...], studies: int, seed: int = 7) -> dict[str, Covered]:
    """Statistic -> what its intervals cover."""
    draw, truth = np.random.default_rng([seed, n]), endless(errors)
    held = {name: [] for name in truth}
    for study in range(studies):
        matrix = ratings(draw, n, errors)
        ours, theirs = now(matrix, study), plain(matrix, draw)
        for name, value in truth.items():
            low, high = ours[name] or (np.nan, np.nan)
            inside = low <= value <= high if ours[name] else np.nan
            was_inside = theirs[name][0] <= value <= theirs[name][1]
            held[name].append((inside, was_inside, ours[name] is None, low == high))
    return {name: Covered(*np.nanmean(np.array(rows, float), axis=0)) for name, rows in held.items()}


def main() -> None:
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else STUDIES
    print(f"{studies:,} studies a row, three raters, seven categories; % covered: plain bootstrap -> now\n")
    rows, without, points = [], 0, 0
    for errors, n in itertools.product(ERRORS, SIZES):
        found = coverage(n, errors, studies)
        named = " / ".join(f"{100 * error:g}" for error in dict.fromkeys(errors))
        cells = [f"{100 * found[name].plain:.1f} -> {100 * found[name].now:.1f}" for name in SHORT]
        rows.append([f"{named}%", str(n), *cells])
        without = max(without, *(one.without for one in found.values()))
        points = max(points, *(one.points for one in found.values()))
    print_table(["labels that are wrong", "items", *SHORT.values()], rows)
    print(
        f"\nAt most {without:.1%} of the studies of a cell have no interval, {points:.1%} one without width"
    )


if __name__ == "__main__":
    main()
