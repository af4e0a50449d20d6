"""Whole files: written to a temporary name and moved over the target, and recognized by a fingerprint."""

import contextlib
import csv
import hashlib
import importlib.metadata
import io
import json
import os
import platform
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import filelock

from common.errors import UserError


def fingerprint(data: bytes | bytearray | memoryview) -> str:
    """SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def file_fingerprint(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal, read in pieces so that any size fits in memory."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sources_fingerprint(sources: Iterable[Path]) -> str:
    """First digits of a SHA-256 over the names and bytes of some sources: of what computes a result."""
    named = [f"{path.name} {file_fingerprint(path)}" for path in sources]
    return fingerprint("\n".join(named).encode("utf-8"))[:16]


def write_bytes(path: Path, data: bytes | memoryview) -> None:
    """Write a whole file so that `path` holds either its old bytes or all of the new ones, never a part.

    The bytes reach the disk (fsync) before the name does, so a power cut can't leave an empty file either.
    Raises UserError where the system refuses (full disk, no permission); the old file is then untouched.
    """
    path = Path(path)
    # The process id keeps two runs at once from writing into one another's temporary file.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(
            f"{path} could not be written ({error.strerror}; {len(data) / 1e6:.1f} MB needed). "
            "Free some space or fix the folder's permissions, then run the same command again"
        ) from error
    finally:
        with contextlib.suppress(OSError):  # the folder itself may be what is wrong
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Let one run at a time go on; `on_wait` is called where another one holds the lock.

    The system releases the lock of a process that dies, so a killed run never leaves it behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        on_wait()
        lock.acquire()
    except OSError as error:  # a network's disk whose lock service is down
        raise UserError(
            f"{path.parent}/ is on a disk that gives no file locks ({error.strerror}), so two runs could not "
            "be kept apart: choose a folder on another disk, `--study-dir <folder>`"
        ) from error
    try:
        yield
    finally:
        lock.release()


def write_json(path: Path, content: dict) -> None:
    """Write a JSON file: UTF-8, keys in the order given, one a line; NaN is refused (ValueError)."""
    text = json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    write_bytes(path, text.encode("utf-8"))


def read_json(path: Path) -> dict:
    """Read a JSON file. Raises UserError where it is not JSON (an interrupted download, say)."""
    try:
        return json.loads(Path(path).read_bytes())
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}): get or make it again") from error


STARTS = "'=+-@\t"
RUNS = re.compile(r"'*[=+\-@\t]")  # quotes in front count too, so that taking one off is always right
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")  # it runs nothing, whatever its sign


def guarded(text: str) -> str:
    """A cell of a CSV: one `'` in front of text that a spreadsheet would take for a formula.

    That is text whose first character is one of `= + - @` or a tab, with any number of quotes before it,
    and that is no number: `unguarded(guarded(text)) == text` for every text.
    """
    # Most texts begin with none of these, which is seen faster without an expression.
    return "'" + text if text[:1] in STARTS and RUNS.match(text) and not NUMBER.fullmatch(text) else text


def unguarded(text: str) -> str:
    """Take off the quote that `guarded` put on. Other text, `'tis` for example, stays as it is.

    A workbook holds captions without the quote, but one that was saved from an opened CSV has it: compare
    a caption of a workbook with the cache both as it stands and unguarded.
    """
    return text[1:] if text.startswith("'") and RUNS.match(text) else text


def write_csv(path: Path, columns: list[str], rows: list[dict]) -> None:
    """Write one of our own tables: UTF-8 with a byte order mark, without which Excel misreads letters.

    Every text is `guarded`, whichever column it is in. A column that a row lacks stays blank; a key that is
    no column is a ValueError.
    """
    unknown = set().union(*rows) - set(columns)
    if unknown:
        raise ValueError(f"{path}: {', '.join(sorted(unknown))} is no column")
    cells = [[row.get(name, "") for name in columns] for row in rows]
    cells = [[guarded(cell) if isinstance(cell, str) else cell for cell in row] for row in cells]
    # Before Python 3.13 the csv module leaves a bare \r unquoted, and readers take it for the end of a row.
    returns = any("\r" in cell for row in cells for cell in row if isinstance(cell, str))
    quoting = csv.QUOTE_ALL if returns else csv.QUOTE_MINIMAL
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n", quoting=quoting).writerows([columns, *cells])
    write_bytes(path, text.getvalue().encode("utf-8-sig"))


def read_csv(path: Path, columns: Iterable[str], again: str) -> list[dict[str, str]]:
    """Read one of our own tables back: the cells of each row as text, `unguarded`.

    `columns` must be there; others are read too. `again` is what a user does to get the file again. For a
    sheet that people fill in there is labels/sheet_reader.py. Raises UserError where the file is not such
    a table.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            head = next(reader, [])
            rows = [row for row in reader if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is not a CSV that this project wrote ({error}): {again}") from error
    missing = [name for name in columns if name not in head]
    if missing:
        raise UserError(f"{path} lacks the columns {', '.join(missing)}: {again}")
    ragged = [number for number, row in enumerate(rows, start=2) if len(row) != len(head)]
    if ragged:
        raise UserError(f"{path}: row {ragged[0]} has another number of cells than the header: {again}")
    return [dict(zip(head, map(unguarded, row), strict=True)) for row in rows]


def versions(*packages: str) -> dict[str, str]:
    """Python's version and those of some packages as installed, without importing them."""
    found = {name: importlib.metadata.version(name) for name in packages}
    return {"python": platform.python_version(), **found}
