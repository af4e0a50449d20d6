"""The bank: drawn by its seed, and refused where it has seen a query or is another model's."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from common.errors import UserError
from common.fixes import bank

# What a bank wants to know of a cache's meta.
CONTENT = SimpleNamespace(
    caption_ids=[1, 2, 3],
    sampled_img_ids=[10, 20],
    captions=["A dog.", "a  CAT", "two birds"],
    model="tiny",
    revision="r1",
    bundled_sample=False,
)


def write_json(path, annotations):
    images = [
        {"id": image, "file_name": f"{image}.jpg"} for image in sorted({each[1] for each in annotations})
    ]
    rows = [{"id": key, "image_id": image, "caption": caption} for key, image, caption in annotations]
    path.write_text(json.dumps({"images": images, "annotations": rows}), encoding="utf-8")
    return path


def write_npz(path, **changes):
    arrays = {
        "embeddings": np.eye(4, dtype=np.float16) * 3,
        "caption_ids": np.arange(100, 104),
        "image_ids": np.arange(200, 204),
        "captions": np.array(["a", "b", "c", "d"]),
        "model": np.array("tiny"),
        "revision": np.array("r1"),
    }
    np.savez(path, **{name: value for name, value in (arrays | changes).items() if value is not None})
    return path


def test_a_captions_file_is_read_in_order_and_drawn_by_seed(tmp_path):
    rows = [(100 + n, 1000 + n // 2, f"caption {n}") for n in range(40)]
    path = write_json(tmp_path / "bank.json", [*reversed(rows), (99, 1000, "  ")])
    whole = bank.read(path, 100, 0, CONTENT)
    assert (whole.caption_ids, whole.available) == ([100 + n for n in range(40)], 40)
    assert whole.captions[7] == "caption 7" and whole.image_ids[7] == 1003
    some = bank.read(path, 10, 0, CONTENT)
    assert len(some.captions) == 10 and set(some.caption_ids) <= set(whole.caption_ids)
    assert some.captions == [f"caption {key - 100}" for key in some.caption_ids]
    assert bank.read(path, 10, 0, CONTENT) == some != bank.read(path, 10, 1, CONTENT)


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ((2, 999, "x"), "1 of its captions and 0 of its images"),
        ((99, 20, "x"), "0 of its captions and 1 of its"),
    ],
    ids=["caption id", "image id"],
)
def test_a_bank_that_holds_a_query_is_refused_or_marked(tmp_path, row, named):
    found = bank.read(write_json(tmp_path / "bank.json", [(100, 1000, "y"), row]), 9, 0, CONTENT)
    with pytest.raises(UserError, match="ALLOW_TRANSDUCTIVE") as error:
        bank.checked(found, CONTENT, allow_transductive=False)
    assert named in str(error.value)
    assert bank.checked(found, CONTENT, allow_transductive=True).transductive


def test_equal_texts_are_counted_and_no_crime(tmp_path):
    rows = [(100, 1000, "a dog"), (101, 1001, "A Cat."), (102, 1002, "a cow")]
    found = bank.checked(bank.read(write_json(tmp_path / "b.json", rows), 9, 0, CONTENT), CONTENT, True)
    assert (found.equal_texts, found.transductive) == (2, False)


def test_encoded_captions_come_out_at_length_1(tmp_path):
    found = bank.read(write_npz(tmp_path / "bank.npz"), 3, 5, CONTENT)
    assert torch.equal(found.embeddings.norm(dim=1), torch.ones(3))
    places = [key - 100 for key in found.caption_ids]
    assert found.captions == ["abcd"[place] for place in places]
    assert found.embeddings.argmax(1).tolist() == places


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"image_ids": None}, "lacks image_ids"),
        ({"model": np.array("other")}, "was encoded with model 'other'"),
        ({"revision": np.array("r2")}, "was encoded with revision 'r2'"),
        ({"captions": np.array(["a"])}, "don't fit together"),
        ({"embeddings": np.full((4, 4), np.nan)}, "no finite numbers"),
    ],
)
def test_what_is_no_bank_of_this_model_is_refused_by_name(tmp_path, changes, named):
    with pytest.raises(UserError, match=named):
        bank.read(write_npz(tmp_path / "bank.npz", **changes), 9, 0, CONTENT)


def test_damaged_files_are_refused(tmp_path):
    path = write_npz(tmp_path / "bank.npz")
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(UserError, match="can't be read"):
        bank.read(path, 9, 0, CONTENT)
    with pytest.raises(UserError, match="holds no captions"):
        bank.read(write_json(tmp_path / "empty.json", [(1, 2, " ")]), 9, 0, CONTENT)


def test_a_bank_that_was_named_has_to_be_there(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="other.json was not found"):
        bank.find(tmp_path / "other.json", 9, 0, CONTENT, False)
    monkeypatch.setattr(bank, "DEFAULT", tmp_path / "bank.json")
    assert bank.find(bank.DEFAULT, 9, 0, CONTENT, False) is None, "COCO's own may be missing"
    rows, why = bank.rows_of(None, texts=None)
    assert rows is None and "main.py --download True" in why


def test_rows_of_another_size_than_the_cache_are_refused(tmp_path):
    found = bank.read(write_npz(tmp_path / "bank.npz"), 9, 0, CONTENT)
    texts = SimpleNamespace(frozen=SimpleNamespace(img=torch.zeros(2, 512)))
    with pytest.raises(UserError, match="its embeddings have 4 dimensions, the cache's have 512"):
        bank.rows_of(found, texts)
    texts.frozen.img = torch.zeros(2, 4)
    assert torch.equal(bank.rows_of(found, texts)[0], found.embeddings)
