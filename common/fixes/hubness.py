"""Hubs, images that come first for too many captions: how strong they are, and corrections against them.

Each correction is one number an image, learned from the scores of a bank of captions that belong to other
images; it is taken off every score of that image. All work in cosines, in float64: a correction of the size
of a rounding error would flip ranks.

Distribution Normalization (Zhou et al. 2023, eq. 5) takes half the mean text m off each text t and half the
mean image n off each image v. For text to image that *is* NNN over the whole bank with alpha 0.5: in
(t - m/2) (v - n/2) = t v - t n/2 - v m/2 + m n/4 nothing but t v and v m/2, half the image's mean score over
the bank, differs between the images of one query.
"""

from dataclasses import dataclass

import numpy as np
import scipy.stats
import torch

from common.results import SHOWS

BLOCK = 256  # images at once: 256 x 20,000 float64 scores are 41 MB
OCCURRENCE_K = max(SHOWS)  # how many first images of a query are kept for k-occurrence


@dataclass(frozen=True)
class Correction:
    """What is taken off each image's score, and for which queries.

    `active` is None where every query is corrected; else only queries whose first image is active are.
    """

    off: torch.Tensor  # (n_images,) float64, cosine
    active: torch.Tensor | None = None  # (n_images,) bool

    def apply(self, scores: torch.Tensor) -> torch.Tensor:
        """Corrected scores of a block of queries: (n, n_images) float64 to the same."""
        corrected = scores - self.off
        if self.active is None:
            return corrected
        return torch.where(self.active[scores.argmax(1)][:, None], corrected, scores)


def nnn(img: torch.Tensor, bank: torch.Tensor, alpha: float, k: int | None) -> Correction:
    """Nearest Neighbor Normalization: alpha x mean of the image's k highest bank scores.

    Chowdhury et al. 2024, eq. 2 and 3. img (n_images, dim) and bank (n_bank, dim): rows of length 1. k None,
    or above the bank's size, means the whole bank (Distribution Normalization at alpha 0.5).
    """
    k = len(bank) if k is None else min(k, len(bank))
    means = [block.topk(k, dim=1).values.mean(1) for block in _bank_scores(img, bank)]
    return Correction(alpha * torch.cat(means))


def inverted_softmax(img: torch.Tensor, bank: torch.Tensor, beta: float) -> Correction:
    """Inverted softmax (Smith et al. 2017, eq. 8; Bogolin et al. 2022, eq. 3): log-sum-exp of bank scores.

    A query's probabilities exp(beta s) / sum over the bank of exp(beta b) rank as s - log(sum) / beta does,
    which is this correction.
    """
    sums = [torch.logsumexp(beta * block, dim=1) for block in _bank_scores(img, bank)]
    return Correction(torch.cat(sums) / beta)


def dynamic_inverted_softmax(img: torch.Tensor, bank: torch.Tensor, beta: float, k: int) -> Correction:
    """Inverted softmax for queries whose first image is among the first k of any bank caption.

    Bogolin et al. 2022, eq. 4 and 5. The other queries keep their scores.
    """
    off = inverted_softmax(img, bank, beta).off
    active = torch.zeros(len(img), dtype=torch.bool)
    for block in _bank_scores(bank, img):
        active[block.topk(min(k, len(img)), dim=1).indices.flatten()] = True
    return Correction(off, active)


def occurrence(first: np.ndarray, n_images: int) -> np.ndarray:
    """k-occurrence N_k: how many queries have an image among their first k. first (n, k) image rows."""
    return np.bincount(np.asarray(first).ravel(), minlength=n_images)


def skewness(counts: np.ndarray) -> float:
    """Third standardized moment of the k-occurrence (Radovanovic et al. 2010, sect. 2); 0 means no hubs."""
    # Of a constant it is undefined, and nothing there is a hub.
    return float(scipy.stats.skew(counts)) if np.ptp(counts) else 0.0


def _bank_scores(rows: torch.Tensor, columns: torch.Tensor):
    """Cosines block by block: (block, n_columns) float64."""
    columns = columns.double().T
    for start in range(0, len(rows), BLOCK):
        yield rows[start : start + BLOCK].double() @ columns
