"""Scores to ranks, in both directions, without the whole score matrix in memory. evaluation.py measures them.

The convention. The rank of a query's positive is 1 + the number of other items that score at least as high:
an equal score ranks *above* the positive, so that a tie can't flatter the model. With several positives
(image to text) the best one counts, among items that are not positives.

    scores of two captions over four images      positive    rank
    0.9  0.1  0.3  0.2                           column 0    1
    0.5  0.7  0.7  0.1                           column 2    2      (tied with column 1)

A score is the cosine summed in float64 and rounded once, to float32: what a kernel's order of summation
changes is nine digits below the last bit that is kept. So a score depends neither on its block nor on the
machine, and equal images get equal scores, where float32 sums differ enough to flip a rank.

Few scores need that much. A product in float32, in half the time and memory, is off by at most

    |fl(x.y) - x.y| <= gamma_n |x|.|y| <= gamma_n ||x|| ||y||,    gamma_n = n u / (1 - n u),    u = 2^-24

for vectors of n numbers, added in any order, fused with their multiplication or not (Higham, Accuracy and
Stability of Numerical Algorithms, 2002, eq. 3.5; then Cauchy and Schwarz). Where that leaves no doubt on
which side of the positive's score another one is, it is counted; only the rest, a few in a hundred
thousand, are computed as scores. So the result is that of all scores, to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property

import numpy as np

from common.heavy import torch
from common.retrieval.distributed import ALONE, Team
from common.retrieval.ranks import Ranking

BLOCK = 512  # captions at once
GALLERY_BLOCK = 2048  # images at once: 512 x 2,048 products are 4 MB, which a processor's cache holds
DENSE = 64  # where more than one pair in so many is in doubt, the whole block in float64 is faster

Values = "np.ndarray | torch.Tensor"  # on the CPU arrays, which compare and count several times as fast
Scores = Callable[[np.ndarray, np.ndarray], np.ndarray]  # rows and columns (k,) to their scores, (k,) float32


def rank(
    txt: torch.Tensor, img: torch.Tensor, gt: np.ndarray, device: str = "cpu", team: Team = ALONE
) -> Ranking:
    """Rank every caption's image among all images, and every image's captions among all captions.

    txt (n_captions, dim) and img (n_images, dim): float32, rows of length 1. gt (n_captions,) int64: the
    image row of each caption. `device` is where products are computed and compared. Of several processes
    each counts a share of the captions, and all get the whole. Raises ValueError where a shape doesn't fit, a
    value is not finite, or rows are so long that float32 can't hold their products.
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
    doubt = _doubt(txt, img, gt)
    own_scores = _scores(txt, img, torch.arange(len(gt)), gt)  # (n_captions,)
    best_own = torch.full((len(img),), -torch.inf).scatter_reduce_(0, gt, own_scores, "amax").numpy()
    share = slice(captions.start, captions.stop)
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
    for rows, columns, near, scores in _blocks(txt[share], img, gt[share], device):
        at_least, equal = counted(near, found.positive_score[rows, None], 1, doubt, scores)
        found.rank[rows] += at_least
        found.tied[rows] |= equal > 0
        at_least, equal = counted(near, best_own[columns], 0, doubt, scores)
        found.image_rank[columns] += at_least
        found.image_tied[columns] |= equal > 0
        row, column, score = _better(near, found.best_other_score[rows], doubt, scores)
        found.best_other[rows.start + row] = columns.start + column
        found.best_other_score[rows.start + row] = score
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

    scores (n, n_images) float32, all images of each query; own (n,) int64: the column of its positive.
    """
    at_least, equal = counted(scores.numpy(), scores.gather(1, own[:, None]).numpy(), 1)
    return at_least, equal > 1  # the positive itself is among both


def counted(
    near: Values,
    positive: np.ndarray,
    dim: int,
    doubt: float | np.ndarray = 0.0,
    scores: Scores | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The rule of ties: how many scores along `dim` are at least the positive's, and how many are exactly it.

    near (n, m) float32; positive float32, (n, 1) for dim 1 and (m,) for dim 0. Both counts are int64, of the
    other dimension. Without `scores` those are what `near` holds. With it, `near` is off by at most `doubt`
    (one number, or one for each positive) from what scores are rounded from, and where that leaves a doubt
    they are computed. Rounding keeps order: what is larger than the next float32 above the positive's score
    rounds to more than that score, and what is smaller than the one below it to less.
    """
    if scores is None:
        positive = _like(near, positive)
        return _count(near >= positive, dim), _count(near == positive, dim)
    mask = near > _like(near, _beyond(positive, doubt, np.inf))
    at_least = _count(mask, dim)
    mask ^= near >= _like(near, _beyond(positive, doubt, -np.inf))  # now those in doubt
    pairs = _pairs(mask)
    score, line = scores(*pairs), pairs[1 - dim]
    threshold = positive.reshape(-1)[line]
    at_least += np.bincount(line[score >= threshold], minlength=len(at_least))
    return at_least, np.bincount(line[score == threshold], minlength=len(at_least))


def _beyond(score: np.ndarray, doubt: float | np.ndarray, way: float) -> np.ndarray:
    """The float32 next to `score` towards `way`, inf or -inf, and `doubt` further.

    Each step rounds outwards: the sum of the real numbers is never beyond the result.
    """
    beyond = np.nextafter(score, way).astype(np.float64) + np.copysign(doubt, way)
    return np.nextafter(np.nextafter(beyond, way).astype(np.float32), way)


def _better(
    near: Values, known: np.ndarray, doubt: float, scores: Scores | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows whose best score is above `known` (n,) float32: row, column (the first of equals) and the score.

    Arguments as for `counted`. A best score is at least that of the largest value in its row: what certainly
    is below this one, or below what is known, is not computed.
    """
    largest = _host(near.max(1) if isinstance(near, np.ndarray) else near.amax(1))
    if scores is None:
        row, column, score = np.arange(len(near)), _host(near.argmax(1)), largest
    else:
        threshold = np.maximum(_beyond(largest, doubt, -np.inf), known)
        # What is left out, at -inf, is below the lowest number there is.
        lowest = np.maximum(_beyond(threshold, doubt, -np.inf), np.finfo(np.float32).min)
        row, column = _pairs(near >= _like(near, lowest[:, None]))
        score = scores(row, column)
        order = np.lexsort((column, -score, row))
        first = order[np.diff(row[order], prepend=-1) > 0]
        row, column, score = row[first], column[first], score[first]
    above = score > known[row]
    return row[above], column[above], score[above]


def _host(values: Values) -> np.ndarray:
    return values if isinstance(values, np.ndarray) else values.cpu().numpy()


def _like(near: Values, values: np.ndarray) -> Values:
    """Values as what `near` is, on the same device."""
    return values if isinstance(near, np.ndarray) else torch.from_numpy(values).to(near.device)


def _count(mask: Values, dim: int) -> np.ndarray:
    """How many along `dim` are true: int64."""
    return np.count_nonzero(mask, axis=dim) if isinstance(mask, np.ndarray) else _host(mask.sum(dim))


def _pairs(mask: Values) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of what is true, row by row."""
    if isinstance(mask, np.ndarray):
        return np.divmod(np.flatnonzero(mask), mask.shape[1])
    return tuple(_host(mask.nonzero().T))


class _Computed:
    """Scores of some pairs of a block: each pair's, or where they are many those of the whole block."""

    def __init__(self, txt: torch.Tensor, img: torch.Tensor):
        self.txt, self.img = txt, img
        self.dense = False  # whether they have been many

    def __call__(self, row: np.ndarray, column: np.ndarray) -> np.ndarray:
        if len(row) * DENSE <= len(self.txt) * len(self.img):
            return _scores(self.txt, self.img, torch.from_numpy(row), torch.from_numpy(column)).numpy()
        self.dense = True
        return self._all[row, column]

    @cached_property
    def _all(self) -> np.ndarray:
        return (self.txt.double() @ self.img.double().T).float().numpy()


def _blocks(
    txt: torch.Tensor, img: torch.Tensor, own: torch.Tensor, device: str
) -> Iterator[tuple[slice, slice, Values, Scores | None]]:
    """Pairs of BLOCK captions and GALLERY_BLOCK images at a time: rows, columns, and what `counted` takes.

    own (n_captions,): the image row of each caption. That pair is at -inf: neither direction may count it.
    Once many of a block were in doubt, as with a model that puts all in one place, scores of those after it
    are computed at once: None.

    Columns come in ascending order for each row, so that the first of equal maxima is found. All blocks share
    one buffer, and `count` puts its results into arrays made beforehand: small results kept between large
    temporary ones stop the allocator from reusing memory (2.5 GB at COCO's size).
    """
    buffer = torch.empty(min(BLOCK, len(txt)) * min(GALLERY_BLOCK, len(img)), device=device)
    dense = False
    for first in range(0, len(img), GALLERY_BLOCK):
        columns = slice(first, min(first + GALLERY_BLOCK, len(img)))
        gallery = img[columns].to(device).T
        for start in range(0, len(txt), BLOCK):
            rows = slice(start, min(start + BLOCK, len(txt)))
            part, n, m = txt[rows].to(device), rows.stop - start, gallery.shape[1]
            near = buffer[: n * m].view(n, m)
            if dense:
                near.copy_(part.double() @ gallery.double())
            else:
                torch.mm(part, gallery, out=near)
            inside = torch.nonzero((own[rows] >= first) & (own[rows] < columns.stop))[:, 0]
            near[inside.to(device), (own[rows][inside] - first).to(device)] = -torch.inf
            scores = None if dense else _Computed(txt[rows], img[columns])
            yield rows, columns, near.numpy() if device == "cpu" else near, scores
            dense = dense or scores.dense


def _scores(txt: torch.Tensor, img: torch.Tensor, row: torch.Tensor, column: torch.Tensor) -> torch.Tensor:
    """Scores of pairs, captions `row` (k,) with images `column` (k,): (k,) float32."""
    result = torch.empty(len(row))
    for start in range(0, len(row), BLOCK):
        pairs = slice(start, start + BLOCK)
        result[pairs] = (txt[row[pairs]].double() * img[column[pairs]].double()).sum(1).float()
    return result


def _doubt(txt: torch.Tensor, img: torch.Tensor, gt: torch.Tensor) -> float:
    """How far a product in float32 may be from what its score is rounded from: the bound at the file's top.

    With one step more than the sum has: that covers what scores and lengths themselves are off by, for steps
    of float64 are 2^29 times smaller. Raises ValueError as `rank` says.
    """
    if txt.ndim != 2 or img.ndim != 2 or txt.shape[1] != img.shape[1] or gt.shape != txt.shape[:1]:
        raise ValueError(
            f"shapes don't fit: txt {tuple(txt.shape)}, img {tuple(img.shape)}, gt {tuple(gt.shape)}"
        )
    if len(gt) and not (0 <= int(gt.min()) and int(gt.max()) < len(img)):
        raise ValueError(f"gt must hold image rows, 0..{len(img) - 1}")
    longest = _longest(txt) * _longest(img)
    if not longest < 2.0**126:  # true for nan, too
        raise ValueError("embeddings hold values that are not finite, or too large to be compared")
    step = 2.0**-24 * (txt.shape[1] + 1)
    # What is too small for float32 to hold, of each product.
    lost = 2.0**-126 * txt.shape[1]
    # Some installations of torch round what they multiply, to TF32 or to bfloat16 (2^-8 in each of two).
    rounded = 0.0 if torch.get_float32_matmul_precision() == "highest" else 2.0**-6
    return longest * (step / (1 - step) + rounded) + lost


def _longest(rows: torch.Tensor) -> float:
    """The largest length of a row; nan where a value is not finite."""
    # In blocks: over all at once it takes twice the memory of what it looks at.
    lengths = [torch.linalg.vector_norm(part.double(), dim=1) for part in rows.split(BLOCK)]
    return float(torch.cat(lengths).max()) if len(rows) else 0.0
