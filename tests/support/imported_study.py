"""The study of 600 photographs from vectors that were made elsewhere: `conftest` has the fixture."""

from pathlib import Path

from common import files
from common.labels import sheets
from common.labels.taxonomy import CATEGORY_NAMES
from common.retrieval import meta
from tests.support import coco_600, summary_study
from tests.support.folders import Folders

DRAW = "--annotators A,B --sample-size 24 --overlap-size 8 --per-annotator 8 --backup-size 0".split()


def whole(coco_dir: Path, root: Path) -> Folders:
    """All steps: imported, drawn, labeled, merged, improved by what needs no text tower, summarized."""
    study = Folders(root)
    data = ["--image-dir", coco_dir / "val2017"]
    data += ["--annotation-file", coco_dir / "annotations" / "captions_val2017_600.json"]
    _run(study, "main.py", "cache result", *data, "--embeddings-dir", coco_dir / "embeddings_600")
    content = meta.read(meta.find(study.cache))
    bank = coco_600.write_bank(coco_dir, root / "bank.npz", content.model, content.revision)
    _run(study, "failure.py", "cache failure", *DRAW)
    label(study)
    _run(study, "merge_assignments.py", "cache failure", "--bootstrap-rounds", 50)
    improve = ["--methods", "nnn,prompts", "--bank-file", bank]
    _run(study, "improve_subset.py", "cache failure result", *improve)
    _run(study, "summarize_result.py", "cache failure result")
    return study


def label(study: Folders) -> None:
    """Fill in every sheet: everybody gives an item the same label, by its idx."""
    for path in study.failures.glob("assign_*.csv"):
        rows = files.read_csv(path, sheets.COLUMNS, "")
        labeled = [{**row, "category": CATEGORY_NAMES[int(row["idx"]) % 7]} for row in rows]
        sheets.write_csv(path, labeled)


def _run(study: Folders, script: str, names: str, *options) -> None:
    status, study.said[script], err = summary_study.run(
        script, *study.options(*names.split()), *options, draw=summary_study.drawn_blank
    )
    assert (status, err) == (0, ""), f"{script}: {err}"
