"""The bank: drawn by its seed, and refused where it has seen a query or is another model's."""

import dataclasses
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


MANY = SimpleNamespace(
    **{**vars(CONTENT), "caption_ids": list(range(100)), "sampled_img_ids": list(range(50))},
)
MANY.captions = [f"caption number {n}" for n in range(100)]


def bank_of(texts, rows=None, first=5000):
    ids = list(range(first, first + len(texts)))
    return bank.Bank(ids, ids, texts, "bank.npz", "0" * 64, len(texts), embeddings=rows)


@pytest.mark.parametrize(
    ("texts", "equal", "covered"),
    [
        (["a dog", "CAPTION number 7.", "a cow"], 1, 1),
        (["caption number 1"] * 40 + ["a cow"], 40, 1),
        ([f" Caption  Number {n}" for n in range(5)], 5, 5),
    ],
    ids=["one", "one text often", "as many as chance explains"],
)
def test_equal_texts_are_counted_and_no_crime(texts, equal, covered):
    found = bank.checked(bank_of(texts), MANY, False)
    assert (found.equal_texts, found.queries_covered, found.transductive) == (equal, covered, False)


@pytest.mark.parametrize("ids_compared", [True, False])
@pytest.mark.parametrize("form", ["{}", " {} ", "{}."])
def test_queries_under_other_ids_are_refused_or_marked(form, ids_compared):
    texts = [form.format(text).upper() for text in MANY.captions[:6]] + [f"other {n}" for n in range(500)]
    found = dataclasses.replace(bank_of(texts), ids_compared=ids_compared)
    with pytest.raises(UserError, match="6 of 100 queries have their very text or embedding") as error:
        bank.checked(found, MANY, False)
    assert "6.00%" in str(error.value) and "ALLOW_TRANSDUCTIVE = True" in str(error.value)
    assert bank.checked(found, MANY, True).transductive


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("n", [3, 30, 100])
def test_equal_embeddings_count_like_equal_texts(dtype, n):
    txt = torch.nn.functional.normalize(
        torch.randn(100, 64, generator=torch.Generator().manual_seed(0)), dim=1
    )
    other = torch.randn(40, 64, generator=torch.Generator().manual_seed(1))
    rows = torch.nn.functional.normalize(torch.cat([txt[:n].to(dtype).float(), other]), dim=1)
    found = bank_of([f"of another wording {k}" for k in range(len(rows))], rows)
    assert bank.checked(found, MANY, False).queries_covered == 0, "nothing to compare yet"
    if n > 5:
        with pytest.raises(UserError, match=f"{n} of 100 queries"):
            bank.checked(found, MANY, False, txt)
    checked = bank.checked(found, MANY, True, txt)
    assert (checked.equal_texts, checked.queries_covered, checked.transductive) == (n, n, n > 5)


@pytest.mark.parametrize("first", [0, 49, 99])
def test_ids_of_another_numbering_are_not_compared(first):
    """By chance an id of another dataset is also a query's."""
    found = bank_of([f"other {n}" for n in range(10)], first=first)
    with pytest.raises(UserError, match="OTHER_BANK_FILE"):
        bank.checked(found, MANY, False)
    other = bank.checked(dataclasses.replace(found, ids_compared=False), MANY, False)
    assert not other.transductive and not other.note.ids_compared


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
        bank.find(bank.Wish(tmp_path / "other.json", None, 9, 0, False), CONTENT)
    monkeypatch.setattr(bank, "DEFAULT", tmp_path / "bank.json")
    assert bank.find(bank.Wish(bank.DEFAULT, None, 9, 0, False), CONTENT) is None, "COCO's own may be missing"
    rows, why = bank.encoded(None, None, False)
    assert rows is None and "main.py --download True" in why


def test_rows_of_another_size_than_the_cache_are_refused(tmp_path):
    found = bank.read(write_npz(tmp_path / "bank.npz"), 9, 0, CONTENT)
    texts = SimpleNamespace(
        frozen=SimpleNamespace(img=torch.zeros(2, 512), txt=torch.zeros(3, 4), meta=CONTENT)
    )
    with pytest.raises(UserError, match="its embeddings have 4 dimensions, the cache's have 512"):
        bank.encoded(found, texts, False)
    texts.frozen.img = torch.zeros(2, 4)
    assert torch.equal(bank.encoded(found, texts, False)[0].embeddings, found.embeddings)
