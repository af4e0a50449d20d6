"""A bank of captions of other images, from which methods learn how each image scores in general.

Two forms: a COCO captions JSON (`captions_train2017.json`), which the cache's own model then encodes, or
captions already encoded, an .npz with these arrays:

    embeddings   (n, dim) float16 or float32, rows of length 1 but for rounding
    caption_ids  (n,) int     annotation ids
    image_ids    (n,) int     the image of each
    captions     (n,) str     their texts
    model, revision  str      of the cache that it goes with: other models' vectors mean nothing here
"""

import random
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from common import files
from common.errors import UserError
from common.results import BankNote
from common.retrieval import coco
from common.retrieval.meta import Meta
from common.retrieval.text_cache import NoModel, TextCache
from common.settings import PROJECT_DIR, shown

DEFAULT = PROJECT_DIR / "data" / "annotations" / "captions_train2017.json"
OF_SAMPLE = PROJECT_DIR / "data" / "sample" / "annotations" / "captions_train2017.json"
ARRAYS = ("embeddings", "caption_ids", "image_ids", "captions", "model", "revision")


@dataclass(frozen=True)
class Bank:
    """Captions of a bank, one entry a row, and how they are related to the queries."""

    caption_ids: list[int]
    image_ids: list[int]
    captions: list[str]
    file: str
    fingerprint: str  # SHA-256 of the file
    available: int  # captions in the file
    transductive: bool = False  # holds captions or images of the queries
    equal_texts: int = 0  # captions whose text is also a query's
    embeddings: torch.Tensor | None = field(default=None, repr=False)  # (n, dim) float32, rows of length 1

    @property
    def note(self) -> BankNote:
        """What the results say of it."""
        return BankNote(
            size=len(self.captions),
            file=self.file,
            fingerprint=self.fingerprint,
            available=self.available,
            transductive=self.transductive,
            equal_texts=self.equal_texts,
        )


def find(path: Path, size: int, seed: int, content: Meta, allow_transductive: bool) -> Bank | None:
    """The bank, drawn and checked against the queries (the cache's meta); None where there is none.

    In place of the default file the bundled sample has its own. Raises UserError where a file that the user
    named was not found, is no bank, or holds queries without leave.
    """
    if content.bundled_sample and path == DEFAULT:
        path = OF_SAMPLE
    if not path.is_file():
        if path not in (DEFAULT, OF_SAMPLE):
            raise UserError(f"BANK_FILE = {shown(path)} was not found")
        return None
    return checked(read(path, size, seed, content), content, allow_transductive)


def rows_of(bank: Bank | None, texts: TextCache) -> tuple[torch.Tensor | None, str]:
    """The bank's rows (n, dim) float32 of length 1, encoded if need be, or None and why there are none.

    Raises UserError where they have another number of dimensions than the cache's.
    """
    if bank is None:
        return None, (
            "no bank of captions was found: `python main.py --download True` puts captions_train2017.json "
            "into data/annotations/ (data/README.md: by hand), or set BANK_FILE"
        )
    rows = bank.embeddings
    if rows is None:
        try:
            texts.add(bank.captions, "bank")
        except NoModel as error:
            return None, f"the bank can't be encoded, since {error}"
        rows = texts.rows(bank.captions)
    dim = texts.frozen.img.shape[1]
    if rows.shape[1] != dim:
        raise UserError(f"BANK_FILE: its embeddings have {rows.shape[1]} dimensions, the cache's have {dim}")
    return rows, ""


def read(path: Path, size: int, seed: int, content: Meta) -> Bank:
    """Read a bank and draw `size` of its captions; `content` is the cache's meta.

    Raises UserError where the file isn't a bank, or is one of another model.
    """
    path = Path(path)
    bank = _encoded(path, content) if path.suffix.lower() == ".npz" else _captions(path)
    chosen = range(bank.available)
    if size < bank.available:
        chosen = sorted(random.Random(seed).sample(range(bank.available), size))
    rows = list(chosen)
    return replace(
        bank,
        caption_ids=[bank.caption_ids[row] for row in rows],
        image_ids=[bank.image_ids[row] for row in rows],
        captions=[bank.captions[row] for row in rows],
        embeddings=None if bank.embeddings is None else bank.embeddings[rows],
    )


def checked(bank: Bank, content: Meta, allow_transductive: bool) -> Bank:
    """The bank with what it shares with the queries (cache's meta) counted.

    Raises UserError where a caption id or an image id is the queries' too, unless that is allowed: such a
    bank has seen the answers.
    """
    captions = set(bank.caption_ids) & set(content.caption_ids)
    images = set(bank.image_ids) & set(content.sampled_img_ids)
    if (captions or images) and not allow_transductive:
        raise UserError(
            f"BANK_FILE = {bank.file}: {len(captions):,} of its captions and {len(images):,} of its images "
            f"are among the queries (caption id {min(captions, default='-')}, "
            f"image id {min(images, default='-')}). "
            "Take captions of other images (captions_train2017.json), or set ALLOW_TRANSDUCTIVE = True, "
            "which marks every number"
        )
    texts = {coco.normalized(caption) for caption in content.captions}
    equal = sum(coco.normalized(caption) in texts for caption in bank.captions)
    return replace(bank, transductive=bool(captions or images), equal_texts=equal)


def _captions(path: Path) -> Bank:
    """A bank of the captions of a COCO captions JSON, in ascending annotation id."""
    annotations = sorted(coco.read_captions(path).dataset["annotations"], key=lambda each: each["id"])
    annotations = [each for each in annotations if each["caption"].strip()]
    if not annotations:
        raise UserError(f"BANK_FILE = {shown(path)} holds no captions")
    return Bank(
        [each["id"] for each in annotations],
        [each["image_id"] for each in annotations],
        [each["caption"] for each in annotations],
        shown(path),
        files.file_fingerprint(path),
        len(annotations),
    )


def _encoded(path: Path, content: Meta) -> Bank:
    """A bank whose captions come with their vectors."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except Exception as error:  # a damaged zip shows itself in many ways
        raise UserError(
            f"BANK_FILE = {shown(path)} can't be read ({type(error).__name__}: {error})"
        ) from error
    missing = [name for name in ARRAYS if name not in arrays]
    if missing:
        raise UserError(f"BANK_FILE = {shown(path)} lacks {', '.join(missing)} (needed: {', '.join(ARRAYS)})")
    for name in ("model", "revision"):
        if str(arrays[name]) != str(getattr(content, name)):
            raise UserError(
                f"BANK_FILE = {shown(path)} was encoded with {name} {str(arrays[name])!r}, "
                f"the cache with {getattr(content, name)!r}: encode the bank with the cache's model"
            )
    rows = torch.from_numpy(arrays["embeddings"].astype(np.float32))
    lengths = {len(rows), *(len(arrays[name]) for name in ARRAYS[1:4])}
    if rows.ndim != 2 or len(lengths) != 1 or not len(rows) or not torch.isfinite(rows).all():
        raise UserError(
            f"BANK_FILE = {shown(path)}: its arrays don't fit together, or hold no finite numbers"
        )
    return Bank(
        [int(each) for each in arrays["caption_ids"]],
        [int(each) for each in arrays["image_ids"]],
        [str(each) for each in arrays["captions"]],
        shown(path),
        files.file_fingerprint(path),
        len(rows),
        # float16 rows are off by a part in a thousand, which NNN would take for a difference between images.
        embeddings=torch.nn.functional.normalize(rows, dim=1),
    )
