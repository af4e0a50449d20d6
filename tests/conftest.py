"""What tests share. A study of the bundled sample is made once a session: tests read it, or change a copy."""

import os
from pathlib import Path

import pytest

from tests.support import PROJECT, browsing, folders, running, workers

workers.share_cores()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests first, the longest of them (a study's steps) before the others.

    At the end of a shared session a single one would keep the other workers waiting.
    """
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    n_slow = sum(item.get_closest_marker("slow") is not None for item in items)
    items[:n_slow] = reversed(items[:n_slow])


@pytest.fixture(scope="session")
def coco_dir() -> Path:
    """The folder of real COCO files that COCO_DIR names; tests that need it are skipped without it."""
    if not os.environ.get("COCO_DIR"):
        pytest.skip("COCO_DIR isn't set: no real COCO files to test with")
    return Path(os.environ["COCO_DIR"])


@pytest.fixture(scope="session")
def run_script():
    """Run a script in this process as `python <script> <options>` would: (exit status, stdout, stderr)."""
    return running.run


@pytest.fixture(scope="session")
def browser():
    """A Chromium for all tests. Each visits pages in a context of its own (`browser.new_context`)."""
    yield from browsing.opened()


@pytest.fixture(scope="session")
def tiny_clip_folder(tmp_path_factory) -> Path:
    from tests.support import model_folders  # imports transformers, which many tests don't need

    return model_folders.tiny_clip(tmp_path_factory.mktemp("models") / "tiny-clip")


# ---- the bundled sample, one step after the other ----------------------------------------------------------


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Path:
    """Where it is written down which studies the session has."""
    return workers.session_folder(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def sample_measured(tmp_path_factory, made) -> folders.Folders:
    """The sample after step 1: cache and baseline."""
    if (PROJECT / "data" / "val2017").is_dir():
        pytest.skip("data/val2017 was found, so main.py does not take the bundled sample")
    from tests.support import sample_study

    return workers.once(
        made / "sample_measured", lambda: sample_study.measured(tmp_path_factory.mktemp("sample"))
    )


@pytest.fixture(scope="session")
def sample_run(sample_measured) -> tuple[str, Path]:
    """`main.py` on the bundled sample: (what it said, its CACHE_DIR)."""
    return sample_measured.said["main.py"], sample_measured.cache


@pytest.fixture(scope="session")
def sample_cache(sample_measured):
    """The bundled sample's Cache."""
    from common.retrieval import cache, meta

    return cache.load(meta.find(sample_measured.cache))


@pytest.fixture(scope="session")
def sample_drawn(sample_measured, made) -> folders.Folders:
    """The sample after step 2 with its default settings: sheets still blank. Not to be changed."""
    from tests.support import sample_study

    return workers.once(made / "sample_drawn", lambda: sample_study.drawn(sample_measured))


@pytest.fixture(scope="session")
def sample_study(sample_measured, tmp_path_factory, made) -> folders.Folders:
    """The sample after all steps, with a small draw and few methods. Not to be changed."""
    from tests.support import sample_study

    return workers.once(
        made / "sample_study", lambda: sample_study.whole(sample_measured, tmp_path_factory.mktemp("study"))
    )


# ---- 600 photographs, vectors made elsewhere ---------------------------------------------------------------


@pytest.fixture(scope="session")
def imported_study(coco_dir, tmp_path_factory) -> folders.Folders:
    """A study of the 600 photographs from their vectors' own files, all steps. Not to be changed."""
    from tests.support import imported_study

    return imported_study.whole(coco_dir, tmp_path_factory.mktemp("imported"))


# ---- small datasets ----------------------------------------------------------------------------------------


@pytest.fixture
def tiny_dataset(tmp_path) -> Path:
    """A COCO captions folder of 12 images of noise with two or three captions each."""
    return folders.write_dataset(tmp_path / "data", n_images=12)
