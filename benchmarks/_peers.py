"""The two usual ways to encode images and captions, on the same weights and items as ours; and a clock.

A way takes the towers, the job (paths, captions, each caption's image row, batch size) and a clock, and
returns img (n_images, dim) and txt (n_captions, dim) of length 1. Each does its own ranking too.
"""

import os
import time
from collections import defaultdict
from contextlib import contextmanager

import torch
from PIL import Image
from torch.nn.functional import normalize

from common.retrieval import encoder

PEER_BATCH_SIZE = 64  # the default of clip-benchmark's command line; of captions it takes 5 times as many


class Clock:
    """Seconds by part of the work."""

    def __init__(self):
        self.spent = defaultdict(float)

    @contextmanager
    def part(self, name: str):
        start = time.perf_counter()
        yield
        self.spent[name] += time.perf_counter() - start

    def waiting(self, batches, *also: str):
        """Pass batches on, and count the time that the model has to wait for them."""
        batches = iter(batches)
        while True:
            start = time.perf_counter()
            batch = next(batches, None)
            for name in ("waiting", *also):
                self.spent[name] += time.perf_counter() - start
            if batch is None:
                return
            yield batch


def one_at_a_time(towers, job: dict, clock: Clock):
    """The usual script: each item by itself through the model, then the whole matrix sorted."""
    model, device = towers.model, towers.device
    img, txt = [], []
    with torch.no_grad():
        with clock.part("images"):
            for path in job["paths"]:
                with clock.part("waiting"), Image.open(path) as image:
                    pixels = towers.processor(images=image.convert("RGB"), return_tensors="pt")
                features = model.get_image_features(pixel_values=pixels["pixel_values"].to(device))
                img.append(normalize(features.pooler_output, dim=-1).cpu())
        with clock.part("captions"):
            for caption in job["captions"]:
                tokens = towers.tokenizer([caption], truncation=True, max_length=77, return_tensors="pt")
                features = model.get_text_features(**{name: ids.to(device) for name, ids in tokens.items()})
                txt.append(normalize(features.pooler_output, dim=-1).cpu())
    img, txt = torch.cat(img), torch.cat(txt)
    scores = txt @ img.T
    scores.argsort(dim=1, descending=True), scores.T.argsort(dim=1, descending=True)
    return img, txt


class Peer:
    """The same weights in the form that clip-benchmark asks for; keeps what it returns."""

    def __init__(self, towers, clock: Clock):
        self.towers, self.clock, self.img, self.txt = towers, clock, [], []

    def tokenize(self, texts: list[str]) -> torch.Tensor:
        with self.clock.part("captions"):  # to 77 tokens, as open_clip's tokenizers do
            return self.towers.tokenizer(
                texts, padding="max_length", truncation=True, max_length=77, return_tensors="pt"
            )["input_ids"]

    def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
        with self.clock.part("images"):
            features = self.towers.model.get_image_features(pixel_values=pixels).pooler_output
            self.img.append(features.cpu())  # which also waits for the GPU, so that the clock is right
        return features

    def encode_text(self, ids: torch.Tensor) -> torch.Tensor:
        with self.clock.part("captions"):
            features = self.towers.model.get_text_features(input_ids=ids).pooler_output
            self.txt.append(features.cpu())
        return features


class Pictures(torch.utils.data.Dataset):
    """Processed images with their captions."""

    def __init__(self, processor, paths: list[str], captions_of: list[list[str]]):
        self.processor, self.paths, self.captions_of = processor, paths, captions_of

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int):
        with Image.open(self.paths[row]) as image:
            pixels = self.processor(images=image.convert("RGB"), return_tensors="pt")["pixel_values"][0]
        return pixels, self.captions_of[row]


def collate(items):
    """As clip-benchmark's own collate function for captions: stacked images, lists of captions."""
    images, captions = zip(*items, strict=True)
    return torch.stack(images), list(captions)


def clip_benchmark(towers, job: dict, clock: Clock):
    """clip-benchmark's own loop, with its own ranking.

    Its command line starts 4 processes that decode. Here it is one on a CPU, since more would take cores
    from the model, and on a GPU as many as ours has threads.
    """
    from clip_benchmark.metrics import zeroshot_retrieval

    captions_of = [[] for _ in job["paths"]]
    for caption, row in zip(job["captions"], job["gt"], strict=True):
        captions_of[row].append(caption)
    device = towers.device.type
    loader = torch.utils.data.DataLoader(
        Pictures(towers.processor, job["paths"], captions_of),
        batch_size=PEER_BATCH_SIZE,
        num_workers=1 if device == "cpu" else min(encoder.DECODERS, os.cpu_count()),
        collate_fn=collate,
    )
    peer = Peer(towers, clock)
    batches = clock.waiting(loader, "images")
    zeroshot_retrieval.evaluate(peer, batches, peer.tokenize, device, amp=False, recall_k_list=[1, 5, 10])
    return normalize(torch.cat(peer.img), dim=-1), normalize(torch.cat(peer.txt), dim=-1)
