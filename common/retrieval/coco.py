"""A COCO captions folder: images, and a JSON file of `images` and of `annotations`, several captions each."""

import contextlib
import io
import random
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools.coco import COCO

from common import files
from common.errors import UserError, list_rows
from common.settings import shown

# The last bytes of a whole file. An interrupted download or unpacking lacks them, yet its header opens.
END_MARKERS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB\x60\x82"}
TAIL = 4096  # bytes searched for the marker: some cameras and servers append a little after it


@dataclass(frozen=True)
class Sample:
    """The frozen order. Lists of one entry an image row, then of one entry a caption row (idx)."""

    image_ids: list[int]
    file_names: list[str]
    caption_ids: list[int]
    captions: list[str]
    gt_img_index: list[int]  # idx -> image row
    without_caption: int  # images of the dataset whose captions are none or blank, so can't be sampled
    short_of_captions: int  # sampled images with fewer captions than were asked for


def read_captions(annotation_file: Path) -> COCO:
    """Read a captions file with pycocotools. Raises UserError where it is not one, naming what is wrong."""
    path = Path(annotation_file)
    if not path.is_file():
        raise UserError(
            f"{shown(path)} was not found. Get COCO's files with `python main.py --download True`; "
            "data/README.md says which archive holds them"
        )
    content = files.read_json(path)
    _check_captions(content, shown(path))
    coco = COCO()
    coco.dataset = content
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        coco.createIndex()
    return coco


def sample(coco: COCO, num_images: int, captions_per_image: int, seed: int) -> Sample:
    """Draw images and put them and their captions in the frozen order.

    Image ids in the order of the file, then `random.Random(seed).sample`; of each image
    the first `captions_per_image` captions in ascending annotation id. `num_images` above the number of
    images with a caption is capped. The order is part of every sheet that was ever handed out: keep it.
    """
    of_image = {image["id"]: [] for image in coco.dataset["images"]}
    for annotation in sorted(coco.dataset["annotations"], key=lambda annotation: annotation["id"]):
        if annotation["caption"].strip():  # a blank caption says nothing that could be retrieved
            of_image[annotation["image_id"]].append(annotation)
    with_caption = [image_id for image_id, annotations in of_image.items() if annotations]
    # A generator of its own: what else draws numbers in this process can't change the sample.
    image_ids = random.Random(seed).sample(with_caption, min(num_images, len(with_caption)))
    caption_ids, captions, gt_img_index, short = [], [], [], 0
    for row, image_id in enumerate(image_ids):
        chosen = of_image[image_id][:captions_per_image]
        short += len(chosen) < captions_per_image
        caption_ids += [annotation["id"] for annotation in chosen]
        captions += [annotation["caption"] for annotation in chosen]
        gt_img_index += [row] * len(chosen)
    file_names = [coco.imgs[image_id]["file_name"] for image_id in image_ids]
    without = len(coco.dataset["images"]) - len(with_caption)
    return Sample(image_ids, file_names, caption_ids, captions, gt_img_index, without, short)


def bad_images(image_dir: Path, file_names: list[str]) -> list[str]:
    """What is wrong with image files before any is decoded: `name: reason`, in the order given.

    Checks that the file is there, that its header opens, and that its format's end marker is present.
    """
    bad = []
    for name in file_names:
        problem = _image_problem(Path(image_dir) / name)
        if problem:
            bad.append(f"{name}: {problem}")
    return bad


def images_fingerprint(image_dir: Path, file_names: list[str]) -> str | None:
    """SHA-256 over names and sizes of the images, in row order; None where one of them was not found.

    Sizes and not contents, so that each run can afford it: 5,000 of them take a fraction of a second.
    """
    try:
        sizes = [f"{name} {(Path(image_dir) / name).stat().st_size}\n" for name in file_names]
    except OSError:
        return None
    return files.fingerprint("".join(sizes).encode("utf-8"))


def normalized(caption: str) -> str:
    """A caption as a reader takes it: lower case, single spaces, no final full stop."""
    return re.sub(r"\s+", " ", caption).strip().lower().removesuffix(".").rstrip()


def provably_ambiguous(captions: list[str], gt: np.ndarray) -> np.ndarray:
    """Which captions no method can answer, since a caption of another image has the same normalized text.

    gt (n_captions,): the image row of each. Returns a bool array of shape (n_captions,).
    """
    images_of = {}
    texts = [normalized(caption) for caption in captions]
    for text, image in zip(texts, gt, strict=True):
        images_of.setdefault(text, set()).add(int(image))
    return np.array([len(images_of[text]) > 1 for text in texts], dtype=bool)


def _check_captions(content, name: str) -> None:
    """Refuse what is JSON but not a captions file, or whose entries contradict one another."""
    if not isinstance(content, dict) or not {"images", "annotations"} <= content.keys():
        raise UserError(f"{name} holds no `images` and `annotations`: a COCO captions file is needed")
    problems = []
    for image in content["images"]:
        if not isinstance(image.get("id"), int) or not isinstance(image.get("file_name"), str):
            problems.append(f"image {image.get('id')!r}: `id` (whole number) and `file_name` are needed")
    ids = [image.get("id") for image in content["images"]]
    known = set(ids)  # an image id that occurs twice would give one image the captions of two
    if len(known) < len(ids):
        problems.append(f"{len(ids) - len(known)} images share an id with another image")
    seen = set()
    for annotation in content["annotations"]:
        key = annotation.get("id")
        if not isinstance(key, int) or key in seen:
            problems.append(f"annotation {key!r}: `id` is not a whole number, or occurs twice")
        seen.add(key)
        if annotation.get("image_id") not in known:
            problems.append(f"annotation {key!r}: no image has the id {annotation.get('image_id')!r}")
        if not isinstance(annotation.get("caption"), str):
            problems.append(f"annotation {key!r}: `caption` is missing or not a text")
    if problems:
        raise UserError(
            f"{name} has {len(problems)} bad entries; fix them or get the file again:\n{list_rows(problems)}"
        )


def _image_problem(path: Path) -> str | None:
    """What is wrong with one image file, or None."""
    if not path.is_file():
        return "not found"
    try:
        with Image.open(path) as image:
            image_format = image.format
    except Exception as error:  # Pillow raises many kinds for a broken header; each is the user's file
        return f"does not open ({type(error).__name__})"
    marker = END_MARKERS.get(image_format)
    if marker:
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL))
            if marker not in file.read():
                return f"cut off (no {image_format} end marker)"
    return None
