"""A run as a cache without embeddings: its rows, and the ranks that its scores give.

Steps 2 to 5 read it like any other. A run that this project exported and nobody changed is taken for the
cache that it came from: its failures are the same, and so are the labels that people gave them.
"""

from __future__ import annotations

import contextlib

import numpy as np

from common import files, records
from common.errors import UserError
from common.heavy import torch
from common.retrieval import freezing, meta, ranking, ranks, runs
from common.retrieval.coco import Sample
from common.retrieval.evaluation import BASELINE
from common.retrieval.freezing import Data, Frozen, Wanted
from common.retrieval.ranks import Ranks
from common.retrieval.runs import Run

BLOCK = 4096  # captions at once
DTYPE = "unknown"


def freeze(data: Data, sample: Sample, wanted: Wanted, run: Run) -> Frozen:
    """Write the rows and ranks of a run, or find that they are there already.

    Raises UserError where the files there are of another run, other data or other settings.
    """
    found = ranks_of(run, np.array(sample.gt_img_index), len(sample.image_ids))
    identity = freezing.identify(data, sample, wanted, source=None)
    identity = identity._replace(dtype=DTYPE, run=run.fingerprint)
    versions = files.versions("numpy")
    content = freezing.meta_of(data, sample, identity, model=f"run {run.name}", versions=versions)
    further = {"rows": identity.rows, "exported_from": _exported_from(run, found)}
    content = records.replace(content, fingerprints=records.replace(content.fingerprints, **further))
    meta_file = data.cache_dir / f"meta_{meta.stem(content.num_images, content.model)}.json"
    freezing.refuse_other_baseline(data.result_dir / BASELINE, meta_file)
    there = meta_file.is_file()
    if there:
        freezing.refuse_another(meta_file, identity, data.image_dir)
    whole = None
    with contextlib.suppress(UserError):  # damaged ones are written again
        whole = ranks.read(meta_file, content) if there else None
    if whole is None:
        ranks.write(meta_file, content, found, files.versions("torch", "numpy"))
        records.write(meta_file, content)
    return Frozen(meta_file, not there, [], [])


def ranks_of(run: Run, gt: np.ndarray, n_images: int) -> Ranks:
    """Ranks by the rule of `ranking`, of what a run lists; gt (n_captions,): the image row of each caption.

    A caption's own image that is not listed gets the last rank of all, which no measure can profit from.
    Nothing is known of images as queries, nor of the cosine of two images.
    """
    n = len(gt)
    start = np.searchsorted(run.caption, np.arange(n + 1))
    depth, listed = np.diff(start), np.zeros(n, dtype=bool)
    rank, tied, best = np.full(n, n_images), np.zeros(n, dtype=bool), np.full(n, -1)
    own_score, best_score = (np.full(n, np.nan, dtype=np.float32) for _ in range(2))
    place = np.arange(len(run.caption)) - start[run.caption]  # of an entry in its caption's list
    for first in range(0, n, BLOCK):
        block = slice(start[first], start[min(first + BLOCK, n)])
        queries = np.arange(first, min(first + BLOCK, n))
        shape, at = (len(queries), depth[queries].max()), (run.caption[block] - first, place[block])
        scores, rows = np.full(shape, -np.inf), np.full(shape, -1)
        scores[at], rows[at] = run.score[block], run.image[block]
        is_own = rows == gt[queries, None]
        listed[queries] = is_own.any(1)
        has, own = queries[is_own.any(1)], is_own.argmax(1)[is_own.any(1)]
        inside = torch.from_numpy(scores[is_own.any(1)])
        rank[has], tied[has] = ranking.positive_ranks(inside, torch.from_numpy(own))
        own_score[has] = scores[is_own]
        scores[is_own] = -np.inf
        first_other = scores.argmax(1)  # the lowest row among equals, since lists are by row
        value = scores[np.arange(len(queries)), first_other]
        best[queries] = np.where(value > -np.inf, rows[np.arange(len(queries)), first_other], -1)
        best_score[queries] = np.where(value > -np.inf, value, np.nan)
    return Ranks(
        rank=rank,
        tied=tied,
        positive_score=own_score,
        best_other=best,
        best_other_score=best_score,
        image_rank=np.zeros(n_images, dtype=np.int64),
        image_tied=np.zeros(n_images, dtype=bool),
        own_other_cosine=np.full(n, np.nan),
        depth=depth,
    )


def _exported_from(run: Run, found: Ranks) -> str | None:
    """The fingerprint of the cache whose export a run is; None for any other run, or a changed export."""
    if run.made_from is None or run.left_out or found.depth.min() != found.depth.max():
        return None
    fingerprint, digest = run.made_from
    return fingerprint if runs.digest_of(found, int(found.depth[0])) == digest else None
