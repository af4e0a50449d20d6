"""What a model retrieved, as evaluators elsewhere read it: a TREC run and the judgments that go with it.

    run.trec.gz   <caption id> Q0 <image id> <place> <score> <tag>     first K images of each caption
    qrels.trec    <caption id> 0 <image id> 1                          the caption's own image

Ties. trec_eval orders equal scores by the names of images, and keeps scores in float32; here an equal score
ranks above the caption's own image. So its own image is listed last among equals, the others by their row,
and a score that is not below the one before it is lowered to the next float32 below. Places are then what
`ranking` counts, and any tool gives the recall and the reciprocal rank that baseline.json has.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common import files
from common.heavy import torch
from common.retrieval import meta, runs
from common.retrieval.cache import Cache
from common.retrieval.ranks import Ranks

RUN, QRELS = "run.trec.gz", "qrels.trec"
SCORES = 4_000_000  # at once: 32 MB in float64


def write(folder: Path, frozen: Cache, found: Ranks, k: int) -> list[Path]:
    """Write the first `k` images of each caption, and the judgments; returns both paths.

    `found`: the cache's ranks. The same cache gives the same bytes.
    """
    content = frozen.meta
    depth = min(k, len(frozen.img))
    tag = runs.tag_of(meta.stem(content.num_images, content.model), content, runs.digest_of(found, depth))
    buffer = io.BytesIO()
    # Without a name and a time, which would be other bytes each time.
    with gzip.GzipFile("", "wb", fileobj=buffer, mtime=0) as run:
        for idx, images, scores in best(frozen, found, depth):
            head = f"{content.caption_ids[idx]} Q0 "
            listed = zip(images.tolist(), scores.tolist(), strict=True)
            run.write(
                "".join(
                    f"{head}{content.sampled_img_ids[image]} {place} {score:.9g} {tag}\n"
                    for place, (image, score) in enumerate(listed, 1)
                ).encode("ascii")
            )
    judged = zip(content.caption_ids, content.gt_img_index, strict=True)
    qrels = "".join(f"{caption} 0 {content.sampled_img_ids[row]} 1\n" for caption, row in judged)
    files.write_bytes(folder / RUN, buffer.getbuffer())
    files.write_bytes(folder / QRELS, qrels.encode("ascii"))
    return [folder / RUN, folder / QRELS]


def best(frozen: Cache, found: Ranks, depth: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Of each caption idx, its first images (depth,) int64, and their scores (depth,) float32, falling."""
    gallery, n = frozen.img.double().T, len(frozen.gt)
    step = max(1, SCORES // gallery.shape[1])
    with tqdm(total=n, desc="run", disable=None, leave=False) as bar:
        for start in range(0, n, step):
            scores = torch.mm(frozen.txt[start : start + step].double(), gallery).float().numpy()
            for idx, row in enumerate(scores, start):
                own = frozen.gt[idx]
                row[own] = found.positive_score[idx]
                order = np.argsort(-row, kind="stable")  # equal scores in the order of their rows
                if found.tied[idx]:
                    order = np.lexsort((np.arange(len(row)) == own, -row))
                yield idx, order[:depth], falling(row[order[:depth]])
            bar.update(len(scores))


def falling(scores: np.ndarray) -> np.ndarray:
    """Scores (n,) float32 in descending order, each lowered as little as puts it below the one before it.

    >>> falling(np.float32([0.5, 0.25, 0.25]))
    array([0.5       , 0.25      , 0.24999999], dtype=float32)
    """
    scores = scores.copy()
    for place in np.flatnonzero(np.diff(scores) == 0) + 1:
        # What was lowered can meet the next one.
        while place < len(scores) and scores[place] >= scores[place - 1]:
            scores[place] = np.nextafter(scores[place - 1], np.float32(-np.inf))
            place += 1
    return scores
