"""Vectors that were made elsewhere, as the frozen cache of a study: open_clip, an API, any dual encoder.

A folder (EMBEDDINGS_DIR) holds them in any order of rows:

    images.npy     (n_images, dim) float: a row an image
    captions.npy   (n_captions, dim) float: a row a caption
    rows.json      {"image_ids": [...], "caption_ids": [...]}: COCO's ids, in the order of the rows

rows.json may name the `model` (else the folder's name is taken) and its `maker`; other keys are ignored, and
so are rows that the sample doesn't need. Everything is checked before anything is written.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common import files, say
from common.errors import SettingError, UserError
from common.heavy import torch
from common.retrieval import cache, captions_file, coco, evaluation, freezing, images, meta
from common.retrieval.distributed import Team
from common.retrieval.freezing import Data, Frozen, Tell, Wanted
from common.settings import shown

IMAGES, CAPTIONS, ROWS = FILES = ("images.npy", "captions.npy", "rows.json")
UNIT = 1e-5  # a float32 row that was normalized is off by 1e-7, a float16 one by up to 1e-3
# One text encoded twice comes out the same but for rounding: to 1e-3 in the half precisions of a GPU.
SAME_TEXT = 0.99
BLOCK = 4096  # rows whose lengths are taken at once
FEW = 5  # ids or rows that a message names


class Array(NamedTuple):
    """One of the two arrays, with what its rows are."""

    name: str  # of its file
    rows: np.ndarray  # (n, dim), read from disk as it is needed
    ids: list[int]  # of images or annotations, one a row
    lengths: np.ndarray  # (n,) float64: of each row


class Vectors(NamedTuple):
    """A folder of vectors, read and checked."""

    images: Array
    captions: Array
    model: str  # what it is called in file names and reports
    maker: str | None  # who made them
    revision: str  # a fingerprint of the three files, 40 digits like a model's

    @property
    def dtype(self) -> str:
        """The precision of the files: float32, or both where the two differ."""
        return " and ".join(dict.fromkeys(each.rows.dtype.name for each in (self.images, self.captions)))


def check(folder: Path | None) -> None:
    """Raise SettingError where EMBEDDINGS_DIR is given and lacks one of its files."""
    if folder is None:
        return
    if not folder.is_dir():
        raise SettingError(f"EMBEDDINGS_DIR = {shown(folder)}: there is no such folder")
    lacking = [name for name in FILES if not (folder / name).is_file()]
    if lacking:
        raise SettingError(
            f"EMBEDDINGS_DIR = {shown(folder)} lacks {' and '.join(lacking)} (needed: {', '.join(FILES)})"
        )


def freeze(data: Data, sample: coco.Sample, wanted: Wanted, team: Team, tell: Tell) -> Frozen:
    """Make the cache of `data.embeddings_dir`, or find that it is there already, as `freezing.freeze` does.

    `tell` is called with a line for what was read, normalized and checked. Raises UserError where the folder
    doesn't hold what the sample needs, where images are missing or broken, and where a cache of that name was
    made of something else.
    """
    vectors = read(data.embeddings_dir, data.annotation_file, sample)
    stem = meta.stem(len(sample.image_ids), vectors.model)
    meta_file = data.cache_dir / f"meta_{stem}.json"
    freezing.refuse_other_baseline(data.result_dir / evaluation.BASELINE, meta_file)
    identity = freezing.identify(data, sample, wanted, source=None)
    identity = identity._replace(revision=vectors.revision, dtype=vectors.dtype)
    with freezing.alone_in(data.cache_dir, stem, team, tell):
        there = team.gather(team.leads and meta_file.is_file())[0]
        team.check_same(identity._asdict(), "vectors or data")
        if there:
            freezing.refuse_another(meta_file, identity, data.image_dir)
        else:
            bad = images.bad_images(data.image_dir, sample.file_names)
            freezing.refuse_bad(bad, data.image_dir, len(sample.file_names))
            img, txt = in_order(vectors, sample, tell)
            _tell_images(data, sample, tell)
            if team.leads:
                # How images were opened elsewhere nobody knows: none is taken for another than it was.
                made = {"imported_from": shown(data.embeddings_dir), "versions": files.versions("numpy")}
                made |= {"model": vectors.model, "maker": vectors.maker}
                cache.write(data.cache_dir, img, txt, freezing.meta_of(data, sample, identity, **made))
        team.wait()
    # Of a cache that is there already the images may be elsewhere by now, and so can't be compared.
    not_compared = ["images"] if there and identity.images is None else []
    return Frozen(meta_file, made=not there, not_compared=not_compared, leftovers=[])


def read(folder: Path, annotation_file: Path, sample: coco.Sample) -> Vectors:
    """Read a folder of vectors and check all of it against itself and the captions file.

    Raises UserError for files that are no such arrays, rows that are not finite or zero, arrays of unlike
    width, and ids that are missing, doubled, or not of the captions file.
    """
    named = files.read_json(folder / ROWS)
    if not isinstance(named, dict):
        raise UserError(f"{shown(folder / ROWS)} is no object with `image_ids` and `caption_ids`")
    img = _array(folder / IMAGES, named, "image_ids")
    txt = _array(folder / CAPTIONS, named, "caption_ids")
    if img.rows.shape[1] != txt.rows.shape[1]:
        raise UserError(
            f"{shown(folder)}: {IMAGES} has {img.rows.shape[1]} dimensions and {CAPTIONS} "
            f"{txt.rows.shape[1]}: the two must come out of the same space to be compared"
        )
    own = set(sample.image_ids), set(sample.caption_ids)
    if set(img.ids) - own[0] or set(txt.ids) - own[1]:  # rows that are not needed, if they are of this file
        content = captions_file.read(annotation_file)
        own = tuple({each["id"] for each in content[key]} for key in ("images", "annotations"))
    for array, known, wanted in zip((img, txt), own, (sample.image_ids, sample.caption_ids), strict=True):
        _check_ids(array, known, wanted, annotation_file)
    return Vectors(
        img,
        txt,
        model=_text(folder, named, "model") or folder.resolve().name,
        maker=_text(folder, named, "maker"),
        revision=_fingerprint(folder),
    )


def in_order(vectors: Vectors, sample: coco.Sample, tell: Tell) -> tuple[torch.Tensor, torch.Tensor]:
    """Image rows (n_images, dim) and caption rows (n_captions, dim) of the frozen order: float32, length 1.

    Rows of another length are normalized, which is told; others keep every bit of theirs in float32. Equal
    texts get equal rows, so that their tie is a tie. Raises UserError where they are nothing alike.
    """
    n_images, n_captions = len(sample.image_ids), len(sample.captions)
    tell(
        f"Imported {n_images:,} of {say.items(len(vectors.images.ids), 'image')} and {n_captions:,} of "
        f"{say.items(len(vectors.captions.ids), 'caption')} of {vectors.model}: "
        f"{vectors.images.rows.shape[1]} dimensions, {vectors.dtype}"
    )
    img, txt = (
        _unit_rows(array, wanted, tell)
        for array, wanted in ((vectors.images, sample.image_ids), (vectors.captions, sample.caption_ids))
    )
    return torch.from_numpy(img), torch.from_numpy(_equal_for_equal_texts(txt, sample, tell))


def _equal_for_equal_texts(txt: np.ndarray, sample: coco.Sample, tell: Tell) -> np.ndarray:
    """Caption rows (n_captions, dim) with the first one's row for all captions of one text."""
    first = {}  # text -> its first caption
    for idx, caption in enumerate(sample.captions):
        first.setdefault(coco.one_form(caption), idx)
    same = np.array([first[coco.one_form(caption)] for caption in sample.captions])
    cosine = np.einsum("nd,nd->n", txt, txt[same])
    worst = int(cosine.argmin())
    if cosine[worst] < SAME_TEXT:
        ids = f"{sample.caption_ids[same[worst]]} and {sample.caption_ids[worst]}"
        raise UserError(
            f"{CAPTIONS}: captions {ids} have the same text and unlike vectors (cosine "
            f"{say.cosine(cosine[worst])}): {ROWS} must name the rows in their order, and a text be encoded "
            "without its image"
        )
    differing = int((txt != txt[same]).any(axis=1).sum())
    if differing:
        tell(f"  of equal texts the first one's row is taken: {say.items(differing, 'caption')} differed")
    return txt[same]


def _array(path: Path, named: dict, key: str) -> Array:
    """One of the two arrays with the ids that rows.json names for its rows."""
    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # numpy raises many kinds for what is no array, and for what could run code
        raise UserError(
            f"{shown(path)} is no plain array of numbers that numpy can read ({_first_line(error)}): write "
            "it with `numpy.save(path, rows.astype('float32'))`"
        ) from error
    if not isinstance(rows, np.ndarray) or rows.dtype.kind != "f" or rows.ndim != 2:
        found = f"{rows.dtype} {rows.shape}" if isinstance(rows, np.ndarray) else "an archive of arrays"
        raise UserError(f"{shown(path)} holds {found}: float rows are needed, (n, dimensions)")
    ids = named.get(key)
    if not isinstance(ids, list) or not all(map(captions_file.is_id, ids)):
        raise UserError(f"{shown(path.with_name(ROWS))}: `{key}` is no list of whole numbers")
    if len(ids) != len(rows):
        raise UserError(
            f"{shown(path)} has {say.items(len(rows), 'row')}, and `{key}` of {ROWS} names {len(ids):,}"
        )
    parts = [rows[start : start + BLOCK].astype(np.float64) for start in range(0, len(rows), BLOCK)]
    lengths = np.concatenate([np.linalg.norm(part, axis=1) for part in parts] or [np.empty(0)])
    bad = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0))).tolist()
    if bad:
        raise UserError(
            f"{shown(path)}: {say.items(len(bad), 'row')} without a direction (NaN, infinite, or all zeros), "
            f"counted from 0: {say.first_of([str(row) for row in bad], FEW)}"
        )
    return Array(path.name, rows, ids, lengths)


def _check_ids(array: Array, known: set[int], wanted: list[int], annotation_file: Path) -> None:
    """Raise UserError for ids that are doubled, not of the captions file (`known`), or missing (`wanted`)."""
    what = "image" if array.name == IMAGES else "caption"
    times = Counter(array.ids)
    doubled = [each for each, n in times.items() if n > 1]
    if doubled:
        raise UserError(f"{ROWS}: {say.items(len(doubled), f'{what} id')} doubled: {_few(doubled)}")
    foreign = [each for each in array.ids if each not in known]
    if foreign:
        raise UserError(
            f"{ROWS}: {say.items(len(foreign), f'{what} id')} not of {shown(annotation_file)}: "
            f"{_few(foreign)}. Set IMAGE_DIR and ANNOTATION_FILE to the dataset that was encoded"
        )
    missing = [each for each in wanted if each not in times]
    if missing:
        raise UserError(
            f"{array.name} lacks {len(missing):,} of the sample's {say.items(len(wanted), what)}: ids "
            f"{_few(missing)}. Encode them too, or set ANNOTATION_FILE to a file of what was encoded"
        )


def _unit_rows(array: Array, wanted: list[int], tell: Tell) -> np.ndarray:
    """The rows of some ids, in their order: (n, dim) float32, length 1."""
    row_of = {each: row for row, each in enumerate(array.ids)}
    places = np.array([row_of[each] for each in wanted])
    rows, lengths = np.array(array.rows[places], dtype=np.float32), array.lengths[places]
    off = np.abs(lengths - 1) > UNIT
    if off.any():
        rows[off] = array.rows[places[off]].astype(np.float64) / lengths[off, None]
        tell(
            f"  normalized: {int(off.sum()):,} of {say.items(len(rows), 'row')} of {array.name} had another "
            f"length than 1 ({lengths.min():.4g} to {lengths.max():.4g})"
        )
    return rows


def _tell_images(data: Data, sample: coco.Sample, tell: Tell) -> None:
    """What was checked of the photographs, and what nobody can check."""
    n = say.items(len(sample.file_names), "image")
    tell(f"  {n} in {shown(data.image_dir)}, which step 2 shows: all there and whole; that the vectors are")
    tell("  of these very images can't be checked")


def _fingerprint(folder: Path) -> str:
    """SHA-256 over the contents of the three files, 40 digits like the revision of a model."""
    return files.fingerprint("".join(files.file_fingerprint(folder / name) for name in FILES).encode())[:40]


def _text(folder: Path, named: dict, key: str) -> str | None:
    """An optional text of rows.json; None where it is missing or blank. Raises UserError for other values."""
    if named.get(key) is None:
        return None
    if problem := captions_file.text_problem(named, key):
        raise UserError(f"{shown(folder / ROWS)}: {problem}")
    return named[key].strip() or None


def _few(ids: list[int]) -> str:
    return say.first_of([str(each) for each in ids], FEW)


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
