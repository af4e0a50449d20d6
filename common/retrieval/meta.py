"""The meta file of a frozen cache: which rows it holds and what made them. Read without torch.

A cache is three files that carry one stem: `img_<n>_<model>.pt`, `txt_<n>_<model>.pt` and
`meta_<n>_<model>.json`. The meta file is written last: where it stands, the other two are whole.
"""

import json
import re
from pathlib import Path

from common import files
from common.errors import UserError, list_rows
from common.settings import shown

# What a later step may rely on. `captions` and `gt_img_index` have one entry a caption row (idx),
# `sampled_img_ids` and `file_names` one an image row.
FIELDS = (
    "seed",
    "num_images",
    "captions_per_image",
    "model",
    "revision",
    "processor",
    "dtype",
    "image_folder",
    "bundled_sample",
    "fingerprints",
    "versions",
    "sampled_img_ids",
    "file_names",
    "caption_ids",
    "captions",
    "gt_img_index",
)
SAMPLE_FOLDER = "sample"


def stem(num_images: int, model: str) -> str:
    """What the names of a cache's files share: `5000_openai_clip-vit-base-patch32`."""
    return f"{num_images}_" + re.sub(r"[^A-Za-z0-9.-]+", "_", model).strip("_.")


def find(cache_dir: Path) -> Path:
    """The meta file of the one cache in a folder or, where that holds none, in its `sample` folder.

    A path of a meta file itself is accepted, which chooses among several. Raises UserError where there is
    no cache, and where there are several.
    """
    cache_dir = Path(cache_dir)
    if cache_dir.is_file():
        return cache_dir
    for folder in (cache_dir, cache_dir / SAMPLE_FOLDER):
        found = sorted(folder.glob("meta_*.json"))
        if len(found) == 1:
            return found[0]
        if found:
            raise UserError(
                f"{shown(folder)}/ holds {len(found)} caches; say which one is meant, for example "
                f"`--cache-dir {shown(found[0])}`:\n{list_rows([path.name for path in found])}"
            )
    raise UserError(f"{shown(cache_dir)}/ holds no cache: run `python main.py` first")


def read(meta_file: Path) -> dict:
    """Read and check a meta file. Raises UserError where a field is missing or its rows were changed."""
    meta = files.read_json(meta_file)
    missing = [field for field in FIELDS if field not in meta]
    if missing:
        raise UserError(
            f"{shown(meta_file)} lacks {', '.join(missing)}: it isn't this version's. "
            "Move it and the .pt files beside it away, then run `python main.py`"
        )
    if meta["fingerprints"]["rows"] != rows_fingerprint(meta):
        raise UserError(
            f"{shown(meta_file)} was changed after it was written: its rows (ids, file names, captions) "
            "don't match its own fingerprint. Restore it from a copy, or move the cache away and run "
            "`python main.py`"
        )
    return meta


def rows_fingerprint(meta: dict) -> str:
    """SHA-256 of what each row stands for: image ids, file names, caption ids, captions, positives."""
    rows = [meta[field] for field in FIELDS[FIELDS.index("sampled_img_ids") :]]
    return files.fingerprint(json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode("utf-8"))


def fingerprint(meta: dict) -> str:
    """The identity of a cache, 16 hexadecimal digits: its rows and both tensors."""
    parts = "".join(meta["fingerprints"][part] for part in ("rows", "img", "txt"))
    return files.fingerprint(parts.encode("ascii"))[:16]


def own_folder(folder: Path, meta: dict) -> Path:
    """Where a step writes for this cache: the bundled sample has a folder of its own, never mixed."""
    return Path(folder) / SAMPLE_FOLDER if meta["bundled_sample"] else Path(folder)
