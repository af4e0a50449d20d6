"""The captions folder: the frozen order, and captions with the same text."""

import itertools
import json

import pytest

from common.errors import UserError
from common.retrieval import coco, images


@pytest.mark.parametrize(
    ("idx", "image_row", "caption"),
    [
        (1500, 300, "A desk with both a laptop computer and a desktop computer."),
        (12369, 2473, "Two people sitting at a table with a pizza pie."),
        (24877, 4975, "A large clock tower sitting in the middle of a paved walkway."),
    ],
)
def test_the_frozen_order_on_the_real_file(real_sample, idx, image_row, caption):
    assert len(real_sample.captions) == 25_000
    assert real_sample.gt_img_index[idx] == image_row
    assert real_sample.captions[idx].strip() == caption


def test_provably_ambiguous_captions_of_the_real_file(real_sample):
    assert coco.provably_ambiguous(real_sample.captions, real_sample.gt_img_index).sum() == 367


def test_the_real_photographs_pass(coco_dir):
    found = coco.read_captions(coco_dir / "annotations" / "captions_val2017_600.json")
    sample = coco.sample(found, 600, 5, 42)
    assert len(sample.file_names) == 600
    assert images.bad_images(coco_dir / "val2017", sample.file_names) == []


@pytest.fixture(scope="module")
def real_sample(coco_dir):
    found = coco.read_captions(coco_dir / "annotations" / "captions_val2017.json")
    return coco.sample(found, 5000, 5, 42)


def test_captions_come_in_ascending_annotation_id(tiny_dataset):
    sample = coco.sample(coco.read_captions(tiny_dataset / "captions.json"), 12, 2, 1)
    for row in range(12):
        ids = [
            key for key, image in zip(sample.caption_ids, sample.gt_img_index, strict=True) if image == row
        ]
        assert ids == sorted(ids) and len(ids) == 2


def test_asking_for_more_is_capped_and_what_is_short_is_counted(tiny_dataset):
    sample = coco.sample(coco.read_captions(tiny_dataset / "captions.json"), 5000, 3, 1)
    assert len(sample.image_ids) == 12
    assert sample.short_of_captions == 6  # every second image has but two captions
    assert sample.gt_img_index == sorted(sample.gt_img_index)


def test_images_without_a_caption_are_left_out(tiny_dataset):
    content = json.loads((tiny_dataset / "captions.json").read_text())
    lonely = content["images"][3]["id"]
    content["annotations"] = [each for each in content["annotations"] if each["image_id"] != lonely]
    content["annotations"].append({"id": 9999, "image_id": lonely, "caption": " \n"})  # blank is none
    (tiny_dataset / "captions.json").write_text(json.dumps(content))
    sample = coco.sample(coco.read_captions(tiny_dataset / "captions.json"), 5000, 5, 1)
    assert lonely not in sample.image_ids
    assert sample.without_caption == 1


def test_a_small_sample_is_the_start_of_no_other_order(tiny_dataset):
    found = coco.read_captions(tiny_dataset / "captions.json")
    assert coco.sample(found, 5, 5, 1).image_ids != coco.sample(found, 5, 5, 2).image_ids
    assert coco.sample(found, 5, 5, 1) == coco.sample(found, 5, 5, 1)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda c: c.pop("annotations"), "holds no `annotations`"),
        (lambda c: c["annotations"][0].update(image_id=5), "no image has the id 5"),
        (lambda c: c["annotations"][0].update(id=c["annotations"][1]["id"]), "occurs twice"),
        (lambda c: c["annotations"][0].update(caption=None), "`caption` is null, not a text"),
        (lambda c: c["images"][0].update(id=c["images"][1]["id"]), "the id occurs twice"),
        (lambda c: c["images"][0].pop("file_name"), "`file_name` is missing"),
    ],
)
def test_what_is_no_captions_file_is_refused_by_entry(tiny_dataset, spoil, message):
    content = json.loads((tiny_dataset / "captions.json").read_text())
    spoil(content)
    (tiny_dataset / "captions.json").write_text(json.dumps(content))
    with pytest.raises(UserError) as caught:
        coco.read_captions(tiny_dataset / "captions.json")
    assert message in str(caught.value)


def test_a_missing_and_a_truncated_captions_file(tiny_dataset):
    with pytest.raises(UserError, match="was not found"):
        coco.read_captions(tiny_dataset / "none.json")
    path = tiny_dataset / "captions.json"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match="not valid JSON"):
        coco.read_captions(path)


@pytest.mark.parametrize(
    ("caption", "same"),
    [
        ("A dog.", "a  DOG "),
        ("A\ndog", "a dog"),
        ("A dog .", "a dog"),
        ("Un caf\u00e9", "un cafe\u0301."),
        ("CAFE\u0301 J\u030c", "caf\u00e9 \u01f0"),  # no capital has that mark in a form of its own
        ("\ud55c\uad6d", "\u1112\u1161\u11ab\u1100\u116e\u11a8"),
    ],
)
def test_normalized_captions(caption, same):
    assert coco.normalized(caption) == coco.normalized(same)


def test_provably_ambiguous_needs_another_image():
    captions = ["A dog.", "a dog", "A cat", "a cat.", "A bird"]
    assert coco.provably_ambiguous(captions, [0, 1, 2, 2, 3]).tolist() == [True, True, False, False, False]


@pytest.mark.parametrize(
    ("captions", "images", "most"),
    [
        (["A dog.", "a dog", "A cat", "a cat.", "A bird"], [0, 1, 2, 2, 3], 4),
        (["x", "x", "x", "x"], [0, 0, 1, 2], 2),  # at best image 0, which has two of them
        (["x", "x", "y", "y"], [0, 1, 0, 1], 2),
        (["x", "y", "z"], [0, 1, 2], 3),
        (["caf\u00e9", "cafe\u0301"], [0, 1], 1),
    ],
)
def test_equal_texts_bound_how_many_can_be_right(captions, images, most):
    """Against every assignment of one image to each text."""
    texts = sorted({coco.normalized(caption) for caption in captions})
    best = 0
    for chosen in itertools.product(sorted(set(images)), repeat=len(texts)):
        first = dict(zip(texts, chosen, strict=True))
        right = [first[coco.normalized(text)] == own for text, own in zip(captions, images, strict=True)]
        best = max(best, sum(right))
    assert coco.answerable(captions, images) == most == best


def test_how_many_captions_of_the_real_file_can_be_right(real_sample):
    """367 share their text with another image's caption; at most 134 of these can be right."""
    assert coco.answerable(real_sample.captions, real_sample.gt_img_index) == 25_000 - 367 + 134


@pytest.mark.parametrize("kept", [0, 1])
def test_a_gallery_of_one_image_is_refused(tiny_dataset, kept):
    content = json.loads((tiny_dataset / "captions.json").read_text())
    content["annotations"] = [
        each if each["image_id"] == content["images"][0]["id"] and kept else {**each, "caption": " "}
        for each in content["annotations"]
    ]
    (tiny_dataset / "captions.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="1 of 12 images: retrieval needs 2" if kept else "holds no captions"):
        coco.sample(coco.read_captions(tiny_dataset / "captions.json"), 12, 5, 1)
