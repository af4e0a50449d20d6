"""What was drawn: what rows are checked against, and the number of failures, with or without a cache."""

import pytest

from common.errors import UserError
from common.labels import drawn
from tests.support import merge_folder as study


@pytest.fixture
def root(tmp_path):
    study.write_cache(tmp_path / "cache")
    study.write_samples(tmp_path / "failures", study.PARTS)
    study.write_manifest(tmp_path / "failures", "177f03a14bd3f1e2", failures=1811)
    return tmp_path


def read(root):
    return drawn.read(root / "cache", root / "failures")


def test_with_a_cache(root):
    folder = read(root)
    assert dict(folder.known.captions) == dict(enumerate(study.CAPTIONS))
    assert folder.annotators == ["A", "B", "C"]
    assert folder.known.predicted[6] == study.predicted(6)
    assert (folder.seed, folder.population) == (42, 1811)
    assert len(folder.sources) == 2


def test_without_a_cache_the_drawn_failures_and_their_manifest(root):
    (root / "cache" / "meta_20_tiny.json").unlink()
    folder = read(root)
    assert len(folder.known.captions) == 17
    assert (folder.seed, folder.population) == (7, 1811)


def test_without_a_manifest_nobody_knows_the_population(root):
    (root / "failures" / "manifest.json").unlink()
    assert read(root).population is None
    (root / "cache" / "meta_20_tiny.json").unlink()
    assert (read(root).seed, read(root).population) == (0, None)


def test_a_broken_manifest_is_refused(root):
    (root / "failures" / "manifest.json").write_text('{"fingerprint": "x"}', encoding="utf-8")
    with pytest.raises(UserError, match="manifest.json"):
        read(root)
