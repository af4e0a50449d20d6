"""Small probes in SugarCrepe's format, and the published one where it is next to COCO_DIR."""

import json
from pathlib import Path

import pytest

from common.retrieval.probe_items import KINDS

TYPES = [kind.name for kind in KINDS if kind.size]


def published(coco_dir: Path) -> Path:
    """The folder of the authors' files; the test is skipped without it."""
    folder = coco_dir.parent / "sugarcrepe"
    if not folder.is_dir():
        pytest.skip("SugarCrepe's files were not found next to COCO_DIR")
    return folder


def write(folder: Path, items: dict[str, list[tuple[str, str, str]]]) -> Path:
    """Write items (file name, caption, negative caption) of each type; of any other type one of no image."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in {*TYPES, *items}:
        rows = items.get(name, [("none.jpg", "a dog", "a cat")])
        content = {
            str(key): dict(zip(("filename", "caption", "negative_caption"), row, strict=True))
            for key, row in enumerate(rows)
        }
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder
