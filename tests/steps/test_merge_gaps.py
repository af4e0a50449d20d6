"""Drawn failures without a label: step 4 counts and bounds them, and no longer says "at random"."""

import pytest

from tests.support.merge_folder import PARTS, D, Folder, U, write_manifest

CLEAR = {6: "Count", 7: "Object", 8: "Count", 9: "Action", 10: "Object", 11: "Spatial", 12: "Count"}
SHARED = {0: "Count", 1: "Object", 2: "Object", 3: "Action", 4: "Spatial", 5: "Count"}


@pytest.fixture
def study(tmp_path) -> Folder:
    """All 15 drawn failures have a label; two of them are Ambiguous, one of these without a subtype."""
    folder = Folder(tmp_path)
    write_manifest(folder.path, "a" * 64, 900)
    for rater in "AB":
        folder.fill(f"assign_overlap_{rater}", SHARED)
    for rater in "ABC":
        own = {idx: CLEAR.get(idx, "Ambiguous") for idx in PARTS[rater]}
        folder.fill(f"assign_{rater}", own | ({13: U} if rater == "C" else {}))
    return folder


def first(folder: Folder) -> dict:
    """The row of Ambiguous over all items."""
    return folder.table("category_distribution.csv")[0]


def test_a_complete_study_is_final_and_drawn_at_random(study):
    out = study.merged()
    assert "Distribution over 15 items, drawn at random from 900 failures:" in out
    assert "have no label" not in out
    assert "Ambiguous: 1 with a subtype (the retrieved image fits), 1 without one (unsure" in out
    assert "all failures of these captions and this model" in out
    row = first(study)
    assert (row["status"], row["share"], row["least"], row["most"]) == ("final", *["0.133333"] * 3)
    report = study.report()
    assert (report["drawn"], report["missing"], report["left_out"], report["backups"]) == (15, 0, 0, 0)


def skip(folder: Folder) -> None:
    folder.fill("assign_C", {12: "Count", 13: "", 14: ""})


def never_hand_in(folder: Folder) -> None:
    (folder.path / "assign_C.csv").unlink()


def misspell(folder: Folder) -> None:
    folder.fill("assign_C", {12: "Count", 13: "Ambigous thing", 14: "dunno"})


def differ(folder: Folder) -> None:
    folder.fill("assign_overlap_B", SHARED | {0: "Object", 1: D})


@pytest.mark.parametrize(
    ("spoil", "n", "status", "bounds", "left_out"),
    [
        (skip, 13, "provisional: 2 of 15 without a label", (0, 2), 0),
        (never_hand_in, 12, "provisional: 3 of 15 without a label", (0, 3), 0),
        (misspell, 13, "provisional: 2 of 15 without a label", (0, 2), 2),
        (differ, 13, "provisional: 2 wait in adjudicate.csv", (2, 4), 0),
    ],
)
def test_open_labels_are_counted_and_bounded(study, spoil, n, status, bounds, left_out):
    """The two Ambiguous items, 13 and 14, are C's: what is skipped is what is hard."""
    spoil(study)
    out = study.merged("--strict", "False")
    for name in ("category_distribution.csv", "ambiguous_vs_clear.csv"):
        row = study.table(name)[0]
        assert (row["total"], row["status"]) == (str(n), status), name
        assert (float(row["least"]), float(row["most"])) == pytest.approx([k / 15 for k in bounds], abs=1e-6)
    assert study.report().get("left_out", 0) == left_out
    assert f"(PROVISIONAL: {status.partition(': ')[2]})" in out
    assert "drawn at random" not in out
    assert "Caution: " in out and "people skip what is hard" in out
    assert ("left out, see problems.csv" in out) == bool(left_out)


def test_backups_in_the_place_of_damaged_items(study):
    """The guide has damaged items left blank and a backup labeled for each: final, but bounded and told."""
    skip(study)
    study.fill("assign_backup_C", {15: "Count", 16: "Object"})
    out = study.merged()
    row = first(study)
    assert row["status"] == "final: 2 of 15 without a label, backups labeled in their place"
    assert (row["least"], row["most"]) == ("0.0", "0.117647")
    assert "drawn at random" not in out and "Caution: 2 of 15 drawn failures have no label" in out


def test_without_a_list_of_what_was_drawn_the_sheets_say_it(study):
    (study.path / "failure_samples.csv").unlink()
    skip(study)
    study.merged()
    assert first(study)["status"] == "provisional: 2 of 15 without a label"
