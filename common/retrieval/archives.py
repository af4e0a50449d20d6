"""An archive that is known before it is fetched: continued behind the bytes that are here, and verified.

As long as it is not complete it is called `val2017.zip.part`. One that the user put there is used as it is.
"""

# Why no library: pooch and py3-wget start a broken file again from zero, parfive asks for ranges only within
# one run, robust-downloader doesn't look whether the server kept to the range, pypdl resumes, but needs
# aiohttp, writes files of its own next to the target and leaves the hash to its caller, pyhaul needs Python
# 3.12, and huggingface_hub's `http_get`, which does resume well, is not part of its public interface.

import hashlib
import http.client
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from common.errors import UserError
from common.settings import shown

TIMEOUT = 30  # seconds without a byte, after which a connection counts as broken
ATTEMPTS = 5  # in a row that bring nothing new, after which a run gives up
PAUSE = 1.0  # seconds before the next attempt; doubled while nothing new comes
CHUNK = 1 << 18  # bytes
AGAIN = (408, 429, 500, 502, 503, 504)  # HTTP statuses that pass by themselves

MIRROR = "https://duke.box.com/s/c3kdhyenkrjs8eh6ua5ks1276p1qrta1"


@dataclass(frozen=True)
class Archive:
    """A file that is known before it is fetched."""

    url: str
    size: int  # bytes
    sha256: str  # hexadecimal
    mirror: str = MIRROR  # of the same file, for a browser; "" where there is none

    @property
    def name(self) -> str:
        """What it is called on disk, too."""
        return self.url.rsplit("/", 1)[1]


class _Broken(Exception):
    """A connection that failed in a way that may pass; its text is the reason."""


class _NoRange(_Broken):
    """The server won't continue behind the bytes that are here, so the next attempt starts from zero."""


def left(archive: Archive, folder: Path) -> int:
    """Bytes of an archive that are still to be fetched."""
    path = folder / archive.name
    return 0 if path.exists() else max(0, archive.size - _size(_part(path)))


def _part(path: Path) -> Path:
    """What an archive is called as long as it is not complete."""
    return path.with_name(path.name + ".part")


def _size(path: Path) -> int:
    """Bytes of a file; 0 where there is none."""
    return path.stat().st_size if path.exists() else 0


def get(archive: Archive, folder: Path) -> list[Path]:
    """Have a whole and verified archive in a folder: [its path] where it was fetched, [] where it was there.

    Raises UserError for one that is not the official file. A part of ours is then removed, or each later run
    would resume behind the wrong byte; a file of the user's stays.
    """
    path = folder / archive.name
    if path.exists():
        what = _difference(path, archive)
        if what:
            raise UserError(
                f"{shown(path)} is not the official archive: {what}. Move it away (an incomplete download "
                f"can be renamed to {_part(path).name}), then run the same command again"
            )
        return []
    part = _part(path)
    _download(archive, part)
    what = _difference(part, archive)
    if what:
        part.unlink()
        raise UserError(
            f"{archive.url} was fetched, but is not the official archive: {what}. It was removed; run the "
            f"same command again to start from zero. If that does not help: {_by_hand(archive, path)}"
        )
    os.replace(part, path)
    return [path]


def _difference(path: Path, archive: Archive) -> str | None:
    """How a file differs from an archive, or None."""
    size = _size(path)
    if size != archive.size:
        return f"{size:,} bytes instead of {archive.size:,}"
    digest = hashlib.sha256()
    with open(path, "rb") as file, progress(size, f"checking {archive.name}") as bar:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            bar.update(len(chunk))
    found = digest.hexdigest()
    return None if found == archive.sha256 else f"its sha256 is {found} instead of {archive.sha256}"


def _by_hand(archive: Archive, path: Path) -> str:
    """The way without this module, as the end of a message."""
    places = f"from there or from the mirror {archive.mirror}" if archive.mirror else "from there"
    return (
        f"get {path.name} in a browser, {places}, and put it at {shown(path)}, "
        "where the next run finds it (data/README.md says more)"
    )


def progress(total: int, label: str, initial: int = 0) -> tqdm:
    """A progress bar in bytes."""
    return tqdm(
        total=total, initial=initial, desc=label, unit="B", unit_scale=True, disable=None, leave=False
    )


def _download(archive: Archive, part: Path) -> None:
    """Fetch an archive into its part, behind the bytes that are there, however often the connection breaks.

    Raises UserError after `ATTEMPTS` in a row that brought nothing new; the part stays.
    """
    if _size(part) > archive.size:  # nothing of the official file
        part.unlink()
    most = _size(part)
    in_vain, from_zero = 0, False
    with progress(archive.size, archive.name, initial=most) as bar:
        while _size(part) < archive.size:
            reason = "the connection was closed too early"
            try:
                _attempt(archive, part, 0 if from_zero else _size(part), bar)
                from_zero = False
            except _Broken as error:
                reason, from_zero = error, isinstance(error, _NoRange)
            have = _size(part)
            # New is what no attempt had: a server that starts from zero each time would never be given up.
            in_vain, most = (0, have) if have > most else (in_vain + 1, most)
            if in_vain == ATTEMPTS:
                kept = f"{shown(part)} holds {have:,} of {archive.size:,} bytes. " if have else ""
                raise UserError(
                    f"{archive.url} could not be fetched ({reason}). {kept}Run the same command again to "
                    f"continue, or {_by_hand(archive, part.with_suffix(''))}"
                )
            if have < archive.size:
                bar.set_postfix_str(f"{reason}; trying again")
                time.sleep(PAUSE * 2**in_vain)


def _attempt(archive: Archive, part: Path, start: int, bar: tqdm) -> None:
    """Add to a part what one request gives, from byte `start` on. Raises _Broken, and UserError for good."""
    with _opened(archive, part, start) as response:
        start = _first_byte(response, archive, part, start)
        bar.n = start
        bar.set_postfix_str("")
        # Unbuffered, so that what was received is in the file even if the process is killed.
        with open(part, "r+b" if start else "wb", buffering=0) as file:
            file.seek(start)
            while start < archive.size:
                try:
                    # read1 gives what has come; read would lose it where the connection breaks.
                    chunk = response.read1(min(CHUNK, archive.size - start))
                except (OSError, http.client.HTTPException) as error:
                    raise _Broken(words(error)) from error
                if not chunk:
                    return
                start += len(chunk)
                bar.update(len(chunk))
                while chunk:
                    chunk = chunk[file.write(chunk) :]


def _opened(archive: Archive, part: Path, start: int) -> http.client.HTTPResponse:
    """The server's answer to a request for the bytes from `start` on."""
    request = urllib.request.Request(archive.url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        return urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        answer = f"HTTP {error.code} {error.reason}"
        if error.code == 416 and start:
            raise _NoRange(answer) from error
        if error.code in AGAIN:
            raise _Broken(answer) from error
        raise UserError(
            f"{archive.url} could not be fetched: the server says {answer}. If it still does later, "
            f"{_by_hand(archive, part.with_suffix(''))}"
        ) from error
    except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
        raise _Broken(words(getattr(error, "reason", error))) from error


def _first_byte(response: http.client.HTTPResponse, archive: Archive, part: Path, start: int) -> int:
    """Where in the archive an answer begins: `start`, or 0 from a server that doesn't know ranges.

    Raises UserError where it is another file, before that touches what is here.
    """
    total = response.headers.get("Content-Length")
    if response.status == 206:
        found = re.match(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if not found or int(found[1]) != start:
            raise _NoRange("the server sent another range than was asked for")
        total = None if found[2] == "*" else found[2]
    else:
        start = 0
    kind = response.headers.get_content_type()
    if (total and total.strip() != str(archive.size)) or kind == "text/html":
        raise UserError(
            f"{archive.url} gives another file: {kind}, {total or 'unknown'} bytes instead of "
            f"{archive.size}. It may be a network's login page, which shows when the address is opened in a "
            "browser. Otherwise "
            f"{_by_hand(archive, part.with_suffix(''))}"
        )
    return start


def check_space(folder: Path, needed: int) -> None:
    """Raise UserError where a disk hasn't that many bytes left."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"{shown(folder)}: {needed / 1e9:.2f} GB of free space are needed, and there are "
            f"{free / 1e9:.2f} GB. Free some, or set IMAGE_DIR and ANNOTATION_FILE to another disk"
        )


def words(error) -> str:
    """An exception as words; some have none, and some a number before them that says nothing more."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
