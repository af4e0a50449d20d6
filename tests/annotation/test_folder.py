"""What step 2 never overwrites: a label in anything that was handed in."""

import pytest

from common.annotation import folder
from common.errors import UserError
from common.labels import sheets
from tests.support import merge_folder as study


@pytest.fixture
def failures(tmp_path):
    """A folder of blank sheets, some of them sent back blank."""
    study.write_manifest(tmp_path, "ours", failures=20)
    for name in ("assign_A", "Copy of assign_B", "returned/assign_C"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        sheets.write_csv(tmp_path / f"{name}.csv", [study.item(6), study.item(7)])
    (tmp_path / "List of assignments.csv").write_text("name,day\nAnna,Monday\n", encoding="utf-8")
    return tmp_path


def refuse(failures) -> None:
    folder.refuse_filled(failures, study.CAPTIONS)


def test_blank_sheets_anywhere_are_no_reason(failures):
    refuse(failures)


FILLED = ["assign_B.csv", "assign_A副本.csv", "Копия assign_B.csv", "assign_\u0410.csv", "ASSIGN_A_old.CSV"]
FILLED += ["returned/assign_B.csv", "from Anna/1/assign_overlap_A.csv", "assign_whatever.csv"]


@pytest.mark.parametrize("name", FILLED)
def test_a_label_in_any_sheet_is_one(failures, name):
    (failures / name).parent.mkdir(parents=True, exist_ok=True)
    sheets.write_csv(failures / name, study.filled({6: "Count", 7: ""}))
    with pytest.raises(
        UserError, match="already contains labels or notes, so nothing was written"
    ) as refused:
        refuse(failures)
    assert str(refused.value).splitlines()[1] == f"  {name}: 1 labels"


UNREAD = [
    "assign_A.et",
    "assign_A.json",
    "assign_B.numbers",
    "assign_C",
    "assign_A.csv.zip",
    "assign_A.csv.bak",
]
UNREAD += ["returned/assign_page_A.jsonl", "Copy of assign_A.ods"]


@pytest.mark.parametrize("name", UNREAD)
def test_what_cannot_be_read_may_hold_labels(failures, name):
    (failures / name).write_bytes(b"[]")
    with pytest.raises(UserError, match=": may hold labels: it ") as refused:
        refuse(failures)
    assert f"  {name}: " in str(refused.value)


@pytest.mark.parametrize(
    "name", ["~$assign_A.xlsx", ".~lock.assign_A.csv#", ".~assign_B.et", "~$sign_A.xlsx"]
)
def test_an_open_sheet_is_one(failures, name):
    (failures / name).write_bytes(b"\x05Anna")
    with pytest.raises(UserError, match="a sheet is open in a program; close it first"):
        refuse(failures)
