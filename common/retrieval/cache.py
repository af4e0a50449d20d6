"""The frozen cache: embeddings made once, recognized by their fingerprints, and from then on only read.

While a cache is being made (freezing.py) its rows are kept in shards, in a folder of their own. A run that
was killed continues behind the last whole shard and ends in the same bytes as one that was not, since the
boundaries of shards and batches are fixed.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common import files, records
from common.errors import UserError
from common.heavy import torch
from common.retrieval import meta as metas
from common.retrieval.distributed import ALONE, Team
from common.retrieval.meta import Meta
from common.settings import shown

SHARD_FORMAT = 2  # another number wherever what a shard holds changes, so that old ones count for nothing
SHARD = {"img": 128, "txt": 1024}  # rows: some ten seconds of a laptop's work


@dataclass(frozen=True)
class Cache:
    """A cache in memory. Both tensors float32, rows of length 1."""

    img: torch.Tensor  # (n_images, dim)
    txt: torch.Tensor  # (n_captions, dim)
    meta: Meta
    meta_file: Path

    @functools.cached_property
    def gt(self) -> np.ndarray:
        """The image row of each caption: (n_captions,) int64."""
        return np.array(self.meta.gt_img_index, dtype=np.int64)


def load(meta_file: Path) -> Cache:
    """Read a cache and check it against its own fingerprints.

    Raises UserError where a file is missing, cut off, or holds other numbers than were written, and for the
    cache of a run.
    """
    content = metas.read(meta_file)
    if content.fingerprints.run:
        raise UserError(
            f"{shown(meta_file)} is of a run (RUN_FILE): it has ranks but no embeddings, with which all "
            "methods of step 6 score. Steps 2 to 5 need none; for step 6 freeze some with `python main.py`"
        )
    tensors = {
        kind: _read_tensor(metas.next_to(meta_file, kind, ".pt"), content, kind) for kind in ("img", "txt")
    }
    return Cache(tensors["img"], tensors["txt"], content, Path(meta_file))


def write(folder: Path, img: torch.Tensor, txt: torch.Tensor, meta: Meta) -> Path:
    """Write a cache; returns its meta file, which comes last and so says that the others are whole.

    img (n_images, dim) and txt (n_captions, dim): rows of length 1 to 1e-4. The fingerprints of rows and
    tensors are added to `meta` here. Raises ValueError for another number of rows, and UserError for rows of
    another length than 1, which a model in half precision can give.
    """
    expected = {"img": len(meta.sampled_img_ids), "txt": len(meta.captions)}
    fingerprints = {"rows": metas.rows_fingerprint(meta)}
    stem = metas.stem(meta.num_images, meta.model)
    for kind, tensor in (("img", img), ("txt", txt)):
        tensor = tensor.float().contiguous()
        if tensor.shape[0] != expected[kind]:
            raise ValueError(f"{kind}: {expected[kind]} rows are needed, got {tuple(tensor.shape)}")
        bad = int(((tensor.norm(dim=1) - 1).abs() < 1e-4).logical_not().sum())  # a NaN is bad too
        if bad:
            raise UserError(
                f"the model gave {bad} of {len(tensor)} {kind} rows that have no direction (not finite, or "
                "zero). Set DTYPE = float32; if it is already, get the weights again"
            )
        fingerprints[kind] = write_tensor(folder / f"{kind}_{stem}.pt", tensor)
    meta_file = folder / f"meta_{stem}.json"
    records.write(
        meta_file, records.replace(meta, fingerprints=records.replace(meta.fingerprints, **fingerprints))
    )
    return meta_file


@contextlib.contextmanager
def locked(folder: Path, stem: str, on_wait: Callable[[], None]) -> Iterator[None]:
    """Let one run at a time make the cache of this stem; `on_wait` is called where another one does."""
    with files.locked(folder / f".lock_{stem}", on_wait):
        for leftover in folder.glob(f".*_{stem}.*.tmp"):  # of a run that was killed while it wrote
            leftover.unlink()
        yield


class Shards:
    """Rows already encoded, on disk, of one exact way of encoding them; a folder that only stores.

    `identity` is everything that changes a row's last bits: data, model, precision, batch size, versions.
    Its hash names the folder, so rows of two ways never meet. `kind` is a key of SHARD, `n` the number of all
    rows of that kind.
    """

    def __init__(self, folder: Path, stem: str, identity: dict, team: Team = ALONE):
        identity = {**identity, "shard_format": SHARD_FORMAT}
        digest = files.fingerprint(json.dumps(identity, sort_keys=True).encode("utf-8"))[:8]
        self.folder = folder / f"partial_{stem}_{digest}"
        self.others = [path for path in sorted(folder.glob(f"partial_{stem}_*")) if path != self.folder]
        self.team = team

    def mine(self, kind: str, n: int) -> list[range]:
        """The ranges of rows that this process encodes.

        Of several processes each takes every so many-th shard, so that what is left after a kill is dealt
        evenly too.
        """
        return self._shards(kind, n)[self.team.number :: self.team.size]

    def missing(self, kind: str, n: int) -> list[range]:
        """Those of `mine` that are not on disk yet, or not whole."""
        return [positions for positions in self.mine(kind, n) if self._read(kind, positions) is None]

    def keep(self, kind: str, positions: range, rows: torch.Tensor) -> None:
        """Store the rows (len(positions), dim) of one of the `missing` ranges."""
        write_rows(self._path(kind, positions), rows)

    def all(self, kind: str, n: int) -> torch.Tensor:
        """All rows of one kind: (n, dim) float32. Waits until every process has kept its own.

        Raises UserError where a shard was damaged since it was kept.
        """
        self.team.wait()
        parts = []
        for positions in self._shards(kind, n):
            rows = self._read(kind, positions)
            if rows is None:
                name = shown(self._path(kind, positions))
                raise UserError(f"{name} was damaged after it was written: run the same command again")
            parts.append(rows)
        return torch.cat(parts)

    def remove(self) -> None:
        """Delete the shards, once the cache they were for is written."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _shards(self, kind: str, n: int) -> list[range]:
        """The ranges of all shards, in order. Their boundaries are fixed, and so are the batches in them."""
        return [range(start, min(start + SHARD[kind], n)) for start in range(0, n, SHARD[kind])]

    def _path(self, kind: str, positions: range) -> Path:
        return self.folder / f"{kind}_{positions.start:06d}.pt"

    def _read(self, kind: str, positions: range) -> torch.Tensor | None:
        """The rows of a shard; None where it was not found or is not whole, and so must be encoded again."""
        return read_rows(self._path(kind, positions), len(positions))


def write_rows(path: Path, rows: torch.Tensor) -> None:
    """Write rows (n, dim) behind the fingerprint of their values, so that the file tells if it is whole."""
    files.write_bytes(path, _tensor_fingerprint(rows).encode("ascii") + _tensor_bytes(rows))


def read_rows(path: Path, n: int) -> torch.Tensor | None:
    """Read n rows that `write_rows` wrote; None where they were not found or are not whole."""
    try:
        data = path.read_bytes()
        rows = torch.load(io.BytesIO(data[64:]), weights_only=True)
        whole = _tensor_fingerprint(rows).encode("ascii") == data[:64] and len(rows) == n
    except Exception:  # damaged rows cost seconds to encode again, whatever damaged them
        return None
    return rows if whole else None


def write_tensor(path: Path, tensor: torch.Tensor) -> str:
    """Write a tensor as `torch.load` reads it; returns its fingerprint, which says later if it is whole."""
    files.write_bytes(path, _tensor_bytes(tensor))
    return _tensor_fingerprint(tensor)


def read_tensor(path: Path, fingerprint: str) -> torch.Tensor | None:
    """Read what `write_tensor` wrote; None where it was not found or is not whole."""
    try:
        tensor = torch.load(path, weights_only=True, map_location="cpu")
        return tensor if _tensor_fingerprint(tensor) == fingerprint else None
    except Exception:  # as above
        return None


def _read_tensor(path: Path, content: Meta, kind: str) -> torch.Tensor:
    """One of a cache's tensors, checked. Raises UserError naming the file and what to do."""
    again = "Restore it from a copy, or move the cache's three files away and run `python main.py`"
    if not path.is_file():
        raise UserError(f"{shown(path)} was not found, though its meta file is there. {again}")
    try:
        # weights_only: a cache may come from elsewhere, and a full pickle could run code.
        tensor = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # a damaged zip shows itself in many ways
        raise UserError(f"{shown(path)} is damaged or cut off ({type(error).__name__}). {again}") from error
    found, wanted = _tensor_fingerprint(tensor), getattr(content.fingerprints, kind)
    if found != wanted:
        raise UserError(
            f"{shown(path)} does not hold what was written: its fingerprint is {found[:12]}, "
            f"the meta file says {wanted[:12]}. {again}"
        )
    return tensor


def _tensor_bytes(tensor: torch.Tensor) -> bytes:
    """What torch.save makes of a tensor. To memory, since it writes a file's name into its bytes."""
    buffer = io.BytesIO()
    torch.save(tensor.contiguous().clone(), buffer)  # a view would drag its whole storage along
    return buffer.getvalue()


def _tensor_fingerprint(tensor: torch.Tensor) -> str:
    """SHA-256 over shape, dtype and values of a tensor."""
    values = np.ascontiguousarray(tensor.numpy())
    header = f"{values.dtype.str} {values.shape} ".encode("ascii")
    return files.fingerprint(header + files.fingerprint(values.data.cast("B")).encode("ascii"))
