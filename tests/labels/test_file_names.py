"""What files are called: whose copy a name speaks of, what was handed in, what is only a mark."""

import pytest

from common.labels import file_names
from common.labels.file_names import Said
from tests.support import merge_folder as study

PEOPLE = ["A", "B", "Dora", "李雷"]


@pytest.mark.parametrize(
    ("name", "kind", "rater"),
    [
        ("assign_A.csv", "own", "A"),
        ("Assign_b.XLSX", "own", "B"),
        ("assign_a (1).csv", "own", "A"),
        ("assign_overlap_DORA.xlsx", "overlap", "Dora"),
        ("assign_page_A - Copy.csv", "page", "A"),
        ("assign_page_李雷 (2).csv", "page", "李雷"),
        ("assign_overlap.csv", "overlap", "overlap"),
        ("assign_overlap (1).csv", "overlap", "overlap"),
        ("assign_BACKUP.csv", "backup", "backup"),
        ("assign_backup_B - 副本.csv", "backup", "B"),
        # letters that look like others: Cyrillic, Greek, fullwidth, circled
        ("assign_\u0410.csv", "own", "A"),
        ("assign_overlap_\u0392.csv", "overlap", "B"),
        ("assign_\uff21.csv", "own", "A"),
        ("assign_page_\u24b7.csv", "page", "B"),
        ("\uff41ssign_A.csv", "own", "A"),
    ],
)
def test_a_name_that_is_exactly_a_raters(name, kind, rater):
    assert file_names.said(name, PEOPLE) == Said(kind, rater, is_sure=True)


@pytest.mark.parametrize(
    ("name", "kind", "rater"),
    [
        ("Copy of assign_A.csv", "own", "A"),
        ("Копия assign_overlap_B.csv", "overlap", "B"),
        ("assign_A 2.csv", "own", "A"),
        ("assign_A_final.csv", "own", "A"),
        ("assign_page_B_v2 (1).csv", "page", "B"),
        ("assign_A副本.csv", "own", "A"),
        ("assign_李雷的副本.csv", "own", "李雷"),
        ("assign_overlap_A のコピー.csv", "overlap", "A"),
        ("assign_overlap_Dora - Copia (2).csv", "overlap", "Dora"),
        ("assign_A — копия.csv", "own", "A"),
        ("assign_backup_B'nin kopyası.xlsx", "backup", "B"),
        ("نسخة من assign_A.csv", "own", "A"),
        ("assign A.csv", "own", "A"),
    ],
)
def test_a_name_that_speaks_of_a_raters_copy(name, kind, rater):
    assert file_names.said(name, PEOPLE) == Said(kind, rater, is_sure=False)


@pytest.mark.parametrize(
    "name",
    ["assign_C.csv", "assign_A2.csv", "assign_A_B.csv", "assign_Dorata.csv", "assign_page.csv"]
    + ["assign_final.csv", "assign_overlap_副本2.csv", "assign_A and Dora.csv"],
)
def test_a_name_that_speaks_of_nobody(name):
    said = file_names.said(name, PEOPLE)
    assert (said.rater, said.is_sure) == (None, False)


def test_two_raters_whose_names_look_alike_stay_two():
    assert file_names.said("assign_\u0410.csv", ["A", "\u0410"]).rater == "\u0410"
    assert file_names.said("assign_A.csv", ["A", "\u0410"]).rater == "A"


def test_whom_sheets_speak_of_where_nothing_was_drawn():
    names = ["assign_A.csv", "assign_overlap_a (1).csv", "assign_\u0410.csv", "assign_A副本.csv"]
    names += ["assign_page_dora.csv", "assign_overlap.csv", "assign_A_final.csv", "assign_page.csv"]
    assert file_names.assumed(names) == ["A", "dora"]


@pytest.fixture
def folder(tmp_path):
    """A failure folder with everything that can be in one, and another study's folder in it."""
    study.write_manifest(tmp_path, "ours", failures=20)
    names = ["assign_A.csv", "ASSIGN_overlap_B.XLSX", "Copy of assign_B.csv", "old assignments.csv"]
    names += ["assign_A.et", "assign_B", "assign_C.csv.gz", "assign_A.csv~", "Kopie von assign_C.ods"]
    names += ["~$assign_A.xlsx", ".~lock.assign_B.csv#", ".~assign_C.xlsx", ".assign_A.csv.swp"]
    names += ["failure_samples.csv", "annotate_A.html", "vis_A/fail_3.jpg", ".assign_A.csv.31.tmp"]
    names += ["back/from Anna/assign_A.csv", "assign_C.numbers/Index.zip", "._assign_A.csv"]
    names += ["sample/assign_B.csv", "__MACOSX/assign_A.csv", "annotations_clean.csv"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "assign_link.csv").symlink_to("nowhere.csv")
    study.write_manifest(tmp_path / "sample", "another's", failures=20)
    return tmp_path


def test_everything_that_was_handed_in_is_found(folder):
    found = file_names.find(folder)
    sheets, others, opened = ([path.relative_to(folder).as_posix() for path in paths] for paths in found)
    read = ["assign_A.csv", "ASSIGN_overlap_B.XLSX", "Copy of assign_B.csv", "old assignments.csv"]
    assert sorted(sheets) == sorted(read)
    unread = ["assign_A.et", "assign_B", "assign_C.csv.gz", "assign_A.csv~", "Kopie von assign_C.ods"]
    unread += ["back/from Anna/assign_A.csv", "assign_C.numbers", "assign_link.csv"]
    assert sorted(others) == sorted(unread)
    marks = ["~$assign_A.xlsx", ".~lock.assign_B.csv#", ".~assign_C.xlsx", ".assign_A.csv.swp"]
    assert sorted(opened) == sorted(marks)


def test_a_returned_copy_of_the_folder_is_not_another_study(folder):
    (folder / "sample" / "manifest.json").write_bytes((folder / "manifest.json").read_bytes())
    assert folder / "sample" / "assign_B.csv" in file_names.find(folder).others


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("assign_A.et", "can't be read: save it as .csv or .xlsx"),
        ("assign_B", "can't be read: save it as .csv or .xlsx"),
        ("assign_C.numbers", "can't be read: save it as .csv or .xlsx"),
        ("assign_C.csv.gz", "is an archive, which is not read: unpack it into mine/"),
        ("assign_link.csv", "is a link to a file that was not found: put the file itself here"),
        ("back/from Anna/assign_A.csv", "is in a subfolder, which is not read: move it into mine/ itself"),
    ],
)
def test_why_a_file_is_not_read(folder, name, why):
    assert file_names.why_not_read(folder / name, folder.with_name("mine")) == why


def test_a_backup_copy_is_one_only_next_to_its_original(folder):
    assert file_names.is_backup(folder / "assign_A.csv~")
    (folder / "assign_A.csv").unlink()
    assert not file_names.is_backup(folder / "assign_A.csv~")
