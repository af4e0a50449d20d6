"""A study of step 6: synthetic embeddings with hubs, a bank of captions of other images, labels."""

import csv
import json
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import normalize

from common.labels import merged
from common.labels.taxonomy import CATEGORY_NAMES
from common.retrieval import cache, meta, ranking

IMAGES, CAPTIONS = 60, 3


class HubStudy:
    """A cache, a bank and folders."""

    def __init__(self, root: Path):
        self.root, self.cache, self.bank = root, root / "cache", root / "bank.npz"
        self.failures, self.results = root / "failures", root / "results"

    def options(self, *further) -> list:
        own = {"cache-dir": self.cache, "failure-dir": self.failures, "result-dir": self.results}
        return [*(f"--{name}={value}" for name, value in (own | {"bank-file": self.bank}).items()), *further]

    def index(self) -> dict:
        return json.loads((self.results / "net_effects.json").read_text(encoding="utf-8"))

    def methods(self) -> dict[tuple, dict]:
        """(method, pooling) -> the result of each method of the last run."""
        read = [
            json.loads((self.results / name).read_text(encoding="utf-8")) for name in self.index()["cells"]
        ]
        return {(method["method"], method["pooling"]): method for method in read}

    def sets(self) -> dict[tuple, dict]:
        """(method, pooling, set) -> what the last run measured there."""
        return {
            (*key, found["categories"]): found
            for key, method in self.methods().items()
            for found in method["sets"]
        }

    def ranks(self, method: str, pooling: str = "none", name: str | None = None) -> list[dict]:
        """Rows of a method's CSV or, with `name`, those of one set of queries."""
        result = self.methods()[method, pooling]
        rows = read_csv(self.results / "cells" / result["ranks_file"])
        if name is None:
            return rows
        (found,) = (each for each in result["sets"] if each["categories"] == name)
        source = found["category_of_query"] or ""
        return [row for row in rows if name in row["sets"].split() and row["category_of_query"] == source]

    def bytes(self) -> dict[str, bytes]:
        """Name -> content of everything that was written, a leftover of a kill aside."""
        files = (path for path in sorted(self.results.rglob("*")) if path.is_file())
        return {
            str(path.relative_to(self.results)): path.read_bytes() for path in files if path.suffix != ".tmp"
        }

    def write_labels(self, rows: list[tuple[int, str, str]]) -> None:
        """annotations_clean.csv of (idx, caption, category)."""
        self.failures.mkdir(parents=True, exist_ok=True)
        blank = dict.fromkeys(merged.Labeled._fields, "") | {
            "gt_img_idx": 0,
            "pred_img_idx": 0,
            "n_raters": 1,
        }
        with open(self.failures / merged.CLEAN, "w", encoding="utf-8-sig", newline="") as file:
            writer = csv.DictWriter(file, merged.Labeled._fields)
            writer.writeheader()
            for idx, caption, category in rows:
                writer.writerow(blank | {"idx": idx, "caption": caption, "category": category})

    def baseline(self) -> tuple[ranking.Ranking, meta.Meta]:
        frozen = cache.load(meta.find(self.cache))
        return ranking.rank(frozen.txt, frozen.img, frozen.gt), frozen.meta

    def label_some(self, per_category: int = 5) -> list[tuple[int, str, str]]:
        """Label failures, every category in turn."""
        found, content = self.baseline()
        failures = np.flatnonzero(found.rank > 1)[: per_category * len(CATEGORY_NAMES)].tolist()
        rows = [(idx, content.captions[idx], CATEGORY_NAMES[n % 7]) for n, idx in enumerate(failures)]
        self.write_labels(rows)
        return rows


def write(root: Path, seed: int = 0, images: int = IMAGES) -> HubStudy:
    """Synthetic embeddings with hubs, and a bank of captions of other images."""
    study = HubStudy(root)
    random = torch.Generator().manual_seed(seed)
    shared = torch.randn(24, generator=random)
    hub = torch.rand(images, 1, generator=random)
    img = normalize(torch.randn(images, 24, generator=random) + hub * shared, dim=1)
    gt = np.repeat(np.arange(images), CAPTIONS)
    txt = normalize(2.2 * img[gt] + torch.randn(len(gt), 24, generator=random) + 0.3 * shared, dim=1)
    words = "red blue small big dog cat table street man woman boat tree".split()
    texts = [f"a {words[n % 12]} and a {words[n // 12 % 12]} on a {words[n * 7 % 11]}" for n in range(500)]
    content = meta.Meta(
        seed=3,
        num_images=images,
        captions_per_image=CAPTIONS,
        model="nowhere",
        revision="1",
        processor="",
        dtype="float32",
        image_folder="",
        bundled_sample=False,
        versions={},
        fingerprints=meta.Fingerprints(),
        sampled_img_ids=list(range(images)),
        file_names=[f"{n}.jpg" for n in range(images)],
        caption_ids=list(range(1000, 1000 + len(gt))),
        captions=texts[: len(gt)],
        gt_img_index=gt.tolist(),
    )
    cache.write(study.cache, img, txt, content)
    bank = normalize(torch.randn(300, 24, generator=random) + 0.3 * shared, dim=1)
    write_bank(study.bank, bank, texts[200:])  # none of them is a query's
    return study


def write_bank(path: Path, rows: torch.Tensor, texts: list[str], first_image: int = 5000) -> None:
    ids = np.arange(first_image, first_image + len(rows))
    about = {"model": np.array("nowhere"), "revision": np.array("1")}
    np.savez(path, embeddings=rows, caption_ids=9000 + ids, image_ids=ids, captions=np.array(texts), **about)


def read_csv(path: Path) -> list[dict]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))
