"""The bundled sample, whose right labels are known: perfect annotators' labels merge to the truth exactly."""

import runpy
import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest

from common import files
from tests.support import PROJECT
from tests.support import merge_folder as study

torch = pytest.importorskip("torch", reason="the failures are drawn from embeddings, which needs torch")
SAMPLE = PROJECT / "data" / "sample"


@pytest.fixture(scope="module")
def drawn_once(sample_cache, tmp_path_factory) -> Path:
    """A failure folder drawn from the sample with the default settings, its sheets still blank."""
    folder = tmp_path_factory.mktemp("drawn")
    options = ["--cache-dir", str(sample_cache.meta_file), "--failure-dir", str(folder)]
    before, sys.argv = sys.argv, ["failure.py", *options]
    try:
        runpy.run_path(str(PROJECT / "failure.py"), run_name="__main__")
    finally:
        sys.argv = before
    return folder


@pytest.fixture
def drawn(drawn_once, tmp_path) -> Path:
    """A copy of its tables, which the test may fill in."""
    (tmp_path / "sample").mkdir()
    for path in [*(drawn_once / "sample").glob("*.csv"), *(drawn_once / "sample").glob("*.xlsx")]:
        shutil.copy(path, tmp_path / "sample")
    return tmp_path


@pytest.fixture
def label_and_merge(drawn, sample_cache, run_script, monkeypatch):
    """Fill the sheets with given error rates, merge, and return the output."""
    monkeypatch.syspath_prepend(str(SAMPLE))

    def run(error_rates: str) -> str:
        options = ["--cache-dir", sample_cache.meta_file, "--failure-dir", drawn / "sample"]
        status, _, err = run_script(
            "data/sample/simulate_annotators.py", *options, "--error-rates", error_rates
        )
        assert (status, err) == (0, "")
        options = ["--cache-dir", sample_cache.meta_file, "--failure-dir", drawn]
        status, out, err = run_script("merge_assignments.py", *options, "--bootstrap-rounds", 200)
        assert (status, err) == (0, "")
        return out

    yield run
    for name in ("world", "render", "clip_model"):
        sys.modules.pop(name, None)


def truth_of(drawn: Path, sample_cache) -> dict[int, tuple[str, str]]:
    """idx -> true (category, subtype) of every drawn failure but the backups, from the scenes."""
    import world

    content = files.read_json(SAMPLE / "annotations" / "captions_val2017.json")
    scenes = {image["id"]: image["scene"] for image in content["images"]}
    says = {row["id"]: row["says"] for row in content["annotations"]}
    images, captions = sample_cache.meta["sampled_img_ids"], sample_cache.meta["caption_ids"]
    return {
        int(row["idx"]): world.true_label(
            says[captions[int(row["idx"])]],
            scenes[images[int(row["gt_img_idx"])]],
            scenes[images[int(row["pred_img_idx"])]],
        )
        for row in study.table(drawn / "sample" / "failure_samples.csv")
        if row["part"] != "backup"
    }


def test_perfect_annotators_merge_to_the_truth_exactly(label_and_merge, drawn, sample_cache):
    out = label_and_merge("0,0,0")
    truth = truth_of(drawn, sample_cache)
    merged = {
        int(row["idx"]): (row["category"], row["ambiguous_subtype"])
        for row in study.table(drawn / "sample" / "annotations_clean.csv")
    }
    assert merged == truth
    assert len(merged) == 200
    shares = study.table(drawn / "sample" / "category_distribution.csv")
    counts = {row["category"]: int(row["n"]) for row in shares if row["over"] == "all"}
    assert {name: n for name, n in counts.items() if n} == Counter(category for category, _ in truth.values())
    assert "Distribution over 200 items:" in out
    assert "on 50 items (seven categories): percent 1.00" in out
    assert out.count("100 labels") == 3
    assert out.count("complete") == 3
    assert study.problems(drawn / "sample") == []


def test_annotators_who_err_disagree_and_leave_items_to_decide(label_and_merge, drawn, sample_cache):
    label_and_merge("0.15,0.15,0.15")
    report = study.report(drawn / "sample")
    percent = report["agreement"]["category"][0]
    # Two agree where both are right, or wrong alike: 0.85 ** 2 + 0.15 ** 2 / 6 = 0.726, on endless items.
    assert percent["statistic"] == "percent agreement"
    assert percent["n_items"] == 50
    assert abs(percent["value"] - 0.726) < 0.15
    truth = truth_of(drawn, sample_cache)
    assert report["items"] + report["waiting"] == len(truth) == 200
    rows = study.table(drawn / "sample" / "annotations_clean.csv")
    wrong = [row["idx"] for row in rows if row["category"] != truth[int(row["idx"])][0]]
    assert 0.04 < len(wrong) / len(rows) < 0.25
