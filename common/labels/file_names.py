"""What a handed-in file's name says: whether it was handed in, whose it is, and how far that is believed.

Programs and people name copies in any language and script. So a name alone never makes a rater: the
content has to say the same (`whose`), except where a name is exactly a drawn annotator's, or a browser's or
file manager's usual copy of that.
"""

import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from common.labels import manifest
from common.labels.sheets import BACKUP, OVERLAP

TABLES = (".csv", ".xlsx")  # endings of sheets; what is in them is found by their content
ARCHIVES = (".zip", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".tar", ".zst")
# What browsers and file managers add to the name of a second copy.
COPY = re.compile(r"(\s*\(\d+\)| ?- (copy|kopie|副本)( ?\(\d+\))?| copy( \d+)?)+$", re.IGNORECASE)
OWN, PAGE = "own", "page"  # kinds of sheets, besides OVERLAP and BACKUP
KINDS = (OVERLAP, PAGE, BACKUP)  # those that a name spells out
NO_LETTER = (OVERLAP, BACKUP)  # sheets whose names may lack a letter; their rater is then called the same
# Capitals and small letters of other scripts that look like Latin ones, and are typed in their place.
ALIKE = str.maketrans(
    "АВЕКМНОРСТУХЅІЈаеорсухѕіјΑΒΕΖΗΙΚΜΝΟΡΤΥΧοα", "ABEKMHOPCTYXSIJaeopcyxsijABEZHIKMNOPTYXoa"
)
TEMPORARY = ("~", ".~", ".#", "#")  # first letters of what a program keeps next to a file that it has open
BACKUPS = ("~", ".bak", ".old", ".orig", ".tmp")


class Said(NamedTuple):
    """What a file's name says of a sheet."""

    kind: str  # OWN, PAGE, OVERLAP or BACKUP
    rater: str | None  # None where it names nobody who was drawn
    is_sure: bool  # it is that rater's name for a sheet; otherwise the content has to say so


class Found(NamedTuple):
    """The files of a failure folder that people put there, each in order of their names."""

    sheets: list[Path]  # whose names say that they are to be read
    others: list[Path]  # what looks handed in and can't be read: other endings, subfolders, folders
    opened: list[Path]  # marks of programs that have a sheet open


def find(folder: Path) -> Found:
    """Everything in a folder and below it that looks handed in."""
    found = Found([], [], [])
    for path in sorted(_files(folder)):
        name = folded(path.name)
        if name.startswith(TEMPORARY) or name.endswith(".swp"):
            if "sign_" in name:  # Office may write its mark over the first two letters
                found.opened.append(path)
        elif "assign" not in name or name.startswith("."):
            continue
        elif path.parent == folder and path.suffix.casefold() in TABLES and path.is_file():
            found.sheets.append(path)
        elif "assign_" in name or path.suffix.casefold() in TABLES:
            found.others.append(path)
    return found


def _files(folder: Path) -> Iterable[Path]:
    """Files in a folder and below it, other studies aside, and folders that are named like sheets."""
    ours = _drawn_by(folder)
    for root, folders, names in os.walk(folder):
        here = Path(root)
        # Another study's sheets have a manifest of their own; a copy of this folder has this one's.
        if here != folder and _drawn_by(here) not in (None, ours):
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX"))]
        yield from (here / name for name in names)
        yield from (here / name for name in folders if _is_one_sheet(here / name))


def _is_one_sheet(folder: Path) -> bool:
    """Whether a folder is named like a sheet and nothing in it is: a Numbers document, say."""
    within = [folded(path.name) for path in folder.rglob("*")]
    return begins(folder.name) and bool(within) and not any("assign" in name for name in within)


def begins(name: str) -> bool:
    """Whether a name begins with `assign_`, so that the file is surely meant to be read."""
    return folded(name).startswith("assign_")


def is_backup(path: Path) -> bool:
    """Whether an editor's or a person's backup copy is next to its original: `assign_A.csv~`."""
    original = path.name.removesuffix("~") if path.name.endswith("~") else path.stem
    is_named_so = path.name.casefold().endswith(BACKUPS)
    return is_named_so and path.with_name(original).is_file()


def _drawn_by(folder: Path) -> bytes | None:
    """A folder's manifest as bytes; None where it has none."""
    path = folder / manifest.NAME
    return path.read_bytes() if path.is_file() else None


def why_not_read(path: Path, folder: Path) -> str:
    """Why one of `Found.others` is not read, and what to do about it: a predicate."""
    if path.is_dir() and not path.suffix:
        return f"is a folder, which is not read: put the sheets in it into {folder.name}/ itself"
    if not path.exists():
        return "is a link to a file that was not found: put the file itself here"
    suffix = path.suffix.casefold()
    if suffix in ARCHIVES:
        return f"is an archive, which is not read: unpack it into {folder.name}/"
    if suffix not in TABLES:
        return "can't be read: save it as .csv or .xlsx"
    return f"is in a subfolder, which is not read: move it into {folder.name}/ itself"


def folded(text: str) -> str:
    """A name without what only its spelling adds: fullwidth and look-alike letters, accents' form, case."""
    return unicodedata.normalize("NFKC", text).translate(ALIKE).casefold()


def said(name: str, raters: Iterable[str]) -> Said:
    """What the name of a sheet says of it, where `raters` are those who can have filled it in.

    >>> said("assign_page_A (1).csv", ["A", "B"])
    Said(kind='page', rater='A', is_sure=True)
    """
    raters = list(raters)
    kind, rest = _kind(COPY.sub("", Path(name).stem))
    if rest == "" and kind in NO_LETTER:
        return Said(kind, kind, is_sure=True)
    for spelled in (str.casefold, folded):  # two raters may differ in what `folded` takes off
        for rater in raters:
            if rest is not None and spelled(rest) == spelled(rater):
                return Said(kind, rater, is_sure=True)
    return _guess(name, raters)


def assumed(names: Iterable[str]) -> list[str]:
    """The raters that sheets' names speak of, for a folder where nothing says who was drawn."""
    said_so = {}  # folded -> as it is spelled; plain letters are preferred to those that look like them
    for name in sorted(names):
        _, rest = _kind(COPY.sub("", Path(name).stem))
        # Several words (`A_final`, `A v2`) would make a second rater of A.
        if rest and re.fullmatch(r"[^\W_]+", rest):
            said_so.setdefault(folded(rest), rest.upper() if len(rest) == 1 else rest.casefold())
    raters = sorted(said_so.values())
    return [
        rater
        for rater in raters
        if _guess(f"assign_{rater}", [other for other in raters if other != rater]).rater is None
    ]


def is_copy(name: str) -> bool:
    """Whether a browser or a file manager gave a sheet's name to a second copy."""
    return COPY.search(Path(name).stem) is not None


def _kind(stem: str) -> tuple[str, str | None]:
    """A sheet's kind, and what is in the rater's place; None where the name begins otherwise."""
    stem = unicodedata.normalize("NFKC", stem)
    if not folded(stem).startswith("assign_"):
        return OWN, None
    stem = stem[len("assign_") :].strip()
    kind, _, rest = stem.partition("_")
    return (kind.casefold(), rest.strip()) if kind.casefold() in KINDS else (OWN, stem)


def _guess(name: str, raters: list[str]) -> Said:
    """The rater whose name comes first, if nobody else is named: `assign_A_final`, `assign_overlap_B副本`."""
    _, _, rest = folded(Path(name).stem).partition("assign")
    match = re.match(rf"[\W_]*(?:({'|'.join(KINDS)})(?![a-z0-9]))?[\W_]*", rest)
    kind, rest = match[1] or OWN, rest[match.end() :]
    # A letter of another script may follow at once, in languages that don't part words.
    named = [rater for rater in raters if re.match(rf"{re.escape(folded(rater))}(?![a-z0-9])", rest)]
    if not named:
        return Said(kind, None, is_sure=False)
    longest = max(named, key=len)
    others = "|".join(re.escape(folded(rater)) for rater in raters if rater != longest)
    rest = rest[len(folded(longest)) :]
    is_another = bool(others) and re.search(rf"(?<![^\W_])({others})(?![^\W_])", rest)
    return Said(kind, None if is_another else longest, is_sure=False)
