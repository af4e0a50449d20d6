"""Hubs, images that come first for too many captions: how strong they are, and corrections against them.

Each correction is one number an image, learned from the scores of a bank of captions that belong to other
images, or from the images of the gallery alone; it is taken off every score of that image. `centre` scales
what is left too. All work in cosines, in float64: a correction of the size of a rounding error would flip
ranks.

Distribution Normalization (Zhou et al. 2023, eq. 5) takes half the mean text m off each text t and half the
mean image n off each image v. For text to image that *is* NNN over the whole bank with alpha 0.5: in
(t - m/2) (v - n/2) = t v - t n/2 - v m/2 + m n/4 nothing but t v and v m/2, half the image's mean score over
the bank, differs between the images of one query.

CSLS (Conneau et al. 2018, sect. 2.3) is 2 s less the mean of the caption's k highest scores over images,
which is one number a query, less the mean of the image's k highest over captions: it ranks as NNN with
alpha 0.5.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from common.heavy import stats, torch
from common.results import SHOWS

BLOCK = 256  # images at once: 256 x 20,000 float64 scores are 41 MB
OCCURRENCE_K = max(SHOWS)  # how many first images of a query are kept for k-occurrence


@dataclass(frozen=True)
class Correction:
    """What is taken off each image's score, and for which queries.

    `active` is None where every query is corrected; else only queries whose first image is active are.
    `scale` is None where images differ by `off` alone; else a query's scores count from their mean over the
    gallery, which is the query's cosine with the gallery's mean row, and are multiplied by it at last.
    """

    off: torch.Tensor  # (n_images,) float64, cosine
    active: torch.Tensor | None = None  # (n_images,) bool
    scale: torch.Tensor | None = None  # (n_images,) float64

    def apply(self, scores: torch.Tensor) -> torch.Tensor:
        """Corrected scores of a block of queries: (n, n_images) float64 to the same."""
        corrected = scores - self.off
        if self.scale is not None:
            corrected = (corrected - scores.mean(1, keepdim=True)) * self.scale
        if self.active is None:
            return corrected
        return torch.where(self.active[scores.argmax(1)][:, None], corrected, scores)

    def exchanged(self, order: torch.Tensor) -> Correction:
        """The same numbers with other owners: image i takes those of image order[i]. order (n_images,)."""
        numbers = {"off": self.off, "active": self.active, "scale": self.scale}
        return replace(self, **{name: each[order] for name, each in numbers.items() if each is not None})


def nnn(img: torch.Tensor, bank: torch.Tensor, alpha: float, k: int | None) -> Correction:
    """Nearest Neighbor Normalization: alpha x mean of the image's k highest bank scores.

    Chowdhury et al. 2024, eq. 2 and 3. img (n_images, dim) and bank (n_bank, dim): rows of length 1. k None,
    or above the bank's size, means the whole bank (Distribution Normalization at alpha 0.5).
    """
    k = len(bank) if k is None else min(k, len(bank))
    # Of all of them the highest needn't be looked for, which takes longer than the scores themselves.
    highest = (block if k == len(bank) else block.topk(k).values for block in _bank_scores(img, bank))
    means = [block.mean(1) for block in highest]
    return Correction(alpha * torch.cat(means))


def nnn_gallery(img: torch.Tensor, alpha: float, k: int) -> Correction:
    """NNN without captions: alpha x mean of the image's k highest cosines with other images of the gallery.

    An image in a crowd of look-alikes is near many captions too. NNN (Chowdhury et al. 2024, eq. 2) with the
    gallery in the bank's place; k above the number of other images means all of them.
    """
    means, k = [], min(k, len(img) - 1)
    for start, block in zip(range(0, len(img), BLOCK), _bank_scores(img, img), strict=True):
        rows = torch.arange(len(block))
        block[rows, rows + start] = -torch.inf  # an image is nearest to itself, which says nothing
        means.append(block.topk(k, dim=1).values.mean(1) if k else torch.zeros(len(block)).double())
    return Correction(alpha * torch.cat(means))


def centre(img: torch.Tensor, bank: torch.Tensor) -> Correction:
    """Both modalities' means subtracted, rows normalized again (Suzuki et al. 2013; the distance of the means
    is the modality gap of Liang et al. 2022).

    With m the bank's mean caption and n the gallery's mean image, (t - m) (v - n) / |v - n| is
    (t v - t n - m (v - n)) / |v - n|, and t n is the mean of t's scores. 1 / |t - m| ranks nothing: left out.
    """
    rows = img.double()
    moved = rows - rows.mean(0)
    length = moved.norm(dim=1).clamp(min=1e-12)  # an image that is the mean has no direction
    return Correction(moved @ bank.double().mean(0), scale=1 / length)


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
    return float(stats.skew(counts)) if np.ptp(counts) else 0.0


def _bank_scores(rows: torch.Tensor, columns: torch.Tensor):
    """Cosines block by block: (block, n_columns) float64."""
    columns = columns.double().T
    for start in range(0, len(rows), BLOCK):
        yield rows[start : start + BLOCK].double() @ columns
