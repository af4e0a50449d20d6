"""SugarCrepe's files: read whole, held to what was published, joined with a cache's captions; and fetched."""

import hashlib
import http.server
import json
import shutil
import threading
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from common.errors import UserError
from common.retrieval import cache, coco, meta, probe_items, text_cache
from tests.support import probes

IMAGES = SimpleNamespace(
    file_names=["1.jpg", "2.jpg"],
    captions=["A red dog. ", "A cat", "A red dog.", "A cat", "caf\u00e9"],
    gt_img_index=[0, 0, 0, 1, 1],
)


@pytest.fixture
def folder(tmp_path):
    items = {
        "replace_att": [("1.jpg", "A red dog.", "A blue dog."), ("2.jpg", "A cat", "A big cat")],
        "swap_obj": [("2.jpg", "A red dog.", "x"), ("3.jpg", "A cat", "y"), ("2.jpg", "cafe\u0301", "z")],
    }
    return probes.write(tmp_path / "probe", items)


def test_items_are_joined_on_image_and_caption(folder):
    joined = probe_items.join(probe_items.read(folder, as_published=False), IMAGES)
    found = [(item.kind, item.key, int(idx)) for item, idx in zip(joined.items, joined.idx, strict=True)]
    assert found == [("swap_obj", "2", 4), ("replace_att", "0", 0), ("replace_att", "1", 3)]
    assert list(map(str, joined.without_caption)) == ["swap_obj 0: 2.jpg, 'A red dog.'"]
    assert joined.elsewhere == 6


def test_all_published_items_are_read_and_joined(coco_dir):
    """7,511 items, of which 7,504 have one of the first five captions; the others are named."""
    probe = probe_items.read(probes.published(coco_dir), as_published=True)
    captions = coco.read_captions(coco_dir / "annotations" / "captions_val2017.json")
    sample = coco.sample(captions, 5000, 5, 42)
    joined = probe_items.join(probe, sample)
    assert probe.published and len(probe.items) == 7511
    assert (len(joined.items), joined.elsewhere) == (7504, 0)
    named = [f"{item.kind} {item.key}" for item in joined.without_caption]
    expected = "add_obj 832,add_obj 1979,add_obj 1993,replace_att 766,replace_obj 919"
    assert sorted(named) == sorted([*expected.split(","), "replace_rel 301", "replace_rel 878"])
    for item, idx in list(zip(joined.items, joined.idx.tolist(), strict=True))[::97]:
        assert sample.captions[idx].strip() == item.caption.strip()
        assert sample.file_names[sample.gt_img_index[idx]] == item.file_name


def test_a_missing_file_is_named(folder):
    (folder / "add_att.json").unlink()
    with pytest.raises(UserError, match=r"(?s)1 of SugarCrepe's 7 files .*--download True.*\n  add_att.json"):
        probe_items.read(folder, as_published=False)


def test_a_changed_file_is_named(coco_dir, tmp_path):
    shutil.copytree(probes.published(coco_dir), tmp_path / "copy", copy_function=shutil.copyfile)
    path = tmp_path / "copy" / "swap_att.json"
    path.write_bytes(path.read_bytes().replace(b"White", b"Green", 1))
    with pytest.raises(UserError, match=r"(?s)1 file in .*differ.*\n  swap_att.json$"):
        probe_items.read(tmp_path / "copy", as_published=True)
    assert not probe_items.read(tmp_path / "copy", as_published=False).published


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not valid JSON"),
        ("[]", "is no file of SugarCrepe's"),
        ("{}", "is no file of SugarCrepe's"),
        ('{"7": {"filename": "1.jpg", "caption": "a", "negative_caption": ""}}', "1 item lack.*\n  7"),
        ('{"7": {"filename": "1.jpg", "caption": 3, "negative_caption": "b"}}', "1 item lack.*\n  7"),
        ('{"7": "a"}', "1 item lack.*\n  7"),
    ],
)
def test_a_file_that_is_none_is_named(folder, content, said):
    (folder / "add_obj.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=f"(?s)add_obj.json.*{said}"):
        probe_items.read(folder, as_published=False)


def test_items_of_other_images_alone_are_refused(folder):
    images = SimpleNamespace(file_names=["9.jpg"], captions=["A cat"], gt_img_index=[0])
    with pytest.raises(UserError, match="none of the 10 items .* 10 are of other images"):
        probe_items.join(probe_items.read(folder, as_published=False), images)


# ---- fetched ----------------------------------------------------------------------------------------------


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server of seven small files, which count as the published ones."""
    probes.write(tmp_path / "served", {})
    kinds = []
    for kind in probe_items.KINDS:
        if kind.size:
            data = (tmp_path / "served" / kind.file).read_bytes()
            kind = kind._replace(size=len(data), sha256=hashlib.sha256(data).hexdigest())
        kinds.append(kind)
    monkeypatch.setattr(probe_items, "KINDS", tuple(kinds))
    monkeypatch.setenv("no_proxy", "*")
    handler = partial(Quiet, directory=tmp_path / "served")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield SimpleNamespace(url=f"http://127.0.0.1:{running.server_port}/", files=tmp_path / "served")
        running.shutdown()


def test_missing_files_are_fetched_and_verified(server, tmp_path):
    folder = tmp_path / "data" / "probe"
    assert [path.stem for path in probe_items.fetch(folder, server.url)] == probes.TYPES
    assert probe_items.read(folder, as_published=True).published
    assert probe_items.fetch(folder, server.url) == []
    (folder / "swap_obj.json").unlink()
    assert [path.name for path in probe_items.fetch(folder, server.url)] == ["swap_obj.json"]


def test_another_file_than_the_published_is_never_kept(server, tmp_path):
    folder, served = tmp_path / "probe", server.files / "swap_att.json"
    served.write_bytes(served.read_bytes().replace(b"dog", b"cow"))
    with pytest.raises(UserError, match="is not the official archive: its sha256 is") as caught:
        probe_items.fetch(folder, server.url)
    assert "mirror" not in str(caught.value), "that one has COCO's archives"
    assert not list(folder.glob("swap_att*"))
    (folder / "add_att.json").write_text(json.dumps({}), encoding="utf-8")
    with pytest.raises(UserError, match="is not the official archive"):
        probe_items.fetch(folder, server.url)
    assert (folder / "add_att.json").read_text(encoding="utf-8") == "{}", "a user's file stays"


def test_published_sizes_and_sums_are_those_of_the_files(coco_dir):
    folder = probes.published(coco_dir)
    for kind in probe_items.KINDS:
        if kind.size:
            data = (folder / kind.file).read_bytes()
            assert (len(data), hashlib.sha256(data).hexdigest()) == (kind.size, kind.sha256)


# ---- scores -----------------------------------------------------------------------------------------------


def test_imported_rows_are_compared_with_a_model_that_gives_them(tmp_path, tiny_clip_folder):
    """Both texts are then the model's: imported rows may differ from its own by more than two texts do."""
    from common.retrieval import encoder, models

    captions, negatives = ["a red dog", "the cat stands"], ["a blue dog", "the dog stands"]
    source = models.locate(str(tiny_clip_folder))
    rows = encoder.load(source, "cpu", "float32", [], []).encode_texts([*captions, *negatives], 64)
    noise = torch.randn(rows[:2].shape, generator=torch.Generator().manual_seed(0)) * 3e-3
    imported = torch.nn.functional.normalize(rows[:2] + noise, dim=1)
    making = {
        **{"seed": 1, "num_images": 1, "captions_per_image": 2, "model": "tiny-clip", "revision": "x"},
        **{"processor": "", "dtype": "float32", "image_folder": "", "bundled_sample": False, "versions": {}},
        **{"sampled_img_ids": [7], "file_names": ["1.jpg"], "caption_ids": [1, 2], "captions": captions},
        **{"gt_img_index": [0, 0], "fingerprints": meta.Fingerprints(), "imported_from": "vectors"},
    }
    frozen = cache.load(cache.write(tmp_path, rows[3:], imported, meta.Meta(**making)))
    items = [
        probe_items.Item("add_obj", "0", "1.jpg", *pair) for pair in zip(captions, negatives, strict=True)
    ]
    joined = probe_items.Joined(items, np.array([0, 1]), 0, [])
    with pytest.raises(UserError, match="made elsewhere .* set MODEL_DIR"):
        probe_items.scores(joined, frozen, text_cache.TextCache(frozen, None, "cpu"))
    texts = text_cache.TextCache(frozen, tiny_clip_folder, "cpu")
    found = probe_items.scores(joined, frozen, texts)
    expected = (rows.double() @ rows[3].double()).numpy()
    assert np.allclose(np.concatenate(found), expected, atol=1e-6)
