"""A whole study from vectors that were made elsewhere: 600 photographs, their vectors' own files."""

import json

from tests.support import coco_600, summary_study


def test_the_study_runs_from_vectors_made_elsewhere(imported_study, coco_dir, tmp_path):
    """Its cache holds the rows that a cache of the frozen order does, and step 6 finds the known effect."""
    from common.retrieval import cache, meta

    said = imported_study.said
    assert "Imported 600 of 600 images and 3,000 of 3,000 captions of embeddings_600" in said["main.py"]
    assert "step 2 shows: all there and whole" in said["main.py"]
    found = cache.load(meta.find(imported_study.cache))
    other = cache.load(coco_600.write_cache(coco_dir, tmp_path))
    assert found.meta.fingerprint == other.meta.fingerprint
    baseline = json.loads((imported_study.results / "baseline.json").read_text(encoding="utf-8"))
    assert round(100 * baseline["text_to_image"]["R@1"]["value"], 2) == 25.73
    assert "failures@1 = 2,228 of 3,000 captions" in said["failure.py"]
    assert "Distribution over 24 items" in said["merge_assignments.py"]

    improved = said["improve_subset.py"]
    left_out = [line for line in improved.splitlines() if line.startswith("Left out: ")]
    assert len(left_out) == 1 and left_out[0].startswith("Left out: prompts: the vectors of embeddings_600 ")
    assert "EMBEDDINGS_DIR" in left_out[0] and "set MODEL_DIR" in left_out[0]
    index = json.loads((imported_study.results / "net_effects.json").read_text(encoding="utf-8"))
    effects = {row["method"]: row["net_effect"]["R@1"] for row in index["net_effects"]}
    assert round(effects["nnn"]["after"], 2) == 29.07


def test_its_report_names_the_vectors_and_no_unknown_value(imported_study):
    shown = [number.text for number in summary_study.page(imported_study).numbers]
    assert "embeddings_600" in shown and any("+3.33" in each for each in shown)
    assert "vectors imported from" in shown and not {"None", "nan", ""} & set(shown)
