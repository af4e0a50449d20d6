"""The ranks of a cache: counted once, frozen, and from then on only read.

torch is used where something has to be counted, and nowhere else: a step that finds ranks frozen needs none.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from common import files
from common.errors import UserError
from common.heavy import torch
from common.retrieval import cache, distributed, ranking, ranks
from common.retrieval.cache import Cache
from common.retrieval.distributed import Team
from common.retrieval.meta import Meta
from common.retrieval.ranks import Ranks
from common.settings import shown

BLOCK = 8192  # captions at once


def of(meta_file: Path, content: Meta) -> Ranks:
    """The ranks of a cache, for every step but the first. `content`: what its meta file holds.

    Those of a cache that an earlier version made are counted now, and frozen. Raises UserError as
    `ranks.read` does, and where they have to be counted and torch is not installed.
    """
    found = ranks.read(meta_file, content)
    if found is not None:
        return found
    if content.fingerprints.run:
        raise UserError(f"{shown(meta_file)}: the ranks of its run were not found, so {ranks.AGAIN}")
    try:
        torch.__version__  # noqa: B018  (to use it is to import it)
    except ImportError as error:
        raise UserError(
            f"{shown(meta_file)}: no ranks of this version were found, and counting them needs a package "
            f"that is not installed here ({error.name}): run `python main.py` once where it is"
        ) from error
    return _count(cache.load(meta_file), "cpu", distributed.ALONE)


def freeze(frozen: Cache, device: str, team: Team) -> Ranks:
    """The ranks of a cache, for step 1: read where they are frozen, else counted on `device` and frozen.

    What other steps refuse sends people here, so ranks of another cache or damaged ones are counted again.
    """
    found = None
    if team.leads:  # of several processes one looks, and all know
        try:
            found = ranks.read(frozen.meta_file, frozen.meta)
        except UserError:
            found = None
    found = team.gather(found)[0]
    return _count(frozen, device, team) if found is None else found


def _count(frozen: Cache, device: str, team: Team) -> Ranks:
    """Count, and let the leader write."""
    counted = ranking.rank(frozen.txt, frozen.img, frozen.gt, device, team)
    found = Ranks(
        **vars(counted),
        own_other_cosine=_cosines(frozen, counted.best_other),
        depth=np.full(len(frozen.gt), len(frozen.img)),
    )
    if team.leads:
        ranks.write(frozen.meta_file, frozen.meta, found, files.versions("torch", "numpy"))
    return found


def _cosines(frozen: Cache, other: np.ndarray) -> np.ndarray:
    """The cosine of each caption's own image and another one: (n_captions,) float64.

    other (n_captions,) int64: image rows. In float64, so that the sixth decimal is the same on every machine.
    """
    cosines = np.empty(len(other))
    img = frozen.img.numpy()
    for start in range(0, len(other), BLOCK):
        rows = slice(start, start + BLOCK)
        own, best = (img[index[rows]].astype(np.float64) for index in (frozen.gt, other))
        cosines[rows] = np.einsum("nd,nd->n", own, best)
    return cosines
