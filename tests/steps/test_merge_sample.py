"""The bundled sample, whose right labels are known: perfect annotators' labels merge to the truth exactly."""

import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest

from common import files
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
