"""What was drawn for labelling, and what every handed-in row is checked against."""

from pathlib import Path
from typing import NamedTuple

from common import files
from common.errors import UserError
from common.labels import same_caption, sheet_reader, spellings
from common.labels.ratings import Known
from common.retrieval import meta
from common.settings import shown

SAMPLES = "failure_samples.csv"
NEEDED = ("idx", "caption", "gt_img_idx", "pred_img_idx")
MANIFEST = "manifest.json"


class Study(NamedTuple):
    """A failure folder with what is known of its items.

    `parts`: idx -> the sheet it was drawn for (`A`, `overlap`, `backup`). `sources`: file -> SHA-256.
    """

    folder: Path
    known: Known
    parts: dict[int, str]
    seed: int
    sources: dict[str, str]
    notes: list[str]

    @property
    def annotators(self) -> list[str]:
        """Those for whom a sheet of their own was drawn."""
        return sorted(set(self.parts.values()) - {"overlap", "backup", ""})


def read(cache_dir: Path, failure_dir: Path) -> Study:
    """Captions and image rows from the cache's meta file or, without a cache, from failure_samples.csv.

    Raises UserError where neither is there, and where the two don't belong together.
    """
    if meta.find_or_none(cache_dir) is None:
        for folder in meta.places(failure_dir):
            if (folder / SAMPLES).is_file():
                return _without_cache(folder)
    meta_file = meta.find(cache_dir)
    cache = meta.read(meta_file)
    folder = meta.own_folder(failure_dir, cache)
    texts = dict(enumerate(cache.captions))
    positives = dict(enumerate(cache.gt_img_index))
    sources, notes, samples = {shown(meta_file): files.file_fingerprint(meta_file)}, [], {}
    if (folder / SAMPLES).is_file():
        samples = _samples(folder / SAMPLES, texts)
        sources[shown(folder / SAMPLES)] = files.file_fingerprint(folder / SAMPLES)
        written = [(idx, row["caption"]) for idx, row in samples.items()]
        otherwise = "move the folder's files away and run `python failure.py`"
        same_caption.check(folder / SAMPLES, written, texts, otherwise)
    made_from = (
        files.read_json(folder / MANIFEST).get("fingerprint") if (folder / MANIFEST).is_file() else None
    )
    if made_from not in (None, cache.fingerprint):
        notes.append(
            f"{shown(folder)}/ was made from the cache {made_from}, but {shown(meta_file)} is "
            f"{cache.fingerprint}: rows count where their captions agree"
        )
    known = Known(texts, positives, _predicted(samples), frozenset(samples) or None, len(texts) - 1)
    return Study(folder, known, _parts(samples), cache.seed, sources, notes)


def _without_cache(folder: Path) -> Study:
    """The same from failure_samples.csv alone, which holds all that the checks need of the drawn failures."""
    samples = _samples(folder / SAMPLES, {})
    texts = {idx: row["caption"] for idx, row in samples.items()}
    positives = {idx: sheet_reader.whole_number(row["gt_img_idx"]) for idx, row in samples.items()}
    known = Known(texts, positives, _predicted(samples), frozenset(samples), max(samples))
    sources = {shown(folder / SAMPLES): files.file_fingerprint(folder / SAMPLES)}
    notes = [f"no cache is here: rows were checked by {SAMPLES}"]
    made_with = files.read_json(folder / MANIFEST) if (folder / MANIFEST).is_file() else {}
    seed = made_with.get("settings", {}).get("SEED", 0)
    return Study(folder, known, _parts(samples), seed, sources, notes)


def _samples(path: Path, known: dict[int, str]) -> dict[int, dict[str, str]]:
    """idx -> cells of failure_samples.csv. Raises UserError where it can't be read or lists no failure."""
    columns = {spellings.squeezed(name): name for name in (*NEEDED, "part")}
    again = "run `python failure.py` again"
    rows = sheet_reader.read(path, known, columns, NEEDED, f", or {again}").rows
    samples = {sheet_reader.whole_number(row.cells["idx"]): row.cells for row in rows}
    if not samples or None in samples:
        raise UserError(f"{shown(path)} lists no failures by idx: {again}")
    return samples


def _predicted(samples: dict[int, dict[str, str]]) -> dict[int, int]:
    return {idx: sheet_reader.whole_number(row["pred_img_idx"]) for idx, row in samples.items()}


def _parts(samples: dict[int, dict[str, str]]) -> dict[int, str]:
    return {idx: row.get("part", "") for idx, row in samples.items()}
