"""Pictures for annotators: whole, undistorted, small enough, the same on every run, and never with boxes."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from common.annotation import fonts, pictures
from common.errors import UserError
from common.retrieval import images

TITLES = ("Ground truth", "Top-1 retrieved")


@pytest.fixture
def photo(tmp_path):
    """Write a photograph of one color, or of noise; returns its path."""

    def write(name: str, size: tuple[int, int], color=None) -> Path:
        width, height = size
        pixels = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
        if color is not None:
            pixels[:] = color
        Image.fromarray(pixels).save(tmp_path / name)
        return tmp_path / name

    return write


def opened(data: bytes) -> Image.Image:
    assert data.startswith(b"\xff\xd8")
    return Image.open(io.BytesIO(data))


def area(picture: Image.Image, color: tuple[int, int, int]) -> tuple[int, int]:
    """Width and height of the region that has about this color."""
    near = np.abs(np.asarray(picture).astype(int) - color).max(axis=2) < 40
    rows, columns = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
    return int(columns[-1] - columns[0] + 1), int(rows[-1] - rows[0] + 1)


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (640, 200), (90, 640), (96, 96), (3000, 100)])
def test_photographs_keep_their_proportions(photo, size):
    left, right = photo("left.png", size, (255, 0, 0)), photo("right.png", (640, 480), (0, 0, 255))
    picture = opened(pictures.side_by_side(left, right, "A dog.", TITLES))
    assert picture.width == 1200
    width, height = area(picture, (254, 0, 0))
    assert width / height == pytest.approx(size[0] / size[1], rel=0.03)
    assert max(width, height) >= 570  # as large as it can be
    ratio = np.divide(*area(picture, (0, 0, 254)))
    assert ratio == pytest.approx(640 / 480, rel=0.03)


def test_ground_truth_stands_on_the_left(photo):
    left, right = photo("left.png", (64, 64), (255, 0, 0)), photo("right.png", (64, 64), (0, 0, 255))
    pixels = np.asarray(opened(pictures.side_by_side(left, right, "A dog.", TITLES))).astype(int)
    red = np.flatnonzero((np.abs(pixels - (254, 0, 0)).max(axis=2) < 40).any(axis=0))
    blue = np.flatnonzero((np.abs(pixels - (0, 0, 254)).max(axis=2) < 40).any(axis=0))
    assert red.max() < blue.min()


@pytest.mark.parametrize("caption", ["A dog.", "word " * 400, "x" * 700])
def test_noise_and_long_captions_stay_below_the_limit(photo, caption):
    left, right = photo("left.png", (640, 480)), photo("right.png", (480, 640))
    data = pictures.side_by_side(left, right, caption, TITLES)
    assert len(data) < 150_000
    assert len(pictures.for_page(left, 20_000)) < 20_000


def test_the_same_input_gives_the_same_bytes(photo):
    left, right = photo("left.png", (640, 480)), photo("right.jpg", (320, 240))
    assert pictures.side_by_side(left, right, "A dog.", TITLES) == pictures.side_by_side(
        left, right, "A dog.", TITLES
    )
    assert pictures.for_page(left, 75_000) == pictures.for_page(left, 75_000)


def test_small_photographs_are_enlarged_without_smoothing(photo):
    """A checkerboard of 96 pixels: whatever was smoothed would be grey."""
    path = photo("small.png", (96, 96))
    board = (np.indices((96, 96)).sum(axis=0) // 4 % 2 * 255).astype(np.uint8)
    Image.fromarray(board).convert("RGB").save(path)
    shown = np.asarray(pictures._fitted(images.open_photograph(path), 578, 578).convert("L"))
    assert shown.shape == (578, 578)
    assert np.mean((shown > 60) & (shown < 195)) < 0.05


def test_for_page_never_enlarges(photo):
    assert opened(pictures.for_page(photo("small.png", (96, 64)), 75_000)).size == (96, 64)
    assert opened(pictures.for_page(photo("large.png", (2000, 1000)), 75_000)).size == (720, 360)


def test_photographs_are_shown_upright_and_on_white(tmp_path):
    image = Image.new("RGB", (60, 30), (0, 200, 0))
    exif = image.getexif()
    exif[0x0112] = 6  # orientation: turned by 90 degrees
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert images.open_photograph(tmp_path / "turned.jpg").size == (30, 60)
    Image.new("RGBA", (10, 10), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert images.open_photograph(tmp_path / "clear.png").getpixel((5, 5)) == (255, 255, 255)
    Image.new("L", (10, 10), 7).save(tmp_path / "grey.png")
    assert images.open_photograph(tmp_path / "grey.png").getpixel((5, 5)) == (7, 7, 7)


@given(st.text(alphabet=st.characters(codec="latin-1", categories=("L", "N", "P", "Zs", "Cc")), max_size=120))
def test_wrapping_loses_no_character(text):
    lines = fonts.wrap(text, 30, 300)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(fonts.width(line, 30) <= 300 for line in lines)


def test_chinese_breaks_at_any_character_but_a_comma():
    lines = fonts.wrap("一只狗，两只猫。" * 6, 30, 200)
    assert "".join(lines) == "一只狗，两只猫。" * 6
    assert len(lines) > 4
    assert not any(line.startswith(("，", "。")) for line in lines)


@pytest.fixture
def only_the_bundled_font(monkeypatch):
    """As on a machine where no font is installed."""
    monkeypatch.setattr(fonts.matplotlib.font_manager, "findSystemFonts", lambda: [])
    clear()
    yield
    clear()


def clear():
    for cached in (fonts._installed, fonts._font_of):
        cached.cache_clear()


@pytest.mark.parametrize(
    ("text", "package"),
    [("一只狗", "fonts-noto-cjk"), ("a dog 🐶", "fonts-noto-color-emoji"), ("कुत्ता", "fonts-noto-core")],
)
def test_without_a_font_one_line_names_a_package(only_the_bundled_font, text, package):
    with pytest.raises(UserError) as raised:
        fonts.check(text, "the caption of idx 7")
    assert "\n" not in str(raised.value)
    assert "the caption of idx 7" in str(raised.value) and f"apt-get install {package}" in str(raised.value)


def test_latin_greek_and_cyrillic_need_no_installed_font(only_the_bundled_font):
    text = "Ein Café “mit” naïve Μαζί щенок — ☃ 5 €"
    fonts.check(text, "a caption")  # raises where no font has a character
    assert {path for path, _ in fonts._runs(text)} == {fonts.bundled()}
    with pytest.raises(UserError, match="狗"):
        fonts.check(text + "狗", "a caption")


def test_characters_that_leave_no_ink_need_no_font(only_the_bundled_font):
    text = "a\u200d b\ufe0f\u00a0c\x07\u2028"
    fonts.check(text, "a caption")  # raises where no font has a character
    assert "".join(run for _, run in fonts._runs(text)) == "a b c"
    assert fonts.width(text, 30) == fonts.width("a b c", 30)


def test_every_accepted_character_is_drawn_as_itself():
    """Each character's glyph differs from the box that a font draws for what it lacks."""
    text = "aé一狗😀🐶"
    try:
        fonts.check(text, "a caption")
    except UserError as error:
        pytest.skip(f"fonts for Chinese and emoji aren't installed: {error}")

    def tile(draw) -> bytes:
        image = Image.new("RGB", (80, 80), "white")
        draw(image)
        return image.tobytes()

    box_of = {}
    for character in text:
        path = fonts._font_of(character)
        face = fonts._face(path, 40)
        box_of[path] = tile(lambda image, face=face: face.draw(image, (10, 60), "\U0010fffd", "black"))
        drawn = tile(lambda image, c=character: fonts.draw(image, (10, 60), c, 40, "black"))
        assert drawn not in (box_of[path], tile(lambda image: None)), character


def test_a_caption_in_several_scripts_is_drawn_whole(photo):
    caption = "A dog 一只狗在沙发上 🐶 é"
    try:
        fonts.check(caption, "a caption")
    except UserError as error:
        pytest.skip(f"fonts for Chinese and emoji aren't installed: {error}")
    left = photo("left.png", (64, 64), (255, 0, 0))
    one = pictures.side_by_side(left, left, caption, TITLES)
    assert one != pictures.side_by_side(left, left, caption.replace("🐶", ""), TITLES)
    assert fonts.width(caption, 34) > fonts.width(caption.replace("一只狗", ""), 34) + 3 * 30


@pytest.mark.parametrize("caption", ["A dog.", "A dog and a cat on a red sofa. " * 6, "word " * 60])
def test_photographs_alone_have_no_text(photo, tmp_path, caption):
    """The page says the caption; both photographs are whole."""
    sides = photo("left.png", (640, 480), (255, 0, 0)), photo("right.png", (480, 640), (0, 0, 255))
    path = tmp_path / "both.jpg"
    path.write_bytes(pictures.side_by_side(*sides, caption, TITLES))
    whole, alone = Image.open(path), opened(pictures.photographs(path, caption, 100_000))
    scale = whole.width / alone.width * (1200 - 2 * pictures.MARGIN) / 1200
    for color in ((254, 0, 0), (0, 0, 254)):
        kept = [edge * scale for edge in area(alone, color)]
        assert kept == pytest.approx(area(whole, color), abs=6)
    ink = np.abs(np.asarray(alone).astype(int) - (22, 32, 42)).max(axis=2) < 40
    assert not ink.any()


@pytest.mark.parametrize("other", ["word " * 60, "one line"])
def test_a_picture_laid_out_otherwise_is_shown_whole(photo, tmp_path, other):
    sides = photo("left.png", (640, 480), (255, 0, 0)), photo("right.png", (480, 640), (0, 0, 255))
    path = tmp_path / "both.jpg"
    path.write_bytes(pictures.side_by_side(*sides, "A dog and a cat on a red sofa. " * 6, TITLES))
    shown, whole = opened(pictures.photographs(path, other, 100_000)), Image.open(path)
    assert shown.width / shown.height == pytest.approx(whole.width / whole.height, rel=0.01)
