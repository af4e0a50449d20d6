"""Scores to ranks and recall@K, in both directions, without the whole score matrix in memory.

The convention. The rank of a query's positive is 1 + the number of other items that score at least as high:
an equal score ranks *above* the positive, so that a tie can't flatter the model. With several positives
(image to text) the best one counts, among items that are not positives. recall@K is the share of ranks <= K.

    scores of two captions over four images      positive    rank
    0.9  0.1  0.3  0.2                           column 0    1
    0.5  0.7  0.7  0.1                           column 2    2      (tied with column 1)
"""

from dataclasses import dataclass

import numpy as np
import torch

CUTOFFS = (1, 5, 10)
BLOCK = 512  # captions at once: 512 x 5,000 scores are 20 MB in float64


@dataclass(frozen=True)
class Ranking:
    """Ranks of all queries. Arrays over captions (idx) but for the last two, which are over images."""

    rank: np.ndarray  # (n_captions,) int64, text to image: 1 = own image first
    tied: np.ndarray  # (n_captions,) bool: another image has exactly the positive's score
    positive_score: np.ndarray  # (n_captions,) float32, cosine
    best_other: np.ndarray  # (n_captions,) int64: best image that isn't the own one, lowest row among equals
    best_other_score: np.ndarray  # (n_captions,) float32, cosine
    image_rank: np.ndarray  # (n_images,) int64, image to text; 0 where an image has no caption
    image_tied: np.ndarray  # (n_images,) bool: another image's caption has exactly the best own one's score


def scores(txt: torch.Tensor, img: torch.Tensor) -> torch.Tensor:
    """Cosines of texts (n, dim) and images (m, dim), float32 of shape (n, m).

    Rows have length 1. Products are summed in float64 and rounded once: what a matrix kernel's order of
    summation changes lies nine digits below the last bit that is kept. So a score hangs neither on its block
    nor on the machine, and equal images get equal scores, where float32 sums differ enough to flip a rank.
    """
    return (txt.double() @ img.double().T).float()


def rank(txt: torch.Tensor, img: torch.Tensor, gt_img_index) -> Ranking:
    """Rank every caption's image among all images, and every image's captions among all captions.

    txt (n_captions, dim) and img (n_images, dim): float32, rows of length 1. gt_img_index (n_captions,):
    the image row of each caption. Raises ValueError where a shape doesn't fit or a value isn't finite.
    """
    gt = torch.as_tensor(np.asarray(gt_img_index, dtype=np.int64))
    _check(txt, img, gt)
    best_own = _best_own_scores(txt, img, gt)  # (n_images,)
    n = len(txt)
    found = Ranking(
        rank=np.empty(n, dtype=np.int64),
        tied=np.empty(n, dtype=bool),
        positive_score=np.empty(n, dtype=np.float32),
        best_other=np.empty(n, dtype=np.int64),
        best_other_score=np.empty(n, dtype=np.float32),
        image_rank=np.zeros(len(img), dtype=np.int64),
        image_tied=np.zeros(len(img), dtype=bool),
    )
    for start, block in _blocks(txt, img):  # (block, n_images), ours to change
        rows = slice(start, start + len(block))
        own = gt[rows, None]
        positive = block.gather(1, own)
        at_least = (block >= positive).sum(1)
        found.rank[rows] = at_least
        found.tied[rows] = at_least - (block > positive).sum(1) > 1
        found.positive_score[rows] = positive[:, 0]
        # From here on only the other images: neither direction may count a positive.
        block.scatter_(1, own, -torch.inf)
        found.image_rank[:] += (block >= best_own).sum(0).numpy()
        found.image_tied[:] |= (block == best_own).any(0).numpy()
        score, column = block.max(1)  # the first of equal maxima, as torch documents
        found.best_other[rows], found.best_other_score[rows] = column, score
    has_caption = torch.isfinite(best_own).numpy()
    found.image_rank[:] = np.where(has_caption, found.image_rank + 1, 0)
    found.image_tied[:] &= has_caption
    return found


def recall(ranks: np.ndarray, cutoff: int) -> float:
    """recall@cutoff, a share between 0 and 1: how many positives are among the first `cutoff`."""
    return float(np.mean(ranks <= cutoff))


def mean_reciprocal_rank(ranks: np.ndarray) -> float:
    """Mean of 1 / rank (Voorhees, TREC-8 1999)."""
    return float(np.mean(1.0 / ranks))


def _blocks(txt: torch.Tensor, img: torch.Tensor):
    """`scores` of BLOCK texts at a time: pairs of (first text, (block, n_images) float32).

    All blocks share one buffer, and `rank` puts its results into arrays made beforehand: small results kept
    between large temporary ones stop the allocator from reusing memory (2.5 GB at COCO's size).
    """
    gallery = img.double().T
    products = torch.empty(min(BLOCK, len(txt)), len(img), dtype=torch.float64)
    rounded = torch.empty_like(products, dtype=torch.float32)
    for start in range(0, len(txt), BLOCK):
        n = min(BLOCK, len(txt) - start)
        torch.mm(txt[start : start + n].double(), gallery, out=products[:n])
        yield start, rounded[:n].copy_(products[:n])


def _best_own_scores(txt: torch.Tensor, img: torch.Tensor, gt: torch.Tensor) -> torch.Tensor:
    """The highest score among each image's own captions: (n_images,) float32, -inf where it has none."""
    best = torch.full((len(img),), -torch.inf)
    for start in range(0, len(txt), BLOCK):
        own = gt[start : start + BLOCK]
        products = (txt[start : start + BLOCK].double() * img[own].double()).sum(1).float()
        best.scatter_reduce_(0, own, products, "amax")
    return best


def _check(txt: torch.Tensor, img: torch.Tensor, gt: torch.Tensor) -> None:
    """Refuse shapes that don't fit and values that no comparison can order."""
    if txt.ndim != 2 or img.ndim != 2 or txt.shape[1] != img.shape[1] or gt.shape != txt.shape[:1]:
        raise ValueError(
            f"shapes don't fit: txt {tuple(txt.shape)}, img {tuple(img.shape)}, gt {tuple(gt.shape)}"
        )
    if len(gt) and not (0 <= int(gt.min()) and int(gt.max()) < len(img)):
        raise ValueError(f"gt_img_index must lie in 0..{len(img) - 1}")
    if not (torch.isfinite(txt).all() and torch.isfinite(img).all()):
        raise ValueError("embeddings hold values that are not finite")
