"""Texts encoded by the model of a frozen cache, kept next to it under its identity.

Each set of texts is one file, `texts_<n>_<model>_<digest>.pt`, that `torch.load` reads. The digest is over
the cache's fingerprint, the texts and the way of encoding, so rows of another cache or model can't be taken
for these. Encoding is kept in shards as it goes. A .json of the same name says what each row is.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from common import files, records
from common.errors import UserError
from common.heavy import torch
from common.retrieval import cache, encoder, freezing, meta, models
from common.settings import shown

BATCH = 64
PROBES = 8  # captions encoded again before a model is trusted to be the cache's
LEAST_COSINE = 0.999


class NoModel(UserError):
    """The model was not found on this machine: methods that encode are left out, the others run."""


class Note(records.Record):
    """The .json of a set of texts. `cache`, `revision`, `dtype` and `texts` are what the digest is over."""

    cut_off: int  # texts longer than the model reads
    cache: str  # fingerprint of the cache
    revision: str | None  # of the model
    dtype: str  # that the model computed in
    texts: str  # SHA-256 of all texts
    rows: str | None = None  # SHA-256 over shape, dtype and values; without it the .pt begins with it
    text_of_row: list[str] | None = None  # the texts themselves, in the order of the rows


@dataclass
class TextCache:
    """Encodes texts on demand; the model is loaded only where some text is not on disk yet."""

    frozen: cache.Cache
    model_dir: Path | None  # folder of the model; None: where step 1 found it
    device: str
    _towers: encoder.Encoder | None = None
    cut_off: dict[str, int] = field(default_factory=dict)  # label -> texts longer than the model reads
    _known: dict[str, int] = field(default_factory=dict)  # text -> row
    _rows: torch.Tensor = field(default_factory=lambda: torch.empty(0))  # (n, dim) of all that are known

    def rows(self, texts: list[str]) -> torch.Tensor:
        """Rows of length 1 in the order of the texts, all of which `add` was given: (n, dim) float32."""
        places = [self._known[text] for text in texts]
        return self._rows[places]

    def add(self, texts: list[str], label: str) -> None:
        """Have the rows of some texts ready, from disk or by encoding them; `label` names the progress bar.

        Raises NoModel where they would have to be encoded and the model was not found.
        """
        different = sorted(set(texts))
        identity = {
            "cache": self.frozen.meta.fingerprint,
            "revision": self.frozen.meta.revision,
            "dtype": self.frozen.meta.dtype,
            "texts": files.fingerprint(json.dumps(different).encode("utf-8")),
        }
        folder = self.frozen.meta_file.parent
        stem = "texts_" + meta.stem(len(different), self.frozen.meta.model)
        digest = files.fingerprint(json.dumps(identity, sort_keys=True).encode("utf-8"))[:12]
        path = folder / f"{stem}_{digest}.pt"
        rows, note = _read(path, len(different))
        if rows is None:
            rows, cut_off = self._encoded(different, cache.Shards(folder, stem, identity), label)
            fingerprint = cache.write_tensor(path, rows)
            # Last, since it says that the rows are whole.
            note = Note(cut_off=cut_off, **identity, rows=fingerprint, text_of_row=different)
            records.write(path.with_suffix(".json"), note)
        self.cut_off[label] = note.cut_off
        self._known |= {text: len(self._rows) + place for place, text in enumerate(different)}
        self._rows = torch.cat([self._rows, rows]) if len(self._rows) else rows

    def find(self) -> models.Source:
        """The model's files. Raises NoModel where they were not found, UserError for another model's."""
        content = self.frozen.meta
        if content.imported_from and self.model_dir is None:
            raise NoModel(
                f"the vectors of {content.model} were made elsewhere (EMBEDDINGS_DIR), without its text "
                "tower: set MODEL_DIR to a folder that transformers can load the same model from"
            )
        named = str(self.model_dir or content.model_source or content.model)
        if self.model_dir is None and Path(named).is_absolute() and not Path(named).is_dir():
            source = None  # step 1's folder has gone since
        else:
            source = models.locate(named, download=False)
        if source is None:
            raise NoModel(
                f"the cache's model {content.model} was not found on this machine: "
                "set MODEL_DIR to its folder, or fetch it as step 1 did"
            )
        # Of imported vectors the revision says nothing of a model: that captions come out the same decides.
        if source.revision != content.revision and not content.imported_from:
            raise UserError(
                f"{shown(source.folder)} holds revision {source.revision[:12]} of the model, the cache was "
                f"made with {str(content.revision)[:12]}: set MODEL_DIR to the folder that step 1 used"
            )
        return source

    def _encoded(self, texts: list[str], shards: cache.Shards, label: str) -> tuple[torch.Tensor, int]:
        """Rows of texts, and how many texts the model can't read to the end."""
        towers = self._load()
        rows, lengths = freezing.encode_texts(towers, texts, BATCH, shards, label)
        shards.remove()
        return rows, int((lengths > towers.max_length).sum())

    def _load(self) -> encoder.Encoder:
        """The towers, once they have encoded some of the cache's own captions as the cache has them."""
        if self._towers is None:
            content = self.frozen.meta
            captions = content.captions[:PROBES]
            dtype = "float32" if content.imported_from else content.dtype  # theirs is that of their files
            towers = encoder.load(self.find(), self.device, dtype, [], captions)
            if not content.imported_from:
                towers.lower_case = content.lower_cased  # an earlier version kept every model's capitals
            rows = towers.encode_texts(captions, BATCH)
            least = float((rows * self.frozen.txt[:PROBES]).sum(1).min())
            if not least >= LEAST_COSINE:
                raise UserError(
                    "the model encodes the cache's own captions differently than they are in it "
                    f"(cosine {least:.4f}): set MODEL_DIR to the folder of the model that made it"
                )
            self._towers = towers
        return self._towers


def _read(path: Path, n: int) -> tuple[torch.Tensor, Note] | tuple[None, None]:
    """The rows of n texts and the note on them; (None, None) where they have to be encoded again."""
    try:
        note = records.read(path.with_suffix(".json"), Note, "")
    except (OSError, UserError):  # a note that was not written to its end, say
        return None, None
    rows = cache.read_rows(path, n) if note.rows is None else cache.read_tensor(path, note.rows)
    return (None, None) if rows is None else (rows, note)
