"""The frozen towers of a CLIP-like model: images and texts to rows of length 1.

Any model with `get_image_features` and `get_text_features` works (CLIP, SigLIP, Chinese-CLIP, ...), from the
hub or from a folder. This is the only file of the project that imports transformers.
"""

import collections
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub
import numpy as np
import torch
import transformers
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from PIL import Image
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

from common import files
from common.errors import UserError
from common.settings import PROJECT_DIR

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
CONFIGURATION = ("*.json", "*.txt", "*.model")  # settings, vocabularies, sentencepiece models
DECODERS = 16  # threads that decode images for a GPU
PROBES = 8  # items that a device or a half precision is checked with before it is trusted
LEAST_COSINE = {"float32": 0.9999, "bfloat16": 0.999, "float16": 0.999}
# Two paddings of one caption agree to about 1e-7 where the tower ignores padding, and not to 1e-2 elsewhere.
PADDING_TOLERANCE = 1e-5
PADDING_PROBES = ("a dog", "two people sit at a small table and eat a pizza with a lot of cheese on it")


@dataclass(frozen=True)
class Source:
    """Where a model's files are, and which version of it they are."""

    folder: Path
    revision: str  # the hub's commit, or a fingerprint of the folder's files


class BadImages(UserError):
    """Images that could not be decoded, each as `name: reason` in `.problems`."""

    def __init__(self, problems: list[str]):
        super().__init__(f"{len(problems)} images can't be decoded")
        self.problems = problems


def label(model_name: str) -> str:
    """What a model is called in file names and reports: a folder's own name, or the hub's name."""
    folder = PROJECT_DIR / Path(model_name).expanduser()
    return folder.name if folder.is_dir() else model_name.partition("@")[0]


def locate(model_name: str, download: bool = True) -> Source | None:
    """Find a model: a folder, or a model of the hub that is on this machine or can be fetched.

    What is on this machine comes first, so that a commit upstream can't change a study half-way.
    `name@revision` asks for one revision. Returns None where the model is not here and `download` is False.
    Raises UserError where it can't be had, saying how to bring it from elsewhere.
    """
    folder = PROJECT_DIR / Path(model_name).expanduser()
    if folder.is_dir():
        _check_folder(folder, model_name)
        return Source(folder, _folder_fingerprint(folder))
    if Path(model_name).is_absolute() or model_name.startswith((".", "~")):
        raise UserError(f"MODEL_NAME = {model_name}: there is no such folder")
    name, _, revision = model_name.partition("@")
    snapshot = _snapshot(name, revision or None, local=True)
    if snapshot is None and download:
        snapshot = _snapshot(name, revision or None, local=False)
    return Source(snapshot, snapshot.name) if snapshot else None


def image_processor(source: Source):
    """The model's image processor on Pillow: no torchvision needed, and the same pixels everywhere."""
    with _quiet():
        return AutoImageProcessor.from_pretrained(source.folder, backend="pil")


class Encoder:
    """A model ready to encode on one device. Made by `load`."""

    def __init__(self, model, tokenizer, processor, max_length: int, pad_to_longest: bool):
        self.model, self.tokenizer, self.processor = model, tokenizer, processor
        self.max_length = max_length  # tokens
        self.pad_to_longest = pad_to_longest
        self.device, self.dtype = torch.device("cpu"), torch.float32

    def move(self, device: str, dtype: str) -> None:
        """Put the model on a device in a precision. Raises UserError where the device can't compute in it."""
        check_device(device, dtype)
        try:
            self.model = self.model.to(device=device, dtype=DTYPES[dtype])
        except RuntimeError as error:
            raise _unusable(device, dtype, error) from error
        self.device, self.dtype = torch.device(device), DTYPES[dtype]

    def encode_images(self, paths: list[Path], batch_size: int) -> torch.Tensor:
        """Images to rows of length 1: (n, dim) float32 on the CPU. Batches start at multiples of batch_size.

        Raises BadImages naming every file of `paths` that doesn't decode, after trying all.
        """
        rows = next(self.stream_images([paths], batch_size))
        if isinstance(rows, BadImages):
            raise rows
        return rows

    def stream_images(self, groups: list[list[Path]], batch_size: int) -> Iterator[torch.Tensor | BadImages]:
        """Rows of one group of images after the other, or what would be raised for it.

        As `encode_images` for each group, but decoding runs ahead into the next group, so that a GPU doesn't
        wait where one group ends.
        """
        decoded = self._decoded(
            [
                group[start : start + batch_size]
                for group in groups
                for start in range(0, len(group), batch_size)
            ]
        )
        for group in groups:
            rows, problems = [], []
            for _ in range(0, len(group), batch_size):
                batch, bad = next(decoded)
                problems += bad
                if not problems:
                    rows.append(self._forward(self.model.get_image_features, batch))
            yield BadImages(problems) if problems else torch.cat(rows)

    def encode_texts(self, texts: list[str], batch_size: int) -> torch.Tensor:
        """Texts to rows of length 1: (n, dim) float32 on the CPU. Batches as for images."""
        rows = [
            self._forward(self.model.get_text_features, self._tokens(texts[start : start + batch_size]))
            for start in range(0, len(texts), batch_size)
        ]
        return torch.cat(rows)

    def lengths(self, texts: list[str]) -> np.ndarray:
        """Tokens of each text, special ones included, before anything is cut off: (n,) int64."""
        ids = self.tokenizer(texts, truncation=False, verbose=False)["input_ids"]
        return np.array([len(each) for each in ids], dtype=np.int64)

    def _tokens(self, texts: list[str]) -> dict[str, torch.Tensor]:
        """A batch of texts as the model reads it, padded no further than its tower needs."""
        padding = "longest" if self.pad_to_longest else "max_length"
        return dict(
            self.tokenizer(
                texts, padding=padding, truncation=True, max_length=self.max_length, return_tensors="pt"
            )
        )

    def _decoded(self, batches: list[list[Path]]) -> Iterator[tuple[dict, list[str]]]:
        """Batches of processed images, each with the problems met.

        For a GPU, which waits for pictures, two batches are decoded ahead of its computation. A CPU takes
        turns: all of its cores decode a batch, then all compute, since a thread that decodes beside the
        computation holds up one of the computing ones, and thereby all.
        """
        on_cpu = self.device.type == "cpu"
        workers = torch.get_num_threads() if on_cpu else min(DECODERS, os.cpu_count() or 1)
        with ThreadPoolExecutor(workers) as pool:
            ahead = collections.deque()
            for batch in batches:
                ahead.append([pool.submit(self._pixels, path) for path in batch])
                if on_cpu or len(ahead) > 2:
                    yield _results(ahead.popleft())
            while ahead:
                yield _results(ahead.popleft())

    def _pixels(self, path: Path) -> dict[str, torch.Tensor] | str:
        """One image as the model reads it, or what is wrong with it."""
        try:
            with Image.open(path) as image:
                pixels = image.convert("RGB")
        except Exception as error:  # Pillow raises many kinds for a broken file; each is the user's file
            return f"{path.name}: {error or type(error).__name__}"
        return dict(self.processor(images=pixels, return_tensors="pt"))

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

    device: "auto", "cpu", "cuda", "cuda:1", "mps"; dtype: a key of DTYPES. `images` and `texts` are a few
    items of the data: on another device than the CPU, or in half precision, their rows must agree with the
    CPU's in float32 (cosine 0.9999, in half precision 0.999). Raises UserError where the folder holds no
    CLIP-like model, where weights are missing, and where a check fails.
    """
    if dtype not in DTYPES:
        raise UserError(f"DTYPE = {dtype}: should be one of {', '.join(DTYPES)}")
    device = _best_device() if device == "auto" else device
    with _quiet():
        model, tokenizer = _from_folder(source.folder)
    processor = image_processor(source)
    encoder = Encoder(model, tokenizer, processor, _max_length(model, tokenizer), pad_to_longest=False)
    _check_wiring(encoder)
    encoder.pad_to_longest = _ignores_padding(encoder)
    if (device, dtype) != ("cpu", "float32"):
        reference = _probe(encoder, images, texts)
        encoder.move(device, dtype)
        check_agreement(reference, _probe(encoder, images, texts), device, dtype)
    return encoder


def check_device(device: str, dtype: str) -> None:
    """Raise UserError where a device can't compute in a precision, named as torch names it."""
    try:
        probe = torch.ones(2, 2, device=device, dtype=getattr(torch, dtype))
        (probe @ probe).sum().item()
    except (RuntimeError, TypeError, AssertionError) as error:
        raise _unusable(device, dtype, error) from error


def _unusable(device: str, dtype: str, error: Exception) -> UserError:
    reason = str(error).splitlines()[0]
    return UserError(f"DEVICE = {device} doesn't work here in {dtype} ({reason}): set DEVICE = cpu")


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
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _from_folder(folder: Path):
    """Model (float32, evaluation mode) and tokenizer of a folder."""
    try:
        model, info = AutoModel.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except Exception as error:  # transformers raises many kinds here, every one on the folder's content
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"{folder}: not a model that transformers can read ({reason})") from error
    if not (hasattr(model, "get_image_features") and hasattr(model, "get_text_features")):
        raise UserError(
            f"{folder} holds a {type(model).__name__}: a model of images and texts is needed (CLIP)"
        )
    if info["missing_keys"]:
        missing = sorted(info["missing_keys"])
        raise UserError(
            f"{folder}: {len(missing)} weights are missing, among them {missing[0]}; fetch it again"
        )
    return model.eval(), tokenizer


def _check_wiring(encoder: Encoder) -> None:
    """Assert that features are what the model itself compares: projecting twice has the right shape too."""
    texts = list(PADDING_PROBES)
    image = Image.fromarray(np.arange(64 * 64 * 3, dtype=np.uint8).reshape(64, 64, 3))
    pixels = dict(encoder.processor(images=image, return_tensors="pt"))
    try:
        with torch.inference_mode():
            whole = encoder.model(**encoder._tokens(texts), **pixels)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"the model's tokenizer or image processor doesn't fit it ({reason})") from error
    pairs = (
        (encoder._forward(encoder.model.get_image_features, pixels), getattr(whole, "image_embeds", None)),
        (encoder.encode_texts(texts, batch_size=2), getattr(whole, "text_embeds", None)),
    )
    for ours, theirs in pairs:
        if theirs is None:
            raise UserError(
                f"{type(encoder.model).__name__} compares no image with a text: CLIP-like is needed"
            )
        theirs = torch.nn.functional.normalize(theirs.float(), dim=-1)
        if not torch.allclose(ours, theirs, atol=1e-5):
            raise UserError(
                f"{type(encoder.model).__name__}: its features aren't the vectors that it compares"
            )


def _ignores_padding(encoder: Encoder) -> bool:
    """Whether padding to a batch's longest text leaves the text tower's rows as they are.

    It does for causal towers that pool at the end token (CLIP) and for masked ones (Chinese-CLIP), and not
    for towers trained on a fixed length (SigLIP). Measured on the model at hand, so that no list can age.
    """
    rows = {}
    for encoder.pad_to_longest in (False, True):
        # One at a time, so that the shorter text has no padding at all in the second round.
        rows[encoder.pad_to_longest] = encoder.encode_texts(list(PADDING_PROBES), batch_size=1)
    return bool((rows[True] - rows[False]).abs().max() < PADDING_TOLERANCE)


def _probe(encoder: Encoder, images: list[Path], texts: list[str]) -> torch.Tensor:
    """Rows of the first few items that decode: (n, dim)."""
    whole = [path for path in images[:PROBES] if not isinstance(encoder._pixels(path), str)]
    rows = [encoder.encode_texts(texts[:PROBES], PROBES)] if texts else []
    rows += [encoder.encode_images(whole, PROBES)] if whole else []
    return torch.cat(rows)


def _unit_rows(features) -> torch.Tensor:
    """A tower's output as float32 rows of length 1 on the CPU: (n, dim)."""
    vectors = getattr(features, "pooler_output", features)  # a bare tensor before transformers 5
    return torch.nn.functional.normalize(vectors.float(), dim=-1).cpu()


def _results(futures: list[Future]) -> tuple[dict[str, torch.Tensor], list[str]]:
    """A decoded batch, and what was wrong with it; a batch with a problem is empty."""
    results = [future.result() for future in futures]
    bad = [result for result in results if isinstance(result, str)]
    return ({} if bad else _stacked(results)), bad


def _stacked(items: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Single processed images (each with a leading dimension of 1) as one batch."""
    return {name: torch.cat([item[name] for item in items]) for name in items[0]}


def _max_length(model, tokenizer) -> int:
    """Tokens that the text tower reads. A tokenizer without a limit of its own claims about 1e30."""
    positions = getattr(model.config.text_config, "max_position_embeddings", tokenizer.model_max_length)
    return int(min(positions, tokenizer.model_max_length))


def _check_folder(folder: Path, model_name: str) -> None:
    """A model's folder must hold a configuration and weights."""
    lacking = [] if (folder / "config.json").is_file() else ["config.json"]
    if not any(next(folder.glob(pattern), None) for pattern in WEIGHTS):
        lacking.append("model.safetensors")
    if lacking:
        raise UserError(f"MODEL_NAME = {model_name}: the folder {folder} lacks {' and '.join(lacking)}")


def _folder_fingerprint(folder: Path) -> str:
    """SHA-256 over the names and contents of a model folder's files, 40 digits like the hub's commits."""
    names = sorted({path for pattern in CONFIGURATION + WEIGHTS for path in folder.glob(pattern)})
    lines = [f"{path.name} {files.file_fingerprint(path)}\n" for path in names]
    return files.fingerprint("".join(lines).encode("utf-8"))[:40]


def _snapshot(name: str, revision: str | None, local: bool) -> Path | None:
    """The folder of a hub model's files; None where `local` is asked and they aren't whole here."""
    try:
        for weights in WEIGHTS:  # the older .bin files only where there is nothing newer
            patterns = [*CONFIGURATION, weights]
            folder = Path(
                huggingface_hub.snapshot_download(
                    name, revision=revision, allow_patterns=patterns, local_files_only=local
                )
            )
            if (folder / "config.json").is_file() and next(folder.glob(weights), None):
                return folder
    except LocalEntryNotFoundError as error:
        if not local:
            raise UserError(_how_to_bring(name)) from error
        return None
    except HFValidationError as error:
        raise UserError(f"MODEL_NAME = {name}: neither a folder nor a name of the hub's form") from error
    except HfHubHTTPError as error:
        raise UserError(f"MODEL_NAME = {name}: the hub refuses it ({str(error).splitlines()[0]})") from error
    except OSError as error:  # no network shows itself in many ways, all of them OSErrors
        raise UserError(_how_to_bring(name)) from error
    if local:
        return None
    raise UserError(f"MODEL_NAME = {name}: the hub's model has no weights for torch")


def _how_to_bring(name: str) -> str:
    folder = name.rsplit("/", 1)[-1]
    return (
        f"the model {name} is not on this machine, and the hub can't be reached. Where there is a network, "
        f"run `hf download {name} --local-dir {folder}`; bring that folder here, set MODEL_NAME to its path"
    )


class _quiet:
    """Keep transformers from showing its bars and advice while it reads a folder."""

    def __enter__(self):
        logging = transformers.utils.logging
        self.verbosity, self.bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
        logging.set_verbosity_error()
        logging.disable_progress_bar()

    def __exit__(self, *_):
        transformers.utils.logging.set_verbosity(self.verbosity)
        if self.bars:
            transformers.utils.logging.enable_progress_bar()
