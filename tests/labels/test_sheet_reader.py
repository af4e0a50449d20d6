"""Sheets read back: whatever a spreadsheet made of them, or an error that says what to do."""

import openpyxl
import pytest

from common.errors import UserError
from common.labels import sheet_reader, sheets, spellings
from tests.support import merge_folder as study

CAPTIONS = dict(enumerate(study.CAPTIONS))
ROWS = study.filled(study.LABELS, note="-1 = \u201cseen\u201d; 注")


def cells(sheet: sheet_reader.Sheet) -> list[dict]:
    return [row.cells for row in sheet.rows]


def expected(rows: list[dict]) -> list[dict]:
    return [{name: str(row.get(name, "")).strip() for name in sheets.COLUMNS} for row in rows]


def test_csv_and_workbook_of_the_writers_are_read_alike(tmp_path):
    sheets.write_csv(tmp_path / "a.csv", ROWS)
    sheets.write_xlsx(tmp_path / "a.xlsx", ROWS, "A")
    from_csv = sheet_reader.read(tmp_path / "a.csv", CAPTIONS)
    from_workbook = sheet_reader.read(tmp_path / "a.xlsx", CAPTIONS)
    assert cells(from_csv) == cells(from_workbook) == expected(ROWS)
    assert [row.number for row in from_csv.rows] == [row.number for row in from_workbook.rows]
    assert from_csv.form == "CSV, comma, utf-8-sig"
    assert from_workbook.form == "workbook"


@pytest.mark.parametrize(
    ("encoding", "idxs", "form"),
    [
        ("utf-8", range(study.N), "CSV, comma, utf-8"),
        ("utf-16", range(study.N), "CSV, comma, utf-16"),
        ("utf-16-le", range(study.N), "CSV, comma, utf-16-le"),
        ("gb18030", range(study.N), "CSV, comma, gb18030"),
        ("cp1252", range(18), "CSV, comma, cp1252"),
        ("mac_roman", range(18), "CSV, comma, mac_roman"),
    ],
)
def test_the_encoding_is_the_one_in_which_the_captions_match(tmp_path, encoding, idxs, form):
    rows = study.filled({idx: study.LABELS[idx] for idx in idxs})
    (tmp_path / "a.csv").write_bytes(study.csv_text(rows).encode(encoding))
    sheet = sheet_reader.read(tmp_path / "a.csv", CAPTIONS)
    assert sheet.form == form
    assert cells(sheet) == expected(rows)


@pytest.mark.parametrize("note", ["café, naïve, à la carte", "很难判断，两张都可以", "Größe überall"])
def test_a_note_is_read_right_where_captions_are_all_ascii(tmp_path, note):
    encoding = "gb18030" if note.startswith("很") else "cp1252"
    rows = study.filled({0: "Object", 1: "Count"}, note=note)
    (tmp_path / "a.csv").write_bytes(study.csv_text(rows).encode(encoding))
    assert [row.cells["note"] for row in sheet_reader.read(tmp_path / "a.csv", CAPTIONS).rows] == [note] * 2


def test_a_chinese_label_tells_the_encoding_of_ascii_captions(tmp_path):
    rows = study.filled({0: "计数/数量", 1: "物体混淆"}, note="é")
    text = study.csv_text(rows).replace("é", "")
    (tmp_path / "a.csv").write_bytes(text.encode("gb18030"))
    labels = [row.cells["category"] for row in sheet_reader.read(tmp_path / "a.csv", CAPTIONS).rows]
    assert [spellings.category(label) for label in labels] == ["Count", "Object"]


@pytest.mark.parametrize("letters", ["\x81\x8d", "\uf181\uf18d"], ids=["Excel", "LibreOffice"])
def test_utf8_that_was_opened_as_cp1252_and_saved_again(tmp_path, letters):
    """Bytes 81, 8d ... are undefined there; each program has its own way of passing them through."""
    captions = {0: "字\u00c1\u00cd"}  # their UTF-8 holds e5 ad 97 c3 81 c3 8d
    once = "idx,caption,category\n0,字\u00c1\u00cd,Count\n".encode()
    shown = "".join(
        letters[0] if byte == 0x81 else letters[1] if byte == 0x8D else bytes([byte]).decode("cp1252")
        for byte in once
    )
    (tmp_path / "a.csv").write_bytes(shown.encode("utf-8-sig"))
    sheet = sheet_reader.read(tmp_path / "a.csv", captions)
    assert sheet.rows[0].cells["caption"] == captions[0]
    assert sheet.form.endswith("utf-8 misread as cp1252")


def test_none_is_text(tmp_path):
    rows = [
        study.item(0) | {"caption": word, "category": word} for word in ("None", "NA", "nan", "NULL", "#N/A")
    ]
    (tmp_path / "a.csv").write_text(study.csv_text(rows), encoding="utf-8")
    read = sheet_reader.read(tmp_path / "a.csv", CAPTIONS)
    assert [row.cells["caption"] for row in read.rows] == ["None", "NA", "nan", "NULL", "#N/A"]
    assert [row.cells["category"] for row in read.rows] == ["None", "NA", "nan", "NULL", "#N/A"]


def test_guarding_quotes_come_off_once(tmp_path):
    captions = {0: "=1+1", 1: "'=1+1", 2: "'tis", 3: "''@x"}
    rows = [{"idx": idx, "caption": caption, "category": "Count"} for idx, caption in captions.items()]
    sheets.write_csv(tmp_path / "a.csv", rows)
    read = sheet_reader.read(tmp_path / "a.csv", captions)
    assert [row.cells["caption"] for row in read.rows] == list(captions.values())


def test_a_worksheet_that_was_copied_names_its_rows(tmp_path):
    sheets.write_xlsx(tmp_path / "a.xlsx", ROWS[:2], "A")
    book = openpyxl.load_workbook(tmp_path / "a.xlsx")
    book.copy_worksheet(book["failures"]).title = "mine"
    book.save(tmp_path / "a.xlsx")
    rows = sheet_reader.read(tmp_path / "a.xlsx", CAPTIONS).rows
    assert [row.number for row in rows] == ["failures!2", "failures!3", "mine!2", "mine!3"]


def test_a_formula_counts_as_its_computed_value_or_as_itself(tmp_path):
    from zipfile import ZipFile

    book = openpyxl.Workbook()
    book.active.append(["idx", "caption", "category"])
    book.active.append([0, "x", '=UPPER("count")'])
    book.active.append([1, "y", "=C2"])
    book.save(tmp_path / "plain.xlsx")
    # openpyxl stores no computed values, so put one into the file as a spreadsheet does.
    with ZipFile(tmp_path / "plain.xlsx") as source, ZipFile(tmp_path / "a.xlsx", "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith("sheet1.xml"):
                content = content.replace(
                    b'<c r="C2"><f>UPPER("count")</f><v />',
                    b'<c r="C2" t="str"><f>UPPER("count")</f><v>COUNT</v>',
                )
                content = content.replace(
                    b'<c r="C2"><f>UPPER("count")</f><v></v>',
                    b'<c r="C2" t="str"><f>UPPER("count")</f><v>COUNT</v>',
                )
            target.writestr(name, content)
    rows = sheet_reader.read(tmp_path / "a.xlsx", {0: "x", 1: "y"}).rows
    assert [row.cells["category"] for row in rows] == ["COUNT", "=C2"]


@pytest.mark.parametrize(
    ("text", "number"),
    [("12", 12), (" 12 ", 12), ("12.0", 12), ("12,0", 12), ("1,000", None), ("12.5", None), ("-1", None)]
    + [("", None), ("1e3", None), ("12a", None), ("9" * 10, None)],
)
def test_whole_number(text, number):
    assert sheet_reader.whole_number(text) == number


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty file"),
        (b"\xef\xbb\xbf", "no header row"),
        (b"idx,caption\n1,x\n", "no header row with the columns idx, caption, category"),
        (b"idx,caption,category,Category\n1,x,Count,Count\n", "two columns for category"),
        (b'idx,caption,category\n1,"x,Count\n2,y,Count\n', "misplaced double quote"),
        (b'idx,caption,category\n1,"x" y,Count\n', "misplaced double quote near line 2"),
        (b"PK\x03\x04 not a zip", "can't be opened as a workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "has a password"),
        (b"%PDF-1.7\n\x80\x81\x8d\x8f", "no header row"),
    ],
)
def test_what_cannot_be_read_says_why(tmp_path, content, words):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(UserError, match=words) as refused:
        sheet_reader.read(tmp_path / "a.csv", CAPTIONS)
    assert str(refused.value) == f"{tmp_path / 'a.csv'} {refused.value.reason}"


def test_a_table_of_our_own_names_what_makes_it_again(tmp_path):
    (tmp_path / "a.csv").write_text("level;n;further\ncategory;2;x\n", encoding="utf-8")
    columns = ("level", "n")
    assert sheet_reader.read_table(tmp_path / "a.csv", columns, {}, "run it") == [
        {"level": "category", "n": "2"}
    ]
    with pytest.raises(
        sheet_reader.SheetError, match="no header row with the columns level, m .*, or run it"
    ):
        sheet_reader.read_table(tmp_path / "a.csv", ("level", "m"), {}, "run it")
