"""What tests share: real COCO files where they are, tiny datasets and models, and a way to run a script."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support import PROJECT


@pytest.fixture(scope="session")
def coco_dir() -> Path:
    """The folder of real COCO files that COCO_DIR names; tests that need it are skipped without it."""
    if not os.environ.get("COCO_DIR"):
        pytest.skip("COCO_DIR isn't set: no real COCO files to test with")
    return Path(os.environ["COCO_DIR"])


@pytest.fixture
def run_script(monkeypatch, capsys):
    """Run a script in this process as `python <script> <options>` would: (exit status, stdout, stderr)."""

    def run(script: str, *options) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [script, *map(str, options)])
        status = 0
        try:
            runpy.run_path(str(PROJECT / script), run_name="__main__")
        except SystemExit as error:
            status = error.code or 0
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return run


@pytest.fixture(scope="session")
def tiny_clip_folder(tmp_path_factory) -> Path:
    from tests.support import model_folders  # imports transformers, which many tests don't need

    return model_folders.tiny_clip(tmp_path_factory.mktemp("models") / "tiny-clip")


@pytest.fixture(scope="session")
def sample_run(tmp_path_factory) -> tuple[str, Path]:
    """`main.py` on the bundled sample, once for all tests: (what it said, its CACHE_DIR)."""
    folder = tmp_path_factory.mktemp("sample")
    results = folder / "sample" / "results"
    options = [
        "--image-dir",
        "data/val2017",
        "--cache-dir",
        folder,
        "--result-dir",
        results,
        "--device",
        "cpu",
    ]
    if (PROJECT / "data" / "val2017").is_dir():
        pytest.skip("data/val2017 is there, so the bundled sample doesn't stand in")
    run = subprocess.run(
        [sys.executable, "main.py", *options], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, ""), run.stderr
    return run.stdout, folder


@pytest.fixture(scope="session")
def sample_cache(sample_run):
    """The bundled sample's Cache."""
    from common.retrieval import cache, meta

    return cache.load(meta.find(sample_run[1]))


@pytest.fixture
def tiny_dataset(tmp_path) -> Path:
    """A COCO captions folder of 12 images of noise with two or three captions each."""
    return write_dataset(tmp_path / "data", n_images=12)


def write_dataset(folder: Path, n_images: int, size: int = 24) -> Path:
    """Images as JPEG and PNG in `images/`, captions in `captions.json`. Ids aren't in order, as in COCO."""
    (folder / "images").mkdir(parents=True)
    noise = np.random.default_rng(0)
    images, annotations = [], []
    for number in range(n_images):
        image_id = 1000 - 7 * number
        name = f"{image_id:012d}.{'png' if number % 3 == 0 else 'jpg'}"
        pixels = noise.integers(0, 256, (size, size + number, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / name)
        images.append({"id": image_id, "file_name": name, "width": size + number, "height": size})
        for k in range(2 + number % 2):
            caption = f"a dog {'sits ' * k}on table {number}"
            annotations.append({"id": 500 - 10 * number - k, "image_id": image_id, "caption": caption})
    content = {"images": images, "annotations": annotations}
    (folder / "captions.json").write_text(json.dumps(content), encoding="utf-8")
    return folder
