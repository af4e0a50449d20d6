"""Runs: which images some retriever listed for each caption, with its scores. Needs no torch.

Two forms, plain or compressed with gzip:

    <caption id> Q0 <image> <rank> <score> <tag>                 a TREC run, one listed image a line
    {..., subset: {split: {caption id: {image: score}}}}         mteb's *_predictions.json

An image is named by its id or by its file name. Scores alone decide; a rank that contradicts them is an
error.
"""

import gzip
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pycocotools.coco import COCO

from common import files
from common.errors import UserError, list_rows
from common.retrieval.coco import Sample
from common.retrieval.meta import Meta
from common.retrieval.ranks import Ranks
from common.settings import shown

NOT_SAMPLED = -1
TREC_COLUMNS = "caption id, Q0, image, rank, score, tag"
WHOLE = re.compile(r"[+-]?[0-9]+")
OWN_TAG = re.compile(r"(.+)@([0-9a-f]{16})@([0-9a-f]{16})")  # of `tag_of`


class Known(NamedTuple):
    """What a run may name. Those of the captions file that are not in the sample are NOT_SAMPLED."""

    captions: dict[str, int]  # caption id -> idx
    images: dict[str, int]  # image id or file name -> image row
    n_captions: int  # of the sample
    n_images: int


class Run(NamedTuple):
    """What a run file says of the sample. Arrays: an entry a listed image, by caption, then by image row."""

    caption: np.ndarray  # (n,) int64, idx
    image: np.ndarray  # (n,) int64, image row
    score: np.ndarray  # (n,) float64
    name: str  # of what retrieved
    made_from: tuple[str, str] | None  # of an export: fingerprint of its cache, and `digest_of` its lists
    left_out: int  # entries of captions or images that are not in the sample
    fingerprint: str  # SHA-256 of the file


class Entry(NamedTuple):
    """A listed image, as it is written."""

    place: str  # for messages: "line 3"
    caption: str
    image: str
    rank: str | None
    score: object


class _Content(NamedTuple):
    """A file's entries, and who made them."""

    entries: Iterator[Entry]
    name: str


def known(captions: COCO, sample: Sample) -> Known:
    """What a run on this captions file may name."""
    images = {str(name): NOT_SAMPLED for image in captions.imgs.values() for name in _names(image)}
    for row, (image_id, file_name) in enumerate(zip(sample.image_ids, sample.file_names, strict=True)):
        images[str(image_id)] = images[file_name] = row
    ids = {str(caption_id): NOT_SAMPLED for caption_id in captions.anns}
    ids |= {str(caption_id): idx for idx, caption_id in enumerate(sample.caption_ids)}
    return Known(ids, images, len(sample.captions), len(sample.image_ids))


def read(path: Path, may_name: Known) -> Run:
    """Read a run. Raises UserError where it was not found, and listing all that is wrong with it."""
    if not path.is_file():
        raise UserError(f"RUN_FILE = {shown(path)} was not found")
    text, problems = _text(path), []
    content = _predictions(path, text) if text.lstrip()[:1] == "{" else _trec(text, problems)
    rows, ranks, places, left_out = [], [], [], 0
    for entry in content.entries:
        row = _row(entry, may_name, problems)
        if row and NOT_SAMPLED in row[:2]:
            left_out += 1
        elif row:
            rows.append(row[:3])
            ranks.append(row[3])
            places.append(entry.place)
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)  # row numbers are exact up to 2 ** 53
    caption, image = table[:, :2].astype(np.int64).T
    own = OWN_TAG.fullmatch(content.name)
    name, made_from = (own[1], (own[2], own[3])) if own else (content.name, None)
    found = Run(caption, image, table[:, 2], name, made_from, left_out, files.file_fingerprint(path))
    problems += _listed_twice(found, places) + _contradictions(found, np.array(ranks), places)
    problems += _without_list(found, may_name)
    if problems:
        raise UserError(
            f"RUN_FILE = {shown(path)} can't be used, so nothing was written:\n{list_rows(problems)}\n"
            "Correct it, or write it again"
        )
    order = np.lexsort((image, caption))
    return found._replace(caption=caption[order], image=image[order], score=found.score[order])


def tag_of(name: str, content: Meta, digest: str) -> str:
    """The last column of an export: what was retrieved with, from which cache, and `digest_of` its lists."""
    return f"{name}@{content.fingerprint}@{digest}"


def digest_of(found: Ranks, depth: int) -> str:
    """First digits of a SHA-256 over what the first `depth` images of each caption say.

    Those are the rank of its own image and the best other one. By it an export is known again that nobody
    changed.
    """
    listed = found.rank <= depth
    said = np.stack([np.where(listed, found.rank, 0), np.where(listed & (depth == 1), -1, found.best_other)])
    return files.fingerprint(np.ascontiguousarray(said, dtype="<i8").data.cast("B"))[:16]


def _names(image: dict) -> tuple:
    return image["id"], image["file_name"]


def _text(path: Path) -> str:
    """A file's text, uncompressed. Raises UserError where it is cut off, or no text."""
    data = path.read_bytes()
    try:
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        return data.decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise UserError(
            f"RUN_FILE = {shown(path)} is no text, or is cut off ({error}): get it again"
        ) from error


def _trec(text: str, problems: list[str]) -> _Content:
    """The lines of a TREC run; lines that are no such line are added to `problems`."""
    lines = text.split("\n")
    first = next((line.split() for line in lines if line.strip()), [])

    def entries() -> Iterator[Entry]:
        for number, line in enumerate(lines, 1):
            fields = line.split()
            if len(fields) == 6:
                caption, _, image, rank, score, _ = fields
                yield Entry(f"line {number}", caption, image, rank, score)
            elif fields:
                problems.append(f"line {number}: {len(fields)} columns, not 6 ({TREC_COLUMNS})")

    return _Content(entries(), first[-1] if first else "")


def _predictions(path: Path, text: str) -> _Content:
    """The entries of mteb's predictions. Raises UserError where the file is not of that form."""
    try:
        content = json.loads(text, object_pairs_hook=_pairs)
        about = content.pop("mteb_model_meta", None) or {}
        ((subset, splits),) = content.items()
        ((split, queries),) = splits.items()
        lists = [(caption, list(images.items())) for caption, images in queries.items()]
    except (ValueError, AttributeError) as error:
        raise UserError(
            f"RUN_FILE = {shown(path)} is not mteb's predictions of one subset and one split ({error}): it "
            "should hold {subset: {split: {caption id: {image: score}}}}"
        ) from error
    entries = (
        Entry(f"caption {caption}, image {image}", caption, image, None, score)
        for caption, images in lists
        for image, score in images
    )
    name = next((str(about[key]) for key in ("model_name", "name") if about.get(key)), f"{subset} {split}")
    return _Content(entries, name)


def _pairs(pairs: list[tuple[str, object]]) -> dict:
    """A JSON object; a key that is there twice would lose one of its values without a word."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, _ in pairs if [other for other, _ in pairs].count(key) > 1)
        raise ValueError(f"the key {twice!r} is there twice")
    return found


def _row(entry: Entry, may_name: Known, problems: list[str]) -> tuple[int, int, float, int] | None:
    """An entry as (idx, image row, score, rank); None, and what is wrong with it in `problems`."""
    caption, image = may_name.captions.get(entry.caption), may_name.images.get(entry.image)
    score = _number(entry.score)
    wrong = []
    if caption is None:
        wrong.append(f"caption {entry.caption} is not in the captions file")
    if image is None:
        wrong.append(f"image {entry.image} is not in the captions file (neither an id nor a file name)")
    if score is None:
        wrong.append(f"the score {entry.score} is not a finite number")
    if entry.rank is not None and not WHOLE.fullmatch(entry.rank):
        wrong.append(f"the rank {entry.rank} is not a whole number")
    problems += [f"{entry.place}: {each}" for each in wrong]
    return None if wrong else (caption, image, score, int(entry.rank or 0))


def _number(score: object) -> float | None:
    """A score as a finite number; None for anything else."""
    if isinstance(score, str):
        score = float(score) if files.NUMBER.fullmatch(score) else None
    fits = isinstance(score, int | float) and not isinstance(score, bool) and abs(score) < float("inf")
    return float(score) if fits else None


def _listed_twice(run: Run, places: list[str]) -> list[str]:
    """Entries whose image was listed for the same caption before."""
    order = np.lexsort((np.arange(len(places)), run.image, run.caption))
    same = (np.diff(run.caption[order]) == 0) & (np.diff(run.image[order]) == 0)
    return [
        f"{places[later]}: the same caption and image as {places[earlier]}"
        for earlier, later in zip(order[:-1][same], order[1:][same], strict=True)
    ]


def _contradictions(run: Run, ranks: np.ndarray, places: list[str]) -> list[str]:
    """Entries that score higher than one of a better rank. Where all ranks are equal there is none."""
    order = np.lexsort((-run.score, ranks, run.caption))
    worse = (np.diff(run.caption[order]) == 0) & (np.diff(ranks[order]) > 0) & (np.diff(run.score[order]) > 0)
    return [
        f"{places[later]}: a higher score than {places[earlier]}, which has the better rank {ranks[earlier]}"
        for earlier, later in zip(order[:-1][worse], order[1:][worse], strict=True)
    ]


def _without_list(run: Run, may_name: Known) -> list[str]:
    """How many captions of the sample have no list, if there are any."""
    missing = np.setdiff1d(np.arange(may_name.n_captions), run.caption)
    if not len(missing):
        return []
    name = next(each for each, idx in may_name.captions.items() if idx == missing[0])
    return [f"{len(missing):,} of {may_name.n_captions:,} captions have no list, caption {name} for one"]
