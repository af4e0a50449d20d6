"""The frozen cache: the same bytes each time, and nothing that was changed is ever used."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize

from common import files, records
from common.errors import UserError
from common.retrieval import cache, meta, text_cache
from common.retrieval.distributed import Team
from tests.support import PROJECT


def content(n_images: int = 6, **changed) -> meta.Meta:
    """The meta of a cache of n images with two captions each."""
    rows = range(n_images)
    fields = {
        "model": "some/clip",
        "seed": 42,
        "num_images": n_images,
        "captions_per_image": 2,
        "revision": "abc",
        "processor": "CLIPImageProcessorPil",
        "dtype": "float32",
        "image_folder": "images",
        "bundled_sample": False,
        "fingerprints": meta.Fingerprints(annotation_file="0" * 64, images="1" * 64),
        "versions": {"torch": "2"},
        "sampled_img_ids": [10 + row for row in rows],
        "file_names": [f"{row}.jpg" for row in rows],
        "caption_ids": [100 + row for row in range(2 * n_images)],
        "captions": [f"caption {row}" for row in range(2 * n_images)],
        "gt_img_index": [row // 2 for row in range(2 * n_images)],
    }
    return meta.Meta(**fields | changed)


def rows(n: int, seed: int = 0) -> torch.Tensor:
    return normalize(torch.randn(n, 8, generator=torch.Generator().manual_seed(seed)), dim=1)


@pytest.fixture
def written(tmp_path) -> Path:
    return cache.write(tmp_path / "cache", rows(6), rows(12, 1), content())


def test_what_is_written_is_read_back(written):
    found = cache.load(written)
    assert written.name == "meta_6_some_clip.json"
    torch.testing.assert_close(found.img, rows(6), atol=0, rtol=0)
    torch.testing.assert_close(found.txt, rows(12, 1), atol=0, rtol=0)
    assert found.meta.captions[3] == "caption 3"
    assert found.gt.tolist() == found.meta.gt_img_index and found.gt.dtype == "int64"


def test_the_same_content_gives_the_same_bytes(written, tmp_path):
    other = cache.write(tmp_path / "elsewhere" / "deeper", rows(6), rows(12, 1), content())
    for file in sorted(written.parent.iterdir()):
        assert file.read_bytes() == (other.parent / file.name).read_bytes()


def test_rows_that_are_not_of_length_one_are_never_written(tmp_path):
    for img in (rows(6) * 2, torch.full((6, 8), torch.nan), torch.zeros(6, 8)):
        with pytest.raises(UserError, match="the model gave 6 of 6 img rows"):
            cache.write(tmp_path / "cache", img, rows(12), content())
    with pytest.raises(ValueError):
        cache.write(tmp_path / "cache", rows(5), rows(12), content())
    assert not list(tmp_path.glob("cache/meta_*"))


@pytest.mark.parametrize("kind", ["img", "txt"])
def test_a_flipped_bit_is_found(written, kind):
    path = written.with_name(written.name.replace("meta", kind)).with_suffix(".pt")
    data = bytearray(path.read_bytes())
    values = (rows(6) if kind == "img" else rows(12, 1)).numpy().tobytes()
    data[data.index(values) + 5] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError) as caught:
        cache.load(written)
    assert path.name in str(caught.value) and "python main.py" in str(caught.value)


@pytest.mark.parametrize("keep", [0, 10, 500, -20])
def test_a_truncated_tensor_is_found(written, keep):
    path = written.with_name("img_6_some_clip.pt")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"img_6_some_clip\.pt is damaged or cut off"):
        cache.load(written)


def test_a_tensor_of_another_cache_is_found(written, tmp_path):
    other = cache.write(tmp_path / "other", rows(6, 5), rows(12, 1), content())
    (other.parent / "img_6_some_clip.pt").replace(written.with_name("img_6_some_clip.pt"))
    with pytest.raises(UserError, match="does not hold what was written"):
        cache.load(written)


def test_a_missing_tensor_is_found(written):
    written.with_name("txt_6_some_clip.pt").unlink()
    with pytest.raises(UserError, match="was not found, though its meta file is there"):
        cache.load(written)


@pytest.mark.parametrize(
    ("old", "new"),
    [("caption 3", "caption 4"), ("2.jpg", "3.jpg"), ("103", "104"), ('"captions"', '"Captions"')],
)
def test_an_edited_meta_file_is_found(written, old, new):
    text = written.read_text()
    assert text.count(old) == 1
    written.write_text(text.replace(old, new))
    with pytest.raises(UserError, match="was changed after it was written|lacks captions"):
        cache.load(written)


def test_a_meta_file_cut_off_is_found(written):
    written.write_bytes(written.read_bytes()[:100])
    with pytest.raises(UserError, match="not valid JSON"):
        cache.load(written)


def test_later_steps_find_the_one_cache(tmp_path, written):
    assert meta.find(written.parent) == written
    assert meta.find(written) == written
    with pytest.raises(UserError, match="run `python main.py` first"):
        meta.find(tmp_path / "nothing")
    cache.write(written.parent, rows(7), rows(14), content(7))
    with pytest.raises(UserError, match="holds 2 caches"):
        meta.find(written.parent)


def test_only_a_default_folder_falls_back_to_its_sample(tmp_path, monkeypatch):
    """Once it holds a cache of its own, that is the one. A folder that a user names is used as it is."""
    monkeypatch.setattr(meta, "DEFAULT_FOLDERS", (tmp_path / "cache",))
    for name in ("cache", "named"):
        sample = cache.write(tmp_path / name / "sample", rows(6), rows(12), content(bundled_sample=True))
    assert meta.find(tmp_path / "cache") == tmp_path / "cache" / "sample" / sample.name
    with pytest.raises(UserError, match="named/ holds no cache"):
        meta.find(tmp_path / "named")
    own = cache.write(tmp_path / "cache", rows(6), rows(12), content())
    assert meta.find(tmp_path / "cache") == own


def test_the_sample_has_a_folder_of_its_own_in_a_default_one(monkeypatch):
    monkeypatch.setattr(meta, "DEFAULT_FOLDERS", (Path("x"),))
    sample = content(bundled_sample=True)
    assert meta.own_folder(Path("x"), content()) == Path("x")
    assert meta.own_folder(Path("x"), sample) == Path("x/sample")
    assert meta.own_folder(Path("named"), sample) == Path("named")


def test_the_identity_follows_rows_and_tensors(tmp_path, written):
    one = meta.read(written).fingerprint
    renamed = content(captions=["other"] + content().captions[1:])
    for number, (img, fields) in enumerate([(rows(6, 9), content()), (rows(6), renamed)]):
        other = cache.write(tmp_path / str(number), img, rows(12, 1), fields)
        assert meta.read(other).fingerprint != one


def keep_all(shards: cache.Shards, n: int = 10) -> list[range]:
    """Encode what is missing, as freezing.py does; returns what was."""
    missing = shards.missing("img", n)
    for positions in missing:
        shards.keep("img", positions, rows(n)[positions.start : positions.stop])
    return missing


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(cache, "SHARD", {"img": 4, "txt": 4})


def test_only_what_is_missing_is_asked_for(tmp_path, small_shards):
    shards = cache.Shards(tmp_path, "10_m", {"seed": 1})
    shards.keep("img", range(4, 8), rows(10)[4:8])
    again = cache.Shards(tmp_path, "10_m", {"seed": 1})
    assert again.mine("img", 10) == [range(0, 4), range(4, 8), range(8, 10)]
    assert keep_all(again) == [range(0, 4), range(8, 10)]
    torch.testing.assert_close(again.all("img", 10), rows(10), atol=0, rtol=0)
    assert again.missing("img", 10) == []


def test_shards_of_two_ways_of_encoding_never_meet(tmp_path, small_shards):
    shards = cache.Shards(tmp_path, "10_m", {"seed": 1})
    keep_all(shards)
    other = cache.Shards(tmp_path, "10_m", {"seed": 2})
    assert other.others == [shards.folder]
    assert len(keep_all(other)) == 3
    shards.remove()
    assert not shards.folder.exists() and other.folder.exists()


def test_each_process_has_shards_of_its_own(tmp_path, small_shards, monkeypatch):
    monkeypatch.setattr(Team, "gather", lambda self, value: [value] * self.size)
    teams = [cache.Shards(tmp_path, "10_m", {}, Team(number, 2)) for number in range(2)]
    assert [shards.mine("img", 10) for shards in teams] == [[range(0, 4), range(8, 10)], [range(4, 8)]]
    for shards in teams:
        keep_all(shards)
    for shards in teams:
        torch.testing.assert_close(shards.all("img", 10), rows(10), atol=0, rtol=0)


SPOILS = [lambda d: d[:-30], lambda d: b"", lambda d: d[:200] + b"\xff" * 90 + d[290:]]


@pytest.mark.parametrize("spoil", SPOILS)
def test_a_damaged_shard_is_encoded_again(tmp_path, spoil):
    shards = cache.Shards(tmp_path, "10_m", {"seed": 1})
    keep_all(shards)
    path = next(shards.folder.iterdir())
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(UserError, match="img_000000.pt was damaged after it was written"):
        shards.all("img", 10)
    assert keep_all(shards) == [range(10)]
    torch.testing.assert_close(shards.all("img", 10), rows(10), atol=0, rtol=0)


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "file.json"
    files.write_bytes(path, b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(UserError, match="No space left on device") as caught:
        files.write_bytes(path, b"new")
    assert str(path) in str(caught.value)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


HOLD = """
import sys, time
from pathlib import Path
from common.retrieval import cache
with cache.locked(Path(sys.argv[1]), "6_m", lambda: None):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_run_waits_and_a_killed_one_leaves_no_lock(tmp_path):
    project = PROJECT
    holder = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], cwd=project, stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    (tmp_path / ".img_6_m.pt.99999.tmp").write_bytes(b"half a file")
    waited = []

    def on_wait():
        waited.append(time.monotonic())
        holder.kill()

    with cache.locked(tmp_path, "6_m", on_wait):
        assert len(waited) == 1
        assert not list(tmp_path.glob("*.tmp")), "what the killed run left is cleared"
    holder.wait()
    holder.stdout.close()


def test_a_fingerprint_follows_values_and_shape_alone(tmp_path):
    """Not the order in which they are in memory."""
    turned = rows(6).t().contiguous().t()
    for name, img in (("one", rows(6)), ("two", turned)):
        cache.write(tmp_path / name, img, rows(12, 1), content())
    one, two = (meta.read(meta.find(tmp_path / name)).fingerprints for name in ("one", "two"))
    assert not turned.is_contiguous() and one == two
    cache.write_rows(tmp_path / "rows", rows(6))
    cache.write_rows(tmp_path / "reshaped", rows(6).reshape(8, 6))
    assert (tmp_path / "rows").read_bytes()[:64] != (tmp_path / "reshaped").read_bytes()[:64]


def test_the_folder_s_page_names_every_field_of_its_files():
    page = (PROJECT / "cache" / "README.md").read_text(encoding="utf-8")
    page = page.split("## The meta file", 1)[1]
    named = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    of_meta = [*records.names(meta.Meta), *records.names(meta.Fingerprints)]
    assert named == [*of_meta, *records.names(text_cache.Note)]
