"""Embeddings whose plain cosines rank as a correction of hubs does, as a cache of another model."""

from pathlib import Path

import torch

from common import records
from common.fixes.hubness import Correction
from common.retrieval import cache
from common.retrieval.cache import Cache


def write(folder: Path, frozen: Cache, correction: Correction, model: str = "baked") -> Path:
    """Write a cache of the same rows in which t v - off is a query's cosine, but for one factor.

    t becomes (t, 1, 0) and v (v, -off, rest), each brought to length 1; `rest` makes all v equally long, so
    that no image is scaled in another way than its neighbors. Returns the meta file.
    """
    off = correction.off
    txt, img = frozen.txt.double(), frozen.img.double()
    longest = 1.0001 * (1 + off.max().abs() ** 2).sqrt()
    rest = (longest**2 - img.norm(dim=1) ** 2 - off**2).sqrt()
    img = torch.cat([img, -off[:, None], rest[:, None]], dim=1) / longest
    txt = torch.cat([txt, torch.ones(len(txt), 1), torch.zeros(len(txt), 1)], dim=1) / 2**0.5
    return cache.write(folder, img, txt, records.replace(frozen.meta, model=model))
