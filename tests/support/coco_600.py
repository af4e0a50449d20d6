"""600 photographs of COCO with a real dual encoder's embeddings, as a cache: for tests and benchmarks.

The files are in the folder that the environment variable COCO_DIR names. Their rows are in the order of the
embeddings' own file; here they are brought into the frozen order, as step 1 would.
"""

import json
import random
from pathlib import Path

import numpy as np
import torch

from common.retrieval import cache, meta

SEED = 42
CAPTIONS_PER_IMAGE = 5


def write_cache(coco_dir: Path, folder: Path, num_images: int = 600) -> Path:
    """Write the cache of the first `num_images` of the frozen order into a folder; returns its meta file."""
    source = coco_dir / "embeddings_600"
    rows = json.loads((source / "rows.json").read_text(encoding="utf-8"))
    image_ids, order = frozen_order(coco_dir / "annotations" / "captions_val2017_600.json", num_images)
    image_row = {image_id: row for row, image_id in enumerate(rows["image_ids"])}
    caption_row = {caption_id: row for row, caption_id in enumerate(rows["caption_ids"])}
    captions_of = [caption_row[caption_id] for caption_id, _ in order]
    img = torch.from_numpy(np.load(source / "images.npy"))[[image_row[image] for image in image_ids]]
    txt = torch.from_numpy(np.load(source / "captions.npy"))[captions_of]
    content = {
        "seed": SEED,
        "num_images": num_images,
        "captions_per_image": CAPTIONS_PER_IMAGE,
        "model": "dual-encoder-600",
        "revision": "1",
        "processor": "none",
        "dtype": "float32",
        "image_folder": str(coco_dir / "val2017"),
        "bundled_sample": False,
        "fingerprints": meta.Fingerprints(),
        "versions": {"torch": str(torch.__version__)},
        "sampled_img_ids": image_ids,
        "file_names": [f"{image_id:012d}.jpg" for image_id in image_ids],
        "caption_ids": [caption_id for caption_id, _ in order],
        "captions": [rows["captions"][row] for row in captions_of],
        "gt_img_index": [image for _, image in order],
    }
    return cache.write(folder, img, txt, meta.Meta(**content))


def frozen_order(annotation_file: Path, num_images: int) -> tuple[list[int], list[tuple[int, int]]]:
    """Image ids, and (caption id, image row) of each caption, in the order of the study.

    Written out once more on purpose: where step 1's own code came to sample differently, a test would see it.
    """
    content = json.loads(annotation_file.read_text(encoding="utf-8"))
    ids = [image["id"] for image in content["images"]]
    image_ids = random.Random(SEED).sample(ids, num_images)
    order = []
    for row, image_id in enumerate(image_ids):
        own = sorted(each["id"] for each in content["annotations"] if each["image_id"] == image_id)
        order += [(caption_id, row) for caption_id in own[:CAPTIONS_PER_IMAGE]]
    return image_ids, order


def read_bank(coco_dir: Path) -> tuple[torch.Tensor, list[str], list[int]]:
    """The bank of captions of other images: (n_bank, dim) float32 rows of length 1, texts, image ids."""
    source = coco_dir / "embeddings_600"
    rows = json.loads((source / "rows.json").read_text(encoding="utf-8"))
    bank = torch.from_numpy(np.load(source / "bank.npy").astype(np.float32))
    return torch.nn.functional.normalize(bank, dim=1), rows["bank_captions"], rows["bank_image_ids"]


def write_bank(coco_dir: Path, path: Path, model: str = "dual-encoder-600", revision: str = "1") -> Path:
    """Write that bank as a file of encoded captions for a cache, by default that of `write_cache`."""
    rows, texts, image_ids = read_bank(coco_dir)
    captions = coco_dir / "annotations" / "captions_val2017.json"
    annotations = json.loads(captions.read_text(encoding="utf-8"))["annotations"]
    # The rows name no caption ids: captions of an image that share a text take theirs in ascending order.
    ids = {}
    for each in sorted(annotations, key=lambda each: -each["id"]):
        ids.setdefault((each["image_id"], each["caption"].strip()), []).append(each["id"])
    np.savez(
        path,
        embeddings=rows.numpy().astype(np.float16),
        caption_ids=np.array(
            [ids[image, text.strip()].pop() for image, text in zip(image_ids, texts, strict=True)]
        ),
        image_ids=np.array(image_ids),
        captions=np.array(texts),
        model=np.array(model),
        revision=np.array(revision),
    )
    return path
