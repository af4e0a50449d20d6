"""Photographs that labels would be about: found where step 1 encoded them, and only those."""

from pathlib import Path

import pytest

from common import records
from common.annotation import material
from common.errors import UserError
from common.retrieval import images, meta
from common.retrieval.meta import Meta
from tests.support import noise_cache


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Meta:
    return meta.read(noise_cache.write(tmp_path_factory.mktemp("noise"), n_images=4))


def encoded(made: Meta, fingerprint: str | None) -> Meta:
    return records.replace(made, fingerprints=records.replace(made.fingerprints, images=fingerprint))


def test_photographs_are_found_where_they_were_encoded(made):
    folder = Path(made.image_folder)
    assert material.find_photographs(None, made) == folder
    assert material.find_photographs(folder.parent, made) == folder.parent  # the one that is named counts
    same = images.fingerprint(folder, made.file_names)
    assert material.find_photographs(None, encoded(made, same)) == folder


def test_other_photographs_than_those_encoded_are_refused(made):
    with pytest.raises(UserError, match="other photographs than those that were encoded"):
        material.find_photographs(None, encoded(made, "0" * 64))


def test_a_folder_that_is_not_there_is_named(made, tmp_path):
    with pytest.raises(UserError, match="nowhere/, .* was not found: .*--image-dir"):
        material.find_photographs(tmp_path / "nowhere", made)
