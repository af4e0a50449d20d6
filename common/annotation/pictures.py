"""What annotators look at: two photographs side by side under their caption, or one alone for the page.

Everything is a JPEG without dates or thumbnails: the same photographs, text and fonts give the same bytes.
"""

import io
from pathlib import Path

from PIL import Image, ImageStat

from common.annotation import fonts
from common.retrieval.images import open_photograph

WIDTH = 1200  # pixels of a side-by-side picture
MARGIN, GAP = 16, 12
PANEL = (WIDTH - 2 * MARGIN - GAP) // 2  # pixels: the largest width of one photograph, and its largest height
CAPTION_SIZES = (34, 28, 23, 19)  # pixels; the largest at which the caption takes LINES lines at most
LINES = 4
TITLE_SIZE = 24
PAPER, INK, MAT = "#ffffff", "#16202a", "#e6eaee"
ALMOST_WHITE = 247  # of 255: paper is lighter on average, and the mat around a photograph darker
MAX_BYTES = 150_000  # of a side-by-side picture
PAGE_PHOTO = 720  # pixels: the longer edge of a photograph inside a page
QUALITIES = range(90, 24, -5)


def side_by_side(left: Path, right: Path, caption: str, titles: tuple[str, str]) -> bytes:
    """Two photographs, undistorted, each over its title, and the whole caption above: a JPEG.

    WIDTH pixels wide and below MAX_BYTES. Raises OSError where a photograph can't be read. Text that no
    installed font covers is a matter for `fonts.check` before.
    """
    photos = [_fitted(open_photograph(path), PANEL, PANEL) for path in (left, right)]
    panel_height = max(photo.height for photo in photos)
    lines, size = _caption_lines(caption)
    line_height = round(1.35 * size)
    top = _upper_edge(caption)
    bottom = top + panel_height
    picture = Image.new("RGB", (WIDTH, bottom + 2 * TITLE_SIZE), PAPER)
    for number, line in enumerate(lines):
        x = (WIDTH - fonts.width(line, size)) / 2
        fonts.draw(picture, (x, MARGIN + number * line_height + size), line, size, INK)
    for number, (photo, title) in enumerate(zip(photos, titles, strict=True)):
        x = MARGIN + number * (PANEL + GAP)
        picture.paste(MAT, (x, top, x + PANEL, bottom))
        picture.paste(photo, (x + (PANEL - photo.width) // 2, top + (panel_height - photo.height) // 2))
        indent = (PANEL - fonts.width(title, TITLE_SIZE)) / 2
        fonts.draw(picture, (x + indent, bottom + round(1.4 * TITLE_SIZE)), title, TITLE_SIZE, INK)
    return _jpeg(picture, MAX_BYTES)


def photographs(path: Path, caption: str, max_bytes: int) -> bytes:
    """The two photographs of a side-by-side picture alone, for a page that says the caption itself.

    Whole, text included, where the photographs don't begin where this caption would end: fonts may have been
    others when it was made. A JPEG below `max_bytes`. Raises OSError where it can't be read.
    """
    picture = open_photograph(path)
    top, bottom = _upper_edge(caption), picture.height - 2 * TITLE_SIZE
    if picture.width == WIDTH and 0 < bottom - top <= PANEL and _is_edge(picture, top):
        picture = picture.crop((MARGIN, top, WIDTH - MARGIN, bottom))
    picture.thumbnail((PAGE_PHOTO, PAGE_PHOTO), Image.Resampling.LANCZOS)
    return _jpeg(picture, max_bytes)


def _upper_edge(caption: str) -> int:
    """Where the photographs begin below a caption, in pixels."""
    lines, size = _caption_lines(caption)
    return MARGIN + len(lines) * round(1.35 * size) + MARGIN // 2


def _is_edge(picture: Image.Image, top: int) -> bool:
    """Whether there is paper above a row, and something below it."""
    above, below = ((0, top - 4, WIDTH, top - 2), (MARGIN, top + 2, WIDTH - MARGIN, top + 4))
    # Means: single pixels next to an edge are whatever JPEG makes of them.
    light = [ImageStat.Stat(picture.crop(box).convert("L")).mean[0] for box in (above, below)]
    return light[0] > ALMOST_WHITE > light[1]


def for_page(path: Path, max_bytes: int) -> bytes:
    """One photograph as a JPEG below `max_bytes`, shrunk to PAGE_PHOTO pixels, never enlarged."""
    photo = open_photograph(path)
    photo.thumbnail((PAGE_PHOTO, PAGE_PHOTO), Image.Resampling.LANCZOS)
    return _jpeg(photo, max_bytes)


def _fitted(photo: Image.Image, width: int, height: int) -> Image.Image:
    """A photograph scaled to touch the edges of a box, its proportions kept.

    Small ones are first enlarged by a whole factor without smoothing: their pixels stay sharp, where a smooth
    enlargement of 96 pixels would look out of focus.
    """
    factor = int(min(width / photo.width, height / photo.height))
    if factor > 1:
        photo = photo.resize((photo.width * factor, photo.height * factor), Image.Resampling.NEAREST)
    scale = min(width / photo.width, height / photo.height)
    size = [max(1, round(edge * scale)) for edge in photo.size]
    return photo.resize(size, Image.Resampling.LANCZOS)


def _caption_lines(caption: str) -> tuple[list[str], int]:
    """The caption's lines and the font size: as large as fits into LINES lines, else small and long."""
    for size in CAPTION_SIZES:
        lines = fonts.wrap(caption, size, WIDTH - 2 * MARGIN)
        if len(lines) <= LINES:
            break
    return lines, size


def _jpeg(picture: Image.Image, max_bytes: int) -> bytes:
    """Encode as JPEG at the highest quality that stays below a size; noise that never fits is shrunk."""
    while True:
        for quality in QUALITIES:
            data = io.BytesIO()
            # Not `optimize`: Pillow's buffer for it is too small for noise.
            picture.save(data, "JPEG", quality=quality, subsampling=0 if quality >= 80 else 2)
            if data.tell() < max_bytes:
                return data.getvalue()
        picture = picture.resize(
            [max(1, round(edge * 0.8)) for edge in picture.size], Image.Resampling.LANCZOS
        )
