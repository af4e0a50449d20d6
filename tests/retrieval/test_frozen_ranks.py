"""Frozen ranks: counted once, the same bytes each time, and never those of another cache."""

import dataclasses
import re

import numpy as np
import pytest

from common import records
from common.errors import UserError
from common.retrieval import cache, frozen_ranks, ranking, ranks
from common.retrieval.distributed import ALONE
from tests.support import PROJECT, noise_cache

NAMES = [each.name for each in dataclasses.fields(ranks.Ranks)]


@pytest.fixture
def frozen(tmp_path) -> cache.Cache:
    return cache.load(noise_cache.write(tmp_path))


def of(frozen: cache.Cache) -> ranks.Ranks:
    return frozen_ranks.of(frozen.meta_file, frozen.meta)


def files_of(frozen: cache.Cache) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(frozen.meta_file.parent.glob("ranks_*"))}


def refuse_to_count(*arguments):
    raise AssertionError("ranks were counted again")


def test_ranks_are_counted_once_then_read(frozen, monkeypatch):
    counted = of(frozen)
    expected = ranking.rank(frozen.txt, frozen.img, frozen.gt)
    monkeypatch.setattr(ranking, "rank", refuse_to_count)
    read = of(frozen)
    for name in NAMES:
        np.testing.assert_array_equal(getattr(read, name), getattr(counted, name))
        assert getattr(read, name).dtype == getattr(counted, name).dtype
    for field in dataclasses.fields(ranks.Ranking):
        np.testing.assert_array_equal(getattr(read, field.name), getattr(expected, field.name))
    for idx, (own, other) in enumerate(zip(frozen.gt, read.best_other, strict=True)):
        cosine = float(frozen.img[own].double() @ frozen.img[other].double())
        assert read.own_other_cosine[idx] == pytest.approx(cosine, abs=1e-14)
    assert frozen_ranks.freeze(frozen, "cpu", ALONE).rank.tolist() == expected.rank.tolist()


def test_counted_again_they_are_the_same_bytes(frozen):
    of(frozen)
    before = files_of(frozen)
    assert list(before) == ["ranks_40_noise-0.json", "ranks_40_noise-0.npz"]
    for name in before:
        (frozen.meta_file.parent / name).unlink()
    frozen_ranks.freeze(frozen, "cpu", ALONE)
    assert files_of(frozen) == before


def test_ranks_of_a_changed_cache_are_refused(frozen):
    of(frozen)
    content = records.replace(frozen.meta, captions=["changed", *frozen.meta.captions[1:]])
    changed = cache.load(cache.write(frozen.meta_file.parent, frozen.img, frozen.txt, content))
    assert changed.meta_file == frozen.meta_file
    with pytest.raises(UserError, match=r"ranks_40_noise-0.json is of another cache .*run `python main.py`"):
        of(changed)
    frozen_ranks.freeze(changed, "cpu", ALONE)
    assert of(changed).rank.tolist() == ranking.rank(frozen.txt, frozen.img, frozen.gt).rank.tolist()


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_damaged_ranks_are_refused(frozen, damage):
    of(frozen)
    before, path = files_of(frozen), frozen.meta_file.parent / "ranks_40_noise-0.npz"
    path.unlink() if damage == "gone" else path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(UserError, match=r"ranks_40_noise-0.npz was not found, or does not hold"):
        of(frozen)
    frozen_ranks.freeze(frozen, "cpu", ALONE)
    assert files_of(frozen) == before


def test_ranks_that_other_code_counted_are_counted_anew(frozen, monkeypatch, tmp_path):
    """Who edits the tie rule must not meet ranks of the old one."""
    of(frozen)
    edited = tmp_path / "ranking.py"
    edited.write_bytes(ranks.CODE[0].read_bytes() + b"# another rule\n")
    assert ranks.CODE[0].name == edited.name
    monkeypatch.setattr(ranks, "CODE", (edited, *ranks.CODE[1:]))
    assert ranks.read(frozen.meta_file, frozen.meta) is None
    of(frozen)
    assert ranks.read(frozen.meta_file, frozen.meta) is not None


def test_the_readme_names_every_array_and_field():
    readme = (PROJECT / "cache" / "README.md").read_text(encoding="utf-8")
    section = readme.split("## The ranks", 1)[1].split("## The meta", 1)[0]
    arrays, fields = (re.findall(r"^\| `(\w+)` \|", part, re.M) for part in section.split("The `.json`"))
    assert sorted(arrays) == sorted(NAMES)
    assert fields == records.names(ranks.Note)
