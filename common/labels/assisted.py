"""Shares that a model's labels help to estimate: people's stay the measure, the model narrows the interval.

A model labels every failure, people a random part of them. The difference estimator (Cochran 1977, ch. 7;
with endless failures the PPI++ of Angelopoulos, Duchi and Zrnic 2023, arXiv 2311.01453) takes the model's
share of all and adds how far people differ from it where they looked, so that no error of the model biases
it. How much of the model is used, its weight, is its own for each category: shares may miss 100 %.
"""

from typing import NamedTuple

import numpy as np

from common import say, statistics
from common.labels import coefficients, label_task, levels
from common.labels.decisions import Item
from common.labels.levels import Measured
from common.labels.model_labels import RATER, ModelLabels
from common.labels.ratings import Labels
from common.labels.shares import ALL, CategoryShare, Share
from common.labels.sheets import Table

NAME, AGREEMENT, CONFUSION = "assisted_shares.csv", "model_agreement.csv", "model_confusion.csv"
FILES = (NAME, AGREEMENT, CONFUSION)
PEOPLE = "people"  # the label that counts, next to the model's


class Estimate(NamedTuple):
    """An assisted share."""

    share: float
    low: float  # of its 95 % interval
    high: float
    weight: float  # of the model, from 0 (people alone) to 1
    worth: float  # people's labels that would give as narrow an interval without the model


class Difference(NamedTuple):
    """The difference estimator, before it has an interval."""

    share: float
    weight: float  # of the model
    spread: float  # variance of people's labels, each 0 or 1
    variance: float  # of the share
    alone: float  # by which `spread` gives the variance of people's own share: 1/n - 1/N
    phase: float  # part of the variance for what people and the model differ in: 1/n - 1/m


class Row(NamedTuple):
    """A row of assisted_shares.csv: a category, by people alone, by the model alone, and by both."""

    category: str
    n: int  # failures that people labeled; the model labeled them too
    people: float | None  # people's share of these, as in category_distribution.csv
    people_low: float | None
    people_high: float | None
    model_n: int  # failures that the model labeled
    model: float  # the model's own share of them; no estimate of anything
    bias: float  # of the model where people looked: its share there less people's
    bias_low: float  # of its 95 % interval
    bias_high: float
    assisted: float
    assisted_low: float  # of its 95 % interval, of this share alone
    assisted_high: float
    weight: float  # of the model in it, 0 to 1
    worth: float  # people's labels that would give this interval without the model
    kappa: float | None  # Cohen's, of people and model: this category or another; None where undefined
    ac1: float  # Gwet's, of the same
    status: str  # of people's labels: "final" or "provisional", as elsewhere
    model_name: str


class Compared(NamedTuple):
    """What a model's labels come to, next to people's."""

    rows: list[Row]
    agreement: Measured  # of the label that counts and the model's, at each level
    both: Labels  # idx -> {RATER, PEOPLE} -> label


def compare(
    items: list[Item], shares: list[CategoryShare], model: ModelLabels, rounds: int, seed: int
) -> Compared:
    """The assisted shares, and how far the model agrees with people. shares: people's own, of these items."""
    both = {item.idx: {RATER: model.choices[item.idx], PEOPLE: item.choice} for item in items}
    rows = [_row(row.category, row.share, both, model) for row in shares if row.over == ALL and items]
    return Compared(rows, levels.measure(both, rounds, seed), both)


def tables(compared: Compared | None) -> dict[str, Table]:
    """Name -> content of the files on a model, which people's own files know nothing of; none without one."""
    if compared is None:
        return {}
    return {
        NAME: Table.of(Row, compared.rows),
        AGREEMENT: levels.coefficients(compared.agreement),
        CONFUSION: levels.confusion(compared.both),
    }


def difference(
    people: np.ndarray, there: np.ndarray, everywhere: np.ndarray, population: int | None
) -> Difference:
    """The difference estimator of a share: people label n failures, a model m, the n among them.

    people (n,) bool: they say it; there (n,) bool: the model says it of the same; everywhere (m,) bool: the
    model says it. population: N failures that the m were drawn from, without replacement, and the n from
    these; None: endless ones.

    The share is w mean(everywhere) + mean(people - w there), with w = cov(people, there) / var(everywhere)
    within 0 and 1: the power tuning of PPI++, whose factor 1 + n / (m - n) is here in the mean over all m.
    Its variance is (1/n - 1/m) var(people - w there) + (1/m - 1/N) var(people) (two phases: Cochran 1977,
    ch. 12); at w = 0 that is people's own, (1/n - 1/N) var(people).
    """
    n, m, of_all = len(people), len(everywhere), 1 / population if population else 0.0
    people, there = people.astype(float), there.astype(float)
    around = float(everywhere.var(ddof=1)) if m > 1 else 0.0
    together = float(np.mean((people - people.mean()) * (there - there.mean())))
    weight = min(1.0, max(0.0, together / around)) if around else 0.0
    apart = people - weight * there
    share = min(1.0, max(0.0, float(weight * everywhere.mean() + apart.mean())))
    spread, left = (float(values.var(ddof=1)) if n > 1 else 0.0 for values in (people, apart))
    further = (1 / m - of_all) * spread
    return Difference(share, weight, spread, (1 / n - 1 / m) * left + further, 1 / n - of_all, 1 / n - 1 / m)


def estimate(
    people: np.ndarray, there: np.ndarray, everywhere: np.ndarray, population: int | None, finite: bool
) -> Estimate:
    """An assisted share with its interval; arrays and population as for `difference`.

    The interval is Wilson's at as many labels of people as would have its variance, since the normal one
    covers a rare label too seldom; finite: people's own interval allows for `population`, so this one does.
    The variance is that of `difference` with one more failure on which people and the model differ: where
    there are few such, those seen show too little of their spread (benchmarks/assisted_shares.py).
    """
    n, found = len(people), difference(people, there, everywhere, population)
    if not found.weight:  # of people alone
        ratio = 1.0
    else:
        variance = found.variance + found.phase * found.weight**2 / n
        ratio = found.spread * found.alone / variance
    worth = 1 / (found.alone / ratio + 1 / population) if population else n * ratio
    if finite and population:
        low, high = statistics.wilson_of_finite(found.share * worth, worth, population)
    else:
        low, high = statistics.wilson(found.share * n * ratio, n * ratio)
    return Estimate(found.share, low, high, found.weight, worth)


def sentences(compared: Compared, model: ModelLabels) -> list[str]:
    """The shares as lines to read, with what they are and are not."""
    of_all = f"{say.number(len(model.choices))} of {say.items(model.population, 'failure')}"
    words = "" if model.same_prompt else f", asked in other words than {label_task.NAME} has"
    lines = [f"Assisted by {model.note.model}, which labeled {of_all}{words}:"]
    for row in compared.rows:
        share = say.share(row.assisted, row.assisted_low, row.assisted_high)
        alone, off = say.share(row.model), say.points(100 * row.bias)
        worth = f"worth {say.items(round(row.worth), 'label')} of people"
        lines.append(f"  {row.category:<10} {share:<22} {worth}; the model alone {alone}, off by {off}")
    of_pair = {one.statistic: one for one in compared.agreement[levels.CATEGORY]}
    kappa, ac1 = of_pair["Cohen's kappa"], of_pair["Gwet's AC1"]
    items = say.items(len(compared.both), "item")
    return lines + [
        f"  Agreement of people and the model on {items}: Cohen's kappa {kappa}, AC1 {ac1}",
        "  A model's label counts nowhere else. Each share has a weight of its own: the sum may miss 100%",
    ]


def _row(category: str, people: Share, both: Labels, model: ModelLabels) -> Row:
    """One category."""
    says = np.array([given[PEOPLE].category == category for given in both.values()])
    there = np.array([given[RATER].category == category for given in both.values()])
    everywhere = np.array([choice.category == category for choice in model.choices.values()])
    found = estimate(says, there, everywhere, model.population, people.finite_population)
    off = there.astype(float) - says
    bias = (float(off.mean()), *statistics.clustered_mean(off, np.arange(len(off)), (-1.0, 1.0)))
    numbers = (float(everywhere.mean()), *bias, *found)
    return Row(
        *(category, len(says), people.share, people.low, people.high, len(everywhere)),
        *map(say.rounded, numbers),
        *_agreement(says, there),
        *(people.status, model.note.model),
    )


def _agreement(says: np.ndarray, there: np.ndarray) -> tuple[float | None, float]:
    """Cohen's kappa and AC1 of two (n,) bool: whether an item has one category or another."""
    pairs = np.array([[np.sum((says == a) & (there == b)) for b in (True, False)] for a in (True, False)])
    counts = np.array([[2, 0], [1, 1], [1, 1], [0, 2]])  # how many say it, and how many another
    kappa = float(coefficients.cohen_kappa(pairs).value)
    ac1 = float(coefficients.gwet_ac1(counts, pairs.ravel()).value)
    return None if np.isnan(kappa) else say.rounded(kappa), say.rounded(ac1)
