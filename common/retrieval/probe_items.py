"""SugarCrepe: captions of COCO with one thing changed, read from its seven files and joined with a cache.

An item is a photograph, a caption of it and a negative caption, which differs in one thing and is false of
the photograph (Hsieh et al. 2023, NeurIPS 36, arXiv 2306.14610). A model is right where the caption scores
higher than the negative one. A file of each type: index -> `filename`, `caption`, `negative_caption`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common import files, say
from common.errors import UserError, list_rows
from common.retrieval import archives, coco
from common.retrieval.archives import Archive
from common.retrieval.cache import Cache
from common.retrieval.meta import Meta
from common.retrieval.text_cache import TextCache
from common.settings import PROJECT_DIR, shown

# The authors' repository at one commit, so that what is fetched can't change.
SOURCE = (
    "https://raw.githubusercontent.com/RAIVNLab/sugar-crepe/0047054b243992f0fad63d6f64f7544862daf846/data/"
)
DEFAULT = PROJECT_DIR / "data" / "sugarcrepe"
OF_SAMPLE = PROJECT_DIR / "data" / "sample" / "probe"
LABEL = "negative captions"  # of the texts that are encoded
FIELDS = ("filename", "caption", "negative_caption")
# One text encoded in two batches differs by some 1e-7: closer scores can't be told from equal ones.
TIE = 1e-6
AGAIN = "Move it away and run `python probe.py --download True`"


class Kind(NamedTuple):
    """A type of items: what was done to the caption."""

    name: str  # of its file, without .json
    words: str
    size: int | None  # bytes of the published file; None: SugarCrepe has no such type
    sha256: str | None
    published: float | None  # percent right, OpenAI's ViT-B/32 (the authors' issue 3)

    @property
    def file(self) -> str:
        return f"{self.name}.json"


KINDS = (
    Kind(
        *("replace_obj", "an object replaced", 361_126),
        *("9d299600639947e9d15281a9ded1382b376cf4ea088a8d08a1314bfe76e81898", 90.92),
    ),
    Kind(
        *("swap_obj", "two objects exchanged", 57_569),
        *("073cdb8e253d053614e80710834d9773b09dbc1dd0a412f6f9492262caa1dcad", 61.38),
    ),
    Kind(
        *("add_obj", "an object added", 484_593),
        *("1b9d76b93139a937b8dc1ada92a4f05ecc821bb3c291d752428bafadd4bb0682", 77.20),
    ),
    Kind(
        *("replace_att", "an attribute replaced", 176_843),
        *("9fe55fd4c0a9ad1f85d486d9f6d0215b41f867eb025026e7f7b5ce44352545ee", 80.08),
    ),
    Kind(
        *("swap_att", "two attributes exchanged", 154_665),
        *("7a7ce04e5c4c80412b48c6f0c1347fb1a2f5d54c0be6aa429b64d390e442f8d0", 63.96),
    ),
    Kind(
        *("add_att", "an attribute added", 158_863),
        *("012d88d729693d193760e6f3393b06a1cf874380a9db0062e937201199fe044d", 68.79),
    ),
    Kind(
        *("replace_rel", "a relation or an action replaced", 312_629),
        *("356bcc2fc4c6aed3f4d9fd50acc58489bb1fe70c28791f9368d4cbf9ea39cdc9", 69.20),
    ),
    Kind("replace_num", "a number replaced", None, None, None),  # of the bundled sample's probe alone
)


class Item(NamedTuple):
    """One item."""

    kind: str  # name of its Kind
    key: str  # its index in the file
    file_name: str  # of the photograph
    caption: str
    negative: str

    def __str__(self) -> str:
        return f"{self.kind} {self.key}: {self.file_name}, {self.caption!r}"


class Probe(NamedTuple):
    """The files of a folder, read."""

    folder: Path
    items: list[Item]  # in the order of KINDS and of each file
    sha256: dict[str, str]  # file -> its SHA-256
    published: bool  # whether all are the authors' own files, byte for byte


class Joined(NamedTuple):
    """The items whose caption is one of a cache's."""

    items: list[Item]
    idx: np.ndarray  # (n,) int64: the caption's row
    elsewhere: int  # items of images that the cache does not hold
    without_caption: list[Item]  # of its images, with a caption that the cache does not hold


class Scores(NamedTuple):
    """Cosines of each item's image. Twice (n,) float64."""

    own: np.ndarray  # with its caption
    negative: np.ndarray  # with the negative caption


def find(folder: Path, content: Meta) -> Path:
    """The folder of the files: in place of the default one the bundled sample has its own."""
    return OF_SAMPLE if content.bundled_sample and folder == DEFAULT else folder


def fetch(folder: Path, source: str = SOURCE, on_wait: Callable[[], None] = lambda: None) -> list[Path]:
    """Get the published files that are missing, verified; returns what was written.

    `on_wait` is called where another run is fetching. Raises UserError as `archives.get` does, for a file
    that is there and is another one too.
    """
    wanted = [Archive(source + kind.file, kind.size, kind.sha256, "") for kind in KINDS if kind.size]
    if folder.exists() and not folder.is_dir():
        raise UserError(f"PROBE_DIR = {shown(folder)} is not a folder, but one is needed there: move it away")
    with files.locked(folder / ".lock_download", on_wait):
        return [path for archive in wanted for path in archives.get(archive, folder)]


def read(folder: Path, as_published: bool) -> Probe:
    """Read all files of a folder; `replace_num.json` where there is one.

    as_published: refuse any file that is not the authors' own. Raises UserError naming files that are
    missing or changed, and items that are not what the format asks for.
    """
    missing = [kind.file for kind in KINDS if kind.size and not (folder / kind.file).is_file()]
    if missing:
        raise UserError(
            f"{len(missing)} of SugarCrepe's 7 files were not found in {shown(folder)}/: "
            "`python probe.py --download True` fetches them (1.7 MB), or set PROBE_DIR to their folder:\n"
            + list_rows(missing)
        )
    here = [kind for kind in KINDS if (folder / kind.file).is_file()]
    sha256 = {kind.file: files.file_fingerprint(folder / kind.file) for kind in here}
    changed = [kind.file for kind in here if sha256[kind.file] != kind.sha256]
    if changed and as_published:
        raise UserError(
            f"{say.items(len(changed), 'file')} in {shown(folder)}/ differ from what SugarCrepe's authors "
            f"published (by SHA-256), so no result would be theirs. {AGAIN}:\n{list_rows(changed)}"
        )
    items = [item for kind in here for item in _items(folder / kind.file, kind.name)]
    return Probe(folder, items, sha256, not changed)


def _items(path: Path, kind: str) -> list[Item]:
    """The items of one file, in its order. Raises UserError where it is none."""
    content = files.read_json(path)
    if not isinstance(content, dict) or not content:
        raise UserError(f"{shown(path)} is no file of SugarCrepe's (index -> item). {AGAIN}")
    wrong = [key for key, each in content.items() if not _is_item(each)]
    if wrong:
        raise UserError(
            f"{shown(path)}: {say.items(len(wrong), 'item')} lack a text for one of {', '.join(FIELDS)}. "
            f"{AGAIN}:\n{list_rows(wrong)}"
        )
    return [Item(kind, key, *(each[name] for name in FIELDS)) for key, each in content.items()]


def _is_item(each: object) -> bool:
    return isinstance(each, dict) and all(isinstance(each.get(name), str) and each[name] for name in FIELDS)


def join(probe: Probe, content: Meta) -> Joined:
    """Find each item's caption among a cache's, by the image's file name and the text.

    White space at the ends and the Unicode form make no difference; of captions of one text and one image the
    first is taken. Raises UserError where no item is found.
    """
    row_of = {name: row for row, name in enumerate(content.file_names)}
    idx_of: dict[tuple[int, str], int] = {}
    for idx, (row, caption) in enumerate(zip(content.gt_img_index, content.captions, strict=True)):
        idx_of.setdefault((row, _compared(caption)), idx)
    here = [item for item in probe.items if item.file_name in row_of]
    found = [(item, idx_of.get((row_of[item.file_name], _compared(item.caption)))) for item in here]
    joined = [(item, idx) for item, idx in found if idx is not None]
    lost = [item for item, idx in found if idx is None]
    if not joined:
        raise UserError(
            f"none of the {say.items(len(probe.items), 'item')} of {shown(probe.folder)}/ has a caption of "
            f"the cache, and {len(probe.items) - len(here):,} are of other images: SugarCrepe is about "
            "photographs of COCO's val2017, and PROBE_DIR should name a probe of the cache's own images"
        )
    idx = np.array([idx for _, idx in joined], dtype=np.int64)
    return Joined([item for item, _ in joined], idx, len(probe.items) - len(here), lost)


def _compared(caption: str) -> str:
    return coco.one_form(caption).strip()


def scores(joined: Joined, frozen: Cache, texts: TextCache) -> Scores:
    """Cosines of each item's image with its two captions.

    Negatives are encoded by the cache's own model, or read where they were. Raises UserError where that model
    was not found, or does not reproduce the cache's captions.
    """
    negatives = [item.negative for item in joined.items]
    captions = [item.caption for item in joined.items]
    imported = frozen.meta.imported_from is not None
    # A model reproduces imported rows to 1e-3, which may be more than the two texts differ by: so of these
    # both texts are encoded by the one model.
    texts.add([*negatives, *(captions if imported else [])], LABEL)
    own = texts.rows(captions) if imported else frozen.txt[joined.idx]
    images = frozen.img[frozen.gt[joined.idx]].double()
    return Scores(*((rows.double() * images).sum(dim=1).numpy() for rows in (own, texts.rows(negatives))))
