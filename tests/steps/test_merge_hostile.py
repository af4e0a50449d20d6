"""Step 4 against what spreadsheets, browsers and people do to a sheet: each case with its exact outcome.

Every case is merged twice: strict, which must stop at a problem and write nothing, and not strict, which must
keep exactly the right rows. The handed-in files must not change by a byte.
"""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import openpyxl
import pytest

from common.labels import sheets
from tests.support import PROJECT
from tests.support import merge_folder as study

HOSTILE = PROJECT / "tests" / "labels" / "hostile_sheets"
BASE = {idx: study.LABELS[idx] for idx in range(10)}  # what most cases' sheet says
ROWS = study.filled(BASE)


class Case(NamedTuple):
    """Files by name; labels that must come out; problems as (file, row, column, value); what is said."""

    name: str
    files: dict[str, bytes | Callable[[Path], None]]
    clean: dict = BASE
    problems: list[tuple[str, str, str, str]] = []
    says: tuple[str, ...] = ()


def sheet(rows: list[dict] = ROWS, encoding: str = "utf-8-sig", name: str = "assign_A.csv", **how) -> dict:
    """One CSV file, as a spreadsheet would save it."""
    return {name: study.csv_text(rows, **how).encode(encoding)}


def changed(idx: int, rows: list[dict] = ROWS, /, **cells) -> list[dict]:
    """The rows with some cells of one of them changed; its number in the sheet is idx + 2."""
    return [row | cells if row["idx"] == idx else row for row in rows]


def without(*idxs: int) -> dict:
    return {idx: label for idx, label in BASE.items() if idx not in idxs}


def labelled(**labels) -> dict:
    """BASE with other labels: `_3="Object"`."""
    return BASE | {int(name[1:]): label for name, label in labels.items()}


def only(*idxs: int) -> tuple[list[dict], dict]:
    labels = {idx: study.LABELS[idx] for idx in idxs}
    return study.filled(labels), labels


def text(content: str, name: str = "assign_A.csv") -> dict:
    return {name: content.encode("utf-8")}


def workbook(change: Callable | None = None, name: str = "assign_A.xlsx") -> dict:
    """The sheet as step 2 writes it as a workbook, then changed with openpyxl."""

    def write(path: Path) -> None:
        sheets.write_xlsx(path, ROWS, "A")
        if change:
            book = openpyxl.load_workbook(path)
            change(book)
            book.save(path)

    return {name: write}


def worksheet_copy(book) -> None:
    book.copy_worksheet(book["failures"])


def formula_label(book) -> None:
    book["failures"]["E5"] = "=E4"  # openpyxl computes nothing, so no value is stored


def odd_cells(book) -> None:
    page = book["failures"]
    page["A3"], page["A4"], page["E6"] = "1", 2.0, " context "
    page.insert_rows(1, 2)
    page["A1"] = "Please fill in by Friday"
    page.cell(1_048_576, 9).value = " "  # a spreadsheet that formatted whole columns


def saved(name: str) -> bytes:
    """A committed file that LibreOffice saved."""
    return (HOSTILE / name).read_bytes()


def other_sample(rows: int, differing: int) -> list[dict]:
    labels = {idx: study.LABELS[idx] for idx in range(rows)}
    return [
        row | ({"caption": f"another caption {row['idx']}"} if row["idx"] < differing else {})
        for row in study.filled(labels)
    ]


ACCENTS, ACCENT_LABELS = only(1, 15, 16)
CHINESE, CHINESE_LABELS = only(1, 18, 19)
ENGLISH_ONLY, ENGLISH_LABELS = only(0, 1, 2, 5, 6)
LOST = {15: "Caf? cr?me on a na\ufffdve tablecloth", 20: "A face ?? on a balloon"}
LOST_ROWS = [row | {"caption": LOST.get(row["idx"], row["caption"])} for row in only(15, 20)[0]]
LOST_LABELS = only(15, 20)[1]
NO_GT = [name for name in sheets.COLUMNS if name != "gt_img_idx"]
PAGE_COLUMNS = [*sheets.COLUMNS, "revision"]


def page(revision: int, rows: list[dict], name: str) -> dict:
    return sheet([row | {"revision": revision} for row in rows], name=name, columns=PAGE_COLUMNS)


CASES = [
    # encodings and delimiters
    Case("as step 2 wrote it", sheet()),
    Case("UTF-8 without a mark", sheet(encoding="utf-8")),
    Case("UTF-16 with a mark, tabs", sheet(encoding="utf-16", delimiter="\t")),
    Case(
        "UTF-16, big-endian, with a mark",
        {"assign_A.csv": b"\xfe\xff" + study.csv_text(CHINESE).encode("utf-16-be")},
        CHINESE_LABELS,
    ),
    Case("UTF-16 without a mark", sheet(CHINESE, "utf-16-le"), CHINESE_LABELS),
    Case("UTF-16, big-endian, without a mark", sheet(CHINESE, "utf-16-be"), CHINESE_LABELS),
    Case("cp1252 with accents", sheet(ACCENTS, "cp1252", delimiter=";"), ACCENT_LABELS),
    Case("GB18030 with Chinese captions", sheet(CHINESE, "gb18030"), CHINESE_LABELS),
    Case("GB18030 with an emoji", sheet(only(20)[0], "gb18030"), only(20)[1]),
    Case(
        "GB18030 with Chinese labels, captions in ASCII",
        sheet(changed(1, ENGLISH_ONLY, category="属性绑定"), "gb18030"),
        ENGLISH_LABELS,
    ),
    Case("Mac Roman with accents", sheet(only(15, 16)[0], "mac_roman"), only(15, 16)[1]),
    Case("semicolons", sheet(delimiter=";")),
    Case("tabs", sheet(delimiter="\t")),
    Case("bars", sheet(delimiter="|")),
    Case("Excel's sep= line", text("sep=;\r\n" + study.csv_text(ROWS, delimiter=";"))),
    Case("old Mac line ends", sheet(lineterminator="\r", quoting=1)),
    Case("every cell quoted", sheet(quoting=1)),
    # columns and rows
    Case("title rows above the header", text("Team A,,\r\n,,\r\n" + study.csv_text(ROWS))),
    Case("columns in another order", sheet(columns=sheets.COLUMNS[::-1])),
    Case(
        "columns renamed",
        text(
            study.csv_text(ROWS)
            .replace("idx,caption,", "Index, Caption ,", 1)
            .replace("category,ambiguous_subtype,note", "LABEL,Ambiguous Subtype,Comments", 1)
        ),
    ),
    Case(
        "further columns",
        sheet([row | {"sure?": "yes"} for row in ROWS], columns=["sure?", *sheets.COLUMNS]),
    ),
    Case(
        "only the columns that are needed",
        sheet(columns=["idx", "caption", "category"]),
        {idx: label if isinstance(label, str) else label[0] for idx, label in BASE.items()},
    ),
    Case(
        "blank rows and columns at the end",
        text(study.csv_text(ROWS).replace("\r\n", ",,\r\n") + ",,,\r\n,,\r\n"),
    ),
    Case("rows deleted", sheet(ROWS[3:]), without(0, 1, 2), says=("3 missing (idx 0, 1, 2)",)),
    Case("rows sorted otherwise", sheet(ROWS[::-1])),
    Case("rows doubled", sheet(ROWS + ROWS[2:5])),
    Case(
        "a row doubled, its copy blank", sheet([*ROWS, ROWS[4] | {"category": "", "ambiguous_subtype": ""}])
    ),
    Case("a row doubled, its copy without the subtype", sheet([*ROWS, ROWS[0] | {"ambiguous_subtype": " "}])),
    Case(
        "a row doubled with another label",
        sheet([*ROWS, ROWS[3] | {"category": "Object"}]),
        without(3),
        [("assign_A.csv", "5", "category", "Count")],
    ),
    Case(
        "a row doubled with another subtype",
        sheet([*ROWS, ROWS[0] | {"ambiguous_subtype": "nearduplicate"}]),
        without(0),
        [("assign_A.csv", "2", "category", "Ambiguous (underspecified)")],
    ),
    Case("a label left blank", sheet(changed(4, category="")), without(4), says=("1 missing (idx 4)",)),
    Case("a blank label with a note", sheet(changed(4, category=" ", note="hard")), without(4)),
    # labels
    Case("labels in other capitals", sheet(changed(3, category="COUNT")), BASE),
    Case("trailing tabs and spaces", sheet([row | {"category": f" {row['category']}\t "} for row in ROWS])),
    Case("a no-break and a zero-width space", sheet(changed(3, category="\u200bCount\u00a0"))),
    Case("a full-width label", sheet(changed(3, category="Ｃｏｕｎｔ"))),
    Case(
        "long names",
        sheet(changed(3, changed(5, category="spatial relation"), category="Counting / Plurality")),
    ),
    Case("the guide's Chinese names", sheet(changed(3, changed(0, category="歧义"), category="计数/数量"))),
    Case("frequent misspellings", sheet(changed(5, changed(0, category="Ambigous"), category="Sptial"))),
    Case("near_duplicate", sheet(changed(7, ambiguous_subtype="near_duplicate"))),
    Case("a dash that a phone typed", sheet(changed(7, ambiguous_subtype="Near–Duplicate"))),
    Case("under-specified", sheet(changed(0, ambiguous_subtype="Under-specified"))),
    Case("a Chinese subtype", sheet(changed(0, ambiguous_subtype="描述不足"))),
    Case(
        "an unknown label",
        sheet(changed(3, category="Countable")),
        without(3),
        [("assign_A.csv", "5", "category", "Countable")],
        ("nearest: Count",),
    ),
    Case(
        "NA for a label",
        sheet(changed(3, category="NA")),
        without(3),
        [("assign_A.csv", "5", "category", "NA")],
    ),
    Case(
        "two labels in one cell",
        sheet(changed(3, category="Count, Object")),
        without(3),
        [("assign_A.csv", "5", "category", "Count, Object")],
    ),
    Case(
        "a label with a question mark",
        sheet(changed(3, category="Count?")),
        without(3),
        [("assign_A.csv", "5", "category", "Count?")],
    ),
    Case(
        "a formula for a label",
        sheet(changed(3, category="=HYPERLINK(1)")),
        without(3),
        [("assign_A.csv", "5", "category", "'=HYPERLINK(1)")],
    ),
    Case(
        "an unknown subtype",
        sheet(changed(7, ambiguous_subtype="similar")),
        labelled(_7="Ambiguous"),
        [("assign_A.csv", "9", "ambiguous_subtype", "similar")],
    ),
    Case(
        "a subtype next to another category",
        sheet(changed(3, ambiguous_subtype="nearduplicate")),
        BASE,
        [("assign_A.csv", "5", "ambiguous_subtype", "nearduplicate")],
        ("only Ambiguous has subtypes",),
    ),
    Case(
        "a subtype next to a blank category",
        sheet(changed(7, category="")),
        without(7),
        [("assign_A.csv", "9", "ambiguous_subtype", "nearduplicate")],
    ),
    Case(
        "both label and subtype unknown",
        sheet(changed(3, category="x", ambiguous_subtype="y")),
        without(3),
        [("assign_A.csv", "5", "category", "x"), ("assign_A.csv", "5", "ambiguous_subtype", "y")],
    ),
    # identity
    Case("None, NA and nan are captions", sheet(only(5, 6, 7)[0]), only(5, 6, 7)[1]),
    Case("idx with a decimal", sheet([row | {"idx": f"{row['idx']}.0"} for row in ROWS])),
    Case(
        "an idx out of range",
        sheet(changed(3, idx=40)),
        without(3),
        [("assign_A.csv", "5", "idx", "40")],
        ("out of range (0 to 39)",),
    ),
    Case("a negative idx", sheet(changed(3, idx=-3)), without(3), [("assign_A.csv", "5", "idx", "-3")]),
    Case(
        "an idx that is a text",
        sheet(changed(3, idx="three")),
        without(3),
        [("assign_A.csv", "5", "idx", "three")],
    ),
    Case("a blank idx", sheet(changed(3, idx="")), without(3), [("assign_A.csv", "5", "idx", "")]),
    Case(
        "an idx with a thousands mark",
        sheet(changed(3, idx="3,000")),
        without(3),
        [("assign_A.csv", "5", "idx", "3,000")],
    ),
    Case(
        "an idx that was not drawn",
        sheet([*ROWS, *study.filled({39: "Object"})]),
        BASE,
        [("assign_A.csv", "12", "idx", "39")],
        ("not among the drawn",),
    ),
    Case(
        "another row's caption",
        sheet(changed(3, caption=study.CAPTIONS[4])),
        without(3),
        [("assign_A.csv", "5", "caption", study.CAPTIONS[4].strip())],
    ),
    Case(
        "a caption cut short",
        sheet(changed(0, caption="A man riding a wave")),
        without(0),
        [("assign_A.csv", "2", "caption", "A man riding a wave")],
    ),
    Case(
        "a caption in other words",
        sheet(changed(0, caption="A man riding a wave on top of a surfboard!")),
        without(0),
        [("assign_A.csv", "2", "caption", "A man riding a wave on top of a surfboard!")],
    ),
    Case(
        "white space inside a caption",
        sheet(changed(0, caption="A man  riding\ta wave on top of\na surfboard. ")),
    ),
    Case(
        "another ground truth",
        sheet(changed(3, gt_img_idx=9)),
        without(3),
        [("assign_A.csv", "5", "gt_img_idx", "9")],
    ),
    Case(
        "another retrieved image", sheet(changed(3, pred_img_idx=1)), says=("another retrieved image than 8",)
    ),
    Case("lost characters", sheet(LOST_ROWS), LOST_LABELS, says=("lost some characters",)),
    Case(
        "lost characters and no ground truth",
        sheet(LOST_ROWS, columns=NO_GT),
        {},
        [("assign_A.csv", "2", "caption", LOST[15]), ("assign_A.csv", "3", "caption", LOST[20])],
    ),
    Case(
        "a lost character and another ground truth",
        sheet(changed(15, LOST_ROWS, gt_img_idx=1)),
        only(20)[1],
        [("assign_A.csv", "2", "caption", LOST[15])],
    ),
    Case(
        "a question mark where no character could be lost",
        sheet(changed(0, caption="A man riding a wav? on top of a surfboard.")),
        without(0),
        [("assign_A.csv", "2", "caption", "A man riding a wav? on top of a surfboard.")],
    ),
    Case(
        "another sample",
        sheet(other_sample(30, 10)),
        {idx: study.LABELS[idx] for idx in range(10, 30)},
        [("assign_A.csv", str(idx + 2), "caption", f"another caption {idx}") for idx in range(10)],
        ("assign_A.csv: looks like another sample: 10 of 30 captions differ",),
    ),
    Case(
        "one column sorted alone",
        sheet([row | {"idx": 9 - row["idx"]} for row in ROWS]),
        {},
        [("assign_A.csv", str(idx + 2), "caption", study.CAPTIONS[idx].strip()) for idx in range(10)],
        ("10 of 10 captions differ", "if one column was sorted alone, undo that"),
    ),
    # files that are broken or something else
    Case(
        "a quote that isn't closed",
        text(study.csv_text(ROWS).replace("4,  A kitchen", '4,"A kitchen')),
        {},
        [("assign_A.csv", "", "", "")],
        ("misplaced double quote near line",),
    ),
    Case(
        "a line that broke in two",
        text(study.csv_text(ROWS).replace('"A red bus\non a wet street"', "A red bus\r\non a wet street")),
        without(3),
        [("assign_A.csv", "5", "caption", "A red bus"), ("assign_A.csv", "6", "idx", "on a wet street")],
    ),
    Case(
        "a comma that isn't quoted",
        text(
            study.csv_text(ROWS).replace(
                '"Two dogs, one cat; nothing else."', "Two dogs, one cat; nothing else."
            )
        ),
        without(2),
        [("assign_A.csv", "4", "caption", "Two dogs")],
    ),
    Case("an empty file", text(" \r\n"), {}, [("assign_A.csv", "", "", "")], ("is an empty file",)),
    Case("no header", text(study.csv_text(ROWS).split("\r\n", 1)[1]), {}, [("assign_A.csv", "", "", "")]),
    Case(
        "no caption column",
        sheet(columns=["idx", "category"]),
        {},
        [("assign_A.csv", "", "", "")],
        ("no header row with the columns idx, caption, category",),
    ),
    Case(
        "two columns for the label",
        text(study.csv_text(ROWS).replace("note", "Label", 1)),
        {},
        [("assign_A.csv", "", "", "")],
        ("two columns for category",),
    ),
    Case(
        "bytes that are no text", {"assign_A.csv": bytes(range(256)) * 4}, {}, [("assign_A.csv", "", "", "")]
    ),
    Case("a workbook", workbook()),
    Case("a workbook with a copied worksheet", workbook(worksheet_copy)),
    Case("a workbook with odd cells", workbook(odd_cells)),
    Case(
        "a workbook with a formula that was never computed",
        workbook(formula_label),
        without(3),
        [("assign_A.xlsx", "5", "category", "'=E4")],
    ),
    Case("a workbook named .csv", workbook(name="assign_A.csv")),
    Case("a CSV named .xlsx", sheet(name="assign_A.xlsx")),
    Case(
        "a workbook cut short",
        {"assign_A.xlsx": saved("plain_A.xlsx")[:5000]},
        {},
        [("assign_A.xlsx", "", "", "")],
        ("can't be opened as a workbook",),
    ),
    # names
    Case("a browser's second copy", sheet(name="assign_page_A (1).csv")),
    Case("another browser's", sheet(name="assign_overlap_A(2).csv")),
    Case("a file manager's copy", sheet(name="assign_A - Copy (2).csv")),
    Case("capitals in the name", sheet(name="Assign_a.CSV"), says=("A      10 labels",)),
    Case(
        "a name that doesn't say whose",
        sheet(name="assign_A_final.csv"),
        {},
        [("assign_A_final.csv", "", "", "")],
        ("its name doesn't say whose",),
    ),
    Case("a blank sheet with such a name", sheet() | sheet([study.item(0)], name="assign_A_old.csv")),
    Case("lock files", sheet() | {"~$assign_A.xlsx": b"\x05Owner", ".~lock.assign_A.csv#": b",Owner,;"}),
    Case("a saved .ods", {"assign_A.ods": saved("saved_as_A.ods")}, {}, [("assign_A.ods", "", "", "")]),
    Case("a saved .xls", {"assign_A.xls": saved("saved_as_A.xls")}, {}, [("assign_A.xls", "", "", "")]),
    Case(
        "an .xls named .xlsx", {"assign_A.xlsx": saved("saved_as_A.xls")}, {}, [("assign_A.xlsx", "", "", "")]
    ),
    Case(
        "a blank twin",
        sheet() | {"assign_A.xlsx": lambda path: sheets.write_xlsx(path, [study.item(3)], "A")},
    ),
    Case("a filled twin that agrees", sheet() | workbook(), says=("assign_A.csv, assign_A.xlsx",)),
    Case(
        "a filled twin that disagrees",
        sheet(changed(3, category="Object")) | workbook(),
        without(3),
        [("assign_A.csv", "5", "category", "Object")],
    ),
    Case(
        "an earlier and a later export of a page",
        page(7, changed(3, category="Object"), "assign_page_A.csv") | page(9, ROWS, "assign_page_A (1).csv"),
        says=("Skipped assign_page_A.csv: assign_page_A (1).csv is a later export",),
    ),
    Case(
        "a label taken back in a later export",
        page(9, changed(3, category=""), "assign_page_A.csv") | page(7, ROWS, "assign_page_A (1).csv"),
        without(3),
    ),
    Case(
        "an export and a sheet that disagree",
        page(9, changed(3, category="Object"), "assign_page_A.csv") | sheet(),
        without(3),
        [("assign_A.csv", "5", "category", "Count")],
    ),
    Case("a filled backup row", sheet(ROWS[:9]) | sheet(ROWS[9:], name="assign_backup_A.csv")),
    # what LibreOffice saved: see hostile_sheets/make.sh
    *(
        Case(f"LibreOffice: {name}", {name.replace(stem, "assign"): saved(name)}, study.LABELS, [], says)
        for stem, name, says in (
            ("semicolon", "semicolon_A.csv", ()),
            ("tab", "tab_A.csv", ()),
            ("cp1252", "cp1252_A.csv", ("lost some characters",)),
            ("gb18030", "gb18030_A.csv", ()),
            ("utf16", "utf16_A.csv", ()),
            ("misread", "misread_A.csv", ()),
            ("from_csv", "from_csv_A.xlsx", ()),
            ("from_xlsx", "from_xlsx_A.xlsx", ()),
            ("from_xlsx", "from_xlsx_A.csv", ("lost some characters",)),
        )
    ),
]


@pytest.fixture
def merge(tmp_path, run_script):
    """A folder of a study with the case's files in it, and a way to merge it."""
    study.write_cache(tmp_path / "cache")
    folder = tmp_path / "failures"

    def run(case: Case, strict: bool):
        options = ["--cache-dir", tmp_path / "cache", "--failure-dir", folder, "--bootstrap-rounds", 20]
        return run_script("merge_assignments.py", *options, "--strict", strict)

    return folder, run


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_outcome(case, merge):
    folder, run = merge
    drawn = range(40) if len(case.clean) > 30 else range(39)
    study.write_samples(
        folder, {"A": sorted({*case.clean, *BASE}), "backup": sorted({*drawn} - {*case.clean, *BASE})}
    )
    for name, content in case.files.items():
        if callable(content):
            content(folder / name)
        else:
            (folder / name).write_bytes(content)
    before = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}

    status, out, err = run(case, strict=True)
    if case.problems or not case.clean:
        assert status == 1
        assert not (folder / "annotations_clean.csv").exists()
        assert all(file in err for file, *_ in case.problems)
        assert all(said in err for said in case.says)
        assert "Traceback" not in err
    else:
        assert (status, err) == (0, "")
        assert study.clean(folder) == case.clean
        assert all(said in out for said in case.says), out

    status, out, err = run(case, strict=False)
    if case.clean:
        assert (status, err) == (0, "")
        assert study.clean(folder) == case.clean
        assert study.problems(folder) == case.problems
        raw = study.table(folder / "annotations_raw.csv")
        assert {int(row["idx"]) for row in raw if row["status"].startswith("counted")} == set(case.clean)
    else:
        assert status == 1  # nothing that counts is left
        assert not (folder / "annotations_clean.csv").exists()
    after = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in before}
    assert after == before


def test_there_are_enough_cases():
    assert len(CASES) >= 40
    assert len({case.name for case in CASES}) == len(CASES)


def test_further_columns_are_kept_aside(merge):
    folder, run = merge
    study.write_samples(folder, {"A": list(range(10))})
    rows = [row | {"sure?": "yes", "": "=1+1"} for row in ROWS]
    content = study.csv_text(rows, columns=[*sheets.COLUMNS, "sure?", ""])
    (folder / "assign_A.csv").write_text(content, encoding="utf-8")
    status, _, _ = run(None, strict=True)
    raw = study.table(folder / "annotations_raw.csv")
    assert status == 0
    assert {row["further"] for row in raw} == {"sure?: yes; column 9: =1+1"}


def test_no_table_that_is_written_runs_a_formula(merge):
    folder, run = merge
    study.write_samples(folder, {"A": list(range(40))})
    evil = "=cmd|' /C calc'!A0"
    rows = study.filled(study.LABELS, note=evil) + study.filled({3: evil})
    (folder / "assign_A.csv").write_text(study.csv_text(rows), encoding="utf-8")
    (folder / "assign_B.csv").write_text(study.csv_text(study.filled({8: "Object"})), encoding="utf-8")
    status, _, _ = run(None, strict=False)
    assert status == 0
    for path in folder.glob("*.csv"):
        if not path.name.startswith("assign_"):
            for row in study.table(path):
                for cell in row.values():
                    number = cell.lstrip("-").replace(".", "", 1).isdigit()
                    assert number or cell[:1] not in ("=", "+", "-", "@", "\t"), (path.name, cell)


def test_a_huge_note_and_a_huge_sheet_of_styled_rows(merge):
    folder, run = merge
    study.write_samples(folder, {"A": list(range(10))})
    (folder / "assign_A.csv").write_text(study.csv_text(changed(3, note="x" * 300_000)), encoding="utf-8")
    book = openpyxl.Workbook()
    for row in [sheets.COLUMNS, *([row.get(name) for name in sheets.COLUMNS] for row in ROWS)]:
        book.active.append(row)
    book.active.cell(1_048_576, 16_384).value = " "
    content = io.BytesIO()
    book.save(content)
    (folder / "assign_A.xlsx").write_bytes(content.getvalue())
    status, _, _ = run(None, strict=True)
    assert status == 0
    assert study.clean(folder) == BASE
