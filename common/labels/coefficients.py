"""Five coefficients of agreement on nominal labels, as functions of how often each pattern of ratings occurs.

Weights may have leading axes (bootstrap rounds): every formula is then computed for all of them at once.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Coefficient(NamedTuple):
    """The three terms of a coefficient, each (...): they all are (agreed - chance) / (total - chance)."""

    agreed: np.ndarray  # agreement that was seen
    chance: np.ndarray  # what of it is expected by chance
    total: np.ndarray  # what agreement throughout would be

    @property
    def value(self) -> np.ndarray:
        """(...) the coefficient: 1 at agreement throughout; nan where chance alone would have that."""
        return _ratio(self.agreed - self.chance, self.total - self.chance)

    @property
    def observed(self) -> np.ndarray:
        """(...) the share of agreement, between 0 and 1."""
        return _ratio(self.agreed, self.total)

    def at(self, observed: float) -> float:
        """The coefficient were another share of agreement seen, with the same labels: 1 - (1 - p) / D_e."""
        return float(1 - (1 - observed) * _ratio(self.total, self.total - self.chance))


Formulas = dict[str, Callable[[np.ndarray], Coefficient]]  # statistic -> its formula, which takes weights


def cohen_kappa(tables: np.ndarray) -> Coefficient:
    """Cohen's kappa of two raters (Cohen 1960, Educ. Psychol. Meas. 20, eq. 1): (p_o - p_c) / (1 - p_c).

    tables (..., q, q): how many items the first rater put into row i and the second into column j.
    Returns (...); nan where both used one and the same label only (p_c is 1).
    """
    n = tables.sum((-2, -1))
    agreed = np.trace(tables, axis1=-2, axis2=-1)
    chance = (tables.sum(-1) * tables.sum(-2)).sum(-1)  # n**2 times p_c
    return Coefficient(n * agreed, chance, n * n)


def percent_agreement(counts: np.ndarray, weights: np.ndarray) -> Coefficient:
    """Mean over items of the share of rater pairs that agree: P_bar of Fleiss (1971, Psychol. Bull. 76).

    counts (p, q): how many raters put an item of pattern p under label q; weights (..., p): how many items
    have the pattern. Patterns of a single rating play no part. Returns (...).
    """
    counts, weights = _several(counts, weights)
    agreed = weights @ agreeing(counts)
    return Coefficient(agreed, np.zeros_like(agreed), weights.sum(-1))


def agreeing(counts: np.ndarray) -> np.ndarray:
    """(p,) share of the rater pairs of a pattern that agree; counts (p, q), of two or more ratings each."""
    raters = counts.sum(-1)
    return (counts * (counts - 1)).sum(-1) / (raters * (raters - 1))


def fleiss_kappa(counts: np.ndarray, weights: np.ndarray) -> Coefficient:
    """Fleiss' kappa (Fleiss 1971, Psychol. Bull. 76, p. 379): (P_bar - P_e) / (1 - P_e).

    P_e is the sum over labels of the squared share of all ratings. Every item has the same number of ratings.
    counts (p, q) and weights (..., p) as in `percent_agreement`. nan where only one label occurs.
    """
    used = weights @ counts  # (..., q) ratings under each label
    total = used.sum(-1)
    observed = percent_agreement(counts, weights).value
    chance = (used * used).sum(-1)  # total**2 times P_e
    return Coefficient(observed * total * total, chance, total * total)


def krippendorff_alpha(counts: np.ndarray, weights: np.ndarray) -> Coefficient:
    """Krippendorff's alpha, nominal, any number of ratings: 1 - D_o / D_e (Krippendorff 2004, ch. 11).

    D_o and D_e are observed and expected shares of unequal pairs, from the coincidences of Hayes and
    Krippendorff (2007, Commun. Methods Meas. 1, p. 80-83): an item with m ratings adds each of its ordered
    pairs with weight 1 / (m - 1). counts (p, q) and weights (..., p) as in `percent_agreement`; patterns of a
    single rating play no part. nan where only one label occurs.
    """
    counts, weights = _several(counts, weights)
    used = weights @ counts
    total = used.sum(-1)
    # Coincidences of equal labels; and total * (total - 1) times their expected share.
    observed = weights @ ((counts * (counts - 1)).sum(-1) / (counts.sum(-1) - 1))
    chance = (used * (used - 1)).sum(-1)
    return Coefficient(observed * (total - 1), chance, total * (total - 1))


def gwet_ac1(counts: np.ndarray, weights: np.ndarray) -> Coefficient:
    """Gwet's AC1 (Gwet 2008, Br. J. Math. Stat. Psychol. 61, p. 29-48): (p_a - p_e) / (1 - p_e).

    p_a is the percent agreement; p_e, agreement by chance, is the sum over labels of pi (1 - pi) / (q - 1),
    pi being a label's mean share of an item's ratings, and q the number of labels that the raters could
    choose from, used or not. Items with a single rating count for pi alone (Gwet 2014, Handbook of
    Inter-Rater Reliability, 4th ed., ch. 2). counts (p, q) and weights (..., p) as in `percent_agreement`.
    """
    q = counts.shape[-1]
    prevalence = _ratio(weights @ (counts / counts.sum(-1, keepdims=True)), weights.sum(-1)[..., None])
    chance = (prevalence * (1 - prevalence)).sum(-1) / (q - 1)
    return Coefficient(percent_agreement(counts, weights).value, chance, np.ones_like(chance))


# Those that take any number of ratings an item; each takes (counts, weights).
ANY_NUMBER = {
    "percent agreement": percent_agreement,
    "Krippendorff's alpha": krippendorff_alpha,
    "Gwet's AC1": gwet_ac1,
}


def _several(counts: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The patterns of two or more ratings, which alone tell of agreement, and their weights."""
    several = counts.sum(-1) > 1
    return counts[several], weights[..., several]


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """above / below, nan where below is 0 (it is a difference of whole numbers there, so exactly 0)."""
    above, below = np.broadcast_arrays(np.asarray(above, float), np.asarray(below, float))
    return np.divide(above, below, out=np.full(below.shape, np.nan), where=below != 0)
