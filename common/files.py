"""Whole files: written to a temporary name and moved over the target, and recognised by a fingerprint."""

import contextlib
import csv
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator
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
            "Free some space or mend the folder's permissions, then run the same command again"
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
    try:
        yield
    finally:
        lock.release()


def write_json(path: Path, content: dict) -> None:
    """Write a JSON file: UTF-8, keys in the order given, one a line; NaN is refused (ValueError)."""
    text = json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    write_bytes(path, text.encode("utf-8"))


def read_json(path: Path) -> dict:
    """Read a JSON file. Raises UserError where it is not JSON (a download that broke off, say)."""
    try:
        return json.loads(Path(path).read_bytes())
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}): get or make it again") from error


def write_csv(path: Path, columns: list[str], rows: list[dict]) -> None:
    """Write a CSV file: UTF-8 with a byte order mark, without which Excel misreads non-ASCII letters."""
    text = io.StringIO(newline="")
    # Before Python 3.13 the csv module leaves a bare \r unquoted, and readers take it for the end of a row.
    returns = any("\r" in cell for row in rows for cell in row.values() if isinstance(cell, str))
    quoting = csv.QUOTE_ALL if returns else csv.QUOTE_MINIMAL
    writer = csv.DictWriter(text, columns, lineterminator="\n", quoting=quoting)
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(path, text.getvalue().encode("utf-8-sig"))
