"""Where a model's files are, and which version of it they are: a folder, or a model of the hub.

Only this file and encoder.py import transformers, and only where a model is read: finding its files takes no
such library, which needs seconds to import.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from common import files
from common.errors import UserError
from common.heavy import huggingface_hub, safetensors, transformers
from common.retrieval import families
from common.settings import PROJECT_DIR, shown

WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
PROCESSORS = ("preprocessor_config.json", "processor_config.json")
POINTER = b"version https://git-lfs"
ELSEWHERE = "encode with the library that made it, and bring its vectors (EMBEDDINGS_DIR: docs/settings.md)"
ONE_BYTE = {"I8", "U8", "F8_E4M3", "F8_E5M2"}  # kinds of numbers, as safetensors names them
CONFIGURATION = ("*.json", "*.txt", "*.model")  # settings, vocabularies, sentencepiece models


@dataclass(frozen=True)
class Source:
    """Where a model's files are, and which version of it they are."""

    folder: Path
    revision: str  # the hub's commit, or a fingerprint of the folder's files


def label(model_name: str) -> str:
    """What a model is called in file names and reports: a folder's own name, or the hub's name."""
    folder = PROJECT_DIR / Path(model_name).expanduser()
    # A folder wins over a hub's name of the same form, as everywhere in transformers.
    return folder.name if folder.is_dir() else model_name.partition("@")[0]


def locate(model_name: str, download: bool = True) -> Source | None:
    """Find a model: a folder, or a model of the hub that is on this machine or can be fetched.

    What is on this machine comes first, so that a commit upstream can't change a study half-way.
    `name@revision` asks for one revision. Returns None where the model was not found here and `download` is
    False. Raises UserError where it can't be had, saying how to bring it from elsewhere.
    """
    folder = PROJECT_DIR / Path(model_name).expanduser()
    if folder.is_dir():
        _check_folder(folder, model_name)
        return Source(folder, _folder_fingerprint(folder))
    if Path(model_name).is_absolute() or model_name.startswith((".", "~")):
        raise UserError(f"MODEL_NAME = {model_name}: there is no such folder")
    name, _, revision = model_name.partition("@")
    snapshot = _snapshot(name, revision or None, local=True)  # asks no network
    if snapshot is None and download:
        snapshot = _snapshot(name, revision or None, local=False)
    return Source(snapshot, snapshot.name) if snapshot else None


def origin(model_name: str) -> str:
    """Where later steps find the model again: its folder, or the hub's name with the revision asked for."""
    folder = PROJECT_DIR / Path(model_name).expanduser()
    return shown(folder) if folder.is_dir() else model_name


def image_processor(source: Source):
    """The model's image processor on Pillow: no torchvision needed, and the same pixels everywhere."""
    if not any((source.folder / name).is_file() for name in PROCESSORS):
        raise UserError(
            f"{shown(source.folder)} lacks {PROCESSORS[0]}, which says how the model wants its pictures: "
            "fetch it again, with all of its .json files"
        )
    try:
        with quiet():
            return transformers.AutoImageProcessor.from_pretrained(
                source.folder, backend="pil", trust_remote_code=False
            )
    except Exception as error:  # transformers raises many kinds here, every one on the folder's content
        raise unreadable(source.folder, error) from error


def tokenizer(folder: Path):
    """The tokenizer of a model's folder. Raises UserError where transformers can't read it."""
    try:
        with quiet():
            return transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # transformers raises many kinds here, every one on the folder's content
        raise unreadable(folder, error) from error


def lowers_case(source: Source) -> bool:
    """Whether captions are put in lower case for a model, which its configuration and tokenizer tell."""
    family = files.read_json(source.folder / "config.json").get("model_type")
    # Gemma's tokenizer takes seconds to read, which only the families in question need.
    return families.of(family).lower and families.must_lower(family, tokenizer(source.folder))


def unreadable(folder: Path, error: Exception) -> UserError:
    """What a user reads where transformers refuses a folder's content."""
    config = files.read_json(folder / "config.json")
    if "auto_map" in config:
        return UserError(
            f"{shown(folder)}: the model needs Python code that comes with it, which this project does not "
            "run (`auto_map` in config.json): use a model that transformers knows by itself"
        )
    if "torchvision" in str(error):
        return UserError(
            f"{shown(folder)}: transformers has the image processor of a {config.get('model_type')} for "
            f"torchvision alone, which this project runs without: {ELSEWHERE}"
        )
    reason = " ".join(str(error).split())[:300] or type(error).__name__
    # What transformers says of these is advice to its own callers.
    if "ignore_mismatched_sizes" in reason:
        reason = "its weights have other shapes than its config.json says"
    elif reason.startswith("Weights only load failed"):
        reason = "its weights file holds more than weights, and code from elsewhere is not run"
    return UserError(f"{shown(folder)}: not a model that transformers can read ({reason})")


def refuse_quantized(folder: Path) -> None:
    """Raise UserError for weights of a byte each: read as they stand they are numbers of another scale."""
    settings = files.read_json(folder / "config.json")
    quantized = isinstance(settings, dict) and bool(settings.get("quantization_config"))
    for path in [] if quantized else sorted(folder.glob("*.safetensors")):
        try:
            with safetensors.safe_open(path, "np") as weights:
                kinds = {weights.get_slice(name).get_dtype() for name in weights.keys()}
        except Exception:  # a damaged file, of which transformers says what is wrong
            continue
        quantized |= not kinds.isdisjoint(ONE_BYTE)
    if quantized:
        raise UserError(
            f"{shown(folder)}: its weights are quantized, which gives other ranks: use the model that they "
            "were made from"
        )


def _check_folder(folder: Path, model_name: str) -> None:
    """A model's folder must hold a configuration and weights."""
    if other := _other_layout(folder):
        raise UserError(f"MODEL_NAME = {model_name}: {other}")
    lacking = [] if (folder / "config.json").is_file() else ["config.json"]
    if not any(next(folder.glob(pattern), None) for pattern in WEIGHTS):
        lacking.append("model.safetensors")
    if lacking:
        raise UserError(f"MODEL_NAME = {model_name}: the folder {folder} lacks {' and '.join(lacking)}")
    for path in _content(folder):
        with open(path, "rb") as file:
            if file.read(len(POINTER)) == POINTER:
                raise UserError(
                    f"{shown(path)} is a pointer of Git LFS and not the file itself: run `git lfs pull` in "
                    "that folder, or fetch the model again"
                )


def _other_layout(folder: Path) -> str:
    """What a folder is that another library wrote, and what to do with it; "" for one of transformers."""
    inner, adapter = folder / "0_CLIPModel", folder / "adapter_config.json"
    if adapter.is_file():
        base = files.read_json(adapter).get("base_model_name_or_path") or "a model that it does not name"
        return (
            f"the folder holds a PEFT adapter to {base}, not a model: merge the two with PEFT "
            f"(`merge_and_unload`, `save_pretrained`) and name that folder, or {ELSEWHERE}"
        )
    if (folder / "config.json").is_file():  # LAION's CLIPs come in both layouts
        return ""
    if (folder / "open_clip_config.json").is_file():
        return f"the folder is laid out for open_clip, without transformers' config.json: {ELSEWHERE}"
    if (inner / "config.json").is_file():
        return f"the folder is one of sentence-transformers; the model is in {shown(inner)}: name that folder"
    if (folder / "modules.json").is_file():
        return f"the folder is one of sentence-transformers, without a model of transformers: {ELSEWHERE}"
    return ""


def _folder_fingerprint(folder: Path) -> str:
    """SHA-256 over the names and contents of a model folder's files, 40 digits like the hub's commits."""
    lines = [f"{path.name} {files.file_fingerprint(path)}\n" for path in _content(folder)]
    return files.fingerprint("".join(lines).encode("utf-8"))[:40]


def _content(folder: Path) -> list[Path]:
    """The files of a folder that make the model what it is."""
    return sorted({path for pattern in CONFIGURATION + WEIGHTS for path in folder.glob(pattern)})


def _snapshot(name: str, revision: str | None, local: bool) -> Path | None:
    """The folder of a hub model's files; None where `local` is asked and they are not complete here."""
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
    except huggingface_hub.errors.LocalEntryNotFoundError as error:
        if not local:
            raise UserError(_how_to_bring(name)) from error
        return None
    except huggingface_hub.errors.HFValidationError as error:
        raise UserError(f"MODEL_NAME = {name}: neither a folder nor a name of the hub's form") from error
    except huggingface_hub.errors.HfHubHTTPError as error:
        raise UserError(f"MODEL_NAME = {name}: the hub refuses it ({str(error).splitlines()[0]})") from error
    except OSError as error:  # no network shows itself in many ways, all of them OSErrors
        raise UserError(_how_to_bring(name)) from error
    if local:
        return None
    reason = _other_layout(folder) or "the hub's model has no weights for torch"
    raise UserError(f"MODEL_NAME = {name}: {reason}")


def _how_to_bring(name: str) -> str:
    """What to do where neither the model nor the hub can be reached."""
    folder = name.rsplit("/", 1)[-1]
    return (
        f"the model {name} is not on this machine, and the hub can't be reached. Where there is a network, "
        f"run `hf download {name} --local-dir {folder}`; copy that folder here and set MODEL_NAME to its path"
    )


class quiet:
    """Keep transformers from showing its bars and advice while it reads a folder."""

    def __enter__(self):
        self.logging = logging = transformers.utils.logging
        self.verbosity, self.bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
        logging.set_verbosity_error()
        logging.disable_progress_bar()

    def __exit__(self, *_):
        self.logging.set_verbosity(self.verbosity)
        if self.bars:
            self.logging.enable_progress_bar()
