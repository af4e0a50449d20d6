"""The frozen towers of a CLIP-like model: images and texts to rows of length 1.

Any model with `get_image_features` and `get_text_features` works (CLIP, SigLIP, Chinese-CLIP, ...), from the
hub or from a folder; models.py finds its files. No other file of the project imports transformers.
"""

from __future__ import annotations

import collections
import os
import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common import files
from common.errors import SettingError, UserError
from common.heavy import torch, transformers
from common.retrieval import families, models, wiring
from common.retrieval.images import open_photograph
from common.retrieval.models import Source
from common.settings import one_of, shown

DTYPES = ("float32", "bfloat16", "float16")  # names that torch has too
DEVICE_NAME = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
DECODERS = 16  # threads that decode images for a GPU
PROBES = 8  # items that a device or a half precision is checked with before it is trusted
LEAST_COSINE = {"float32": 0.9999, "bfloat16": 0.999, "float16": 0.999}
# Two paddings of one caption agree to about 1e-7 where the tower ignores padding, and not to 1e-2 elsewhere.
PADDING_TOLERANCE = 1e-5


class Images(NamedTuple):
    """A group of images, encoded. Files that don't decode have no row: the caller decides what that means."""

    rows: torch.Tensor  # (n that decode, dim) float32 on the CPU, length 1, in the order of the paths
    bad: list[str]  # `name: reason` of the others


class _Decoded(NamedTuple):
    """One image file, or a batch of them, as the model reads it."""

    pixels: dict[str, torch.Tensor]  # each with a leading dimension of images; {} where none decodes
    bad: list[str]  # `name: reason` of files that don't


class Encoder:
    """A model ready to encode on one device. Made by `load`."""

    def __init__(self, model, tokenizer, processor):
        self.model, self.tokenizer, self.processor = model, tokenizer, processor
        family = model.config.model_type
        self.reading = families.of(family)
        self.lower_case = families.must_lower(family, tokenizer)
        self.max_length = _max_length(model, tokenizer, self.reading)  # tokens
        self.pad_to_longest = False
        self.device, self.dtype = torch.device("cpu"), torch.float32

    def move(self, device: str, dtype: str) -> None:
        """Put the model on a device in a precision. Raises UserError where the device can't compute in it."""
        check_device(device, dtype)
        try:
            self.model = self.model.to(device=device, dtype=getattr(torch, dtype))
        except RuntimeError as error:
            raise _unusable(device, dtype, error) from error
        self.device, self.dtype = torch.device(device), getattr(torch, dtype)

    def encode_images(self, paths: list[Path], batch_size: int) -> Images:
        """Some images, all of which are tried. Batches start at multiples of batch_size."""
        return next(self.stream_images([paths], batch_size))

    def stream_images(self, groups: list[list[Path]], batch_size: int) -> Iterator[Images]:
        """One group of images after the other, as `encode_images` would give each.

        Decoding runs ahead into the next group, so that a GPU doesn't wait where one group ends.
        """
        decoded = self._decoded(
            [
                group[start : start + batch_size]
                for group in groups
                for start in range(0, len(group), batch_size)
            ]
        )
        for group in groups:
            rows, bad = [], []
            for _ in range(0, len(group), batch_size):
                batch = next(decoded)
                bad += batch.bad
                if batch.pixels:  # {} where no file of the batch decodes
                    rows.append(self.image_rows(batch.pixels))
            yield Images(torch.cat(rows) if rows else torch.empty(0), bad)

    def encode_texts(self, texts: list[str], batch_size: int) -> torch.Tensor:
        """Texts to rows of length 1: (n, dim) float32 on the CPU. Batches as for images."""
        rows = [
            self._forward(self.model.get_text_features, self.tokens(texts[start : start + batch_size]))
            for start in range(0, len(texts), batch_size)
        ]
        return torch.cat(rows)

    def image_rows(self, pixels: dict[str, torch.Tensor]) -> torch.Tensor:
        """Images as the processor gives them, to rows of length 1: (n, dim) float32 on the CPU."""
        return self._forward(self.model.get_image_features, pixels)

    def lengths(self, texts: list[str]) -> np.ndarray:
        """Tokens of each text, special ones included, before anything is cut off: (n,) int64."""
        ids = self.tokenizer([self.cased(text) for text in texts], truncation=False, verbose=False)[
            "input_ids"
        ]
        return np.array([len(each) for each in ids], dtype=np.int64)

    def tokens(self, texts: list[str]) -> dict[str, torch.Tensor]:
        """A batch of texts as the model reads it, padded no further than its tower needs."""
        return dict(
            self.tokenizer(
                [self.cased(text) for text in texts],
                padding="longest" if self.pad_to_longest else "max_length",
                padding_side=self.reading.side,
                return_attention_mask=self.reading.mask,
                return_token_type_ids=self.reading.types,
                truncation=True,
                max_length=self.max_length,
                return_tensors="pt",
            )
        )

    def cased(self, text: str) -> str:
        """A text in the case that the model was trained on."""
        return text.lower() if self.lower_case else text

    def _decoded(self, batches: list[list[Path]]) -> Iterator[_Decoded]:
        """Batches of images, one after the other.

        For a GPU, which waits for pictures, two batches are decoded ahead of its computation. A CPU takes
        turns: all of its cores decode a batch, then all compute, since a thread that decodes during the
        computation holds up one of the computing ones, and thereby all.
        """
        on_cpu = self.device.type == "cpu"
        workers = torch.get_num_threads() if on_cpu else min(DECODERS, os.cpu_count() or 1)
        with ThreadPoolExecutor(workers) as pool:
            ahead = collections.deque()
            for batch in batches:
                ahead.append([pool.submit(self._pixels, path) for path in batch])
                if on_cpu or len(ahead) > 2:
                    yield _together(ahead.popleft())
            while ahead:
                yield _together(ahead.popleft())

    def _pixels(self, path: Path) -> _Decoded:
        """One image."""
        try:
            pixels = open_photograph(path)  # gray, palette and CMYK files are in COCO and on the web
        except Exception as error:  # Pillow raises many kinds for a broken file; each is the user's file
            return _Decoded({}, [f"{path.name}: {error or type(error).__name__}"])
        return _Decoded(dict(self.processor(images=pixels, return_tensors="pt")), [])

    def _forward(self, features, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Run one tower over a batch, in halves where a GPU runs out of memory."""
        try:
            with torch.inference_mode():
                moved = {name: self._on_device(tensor) for name, tensor in batch.items()}
                return _unit_rows(features(**moved))
        except torch.OutOfMemoryError as error:
            n = len(next(iter(batch.values())))
            if n == 1:
                raise UserError(f"{self.device} has no memory for a single item: set DEVICE = cpu") from error
        # Outside of the handler, whose traceback would keep the failed attempt's tensors alive.
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        halves = [
            {name: tensor[rows] for name, tensor in batch.items()}
            for rows in (slice(n // 2), slice(n // 2, n))
        ]
        return torch.cat([self._forward(features, half) for half in halves])

    def _on_device(self, tensor: torch.Tensor) -> torch.Tensor:
        """A tensor on the model's device; pixels in its precision, token ids as they are."""
        return tensor.to(self.device, self.dtype if tensor.is_floating_point() else None)


def load(source: Source, device: str, dtype: str, images: list[Path], texts: list[str]) -> Encoder:
    """Load a model, check it, and put it on a device.

    `device` and `dtype` as `check_names` takes them. `images` and `texts` are a few items of the data: on
    another device than the CPU, or in half precision, their rows must agree with the CPU's in float32 (cosine
    0.9999, in half precision 0.999). Raises UserError where the folder holds no CLIP-like model, where
    weights are missing, and where a check fails.
    """
    check_names(device, dtype)
    device = _best_device() if device == "auto" else device
    with models.quiet():
        model, tokenizer = _from_folder(source.folder)
    name = shown(source.folder)
    wiring.check_weights(model, name)
    wiring.check_tokenizer(model, tokenizer, name)
    processor = models.image_processor(source)
    encoder = Encoder(model, tokenizer, processor)
    wiring.check_features(encoder, name)
    wiring.check_sight(encoder, name)
    encoder.pad_to_longest = _ignores_padding(encoder)
    if (device, dtype) != ("cpu", "float32"):  # which is the reference itself
        reference = _probe(encoder, images, texts)
        encoder.move(device, dtype)
        check_agreement(reference, _probe(encoder, images, texts), device, dtype)
    return encoder


def check_names(device: str, dtype: str) -> None:
    """Raise SettingError for what is no device (auto, cpu, cuda, cuda:1, mps) or none of DTYPES.

    Only the names, which needs nothing of the machine: a script calls it before it reads anything.
    """
    one_of(DTYPES, DTYPE=dtype)
    if not DEVICE_NAME.fullmatch(device):
        raise SettingError(f"DEVICE = {device}: should be auto, cpu, cuda, cuda:<number> or mps")


def check_device(device: str, dtype: str) -> None:
    """Raise UserError where a device can't compute in a precision, named as torch names it."""
    try:
        probe = torch.ones(2, 2, device=device, dtype=getattr(torch, dtype))
        (probe @ probe).sum().item()
    except (RuntimeError, TypeError, AssertionError) as error:
        raise _unusable(device, dtype, error) from error


def counting_device(device: str) -> str:
    """Where ranks are counted: the GPU that a device names or, for any other device, the CPU.

    Not on a GPU that only `auto` would find: one start of CUDA takes as long as COCO's ranks. Raises
    UserError where the GPU was not found.
    """
    device = device if device.startswith("cuda") else "cpu"
    check_device(device, "float64")
    return device


def _unusable(device: str, dtype: str, error: Exception) -> UserError:
    """What a user reads where torch refuses a device."""
    reason = str(error).splitlines()[0]
    return UserError(f"DEVICE = {device} does not work here in {dtype} ({reason}): set DEVICE = cpu")


def check_agreement(reference: torch.Tensor, rows: torch.Tensor, device: str, dtype: str) -> None:
    """Refuse a device whose rows (n, dim) point elsewhere than the CPU's: some drivers compute nonsense."""
    least = float((reference * rows).sum(1).min()) if len(rows) else 1.0
    if not least >= LEAST_COSINE[dtype]:  # written so that a NaN is refused
        raise UserError(
            f"{device} in {dtype} disagrees with the CPU: the least cosine of {len(rows)} probes is "
            f"{least:.5f}, {LEAST_COSINE[dtype]} is needed. Set DTYPE = float32, or DEVICE = cpu"
        )


def versions() -> dict[str, str]:
    """Versions of what an embedding's last bits depend on."""
    return files.versions("torch", "transformers", "pillow", "numpy")


def _best_device() -> str:
    """What DEVICE = auto means here."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _from_folder(folder: Path):
    """Model (float32, evaluation mode) and tokenizer of a folder."""
    models.refuse_quantized(folder)
    try:
        # float32 whatever the folder's own precision is: the CPU's rows in float32 are the reference.
        model, info = transformers.AutoModel.from_pretrained(
            folder, dtype=torch.float32, output_loading_info=True, trust_remote_code=False
        )
    except Exception as error:  # transformers raises many kinds here, every one on the folder's content
        raise models.unreadable(folder, error) from error
    tokenizer = models.tokenizer(folder)
    if not (hasattr(model, "get_image_features") and hasattr(model, "get_text_features")):
        raise UserError(
            f"{folder} holds a {type(model).__name__}: a model of images and texts is needed (CLIP)"
        )
    if info["missing_keys"]:  # transformers would fill them in at random, and only warn
        missing, kind = sorted(info["missing_keys"]), type(model).__name__
        made_for = (model.config.architectures or [kind])[0]
        # Salesforce's BLIPs for retrieval, say: a class of its own, whose projections have other names.
        fix = (
            "fetch it again" if made_for == kind else f"it is a {made_for}, not a {kind}: {models.ELSEWHERE}"
        )
        raise UserError(f"{folder}: {len(missing)} weights are missing, among them {missing[0]}; {fix}")
    return model.eval(), tokenizer


def _ignores_padding(encoder: Encoder) -> bool:
    """Whether padding to a batch's longest text leaves the text tower's rows as they are.

    It does for causal towers that pool at the end token (CLIP) and for masked ones (Chinese-CLIP), and not
    for towers trained on a fixed length (SigLIP). Measured on the model at hand, so that no list can age.
    """
    rows = {}
    for encoder.pad_to_longest in (False, True):
        # One at a time, so that the shorter text has no padding at all in the second round.
        rows[encoder.pad_to_longest] = encoder.encode_texts(list(wiring.TEXTS), batch_size=1)
    return bool((rows[True] - rows[False]).abs().max() < PADDING_TOLERANCE)


def _probe(encoder: Encoder, images: list[Path], texts: list[str]) -> torch.Tensor:
    """Rows of the first few items that decode: (n, dim)."""
    rows = [encoder.encode_texts(texts[:PROBES], PROBES)] if texts else []
    rows += [encoder.encode_images(images[:PROBES], PROBES).rows] if images else []
    return torch.cat([part for part in rows if len(part)])


def _unit_rows(features) -> torch.Tensor:
    """A tower's output as float32 rows of length 1 on the CPU: (n, dim)."""
    vectors = getattr(features, "pooler_output", features)  # a bare tensor before transformers 5
    return torch.nn.functional.normalize(vectors.float(), dim=-1).cpu()


def _together(futures: list[Future]) -> _Decoded:
    """Single images as one batch of those that decode."""
    results = [future.result() for future in futures]
    whole = [result.pixels for result in results if result.pixels]
    stacked = {name: torch.cat([pixels[name] for pixels in whole]) for name in whole[0]} if whole else {}
    return _Decoded(stacked, [problem for result in results for problem in result.bad])


def _max_length(model, tokenizer, reading: families.Reading) -> int:
    """Tokens that the text tower reads. A tokenizer without a limit of its own claims about 1e30."""
    limit = reading.length or tokenizer.model_max_length
    return int(min(getattr(model.config.text_config, "max_position_embeddings", limit), limit))
