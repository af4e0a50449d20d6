"""Measures of ranks by hand, what baseline.json holds, and the comparison with the published study."""

import json

import numpy as np
import pytest

from common import files, records, statistics
from common.retrieval import evaluation
from common.retrieval.evaluation import Baseline, Interval
from common.retrieval.meta import Fingerprints, Making

RANKS, IMAGES = np.array([1, 2, 1, 6, 20, 1]), np.array([0, 0, 1, 1, 2, 2])


def captions(**changed) -> evaluation.TextToImage:
    counts = {"gallery": 3, "ties": 1, "provably_ambiguous_captions": 2}
    return records.replace(evaluation.text_to_image(RANKS, IMAGES, **counts), **changed)


def making(**changed) -> Making:
    """How a cache with the study's settings was made."""
    fields = {
        "model": "openai/clip-vit-base-patch32",
        "seed": 42,
        "num_images": 5000,
        "captions_per_image": 5,
        "revision": "abc",
        "processor": "CLIPImageProcessorPil",
        "dtype": "float32",
        "image_folder": "data/val2017",
        "bundled_sample": False,
        "versions": {},
        "fingerprints": Fingerprints(annotation_file=evaluation.STUDY_FILE),
    }
    return Making(**fields | changed)


def baseline() -> Baseline:
    return Baseline(
        text_to_image=captions(),
        image_to_text=evaluation.image_to_text(np.array([1, 4, 2]), np.arange(3), gallery=6, ties=0),
        comparison=None,
        cache=evaluation.CacheNote(fingerprint="abc", meta_file="cache/meta.json"),
        made_with=making(),
        versions={"torch": "2"},
    )


def test_measures_by_hand():
    found = captions()
    assert (found.n, found.n_images, found.median_rank) == (6, 3, 1.5)
    assert [found.r1.value, found.r5.value, found.r10.value] == [3 / 6, 4 / 6, 5 / 6]
    assert found.mrr.value == pytest.approx((1 + 1 / 2 + 1 + 1 / 6 + 1 / 20 + 1) / 6)
    low, high = statistics.clustered_share(RANKS <= 1, IMAGES)
    assert found.r1 == Interval(value=0.5, low=low, high=high)
    assert list(found.by_name) == ["R@1", "R@5", "R@10", "MRR"] and found.by_name["R@5"] is found.r5


def test_what_is_written_is_read_back(tmp_path):
    records.write(tmp_path / "baseline.json", baseline())
    assert records.read(tmp_path / "baseline.json", Baseline, "run `python main.py` again") == baseline()


def test_a_baseline_has_the_keys_that_it_always_had(tmp_path):
    """In their order: whoever compares two files by their bytes relies on it."""
    records.write(tmp_path / "baseline.json", baseline())
    content = json.loads((tmp_path / "baseline.json").read_text())
    assert list(content) == ["text_to_image", "image_to_text", "comparison", "cache", "made_with", "versions"]
    measures = ["n", "n_images", "R@1", "R@5", "R@10", "MRR", "median_rank"]
    assert list(content["text_to_image"]) == [*measures, "gallery", "ties", "provably_ambiguous_captions"]
    assert list(content["image_to_text"]) == [*measures, "ties", "gallery"]
    assert list(content["text_to_image"]["R@1"]) == ["value", "low", "high"]
    assert content["comparison"] is None


def test_a_run_with_the_study_s_settings_is_compared():
    def found(r1: float) -> evaluation.TextToImage:
        values = {"r1": r1, "r5": 0.5485, "r10": 0.6612}
        return captions(**{name: Interval(value, 0.0, 1.0) for name, value in values.items()})

    compared = evaluation.comparison(found(0.3040), making())
    assert compared.published == {"R@1": 30.44, "R@5": 54.77, "R@10": 66.24}
    assert compared.difference_points == {"R@1": -0.04, "R@5": 0.08, "R@10": -0.12}
    assert compared.agrees
    # One caption an image, the classic wrong protocol, gives about this.
    assert not evaluation.comparison(found(0.2842), making()).agrees


@pytest.mark.parametrize(
    "changed",
    [
        {"num_images": 600},
        {"captions_per_image": 1},
        {"dtype": "float16"},
        {"model": "google/siglip"},
        {"fingerprints": Fingerprints(annotation_file="0" * 64)},
    ],
)
def test_a_run_with_other_settings_is_not_compared(changed):
    assert evaluation.comparison(captions(), making(**changed)) is None


def test_the_study_s_model_may_be_in_a_folder_of_its_name():
    assert evaluation.comparison(captions(), making(model="clip-vit-base-patch32")) is not None


def test_the_study_s_annotation_file_is_known_by_its_bytes(coco_dir):
    found = files.file_fingerprint(coco_dir / "annotations" / "captions_val2017.json")
    assert found == evaluation.STUDY_FILE
