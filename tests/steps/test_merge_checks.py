"""What step 4 checks rows against, what it refuses, and the command itself."""

import json
import subprocess
import sys
import time

import pytest

from tests.support import PROJECT
from tests.support import merge_folder as study
from tests.support.merge_folder import PARTS, Folder
from tests.support.running import without_folders


@pytest.fixture
def folder(tmp_path) -> Folder:
    return Folder(tmp_path)


# ---- what is checked against ---------------------------------------------------------------------------


def test_without_a_cache_the_drawn_failures_serve(folder):
    (folder.root / "cache" / "meta_20_tiny.json").unlink()
    folder.fill("assign_A", {6: "Count", 7: "Object"})
    out = folder.merged()
    assert "no cache was found: rows were checked against failure_samples.csv alone" in out
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
    assert "run `python main.py` first" in without_folders(err)


def test_drawn_failures_of_another_cache(folder):
    study.write_cache(folder.root / "cache", captions=[f"other {idx}" for idx in range(study.N)])
    folder.fill("assign_A", {6: "Count"})
    status, _, err = folder.merge()
    assert status == 1
    assert "failure_samples.csv belongs to another cache: 17 of 17 captions differ" in err
    assert f"caption {study.CAPTIONS[6]!r} is not that of idx 6: 'other 6'" in err
    assert "move the folder's files away and run `python failure.py`" in without_folders(err)


def test_a_folder_made_from_another_cache_is_said(folder):
    study.write_manifest(folder.path, "0123456789abcdef", failures=20)
    folder.fill("assign_A", {6: "Count"})
    out = folder.merged()
    assert "was made from another cache (0123456789abcdef, now " in out
    assert "only rows whose captions match are used" in out


def test_a_folder_that_is_named_is_used_as_it_is(folder):
    """The bundled sample's, too: only the default folders have a `sample/` in them."""
    study.write_cache(folder.root / "cache", bundled_sample=True)
    study.write_samples(folder.path / "sample", PARTS)
    folder.fill("assign_A", {6: "Count"})
    folder.merged()
    assert folder.clean() == {6: "Count"}
    assert not (folder.path / "sample" / "annotations_clean.csv").exists()


def test_settings_are_checked_before_anything_is_read(tmp_path):
    status, _, err = study.merge(tmp_path, "--bootstrap-rounds", -1)
    assert (status, err) == (2, "error: BOOTSTRAP_ROUNDS = -1: should be 0 or more\n")


def test_without_drawn_failures_sheets_say_what_was_retrieved(folder):
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
    assert "run `python failure.py` first" in without_folders(err)


@pytest.mark.parametrize("option", ["--seed", "--bootstrap-rounds"])
def test_numbers_that_cannot_be_meant(folder, option):
    folder.fill("assign_A", {6: "Count"})
    status, _, err = folder.merge(option, -1)
    assert status == 2
    assert err == f"error: {option[2:].upper().replace('-', '_')} = -1: should be 0 or more\n"


def test_a_table_of_something_else_is_told(folder):
    folder.fill("assign_A", {6: "Count"})
    (folder.path / "List of assignments.csv").write_text("name,day\nAnna,Monday\n", encoding="utf-8")
    out = folder.merged()
    assert "List of assignments.csv: was not read, since its name doesn't begin with assign_" in out
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


# ---- the command ---------------------------------------------------------------------------------------


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
    assert "BOOTSTRAP_ROUNDS = 2000" in done.stdout
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
