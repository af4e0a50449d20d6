"""Sheets as they are written: the guarded quote, the CSV's bytes, the workbook's cells."""

import csv
import io
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import files
from common.labels import same_caption, sheet_reader, sheets
from common.labels.taxonomy import CATEGORY_NAMES, SUBTYPE_NAMES

HOSTILE = {
    0: '=HYPERLINK("http://example.org","click")',
    1: "@SUM(A1:A9)",
    2: "-2+3",
    3: "+1 dog",
    4: "\tstarts with a tab",
    5: "'=quoted already",
    6: "'tis a dog",
    7: 'a "dog", a cat; a\nbird ',
    8: "<script>alert(1)</script>",
    9: "一只狗和两只猫 🐶",
    10: "None",
    11: "caf\u00e9 NA",
}
ROWS = [
    {"idx": idx, "caption": caption, "gt_img_idx": idx + 100, "pred_img_idx": idx + 200}
    for idx, caption in HOSTILE.items()
]


@given(st.text(alphabet="'=+-@\ta ", max_size=8) | st.text(max_size=8))
def test_unguarding_undoes_guarding(text):
    assert files.unguarded(files.guarded(text)) == text


@given(st.text(alphabet="'=+-@\ta", max_size=8))
def test_guarded_text_never_starts_as_a_formula_does(text):
    assert not files.guarded(text).startswith(("=", "+", "-", "@", "\t"))


@pytest.mark.parametrize("text", ["", "a = b", "'tis", " =1", "a"])
def test_other_text_is_left_alone(text):
    assert files.guarded(text) == text


def test_csv_has_a_byte_order_mark_and_exactly_the_columns(tmp_path):
    sheets.write_csv(tmp_path / "sheet.csv", ROWS)
    data = (tmp_path / "sheet.csv").read_bytes()
    assert data.startswith(
        b"\xef\xbb\xbfidx,caption,gt_img_idx,pred_img_idx,category,ambiguous_subtype,note\n"
    )
    rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    assert {len(row) for row in rows} == {7}
    for row, caption in zip(rows[1:], HOSTILE.values(), strict=True):
        assert files.unguarded(row[1]) == caption
        assert not row[1].startswith(("=", "+", "-", "@", "\t"))
        assert row[4:] == ["", "", ""]


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_the_reader_gets_back_what_was_written(tmp_path, kind):
    path = write(tmp_path, kind)
    read = sheet_reader.read(path, HOSTILE)
    assert [int(row.cells["idx"]) for row in read.rows] == list(HOSTILE)
    for row in read.rows:
        idx = int(row.cells["idx"])
        assert row.cells["caption"].strip() == HOSTILE[idx].strip()
        assert same_caption.compare(row.cells["caption"], HOSTILE[idx]) == "same"
        assert (row.cells["gt_img_idx"], row.cells["pred_img_idx"]) == (str(idx + 100), str(idx + 200))
        assert not row.cells["category"] and not row.further


def test_workbook_cells_are_text_and_never_formulas(tmp_path):
    sheet = openpyxl.load_workbook(write(tmp_path, "xlsx")).worksheets[0]
    for number, (idx, caption) in enumerate(HOSTILE.items(), start=2):
        cell = sheet.cell(number, 2)
        assert (cell.data_type, cell.value) == ("s", caption)
        assert sheet.cell(number, 1).value == idx and sheet.cell(number, 1).data_type == "n"
        assert bool(cell.quotePrefix) == bool(files.RUNS.match(caption))
    assert [cell.value for cell in sheet[1]] == sheets.COLUMNS


def test_workbook_offers_the_legal_labels_on_every_row(tmp_path):
    sheet = openpyxl.load_workbook(write(tmp_path, "xlsx")).worksheets[0]
    offered = {str(rule.sqref): rule for rule in sheet.data_validations.dataValidation}
    last = len(ROWS) + 1
    assert offered[f"E2:E{last}"].formula1 == f'"{",".join(CATEGORY_NAMES)}"'
    assert offered[f"F2:F{last}"].formula1 == f'"{",".join(SUBTYPE_NAMES)}"'
    assert all(rule.type == "list" and rule.showErrorMessage for rule in offered.values())


def test_workbook_links_pictures_and_keeps_its_header_in_view(tmp_path):
    sheet = openpyxl.load_workbook(write(tmp_path, "xlsx")).worksheets[0]
    for number, row in enumerate(ROWS, start=2):
        assert sheet.cell(number, 1).hyperlink.target == f"vis_A/fail_{row['idx']}.jpg"
    assert sheet.freeze_panes == "A2"


def test_workbook_explains_the_labels_on_a_sheet_never_read(tmp_path):
    path = write(tmp_path, "xlsx")
    labels = openpyxl.load_workbook(path)["labels"]
    assert [row[0] for row in labels.values][1:] == [*CATEGORY_NAMES, *SUBTYPE_NAMES]
    assert len(sheet_reader.read(path, HOSTILE).rows) == len(ROWS)


def test_the_same_rows_give_the_same_workbook_at_any_time(tmp_path, monkeypatch):
    import datetime

    first = write(tmp_path, "xlsx").read_bytes()

    class Later(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2031, 5, 6, 7, 8, 9, tzinfo=tz)

    monkeypatch.setattr(datetime, "datetime", Later)
    monkeypatch.setattr("time.time", lambda: 2e9)
    assert write(tmp_path, "xlsx").read_bytes() == first


def test_characters_that_no_workbook_holds_are_shown_as_lost(tmp_path):
    captions = {1: "a bell \x07 rings"}
    rows = [{"idx": 1, "caption": captions[1], "gt_img_idx": 0, "pred_img_idx": 1}]
    sheets.write_xlsx(tmp_path / "bell.xlsx", rows, "A")
    (row,) = sheet_reader.read(tmp_path / "bell.xlsx", captions).rows
    assert same_caption.compare(row.cells["caption"], captions[1]) == "lost"


def write(folder: Path, kind: str) -> Path:
    path = folder / f"assign_A.{kind}"
    if kind == "csv":
        sheets.write_csv(path, ROWS)
    else:
        sheets.write_xlsx(path, ROWS, "A")
    return path
