"""Vectors that were made elsewhere: brought into the frozen order bit for bit, or refused in one line."""

import json
import pickle
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from common.errors import UserError
from common.retrieval import cache, coco, freezing, imported, meta, text_cache
from common.retrieval.distributed import ALONE
from common.retrieval.freezing import Data, Wanted
from tests.support import PROJECT, model_folders

DIM = 6
WANTED = Wanted(seed=42, captions_per_image=2, dtype="float32", device="cpu", batch_size=4)


@pytest.fixture
def data(tiny_dataset, tmp_path) -> Data:
    """12 images of noise, and vectors of all of them in the order of their ids."""
    content = json.loads((tiny_dataset / "captions.json").read_text(encoding="utf-8"))
    folder, noise = tmp_path / "vectors", np.random.default_rng(0)
    folder.mkdir()
    named = {"model": "Some Encoder / B", "maker": "somebody", "logit_scale": 14.6}
    for key, name in (("images", "images.npy"), ("annotations", "captions.npy")):
        ids = sorted(each["id"] for each in content[key])
        named["image_ids" if key == "images" else "caption_ids"] = ids
        rows = noise.normal(size=(len(ids), DIM)).astype(np.float32)
        np.save(folder / name, rows / np.linalg.norm(rows, axis=1, keepdims=True))
    write_rows(folder, **named)
    folders = (
        tiny_dataset / "images",
        tiny_dataset / "captions.json",
        tmp_path / "cache",
        tmp_path / "results",
    )
    return Data("", *folders, bundled_sample=False, embeddings_dir=folder)


def write_rows(folder: Path, **named) -> None:
    path = folder / "rows.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.write_text(json.dumps(before | named), encoding="utf-8")


def named_in(folder: Path) -> dict:
    return json.loads((folder / "rows.json").read_text(encoding="utf-8"))


def freeze(data: Data) -> tuple[freezing.Frozen, list[str]]:
    """As step 1 does it: the frozen cache, and what was said meanwhile. Two captions an image, at most."""
    said = []
    imported.check(data.embeddings_dir)
    sample = coco.sample(coco.read_captions(data.annotation_file), 8, WANTED.captions_per_image, WANTED.seed)
    return imported.freeze(data, sample, WANTED, ALONE, said.append), said


def test_rows_are_brought_into_the_frozen_order(data):
    """Of more rows than the sample needs, which are in another order; unit rows keep every bit."""
    made, said = freeze(data)
    found = cache.load(made.meta_file)
    assert made.meta_file.name == "meta_8_Some_Encoder_B.json" and made.made
    named = named_in(data.embeddings_dir)
    for rows, ids, wanted, array in (
        (found.img, named["image_ids"], found.meta.sampled_img_ids, "images.npy"),
        (found.txt, named["caption_ids"], found.meta.caption_ids, "captions.npy"),
    ):
        stored = np.load(data.embeddings_dir / array)
        np.testing.assert_array_equal(rows, stored[[ids.index(each) for each in wanted]])
    assert (found.meta.model, found.meta.maker) == ("Some Encoder / B", "somebody")
    assert found.meta.imported_from == str(data.embeddings_dir) and len(found.meta.revision) == 40
    assert (
        said[0] == "Imported 8 of 12 images and 16 of 30 captions of Some Encoder / B: 6 dimensions, float32"
    )
    assert not any("normalized" in line for line in said)

    again, said = freeze(data)
    assert (again.made, again.not_compared, said) == (False, [], [])
    (data.image_dir / found.meta.file_names[0]).unlink()
    assert freeze(data)[0].not_compared == ["images"]


def test_other_vectors_under_that_name_are_refused(data):
    before = freeze(data)[0].meta_file.read_bytes()
    rows = np.load(data.embeddings_dir / "images.npy")
    np.save(data.embeddings_dir / "images.npy", rows[:, ::-1])
    with pytest.raises(
        UserError, match="was made with other settings:\n  revision of the model or its vectors"
    ):
        freeze(data)
    assert next(data.cache_dir.glob("meta_*")).read_bytes() == before


@pytest.mark.parametrize("dtype", ["float16", ">f4", "float64"])
def test_rows_of_another_length_are_normalized_and_it_is_said(data, dtype):
    rows = np.load(data.embeddings_dir / "captions.npy").astype(np.float64)
    np.save(data.embeddings_dir / "captions.npy", (2 * rows).astype(dtype))
    made, said = freeze(data)
    found = cache.load(made.meta_file)
    (line,) = [line for line in said if "normalized" in line]
    assert "normalized: 16 of 16 rows of captions.npy had another length than 1 (" in line
    ids = named_in(data.embeddings_dir)["caption_ids"]
    wanted = rows[[ids.index(each) for each in found.meta.caption_ids]]
    np.testing.assert_allclose(found.txt, wanted, atol=2e-3 if dtype == "float16" else 1e-6)
    assert found.meta.dtype == ("float32" if dtype == ">f4" else f"float32 and {dtype}")


def test_equal_texts_get_one_row(data):
    """Where rounding alone keeps them apart, so that their tie is counted; other vectors are refused."""
    content = json.loads(data.annotation_file.read_text(encoding="utf-8"))
    for annotation in content["annotations"]:
        annotation["caption"] = "a dog"
    data.annotation_file.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UserError, match="have the same text and unlike vectors") as caught:
        freeze(data)
    assert "\n" not in str(caught.value)
    noise, path = np.random.default_rng(1), data.embeddings_dir / "captions.npy"
    np.save(path, np.ones((30, DIM)) + noise.normal(scale=1e-3, size=(30, DIM)))
    made, said = freeze(data)
    txt = cache.load(made.meta_file).txt
    assert (txt == txt[0]).all()
    assert "  of equal texts the first one's row is taken: 15 captions differed" in said


def test_without_a_name_the_folder_s_is_taken(data):
    write_rows(data.embeddings_dir, model=None, maker=" ")
    content = meta.read(freeze(data)[0].meta_file)
    assert (content.model, content.maker) == ("vectors", None)


def test_images_must_be_there(data):
    next(data.image_dir.iterdir()).unlink()
    with pytest.raises(UserError, match="was not found") as caught:
        freeze_all(data)
    assert "1 of 12 images in" in str(caught.value)
    assert not list(data.cache_dir.glob("*.pt"))


def freeze_all(data: Data) -> freezing.Frozen:
    sample = coco.sample(coco.read_captions(data.annotation_file), 12, 5, 42)
    return imported.freeze(data, sample, WANTED._replace(captions_per_image=5), ALONE, lambda line: None)


# ---- refused -----------------------------------------------------------------------------------------------


def saved(name: str, change):
    """Save an array otherwise."""
    return lambda folder: np.save(folder / name, change(np.load(folder / name)), allow_pickle=True)


def named(key: str, change):
    """Name other ids."""
    return lambda folder: write_rows(folder, **{key: change(named_in(folder)[key])})


def put(row: int, value: float):
    def change(rows):
        rows[row] = value
        return rows

    return change


HOSTILE = {
    "a missing file": (lambda folder: (folder / "images.npy").unlink(), "lacks images.npy"),
    "a missing folder": (lambda folder: folder.rename(folder.with_name("gone")), "there is no such folder"),
    "missing captions": (
        lambda folder: (
            named("caption_ids", lambda ids: ids[:20])(folder),
            saved("captions.npy", lambda rows: rows[:20])(folder),
        ),
        r"captions.npy lacks \d+ of the sample's 16 captions: ids \d+",
    ),
    "doubled ids": (named("image_ids", lambda ids: [ids[1], *ids[1:]]), "1 image id doubled: "),
    "foreign ids": (
        named("caption_ids", lambda ids: [7, *ids[1:]]),
        "1 caption id not of .*: 7. Set IMAGE_DIR",
    ),
    "ids as texts": (named("image_ids", lambda ids: list(map(str, ids))), "no list of whole numbers"),
    "ids that are true": (
        named("image_ids", lambda ids: [True, *ids[1:]]),
        "no list of whole numbers",
    ),
    "no ids": (lambda folder: (folder / "rows.json").write_text("{}"), "no list of whole numbers"),
    "no object": (lambda folder: (folder / "rows.json").write_text("[1]"), "rows.json is no object"),
    "no JSON": (lambda folder: (folder / "rows.json").write_text("{"), "is not valid JSON"),
    "more rows than ids": (saved("images.npy", lambda rows: np.tile(rows, (2, 1))), "has 24 rows, and .* 12"),
    "three axes": (saved("images.npy", lambda rows: rows[None]), r"holds float32 \(1, 12, 6\): float rows"),
    "one axis": (saved("captions.npy", lambda rows: rows[:, 0]), r"holds float32 \(30,\): float rows"),
    "whole numbers": (saved("images.npy", lambda rows: (9 * rows).astype(int)), "holds int64 .*: float rows"),
    "objects": (saved("images.npy", lambda rows: rows.astype(object)), "no plain array .*numpy.save"),
    "unlike widths": (saved("images.npy", lambda rows: rows[:, :4]), "images.npy has 4 dim.* captions.npy 6"),
    "no width": (saved("images.npy", lambda rows: rows[:, :0]), "12 rows without a direction"),
    "NaN": (saved("captions.npy", put(3, np.nan)), r"1 row without a direction .* from 0: 3$"),
    "infinite": (saved("captions.npy", put(4, np.inf)), "1 row without a direction .* from 0: 4$"),
    "zeros": (saved("images.npy", put(2, 0.0)), "1 row without a direction .* from 0: 2$"),
    "a pickle": (
        lambda folder: (folder / "images.npy").write_bytes(pickle.dumps(np.ones((12, DIM)))),
        "no plain array .*numpy.save",
    ),
    "cut off": (
        lambda folder: (folder / "images.npy").write_bytes((folder / "images.npy").read_bytes()[:-40]),
        "no plain array .*numpy.save",
    ),
    "an archive": (
        lambda folder: np.savez(open(folder / "images.npy", "wb"), images=np.ones((12, DIM))),
        "an archive of arrays",
    ),
    "a name that is a number": (lambda folder: write_rows(folder, model=5), "`model` is 5, not a text"),
}


@pytest.mark.parametrize("spoil, refusal", HOSTILE.values(), ids=HOSTILE)
def test_hostile_input_is_refused_in_one_line(data, spoil, refusal):
    spoil(data.embeddings_dir)
    with pytest.raises(UserError, match=refusal) as caught:
        freeze(data)
    assert "\n" not in str(caught.value)
    assert not data.cache_dir.exists() and not data.result_dir.exists(), "nothing was written"


# ---- what comes after --------------------------------------------------------------------------------------


def test_a_text_tower_is_asked_for_and_must_be_the_vectors_own(data, tmp_path):
    """Methods that encode texts: without a model one line; the model that made the vectors is taken."""
    from common.retrieval import encoder, models

    folder = model_folders.tiny_clip(tmp_path / "tiny")
    captions = coco.read_captions(data.annotation_file).dataset["annotations"]
    by_id = {each["id"]: each["caption"] for each in captions}
    towers = encoder.load(models.locate(str(folder)), "cpu", "float32", [], [])
    rows = towers.encode_texts([by_id[each] for each in named_in(data.embeddings_dir)["caption_ids"]], 8)
    np.save(data.embeddings_dir / "captions.npy", rows.numpy())
    np.save(data.embeddings_dir / "images.npy", rows[:12].numpy().astype(np.float16))
    frozen = cache.load(freeze(data)[0].meta_file)
    with pytest.raises(text_cache.NoModel, match="made elsewhere .*: set MODEL_DIR to a folder"):
        text_cache.TextCache(frozen, None, "cpu").find()
    own = text_cache.TextCache(frozen, folder, "cpu")
    own.add(["two cats"], "some")
    torch.testing.assert_close(own.rows(["two cats"]), towers.encode_texts(["two cats"], 1))
    other = text_cache.TextCache(frozen, model_folders.tiny_clip(tmp_path / "other", seed=1), "cpu")
    with pytest.raises(UserError, match="encodes the cache's own captions differently"):
        other.add(["three cats"], "some")


def test_the_lines_that_the_docs_show_export_such_a_folder(data, tmp_path, monkeypatch):
    """With something in open_clip's place, whose functions have the same names and shapes."""
    text = (PROJECT / "docs" / "settings.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(import json, .*?)^```$", text, re.M | re.S)
    assert len(code.rpartition("\n\n")[2].splitlines()) == 8, "behind imports and the model's own lines"
    model = types.SimpleNamespace(
        eval=lambda: model,
        encode_image=lambda batch: torch.nn.functional.normalize(batch.mean((2, 3)) + 0.1),
        encode_text=lambda tokens: torch.nn.functional.normalize(tokens.float()[:, :3]),
    )
    fake = types.ModuleType("open_clip")
    fake.create_model_and_transforms = lambda name, pretrained: (
        model,
        None,
        lambda image: torch.from_numpy(np.array(image, dtype=np.float32)).movedim(2, 0),
    )
    fake.get_tokenizer = lambda name: lambda texts: torch.tensor([[len(each), 3, 4, 5] for each in texts])
    monkeypatch.setitem(sys.modules, "open_clip", fake)
    monkeypatch.chdir(tmp_path)
    code = code.replace("data/val2017/", f"{data.image_dir}/")
    code = code.replace("data/annotations/captions_val2017.json", str(data.annotation_file))
    (tmp_path / "vectors").mkdir(exist_ok=True)
    exec(compile(code, "settings.md", "exec"), {})
    made = freeze_all(data._replace(embeddings_dir=tmp_path / "vectors"))
    assert len(cache.load(made.meta_file).img) == 12
