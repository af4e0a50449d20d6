"""A bank of captions of other images, from which methods learn how each image scores in general.

Two forms: a COCO captions JSON (`captions_train2017.json`), which the cache's own model then encodes, or
captions already encoded, an .npz with these arrays:

    embeddings   (n, dim) float16 or float32, rows of length 1 but for rounding
    caption_ids  (n,) int     annotation ids
    image_ids    (n,) int     the image of each
    captions     (n,) str     their texts
    model, revision  str      of the cache that it goes with: other models' vectors mean nothing here

A bank must not have seen the queries. Their ids tell, where they are of one numbering; their content tells
always: their texts, and where both are encoded their vectors.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common import files, say
from common.errors import UserError
from common.heavy import torch
from common.results import BankNote
from common.retrieval import coco
from common.retrieval.meta import Meta
from common.retrieval.text_cache import NoModel, TextCache
from common.settings import PROJECT_DIR, shown

DEFAULT = PROJECT_DIR / "data" / "annotations" / "captions_train2017.json"
OF_SAMPLE = PROJECT_DIR / "data" / "sample" / "annotations" / "captions_train2017.json"
# Share of the queries whose very text is in the bank above which it holds the queries, whatever its ids
# say. Of COCO's captions 1 to 2 % are among 12,000 to 20,000 captions of other images by chance.
MOST_COVERED = 0.05
BLOCK = 512  # queries at once: 512 x 20,000 float32 cosines are 41 MB
SAME = 1 - 1e-6  # cosine from which two vectors are one: float16 costs 4e-8
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
    ids_compared: bool = True  # False: they are of another numbering than the queries'
    transductive: bool = False  # holds captions or images of the queries
    equal_texts: int = 0  # captions whose text, or whose vector, is also a query's
    queries_covered: int = 0  # queries whose text, or whose vector, is also a caption's
    embeddings: torch.Tensor | None = field(default=None, repr=False)  # (n, dim) float32, rows of length 1

    @property
    def note(self) -> BankNote:
        """What the results say of it."""
        return BankNote(
            size=len(self.captions),
            file=self.file,
            fingerprint=self.fingerprint,
            available=self.available,
            ids_compared=self.ids_compared,
            transductive=self.transductive,
            equal_texts=self.equal_texts,
            queries_covered=self.queries_covered,
        )


class Wish(NamedTuple):
    """The bank that a user wants."""

    file: Path
    other_file: Path | None  # in its place: of another numbering, so that its ids mean nothing here
    size: int  # captions to draw
    seed: int
    allow_transductive: bool  # accept one that holds queries, and mark it


def find(wish: Wish, content: Meta) -> Bank | None:
    """The bank, drawn and checked by ids and texts against the queries (the cache's meta); None where there
    is none.

    In place of the default file the bundled sample has its own. Raises UserError where a file that the user
    named was not found, is no bank, or holds queries without leave.
    """
    path = wish.other_file or wish.file
    if content.bundled_sample and path == DEFAULT:
        path = OF_SAMPLE
    if not path.is_file():
        if path not in (DEFAULT, OF_SAMPLE):
            name = "OTHER_BANK_FILE" if wish.other_file else "BANK_FILE"
            raise UserError(f"{name} = {shown(path)} was not found")
        return None
    bank = replace(read(path, wish.size, wish.seed, content), ids_compared=not wish.other_file)
    return checked(bank, content, wish.allow_transductive)


def encoded(bank: Bank | None, texts: TextCache, allow_transductive: bool) -> tuple[Bank | None, str]:
    """The bank with its rows, encoded if need be and checked once more by them; or why it has none.

    Raises UserError where they have another number of dimensions than the cache's, or hold queries without
    leave.
    """
    if bank is None:
        return None, (
            "no bank of captions was found: `python main.py --download True` puts COCO's "
            "captions_train2017.json into data/annotations/ (data/README.md: by hand); for other data set "
            "BANK_FILE to captions of other images"
        )
    rows = bank.embeddings
    if rows is None:
        try:
            texts.add(bank.captions, "bank")
        except NoModel as error:
            return bank, f"the bank can't be encoded, since {error}"
        rows = texts.rows(bank.captions)
    dim = texts.frozen.img.shape[1]
    if rows.shape[1] != dim:
        raise UserError(
            f"{bank.file}: its embeddings have {rows.shape[1]} dimensions, the cache's have {dim}"
        )
    bank = replace(bank, embeddings=rows)
    return checked(bank, texts.frozen.meta, allow_transductive, texts.frozen.txt), ""


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


def checked(bank: Bank, content: Meta, allow_transductive: bool, txt: torch.Tensor | None = None) -> Bank:
    """The bank with what it shares with the queries (cache's meta) counted; `txt` (n_captions, dim) are their
    rows, which are compared where the bank has some too.

    Raises UserError where it shares ids, or the content of more queries than chance explains, unless that is
    allowed: such a bank has seen the answers.
    """
    captions, images = set(), set()
    if bank.ids_compared:
        captions = set(bank.caption_ids) & set(content.caption_ids)
        images = set(bank.image_ids) & set(content.sampled_img_ids)
    if (captions or images) and not allow_transductive:
        raise UserError(
            f"the bank {bank.file}: {len(captions):,} of its captions and {len(images):,} of its images "
            f"are among the queries (caption id {min(captions, default='-')}, "
            f"image id {min(images, default='-')}). Take captions of other images, or set "
            "ALLOW_TRANSDUCTIVE = True, which marks every number. If its ids are of another numbering, name "
            "it as OTHER_BANK_FILE"
        )
    own, others = _equal(bank, content, txt)
    covered, n = int(own.sum()), len(content.captions)
    too_many = covered > MOST_COVERED * n
    if too_many and not allow_transductive:
        raise UserError(
            f"the bank {bank.file}: {covered:,} of {n:,} queries have their very text or embedding in it "
            f"({say.share(covered / n)}, where {say.share(MOST_COVERED)} may be chance), so it holds the "
            "queries, whatever its ids are. Take captions of other images, or fewer of them (BANK_SIZE), or "
            "set ALLOW_TRANSDUCTIVE = True, which marks every number"
        )
    return replace(
        bank,
        transductive=bool(captions or images or too_many),
        equal_texts=int(others.sum()),
        queries_covered=covered,
    )


def _equal(bank: Bank, content: Meta, txt: torch.Tensor | None) -> tuple[np.ndarray, np.ndarray]:
    """Which queries have their text or row in the bank (n,) bool, and which of its captions are these."""
    texts = [np.array([coco.normalized(each) for each in of]) for of in (content.captions, bank.captions)]
    own, others = np.isin(*texts), np.isin(*texts[::-1])
    if txt is not None and bank.embeddings is not None:
        columns = bank.embeddings.T
        for start in range(0, len(txt), BLOCK):
            same = txt[start : start + BLOCK] @ columns >= SAME
            own[start : start + BLOCK] |= same.any(1).numpy()
            others |= same.any(0).numpy()
    return own, others


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
