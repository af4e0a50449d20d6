"""The files of an archive's folder, unpacked whole: staged next to their place, then given their names.

Nothing of the user's is overwritten or deleted; the folders of unfinished unpacking are this module's own.
"""

import contextlib
import glob
import os
import re
import shutil
import stat
import zipfile
import zlib
from pathlib import Path

from common.errors import UserError, list_rows
from common.retrieval import archives
from common.settings import shown

CHUNK = 1 << 18  # bytes copied at once
PLAIN_NAME = re.compile(r"\w(?:[\w.-]*\w)?", re.ASCII)  # the same file on every system, and never a path


def unpack(path: Path, inside: str, target: Path, names: list[str] | None = None) -> None:
    """Unpack the files of an archive's folder `inside` into the folder `target`, all of them or `names`.

    They are staged, and get their names only when all are whole: a new folder as one, files for a folder that
    is there already one by one. Raises UserError, and changes nothing, where a file of another size is there.
    """
    try:
        with zipfile.ZipFile(path) as bundle:
            members = _members(bundle, path, inside)
            absent = [name for name in names or () if name not in members]
            if absent or not members:
                raise UserError(f"{shown(path)} does not hold {inside}/{', '.join(absent)}")
            if names is not None:
                members = {name: members[name] for name in names}
            there = sizes(target)
            _refuse_to_overwrite(members, there, target)
            members = {name: member for name, member in members.items() if name not in there}
            _stage_and_move(bundle, members, target)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise UserError(
            f"{shown(path)} can't be unpacked ({archives.words(error)}). Move it away, then run the same "
            "command again: it fetches the archive once more"
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
            f"{len(other)} files in {shown(target)} are not those of the archive, perhaps cut off. Nothing "
            f"of yours is overwritten: move them away, then run the same command again:\n{list_rows(other)}"
        )


def _stage_and_move(bundle: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], target: Path) -> None:
    """Write members into a folder of their own on the target's disk, then give them their names."""
    new = not target.exists()
    near = target.parent if new else target
    near.mkdir(parents=True, exist_ok=True)
    total = sum(member.file_size for member in members.values())
    archives.check_space(near, total)
    stage = near / f".{target.name}.{os.getpid()}.unpacking"
    try:
        stage.mkdir()
        with archives.progress(total, f"unpacking {target.name}") as bar:
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


def sizes(folder: Path) -> dict[str, int | None]:
    """Name -> bytes of everything in a folder, which may not be there; None for a link to nowhere."""
    sizes = {}
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            sizes[entry.name] = entry.stat().st_size if os.path.exists(entry) else None
    return sizes


def remove_leftovers(*targets: Path) -> None:
    """Delete the folders of unpacking that was killed; no other run unpacks, since this one has the lock."""
    for target in targets:
        for place in (target.parent, target):
            for leftover in place.glob(f".{glob.escape(target.name)}.[0-9]*.unpacking"):
                shutil.rmtree(leftover)
