"""Scores to ranks, in both directions, without the whole score matrix in memory. evaluation.py measures them.

The convention. The rank of a query's positive is 1 + the number of other items that score at least as high:
an equal score ranks *above* the positive, so that a tie can't flatter the model. With several positives
(image to text) the best one counts, among items that are not positives.

    scores of two captions over four images      positive    rank
    0.9  0.1  0.3  0.2                           column 0    1
    0.5  0.7  0.7  0.1                           column 2    2      (tied with column 1)
"""

import numpy as np
import torch

from common.retrieval.distributed import ALONE, Team
from common.retrieval.ranks import Ranking

BLOCK = 512  # captions at once
GALLERY_BLOCK = 8192  # images at once: 512 x 8,192 scores are 34 MB in float64


def rank(
    txt: torch.Tensor, img: torch.Tensor, gt: np.ndarray, device: str = "cpu", team: Team = ALONE
) -> Ranking:
    """Rank every caption's image among all images, and every image's captions among all captions.

    txt (n_captions, dim) and img (n_images, dim): float32, rows of length 1. gt (n_captions,) int64: the
    image row of each caption. `device` is where products are computed (float64). Of several processes each
    counts a share of the captions, and all get the whole. Raises ValueError where a shape doesn't fit or a
    value is not finite.
    """
    return total(team.gather(count(txt, img, gt, team.share(len(gt)), device)), gt)


def count(
    txt: torch.Tensor, img: torch.Tensor, gt: np.ndarray, captions: range, device: str = "cpu"
) -> Ranking:
    """One share of `rank`, for `total`: some captions, in one stretch, against every image.

    Arguments and what is raised as for `rank`. In what is returned arrays over captions cover these captions
    alone, and `image_rank` is the number of them that rank above each image's best caption.
    """
    gt = torch.from_numpy(gt)
    _check(txt, img, gt)
    own_scores = _own_scores(txt, img, gt)  # (n_captions,)
    best_own = torch.full((len(img),), -torch.inf).scatter_reduce_(0, gt, own_scores, "amax").to(device)
    share = slice(captions.start, captions.stop)
    positives, own = own_scores[share, None].to(device), gt[share]
    n = len(captions)
    found = Ranking(
        rank=np.ones(n, dtype=np.int64),
        tied=np.zeros(n, dtype=bool),
        positive_score=own_scores[share].numpy(),
        best_other=np.zeros(n, dtype=np.int64),
        best_other_score=np.full(n, -np.inf, dtype=np.float32),
        image_rank=np.zeros(len(img), dtype=np.int64),
        image_tied=np.zeros(len(img), dtype=bool),
    )
    for rows, columns, block in _blocks(txt[share], img, device):  # ours to change
        _leave_out_own(block, own[rows], columns)
        at_least, equal = _at_least(block, positives[rows], 1)
        found.rank[rows] += at_least
        found.tied[rows] |= equal > 0
        at_least, equal = _at_least(block, best_own[columns], 0)
        found.image_rank[columns] += at_least
        found.image_tied[columns] |= equal > 0
        score, column = (part.cpu().numpy() for part in block.max(1))  # the first of equal maxima
        better = score > found.best_other_score[rows]
        found.best_other_score[rows][better] = score[better]
        found.best_other[rows][better] = column[better] + columns.start
    return found


def total(shares: list[Ranking], gt: np.ndarray) -> Ranking:
    """Add up what `count` gave for all captions, shares in the captions' order. Arguments as for `rank`."""
    own = np.bincount(gt, minlength=len(shares[0].image_rank))
    of_captions = ("rank", "tied", "positive_score", "best_other", "best_other_score")
    above = sum(share.image_rank for share in shares)
    return Ranking(
        **{name: np.concatenate([getattr(share, name) for share in shares]) for name in of_captions},
        image_rank=np.where(own > 0, above + 1, 0),
        image_tied=np.any([share.image_tied for share in shares], axis=0) & (own > 0),
    )


def positive_ranks(scores: torch.Tensor, own: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Rank of each query's positive, (n,) int64, and whether another image ties with it, (n,) bool.

    scores (n, n_images), all images of each query; own (n,) int64: the column of its positive.
    """
    at_least, equal = _at_least(scores, scores.gather(1, own[:, None]), 1)
    return at_least, equal > 1  # the positive itself is among both


def _at_least(scores: torch.Tensor, positive: torch.Tensor, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """The rule of ties: how many scores along `dim` are at least the positive's, and how many are exactly it.

    scores (n, m); positive (n, 1) for dim 1, (m,) for dim 0. Both counts are int64, of the other dimension.
    """
    if scores.device.type == "cpu":  # where numpy counts several times as fast as torch
        scores, positive = scores.numpy(), positive.numpy()
        return np.count_nonzero(scores >= positive, axis=dim), np.count_nonzero(scores == positive, axis=dim)
    return tuple(found.sum(dim).cpu().numpy() for found in (scores >= positive, scores == positive))


def _blocks(txt: torch.Tensor, img: torch.Tensor, device):
    """Cosines of BLOCK captions and GALLERY_BLOCK images at a time: (rows, columns, (n, m) float32).

    Products are summed in float64 and rounded once: what a matrix kernel's order of summation changes lies
    nine digits below the last bit that is kept. So a score depends neither on its block nor on the machine,
    and equal images get equal scores, where float32 sums differ enough to flip a rank.

    Columns come in ascending order for each row, so that the first of equal maxima is found. All blocks share
    one buffer, and `count` puts its results into arrays made beforehand: small results kept between large
    temporary ones stop the allocator from reusing memory (2.5 GB at COCO's size).
    """
    shape = min(BLOCK, len(txt)), min(GALLERY_BLOCK, len(img))
    products = torch.empty(shape[0] * shape[1], dtype=torch.float64, device=device)
    rounded = torch.empty_like(products, dtype=torch.float32)
    for first in range(0, len(img), GALLERY_BLOCK):
        columns = slice(first, min(first + GALLERY_BLOCK, len(img)))
        gallery = img[columns].to(device).double().T
        for start in range(0, len(txt), BLOCK):
            rows = slice(start, min(start + BLOCK, len(txt)))
            part = txt[rows].to(device).double()
            n, m = len(part), gallery.shape[1]
            block = torch.mm(part, gallery, out=products[: n * m].view(n, m))
            yield rows, columns, rounded[: n * m].view(n, m).copy_(block)


def _leave_out_own(block: torch.Tensor, own: torch.Tensor, columns: slice) -> None:
    """Set the scores of positives in a block to -inf: neither direction may count one."""
    inside = torch.nonzero((own >= columns.start) & (own < columns.stop))[:, 0]
    block[inside.to(block.device), (own[inside] - columns.start).to(block.device)] = -torch.inf


def _own_scores(txt: torch.Tensor, img: torch.Tensor, gt: torch.Tensor) -> torch.Tensor:
    """The score of each caption with its own image: (n_captions,) float32."""
    result = torch.empty(len(txt))
    for start in range(0, len(txt), BLOCK):
        rows = slice(start, start + BLOCK)
        result[rows] = (txt[rows].double() * img[gt[rows]].double()).sum(1).float()
    return result


def _check(txt: torch.Tensor, img: torch.Tensor, gt: torch.Tensor) -> None:
    """Refuse shapes that don't fit and values that no comparison can order."""
    if txt.ndim != 2 or img.ndim != 2 or txt.shape[1] != img.shape[1] or gt.shape != txt.shape[:1]:
        raise ValueError(
            f"shapes don't fit: txt {tuple(txt.shape)}, img {tuple(img.shape)}, gt {tuple(gt.shape)}"
        )
    if len(gt) and not (0 <= int(gt.min()) and int(gt.max()) < len(img)):
        raise ValueError(f"gt must hold image rows, 0..{len(img) - 1}")
    # In blocks: over all at once it takes twice the memory of what it looks at.
    if not all(torch.isfinite(rows).all() for part in (txt, img) for rows in part.split(GALLERY_BLOCK)):
        raise ValueError("embeddings hold values that are not finite")
