"""The meta file of a frozen cache: which rows it holds and what made them. Read without torch.

A cache is three files that carry one stem: `img_<n>_<model>.pt`, `txt_<n>_<model>.pt` and
`meta_<n>_<model>.json`. The meta file is written last: where it stands, the other two are whole.
"""

import json
import re
from pathlib import Path
from typing import NamedTuple

from common import files, records
from common.errors import UserError, list_rows
from common.records import Record
from common.settings import DEFAULT_FOLDERS, shown

SAMPLE_FOLDER = "sample"


class Rows(NamedTuple):
    """What each row of a cache stands for. Lists of one entry an image row, or one a caption row (idx)."""

    sampled_img_ids: list[int]  # image row -> image id
    file_names: list[str]  # image row -> file in the image folder
    caption_ids: list[int]  # idx -> annotation id
    captions: list[str]  # idx -> text
    gt_img_index: list[int]  # idx -> row of the caption's own image


class Fingerprints(Record):
    """SHA-256 of what a cache was made from, and of what it holds."""

    annotation_file: str | None = None  # of the captions file
    images: str | None = None  # over names and sizes of the image files
    rows: str = ""  # over what each row stands for
    img: str = ""  # over shape, dtype and values of the image embeddings
    txt: str = ""  # the same of the caption embeddings
    run: str | None = None  # of the run file that the ranks come from, in place of embeddings
    exported_from: str | None = None  # of the cache that this run is the unchanged export of


class Making(Record, kw_only=True):
    """How a cache was made: everything in its meta file but its rows."""

    model: str  # the hub's name, a folder's own, or what rows.json says of vectors made elsewhere
    model_source: str | None = None  # where later steps find it again: its folder, or the hub's name
    maker: str | None = None  # of vectors that were made elsewhere, as their rows.json says
    imported_from: str | None = None  # folder of vectors that were made elsewhere; None: step 1 encoded
    seed: int  # of the sample
    num_images: int  # that were sampled
    captions_per_image: int  # the most of one image
    revision: str | None  # the hub's commit, or a fingerprint of the model's folder
    processor: str | None  # class of the image processor
    dtype: str  # that the model computed in; embeddings are float32 anyway
    device: str | None = None  # that the model computed on
    batch_size: int | None = None  # items at once
    padding: str | None = None  # of captions, in words
    max_tokens: int | None = None  # of a caption; longer ones are cut off
    lower_cased: bool = False  # captions were put in lower case first, which the model's tokenizer does not
    truncated_captions: int | None = None  # captions that were cut off
    image_folder: str  # seen from the project's folder
    annotation_file: str | None = None  # seen from the project's folder
    bundled_sample: bool  # whether the rendered scenes were used
    versions: dict[str, str]  # package -> version
    opening: int = 1  # images.OPENING; 1: stored pixels as they are, which a cache without this field has
    fingerprints: Fingerprints


class Meta(Making, kw_only=True):
    """A meta file: how a cache was made, then its `Rows`."""

    sampled_img_ids: list[int]
    file_names: list[str]
    caption_ids: list[int]
    captions: list[str]
    gt_img_index: list[int]

    @property
    def fingerprint(self) -> str:
        """The identity of the cache, 16 hexadecimal digits: its rows and both tensors, or its run.

        An export is taken for the cache that it came from: labels of the one's failures are the other's.
        """
        parts = self.fingerprints
        if parts.exported_from:
            return parts.exported_from
        return files.fingerprint(f"{parts.rows}{parts.img}{parts.txt}{parts.run or ''}".encode("ascii"))[:16]

    @property
    def making(self) -> Making:
        """The same without its rows."""
        return Making(**{name: getattr(self, name) for name in records.names(Making)})


def stem(num_images: int, model: str) -> str:
    """What the names of a cache's files share: `5000_openai_clip-vit-base-patch32`."""
    return f"{num_images}_" + re.sub(r"[^A-Za-z0-9.-]+", "_", model).strip("_.")


def next_to(meta_file: Path, kind: str, ending: str) -> Path:
    """`<kind>_<stem>` with an ending, for `meta_<stem>.json`."""
    meta_file = Path(meta_file)
    return meta_file.with_name(meta_file.name.replace("meta_", f"{kind}_", 1)).with_suffix(ending)


def places(folder: Path) -> list[Path]:
    """Where to look: in a folder that the user named or, of the default ones, in its `sample` folder too."""
    return [folder, folder / SAMPLE_FOLDER] if Path(folder) in DEFAULT_FOLDERS else [Path(folder)]


def find(cache_dir: Path) -> Path:
    """The meta file of the one cache in a folder or, of the default folder, in its `sample` folder.

    A path of a meta file itself is accepted, which chooses among several. Raises UserError where there is
    no cache, and where there are several.
    """
    found = find_or_none(cache_dir)
    if found is None:
        raise UserError(f"{shown(cache_dir)}/ holds no cache: run `python main.py` first")
    return found


def find_or_none(cache_dir: Path) -> Path | None:
    """The same, with None where there is no cache."""
    if Path(cache_dir).is_file():
        return Path(cache_dir)
    for folder in places(cache_dir):
        found = sorted(folder.glob("meta_*.json"))
        if len(found) == 1:
            return found[0]
        if found:
            raise UserError(
                f"{shown(folder)}/ holds {len(found)} caches; say which one is meant, for example "
                f"`--cache-dir {shown(found[0])}`:\n{list_rows([path.name for path in found])}"
            )
    return None


def read(meta_file: Path) -> Meta:
    """Read and check a meta file. Raises UserError where a field is missing or its rows were changed."""
    again = "Move it and its .pt files away, then run `python main.py`"
    content = files.read_json(meta_file)
    missing = [name for name in records.names(Meta, required=True) if name not in content]
    if missing:
        raise UserError(f"{shown(meta_file)} lacks {', '.join(missing)}: another version wrote it. {again}")
    meta = records.parse(content, Meta, shown(meta_file), again)
    if meta.fingerprints.rows != rows_fingerprint(meta):
        raise UserError(
            f"{shown(meta_file)} was changed after it was written: its rows (ids, file names, captions) "
            "don't match its own fingerprint. Restore it from a copy, or move the cache away and run "
            "`python main.py`"
        )
    return meta


def rows_fingerprint(rows: Rows | Meta) -> str:
    """SHA-256 of what each row stands for: image ids, file names, caption ids, captions, positives."""
    lists = [getattr(rows, name) for name in Rows._fields]
    return files.fingerprint(json.dumps(lists, ensure_ascii=False, separators=(",", ":")).encode("utf-8"))


def own_folder(folder: Path, making: Making) -> Path:
    """Where a step writes for this cache: the bundled sample has a folder of its own in a default one.

    A folder that the user named is used as it is.
    """
    return sample_folder(folder) if making.bundled_sample else Path(folder)


def sample_folder(folder: Path) -> Path:
    """Where the bundled sample's files go: into `sample` of a default folder, else into the folder itself."""
    return Path(folder) / SAMPLE_FOLDER if Path(folder) in DEFAULT_FOLDERS else Path(folder)
