"""Sheets of an earlier version are read as that version read them.

`tests/labels/earlier_study/` was drawn, labeled and merged with commit 068f5f8: A exported a page, B's sheets
are CSVs, C's were saved by openpyxl, and one item was decided in adjudicate.csv. `merged/` is what that
commit made of it.
"""

import shutil

import pytest

from common.annotation import folder as failure_folder
from common.errors import UserError
from common.labels import drawn
from tests.support import PROJECT
from tests.support import merge_folder as study

EARLIER = PROJECT / "tests" / "labels" / "earlier_study"
COLUMNS = {
    "annotations_raw.csv": ["file", "row", "rater", "idx", "category", "ambiguous_subtype", "status", "note"],
    "annotations_clean.csv": ["idx", "category", "ambiguous_subtype", "decided", "n_raters"],
    "raters.csv": ["rater", "sheets", "labelled", "missing", "missing_idx"],
}


@pytest.fixture
def failures(tmp_path):
    shutil.copytree(EARLIER, tmp_path / "failures", ignore=shutil.ignore_patterns("merged"))
    return tmp_path / "failures"


def chosen(path) -> list[list[str]]:
    return [[row[column] for column in COLUMNS[path.name]] for row in study.table(path)]


def test_labels_come_out_as_they_did(failures):
    before = {path.name: path.read_bytes() for path in failures.glob("assign_*")}
    status, out, err = study.merge(failures.parent, "--bootstrap-rounds", 20)
    assert (status, err) == (0, "")
    assert "Notes:" not in out
    for name in COLUMNS:
        assert chosen(failures / name) == chosen(EARLIER / "merged" / name), name
    assert len(chosen(failures / "annotations_clean.csv")) == 10
    assert {name: (failures / name).read_bytes() for name in before} == before


def test_step_2_still_sees_its_labels(failures):
    known = drawn.read(failures.parent / "none", failures).known
    captions = [known.captions.get(idx, "") for idx in range(known.last + 1)]
    with pytest.raises(UserError, match="already contains labels or notes") as refused:
        failure_folder.refuse_filled(failures, captions)
    named = {line.split(":")[0].strip() for line in str(refused.value).splitlines()[1:-1]}
    filled = {"assign_page_A.csv", "assign_B.csv", "assign_overlap_B.csv", "assign_C.xlsx"}
    assert named == filled | {"assign_overlap_C.xlsx", "adjudicate.csv"}
