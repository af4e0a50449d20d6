"""Step 4 and adjudicate.csv: what waits is in it, and nothing that a person wrote there is lost."""

import pytest

from tests.support import merge_folder as study
from tests.support.merge_folder import D, Folder, U


@pytest.fixture
def folder(tmp_path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture
def disputed(folder) -> Folder:
    return folder.disputed()


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
    assert "without a label, 2 wait in adjudicate.csv)" in out
    assert "Next: fill in final_category for 2 items in" in out
    statuses = {row["status"] for row in disputed.table("category_distribution.csv")}
    assert statuses == {"provisional: 10 of 15 without a label, 2 wait in adjudicate.csv"}
    assert disputed.report()["waiting"] == 2


def test_decisions_count_on_the_next_run_and_stay_in_the_file(disputed):
    disputed.merged()
    disputed.edit(
        "adjudicate.csv", 1, final_category="ambigous", final_subtype="Near Duplicate", note="=same plate"
    )
    out = disputed.merged()
    assert disputed.clean()[1] == D
    assert disputed.decided()[1] == "adjudicated"
    assert "without a label, 1 waits in adjudicate.csv)" in out
    disputed.edit("adjudicate.csv", 4, final_category="Spatial")
    out = disputed.merged()
    assert "(PROVISIONAL: 10 of 15 without a label)" in out
    statuses = {row["status"] for row in disputed.table("category_distribution.csv")}
    assert statuses == {"provisional: 10 of 15 without a label"}
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
    study.write_table(disputed.path / "adjudicate.csv", rows)
    status, _, err = disputed.merge()
    assert status == 1
    assert "category 'Object' of idx 1, but rater adjudicator says 'Count' in adjudicate.csv row 3" in err
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


def test_many_other_captions_of_decisions_are_one_fault(disputed):
    disputed.merged()
    rows = disputed.table("adjudicate.csv") * 2
    wrong = [row | {"caption": f"caption {n}", "final_category": "Count"} for n, row in enumerate(rows)]
    study.write_table(disputed.path / "adjudicate.csv", wrong)
    status, _, err = disputed.merge()
    assert status == 1
    assert "adjudicate.csv: looks like another sample: 4 of 4 captions differ" in err
