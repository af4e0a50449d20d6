"""How a photograph is opened, for the model and for people alike, and which image files can't be used.

Whoever explains a failure must see what the model saw. So there is one function, and its rules have a number,
OPENING, which is saved with the cache.
"""

import io
import logging
import re
import stat
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, JpegImagePlugin, UnidentifiedImageError

from common import files, say
from common.errors import UserError, list_rows
from common.retrieval.meta import Meta
from common.settings import shown

OPENING = (
    2  # another number wherever `open_photograph` gives other pixels; 1 took the stored ones as they are
)
PAPER = "#ffffff"  # what transparent pixels are shown on
ORIENTATION = 0x0112  # EXIF tag
TURNED = {  # EXIF orientation -> how to put the picture upright (EXIF 2.32, table 4.6.4A)
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# The last bytes of a whole file. Where they stand nothing is decoded twice; where not, decoding decides.
END_MARKERS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB\x60\x82"}
# What may follow where a JPEG's end mark is missing: a decoder that still needs data takes these bits for it.
AFTER_THE_END = tuple(64 * bits + END_MARKERS["JPEG"] for bits in (b"", b"\xaa", b"\x55", b"\xff\x00"))
TAIL = 4096  # bytes searched for the marker: some cameras and servers append a little after it
MOST_PIXELS = 178_956_970  # half a gigabyte as RGB, and where Pillow by itself takes a picture for an attack
# How files begin that are named like pictures and that Pillow doesn't know.
BEGINNINGS = {
    re.compile(
        rb"....ftyp(hei[cfsx]|hev[cmsx]|mif1|msf1)", re.DOTALL
    ): "is an HEIC photograph: save it as JPEG",
    re.compile(rb"version https://git-lfs"): "is a Git LFS pointer: fetch the files with `git lfs pull`",
    re.compile(rb"\s*(<!doctype html|<html)", re.IGNORECASE): "is a web page, not a picture",
    re.compile(rb"$"): "is an empty file",
}
COCO_FILE = re.compile(r"\d{12}\.jpg: ")

# The limit is kept here, by name and with the true reason; Pillow's own one warns at half of it.
Image.MAX_IMAGE_PIXELS = None
# Odd metadata are no news to a user: what can't be used is listed. Filters and not `catch_warnings`, since
# pictures are opened in many threads.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())


class Unusable(OSError):
    """A picture that can't be used, though its file is there; the text is the reason."""


def open_photograph(path: Path) -> Image.Image:
    """A photograph as a viewer shows it: upright, RGB, on white where it is transparent.

    Grey of 16 bits is brought to 8 (65535 is white); of 32 bits, which agree on no white, the darkest value
    becomes black and the brightest white. JPEGs above MOST_PIXELS are read at 1/2, 1/4 or 1/8 of their size.
    Colors are taken as they are stored, whatever profile is embedded: CLIP was trained so, and published
    numbers are measured so. The picture carries no profile on, so that no viewer applies it either.
    Raises FileNotFoundError, and Unusable with the reason for what can't be read whole.
    """
    try:
        try:
            return _opened(path)
        except OSError:
            without_mark = _without_end_mark(path)
            if without_mark is None:
                raise
            return without_mark
    except (FileNotFoundError, Unusable):
        raise
    except Exception as error:  # Pillow raises many kinds for a broken file; each is the user's file
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise Unusable("it is no picture" if isinstance(error, UnidentifiedImageError) else reason) from error


def bad_images(image_dir: Path, file_names: list[str]) -> list[str]:
    """What is wrong with image files before any is encoded: `name: reason`, in the order given.

    The header must open, and the format's end marker must be there or else the picture decode whole.
    """
    bad = []
    for name in file_names:
        problem = _problem(Path(image_dir) / name)
        if problem:
            bad.append(f"{name}: {problem}")
    return bad


def how_to_restore(image_dir: Path, bad: list[str]) -> str:
    """What to do about bad images (`name: reason`). Only COCO's own photographs can be fetched again."""
    if Path(image_dir).name == "val2017" and all(map(COCO_FILE.match, bad)):
        return "Move away what is cut off, then get COCO's again with `python main.py --download True`"
    return "Restore them from where this dataset comes from, or take them out of the captions file"


def fingerprint(image_dir: Path, file_names: list[str]) -> str | None:
    """SHA-256 over names and sizes of the images, in row order; None where one of them was not found.

    Sizes and not contents, so that each run can afford it: 5,000 of them take a fraction of a second.
    """
    try:
        sizes = [f"{name} {(Path(image_dir) / name).stat().st_size}\n" for name in file_names]
    except OSError:
        return None
    return files.fingerprint("".join(sizes).encode("utf-8"))


def refuse_other_pixels(image_dir: Path, meta: Meta) -> None:
    """Raise UserError where a cache holds images whose pixels are taken otherwise today.

    A cache of an earlier OPENING is used as long as its rules and today's give each of its images
    the same pixels, as they do for COCO's. Images that were not found are not compared.
    """
    if meta.opening == OPENING:
        return
    paths = [Path(image_dir) / name for name in meta.file_names]
    other = [path.name for path in paths if path.is_file() and _other_pixels(path)]
    if other:
        raise UserError(
            f"{say.items(len(other), 'image')} in {shown(image_dir)}: the model saw other pixels when "
            "this cache was made than people are shown (turned, transparent, or grey of more than 8 bits). "
            f"Start a new cache with `--cache-dir <folder>` of step 1:\n{list_rows(other)}"
        )


def _opened(file: Path | io.BytesIO) -> Image.Image:
    """`open_photograph` with the errors of Pillow."""
    with Image.open(file) as image:
        _bound(image)
        image.load()
        picture = _upright(_rgb(image), _orientation(image))
    picture.info.pop("icc_profile", None)  # some formats would save it again
    return picture


def _without_end_mark(path: Path) -> Image.Image | None:
    """A JPEG of which the end mark alone is missing; None where some pixel depends on what would follow.

    Only a file with all of its components in one scan: of others whole scans could be missing, unseen.
    """
    data = Path(path).read_bytes().removesuffix(b"\xff")  # half of the mark
    with Image.open(io.BytesIO(data)) as image:
        if image.format not in ("JPEG", "MPO") or "progressive" in image.info:
            return None
        # Pillow stops behind the first scan's header: marker, length, number of components (T.81, B.2.3).
        header = data[image.fp.tell() - 8 - 2 * image.layers :][:5]
    if header != b"\xff\xda" + (6 + 2 * image.layers).to_bytes(2) + image.layers.to_bytes():
        return None
    first, *others = (_opened(io.BytesIO(data + follows)) for follows in AFTER_THE_END)
    return first if all(first.tobytes() == other.tobytes() for other in others) else None


def _bound(image: Image.Image) -> None:
    """Have a huge JPEG decoded at a fraction of its size. Raises Unusable for another huge picture."""
    width, height = image.size
    if width * height <= MOST_PIXELS:
        return
    # A progressive one is held whole in memory, however small it is wanted.
    if isinstance(image, JpegImagePlugin.JpegImageFile) and "progressive" not in image.info:
        fraction = next(each for each in (2, 4, 8) if width * height <= MOST_PIXELS * each**2)
        image.draft(None, (width // fraction, height // fraction))
    if image.width * image.height > MOST_PIXELS:
        raise Unusable(
            f"has {width:,} x {height:,} pixels, and more than {MOST_PIXELS:,} are not read: make it smaller"
        )


def _rgb(image: Image.Image) -> Image.Image:
    """A decoded picture as RGB."""
    if image.mode.startswith("I;16"):
        grey = np.asarray(image)
        image = _transparent_at(Image.fromarray((grey >> 8).astype(np.uint8)), grey, image)
    elif image.mode in ("I", "F"):
        image = Image.fromarray(_stretched(np.asarray(image, dtype=np.float64)))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, PAPER), image).convert("RGB")
    return image.convert("RGB")


def _transparent_at(eight_bits: Image.Image, grey: np.ndarray, source: Image.Image) -> Image.Image:
    """Grey with the one value transparent that a PNG of 16 bits may name."""
    hidden = source.info.get("transparency")
    if hidden is not None:
        eight_bits.putalpha(Image.fromarray(np.where(grey == hidden, 0, 255).astype(np.uint8)))
    return eight_bits


def _stretched(grey: np.ndarray) -> np.ndarray:
    """Values from the darkest to the brightest as 0 to 255, uint8; black where they are no numbers."""
    known = np.isfinite(grey)
    least, most = (grey[known].min(), grey[known].max()) if known.any() else (0.0, 0.0)
    return np.where(known, (grey - least) * (255 / ((most - least) or 1)), 0).round().astype(np.uint8)


def _orientation(image: Image.Image) -> int:
    """How a picture is turned; 1 is upright."""
    try:
        return image.getexif().get(ORIENTATION, 1)
    except Exception:  # broken metadata, in many ways, don't make a picture a bad one
        return 1


def _upright(picture: Image.Image, orientation: int) -> Image.Image:
    return picture.transpose(TURNED[orientation]) if orientation in TURNED else picture


def _other_pixels(path: Path) -> bool:
    """Whether OPENING 1, which took stored pixels as they are, gives an image file other pixels."""
    try:
        with Image.open(path) as image:
            deep = image.mode.startswith("I") or image.mode == "F"
            if not (deep or image.has_transparency_data or _orientation(image) in TURNED):
                return False
            stored, today = image.convert("RGB"), open_photograph(path)
    except Exception:  # what is broken today was whole when it was encoded
        return False
    return stored.size != today.size or not np.array_equal(np.asarray(stored), np.asarray(today))


def _problem(path: Path) -> str | None:
    """What is wrong with one image file, or None."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # not `is_file`, which is silent on links that form a loop
            return "is no file"
        with Image.open(path) as image:
            image_format = image.format
            _bound(image)
    except FileNotFoundError:
        return "was not found"
    except Unusable as error:
        return str(error)
    except UnidentifiedImageError as error:
        with open(path, "rb") as file:
            start = file.read(64)
        known = (words for beginning, words in BEGINNINGS.items() if beginning.match(start))
        return next(known, f"does not open ({type(error).__name__})")
    except Exception as error:  # Pillow raises many kinds for a broken header; each is the user's file
        return f"does not open ({getattr(error, 'strerror', None) or type(error).__name__})"
    marker = END_MARKERS.get(image_format)
    if marker and not _ends_with(path, marker):
        try:
            open_photograph(path)
        except Unusable as error:
            return f"cut off ({error})"
    return None


def _ends_with(path: Path, marker: bytes) -> bool:
    """Whether the last TAIL bytes of a file hold a marker."""
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL))
        return marker in file.read()
