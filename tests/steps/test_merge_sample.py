"""The bundled sample, whose right labels are known: perfect annotators' labels merge to the truth exactly."""

import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest

from common import files, statistics
from common.labels import shares
from tests.support import PROJECT, running
from tests.support import merge_folder as study

pytest.importorskip("torch", reason="the failures are drawn from embeddings, which needs torch")
SAMPLE = PROJECT / "data" / "sample"


@pytest.fixture
def drawn(sample_drawn, tmp_path) -> Path:
    """A copy of the drawn failures' tables, their sheets still blank."""
    for pattern in ("*.csv", "*.xlsx", "manifest.json"):
        for path in sample_drawn.failures.glob(pattern):
            shutil.copy(path, tmp_path)
    return tmp_path


@pytest.fixture
def label_and_merge(drawn, sample_cache, sample_measured):
    """Fill the sheets with given error rates, merge, and return the output."""

    def run(error_rates: str) -> str:
        options = ["--cache-dir", sample_measured.cache, "--failure-dir", drawn]
        running.done("data/sample/simulate_annotators.py", *options, "--error-rates", error_rates)
        return running.done("merge_assignments.py", *options, "--bootstrap-rounds", 200)

    return run


@pytest.fixture
def truth(drawn, sample_cache, monkeypatch) -> dict[int, tuple[str, str]]:
    """idx -> true (category, subtype) of every drawn failure but the backups, from the scenes."""
    monkeypatch.syspath_prepend(str(SAMPLE))
    import world

    content = files.read_json(SAMPLE / "annotations" / "captions_val2017.json")
    scenes = {image["id"]: image["scene"] for image in content["images"]}
    says = {row["id"]: row["says"] for row in content["annotations"]}
    images, captions = sample_cache.meta.sampled_img_ids, sample_cache.meta.caption_ids
    found = {
        int(row["idx"]): world.true_label(
            says[captions[int(row["idx"])]],
            scenes[images[int(row["gt_img_idx"])]],
            scenes[images[int(row["pred_img_idx"])]],
        )
        for row in study.table(drawn / "failure_samples.csv")
        if row["part"] != "backup"
    }
    sys.modules.pop("world")
    return found


def test_perfect_annotators_merge_to_the_truth_exactly(label_and_merge, drawn, truth):
    out = label_and_merge("0,0,0")
    merged = {
        int(row["idx"]): (row["category"], row["ambiguous_subtype"])
        for row in study.table(drawn / "annotations_clean.csv")
    }
    assert merged == truth
    assert len(merged) == 200
    rows = shares.read_categories(drawn)
    counts = {row.category: row.share.n for row in rows if row.over == shares.ALL}
    assert {name: n for name, n in counts.items() if n} == Counter(category for category, _ in truth.values())
    assert "on 50 items (7 categories): percent 1.00" in out
    assert out.count("100 labels") == 3
    assert out.count("complete") == 3
    assert study.problems(drawn) == []


def fitting(drawn, name: str) -> list[dict]:
    """The pairs of a file, each with its place among the drawn failures."""
    rows = study.table(drawn / name)
    samples = {row["idx"]: row for row in study.table(drawn / "failure_samples.csv")}
    for row in rows:
        sample = samples[row["idx"]]
        assert (row["caption_id"], row["image_id"]) == (sample["caption_id"], sample["pred_img_id"])
    return rows


def test_verified_positives_are_true_by_the_scenes(label_and_merge, drawn, truth, sample_measured, tmp_path):
    out = label_and_merge("0,0,0")
    verified, single = fitting(drawn, "verified_positives.csv"), fitting(drawn, "single_votes.csv")
    ambiguous = {idx for idx, (category, _) in truth.items() if category == "Ambiguous"}
    assert {int(row["idx"]) for row in verified + single} == ambiguous
    assert {truth[int(row["idx"])][1] == row["subtype"] for row in verified + single} == {True}
    assert {(row["votes_for"], row["votes"]) for row in verified} == {("3", "3")}
    qrels = (drawn / "verified_positives.qrels").read_text().splitlines()
    assert qrels == [f"{row['caption_id']} 0 {row['image_id']} 1" for row in verified]
    assert f"{len(verified)} pairs by 2 people or more, {len(single)} by one vote alone" in out
    assert f"{len(verified)} pairs that" in (drawn / "verified_positives.md").read_text(encoding="utf-8")
    # Step 1, run again, counts them: each is a failure whose first image is the verified one.
    places = ["--cache-dir", sample_measured.cache, "--failure-dir", drawn, "--result-dir", tmp_path / "out"]
    said = running.done("main.py", *places, "--device", "cpu")
    wider = files.read_json(tmp_path / "out" / "baseline.json")["additional_positives"]
    assert (wider["pairs"], wider["gained"], wider["other_pairs"]) == (len(verified), len(verified), 0)
    assert wider["value"] == (2700 - 1811 + len(verified)) / 2700
    assert "a lower bound, few were judged" in said


def test_people_who_err_verify_few_wrong_positives(label_and_merge, drawn, truth):
    """Whether what the card expects is right of many pairs, `test_positives` asks; here few are counted."""
    label_and_merge("0.15,0.15,0.15")
    verified, single = fitting(drawn, "verified_positives.csv"), fitting(drawn, "single_votes.csv")
    right = {
        name: sum(truth[int(row["idx"])][0] == "Ambiguous" for row in rows) / len(rows)
        for name, rows in (("verified", verified), ("single", single))
    }
    assert right["verified"] >= 0.9
    told = {
        tuple(map(int, cells[:2])): [float(cell.rstrip("%")) / 100 for cell in cells[3:]]
        for line in (drawn / "verified_positives.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| ") and (cells := line.strip("| ").split(" | "))[0].isdigit()
    }
    low, high = statistics.wilson(right["single"] * len(single), len(single))
    assert low <= told[1, 1][0] <= high


def test_intervals_know_how_many_failures_there_are(label_and_merge, drawn):
    """200 of 1,811 were labeled: step 4 saves and says the interval of a draw from a finite population."""
    out = label_and_merge("0,0,0")
    failures = files.read_json(drawn / "manifest.json")["failures"]
    spatial = next(row.share for row in shares.read_categories(drawn) if row.category == "Spatial")
    assert (failures, spatial.n, spatial.total) == (1811, 49, 200)
    # Wilson's interval at the worth of such a draw, 200 * 1810 / 1611 = 224.705 items, worked by hand.
    assert (spatial.low, spatial.high) == (0.193362, 0.30521)
    assert (spatial.population, spatial.finite_population) == (1811, True)
    assert "Distribution over 200 items, drawn at random from 1,811 failures:" in out
    assert "24.50% [19.34, 30.52]" in out


def test_annotators_who_err_disagree_and_leave_items(label_and_merge, drawn, truth):
    label_and_merge("0.15,0.15,0.15")
    report = files.read_json(drawn / "agreement.json")
    percent = report["agreement"]["category"][0]
    # Two agree where both are right, or wrong alike: 0.85 ** 2 + 0.15 ** 2 / 6 = 0.726, on endless items.
    assert percent["statistic"] == "percent agreement"
    assert percent["n_items"] == 50
    assert abs(percent["value"] - 0.726) < 0.15
    assert report["items"] + report["waiting"] == len(truth) == 200
    rows = study.table(drawn / "annotations_clean.csv")
    wrong = [row["idx"] for row in rows if row["category"] != truth[int(row["idx"])][0]]
    assert 0.04 < len(wrong) / len(rows) < 0.25
