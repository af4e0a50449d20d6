"""A small cache of noise photographs and random embeddings, with captions that try to break things."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from common.retrieval import cache
from common.retrieval.meta import Fingerprints, Meta

HOSTILE = [
    "<script>document.title = 'run'</script>",
    '=HYPERLINK("http://example.org","click")',
    "two\nlines, and a \"quote\"; 'single'",
    "caf\u00e9 \u2013 na\u00efve",
]


def write(folder: Path, n_images: int = 40, seed: int = 0) -> Path:
    """Write photographs and a cache with two captions an image into a folder; returns its meta file."""
    noise = np.random.default_rng(seed)
    torch.manual_seed(seed)
    photos = folder / "photos"
    photos.mkdir(parents=True)
    captions, gt = [], []
    for row in range(n_images):
        pixels = noise.integers(0, 256, (4 + row % 3, 5, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
        Image.fromarray(pixels).save(photos / f"{row:012d}.png")
        for k in range(2):
            hostile = HOSTILE[row % len(HOSTILE)] if k else "photo"
            captions.append(f"{hostile} {row if k else row // 2}")
            gt.append(row)
    img = torch.nn.functional.normalize(torch.randn(n_images, 16), dim=1)
    txt = torch.nn.functional.normalize(img[gt] + 1.2 * torch.randn(len(gt), 16), dim=1)
    content = Meta(
        seed=42,
        num_images=n_images,
        captions_per_image=2,
        model=f"noise-{seed}",
        revision="1",
        processor="none",
        dtype="float32",
        image_folder=str(photos),
        bundled_sample=False,
        fingerprints=Fingerprints(),
        versions={},
        sampled_img_ids=[9000 - row for row in range(n_images)],
        file_names=[f"{row:012d}.png" for row in range(n_images)],
        caption_ids=[70000 - 3 * idx for idx in range(len(captions))],
        captions=captions,
        gt_img_index=gt,
    )
    return cache.write(folder / "cache", img, txt, content)
