"""The cells of a workbook as text: an ordinary .xlsx, or Excel's "Strict Open XML Spreadsheet"."""

import io
import re
import warnings
import zipfile

from common.heavy import openpyxl

Record = tuple[int, list[str]]  # a row's number in the spreadsheet and its cells
# ISO/IEC 29500 gives each namespace two names, and openpyxl knows the transitional ones alone.
STRICT = re.compile(rb"http://purl\.oclc\.org/ooxml/(\w+)/(\w+)")
TRANSITIONAL = rb"http://schemas.openxmlformats.org/\1/2006/\2"
# What else is a zip: a file in it -> what people call the whole.
OTHERS = {
    "Index/Document.iwa": "a Numbers document",
    "content.xml": "an OpenDocument file (.ods)",
    "word/document.xml": "a Word document",
    "ppt/presentation.xml": "a presentation",
    "xl/workbook.bin": "a binary workbook (.xlsb)",
}


class NotReadable(Exception):
    """Why a file can't be read as a workbook, and what to do about it: a predicate."""


def worksheets(data: bytes) -> tuple[dict[str, list[Record]], str]:
    """Title -> rows with text, of each worksheet; and how it was read, "workbook" or "strict workbook".

    A formula counts as its last computed value. Raises NotReadable.
    """
    try:
        with warnings.catch_warnings():
            # openpyxl warns of drop-down lists and styles that it won't keep; nothing is written here.
            warnings.simplefilter("ignore")
            ordinary, is_strict = _ordinary(data)
            return _records(ordinary), "strict workbook" if is_strict else "workbook"
    except NotReadable:
        raise
    except Exception as error:  # openpyxl raises whatever the broken part of a file happens to break
        raise NotReadable(
            f"can't be opened as a workbook ({error}): save it again as .xlsx or CSV"
        ) from error


def _ordinary(data: bytes) -> tuple[bytes, bool]:
    """A workbook with the namespaces that openpyxl knows, and whether it had the strict ones."""
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        names = source.namelist()
        what = next((what for name, what in OTHERS.items() if name in names), "")
        if what or "[Content_Types].xml" not in names:
            raise NotReadable(f"is {what or 'a zip archive'}, not an .xlsx: save the sheet as .xlsx or CSV")
        if not any(STRICT.search(source.read(name)) for name in names if name.endswith(".rels")):
            return data, False
        ordinary = io.BytesIO()
        with zipfile.ZipFile(ordinary, "w") as target:
            for name in names:
                target.writestr(name, STRICT.sub(TRANSITIONAL, source.read(name)))
    return ordinary.getvalue(), True


def _records(data: bytes) -> dict[str, list[Record]]:
    """Title -> rows with text, of each worksheet of an ordinary workbook."""
    # Read-only, since spreadsheets like to format columns down to row 1,048,576: whole, that takes gigabytes.
    found, any_formula = {}, False
    for sheet in openpyxl.load_workbook(io.BytesIO(data), read_only=True).worksheets:
        sheet.reset_dimensions()  # what the file says of its own size is often wrong
        records = found[sheet.title] = []
        for number, row in enumerate(sheet.iter_rows(), start=1):
            cells = [_text(cell.value) for cell in row]
            any_formula = any_formula or any(cell.data_type == "f" for cell in row)
            if any(cells):
                records.append((number, cells))
    if any_formula:
        for sheet in openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True).worksheets:
            sheet.reset_dimensions()
            computed = {number: row for number, row in enumerate(sheet.values, start=1) if any(row)}
            for number, cells in found[sheet.title]:
                for place, value in enumerate(computed.get(number, ())):
                    # A formula that was never computed stays as it is written, so that it is reported.
                    cells[place] = _text(value) or cells[place]
    return found


def _text(value) -> str:
    """A workbook's cell as the spreadsheet would write it to a CSV."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    # Control characters are in the file as _x000D_ and the like.
    return re.sub("_x([0-9A-Fa-f]{4})_", lambda match: chr(int(match[1], 16)), str(value))
