"""Measures of ranks by hand, what baseline.json holds, and the comparison with the published study."""

import json

import numpy as np
import pytest

from common import files, records, statistics
from common.retrieval import evaluation
from common.retrieval.evaluation import Baseline, Interval
from common.retrieval.meta import Fingerprints, Making

SAME_TEXT = [
    *("provably_ambiguous_captions", "provably_ambiguous_right", "provably_ambiguous_at_most", "R@1_ceiling")
]
AMBIGUOUS = np.array([False, False, True, False, True, False])
RANKS, IMAGES = np.array([1, 2, 1, 6, 20, 1]), np.array([0, 0, 1, 1, 2, 2])


def captions(**changed) -> evaluation.TextToImage:
    counts = {"gallery": 3, "ties": 1, **evaluation.same_text(RANKS == 1, AMBIGUOUS, 5)}
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
    assert list(content["text_to_image"]) == [*measures, "gallery", "ties", *SAME_TEXT]
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


def test_a_baseline_of_an_earlier_version_is_read(tmp_path):
    """It counts captions of equal text and says nothing more of them."""
    old = records.plain(baseline())
    for name in SAME_TEXT[1:]:
        del old["text_to_image"][name]
    files.write_json(tmp_path / "baseline.json", old)
    found = records.read(tmp_path / "baseline.json", Baseline, "run `python main.py` again")
    assert found.text_to_image.provably_ambiguous_captions == 2
    assert found.text_to_image.r1_ceiling is None and evaluation.limits(found) == []


def test_captions_with_equal_text_are_counted():
    found = captions()
    assert found.provably_ambiguous_captions == 2 and found.provably_ambiguous_at_most == 1
    assert found.provably_ambiguous_right == 1 and found.r1_ceiling == 5 / 6
    said = evaluation.limits(records.replace(baseline(), text_to_image=found))
    assert len(said) == 1 and "at most 1 can be right (1 are), and R@1 is 83.33% at most" in said[0]
    assert "no method" not in said[0]


# ---- small and extreme sets --------------------------------------------------------------------------------


def measured(ranks, images, gallery, ties=0) -> evaluation.TextToImage:
    counts = {"gallery": gallery, "ties": ties, "provably_ambiguous_captions": 0}
    return evaluation.text_to_image(np.array(ranks), np.array(images), **counts)


@pytest.mark.parametrize("n_images", [1, 2, 3, 5, 50])
@pytest.mark.parametrize("rank", ["first", "last", "alternating"])
def test_intervals_of_small_sets_are_proper(n_images, rank):
    """Within what can be, around the value, and never a point: nobody knows that much of few images."""
    images = np.repeat(np.arange(n_images), 2)
    ranks = {"first": 1, "last": n_images, "alternating": np.resize([1, n_images], 2 * n_images)}[rank]
    found = measured(np.broadcast_to(ranks, 2 * n_images), images, n_images)
    for one in found.by_name.values():
        assert 0 <= one.low <= one.value <= one.high <= 1
        assert one.low < one.high, "an interval of no width"
    if rank == "first":
        assert found.mrr.high == 1 and found.mrr.low == pytest.approx(found.r1.low)


def test_the_interval_of_mrr_where_ranks_vary_is_the_formula_s():
    found = captions().mrr
    low, high = statistics.clustered_mean(1 / RANKS, IMAGES)
    assert (found.low, found.high) == (max(0, low), min(1, high)) and high - low > 0.1
    many = np.random.default_rng(0).integers(1, 50, 600)
    low, high = statistics.clustered_mean(1 / many, np.arange(600) // 3)
    assert measured(many, np.arange(600) // 3, 600).mrr == Interval(np.mean(1 / many), low, high)


@pytest.mark.parametrize(
    ("n_images", "share_right", "ties", "at_chance"),
    [
        (1, 1.0, 0, False),
        (2, 1.0, 0, False),
        (2, 0.0, 0, False),  # of two images nothing can be told
        (3, 0.8, 0, False),
        (5, 1.0, 0, False),
        (12, 1.0, 0, False),
        (12, 0.5, 0, False),
        (100, 0.05, 0, False),
        (100, 0.02, 0, True),
        (1000, 0.0, 0, True),
        (1000, 0.0, 5000, False),  # the images are alike
        (5000, 0.3044, 0, False),
        (5000, 0.0004, 0, True),
    ],
)
def test_r1_is_at_chance_only_where_guessing_reaches_it(n_images, share_right, ties, at_chance):
    n = 5 * n_images
    ranks = np.where(np.arange(n) < round(share_right * n), 1, n_images)
    found = measured(ranks, np.arange(n) // 5, n_images, ties)
    assert evaluation.at_chance(found) == at_chance


def test_guessing_is_hardly_ever_above_what_it_is_said_to_give():
    rng = np.random.default_rng(0)
    for n_images in (6, 20, 200):
        images = np.repeat(np.arange(n_images), 5)
        limit = evaluation.most_by_chance(measured(np.ones(len(images)), images, n_images))
        guessed = [(rng.integers(0, n_images, len(images)) == images).mean() for _ in range(1000)]
        assert np.mean(np.array(guessed) <= limit) > 0.95


def test_most_ties_are_said_and_not_taken_for_chance():
    alike = measured(np.full(60, 12), np.arange(60) // 5, 12, ties=60)
    said = evaluation.limits(records.replace(baseline(), text_to_image=alike))
    assert len(said) == 1 and said[0].startswith("60 of 60 captions tie")
