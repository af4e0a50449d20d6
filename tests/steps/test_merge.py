"""Step 4 as a whole: who counts, what waits, what is written, and that nothing a person filled in is lost."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common import files
from common.labels import sheets
from tests.support import PROJECT
from tests.support import merge_folder as study

PARTS = {"overlap": list(range(6)), "A": [6, 7, 8], "B": [9, 10, 11], "C": [12, 13, 14], "backup": [15, 16]}
U, D = ("Ambiguous", "underspecified"), ("Ambiguous", "nearduplicate")


class Folder:
    """A study whose sheets a test fills in and merges."""

    def __init__(self, root: Path):
        self.root, self.path = root, root / "failures"
        study.write_cache(root / "cache")
        study.write_samples(self.path, PARTS)

    def fill(self, name: str, labels: dict, **cells) -> None:
        rows = study.filled(labels, **cells)
        if name.endswith(".xlsx"):
            sheets.write_xlsx(self.path / name, rows, "A")
        else:
            sheets.write_csv(self.path / f"{name}.csv", rows, ("revision",) if "revision" in cells else ())

    def merge(self, *options) -> tuple[int, str, str]:
        return study.merge(self.root, "--bootstrap-rounds", 50, *options)

    def merged(self, *options) -> str:
        status, out, err = self.merge(*options)
        assert (status, err) == (0, "")
        return out

    def table(self, name: str) -> list[dict]:
        return study.table(self.path / name)

    def clean(self) -> dict:
        return study.clean(self.path)

    def decided(self) -> dict[int, str]:
        return {int(row["idx"]): row["decided"] for row in self.table("annotations_clean.csv")}

    def edit(self, name: str, idx: int, /, **cells) -> None:
        """Fill in cells of a row as a person would, in a file that step 4 wrote."""
        rows = self.table(name)
        for row in rows:
            if row["idx"] == str(idx):
                row.update(cells)
        files.write_csv(self.path / name, list(rows[0] | cells), rows)

    def snapshot(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.path.glob("*.*")}


@pytest.fixture
def folder(tmp_path) -> Folder:
    return Folder(tmp_path)


# ---- one label an item ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "label", "decided"),
    [
        (["Count"], "Count", "one rater"),
        (["Count", "Count"], "Count", "all agree"),
        (["Count", "Object"], None, None),
        (["Count", "Object", "Count"], "Count", "majority"),
        (["Count", "Object", "Action"], None, None),
        (["Count", "Count", "Object", "Action"], None, None),  # half is no majority
        (["Count", "Count", "Count", "Object"], "Count", "majority"),
        ([U], U, "one rater"),
        ([U, U], U, "all agree"),
        ([U, D], "Ambiguous", "all agree"),  # which subtype, nobody can say
        ([U, "Ambiguous"], U, "all agree"),
        ([U, D, D], D, "all agree"),
        ([U, "Ambiguous", "Object"], U, "majority"),
        ([U, D, "Object"], "Ambiguous", "majority"),
        ([U, "Object", "Object"], "Object", "majority"),
    ],
)
def test_majority(folder, given, label, decided):
    folder.fill("assign_A", {6: "Spatial"})
    for rater, of in zip("ABCD", given, strict=False):
        folder.fill(f"assign_overlap_{rater}", {3: of})
    out = folder.merged()
    assert folder.clean() == ({3: label, 6: "Spatial"} if label else {6: "Spatial"})
    assert folder.decided().get(3) == decided
    assert [row["idx"] for row in folder.table("adjudicate.csv")] == ([] if label else ["3"])
    assert ("PROVISIONAL: 1 more wait" in out) == (label is None)


def test_every_item_counts_once(folder):
    for rater in "ABC":
        folder.fill(f"assign_overlap_{rater}", dict.fromkeys(range(6), "Count"))
    folder.fill("assign_A", dict.fromkeys([6, 7, 8], "Object"))
    folder.merged()
    rows = {(row["over"], row["category"]): row for row in folder.table("category_distribution.csv")}
    assert {key: row["n"] for key, row in rows.items() if row["n"] != "0"} == {
        ("all", "Count"): "6",
        ("all", "Object"): "3",
        ("clear", "Count"): "6",
        ("clear", "Object"): "3",
    }
    assert len(rows) == 7 + 6
    # Wilson's interval of 6 of 9, worked by hand: (6 + 1.92) / (9 + 3.84) -+ 1.96 / 12.84 * sqrt(2 + 0.96).
    all_count = rows["all", "Count"]
    assert (all_count["share"], all_count["total"], all_count["status"]) == ("0.666667", "9", "final")
    assert float(all_count["low"]) == pytest.approx(0.3542, abs=5e-5)
    assert float(all_count["high"]) == pytest.approx(0.8794, abs=5e-5)


def test_ambiguous_against_clear_and_shares_of_the_clear_ones(folder):
    folder.fill(
        "assign_A", {0: U, 1: U, 2: D, 3: "Ambiguous", 4: "Count", 5: "Count", 6: "Object", 7: "Count"}
    )
    folder.merged()
    rows = {row["label"]: (row["n"], row["share"]) for row in folder.table("ambiguous_vs_clear.csv")}
    assert rows == {
        "Ambiguous": ("4", "0.5"),
        "Clear": ("4", "0.5"),
        "Ambiguous (underspecified)": ("2", "0.25"),
        "Ambiguous (nearduplicate)": ("1", "0.125"),
        "Ambiguous (no subtype)": ("1", "0.125"),
    }
    clear = {row["category"]: row["share"] for row in folder.table("category_distribution.csv")[7:]}
    assert (clear["Count"], clear["Object"]) == ("0.75", "0.25")


# ---- who rated ------------------------------------------------------------------------------------------


def test_a_sheet_without_a_letter_is_one_further_rater(folder):
    folder.fill("assign_overlap_A", {0: "Count", 1: "Object"})
    folder.fill("assign_overlap", {0: "Count", 1: "Object"})
    folder.fill("assign_overlap.xlsx", {0: "Count", 1: "Object", 2: "Action"})
    folder.merged()
    assert [row["rater"] for row in folder.table("raters.csv")] == ["A", "B", "C", "overlap"]
    assert [row["n_raters"] for row in folder.table("annotations_clean.csv")] == ["2", "2", "1"]


def test_such_sheets_are_two_raters_if_their_labels_differ(folder):
    folder.fill("assign_overlap_A", {0: "Count", 1: "Object"})
    folder.fill("assign_overlap", {0: "Count", 1: "Object"})
    folder.fill("assign_overlap.xlsx", {0: "Count", 1: "Action"})
    folder.merged()
    raters = {row["rater"]: row["sheets"] for row in folder.table("raters.csv")}
    assert raters["overlap 1"] == "assign_overlap.csv"
    assert raters["overlap 2"] == "assign_overlap.xlsx"
    assert folder.clean() == {0: "Count", 1: "Object"}
    assert folder.decided()[1] == "majority"


def test_a_filled_backup_row_is_its_raters(folder):
    folder.fill("assign_A", {6: "Count", 7: "Count"})
    folder.fill("assign_backup_A", {15: "Object"})
    folder.fill("assign_backup", {15: "", 16: "Object"})
    out = folder.merged()
    raters = {row["rater"]: row for row in folder.table("raters.csv")}
    assert raters["A"]["sheets"] == "assign_A.csv; assign_backup_A.csv"
    assert raters["A"]["labelled"] == "3"
    assert raters["backup"]["labelled"] == "1"
    assert raters["backup"]["missing"] == "0"
    assert "A       3 labels" in out


def test_what_is_missing_is_said_by_rater_and_idx(folder):
    folder.fill("assign_A", {6: "Count", 7: "", 8: "Count"})
    folder.fill("assign_overlap_A", dict.fromkeys(range(5), "Count"))  # row 5 was deleted
    folder.fill("assign_B", {9: "", 10: ""})
    out = folder.merged()
    assert "assign_A.csv; assign_overlap_A.csv; 2 missing (idx 5, 7)" in out
    assert "nothing; 9 missing (idx 0, 1, 2, 3, 4, 5, 9, 10, 11)" in out
    assert "1 blank sheet passed over (assign_B.csv)" in out
    missing = {row["rater"]: row["missing_idx"] for row in folder.table("raters.csv")}
    assert missing == {"A": "5 7", "B": "0 1 2 3 4 5 9 10 11", "C": "0 1 2 3 4 5 12 13 14"}


def test_the_later_export_counts_whatever_its_name(folder):
    folder.fill("assign_page_A", {6: "Count", 7: "Count"}, revision=12)
    folder.fill("assign_page_A (1)", {6: "Object", 7: "Sptail?", 8: "Object"}, revision=9)
    out = folder.merged()
    assert folder.clean() == {6: "Count", 7: "Count"}
    assert "assign_page_A (1).csv was passed over" in out
    status = {
        row["status"] for row in folder.table("annotations_raw.csv") if row["file"] == "assign_page_A (1).csv"
    }
    assert status == {"replaced by the later assign_page_A.csv"}


def test_a_blank_export_silences_no_label(folder):
    folder.fill("assign_page_A", {6: "Count", 7: "Count"}, revision=3)
    folder.fill("assign_page_A (1)", {6: "", 7: ""}, revision=9)
    out = folder.merged()
    assert folder.clean() == {6: "Count", 7: "Count"}
    assert "passed over (assign_page_A (1).csv)" in out


def test_a_person_who_hands_in_twice_is_told(folder):
    study.write_samples(folder.path, {"overlap": list(range(20))})
    labels = {idx: study.LABELS[idx] for idx in range(20)}
    folder.fill("assign_overlap_A", labels)
    folder.fill("assign_overlap_B", labels | {3: "Object"})
    folder.fill("assign_overlap", labels)
    out = folder.merged()
    assert "assign_overlap.csv: says just what A says of 20 items: if A filled it in, remove it" in out
    assert "what B says" not in out


def test_an_unlabelled_row_of_a_filled_sheet_must_be_the_caches_too(folder):
    """Its label may have slipped into a neighbour; in a sheet with no label at all it means nothing."""
    rows = study.filled({6: "Count", 7: "", 8: ""})
    rows[2]["caption"] = "another caption"
    sheets.write_csv(folder.path / "assign_A.csv", rows)
    status, _, err = folder.merge()
    assert status == 1
    assert "assign_A.csv row 4: caption 'another caption' is not that of idx 8" in err
    folder.merged("--strict", False)
    assert folder.clean() == {6: "Count"}
    sheets.write_csv(folder.path / "assign_A.csv", rows[1:])
    folder.fill("assign_B", {9: "Count"})
    folder.merged()


def test_two_exports_of_one_revision_must_agree(folder):
    folder.fill("assign_page_A", {6: "Count"}, revision=12)
    folder.fill("assign_page_A (1)", {6: "Object"}, revision=12)
    status, _, err = folder.merge()
    assert status == 1
    assert "assign_page_A (1).csv row 2: category 'Object / Count' of idx 6 is not what rater A says" in err


# ---- adjudication ---------------------------------------------------------------------------------------


@pytest.fixture
def disputed(folder) -> Folder:
    """Two raters who differ on items 1 and 4 of the overlap, in a folder with a picture of one."""
    folder.fill("assign_overlap_A", {0: "Count", 1: U, 2: "Object", 3: "Action", 4: "Spatial"})
    folder.fill("assign_overlap_B", {0: "Count", 1: "Object", 2: "Object", 3: "Action", 4: "Context"})
    (folder.path / "vis_overlap").mkdir()
    (folder.path / "vis_overlap" / "fail_1.jpg").write_bytes(b"")
    return folder


def test_what_waits_is_laid_side_by_side(disputed):
    out = disputed.merged()
    assert disputed.table("adjudicate.csv") == [
        {
            "idx": str(idx),
            "caption": study.CAPTIONS[idx],
            "gt_img_idx": str(study.positive(idx)),
            "pred_img_idx": str(study.predicted(idx)),
            "picture": picture,
            "label_A": first,
            "label_B": second,
            "final_category": "",
            "final_subtype": "",
            "note": "",
        }
        for idx, picture, first, second in (
            (1, "vis_overlap/fail_1.jpg", "Ambiguous (underspecified)", "Object"),
            (4, "", "Spatial", "Context"),
        )
    ]
    assert "PROVISIONAL: 2 more wait in adjudicate.csv" in out
    assert "Next: decide 2 items in" in out
    statuses = {row["status"] for row in disputed.table("category_distribution.csv")}
    assert statuses == {"provisional: 2 wait in adjudicate.csv"}
    assert study.report(disputed.path)["waiting"] == 2


def test_decisions_count_on_the_next_run_and_stay_in_the_file(disputed):
    disputed.merged()
    disputed.edit(
        "adjudicate.csv", 1, final_category="ambigous", final_subtype="Near Duplicate", note="=same plate"
    )
    out = disputed.merged()
    assert disputed.clean()[1] == D
    assert disputed.decided()[1] == "adjudicated"
    assert "PROVISIONAL: 1 more wait" in out
    disputed.edit("adjudicate.csv", 4, final_category="Spatial")
    out = disputed.merged()
    assert "PROVISIONAL" not in out
    assert {row["status"] for row in disputed.table("category_distribution.csv")} == {"final"}
    kept = {row["idx"]: row for row in disputed.table("adjudicate.csv")}
    assert kept["1"]["final_category"] == "ambigous"
    assert kept["1"]["final_subtype"] == "Near Duplicate"
    assert kept["1"]["note"] == "'=same plate"
    assert kept["4"]["final_category"] == "Spatial"
    before = disputed.snapshot()
    disputed.merged()
    assert disputed.snapshot() == before


def test_a_decision_outlasts_the_dispute(disputed):
    disputed.merged()
    disputed.edit("adjudicate.csv", 1, final_category="Object", label_B="scribbled over")
    disputed.fill("assign_overlap_C", {1: U, 4: "Spatial"})  # now both have a majority
    disputed.merged()
    assert disputed.clean()[1] == "Object"
    assert disputed.clean()[4] == "Spatial"
    assert [row["idx"] for row in disputed.table("adjudicate.csv")] == ["1"]
    assert disputed.table("adjudicate.csv")[0]["label_C"] == "Ambiguous (underspecified)"
    for path in disputed.path.glob("assign_*"):
        path.unlink()
    disputed.fill("assign_A", {6: "Count"})
    disputed.merged()
    assert disputed.clean() == {1: "Object", 6: "Count"}
    assert [row["final_category"] for row in disputed.table("adjudicate.csv")] == ["Object"]


def test_further_columns_and_notes_of_the_adjudicator_stay(disputed):
    disputed.merged()
    disputed.edit("adjudicate.csv", 4, note="ask Ann", who="Bob")
    disputed.merged()
    rows = {row["idx"]: row for row in disputed.table("adjudicate.csv")}
    assert rows["4"]["note"] == "ask Ann"
    assert rows["4"]["who"] == "Bob"
    assert rows["1"]["who"] == ""


def test_what_a_spreadsheet_made_of_the_decisions_is_read(disputed):
    disputed.merged()
    rows = disputed.table("adjudicate.csv")
    rows[0]["final_category"], rows[0]["note"] = "Object ", "à revoir"
    text = study.csv_text(rows[::-1], list(rows[0])[::-1], ";")
    (disputed.path / "adjudicate.csv").write_bytes(text.encode("cp1252"))
    disputed.merged()
    assert disputed.clean()[1] == "Object"
    assert disputed.table("adjudicate.csv")[0]["note"] == "à revoir"


def test_a_wrong_decision_is_a_problem_and_stays(disputed):
    disputed.merged()
    disputed.edit("adjudicate.csv", 1, final_category="Objekte!")
    before = disputed.snapshot()
    status, _, err = disputed.merge()
    assert status == 1
    assert "adjudicate.csv row 2: category 'Objekte!' is not a label; nearest: Object" in err
    assert disputed.snapshot() == before
    disputed.merged("--strict", False)
    assert 1 not in disputed.clean()
    assert disputed.table("adjudicate.csv")[0]["final_category"] == "Objekte!"


def test_a_decision_on_an_unknown_idx_is_a_problem_and_stays(disputed):
    disputed.merged()
    disputed.edit("adjudicate.csv", 4, final_category="Count", idx="four")
    status, _, err = disputed.merge()
    assert status == 1
    assert "adjudicate.csv row 3: idx 'four' is not a row number" in err
    disputed.merged("--strict", False)
    rows = disputed.table("adjudicate.csv")
    assert [row["idx"] for row in rows] == ["1", "4", "four"]
    assert rows[-1]["final_category"] == "Count"
    assert rows[-1]["caption"].strip() == study.CAPTIONS[4].strip()


def test_two_decisions_that_differ_are_a_problem_and_both_stay(disputed):
    disputed.merged()
    rows = disputed.table("adjudicate.csv")
    rows = [rows[0] | {"final_category": "Object"}, rows[0] | {"final_category": "Count"}]
    files.write_csv(disputed.path / "adjudicate.csv", list(rows[0]), rows)
    status, _, err = disputed.merge()
    assert status == 1
    assert "Object / Count" in err
    disputed.merged("--strict", False)
    kept = [(row["idx"], row["final_category"]) for row in disputed.table("adjudicate.csv")]
    assert kept == [("1", "Object"), ("1", "Count"), ("4", "")]
    assert 1 not in disputed.clean()


@pytest.mark.parametrize("strict", [True, False])
def test_decisions_that_cannot_be_read_are_never_overwritten(disputed, strict):
    disputed.merged()
    broken = (disputed.path / "adjudicate.csv").read_bytes().replace(b"idx,", b"nr,")
    (disputed.path / "adjudicate.csv").write_bytes(broken)
    before = disputed.snapshot()
    status, _, err = disputed.merge("--strict", strict)
    assert status == 1
    assert "adjudicate.csv has no header row" in err
    assert "left as it is" in err
    assert disputed.snapshot() == before


# ---- what is written ------------------------------------------------------------------------------------


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


def test_a_rerun_writes_the_same_bytes_and_another_seed_other_intervals(disputed):
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
    report = study.report(disputed.path)
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


# ---- nothing to measure ---------------------------------------------------------------------------------


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
    assert "percent 1.00 [1.00, 1.00], alpha undefined, AC1 1.00" in out
    assert "every rating is Object" in out
    assert not any(
        "nan" in cell.lower() for row in folder.table("agreement.csv") for cell in (row["value"], row["low"])
    )


def test_nothing_but_disputes(folder):
    folder.fill("assign_overlap_A", {0: "Count"})
    folder.fill("assign_overlap_B", {0: "Object"})
    out = folder.merged()
    assert "Distribution over 0 items (PROVISIONAL: 1 more wait" in out
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
    assert "holds no assign_*.csv or .xlsx: run `python failure.py` first" in err


def test_no_redraws(folder):
    for rater in "AB":
        folder.fill(f"assign_overlap_{rater}", {0: "Count", 1: "Object"})
    folder.merged("--bootstrap-rounds", 0)
    cautions = {row["caution"] for row in folder.table("agreement.csv") if row["level"] == "category"}
    assert all("no bootstrap rounds were asked for" in caution for caution in cautions)


# ---- what is checked against ----------------------------------------------------------------------------


def test_without_a_cache_the_drawn_failures_serve(folder):
    (folder.root / "cache" / "meta_20_tiny.json").unlink()
    folder.fill("assign_A", {6: "Count", 7: "Object"})
    out = folder.merged()
    assert "no cache is here: rows were checked by failure_samples.csv" in out
    assert folder.clean() == {6: "Count", 7: "Object"}
    folder.fill("assign_B", {9: "Count", 30: "Count"})
    status, _, err = folder.merge()
    assert status == 1
    assert "assign_B.csv row 3: idx '30' is out of range" in err


def test_neither_cache_nor_drawn_failures(folder):
    (folder.root / "cache" / "meta_20_tiny.json").unlink()
    (folder.path / "failure_samples.csv").unlink()
    folder.fill("assign_A", {6: "Count"})
    status, _, err = folder.merge()
    assert status == 1
    assert "run `python main.py` first" in err


def test_drawn_failures_of_another_cache(folder):
    study.write_cache(folder.root / "cache", captions=[f"other {idx}" for idx in range(study.N)])
    folder.fill("assign_A", {6: "Count"})
    status, _, err = folder.merge()
    assert status == 1
    assert "was drawn from another cache" in err
    assert "17 of 17 captions differ" in err


def test_a_folder_made_from_another_cache_is_said(folder):
    files.write_json(folder.path / "manifest.json", {"fingerprint": "0123456789abcdef"})
    folder.fill("assign_A", {6: "Count"})
    assert "was made from the cache 0123456789abcdef" in folder.merged()


def test_the_bundled_sample_has_its_own_folder(tmp_path):
    study.write_cache(tmp_path / "cache" / "sample", bundled_sample=True)
    study.write_samples(tmp_path / "failures" / "sample", PARTS)
    sheets.write_csv(tmp_path / "failures" / "sample" / "assign_A.csv", study.filled({6: "Count"}))
    status, _, err = study.merge(tmp_path)
    assert (status, err) == (0, "")
    assert study.clean(tmp_path / "failures" / "sample") == {6: "Count"}


def test_without_drawn_failures_an_odd_retrieved_image_is_seen_by_comparison(folder):
    (folder.path / "failure_samples.csv").unlink()
    folder.fill("assign_A", {6: "Count", 7: "Count"})
    folder.fill("assign_B", {6: "Count", 7: "Count"})
    folder.fill("assign_C", {6: "Count"}, pred_img_idx=0)
    out = folder.merged()
    assert "assign_C.csv row 2: pred_img_idx '0' is another retrieved image than 10" in out
    assert folder.table("annotations_clean.csv")[0]["pred_img_idx"] == "10"


def test_several_caches_are_an_error_and_not_guessed_at(folder):
    study.write_cache(folder.root / "cache" / "other").rename(folder.root / "cache" / "meta_20_other.json")
    folder.fill("assign_A", {6: "Count"})
    status, _, err = folder.merge()
    assert status == 1
    assert "holds 2 caches" in err


def test_a_folder_that_isnt_there(tmp_path):
    study.write_cache(tmp_path / "cache")
    status, _, err = study.merge(tmp_path)
    assert status == 1
    assert "run `python failure.py` first" in err


@pytest.mark.parametrize("option", ["--seed", "--bootstrap-rounds"])
def test_numbers_that_cannot_be_meant(folder, option):
    folder.fill("assign_A", {6: "Count"})
    status, _, err = folder.merge(option, -1)
    assert status == 1
    assert err == f"error: {option[2:].upper().replace('-', '_')} = -1: should be 0 or more\n"


def test_a_copy_under_another_name_is_told(folder):
    folder.fill("assign_A", {6: "Count"})
    folder.fill("Copy of assign_B", {9: "Count"})
    out = folder.merged()
    assert "Copy of assign_B.csv: was not read, since its name doesn't begin with assign_" in out
    assert folder.clean() == {6: "Count"}


def test_columns_that_are_missing_are_told(folder):
    rows = study.filled({6: "Ambiguous"})
    text = study.csv_text(rows, ["idx", "caption", "category", "note"])
    (folder.path / "assign_A.csv").write_text(text, encoding="utf-8")
    out = folder.merged()
    assert "assign_A.csv: lacks the columns gt_img_idx, pred_img_idx, ambiguous_subtype" in out
    assert folder.clean() == {6: "Ambiguous"}


def test_problems_leave_an_earlier_merge_as_it_was(folder):
    folder.fill("assign_A", {6: "Count"})
    folder.merged()
    folder.fill("assign_B", {9: "Objectt"})
    before = folder.snapshot()
    status, _, err = folder.merge()
    assert status == 1
    assert "nothing was merged" in err
    assert folder.snapshot() == before


def test_all_problems_are_listed(folder):
    folder.fill("assign_overlap_A", {idx: f"label {idx}" for idx in range(6)})
    folder.fill("assign_B", dict.fromkeys([9, 10, 11], "Objectt"))
    status, _, err = folder.merge()
    assert status == 1
    assert "has problems, 7 in all" in err
    assert all(f"'label {idx}'" in err for idx in range(6))
    assert "assign_B.csv rows 2, 3, 4: category 'Objectt' is not a label; nearest: Object" in err
    assert "Legal labels: Ambiguous, Attribute, Action, Count, Context, Spatial, Object" in err


# ---- the command ----------------------------------------------------------------------------------------


def test_help_is_quick_and_nothing_imports_torch(tmp_path):
    """torch is not there for this step: a stand-in that refuses to be imported comes first on the path."""
    (tmp_path / "torch.py").write_text("raise ImportError('torch must not be needed')")
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "merge_assignments.py", "--help"],
        cwd=PROJECT,
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
    )
    took = time.perf_counter() - began
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Step 4 of 6: ")
    assert "BOOTSTRAP_ROUNDS: int = 2000" in done.stdout
    assert took < 4  # about 0.3 s; other work on the machine must not fail the test


def test_a_console_that_cannot_show_a_caption_stops_nothing(folder):
    folder.fill("assign_A", {6: "Count", 7: "形状"})
    done = subprocess.run(
        [sys.executable, "merge_assignments.py", "--cache-dir", str(folder.root / "cache")]
        + ["--failure-dir", str(folder.path), "--strict", "False"],
        cwd=PROJECT,
        env={"PYTHONIOENCODING": "ascii", "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert r"category '\u5f62\u72b6' is not a label" in done.stdout


def test_a_merge_imports_no_torch(folder, tmp_path):
    folder.fill("assign_overlap_A", {0: "Count", 1: "Object"})
    folder.fill("assign_overlap_B.xlsx", {0: "Count", 1: "Action"})
    (tmp_path / "torch.py").write_text("raise ImportError('torch must not be needed')")
    command = [sys.executable, "merge_assignments.py", "--cache-dir", str(folder.root / "cache")]
    done = subprocess.run(
        [*command, "--failure-dir", str(folder.path)],
        cwd=PROJECT,
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((folder.path / "agreement.json").read_text(encoding="utf-8"))["items"] == 1


@pytest.mark.slow
def test_intervals_cover_the_distribution_as_labelled():
    """The benchmark's own figures, on fewer redraws: 3 standard errors are then about 3.8 points."""
    import random

    from benchmarks import label_intervals as bench

    expected, draw = bench.as_labelled(0.15), random.Random(3)
    assert sum(expected.values()) == pytest.approx(1)
    studies = [bench.redraw(0.15, draw) for _ in range(300)]
    for place, (name, share) in enumerate(expected.items()):
        assert 0.91 < bench.covered(studies, place, share) < 0.99, name
