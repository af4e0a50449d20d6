"""Corrections of hubs on embeddings of real photographs: where they help, and where not.

Run:    COCO_DIR=<folder with embeddings_600/ and embeddings_500_clip/> python -m benchmarks.hubs
Prints: R@1 and net effect of each correction, with its published parameters, on two models. The second has no
        bank, so the captions of one half of its images are the bank for those of the other half: no query is
        in its own bank, but the bank's images are in the gallery
"""

import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks._measuring import print_table
from common import say
from common.fixes import net_effect, recipes, rerank
from common.fixes.net_effect import Ranks
from common.fixes.recipes import HUBS, Material
from common.retrieval import cache
from tests.support import coco_600

SEED = 42
PARTS = [part.name for part in recipes.PARTS if part.kind == HUBS]


def of_600(coco_dir: Path) -> tuple[Material, list[tuple[np.ndarray, torch.Tensor]]]:
    """600 photographs, a small dual encoder; queries, with the bank that they are corrected by."""
    with tempfile.TemporaryDirectory() as name:
        frozen = cache.load(coco_600.write_cache(coco_dir, Path(name)))
    bank, _, _ = coco_600.read_bank(coco_dir)
    material = Material(frozen.txt, frozen.img, frozen.meta.captions, frozen.gt)
    return material, [(np.arange(len(frozen.gt)), bank)]


def of_clip(coco_dir: Path) -> tuple[Material, list[tuple[np.ndarray, torch.Tensor]]]:
    """500 photographs with a caption each, a real CLIP; either half with the other one as its bank."""
    folder = coco_dir / "embeddings_500_clip"
    rows = json.loads((folder / "rows.json").read_text(encoding="utf-8"))
    img, txt = (torch.from_numpy(np.load(folder / f"{name}.npy")) for name in ("images", "captions"))
    order = np.random.default_rng(SEED).permutation(len(txt))
    halves = np.sort(order[: len(txt) // 2]), np.sort(order[len(txt) // 2 :])
    material = Material(txt, img, rows["captions"], np.array(rows["gt_img_index"]))
    return material, [(own, txt[other]) for own, other in (halves, halves[::-1])]


def ranks(material: Material, banks: list, name: str | None) -> np.ndarray:
    """Ranks of all queries by a correction, or by plain cosines: (n_captions,) int64."""
    found = np.empty(len(material.gt), np.int64)
    for queries, bank in banks:
        maker = rerank.Maker(Material(material.txt, material.img, material.captions, material.gt, bank), SEED)
        method = maker.make(recipes.parse(name), {}) if name else rerank.Method(maker.plain)
        (ranked,) = rerank.rank([method], queries, material.gt)
        found[queries] = ranked.rank
    return found


def main() -> None:
    if not os.environ.get("COCO_DIR"):
        sys.exit("set COCO_DIR to a folder that holds embeddings_600/ and embeddings_500_clip/")
    for make in (of_600, of_clip):
        material, banks = make(Path(os.environ["COCO_DIR"]))
        before = ranks(material, banks, None)
        sizes = int((before > 1).sum()), int((before == 1).sum())
        print(f"\n{make.__doc__.split(';')[0]}: R@1 {say.share(float(np.mean(before == 1)))}\n")
        rows = []
        for name in PARTS:
            after = ranks(material, banks, name)
            found = net_effect.effect(Ranks(before, after, material.gt), sizes, 1, SEED)
            points = (100 * each for each in (found.value, found.low, found.high))
            effect = say.points(*points).replace(" points", "")
            rows.append([f"`{name}`", say.share(float(np.mean(after == 1))), effect])
        print_table(["correction", "R@1", "net effect, points [95%]"], rows)


if __name__ == "__main__":
    main()
