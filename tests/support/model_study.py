"""A small study that a model labeled too: label_task.jsonl of all failures, and the model's answers."""

from pathlib import Path

from common import files
from common.labels import drawn, label_task, model_labels
from common.labels.drawing import Failure
from common.retrieval import meta
from tests.support import merge_folder as study

NOTE = {"model": "tiny-vlm 1.0", "prompt": "0123456789abcdef", "date": "2026-11-25"}
# The order of the draw: people got the first ones, and every caption is a failure.
ORDER = [idx for part in study.PARTS.values() for idx in part]
ORDER += [idx for idx in range(study.N) if idx not in ORDER]


def failure(idx: int) -> Failure:
    """A failure of which a task needs nothing but these."""
    names = {"gt_file_name": f"{study.positive(idx)}.jpg", "pred_file_name": f"{study.predicted(idx)}.jpg"}
    return Failure(**dict.fromkeys(Failure._fields) | study.item(idx) | names)


class Folder(study.Folder):
    """A study with a manifest, and with a task that a model answers."""

    def __init__(self, root: Path):
        super().__init__(root)
        cache = meta.read(meta.find(root / "cache")).fingerprint
        study.write_manifest(self.path, cache, study.N)
        label_task.write(self.path / label_task.NAME, list(map(failure, ORDER)), Path("/photos"), cache)

    def answer(
        self, labels: dict[int, str], rows: list[dict] | None = None, note: dict | None = NOTE
    ) -> None:
        """model_labels.csv and .json; rows follow those of `labels`."""
        answers = [
            {"idx": idx, "caption": study.CAPTIONS[idx], "category": category}
            for idx, category in labels.items()
        ]
        files.write_csv(self.path / model_labels.NAME, label_task.COLUMNS, answers + (rows or []))
        if note is not None:
            files.write_json(self.path / model_labels.NOTE, note)

    def read(self) -> model_labels.Reading:
        return model_labels.read(drawn.read(self.root / "cache", self.path))

    def faults(self) -> list[str]:
        """What is wrong with the answers, a text each."""
        found = self.read()
        assert found.labels is None
        return [f"{one.row} {one.column} {one.value}: {one.what}" for one in found.findings]
