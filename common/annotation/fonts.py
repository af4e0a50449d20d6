"""Text in installed fonts: which font has a glyph for each character, how wide a line is, and drawing it.

DejaVu Sans comes with matplotlib, so Latin, Greek and Cyrillic look the same everywhere. Characters it lacks
are looked up in the fonts of the system. A character that none of them has is an error, never an empty box.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import re
import unicodedata
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from common.errors import UserError
from common.heavy import matplotlib

# Plain upright fonts first where several have a character.
PREFERRED = (
    "notosanscjk-regular",
    "notosanssc-regular",
    "pingfang",
    "msyh",
    "notocoloremoji",
    "notosans-regular",
)
NOT_PLAIN = re.compile("bold|italic|oblique|black|thin|light|medium|serif|mono|condensed")
SHOWS_NOTHING_REAL = re.compile("lastresort|adobeblank|tofu")  # they claim every character
BITMAP_SIZES = (109, 136, 128, 160, 96, 64)  # color emoji fonts come in one of these sizes only, in pixels
INKLESS = re.compile("[\u115f\u1160\u2800\u3164\ufe00-\ufe0f\uffa0]")
EMOJI = re.compile("[\u2600-\u27bf\U0001f000-\U0001faff]")


@functools.cache
def bundled() -> Path:
    """The font that comes with matplotlib."""
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"


class Face:
    """One font at one size in pixels; a bitmap font is drawn at its own size and scaled."""

    def __init__(self, path: Path, size: int):
        for own_size in (size, *BITMAP_SIZES):
            try:
                self.font = ImageFont.truetype(str(path), own_size, index=_face_index(path))
            except OSError:
                continue
            self.scale = size / own_size
            return
        raise OSError(f"{path} has no size that can be drawn")

    def width(self, text: str) -> float:
        """The advance of a text in pixels."""
        return self.font.getlength(text) * self.scale

    def draw(self, image: Image.Image, start: tuple[float, int], text: str, fill: str) -> None:
        """Draw a text onto an RGB image; `start`: its left end, and its baseline, in pixels."""
        x, baseline = start
        if self.scale == 1:
            ImageDraw.Draw(image).text(start, text, fill, self.font, "ls", embedded_color=True)
            return
        left, top, right, bottom = (int(edge) for edge in self.font.getbbox(text, anchor="ls"))
        tile = Image.new("RGBA", (max(right - left, 1), max(bottom - top, 1)))
        ImageDraw.Draw(tile).text((-left, -top), text, fill, self.font, "ls", embedded_color=True)
        small = tile.resize(
            [max(1, round(edge * self.scale)) for edge in tile.size], Image.Resampling.LANCZOS
        )
        image.paste(small, (round(x + left * self.scale), round(baseline + top * self.scale)), small)


def check(text: str, where: str) -> None:
    """Raise UserError where no installed font can draw all of a text; `where` says whose text it is."""
    missing = sorted({character for character in _drawn(text) if _font_of(character) is None})
    if missing:
        shown = ", ".join(f"{character} (U+{ord(character):04X})" for character in missing[:5])
        raise UserError(
            f"{where}: no installed font has {shown}. Install one, then run the same command again: "
            f"`apt-get install {_package(missing[0])}`, or elsewhere a font of fonts.google.com/noto"
        )


def width(text: str, size: int) -> float:
    """The width of a line in pixels at a font size in pixels."""
    return sum(_face(path, size).width(run) for path, run in _runs(text))


def draw(image: Image.Image, start: tuple[float, int], text: str, size: int, fill: str) -> None:
    """Draw one line onto an RGB image, each character in a font that has it.

    start: the left end of the line, and its baseline, in pixels.
    """
    x, baseline = start
    for path, run in _runs(text):
        face = _face(path, size)
        face.draw(image, (x, baseline), run, fill)
        x += face.width(run)


def wrap(text: str, size: int, line_width: int) -> list[str]:
    """Break a text into lines of at most `line_width` pixels: at white space, between Chinese characters,
    and, where a word alone is longer than a line, inside it. No character but white space is lost."""
    lines, line = [], ""
    for piece, gap in _pieces(text):
        if line and width(line + gap + piece, size) > line_width:
            lines.append(line)
            line = ""
        line += (gap if line else "") + piece
        while width(line, size) > line_width and len(line) > 1:
            fitting = bisect.bisect_right(
                range(len(line)), line_width, key=lambda n, line=line: width(line[:n], size)
            )
            end = max(fitting - 1, 1)
            lines.append(line[:end])
            line = line[end:]
    return [*lines, line] if line else lines


def _pieces(text: str) -> list[tuple[str, str]]:
    """What may stand on a line of its own, each with the space before it (none inside Chinese text)."""
    pieces: list[tuple[str, str]] = []
    for word in text.split():
        gap = " "
        for wide, group in itertools.groupby(word, _is_wide):
            for atom in group if wide else ["".join(group)]:
                # A comma or a closing bracket may not begin a line, nor a mark that sits on a character.
                if not gap and unicodedata.category(atom[0]) in ("Pe", "Pf", "Po", "Mn", "Me", "Mc", "Cf"):
                    pieces[-1] = (pieces[-1][0] + atom, pieces[-1][1])
                else:
                    pieces.append((atom, gap))
                gap = ""
    return pieces


def _is_wide(character: str) -> bool:
    """Whether a character is as wide as a Chinese one: lines may break next to it."""
    return unicodedata.east_asian_width(character) in "WF"


def _drawn(text: str) -> str:
    """The characters of a text that leave ink, so no joiners, variation selectors and control characters."""
    return "".join(
        character
        for character in text
        if not (character.isspace() or INKLESS.match(character))
        and unicodedata.category(character) not in ("Cc", "Cf")
    )


def _runs(text: str) -> list[tuple[Path, str]]:
    """A line cut into stretches of one font each."""
    runs: list[tuple[Path, str]] = []
    for character in " ".join(text.split()):
        if character != " " and not _drawn(character):
            continue
        last = runs[-1][0] if runs else bundled()
        # A space, and a mark that sits on the character before it, stay in that character's font.
        follows = character == " " or unicodedata.category(character).startswith("M")
        path = last if follows and ord(character) in _characters(last) else _font_of(character) or bundled()
        if runs and runs[-1][0] == path:
            runs[-1] = (path, runs[-1][1] + character)
        else:
            runs.append((path, character))
    return runs


@functools.cache
def _font_of(character: str) -> Path | None:
    """The first font that has a character and can draw it: some color fonts come out blank."""
    has = (path for path in _installed() if ord(character) in _characters(path))
    return next((path for path in has if _leaves_ink(path, character)), None)


def _leaves_ink(path: Path, character: str) -> bool:
    """Whether a font draws anything for a character."""
    tile = Image.new("RGB", (96, 96), "white")
    try:
        _face(path, 32).draw(tile, (32, 64), character, "black")
    except OSError:
        return False
    return any(lowest < 255 for lowest, _ in tile.getextrema())


@functools.cache
def _installed() -> tuple[Path, ...]:
    """All fonts, in the order in which they are asked; the same on every run."""
    found = set(map(Path, matplotlib.font_manager.findSystemFonts()))
    real = [path for path in found if not SHOWS_NOTHING_REAL.search(path.name.lower())]
    return (bundled(), *sorted(real, key=_preference))


def _preference(path: Path) -> tuple:
    name = path.stem.lower()
    rank = next((rank for rank, start in enumerate(PREFERRED) if name.startswith(start)), len(PREFERRED))
    return rank, bool(NOT_PLAIN.search(name)), name, str(path)


@functools.cache
def _characters(path: Path) -> frozenset[int]:
    """The code points that a font has glyphs for; none where the file can't be read."""
    try:
        return frozenset(matplotlib.ft2font.FT2Font(str(path)).get_charmap())
    except (RuntimeError, OSError):
        return frozenset()


@functools.cache
def _face(path: Path, size: int) -> Face:
    return Face(path, size)


@functools.cache
def _face_index(path: Path) -> int:
    """Which face of a collection: the one for Simplified Chinese, since one code point has several shapes."""
    if path.suffix.lower() in (".ttc", ".otc"):
        for index in range(16):
            try:
                family = ImageFont.truetype(str(path), 20, index=index).getname()[0]
            except OSError:
                break
            if family and family.endswith(" SC"):
                return index
    return 0


def _package(character: str) -> str:
    """The Debian package whose fonts are likely to have a character."""
    if EMOJI.match(character):
        return "fonts-noto-color-emoji"
    if _is_wide(character):
        return "fonts-noto-cjk"
    return "fonts-noto-core fonts-noto-extra"
