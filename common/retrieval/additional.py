"""R@1 with verified positives: captions' further images that people found to fit, counted as right too.

People judge some of the images that were retrieved, so what is not among the pairs may fit too: with them R@1
is a lower bound of what it would be if every fitting image counted.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from common import files, say, statistics
from common.errors import UserError
from common.records import Record
from common.retrieval import meta
from common.retrieval.meta import Meta, Rows
from common.settings import shown

QRELS = "verified_positives.qrels"  # of step 4, in the folder of the failures


class Additional(Record):
    """R@1, text to image, where verified pairs count as right next to each caption's own image."""

    file: str  # the pairs, as a message shows it
    sha256: str
    pairs: int  # of a caption and an image of this cache, the caption's own aside
    other_pairs: int  # of captions or images that this cache doesn't have
    gained: int  # captions that are right by them alone
    value: float  # R@1, between 0 and 1
    low: float  # of its 95 % interval, clustered by image
    high: float

    @property
    def sentence(self) -> str:
        """The same in words."""
        pairs, right = say.items(self.pairs, "verified pair"), say.share(self.value, self.low, self.high)
        return f"R@1 >= {right} if {pairs} of {self.file} count as right too: a lower bound, few were judged"


def read(path: Path) -> list[tuple[int, int]]:
    """(caption id, image id) of the pairs in TREC's judgments that are relevant; raises UserError."""
    pairs = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        cells = line.split()
        try:
            caption, _, image, relevance = map(int, cells)
        except ValueError as error:
            raise UserError(
                f"{shown(path)} line {number}: {line[:60]!r} is not `caption id, 0, image id, 1`: restore "
                "the file, or run `python merge_assignments.py` again"
            ) from error
        if relevance > 0:
            pairs.append((caption, image))
    return pairs


def first_is_verified(best_other: np.ndarray, rows: Rows, pairs: Iterable[tuple[int, int]]) -> np.ndarray:
    """Of each caption, whether the best image but its own is a verified positive: (n_captions,) bool.

    best_other (n_captions,) int: image rows; pairs: (caption id, image id).
    """
    verified = set(pairs)
    first = (rows.sampled_img_ids[image] for image in best_other)
    return np.array([pair in verified for pair in zip(rows.caption_ids, first, strict=True)], dtype=bool)


def measure(rank: np.ndarray, best_other: np.ndarray, rows: Rows | Meta, path: Path) -> Additional:
    """R@1 with the pairs of a file. rank (n_captions,): 1 = own image first; best_other as above."""
    pairs, own = set(read(path)), np.array(rows.gt_img_index)
    captions, images = set(rows.caption_ids), set(rows.sampled_img_ids)
    own_pairs = zip(rows.caption_ids, (rows.sampled_img_ids[image] for image in own), strict=True)
    pairs -= set(own_pairs)
    here = {(caption, image) for caption, image in pairs if caption in captions and image in images}
    # A tie counts as an error there, so here too: whichever image is named first then has to be verified.
    right = (rank == 1) | first_is_verified(best_other, rows, here)
    low, high = statistics.clustered_share(right, own)
    counts = {"pairs": len(here), "other_pairs": len(pairs) - len(here)}
    gained = int(right.sum() - (rank == 1).sum())
    interval = {"value": float(right.mean()), "low": float(low), "high": float(high)}
    return Additional(
        file=shown(path), sha256=files.file_fingerprint(path), **counts, gained=gained, **interval
    )


def of(rank: np.ndarray, best_other: np.ndarray, content: Meta, failure_dir: Path) -> Additional | None:
    """The same with the pairs in the failures' folder of a cache; None where there are none."""
    path = meta.own_folder(failure_dir, content) / QRELS
    return measure(rank, best_other, content, path) if path.is_file() else None
