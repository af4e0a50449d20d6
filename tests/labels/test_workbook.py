"""Workbooks: Excel's strict form is read like the ordinary one; any other zip is named for what it is."""

import io
import zipfile
from pathlib import Path

import openpyxl
import pytest

from common.labels import sheet_reader, sheets
from tests.support import PROJECT
from tests.support import merge_folder as study

CAPTIONS = dict(enumerate(study.CAPTIONS))
ROWS = study.filled(study.LABELS, note="1 < 2 & 注")
HOSTILE = PROJECT / "tests" / "labels" / "hostile_sheets"
# Both names of each namespace that a spreadsheet's workbook uses: ISO/IEC 29500-1 and -4, annex A.
NAMESPACES = {
    "http://schemas.openxmlformats.org/spreadsheetml/2006/main": "spreadsheetml/main",
    "http://schemas.openxmlformats.org/officeDocument/2006/relationships": "officeDocument/relationships",
    "http://schemas.openxmlformats.org/drawingml/2006/main": "drawingml/main",
}


def strict(data: bytes) -> bytes:
    """An ordinary workbook as Excel's "Strict Open XML Spreadsheet" has it."""
    saved = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(saved, "w") as target:
        for name in source.namelist():
            part = source.read(name)
            for ordinary, own in NAMESPACES.items():
                part = part.replace(ordinary.encode(), f"http://purl.oclc.org/ooxml/{own}".encode())
            target.writestr(name, part)
    return saved.getvalue()


def as_step_2_writes_it(path: Path) -> None:
    sheets.write_xlsx(path, ROWS, "A")


def with_a_copied_worksheet(path: Path) -> None:
    sheets.write_xlsx(path, ROWS[:5], "A")
    book = openpyxl.load_workbook(path)
    book.copy_worksheet(book["failures"]).title = "mine & yours"
    book.save(path)


def with_odd_cells(path: Path) -> None:
    sheets.write_xlsx(path, ROWS[:9], "A")
    book = openpyxl.load_workbook(path)
    page = book["failures"]
    page["A3"], page["A4"], page["E5"], page["G6"] = "1", 2.0, "=E4", True
    page.insert_rows(1, 2)
    book.save(path)


def saved_by_libreoffice(path: Path) -> None:
    path.write_bytes((HOSTILE / "from_xlsx_A.xlsx").read_bytes())


MAKE = [as_step_2_writes_it, with_a_copied_worksheet, with_odd_cells, saved_by_libreoffice]


@pytest.mark.parametrize("make", MAKE, ids=lambda make: make.__name__)
def test_a_strict_workbook_has_the_rows_of_the_ordinary_one(tmp_path, make):
    make(tmp_path / "a.xlsx")
    data = (tmp_path / "a.xlsx").read_bytes()
    (tmp_path / "b.xlsx").write_bytes(strict(data))
    assert strict(data) != data
    ordinary, read = (sheet_reader.read(tmp_path / name, CAPTIONS) for name in ("a.xlsx", "b.xlsx"))
    assert read.rows == ordinary.rows and len(read.rows) >= 9
    assert (ordinary.form, read.form) == ("workbook", "strict workbook")


def zipped(*names: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as target:
        for name in names:
            target.writestr(name, b"x")
    return made.getvalue()


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ((HOSTILE / "saved_as_A.ods").read_bytes(), "an OpenDocument file (.ods)"),
        (zipped("Index/Document.iwa", "Metadata/Properties.plist"), "a Numbers document"),
        (zipped("[Content_Types].xml", "word/document.xml"), "a Word document"),
        (zipped("[Content_Types].xml", "xl/workbook.bin"), "a binary workbook (.xlsb)"),
        (zipped("assign_A.csv", "assign_overlap_A.csv"), "a zip archive"),
    ],
    ids=["ods", "numbers", "docx", "xlsb", "zip"],
)
@pytest.mark.parametrize("name", ["assign_A.xlsx", "assign_A.csv"])
def test_another_zip_is_named_for_what_it_is(tmp_path, data, what, name):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(sheet_reader.SheetError) as refused:
        sheet_reader.read(tmp_path / name, CAPTIONS)
    assert refused.value.reason == f"is {what}, not an .xlsx: save the sheet as .xlsx or CSV"
