"""The captions folder: frozen order, text hazards, and images that can't be used."""

import json

import numpy as np
import pytest
from PIL import Image

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
        (lambda c: c.pop("annotations"), "holds no `images` and `annotations`"),
        (lambda c: c["annotations"][0].update(image_id=5), "no image has the id 5"),
        (lambda c: c["annotations"][0].update(id=c["annotations"][1]["id"]), "occurs twice"),
        (lambda c: c["annotations"][0].update(caption=None), "`caption` is missing or not a text"),
        (lambda c: c["images"][0].update(id=c["images"][1]["id"]), "share an id"),
        (lambda c: c["images"][0].pop("file_name"), "`file_name` are needed"),
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


def test_bad_images_are_distinguished(tmp_path):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    for name in ("good.jpg", "cut.jpg", "good.png", "cut.png"):
        image.save(tmp_path / name)
    for name in ("cut.jpg", "cut.png"):
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-300])
    (tmp_path / "text.jpg").write_text("<html>404</html>")
    (tmp_path / "empty.jpg").write_bytes(b"")
    # Some servers append a little after the end marker: such a file is whole.
    (tmp_path / "tail.jpg").write_bytes((tmp_path / "good.jpg").read_bytes() + b"\x00" * 100)
    names = ["good.jpg", "cut.jpg", "good.png", "cut.png", "text.jpg", "empty.jpg", "gone.jpg", "tail.jpg"]
    assert [line.split(" (")[0] for line in images.bad_images(tmp_path, names)] == [
        "cut.jpg: cut off",
        "cut.png: cut off",
        "text.jpg: does not open",
        "empty.jpg: does not open",
        "gone.jpg: not found",
    ]


@pytest.mark.parametrize(
    ("caption", "same"),
    [
        ("A dog.", "a  DOG "),
        ("A\ndog", "a dog"),
        ("A dog .", "a dog"),
    ],
)
def test_normalized_captions(caption, same):
    assert coco.normalized(caption) == coco.normalized(same)


def test_provably_ambiguous_needs_another_image():
    captions = ["A dog.", "a dog", "A cat", "a cat.", "A bird"]
    assert coco.provably_ambiguous(captions, [0, 1, 2, 2, 3]).tolist() == [True, True, False, False, False]
