"""What is known of each caption and image of a cache, frozen next to its embeddings. Needs no torch.

Step 1 writes two files that carry the cache's stem: `ranks_<stem>.npz`, the arrays of `Ranks`, and
`ranks_<stem>.json`, a `Note` on them. The note is written last: where it stands, the arrays are whole.
Whoever needs the baseline's ranks reads them, by `frozen_ranks.of`.
"""

import dataclasses
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common import files, records
from common.errors import UserError
from common.records import Record
from common.retrieval import meta
from common.retrieval.meta import Meta
from common.settings import shown

HERE = Path(__file__).resolve().parent
# What makes the numbers: who edits the tie rule must not meet ranks of the old one.
CODE = tuple(HERE / name for name in ("ranking.py", "ranks.py", "frozen_ranks.py", "run_cache.py"))
AGAIN = "run `python main.py` again, which counts them"


@dataclass(frozen=True)
class Ranking:
    """Ranks of all queries. Arrays over captions (idx) but for the last two, which are over images."""

    rank: np.ndarray  # (n_captions,) int64, text to image: 1 = own image first
    tied: np.ndarray  # (n_captions,) bool: another image has exactly the positive's score
    positive_score: np.ndarray  # (n_captions,) float32, cosine
    best_other: np.ndarray  # (n_captions,) int64: best image but the own one, lowest row among equals
    best_other_score: np.ndarray  # (n_captions,) float32, cosine
    image_rank: np.ndarray  # (n_images,) int64, image to text; 0 where an image has no caption
    image_tied: np.ndarray  # (n_images,) bool: another image's caption has the best own one's very score


@dataclass(frozen=True)
class Ranks(Ranking):
    """The ranks of a cache, with what else later steps need of its embeddings."""

    # Of a run (RUN_FILE) own images that are not listed have the last rank of all; scores that it does not
    # tell are NaN, and so are cosines of images; `best_other` is -1 where no other image is listed.
    own_other_cosine: np.ndarray  # (n_captions,) float64: of the caption's own image and `best_other`
    depth: np.ndarray  # (n_captions,) int64: images that it was compared with: all, or those that a run lists


class Note(Record):
    """ranks_<stem>.json: which ranks the arrays next to it are."""

    cache: str  # Meta.fingerprint of the cache that they are of
    arrays: str  # SHA-256 of the .npz
    code: str  # first digits of a SHA-256 over the sources that computed them
    versions: dict[str, str]  # package -> version


def read(meta_file: Path, content: Meta) -> Ranks | None:
    """The frozen ranks of a cache; None where an earlier version made it, or other code counted them.

    Raises UserError where they are of another cache, and where they are not what was written.
    """
    note_file, arrays_file = (meta.next_to(meta_file, "ranks", end) for end in (".json", ".npz"))
    if not note_file.is_file():
        return None
    note = records.read(note_file, Note, AGAIN)
    if note.cache != content.fingerprint:
        raise UserError(
            f"{shown(note_file)} is of another cache ({note.cache}; this one is {content.fingerprint}), so "
            f"the cache was changed after its ranks were counted: restore its files from a copy, or {AGAIN}"
        )
    if note.code != _code():
        return None
    data = arrays_file.read_bytes() if arrays_file.is_file() else b""
    if files.fingerprint(data) != note.arrays:
        raise UserError(f"{shown(arrays_file)} was not found, or does not hold what was written: {AGAIN}")
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return Ranks(**{each.name: arrays[each.name] for each in dataclasses.fields(Ranks)})


def write(meta_file: Path, content: Meta, found: Ranks, versions: dict[str, str]) -> None:
    """Freeze the ranks of a cache next to it; the same ranks give the same bytes."""
    buffer = io.BytesIO()
    np.savez(buffer, **{each.name: getattr(found, each.name) for each in dataclasses.fields(Ranks)})
    data = buffer.getvalue()
    note = Note(cache=content.fingerprint, arrays=files.fingerprint(data), code=_code(), versions=versions)
    files.write_bytes(meta.next_to(meta_file, "ranks", ".npz"), data)
    records.write(meta.next_to(meta_file, "ranks", ".json"), note)


def _code() -> str:
    return files.sources_fingerprint(CODE)
