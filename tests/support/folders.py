"""A study's folders, and small datasets to make one from."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Folders:
    """Where a study is."""

    root: Path
    said: dict[str, str] = field(default_factory=dict)  # script -> what it printed here, last of all

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    @property
    def failures(self) -> Path:
        return self.root / "failures"

    @property
    def results(self) -> Path:
        return self.root / "results"

    def options(self, *names: str) -> list[str]:
        """A script's options for its folders, of "cache", "failure" and "result"."""
        folders = {"cache": self.cache, "failure": self.failures, "result": self.results}
        return [text for name in names for text in (f"--{name}-dir", str(folders[name]))]


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
