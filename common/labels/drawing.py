"""Which failures are labeled, and by whom: the draw, how it is dealt, and what is known of each failure."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common import files, sampling
from common.errors import UserError
from common.labels.manifest import Design
from common.labels.sheets import BACKUP, OVERLAP

SAMPLES = "failure_samples.csv"


class Failure(NamedTuple):
    """A drawn failure: a row of failure_samples.csv, whose columns are these fields."""

    order: int  # its place in the draw, from 1
    part: str  # the sheet that it is on: OVERLAP, an annotator's name, or BACKUP
    idx: int  # row of the caption
    caption_id: int  # of the captions file
    caption: str
    gt_img_idx: int  # row of the caption's own image
    gt_img_id: int
    gt_file_name: str
    pred_img_idx: int  # row of the image that the model ranks first
    pred_img_id: int
    pred_file_name: str
    gt_rank: int  # of the caption's own image, 2 or more
    gt_score: float | None  # cosine of the caption and its own image; None where a run does not list it
    pred_score: float  # cosine of the caption and the image ranked first
    margin: float | None  # the second less the first; 0 is a tie
    tied: bool  # another image has the very score of the caption's own
    provably_ambiguous: bool  # a caption of another image has the same text
    gt_pred_cosine: float | None  # of the two images; None of a run


def draw(failures: np.ndarray, caption_ids: Sequence[int], seed: int) -> list[int]:
    """All failures (idx) in the order in which they are dealt: by SHA-256 of "<seed>:<caption id>".

    failures (n_failures,) int64. Another machine that ranks a borderline caption otherwise draws the same
    sample but for that one.
    """
    return sampling.hashed_order(failures, caption_ids, seed).tolist()


def deal(order: list[int], design: Design) -> dict[str, list[int]]:
    """Part (OVERLAP, an annotator's name, BACKUP) -> its failures (idx), dealt from the front.

    Parts of size 0 are left out. Raises UserError where there are fewer failures than asked for.
    """
    check_sizes(len(order), design)
    parts, start = {}, 0
    for part, size in _sizes(design).items():
        if size:
            parts[part] = order[start : start + size]
        start += size
    return parts


def check_sizes(n_failures: int, design: Design) -> None:
    """Raise UserError where there are fewer failures than a design asks for."""
    total = sum(_sizes(design).values())
    if not n_failures:
        raise UserError(
            "every caption has its own image first (R@1 is 100%), so there is no failure to label or to "
            "explain. Freeze more images, or harder ones: raise NUM_IMAGES of main.py or take another dataset"
        )
    if total > n_failures:
        raise UserError(
            f"SAMPLE_SIZE + BACKUP_SIZE = {design.SAMPLE_SIZE} + {design.BACKUP_SIZE} = {total} failures are "
            f"to be drawn, but there are {n_failures}. What fits: {_fitting(n_failures, total, design)}"
        )


def _sizes(design: Design) -> dict[str, int]:
    """Part -> how many failures are on it, in the order in which they are dealt."""
    own = dict.fromkeys(design.ANNOTATORS, design.PER_ANNOTATOR)
    return {OVERLAP: design.OVERLAP_SIZE, **own, BACKUP: design.BACKUP_SIZE}


def _fitting(n: int, total: int, design: Design) -> str:
    """Options that draw at most `n` failures, dealt in about the proportions of a design of `total`."""
    names = len(design.ANNOTATORS)
    overlap, each, backup = (
        size * n // total for size in (design.OVERLAP_SIZE, design.PER_ANNOTATOR, design.BACKUP_SIZE)
    )
    if not overlap and not each:  # a handful: everybody labels all of them
        overlap, backup = n, 0
    sizes = {"sample": overlap + each * names, "overlap": overlap, "per-annotator": each, "backup": backup}
    options = (f"--{name}{'' if name == 'per-annotator' else '-size'} {size}" for name, size in sizes.items())
    return " ".join(options)


def write_samples(path: Path, failures: list[Failure]) -> None:
    """Write failure_samples.csv: in the order of the draw, cosines with six decimals."""
    rows = [
        {name: f"{value:.6f}" if isinstance(value, float) else value for name, value in row._asdict().items()}
        for row in failures
    ]
    files.write_csv(path, list(Failure._fields), rows)
