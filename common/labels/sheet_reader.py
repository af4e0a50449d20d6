"""A filled sheet as people hand it in: whatever a spreadsheet made of it becomes rows of text by column name.

A CSV file does not say how it was encoded or delimited. The captions do: they are known from the cache, so
the encoding is the one in which they match, and the delimiter the one that yields the columns.
"""

import csv
import functools
import io
import itertools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from common import files
from common.errors import UserError
from common.labels import sheets, spellings, workbook
from common.labels.same_caption import compare
from common.labels.workbook import Record
from common.settings import shown

REQUIRED = ("idx", "caption", "category")
DELIMITERS = ",;\t|"
HEADER_WITHIN = 20  # rows: people put titles and notes above the header
MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
MISREAD = (
    "utf-8 misread as cp1252"  # opened as Windows text, where every accent became two letters, and saved
)
OLD_EXCEL = b"\xd0\xcf\x11\xe0"  # .xls, and every workbook with a password
csv.field_size_limit(10_000_000)  # the default refuses a pasted text of 128 KiB with an error of its own


class SheetError(UserError):
    """A sheet that can't be read. `reason` is why, and what to do about it, without the file's name."""

    def __init__(self, path: Path, reason: str, otherwise: str = ""):
        super().__init__(f"{shown(path)} {reason}{otherwise}")
        self.reason = reason


class _Unreadable(Exception):
    """The reason of a SheetError, from functions that don't know the file's name."""


class Row(NamedTuple):
    """One row: `number` as the spreadsheet shows it; `cells` by our column name; `further` by the sheet's."""

    number: str
    cells: dict[str, str]
    further: dict[str, str]


class Sheet(NamedTuple):
    """What a file held. `form` says how it was read; `missing` are columns of ours that it lacks."""

    rows: list[Row]
    form: str
    missing: list[str]
    further: list[str]


def read(
    path: Path,
    captions: Mapping[int, str],
    columns: Mapping[str, str] = spellings.COLUMN_TABLE,
    required: tuple[str, ...] = REQUIRED,
    otherwise: str = "",
) -> Sheet:
    """Read a sheet, CSV or workbook by its content whatever its name says. Never writes.

    captions: idx -> caption, to find the encoding. columns: squeezed spelling -> column name. Cells lose
    white space at their edges, those of a CSV also the `guarded` quote; nothing is taken for missing but an
    empty cell, so `NA` and `None` are text. Rows without any text are skipped.
    Raises SheetError where the file can't be read, saying why and what to do; `otherwise` ends its message.
    """
    data = path.read_bytes()
    try:
        if data.startswith(b"PK\x03\x04"):
            return _read_workbook(data, columns, required)
        return _read_csv(data, captions, columns, required)
    except _Unreadable as error:
        raise SheetError(path, str(error), otherwise) from error


def read_table(
    path: Path, columns: tuple[str, ...], captions: Mapping[int, str], again: str
) -> list[dict[str, str]]:
    """Cells of one of our own tables, which people open and save in a spreadsheet too.

    All of `columns` must be there, and only they are returned. `again` is what a user does to get the file
    again: "run `python failure.py` again". Raises SheetError where it can't be read.
    """
    spelled = {spellings.squeezed(name): name for name in columns}
    return [row.cells for row in read(path, captions, spelled, columns, f", or {again}").rows]


def _read_csv(
    data: bytes, captions: Mapping[int, str], columns: Mapping[str, str], required: tuple[str, ...]
) -> Sheet:
    """The reading, among the encodings that fit the bytes, in which most captions and labels are known."""
    if not data.strip():
        raise _Unreadable("is an empty file: nothing of it can be read. Hand in the sheet again")
    if data.startswith(OLD_EXCEL):
        raise _Unreadable(
            "is an .xls or has a password, which can't be read: save it as .xlsx or CSV, without one"
        )
    best, best_score, failure = None, None, None
    encodings = _encodings(data)
    for encoding in encodings:
        try:
            sheet = _parse(_decoded(data, encoding), columns, required)
        except UnicodeError:
            continue
        except _Unreadable as error:
            failure = failure or error
            continue
        score = _score(sheet, captions) if len(encodings) > 1 else (0, 0)
        if best is None or score > best_score:
            best, best_score = sheet._replace(form=f"{sheet.form}, {encoding}"), score
        if score == (len(sheet.rows), 0):
            break  # no other encoding can do better
    if best is None:
        raise failure or _Unreadable("is not text in any known encoding: save it as CSV UTF-8 or .xlsx")
    return best


def _encodings(data: bytes) -> list[str]:
    """Encodings worth a try, the likeliest first."""
    for mark, encoding in MARKS:
        if data.startswith(mark):
            accents = encoding == "utf-8-sig" and not data[len(mark) :].isascii()
            return [encoding, MISREAD] if accents else [encoding]
    if b"\0" in data[:200]:
        # No mark, but zero bytes: UTF-16, whose ASCII letters have their zero second in little-endian.
        return ["utf-16-le" if data[1:2] == b"\0" else "utf-16-be"]
    if data.isascii():
        return ["utf-8"]
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        # Captions that are all ASCII don't tell which of two it is. Then the bytes do: Chinese text has its
        # high bytes in pairs, an accented letter mostly stands alone. Excel for Mac saves mac_roman.
        odd = any(len(run) % 2 for run in re.findall(rb"[\x80-\xff]+", data))
        return ["cp1252", "gb18030", "mac_roman"] if odd else ["gb18030", "cp1252", "mac_roman"]
    # Text of another encoding is hardly ever valid UTF-8.
    return ["utf-8", MISREAD]


def _decoded(data: bytes, encoding: str) -> str:
    """Bytes as text. Raises UnicodeError where they aren't text in this encoding."""
    if encoding != MISREAD:
        return data.decode(encoding)
    try:
        once = bytes(_CP1252[letter] for letter in data.decode("utf-8-sig"))
    except KeyError as error:
        raise UnicodeError("more than Windows-1252 can hold") from error
    return once.decode("utf-8-sig")


def _cp1252_bytes() -> dict[str, int]:
    """Letter -> byte. Five bytes are undefined: Excel shows them as control characters, LibreOffice as
    U+F181 and so on, and both save that."""
    table = {}
    for byte in range(256):
        letter = bytes([byte]).decode("cp1252", errors="ignore")
        table |= {letter: byte} if letter else {chr(byte): byte, chr(0xF100 + byte): byte}
    return table


_CP1252 = _cp1252_bytes()


def _score(sheet: Sheet, captions: Mapping[int, str]) -> tuple[int, int]:
    """How well a reading is known: captions that match the cache, then (negative) labels not in the table."""
    matching = unknown = 0
    for row in sheet.rows:
        idx = whole_number(row.cells["idx"])
        matching += idx in captions and compare(row.cells["caption"], captions[idx]) == "same"
        for column, known in (("category", spellings.category), ("ambiguous_subtype", spellings.subtype)):
            cell = row.cells.get(column, "")
            unknown += not spellings.is_blank(cell) and known(cell) is None
    return matching, -unknown


def _parse(text: str, columns: Mapping[str, str], required: tuple[str, ...]) -> Sheet:
    """Rows of a CSV text, by the delimiter under which its header shows most of our columns."""
    found = {}
    for delimiter in DELIMITERS:
        # Not strict yet: under a wrong delimiter quotes are in odd places.
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        try:
            records = list(enumerate(itertools.islice(reader, HEADER_WITHIN), start=1))
        except csv.Error:
            continue
        if header := _header(records, columns, required):
            found[delimiter] = len(header[1])
    if not found:
        first = text.lstrip("\ufeff").partition("\n")[0][:80]
        raise _Unreadable(f"has no header row with the columns {', '.join(required)} (it begins {first!r})")
    delimiter = max(found, key=found.get)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        records = list(enumerate(reader, start=1))
    except csv.Error as error:
        # A quote that isn't closed swallows the rows behind it: none of the file can be trusted then.
        raise _Unreadable(
            f"has a misplaced double quote near line {reader.line_num} ({error}), so its rows can't be "
            'separated. Write a quote inside a cell as "", or save the sheet from a spreadsheet'
        ) from error
    unguarded = [(number, [files.unguarded(cell) for cell in cells]) for number, cells in records]
    sheet = _under_header(unguarded, columns, required)
    name = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}[delimiter]
    return sheet._replace(form=f"CSV, {name}")


def _read_workbook(data: bytes, columns: Mapping[str, str], required: tuple[str, ...]) -> Sheet:
    """The rows of every worksheet that has our columns: people copy one inside the file, too."""
    try:
        worksheets, form = workbook.worksheets(data)
    except workbook.NotReadable as error:
        raise _Unreadable(str(error)) from error
    parts = {
        title: _under_header(records, columns, required)
        for title, records in worksheets.items()
        if _header(records, columns, required)
    }
    if not parts:
        raise _Unreadable(f"has no worksheet with the columns {', '.join(required)}")
    rows = [
        # One such worksheet is the usual case; its row numbers need no name in front.
        row._replace(number=f"{title}!{row.number}" if len(parts) > 1 else row.number)
        for title, part in parts.items()
        for row in part.rows
    ]
    further = dict.fromkeys(name for part in parts.values() for name in part.further)
    return Sheet(rows, form, next(iter(parts.values())).missing, list(further))


@functools.lru_cache(maxsize=100_000)  # every rater's sheet holds the same few numbers
def whole_number(text: str) -> int | None:
    """A cell as a whole number: `12`, or `12.0` as spreadsheets write it; None for anything else."""
    match = re.fullmatch(r"\s*(\d{1,9})(?:[.,]0)?\s*", text)  # `1,000` is none: it could be 1 or 1000
    return int(match[1]) if match else None


def _header(
    records: list[Record], columns: Mapping[str, str], required: tuple[str, ...]
) -> tuple[int, dict[str, int]] | None:
    """The header's position and our columns' places in it; None where no row has all that is required.

    Raises _Unreadable where two columns of the header count as the same one of ours.
    """
    for position, (_, cells) in enumerate(records[:HEADER_WITHIN]):
        named = [(columns.get(spellings.squeezed(cell)), place) for place, cell in enumerate(cells)]
        places = {}
        for name, place in named:
            if name:
                places.setdefault(name, place)
        if all(name in places for name in required):
            doubled = sorted({name for name, place in named if name and places[name] != place})
            if doubled:
                raise _Unreadable(f"has two columns for {', '.join(doubled)}: rename or remove one of them")
            return position, places
    return None


def _under_header(records: list[Record], columns: Mapping[str, str], required: tuple[str, ...]) -> Sheet:
    """The rows below the header, by column name. Cells beyond the header's width are kept as further."""
    start, places = _header(records, columns, required)
    header = [cell.strip() for cell in records[start][1]]
    ours = set(places.values())
    rows, all_further = [], {}
    for number, cells in records[start + 1 :]:
        cells = [cell.strip() for cell in cells]
        if not any(cells):
            continue
        further = {}
        for place, cell in enumerate(cells):
            if cell and place not in ours:
                name = header[place] if place < len(header) and header[place] else f"column {place + 1}"
                further[name] = cell
        all_further.update(further)
        named = {name: cells[place] if place < len(cells) else "" for name, place in places.items()}
        rows.append(Row(str(number), named, further))
    missing = [name for name in sheets.COLUMNS if name in columns.values() and name not in places]
    return Sheet(rows, "", missing, list(all_further))
