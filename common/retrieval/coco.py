"""A COCO captions folder: images, and a JSON file of `images` and of `annotations`, several captions each."""

import contextlib
import io
import random
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pycocotools.coco import COCO

from common.errors import UserError
from common.retrieval import captions_file
from common.settings import shown

OFFICIAL = ("captions_train2017.json", "captions_val2017.json")  # COCO's own, which can be fetched


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
    """Read a captions file with pycocotools, once it was checked.

    Raises UserError where it was not found, and as `captions_file.read` does.
    """
    path = Path(annotation_file)
    if not path.is_file():
        get = "Name the captions file with `--annotation-file <file>`"
        if path.name in OFFICIAL:
            get = (
                "Get COCO's files with `python main.py --download True`; data/README.md says which archive "
                "holds them"
            )
        raise UserError(f"{shown(path)} was not found. {get}")
    coco = COCO()
    coco.dataset = captions_file.read(path)
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        coco.createIndex()
    return coco


def sample(coco: COCO, num_images: int, captions_per_image: int, seed: int) -> Sample:
    """Draw images and put them and their captions in the frozen order.

    Image ids in the order of the file, then `random.Random(seed).sample`; of each image
    the first `captions_per_image` captions in ascending annotation id. `num_images` above the number of
    images with a caption is capped. The order is part of every sheet that was ever handed out: keep it.
    Raises UserError where fewer than two images have a caption.
    """
    of_image = {image["id"]: [] for image in coco.dataset["images"]}
    for annotation in sorted(coco.dataset["annotations"], key=lambda annotation: annotation["id"]):
        if annotation["caption"].strip():  # a blank caption says nothing that could be retrieved
            of_image[annotation["image_id"]].append(annotation)
    with_caption = [image_id for image_id, annotations in of_image.items() if annotations]
    # A generator of its own: what else draws numbers in this process can't change the sample.
    if len(with_caption) < 2:
        n = f"{len(with_caption)} of {len(of_image)} images"
        raise UserError(f"a caption was found for {n}: retrieval needs 2 or more to choose from")
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


def one_form(text: str) -> str:
    """A text in the one of its Unicode forms that is compared and encoded (NFC)."""
    return unicodedata.normalize("NFC", text)


def normalized(caption: str) -> str:
    """A caption as a reader takes it: lower case, single spaces, no final full stop, one Unicode form."""
    text = one_form(caption.lower())  # in this order: a capital may have no form of its own with its mark
    return re.sub(r"\s+", " ", text).strip().removesuffix(".").rstrip()


def provably_ambiguous(captions: list[str], gt: np.ndarray) -> np.ndarray:
    """Which captions have the same normalized text as a caption of another image.

    Equal texts get equal scores, so only the captions of one of these images can be right: see `answerable`.
    gt (n_captions,): the image row of each. Returns a bool array of shape (n_captions,).
    """
    images_of = _images_of_texts(captions, gt)
    return np.array([len(images_of[normalized(caption)]) > 1 for caption in captions], dtype=bool)


def answerable(captions: list[str], gt: np.ndarray) -> int:
    """How many captions can have their own image first at most, where equal texts get equal scores.

    All captions of one normalized text then get one image first: at best the image that most of them are of.
    """
    return sum(max(of_text.values()) for of_text in _images_of_texts(captions, gt).values())


def _images_of_texts(captions: list[str], gt: np.ndarray) -> dict[str, Counter[int]]:
    """Normalized text -> image row -> how many captions of the image have it."""
    images_of: dict[str, Counter[int]] = {}
    for caption, image in zip(captions, gt, strict=True):
        images_of.setdefault(normalized(caption), Counter())[int(image)] += 1
    return images_of
