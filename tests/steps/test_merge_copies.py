"""Step 4 and who is a rater: a copy of a sheet is never a further person, whatever it is called."""

import pytest

from tests.support import merge_folder as study
from tests.support.merge_folder import Folder

ITEMS = range(20)
LABELS = {idx: study.LABELS[idx] for idx in ITEMS}
OTHERS = LABELS | {idx: study.LABELS[idx + 1] for idx in range(0, 20, 4)}  # B differs in five items
PARTS = {"overlap": list(ITEMS), "A": [20, 21], "B": [22, 23], "C": [24, 25]}


@pytest.fixture
def folder(tmp_path) -> Folder:
    """Two people's labels of the shared items; C handed in nothing."""
    made = Folder(tmp_path)
    study.write_samples(made.path, PARTS)
    made.fill("assign_overlap_A", LABELS)
    made.fill("assign_overlap_B", OTHERS)
    return made


def raters(folder: Folder) -> dict[str, int]:
    """Who gave how many labels; and that agreement is over the 20 items of A and B alone."""
    found = {row["rater"]: int(row["labelled"]) for row in folder.table("raters.csv")}
    percent = next(row for row in folder.table("agreement.csv") if row["level"] == "category")
    assert (percent["n_items"], float(percent["value"])) == ("20", 0.75)
    return found


COPIES = ["assign_overlap_A (1).csv", "assign_overlap_A - Copy.csv", "Copy of assign_overlap_A.csv"]
COPIES += ["assign_overlap_A 2.csv", "assign_overlap_A_final_v2.csv", "assign_overlap_A副本.csv"]
COPIES += ["Копия assign_overlap_A.csv", "assign_overlap_\u0410.csv", "assign_overlap_\uff21.csv"]
# Names that speak of nobody who was drawn.
STRANGERS = ["assign_overlap_D.csv", "assign_overlap_AA.csv", "assign_overlap_my backup.csv", "assign_X.csv"]


@pytest.mark.parametrize("name", COPIES + STRANGERS)
@pytest.mark.parametrize("part", [20, 12], ids=["whole", "a part"])
def test_a_copy_is_no_further_rater(folder, name, part):
    folder.fill(name.removesuffix(".csv"), {idx: LABELS[idx] for idx in range(part)})
    folder.merged()
    assert raters(folder) == {"A": 20, "B": 20, "C": 0}
    counted = {row["rater"] for row in folder.table("annotations_raw.csv") if row["file"] == name}
    assert counted == {"A"}


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_with_other_labels_is_told_row_by_row(folder, name):
    folder.fill(name.removesuffix(".csv"), LABELS | {3: "Object", 7: "Count"})
    status, _, err = folder.merge()
    assert status == 1 and "2 in all" in err
    for idx in (3, 7):
        assert f"of idx {idx}, but rater A says" in err
    assert not (folder.path / "annotations_clean.csv").exists()


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("assign_overlap_D", LABELS | {3: "Object"}),  # nobody who was drawn says this
        ("assign_overlap_D", {idx: LABELS[idx] for idx in range(9)}),  # too little to know
        ("assign_A_B", OTHERS | {3: "Object"}),
        ("assign_overlap_C_final", {idx: "Count" for idx in ITEMS}),  # C's own sheet is blank
        ("Copy of assign_overlap_C", {idx: "Count" for idx in ITEMS}),
        ("assign_page", {20: "Count"}),
        ("assign_副本", {idx: "Object" for idx in ITEMS}),
    ],
)
def test_a_sheet_of_nobody_who_was_drawn_stops_the_merge(folder, name, labels):
    folder.fill(name, labels)
    status, _, err = folder.merge()
    assert status == 1
    assert f"{name}.csv: holds labels ({len(labels)}), but its name doesn't say whose" in err
    assert "no sheet of A, B, C holds the same: rename it to assign_A.csv, assign_overlap_A.csv" in err
    folder.merged("--strict", False)
    assert raters(folder) == {"A": 20, "B": 20, "C": 0}


def test_a_copied_sheet_under_another_drawn_name_is_told(folder):
    """C may have copied A's sheet, or labeled alike: nobody but people can know."""
    folder.fill("assign_overlap_C", LABELS)
    assert "assign_overlap_C.csv: says exactly what A says of 20 items: remove it if" in folder.merged()


def test_those_who_label_shared_items_alone_are_in_the_manifest(folder):
    study.write_samples(folder.path, {"overlap": list(ITEMS)})
    study.write_manifest(folder.path, "0123456789abcdef", failures=30)
    folder.fill("assign_overlap_D", LABELS | {3: "Object"})
    assert "assign_overlap_D.csv: holds labels (20), but its name" in folder.merge().err


def test_where_nothing_was_drawn_names_are_taken_for_people(folder):
    (folder.path / "failure_samples.csv").unlink()
    folder.fill("assign_overlap_A副本", LABELS)
    folder.fill("assign_overlap_D", LABELS | {3: "Object"})
    out = folder.merged()
    assert "says who was drawn: each name is taken for one person (A, B, D)" in out
    assert {row["rater"] for row in folder.table("raters.csv")} == {"A", "B", "D"}


HANDED_IN = ["assign_C.et", "assign_C.sav", "Assign_C", "assign_overlap_C.json.zip", "assign_C.docx"]
HANDED_IN += ["returned/assign_C.csv", "from C/week 2/assign_overlap_C.xlsx", "assign_C/notes.txt"]


@pytest.mark.parametrize("name", HANDED_IN)
def test_nothing_that_was_handed_in_is_skipped_silently(folder, name):
    (folder.path / name).parent.mkdir(parents=True, exist_ok=True)
    study.write_sheet(folder.path / name, study.filled({24: "Count"}))
    status, _, err = folder.merge()
    assert status == 1
    assert name.removesuffix("/notes.txt") + ": " in err and "read" in err
    folder.merged("--strict", False)
    assert raters(folder) == {"A": 20, "B": 20, "C": 0}


@pytest.mark.parametrize("name", ["returned/assign_overlap_A.csv", "old/blank/assign_C.csv"])
def test_what_holds_nothing_new_is_a_note(folder, name):
    (folder.path / name).parent.mkdir(parents=True)
    study.write_sheet(folder.path / name, study.filled(LABELS if "A.csv" in name else {24: ""}))
    assert f"{name}: is in a subfolder, which is not read" in folder.merged()


@pytest.mark.parametrize(
    "name", ["~$assign_C.xlsx", ".~lock.assign_B.csv#", ".~assign_C.et", ".assign_C.csv.swp"]
)
def test_a_sheet_that_is_open_is_named(folder, name):
    (folder.path / name).write_bytes(b"\x05Anna")
    assert f"{name}: is the mark of a sheet that is open: save and close it" in folder.merged()
