"""Encoded texts: the model's own rows, kept under the cache's identity, never another model's."""

import dataclasses

import pytest
import torch

from common import records
from common.errors import UserError
from common.retrieval import cache, encoder, meta, models, text_cache
from tests.support import model_folders

TEXTS = ["a dog sits on the table", "A photo: two cats", "red", "a dog sits on the table"]


@pytest.fixture
def frozen(tmp_path, tiny_clip_folder):
    captions = ["a red dog", "the cat stands", "two men with a woman in the street"]
    source = models.locate(str(tiny_clip_folder))
    txt = encoder.load(source, "cpu", "float32", [], []).encode_texts(captions, 64)
    return write_cache(tmp_path / "cache", captions, txt, source.revision)


def write_cache(folder, captions, txt, revision):
    content = {
        **{"seed": 1, "num_images": 1, "captions_per_image": 3, "model": "tiny-clip", "revision": revision},
        **{"processor": "", "dtype": "float32", "image_folder": "", "bundled_sample": False, "versions": {}},
        **{"sampled_img_ids": [7], "file_names": ["7.jpg"], "caption_ids": [1, 2, 3], "captions": captions},
        **{"gt_img_index": [0, 0, 0], "fingerprints": meta.Fingerprints()},
    }
    return cache.load(cache.write(folder, txt[:1], txt, meta.Meta(**content)))


def files_of(frozen):
    return sorted(frozen.meta_file.parent.glob("texts_*.pt"))


def test_rows_are_the_model_s_in_the_order_asked_for(frozen, tiny_clip_folder):
    texts = text_cache.TextCache(frozen, tiny_clip_folder, "cpu")
    texts.add(TEXTS, "some")
    towers = encoder.load(models.locate(str(tiny_clip_folder)), "cpu", "float32", [], [])
    assert torch.allclose(texts.rows(TEXTS), towers.encode_texts(TEXTS, 1), atol=1e-6)
    assert torch.equal(texts.rows(TEXTS[1:2]), texts.rows(TEXTS)[1:2])
    assert len(files_of(frozen)) == 1 and not list(frozen.meta_file.parent.glob("partial_*"))


def test_a_second_run_needs_no_model(frozen, tiny_clip_folder, tmp_path):
    first = text_cache.TextCache(frozen, tiny_clip_folder, "cpu")
    first.add(TEXTS, "some")
    second = text_cache.TextCache(frozen, tmp_path / "nowhere", "cpu")
    second.add(list(reversed(TEXTS)), "some")
    assert torch.equal(first.rows(TEXTS), second.rows(TEXTS))
    with pytest.raises(UserError, match="no such folder"):
        second.add(["another text"], "more")


def test_the_model_is_found_where_step_1_found_it(frozen, tiny_clip_folder, tmp_path):
    def of_source(source):
        made = dataclasses.replace(frozen, meta=records.replace(frozen.meta, model_source=str(source)))
        return text_cache.TextCache(made, None, "cpu")

    assert of_source(tiny_clip_folder).find().folder == tiny_clip_folder
    with pytest.raises(text_cache.NoModel, match="was not found on this machine"):
        of_source(tmp_path / "gone since").find()


def test_damaged_rows_are_encoded_again(frozen, tiny_clip_folder):
    texts = text_cache.TextCache(frozen, tiny_clip_folder, "cpu")
    texts.add(TEXTS, "some")
    (path,) = files_of(frozen)
    whole = path.read_bytes()
    path.write_bytes(whole[:-40] + bytes(40))
    text_cache.TextCache(frozen, tiny_clip_folder, "cpu").add(TEXTS, "some")
    assert path.read_bytes() == whole


def test_everybody_can_open_the_file(frozen, tiny_clip_folder):
    texts = text_cache.TextCache(frozen, tiny_clip_folder, "cpu")
    texts.add(TEXTS, "some")
    (path,) = files_of(frozen)
    note = records.read(path.with_suffix(".json"), text_cache.Note, "")
    assert note.text_of_row == sorted(set(TEXTS))
    assert torch.equal(torch.load(path, weights_only=True), texts.rows(note.text_of_row))


def test_what_an_earlier_version_encoded_is_read(frozen, tiny_clip_folder, tmp_path):
    """It wrote the rows' fingerprint in front of them, and no texts."""
    texts = text_cache.TextCache(frozen, tiny_clip_folder, "cpu")
    texts.add(TEXTS, "some")
    (path,) = files_of(frozen)
    note = records.read(path.with_suffix(".json"), text_cache.Note, "")
    cache.write_rows(path, torch.load(path, weights_only=True))
    records.write(path.with_suffix(".json"), records.replace(note, rows=None, text_of_row=None))
    before = path.read_bytes()
    again = text_cache.TextCache(frozen, tmp_path / "nowhere", "cpu")
    again.add(TEXTS, "some")
    assert torch.equal(again.rows(TEXTS), texts.rows(TEXTS)) and path.read_bytes() == before


@pytest.mark.parametrize("note", ["", "{", '{"cut_off": 0}', None])
def test_rows_without_a_whole_note_are_encoded_again(frozen, tiny_clip_folder, note):
    text_cache.TextCache(frozen, tiny_clip_folder, "cpu").add(TEXTS, "some")
    path = files_of(frozen)[0].with_suffix(".json")
    whole = path.read_bytes()
    path.unlink()
    if note is not None:
        path.write_text(note)
    text_cache.TextCache(frozen, tiny_clip_folder, "cpu").add(TEXTS, "some")
    assert path.read_bytes() == whole


def test_texts_that_are_too_long_are_counted_on_every_run(frozen, tiny_clip_folder):
    for _ in range(2):
        texts = text_cache.TextCache(frozen, tiny_clip_folder, "cpu")
        texts.add([*TEXTS, "dog " * 100], "some")
        assert texts.cut_off == {"some": 1}


def test_rows_of_another_cache_are_not_these(frozen, tiny_clip_folder):
    text_cache.TextCache(frozen, tiny_clip_folder, "cpu").add(TEXTS, "some")
    (before,) = files_of(frozen)
    captions = [*frozen.meta.captions[:2], "another caption"]
    other = write_cache(frozen.meta_file.parent, captions, frozen.txt, frozen.meta.revision)
    texts = text_cache.TextCache(other, tiny_clip_folder, "cpu")
    with pytest.raises(UserError, match="encodes the cache's own captions differently"):
        texts.add(TEXTS, "some")
    assert files_of(frozen) == [before]


def test_another_model_is_refused_and_a_missing_one_said(frozen, tmp_path):
    other = model_folders.tiny_clip(tmp_path / "tiny-clip", seed=1)
    with pytest.raises(UserError, match="set MODEL_DIR to the folder that step 1 used"):
        text_cache.TextCache(frozen, other, "cpu").add(TEXTS, "some")
    with pytest.raises(text_cache.NoModel, match="was not found on this machine"):
        text_cache.TextCache(frozen, None, "cpu").add(TEXTS, "some")
