"""Step 4 from the outside: one label an item, and who gave it."""

import pytest

from tests.support import merge_folder as study
from tests.support.merge_folder import D, Folder, U


@pytest.fixture
def folder(tmp_path) -> Folder:
    return Folder(tmp_path)


# ---- one label an item ---------------------------------------------------------------------------------


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
    # The fourth is whoever took the spare sheet: another name makes nobody a rater.
    for sheet, of in zip(("overlap_A", "overlap_B", "overlap_C", "overlap"), given, strict=False):
        folder.fill(f"assign_{sheet}", {3: of})
    out = folder.merged()
    assert folder.clean() == ({3: label, 6: "Spatial"} if label else {6: "Spatial"})
    assert folder.decided().get(3) == decided
    assert [row["idx"] for row in folder.table("adjudicate.csv")] == ([] if label else ["3"])
    assert ("1 waits in adjudicate.csv)" in out) == (label is None)


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
    assert (all_count["share"], all_count["total"]) == ("0.666667", "9")
    assert all_count["status"] == "provisional: 6 of 15 without a label"
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


# ---- who rated -----------------------------------------------------------------------------------------


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
    assert "assign_A.csv, assign_overlap_A.csv; 2 missing (idx 5, 7)" in out
    assert "nothing; 9 missing (idx 0, 1, 2, 3, 4, 5, 9, 10, 11)" in out
    assert "Skipped 1 empty sheet (assign_B.csv)" in out
    missing = {row["rater"]: row["missing_idx"] for row in folder.table("raters.csv")}
    assert missing == {"A": "5 7", "B": "0 1 2 3 4 5 9 10 11", "C": "0 1 2 3 4 5 12 13 14"}


def test_the_later_export_counts_whatever_its_name(folder):
    folder.fill("assign_page_A", {6: "Count", 7: "Count"}, revision=12)
    folder.fill("assign_page_A (1)", {6: "Object", 7: "Sptail?", 8: "Object"}, revision=9)
    out = folder.merged()
    assert folder.clean() == {6: "Count", 7: "Count"}
    assert "Skipped assign_page_A (1).csv: assign_page_A.csv is a later export" in out
    status = {
        row["status"] for row in folder.table("annotations_raw.csv") if row["file"] == "assign_page_A (1).csv"
    }
    assert status == {"replaced by the later assign_page_A.csv"}


def test_a_blank_export_silences_no_label(folder):
    folder.fill("assign_page_A", {6: "Count", 7: "Count"}, revision=3)
    folder.fill("assign_page_A (1)", {6: "", 7: ""}, revision=9)
    out = folder.merged()
    assert folder.clean() == {6: "Count", 7: "Count"}
    assert "Skipped 1 empty sheet (assign_page_A (1).csv)" in out


def test_a_person_who_hands_in_twice_is_told(folder):
    study.write_samples(folder.path, {"overlap": list(range(20))})
    labels = {idx: study.LABELS[idx] for idx in range(20)}
    folder.fill("assign_overlap_A", labels)
    folder.fill("assign_overlap_B", labels | {3: "Object"})
    folder.fill("assign_overlap", labels)
    out = folder.merged()
    assert "assign_overlap.csv: says exactly what A says of 20 items: remove it if A filled it in" in out
    assert "what B says" not in out


def test_an_unlabeled_row_of_a_filled_sheet_is_checked_too(folder):
    """Its label may have slipped into a neighbour; in a sheet with no label at all it means nothing."""
    rows = study.filled({6: "Count", 7: "", 8: ""})
    rows[2]["caption"] = "another caption"
    study.write_sheet(folder.path / "assign_A.csv", rows)
    status, _, err = folder.merge()
    assert status == 1
    assert "assign_A.csv row 4: caption 'another caption' is not that of idx 8" in err
    folder.merged("--strict", False)
    assert folder.clean() == {6: "Count"}
    study.write_sheet(folder.path / "assign_A.csv", rows[1:])
    folder.fill("assign_B", {9: "Count"})
    folder.merged()


def test_two_exports_of_one_revision_must_agree(folder):
    folder.fill("assign_page_A", {6: "Count"}, revision=12)
    folder.fill("assign_page_A (1)", {6: "Object"}, revision=12)
    status, _, err = folder.merge()
    assert status == 1
    assert "assign_page_A (1).csv row 2: category 'Object' of idx 6, but rater A says 'Count' in " in err
