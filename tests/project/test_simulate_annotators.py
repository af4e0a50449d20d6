"""Simulated annotators: truth at error rate 0, seeded errors, nothing overwritten, nothing foreign filled."""

import json
import sys
from collections import Counter
from pathlib import Path

import pytest

from common import files
from common.labels import sheets
from tests.support import PROJECT, running
from tests.support import merge_folder as study

SAMPLE = PROJECT / "data" / "sample"
CONTENT = json.loads((SAMPLE / "annotations" / "captions_val2017.json").read_bytes())
IMAGES, ANNOTATIONS = CONTENT["images"][:60], CONTENT["annotations"][:300]


@pytest.fixture(scope="module", autouse=True)
def world():
    """The sample's own module, which knows the right labels."""
    sys.path.insert(0, str(SAMPLE))
    import world

    yield world
    sys.path.remove(str(SAMPLE))
    sys.modules.pop("world")


@pytest.fixture
def folders(tmp_path):
    """A cache's meta file of 60 of the sample's images, and blank sheets of failures that are made up."""
    write_cache(tmp_path, [row["caption"] for row in ANNOTATIONS])
    (tmp_path / "failures").mkdir()
    parts = (("A", 0), ("B", 100), ("overlap_A", 200), ("overlap_B", 200), ("overlap", 200), ("backup", 250))
    for part, start in parts:
        write_sheet(tmp_path / "failures" / f"assign_{part}.csv", range(start, start + 50))
    return tmp_path


def write_cache(root: Path, captions: list[str]) -> None:
    rows = {image["id"]: row for row, image in enumerate(IMAGES)}
    study.write_cache(
        root / "cache",
        captions,
        num_images=len(IMAGES),
        sampled_img_ids=[image["id"] for image in IMAGES],
        file_names=[image["file_name"] for image in IMAGES],
        caption_ids=[row["id"] for row in ANNOTATIONS],
        gt_img_index=[rows[row["image_id"]] for row in ANNOTATIONS],
        bundled_sample=True,
    )


def write_sheet(path: Path, idxs, **cells) -> None:
    rows = [
        {"idx": idx, "caption": ANNOTATIONS[idx]["caption"], "gt_img_idx": idx // 5}
        | {"pred_img_idx": (7 * idx + 3) % 60}
        | cells
        for idx in idxs
    ]
    sheets.write_csv(path, rows)


def run(folders: Path, *options) -> running.Run:
    where = ["--cache-dir", folders / "cache", "--failure-dir", folders / "failures"]
    return running.run("data/sample/simulate_annotators.py", *where, *options)


def fill(folders: Path, *options) -> None:
    status, _, err = run(folders, *options)
    assert (status, err) == (0, "")


def labels(folders: Path, part: str) -> list[tuple[str, str]]:
    rows = study.table(folders / "failures" / f"assign_{part}.csv")
    return [(row["category"], row["ambiguous_subtype"]) for row in rows]


def truth(world, idx: int) -> tuple[str, str]:
    own, retrieved = (IMAGES[row]["scene"] for row in (idx // 5, (7 * idx + 3) % 60))
    return world.true_label(ANNOTATIONS[idx]["says"], own, retrieved)


def test_error_rate_0_gives_the_truth(folders, world):
    untouched = {p: (folders / "failures" / f"assign_{p}.csv").read_bytes() for p in ("overlap", "backup")}
    before = study.table(folders / "failures" / "assign_A.csv")
    fill(folders)
    for part, start in (("A", 0), ("B", 100), ("overlap_A", 200), ("overlap_B", 200)):
        assert labels(folders, part) == [truth(world, idx) for idx in range(start, start + 50)]
    assert untouched == {p: (folders / "failures" / f"assign_{p}.csv").read_bytes() for p in untouched}
    after = study.table(folders / "failures" / "assign_A.csv")
    for old, new in zip(before, after, strict=True):
        assert old == new | {"category": "", "ambiguous_subtype": ""}


def test_errors_come_at_each_annotators_rate_and_repeat(folders, world):
    fill(folders, "--error-rates", "0.5,0,0")
    first = {part: labels(folders, part) for part in ("A", "B", "overlap_A", "overlap_B")}
    assert first["B"] == [truth(world, idx) for idx in range(100, 150)]
    wrong = sum(label[0] != truth(world, idx)[0] for idx, label in enumerate(first["A"]))
    assert 13 <= wrong <= 37  # 25 expected, 3.5 standard deviations
    write_sheet(folders / "failures" / "assign_A.csv", reversed(range(10, 50)))
    fill(folders, "--error-rates", "0.5,0,0")
    assert labels(folders, "A") == first["A"][:9:-1]
    write_sheet(folders / "failures" / "assign_A.csv", range(50))
    fill(folders, "--error-rates", "0.5,0,0", "--seed", 8)
    assert labels(folders, "A") != first["A"]


def test_errors_are_another_category_all_alike_likely(folders, world):
    """20 annotators who are always wrong, on 300 captions: each other category about 1,000 times."""
    letters = [f"N{number}" for number in range(20)]
    for letter in letters:
        write_sheet(folders / "failures" / f"assign_{letter}.csv", range(300))
    fill(folders, "--annotators", ",".join(letters), "--error-rates", ",".join(["1"] * len(letters)))
    places = Counter()
    for letter in letters:
        for idx, (category, subtype) in enumerate(labels(folders, letter)):
            others = [name for name in world.CATEGORIES if name != truth(world, idx)[0]]
            places[others.index(category)] += 1
            assert (subtype != "") == (category == "Ambiguous")
    assert len(places) == 6 and all(850 <= n <= 1150 for n in places.values())


def test_a_label_is_never_overwritten(folders):
    path = folders / "failures" / "assign_A.csv"
    write_sheet(path, range(5), category="Spatial", note='mine, "quoted"\nand broken')
    before = path.read_bytes()
    fill(folders)
    assert path.read_bytes() == before
    write_sheet(path, range(5), ambiguous_subtype="nearduplicate")
    fill(folders)
    assert labels(folders, "A") == [("", "nearduplicate")] * 5


def test_cells_that_a_spreadsheet_would_run_stay_guarded_once(folders):
    path = folders / "failures" / "assign_A.csv"
    write_sheet(path, range(5), note="=1+1")
    fill(folders)
    assert [row["note"] for row in study.table(path)] == ["'=1+1"] * 5


PERSON = {"A": [0, 1, 2, 49], "overlap_A": [203, 204]}  # items that a person labels as A; none as B


def label_as_a_person(folders: Path, name: str, written: str = "Count") -> None:
    """One file with a person's labels of A's items, as a page exports it or a spreadsheet saves it."""
    idxs = [idx for part in PERSON.values() for idx in part]
    write_sheet(folders / "failures" / "mine.csv", idxs, category=written)
    made = folders / "failures" / "mine.csv"
    if name.endswith(".xlsx"):
        sheets.write_xlsx(folders / "failures" / name, study.table(made), "A")
        made.unlink()
    else:
        made.rename(folders / "failures" / name)


@pytest.mark.parametrize(
    "name", ["assign_page_A.csv", "assign_page_A (1).csv", "assign_A.xlsx", "assign_overlap_A - Copy.csv"]
)
def test_where_a_person_labeled_nothing_is_filled(folders, world, name):
    """Label some items, hand them in, simulate the rest: the merge has one label of each rater and item."""
    label_as_a_person(folders, name)
    status, out, err = run(folders)
    assert (status, err) == (0, "")
    assert f"4 rows left blank, since {name} holds A's labels of them" in out
    assert f"2 rows left blank, since {name} holds A's labels of them" in out
    for part, start in (("A", 0), ("overlap_A", 200), ("overlap_B", 200)):
        expected = [truth(world, idx) for idx in range(start, start + 50)]
        for idx in PERSON.get(part, ()):
            expected[idx - start] = ("", "")
        assert labels(folders, part) == expected
    merged = study.merge(folders, "--bootstrap-rounds", 5)
    assert (merged.status, merged.err) == (0, "")
    rows = study.table(folders / "failures" / "annotations_raw.csv")
    counted = {(row["rater"], row["idx"]): row["category"] for row in rows if row["category"]}
    assert all(counted["A", str(idx)] == "Count" for part in PERSON.values() for idx in part)
    assert len(rows) == len(counted) == 200


def test_a_label_that_the_merge_will_refuse_is_a_persons_too(folders):
    label_as_a_person(folders, "assign_page_A.csv", written="Colour")
    fill(folders)
    assert labels(folders, "A")[:3] == [("", "")] * 3


def refused(folders: Path, *options, status: int = 1) -> str:
    """Run where nothing may be written; returns what was said."""
    before = contents(folders)
    done = run(folders, *options)
    assert (done.status, done.out) == (status, "")
    assert done.err.startswith("error: ")
    assert before == contents(folders)
    return done.err


def contents(folders: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in (folders / "failures").rglob("*") if path.is_file()}


def test_a_foreign_sheet_is_refused(folders):
    path = folders / "failures" / "assign_B.csv"
    path.write_bytes(path.read_bytes().replace(ANNOTATIONS[120]["caption"].encode(), b"A man on a horse."))
    assert "assign_B.csv row 22: caption is not that of idx 120" in refused(folders)
    write_sheet(path, range(5), gt_img_idx=59)
    assert "gt_img_idx 59" in refused(folders)
    write_sheet(path, range(5), pred_img_idx=60)
    assert "out of range" in refused(folders)
    path.write_text("idx;caption\n1;A cat\n", encoding="utf-8")
    assert "lacks" in refused(folders)


@pytest.mark.parametrize("name", ["assign_A.ods", "assign_page.csv", "back/assign_A.csv", "assign_B.zip"])
def test_a_sheet_of_nobody_is_refused(folders, name):
    (folders / "failures" / name).parent.mkdir(exist_ok=True)
    write_sheet(folders / "failures" / name, [250, 251], category="Count")
    assert f"  {name}: " in refused(folders)


def test_an_annotator_who_was_not_drawn_is_refused(folders):
    study.write_manifest(folders / "failures", "0123456789abcdef", failures=200)
    write_sheet(folders / "failures" / "assign_D.csv", range(5))
    error = refused(folders, "--annotators", "A,D", "--error-rates", "0,0")
    assert "assign_D.csv: D was not drawn (drawn: A, B, C)" in error


def test_a_foreign_cache_is_refused(folders):
    captions = [row["caption"] for row in ANNOTATIONS]
    write_cache(folders, [*captions[:4], "A man on a horse.", *captions[5:]])
    assert "isn't the bundled sample's (1 of its rows" in refused(folders)
    for path in (folders / "cache").iterdir():
        path.unlink()
    assert "run `python main.py --" in refused(folders)


def test_wrong_rates_are_settings_and_exit_with_2(folders):
    for path in (folders / "cache").iterdir():
        path.unlink()  # settings are checked before anything is read
    for rates in ("0.5,2,0", "0.5"):
        assert f"ERROR_RATES = {rates.replace('2,0', '2.0,0.0')}" in refused(
            folders, "--error-rates", rates, status=2
        )


def test_a_folder_without_sheets_is_one_line(folders):
    for path in (folders / "failures").glob("assign_*"):
        path.unlink()
    assert "run `python failure.py --cache-dir" in refused(folders)


def test_rows_of_the_wrong_length_are_refused(folders):
    path = folders / "failures" / "assign_A.csv"
    path.write_text(",".join(sheets.COLUMNS) + "\n1,A cat\n", encoding="utf-8-sig")
    assert "row 2 has another number of cells" in refused(folders)
    assert files.read_csv(folders / "failures" / "assign_B.csv", sheets.COLUMNS, "")[0]["category"] == ""
