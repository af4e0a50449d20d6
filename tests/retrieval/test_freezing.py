"""Making a cache: what it is compared by, what is encoded again after a stop, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from common.errors import UserError
from common.retrieval import cache, coco, encoder, freezing, meta, models
from common.retrieval.distributed import ALONE
from common.retrieval.freezing import Data, Wanted


@pytest.fixture
def data(tiny_dataset, tiny_clip_folder, tmp_path) -> Data:
    return Data(
        str(tiny_clip_folder),
        tiny_dataset / "images",
        tiny_dataset / "captions.json",
        tmp_path / "cache",
        tmp_path / "results",
        False,
    )


@pytest.fixture
def sample(data) -> coco.Sample:
    return coco.sample(coco.read_captions(data.annotation_file), 12, 5, 42)


@pytest.fixture
def towers(tiny_clip_folder) -> encoder.Encoder:
    return encoder.load(models.locate(str(tiny_clip_folder)), "cpu", "float32", [], [])


def wanted(**changed) -> Wanted:
    asked = {"seed": 42, "captions_per_image": 5, "dtype": "float32", "device": "cpu", "batch_size": 4}
    return Wanted(**asked | changed)


def freeze(data, sample, **changed) -> tuple[freezing.Frozen, list[str]]:
    """What `freeze` returns, and what it said meanwhile."""
    said = []
    return freezing.freeze(data, sample, wanted(**changed), ALONE, said.append), said


def test_the_first_run_makes_and_the_second_finds(data, sample):
    made, said = freeze(data, sample)
    assert made == (data.cache_dir / "meta_12_tiny-clip.json", True, [], [])
    assert said == ["Encoding with CLIPModel on cpu in float32"]
    found, said = freeze(data, sample)
    assert found == made._replace(made=False) and said == []
    content = cache.load(made.meta_file).meta
    assert content.captions == sample.captions and content.batch_size == 4
    assert content.padding == "longest of the batch" and content.truncated_captions == 0


def test_what_is_not_here_is_not_compared(data, sample, monkeypatch):
    freeze(data, sample)
    for image in data.image_dir.iterdir():
        image.unlink()
    monkeypatch.setattr(models, "locate", lambda name, download=True: None)
    assert freeze(data, sample)[0].not_compared == ["revision", "processor", "images"]


def test_partial_results_of_other_settings_are_named(data, sample):
    left = data.cache_dir / "partial_12_tiny-clip_01234567"
    left.mkdir(parents=True)
    assert freeze(data, sample)[0].leftovers == [left]


def test_a_differing_setting_is_named_with_both_values(data, sample):
    """Another seed gives other rows too, but nobody is helped by two hashes."""
    found = meta.read(freeze(data, sample)[0].meta_file)
    other = coco.sample(coco.read_captions(data.annotation_file), 12, 5, 43)
    source = models.locate(data.model_name)
    identity = freezing.identify(data, other, wanted(seed=43), source)
    assert identity.rows != found.fingerprints.rows
    assert freezing.differences(found, identity) == ["SEED: 42 in the cache, 43 now"]
    identity = freezing.identify(data, sample, wanted(), source)
    assert freezing.differences(found, identity) == []
    identity = identity._replace(revision=None, images=None)
    assert freezing.differences(found, identity) == [], "what can't be known here is no difference"


def test_a_difference_that_only_a_hash_shows_is_shown_by_it(data, sample):
    found = meta.read(freeze(data, sample)[0].meta_file)
    identity = freezing.identify(data, sample, wanted(), None)._replace(annotation_file="f" * 64)
    (line,) = freezing.differences(found, identity)
    short = found.fingerprints.annotation_file[:12]
    assert line == f"ANNOTATION_FILE's content: SHA-256 {short} in the cache, {12 * 'f'} now"


def test_a_stopped_run_encodes_only_what_is_missing(data, sample, towers, monkeypatch, tmp_path):
    """Images and texts alike; the rows are those of a run in one go."""
    monkeypatch.setattr(cache, "SHARD", {"img": 5, "txt": 7})
    names, asked = sample.file_names, []

    def encoded(folder: str) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
        shards = cache.Shards(tmp_path / folder, "s", {})
        img = freezing.encode_images(towers, data.image_dir, names, 2, shards)
        return img, *freezing.encode_texts(towers, sample.captions, 2, shards)

    whole = encoded("one go")
    shards = cache.Shards(tmp_path / "stopped", "s", {})
    shards.keep("img", range(0, 5), whole[0][:5])
    stream, texts = towers.stream_images, towers.encode_texts

    def stream_images(groups, size):
        asked.extend(groups)
        return stream(groups, size)

    def encode_texts(some, size):
        asked.append(some)
        return texts(some, size)

    monkeypatch.setattr(towers, "stream_images", stream_images)
    monkeypatch.setattr(towers, "encode_texts", encode_texts)
    for one, other in zip(whole, encoded("stopped"), strict=True):
        np.testing.assert_array_equal(one, other)
    assert [[path.name for path in group] for group in asked[:2]] == [names[5:10], names[10:]]
    assert [len(some) for some in asked[2:]] == [7, 7, 7, 7, 2]
    asked.clear()
    encoded("stopped")
    assert asked == [], "nothing is left to do"


def test_equal_texts_are_encoded_once_and_get_equal_rows(towers, tmp_path):
    texts = ["a dog", "two cats sit under the red table with a man", "a dog", "the street", "a dog"]
    shards = cache.Shards(tmp_path, "s", {})
    rows, lengths = freezing.encode_texts(towers, texts, 2, shards)
    assert len(shards.all("txt", 3)) == 3
    assert (rows[0] == rows[2]).all() and (rows[0] == rows[4]).all()
    for text, row, length in zip(texts, rows, lengths, strict=True):
        torch.testing.assert_close(row, towers.encode_texts([text], 1)[0], atol=1e-6, rtol=0)
        assert length == towers.lengths([text])[0]


def test_all_images_that_do_not_decode_are_listed(data, sample, towers, monkeypatch, tmp_path):
    """Shards without one of them are kept; the others are never kept in part."""
    monkeypatch.setattr(cache, "SHARD", {"img": 4, "txt": 4})
    bad = [name for name in sample.file_names if name.endswith(".png")][:2]
    for name in bad:
        whole = (data.image_dir / name).read_bytes()
        (data.image_dir / name).write_bytes(whole[:200] + whole[-12:])
    shards = cache.Shards(tmp_path, "s", {})
    with pytest.raises(UserError, match="2 of 12 images in .* can't be used") as caught:
        freezing.encode_images(towers, data.image_dir, sample.file_names, 2, shards)
    assert all(f"\n  {name}: " in str(caught.value) for name in bad)
    spoiled = {sample.file_names.index(name) // 4 for name in bad}
    kept = {int(path.stem.removeprefix("img_")) // 4 for path in Path(shards.folder).iterdir()}
    assert kept == {0, 1, 2} - spoiled


def test_the_way_of_encoding_has_the_hash_that_it_always_had(data, sample, tmp_path, monkeypatch):
    """Rows kept by an interrupted run must still be found, but none of photographs opened by other rules."""
    named = []
    made = cache.Shards.__init__
    monkeypatch.setattr(
        cache.Shards, "__init__", lambda self, *given: named.append(given[2]) or made(self, *given)
    )
    freeze(data, sample)
    assert sorted(named[0]) == sorted(
        ["seed", "num_images", "captions_per_image", "revision", "processor", "dtype", "annotation_file"]
        + ["rows", "images", "device", "opening", "batch_size", "versions", "model"]
    )
    json.dumps(named[0])
