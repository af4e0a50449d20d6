"""Annotators' tables: the columns of a sheet, and how one is written as CSV and as a workbook.

A sheet holds what a person needs to judge one failure and nothing that could sway the label: no score, no
rank. `idx` is the join key, and the caption's own text is the check on it.
"""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from typing import NamedTuple

from common import files
from common.heavy import openpyxl
from common.labels.taxonomy import CATEGORIES, CATEGORY_NAMES, SUBTYPE_NAMES, SUBTYPES

ITEM = ["idx", "caption", "gt_img_idx", "pred_img_idx"]  # what says which failure a row is about
COLUMNS = [*ITEM, "category", "ambiguous_subtype", "note"]
FILLED_BY_PEOPLE = ("category", "ambiguous_subtype", "note")
# The parts of a draw that are nobody's own: the items that every annotator labels, and the spare ones.
OVERLAP, BACKUP = "overlap", "backup"

ILLEGAL_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
FIXED_DATE = (2000, 1, 1, 0, 0, 0)  # the same workbook has the same bytes whenever it is written
WIDTHS = {"idx": 9, "caption": 70, "gt_img_idx": 12, "pred_img_idx": 13}
WIDTHS |= {"category": 14, "ambiguous_subtype": 20, "note": 40}
TO_FILL = "FFF7D6"  # color of the cells that people fill in


class Table(NamedTuple):
    """What a CSV of step 4 holds."""

    columns: list[str]
    rows: list[dict]  # cells by column; a missing one stays blank

    @classmethod
    def of(cls, kind: type[NamedTuple], rows: list[NamedTuple]) -> Table:
        """A table whose rows are records, a column for each field."""
        return cls(list(kind._fields), [row._asdict() for row in rows])


def picture_path(part: str, idx: int | str) -> str:
    """The file of a failure's picture, seen from the failure folder: `vis_A/fail_12.jpg`."""
    return f"vis_{part}/fail_{idx}.jpg"


def pictures(folder: Path) -> dict[int, str]:
    """idx -> file of each picture in a failure folder, seen from the folder."""
    paths = sorted(folder.glob(picture_path("*", "*")))
    found = ((re.fullmatch(r"fail_(\d+)", path.stem), path) for path in paths)
    return {int(match[1]): f"{path.parent.name}/{path.name}" for match, path in found if match}


def write_csv(path: Path, rows: list[dict]) -> None:
    """Write a sheet as CSV. Columns missing in a row stay blank."""
    files.write_csv(path, COLUMNS, [{name: row.get(name, "") for name in COLUMNS} for row in rows])


def write_xlsx(path: Path, rows: list[dict], part: str) -> None:
    """Write a sheet as a workbook: drop-down lists for the labels, and on each `idx` a link to its picture.

    `part` names the pictures' folder (`vis_<part>`) next to the workbook. Captions are text cells, never
    formulas. A second worksheet, `labels`, explains the legal labels. The same rows give the same bytes.
    """
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "failures"
    sheet.append(COLUMNS)
    for number, row in enumerate(rows, start=2):
        for column, name in enumerate(COLUMNS, start=1):
            _set(sheet, number, column, row.get(name, ""))
        sheet.cell(number, 1).hyperlink = picture_path(part, row["idx"])
        sheet.cell(number, 1).style = "Hyperlink"
    _lay_out(sheet, len(rows))
    _offer(sheet, "category", CATEGORY_NAMES, len(rows))
    _offer(sheet, "ambiguous_subtype", SUBTYPE_NAMES, len(rows))
    _explain(book.create_sheet("labels"))
    files.write_bytes(path, _with_fixed_dates(book))


def _set(sheet: openpyxl.worksheet.worksheet.Worksheet, row: int, column: int, value: int | str) -> None:
    """Put a value into a cell, text as text: openpyxl would make a formula of `=...` and refuse a bell."""
    if value == "":
        return
    cell = sheet.cell(row, column)
    if isinstance(value, str):
        cell.value = ILLEGAL_IN_XML.sub("?", value)
        cell.data_type = "s"
        cell.quotePrefix = bool(files.RUNS.match(value))  # stays text when somebody edits the cell, too
    else:
        cell.value = value


def _lay_out(sheet: openpyxl.worksheet.worksheet.Worksheet, n_rows: int) -> None:
    """Column widths, wrapped text, a header that stays in view, and a tint on what is to be filled in."""
    sheet.freeze_panes = "A2"
    for column, name in enumerate(COLUMNS, start=1):
        sheet.column_dimensions[sheet.cell(1, column).column_letter].width = WIDTHS[name]
        sheet.cell(1, column).font = openpyxl.styles.Font(bold=True)
        for row in range(2, n_rows + 2):
            cell = sheet.cell(row, column)
            cell.alignment = openpyxl.styles.Alignment(vertical="top", wrap_text=True)
            if name in FILLED_BY_PEOPLE:
                cell.fill = openpyxl.styles.PatternFill("solid", fgColor=TO_FILL)


def _offer(
    sheet: openpyxl.worksheet.worksheet.Worksheet, name: str, legal: tuple[str, ...], n_rows: int
) -> None:
    """A drop-down list of the legal values on every row of a column; anything else is refused."""
    column = sheet.cell(1, COLUMNS.index(name) + 1).column_letter
    rule = openpyxl.worksheet.datavalidation.DataValidation(
        type="list", formula1=f'"{",".join(legal)}"', allow_blank=True
    )
    rule.showErrorMessage, rule.errorTitle = True, name
    rule.error = "Legal: " + ", ".join(legal)
    rule.add(f"{column}2:{column}{max(n_rows, 1) + 1}")
    sheet.add_data_validation(rule)


def _explain(sheet: openpyxl.worksheet.worksheet.Worksheet) -> None:
    """The worksheet `labels`: every legal label, its names and what it means."""
    sheet.append(["label", "long name", "meaning", "中文", "含义"])
    for label in (*CATEGORIES, *SUBTYPES):
        english, chinese = [label.title("en"), label.meaning("en")], [label.title("zh"), label.meaning("zh")]
        sheet.append([label.name, *english, *chinese])
    for column, width in zip("ABCDE", (16, 24, 90, 14, 60), strict=True):
        sheet.column_dimensions[column].width = width
        sheet[f"{column}1"].font = openpyxl.styles.Font(bold=True)


def _with_fixed_dates(book: openpyxl.Workbook) -> bytes:
    """A workbook's bytes without the moment of writing, which openpyxl puts into the zip and core.xml."""
    written, fixed = io.BytesIO(), io.BytesIO()
    book.save(written)
    with zipfile.ZipFile(written) as source, zipfile.ZipFile(fixed, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "docProps/core.xml":
                content = re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", b"2000-01-01T00:00:00Z", content)
            entry = zipfile.ZipInfo(name, FIXED_DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(entry, content)
    return fixed.getvalue()
