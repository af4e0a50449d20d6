"""What was drawn for labeling, and what every handed-in row is checked against."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from common import files
from common.errors import UserError
from common.labels import manifest, same_caption, sheet_reader, spellings
from common.labels.manifest import Manifest
from common.labels.ratings import Known
from common.labels.sheets import BACKUP, OVERLAP
from common.retrieval import meta
from common.settings import shown

SAMPLES = "failure_samples.csv"
IDS = ("caption_id", "pred_img_id")
NEEDED = ("idx", "caption", "gt_img_idx", "pred_img_idx")


class Folder(NamedTuple):
    """A failure folder with what is known of its items."""

    path: Path
    known: Known
    parts: dict[int, str]  # idx -> the sheet it was drawn for: `A`, OVERLAP, BACKUP
    seed: int  # of the cache or, without one, of the draw
    population: int | None  # failures that the items were drawn from; None where no manifest says it
    sources: dict[str, str]  # file that rows are checked against -> its SHA-256
    annotators: list[str]  # for whom sheets were drawn; empty where nothing says it
    notes: list[str]  # what is odd about the folder
    ids: Mapping[int, tuple[int, int]]  # idx -> ids of the caption and of the retrieved image, where known


class _Samples(NamedTuple):
    """failure_samples.csv: what it says of each drawn failure, by idx."""

    captions: dict[int, str]
    positives: dict[int, int | None]
    predicted: dict[int, int | None]
    parts: dict[int, str]
    ids: dict[int, tuple[int, int]]  # of captions and retrieved images; none where the file has no ids


def read(cache_dir: Path, failure_dir: Path) -> Folder:
    """Captions and image rows from the cache's meta file or, without a cache, from failure_samples.csv.

    Raises UserError where neither was found, and where the two don't belong together.
    """
    if meta.find_or_none(cache_dir) is None:
        for path in meta.places(failure_dir):
            if (path / SAMPLES).is_file():
                return _without_cache(path)
    meta_file = meta.find(cache_dir)
    cache = meta.read(meta_file)
    path = meta.own_folder(failure_dir, cache)
    captions, positives = dict(enumerate(cache.captions)), dict(enumerate(cache.gt_img_index))
    sources = {shown(meta_file): files.file_fingerprint(meta_file)}
    samples = _Samples({}, {}, {}, {}, {})
    if (path / SAMPLES).is_file():
        samples = _samples(path / SAMPLES, captions)
        sources[shown(path / SAMPLES)] = files.file_fingerprint(path / SAMPLES)
        otherwise = "move the folder's files away and run `python failure.py`"
        same_caption.check(path / SAMPLES, samples.captions.items(), captions, otherwise)
    drawn, notes = manifest.read_or_none(path), []
    if drawn and drawn.fingerprint != cache.fingerprint:
        notes.append(
            f"{shown(path)}/ was made from another cache ({drawn.fingerprint}, now {cache.fingerprint}): "
            "only rows whose captions match are used"
        )
    known = Known(
        captions, positives, samples.predicted, frozenset(samples.captions) or None, len(captions) - 1
    )
    population = drawn.failures if drawn else None
    people = _annotators(samples, drawn)
    ids = samples.ids or {
        idx: (cache.caption_ids[idx], cache.sampled_img_ids[image])
        for idx, image in samples.predicted.items()
        if idx < len(captions) and image is not None and image < len(cache.sampled_img_ids)
    }
    return Folder(path, known, samples.parts, cache.seed, population, sources, people, notes, ids)


def _without_cache(path: Path) -> Folder:
    """The same from failure_samples.csv alone, which holds all that the checks need of the drawn failures."""
    samples, drawn = _samples(path / SAMPLES, {}), manifest.read_or_none(path)
    every = frozenset(samples.captions)
    known = Known(samples.captions, samples.positives, samples.predicted, every, max(every))
    sources = {shown(path / SAMPLES): files.file_fingerprint(path / SAMPLES)}
    notes = [f"no cache was found: rows were checked against {SAMPLES} alone"]
    seed, population = (drawn.settings.SEED, drawn.failures) if drawn else (0, None)
    people = _annotators(samples, drawn)
    return Folder(path, known, samples.parts, seed, population, sources, people, notes, samples.ids)


def _annotators(samples: _Samples, drawn: Manifest | None) -> list[str]:
    """Who was drawn: those with failures of their own, and those who were to label the shared ones alone."""
    own = set(samples.parts.values()) - {OVERLAP, BACKUP, ""}
    return sorted(own | set(drawn.settings.ANNOTATORS if drawn else ()))


def _samples(path: Path, known: Mapping[int, str]) -> _Samples:
    """failure_samples.csv. Raises UserError where it can't be read or lists no failure."""
    columns = {spellings.squeezed(name): name for name in (*NEEDED, "part", *IDS)}
    again = "run `python failure.py` again"
    rows = [row.cells for row in sheet_reader.read(path, known, columns, NEEDED, f", or {again}").rows]
    by_idx = {sheet_reader.whole_number(row["idx"]): row for row in rows}
    if not by_idx or None in by_idx:
        raise UserError(f"{shown(path)} lists no failures by idx: {again}")
    positives, predicted = (
        {idx: sheet_reader.whole_number(row[name]) for idx, row in by_idx.items()}
        for name in ("gt_img_idx", "pred_img_idx")
    )
    captions = {idx: row["caption"] for idx, row in by_idx.items()}
    parts = {idx: row.get("part", "") for idx, row in by_idx.items()}
    ids = {idx: tuple(_whole(row.get(name, "")) for name in IDS) for idx, row in by_idx.items()}
    known_ids = {idx: pair for idx, pair in ids.items() if None not in pair}
    return _Samples(captions, positives, predicted, parts, known_ids)


def _whole(cell: str) -> int | None:
    """An id of any length: those of other datasets than COCO have more digits than a row number."""
    return int(cell) if cell.isascii() and cell.isdigit() else None
