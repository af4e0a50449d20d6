"""Simulated annotators: truth at error rate 0, seeded errors, nothing overwritten, nothing foreign filled."""

import json
import random
import subprocess
import sys
from collections import Counter

import pytest

from tests.support import PROJECT

sys.path.insert(0, str(PROJECT / "data" / "sample"))

import simulate_annotators  # noqa: E402
import world  # noqa: E402

from common import files  # noqa: E402
from common.errors import UserError  # noqa: E402
from common.labels import sheets  # noqa: E402
from common.retrieval import meta  # noqa: E402

ANNOTATION_FILE = PROJECT / "data" / "sample" / "annotations" / "captions_val2017.json"
CONTENT = json.loads(ANNOTATION_FILE.read_bytes())
IMAGES, ANNOTATIONS = CONTENT["images"][:60], CONTENT["annotations"][:300]


@pytest.fixture
def folders(tmp_path):
    """A cache's meta file of 60 of the sample's images, and blank sheets of failures that are made up."""
    rows = {image["id"]: row for row, image in enumerate(IMAGES)}
    cache = dict.fromkeys(meta.FIELDS) | {
        "sampled_img_ids": [image["id"] for image in IMAGES],
        "file_names": [image["file_name"] for image in IMAGES],
        "caption_ids": [row["id"] for row in ANNOTATIONS],
        "captions": [row["caption"] for row in ANNOTATIONS],
        "gt_img_index": [rows[row["image_id"]] for row in ANNOTATIONS],
        "bundled_sample": True,
    }
    write_meta(tmp_path / "cache", cache)
    (tmp_path / "failures").mkdir()
    for part, start in (
        ("A", 0),
        ("B", 100),
        ("overlap_A", 200),
        ("overlap_B", 200),
        ("overlap", 200),
        ("backup", 250),
    ):
        write_sheet(tmp_path / "failures" / f"assign_{part}.csv", range(start, start + 50))
    return tmp_path


def write_meta(folder, cache):
    cache["fingerprints"] = {"rows": meta.rows_fingerprint(cache)}
    files.write_json(folder / "meta_60_clip.json", cache)


def write_sheet(path, idxs, **cells):
    rows = [
        {
            "idx": i,
            "caption": ANNOTATIONS[i]["caption"],
            "gt_img_idx": i // 5,
            "pred_img_idx": (7 * i + 3) % 60,
        }
        | cells
        for i in idxs
    ]
    sheets.write_csv(path, rows)


def run(folders, *options):
    command = [sys.executable, str(PROJECT / "data" / "sample" / "simulate_annotators.py")]
    command += ["--cache-dir", str(folders / "cache"), "--failure-dir", str(folders / "failures"), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def labels(folders, part):
    _, rows = simulate_annotators.read_sheet(folders / "failures" / f"assign_{part}.csv")
    return [(row["category"], row["ambiguous_subtype"]) for row in rows]


def truth(idx):
    own, retrieved = (IMAGES[row]["scene"] for row in (idx // 5, (7 * idx + 3) % 60))
    return world.true_label(ANNOTATIONS[idx]["says"], own, retrieved)


def test_error_rate_0_gives_the_truth(folders):
    untouched = {p: (folders / "failures" / f"assign_{p}.csv").read_bytes() for p in ("overlap", "backup")}
    before = simulate_annotators.read_sheet(folders / "failures" / "assign_A.csv")[1]
    done = run(folders)
    assert (done.returncode, done.stderr) == (0, "")
    for part, start in (("A", 0), ("B", 100), ("overlap_A", 200), ("overlap_B", 200)):
        assert labels(folders, part) == [truth(i) for i in range(start, start + 50)]
    assert untouched == {p: (folders / "failures" / f"assign_{p}.csv").read_bytes() for p in untouched}
    after = simulate_annotators.read_sheet(folders / "failures" / "assign_A.csv")[1]
    for old, new in zip(before, after, strict=True):
        assert old == new | {"category": "", "ambiguous_subtype": ""}


def test_errors_come_at_the_rate_of_each_annotator_and_repeat(folders):
    assert run(folders, "--error-rates", "0.5,0,0").returncode == 0
    first = {part: labels(folders, part) for part in ("A", "B", "overlap_A", "overlap_B")}
    assert first["B"] == [truth(i) for i in range(100, 150)]
    wrong = sum(label[0] != truth(i)[0] for i, label in enumerate(first["A"]))
    assert 13 <= wrong <= 37  # 25 expected, 3.5 standard deviations
    write_sheet(folders / "failures" / "assign_A.csv", reversed(range(10, 50)))
    assert run(folders, "--error-rates", "0.5,0,0").returncode == 0
    assert labels(folders, "A") == first["A"][:9:-1]
    write_sheet(folders / "failures" / "assign_A.csv", range(50))
    assert run(folders, "--error-rates", "0.5,0,0", "--seed", "8").returncode == 0
    assert labels(folders, "A") != first["A"]


def test_errors_are_another_category_all_alike_likely():
    rng = random.Random(0)
    drawn = Counter(simulate_annotators.annotate(("Count", ""), 1.0, rng) for _ in range(6000))
    categories = Counter()
    for (category, subtype), n in drawn.items():
        categories[category] += n
        assert (subtype != "") == (category == "Ambiguous")
    assert set(categories) == set(world.CATEGORIES) - {"Count"}
    assert all(850 <= n <= 1150 for n in categories.values())


def test_a_label_is_never_overwritten(folders):
    path = folders / "failures" / "assign_A.csv"
    write_sheet(path, range(5), category="Spatial", note='mine, "quoted"\nand broken')
    before = path.read_bytes()
    assert run(folders).returncode == 0
    assert path.read_bytes() == before
    write_sheet(path, range(5), ambiguous_subtype="nearduplicate")
    assert run(folders).returncode == 0
    assert labels(folders, "A") == [("", "nearduplicate")] * 5


def refused(folders, *options):
    before = {path: path.read_bytes() for path in (folders / "failures").iterdir()}
    done = run(folders, *options)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("error: ") and "Traceback" not in done.stderr
    assert before == {path: path.read_bytes() for path in (folders / "failures").iterdir()}
    return done.stderr


def test_a_foreign_sheet_is_refused(folders):
    path = folders / "failures" / "assign_B.csv"
    path.write_bytes(path.read_bytes().replace(ANNOTATIONS[120]["caption"].encode(), b"A man on a horse."))
    assert "assign_B.csv row 22: idx 120 has another caption" in refused(folders)
    write_sheet(path, range(5), gt_img_idx=59)
    assert "gt_img_idx 59" in refused(folders)
    write_sheet(path, range(5), pred_img_idx=60)
    assert "out of range" in refused(folders)
    path.write_text("idx;caption\n1;A cat\n", encoding="utf-8")
    assert "lacks" in refused(folders)


def test_a_foreign_cache_is_refused(folders):
    path = folders / "cache" / "meta_60_clip.json"
    cache = json.loads(path.read_bytes())
    cache["captions"][4] = "A man on a horse."
    write_meta(folders / "cache", cache)
    assert "isn't the bundled sample's (1 of its rows" in refused(folders)
    path.unlink()
    assert "run `python main.py` first" in refused(folders)


def test_other_slips_are_one_line(folders):
    assert "ERROR_RATES" in refused(folders, "--error-rates", "0.5,2,0")
    assert "ERROR_RATES" in refused(folders, "--error-rates", "0.5")
    for path in (folders / "failures").glob("assign_*"):
        path.unlink()
    assert "run `python failure.py` first" in refused(folders)


def test_rows_of_the_wrong_length_are_refused(tmp_path):
    path = tmp_path / "assign_A.csv"
    path.write_text(",".join(sheets.COLUMNS) + "\n1,A cat\n", encoding="utf-8-sig")
    with pytest.raises(UserError, match="more or fewer cells"):
        simulate_annotators.read_sheet(path)
