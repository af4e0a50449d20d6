"""The two official COCO archives: fetched behind what is there, verified, and unpacked in whole files.

An archive lies beside the folder of images (`data/val2017.zip`), and as long as it isn't whole it is called
`val2017.zip.part`. One that the user put there is used as it is. Nothing of the user's is overwritten or
deleted; the parts and the folders of unfinished unpacking are this module's own.
"""

# Why no library: pooch and py3-wget start a broken file again from zero, parfive asks for ranges only within
# one run, robust-downloader doesn't look whether the server kept to the range, pypdl resumes, but needs
# aiohttp, writes files of its own beside the target and leaves the hash to its caller, pyhaul needs Python
# 3.12, and huggingface_hub's `http_get`, which does resume well, isn't part of its public interface.

import contextlib
import glob
import hashlib
import http.client
import os
import re
import shutil
import stat
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from common import files
from common.errors import UserError, list_rows
from common.retrieval import coco
from common.settings import shown

TIMEOUT = 30  # seconds without a byte, after which a connection counts as broken
ATTEMPTS = 5  # in a row that bring nothing new, after which a run gives up
PAUSE = 1.0  # seconds before the next attempt; doubled while nothing new comes
CHUNK = 1 << 18  # bytes
AGAIN = (408, 429, 500, 502, 503, 504)  # HTTP statuses that pass by themselves

MIRROR = "https://duke.box.com/s/c3kdhyenkrjs8eh6ua5ks1276p1qrta1"
VAL_CAPTIONS = "captions_val2017.json"
CAPTIONS = ("captions_train2017.json", VAL_CAPTIONS)
PLAIN_NAME = re.compile(r"\w(?:[\w.-]*\w)?", re.ASCII)  # the same file on every system, and never a path


@dataclass(frozen=True)
class Archive:
    """A file that is known before it is fetched."""

    url: str
    size: int  # bytes
    sha256: str  # hexadecimal

    @property
    def name(self) -> str:
        return self.url.rsplit("/", 1)[1]


# Plain http, as COCO publishes them. That is safe here: whoever changes a byte on the way changes the sha256.
IMAGES = Archive(
    "http://images.cocodataset.org/zips/val2017.zip",
    815_585_330,
    "4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
)
ANNOTATIONS = Archive(
    "http://images.cocodataset.org/annotations/annotations_trainval2017.zip",
    252_907_541,
    "113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
)


class _Broken(Exception):
    """A connection that failed in a way that may pass; its text is the reason."""


class _NoRange(_Broken):
    """The server won't go on behind the bytes that are here, so the next attempt starts from zero."""


def fetch(
    image_dir: Path,
    annotation_dir: Path,
    images: Archive = IMAGES,
    annotations: Archive = ANNOTATIONS,
    on_wait: Callable[[], None] = lambda: None,
) -> list[Path]:
    """Get the images and the captions of COCO 2017 that aren't there yet; returns what was written.

    That is in order: each archive that was fetched, the caption files, `image_dir`. Where all is there the
    list is empty, and no archive and no network is needed. `on_wait` is called where another run is fetching.
    Raises UserError where the server, the disk, an archive or a file that is in the way prevents it; the next
    call goes on behind the bytes that are here.
    """
    image_dir, annotation_dir = Path(image_dir), Path(annotation_dir)
    for folder in (image_dir, annotation_dir):
        if os.path.lexists(folder) and not folder.is_dir():
            raise UserError(f"{shown(folder)} isn't a folder, and one is needed there: move it away")
    if not _missing_captions(annotation_dir) and not _missing_images(image_dir, annotation_dir):
        return []
    try:
        with files.locked(image_dir.parent / ".lock_download", on_wait):
            return _fetch(image_dir, annotation_dir, images, annotations)
    except OSError as error:  # a full disk names no file, and `reported` would take that for a bug
        raise UserError(
            f"{shown(error.filename or image_dir.parent)}: {error.strerror or error}. Free some space or "
            "mend the folder's permissions, then run the same command again: it goes on where it was"
        ) from error


def _fetch(image_dir: Path, annotation_dir: Path, images: Archive, annotations: Archive) -> list[Path]:
    """What `fetch` does once no other run is at it."""
    folder, written = image_dir.parent, []
    _remove_leftovers(image_dir, annotation_dir)
    captions = _missing_captions(annotation_dir)
    # For both at once, so that nobody waits for the first archive to read that the second has no room.
    # What is unpacked takes about as much as a photographs' archive, and less than the annotations'.
    needed = _left(annotations, folder) + annotations.size if captions else 0
    needed += 0 if image_dir.is_dir() else _left(images, folder) + images.size
    _check_space(folder, needed)
    if captions:
        written += _get(annotations, folder)
        _unpack(folder / annotations.name, "annotations", annotation_dir, captions)
        written += [annotation_dir / name for name in captions]
    # The captions file names every image: that is how a finished download is known without its archive.
    if _missing_images(image_dir, annotation_dir):
        _check_space(folder, _left(images, folder))
        written += _get(images, folder)
        _unpack(folder / images.name, "val2017", image_dir)
        written.append(image_dir)
        missing = _missing_images(image_dir, annotation_dir)
        if missing:
            raise UserError(
                f"{shown(annotation_dir / VAL_CAPTIONS)} names {len(missing)} images that {images.name} "
                "doesn't hold, so it isn't the official file. Move it away and run the same command again, "
                f"or set DOWNLOAD = False:\n{list_rows(missing)}"
            )
    return written


def _missing_captions(annotation_dir: Path) -> list[str]:
    """Which caption files aren't there. Raises UserError for one that is there and ends too early."""
    cut = []
    for name in CAPTIONS:
        with contextlib.suppress(FileNotFoundError), open(annotation_dir / name, "rb") as file:
            file.seek(-min(64, file.seek(0, os.SEEK_END)), os.SEEK_END)
            cut += [] if file.read().rstrip().endswith(b"}") else [name]
    if cut:
        raise UserError(
            f"{len(cut)} files in {shown(annotation_dir)} are cut off. Nothing of yours is overwritten: move "
            f"them away, then run the same command again:\n{list_rows(cut)}"
        )
    return [name for name in CAPTIONS if not (annotation_dir / name).is_file()]


def _missing_images(image_dir: Path, annotation_dir: Path) -> list[str]:
    """Names of the captions file's images that the folder lacks, in the file's order."""
    there = _sizes(image_dir)
    images = coco.read_captions(annotation_dir / VAL_CAPTIONS).dataset["images"]
    return [image["file_name"] for image in images if image["file_name"] not in there]


def _sizes(folder: Path) -> dict[str, int | None]:
    """Name -> bytes of everything in a folder, which may not be there; None for a link to nowhere."""
    sizes = {}
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            sizes[entry.name] = entry.stat().st_size if os.path.exists(entry) else None
    return sizes


def _remove_leftovers(*targets: Path) -> None:
    """Delete the folders of unpacking that was killed; no other run is at it, since this one has the lock."""
    for target in targets:
        for place in (target.parent, target):
            for leftover in place.glob(f".{glob.escape(target.name)}.[0-9]*.unpacking"):
                shutil.rmtree(leftover)


def _left(archive: Archive, folder: Path) -> int:
    """Bytes of an archive that are still to be fetched."""
    path = folder / archive.name
    return 0 if path.exists() else max(0, archive.size - _size(_part(path)))


def _check_space(folder: Path, needed: int) -> None:
    """Raise UserError where a disk hasn't that many bytes left."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"{shown(folder)}: {needed / 1e9:.2f} GB of free space are needed, and there are "
            f"{free / 1e9:.2f} GB. Free some, or set IMAGE_DIR and ANNOTATION_FILE to another disk"
        )


def _part(path: Path) -> Path:
    """What an archive is called as long as it isn't whole."""
    return path.with_name(path.name + ".part")


def _size(path: Path) -> int:
    """Bytes of a file; 0 where there is none."""
    return path.stat().st_size if path.exists() else 0


def _get(archive: Archive, folder: Path) -> list[Path]:
    """Have a whole and verified archive in a folder: [its path] where it was fetched, [] where it was there.

    Raises UserError for one that isn't the official file. A part of ours is then removed, or each later run
    would resume behind the wrong byte; a file of the user's stays.
    """
    path = folder / archive.name
    if path.exists():
        what = _difference(path, archive)
        if what:
            raise UserError(
                f"{shown(path)} isn't the official archive: {what}. Move it away (one that merely broke off "
                f"can be named {_part(path).name}), then run the same command again"
            )
        return []
    part = _part(path)
    _download(archive, part)
    what = _difference(part, archive)
    if what:
        part.unlink()
        raise UserError(
            f"{archive.url} was fetched, but isn't the official archive: {what}. It was removed; run the "
            f"same command again to start from zero. If that doesn't help: {_by_hand(path)}"
        )
    os.replace(part, path)
    return [path]


def _difference(path: Path, archive: Archive) -> str | None:
    """How a file differs from an archive, or None."""
    size = _size(path)
    if size != archive.size:
        return f"{size:,} bytes instead of {archive.size:,}"
    digest = hashlib.sha256()
    with open(path, "rb") as file, _bar(size, f"checking {archive.name}") as bar:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            bar.update(len(chunk))
    found = digest.hexdigest()
    return None if found == archive.sha256 else f"its sha256 is {found} instead of {archive.sha256}"


def _by_hand(path: Path) -> str:
    """The way without this module, as the end of a message."""
    return (
        f"get {path.name} in a browser, from there or from the mirror {MIRROR}, and put it at {shown(path)}, "
        "where the next run finds it (data/README.md says more)"
    )


def _bar(total: int, label: str, initial: int = 0) -> tqdm:
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
    with _bar(archive.size, archive.name, initial=most) as bar:
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
                    f"{archive.url} could not be fetched ({reason}). {kept}Run the same command again to go "
                    f"on, or {_by_hand(part.with_suffix(''))}"
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
                    raise _Broken(_words(error)) from error
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
            f"{_by_hand(part.with_suffix(''))}"
        ) from error
    except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
        raise _Broken(_words(getattr(error, "reason", error))) from error


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
            f"{_by_hand(part.with_suffix(''))}"
        )
    return start


def _words(error) -> str:
    """An exception as words; some have none, and some a number before them that says nothing more."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _unpack(path: Path, inside: str, target: Path, names: list[str] | None = None) -> None:
    """Unpack the files of an archive's folder `inside` into the folder `target`, all of them or `names`.

    They are staged, and get their names only when all are whole: a new folder as one, files for a folder that
    is there already one by one. Raises UserError, and changes nothing, where a file of another size is there.
    """
    try:
        with zipfile.ZipFile(path) as bundle:
            members = _members(bundle, path, inside)
            absent = [name for name in names or () if name not in members]
            if absent or not members:
                raise UserError(f"{shown(path)} doesn't hold {inside}/{', '.join(absent)}")
            if names is not None:
                members = {name: members[name] for name in names}
            there = _sizes(target)
            _refuse_to_overwrite(members, there, target)
            members = {name: member for name, member in members.items() if name not in there}
            _stage_and_move(bundle, members, target)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise UserError(
            f"{shown(path)} can't be unpacked ({_words(error)}). Move it away, then run the same command "
            "again: it fetches the archive anew"
        ) from error


def _members(bundle: zipfile.ZipFile, path: Path, inside: str) -> dict[str, zipfile.ZipInfo]:
    """Name -> member of the plain files directly in one folder of an archive.

    Raises UserError if any member at all could end up elsewhere than its name says: a path that leads out,
    a link, a name that two systems read differently, the same name twice.
    """
    members, bad = {}, []
    for member in bundle.infolist():
        original = member.orig_filename  # zipfile's own `filename` is already cut and turned round
        folder, _, name = original.removesuffix("/").rpartition("/")
        kind = stat.S_IFMT(member.external_attr >> 16)  # 0 in archives that know no kinds
        plain = all(PLAIN_NAME.fullmatch(step) for step in original.removesuffix("/").split("/"))
        if not plain or kind not in (0, stat.S_IFDIR if member.is_dir() else stat.S_IFREG):
            bad.append(original)
        elif not member.is_dir() and folder == inside:
            bad += [original] if name in members else []
            members[name] = member
        elif folder.startswith(inside + "/"):
            bad.append(original)
    if bad:
        raise UserError(
            f"{shown(path)} holds {len(bad)} members that no COCO archive has, so nothing was unpacked. Move "
            f"it away and get the official one:\n{list_rows([repr(name) for name in bad])}"
        )
    return members


def _refuse_to_overwrite(members: dict, there: dict[str, int | None], target: Path) -> None:
    """Raise UserError listing files that are there with another size than the archive's."""
    other = [
        f"{name}: {there[name]} bytes, in the archive {member.file_size}"
        for name, member in members.items()
        if name in there and there[name] != member.file_size
    ]
    if other:
        raise UserError(
            f"{len(other)} files in {shown(target)} aren't those of the archive, perhaps cut off. Nothing of "
            f"yours is overwritten: move them away, then run the same command again:\n{list_rows(other)}"
        )


def _stage_and_move(bundle: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], target: Path) -> None:
    """Write members into a folder of their own on the target's disk, then give them their names."""
    new = not target.exists()
    beside = target.parent if new else target
    beside.mkdir(parents=True, exist_ok=True)
    total = sum(member.file_size for member in members.values())
    _check_space(beside, total)
    stage = beside / f".{target.name}.{os.getpid()}.unpacking"
    try:
        stage.mkdir()
        with _bar(total, f"unpacking {target.name}") as bar:
            for name, member in members.items():
                with bundle.open(member) as source, open(stage / name, "wb") as file:
                    shutil.copyfileobj(source, file, CHUNK)  # zipfile checks the CRC at the end
                bar.update(member.file_size)
        if hasattr(os, "sync"):  # once for all files, which a power cut could leave empty under their names
            os.sync()
        if new:
            os.rename(stage, target)
        else:
            for name in members:
                os.replace(stage / name, target / name)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
