"""What the shares would be if annotators err as the items that several of them labeled suggest.

A model of errors, so an answer to "what if" and no correction: each rater gives a wrong label with a
probability of his or her own, and wrong labels fall on the other categories in proportions that are assumed
(Dawid and Skene 1979, Appl. Stat. 28, p. 20-28, with one error rate a rater). Shares are as wrong as the
assumption: where errors go to Ambiguous, the first one finds it some six points too often.
"""

from typing import NamedTuple

import numpy as np

from common import say, statistics
from common.labels.agreement import MISSING, Redraws
from common.labels.levels import CATEGORY, codes
from common.labels.ratings import Labels, raters_of
from common.labels.sheets import Table
from common.labels.taxonomy import AMBIGUOUS, CATEGORY_NAMES

NAME = "sensitivity.csv"
ROUNDS = 300  # redraws at most: each of them is fitted by itself
STEPS = 500  # of a fit, at most
CLOSE, NEAR = 1e-7, 1e-4  # change of a share or rate at which a fit ends; at which one of redraws does
LEAST, MOST = 1e-9, 0.8  # error rates between which a fit stays
TO_AMBIGUOUS = 0.8  # part of the errors on clear items that say Ambiguous, under the second assumption


class Row(NamedTuple):
    """A row of sensitivity.csv."""

    assumption: str  # how errors fall, in words
    about: str  # "category", or "rater"
    name: str  # of the category, or of the rater
    value: float  # the category's share, or the part of the rater's labels that is wrong
    low: float | None  # of its 95 % interval over redraws of the items; None without redraws
    high: float | None
    counted: float | None  # the category's share as it was counted; None for a rater


class Fit(NamedTuple):
    """What a model finds, for one set of weights or for several (leading axis)."""

    shares: np.ndarray  # (..., q) of each category
    errors: np.ndarray  # (..., n_raters) part of each one's labels that is wrong


def assumptions() -> dict[str, np.ndarray]:
    """In words -> (q, q): where wrong labels of an item of each category fall; rows sum to 1."""
    q, ambiguous = len(CATEGORY_NAMES), CATEGORY_NAMES.index(AMBIGUOUS)
    alike = (1 - np.eye(q)) / (q - 1)
    there = (1 - np.eye(q)) * (1 - TO_AMBIGUOUS) / (q - 2)
    there[:, ambiguous], there[ambiguous] = TO_AMBIGUOUS, alike[ambiguous]
    words = f"{TO_AMBIGUOUS:.0%} of the errors on clear items say {AMBIGUOUS}"
    return {"errors fall on all other categories alike": alike, words: there}


def of(labels: Labels, counted: dict[str, float | None], redraws: Redraws) -> list[Row]:
    """Shares and error rates under each assumption; none where a rater shares too few items with others.

    labels: of every rater, the adjudicator aside, who knew the others' labels. counted: category -> share.
    """
    raters = raters_of(labels)
    matrix = codes(labels, raters, CATEGORY)
    shared = matrix[(matrix != MISSING).sum(1) > 1]
    if not can_tell(matrix):
        return []
    patterns, weights = np.unique(matrix, axis=0, return_counts=True)
    drawn = _redrawn(patterns, weights, redraws)
    rows = []
    for words, falls in assumptions().items():
        found = fit(patterns, weights, falls)
        spread = fit(patterns, drawn, falls, found)
        for place, name in enumerate(CATEGORY_NAMES):
            numbers = _numbers(found.shares[place], spread.shares[:, place], len(matrix))
            rows.append(Row(words, "category", name, *numbers, counted[name]))
        for place, name in enumerate(raters):
            numbers = _numbers(
                found.errors[place], spread.errors[:, place], (shared[:, place] != MISSING).sum()
            )
            rows.append(Row(words, "rater", name, *numbers, None))
    return rows


def table(rows: list[Row]) -> Table:
    """sensitivity.csv."""
    return Table.of(Row, rows)


def sentences(rows: list[Row]) -> list[str]:
    """What each assumption makes of the share of Ambiguous, in words."""
    return [
        f"What if {row.assumption}: {AMBIGUOUS} {say.share(row.value, row.low, row.high)}"
        for row in rows
        if row.name == AMBIGUOUS
    ]


def fit(patterns: np.ndarray, weights: np.ndarray, falls: np.ndarray, start: Fit | None = None) -> Fit:
    """Shares and error rates of greatest likelihood, by expectation and maximization (Dawid and Skene 1979).

    patterns (p, n_raters) of codes or MISSING; weights (p,) how often each occurs, or (rounds, p); falls as
    in `assumptions`. start: where redraws begin, else shares as labeled and error rates of a tenth.
    """
    weights = np.atleast_2d(weights).astype(float)
    (p, n_raters), q = patterns.shape, len(falls)
    given = patterns != MISSING
    right = patterns[:, :, None] == np.arange(q)  # (p, n_raters, q): right if the truth were the last
    wrong = given[:, :, None] & ~right
    with np.errstate(divide="ignore"):
        fallen = np.where(wrong, np.log(falls.T)[patterns], 0).sum(1)  # (p, q) log of where wrong ones fall
    right, wrong = (one.swapaxes(0, 1).reshape(n_raters, p * q).astype(float) for one in (right, wrong))
    labels = weights @ given  # (rounds, n_raters)
    if start is None:
        shares = weights @ right.sum(0).reshape(p, q)
        now = Fit(shares / shares.sum(-1, keepdims=True), np.full(labels.shape, 0.1))
    else:
        now = Fit(*(np.broadcast_to(one, (len(weights), len(one))) for one in start))
    for _ in range(STEPS):
        # (rounds, p, q): likelihood of a pattern if its truth were k, then how many such items are k.
        logs = np.log1p(-now.errors) @ right + np.log(now.errors) @ wrong
        items = np.exp(logs.reshape(-1, p, q) + fallen) * np.maximum(now.shares, 1e-12)[:, None]
        items *= (weights / items.sum(-1))[..., None]
        errors = items.reshape(len(weights), -1) @ wrong.T / np.maximum(labels, 1)
        before = now
        now = Fit(items.sum(1) / weights.sum(-1, keepdims=True), np.clip(errors, LEAST, MOST))
        # Redraws, which begin where the fit of all ended, need no more than an interval's digits.
        close = CLOSE if start is None else NEAR
        if all(np.abs(one - other).max(initial=0) < close for one, other in zip(now, before, strict=True)):
            break
    return now if start else Fit(*(one[0] for one in now))


def posterior(patterns: np.ndarray, found: Fit, falls: np.ndarray) -> np.ndarray:
    """(p, q) chance of each truth, given what raters said of an item (Bayes' rule), under a fitted model.

    patterns (p, n_raters) of codes or MISSING; falls as in `assumptions`.
    """
    chances = np.tile(np.maximum(found.shares, 1e-12), (len(patterns), 1))
    for rater, error in enumerate(found.errors):
        given = patterns[:, rater] != MISSING
        says = falls * error  # (truth, label)
        np.fill_diagonal(says, 1 - error)
        chances[given] *= says[:, patterns[given, rater]].T
    return chances / chances.sum(1, keepdims=True)


def can_tell(matrix: np.ndarray) -> bool:
    """Whether each rater of (n_items, n_raters) codes shares enough items with others to be judged."""
    shared = matrix[(matrix != MISSING).sum(1) > 1]
    return matrix.shape[1] > 1 and (shared != MISSING).sum(0).min() >= statistics.ANECDOTAL


def _redrawn(patterns: np.ndarray, weights: np.ndarray, redraws: Redraws) -> np.ndarray:
    """(rounds, p) weights of redrawn items, those that several labeled apart from the others."""
    generator = np.random.default_rng(redraws.seed)
    drawn = np.zeros((min(redraws.rounds, ROUNDS), len(weights)))
    several = (patterns != MISSING).sum(1) > 1
    for part in (several, ~several):
        if n := int(weights[part].sum()):
            drawn[:, part] = generator.multinomial(n, weights[part] / n, size=len(drawn))
    return drawn


def _numbers(value: float, drawn: np.ndarray, n: int) -> list[float | None]:
    """A value with the ends of its interval, in six digits; n: the items that tell of it.

    Percentiles of the redraws, but never within Wilson's interval of a share that n items show plainly: where
    nothing varies redraws have no width.
    """
    if not len(drawn):
        return [say.rounded(float(value)), None, None]
    low, high = np.quantile(drawn, [0.025, 0.975])
    least, most = statistics.wilson(value * n, n)
    return [say.rounded(float(number)) for number in (value, min(low, least), max(high, most))]
