"""What step 4 writes, and what where there is nothing to measure."""

from pathlib import Path

import pytest

from common import files
from tests.support.merge_folder import D, Folder, U
from tests.support.running import without_folders


@pytest.fixture
def folder(tmp_path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture
def disputed(folder) -> Folder:
    return folder.disputed()


# ---- what is written -----------------------------------------------------------------------------------


def test_agreement_on_a_table_worked_by_hand(folder):
    """A and B on six items: four alike (two Count, one Object, one Ambiguous), two unlike."""
    folder.fill("assign_overlap_A", {0: "Count", 1: "Count", 2: "Object", 3: U, 4: "Count", 5: U})
    folder.fill("assign_overlap_B", {0: "Count", 1: "Count", 2: "Object", 3: D, 4: "Object", 5: "Object"})
    folder.merged()
    found = {
        (row["level"], row["over"], row["statistic"]): row["value"] for row in folder.table("agreement.csv")
    }
    # Category: p_o = 4/6; A: Count 3, Object 1, Ambiguous 2; B: 2, 3, 1; p_c = (6 + 3 + 2) / 36.
    assert float(found["category", "all raters", "percent agreement"]) == pytest.approx(4 / 6, abs=1e-6)
    assert float(found["category", "pair", "Cohen's kappa"]) == pytest.approx(
        (4 / 6 - 11 / 36) / (25 / 36), abs=1e-6
    )
    # AC1: pi = 5/12, 4/12, 3/12 of seven labels; p_e = (1 - (25 + 16 + 9) / 144) / 6.
    chance = (1 - 50 / 144) / 6
    assert float(found["category", "all raters", "Gwet's AC1"]) == pytest.approx(
        (4 / 6 - chance) / (1 - chance), abs=1e-6
    )
    # Ambiguous or clear: 5 of 6 alike, 3 of 12 are Ambiguous; alpha = 1 - 11 * 2 / (2 * 3 * 9) = 0.592593.
    assert found["ambiguous or clear", "all raters", "Krippendorff's alpha"] == "0.592593"
    # Subtype: the one item that both called ambiguous, with different subtypes.
    assert found["subtype", "pair", "percent agreement"] == "0.0"
    rows = folder.table("confusion.csv")
    unlike = {
        (row["label_1"], row["label_2"]): row["n"]
        for row in rows
        if row["level"] == "category" and row["n"] != "0" and row["label_1"] != row["label_2"]
    }
    assert unlike == {("Count", "Object"): "1", ("Ambiguous", "Object"): "1"}
    assert sum(int(row["n"]) for row in rows if row["level"] == "category") == 6
    disputes = [
        (row["idx"], row["level"], row["final"], row["decided"]) for row in folder.table("disagreements.csv")
    ]
    assert disputes == [
        ("3", "subtype", "Ambiguous", "all agree"),
        ("4", "category", "", "waits"),
        ("5", "category", "", "waits"),
    ]


def test_raw_holds_every_label_as_written_and_what_it_became(folder):
    folder.fill("assign_A", {6: "COUNT ", 7: "Sptial", 8: ("Ambiguous", "near-dup")}, note="n")
    folder.merged()
    rows = folder.table("annotations_raw.csv")
    assert [list(row.values())[:3] + list(row.values())[7:] for row in rows] == [
        ["assign_A.csv", "2", "A", "COUNT", "", "Count", "", "counted", "n", ""],
        ["assign_A.csv", "3", "A", "Sptial", "", "Spatial", "", "counted", "n", ""],
        ["assign_A.csv", "4", "A", "Ambiguous", "near-dup", "Ambiguous", "nearduplicate", "counted", "n", ""],
    ]


def test_a_rerun_writes_the_same_bytes_another_seed_others(disputed):
    disputed.merged()
    before = disputed.snapshot()
    disputed.merged()
    assert disputed.snapshot() == before
    disputed.merged("--seed", 7)
    after = disputed.snapshot()
    assert {name for name in before if after[name] != before[name]} == {"agreement.csv", "agreement.json"}


def test_provenance(disputed):
    disputed.fill("assign_C", {12: ""})
    disputed.merged()
    report = disputed.report()
    assert report["settings"] == {"STRICT": True, "BOOTSTRAP_ROUNDS": 50, "SEED": 42}
    assert report["items"] == 3
    sheet = report["inputs"]["assign_overlap_A.csv"]
    assert sheet["sha256"] == files.file_fingerprint(disputed.path / "assign_overlap_A.csv")
    assert (sheet["rows"], sheet["labelled"], sheet["rater"]) == (5, 5, "A")
    assert sheet["read_as"] == "CSV, comma, utf-8-sig"
    assert report["inputs"]["assign_C.csv"]["labelled"] == 0
    assert sorted(Path(name).name for name in report["checked_against"]) == [
        "failure_samples.csv",
        "meta_20_tiny.json",
    ]
    assert set(report["versions"]) == {"python", "numpy"}
    assert set(report["agreement"]) == {"ambiguous or clear", "category", "subtype"}


def test_a_carriage_return_in_a_note_breaks_no_row(folder):
    folder.fill("assign_A", {6: "Count", 7: "Object"}, note="first\rsecond")
    folder.merged()
    assert folder.clean() == {6: "Count", 7: "Object"}
    assert {row["note"] for row in folder.table("annotations_raw.csv")} == {"first\rsecond"}


def test_files_are_utf8_with_a_mark(disputed):
    disputed.merged()
    for path in disputed.path.glob("*.csv"):
        assert path.read_bytes().startswith(
            b"\xef\xbb\xbfi" if path.name.startswith("annotations_c") else b"\xef\xbb\xbf"
        )


# ---- nothing to measure --------------------------------------------------------------------------------


def test_one_rater(folder):
    folder.fill("assign_A", {6: "Count", 7: "Count"})
    out = folder.merged()
    assert "Agreement: none to measure, only one rater: agreement takes two" in out
    rows = folder.table("agreement.csv")
    assert {row["caution"] for row in rows if row["level"] == "category"} == {
        "only one rater: agreement takes two"
    }
    assert {row["value"] for row in rows} == {""}
    assert "NaN" not in (folder.path / "agreement.json").read_text(encoding="utf-8")


def test_no_overlap(folder):
    folder.fill("assign_A", {6: "Count", 7: "Count"})
    folder.fill("assign_B", {9: "Count"})
    assert "none to measure, no item has labels of two raters at this level" in folder.merged()
    assert folder.table("confusion.csv") == []


def test_one_label_only(folder):
    for rater in "AB":
        folder.fill(f"assign_overlap_{rater}", dict.fromkeys(range(6), "Object"))
    out = folder.merged()
    assert "percent 1.00 [0.61, 1.00], alpha undefined, AC1 1.00 [0.61, 1.00]" in out
    assert "every rating is Object" in out
    assert not any(
        "nan" in cell.lower() for row in folder.table("agreement.csv") for cell in (row["value"], row["low"])
    )


def test_nothing_but_disputes(folder):
    folder.fill("assign_overlap_A", {0: "Count"})
    folder.fill("assign_overlap_B", {0: "Object"})
    out = folder.merged()
    assert "over 0 items (PROVISIONAL: 14 of 15 without a label, 1 waits in adjudicate.csv)" in out
    assert folder.clean() == {}
    assert {row["share"] for row in folder.table("category_distribution.csv")} == {""}


def test_all_blank(folder):
    folder.fill("assign_A", {6: "", 7: " "})
    status, _, err = folder.merge()
    assert status == 1
    assert "counts: fill in the sheets or pages first" in err
    assert not (folder.path / "annotations_clean.csv").exists()


def test_no_sheets(folder):
    status, _, err = folder.merge()
    assert status == 1
    assert "holds no assign_*.csv or .xlsx: run `python failure.py` first" in without_folders(err)


def test_no_redraws(folder):
    for rater in "AB":
        folder.fill(f"assign_overlap_{rater}", {0: "Count", 1: "Object"})
    folder.merged("--bootstrap-rounds", 0)
    cautions = {row["caution"] for row in folder.table("agreement.csv") if row["level"] == "category"}
    assert all("no bootstrap rounds were asked for" in caution for caution in cautions)
