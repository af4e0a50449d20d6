"""Photographs as the model and people see them, and image files that can't be used."""

import io
import os
import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from common.annotation import pictures
from common.errors import UserError
from common.retrieval import encoder, images
from common.retrieval.meta import Fingerprints, Meta
from tests.support import running

RNG = np.random.default_rng(0)
NOISE = np.array(Image.fromarray(RNG.integers(0, 256, (4, 4, 3), dtype=np.uint8)).resize((64, 64)))
RAMP = np.linspace(0, 1, 64 * 64).reshape(64, 64)
GREY = np.round(RAMP * 255)


def pixels(path) -> np.ndarray:
    """What is shown, as float."""
    return np.asarray(images.open_photograph(path)).astype(float)


def save(path, array, **how):
    Image.fromarray(array).save(path, **how)
    return path


# ---- what is shown -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photograph_is_put_upright(tmp_path, orientation):
    """As Pillow's own reading of the orientation does it, for each of the eight."""
    picture, exif = Image.fromarray(NOISE[:40]), Image.Exif()
    exif[0x0112] = orientation
    for name in ("turned.png", "turned.jpg", "turned.tif", "turned.webp"):
        picture.save(tmp_path / name, exif=exif)
        with Image.open(tmp_path / name) as stored:
            expected = ImageOps.exif_transpose(stored).convert("RGB")
        assert np.array_equal(pixels(tmp_path / name), np.asarray(expected)), name
    assert images.open_photograph(tmp_path / "turned.png").size == ((64, 40) if orientation < 5 else (40, 64))


def test_broken_metadata_are_no_broken_picture(tmp_path):
    path = save(tmp_path / "odd.jpg", NOISE, exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01")
    assert pixels(path).shape == (64, 64, 3)


@pytest.mark.parametrize("kind", ["RGBA", "LA", "P", "RGB", "L"])
def test_what_is_transparent_is_white(tmp_path, kind):
    """Hidden colors are black: whoever ignores transparency sees them."""
    left = np.arange(64) < 32
    if kind in ("RGBA", "LA"):
        seen = NOISE if kind == "RGBA" else GREY.astype(np.uint8)[:, :, None]
        hidden = np.where(left[None, :, None], 0, seen)
        alpha = np.broadcast_to(np.where(left, 0, 255), (64, 64))
        path = save(tmp_path / "x.png", np.dstack([hidden, alpha]).astype(np.uint8))
    else:
        picture = Image.fromarray(np.where(left[None, :, None], 0, 100 + NOISE // 2).astype(np.uint8))
        picture = picture.convert(kind)
        black = {"RGB": (0, 0, 0), "L": 0, "P": picture.getpixel((0, 0))}[kind]
        picture.save(tmp_path / "x.png", transparency=black)
        path = tmp_path / "x.png"
    shown = pixels(path)
    assert (shown[:, :32] == 255).all() and shown[:, 33:].mean() < 220


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("16.png", (RAMP * 65535).astype(np.uint16)),
        ("16.tif", (RAMP * 65535).astype(np.uint16)),
        ("big_endian.tif", (RAMP * 65535).astype(">u2")),
        ("32.tif", (RAMP * 2_000_000_000).astype(np.int32)),
        ("float.tif", RAMP.astype(np.float32)),
        ("wide_float.tif", (RAMP * 5000 - 2500).astype(np.float32)),
        ("8.png", GREY.astype(np.uint8)),
    ],
)
def test_deep_grey_is_scaled_to_what_a_screen_shows(tmp_path, name, stored):
    path = save(tmp_path / name, stored)
    shown = pixels(path)
    assert shown.shape == (64, 64, 3)
    assert np.abs(shown[:, :, 0] - GREY).max() <= 1 and (shown[:, :, 0] == shown[:, :, 2]).all()


def test_a_transparent_value_of_16_bits(tmp_path):
    stored = np.where(np.arange(64)[None] < 32, 515, 40_000).astype(np.uint16).repeat(64, 0)
    Image.fromarray(stored).save(tmp_path / "x.png", transparency=515)
    data = (tmp_path / "x.png").read_bytes()
    if b"tRNS" not in data:  # a Pillow that doesn't write it for 16 bits
        chunk = b"tRNS" + struct.pack(">H", 515)
        chunk = struct.pack(">I", 2) + chunk + struct.pack(">I", zlib.crc32(chunk))
        at = data.index(b"IDAT") - 4
        (tmp_path / "x.png").write_bytes(data[:at] + chunk + data[at:])
    shown = pixels(tmp_path / "x.png")
    assert (shown[:, :32] == 255).all() and (shown[:, 32:] == 40_000 >> 8).all()


def test_values_that_are_no_numbers_are_black(tmp_path):
    stored = RAMP.astype(np.float32)
    stored[0, :8] = np.nan
    shown = pixels(save(tmp_path / "x.tif", stored))
    assert (shown[0, :8] == 0).all() and shown[-1, -1, 0] == 255


def test_cocos_photographs_keep_every_pixel(coco_dir):
    """All 600 did when the rules came; each tenth is enough to see that they still do."""
    for path in sorted((coco_dir / "val2017").glob("*.jpg"))[::10]:
        with Image.open(path) as image:
            assert np.array_equal(np.asarray(image.convert("RGB")), np.asarray(images.open_photograph(path)))


def profile(red: tuple, green: tuple, blue: tuple) -> bytes:
    """sRGB's profile with other primaries, in XYZ under D50."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for tag, values in ((b"rXYZ", red), (b"gXYZ", green), (b"bXYZ", blue)):
        place = struct.unpack_from(">I", data, data.index(tag) + 4)[0]
        struct.pack_into(">3i", data, place + 8, *(round(65536 * value) for value in values))
    return bytes(data)


P3 = profile((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841))
PROFILES = {
    "Display P3": P3,
    "Adobe RGB": profile((0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446)),
    "lab": ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes(),  # of another kind of values
    "broken": b"no profile at all",
    "cut off": P3[:200],
}


@pytest.mark.parametrize("name", ["x.jpg", "x.png", "x.tif", "x.webp"])
@pytest.mark.parametrize("kind", PROFILES)
def test_model_and_people_see_stored_values_whatever_the_profile(tmp_path, kind, name):
    """A viewer that applies a profile would show people other colors than the model got."""
    how = {"lossless": True} if name.endswith("webp") else {}
    save(tmp_path / f"plain_{name}", NOISE, **how)
    save(tmp_path / name, NOISE, icc_profile=PROFILES[kind], **how)
    with Image.open(tmp_path / name) as stored:
        assert stored.info["icc_profile"] == PROFILES[kind]
    assert np.array_equal(pixels(tmp_path / name), pixels(tmp_path / f"plain_{name}"))
    assert images.bad_images(tmp_path, [name]) == []
    assert pictures.for_page(tmp_path / name, 10**6) == pictures.for_page(tmp_path / f"plain_{name}", 10**6)
    for again in ("png", "webp", "tiff", "jpeg"):
        file = io.BytesIO()
        images.open_photograph(tmp_path / name).save(file, again)
        assert "icc_profile" not in Image.open(file).info, again


def test_a_photograph_for_print_is_no_negative(tmp_path):
    """Adobe stores CMYK inverted; with a profile or without, it comes out as it was meant."""
    picture = Image.fromarray(np.repeat(np.repeat(NOISE[::16, ::16], 16, 0), 16, 1))
    for name, how in (("x.jpg", {"quality": 100}), ("y.jpg", {"quality": 100, "icc_profile": b"broken"})):
        picture.convert("CMYK").save(tmp_path / name, **how)
        assert b"Adobe" in (tmp_path / name).read_bytes()
        assert np.abs(pixels(tmp_path / name) - np.asarray(picture)).mean() < 2
    picture.convert("CMYK").save(tmp_path / "x.tif")
    assert np.array_equal(pixels(tmp_path / "x.tif"), np.asarray(picture))


def test_model_and_people_open_photographs_with_one_function():
    assert encoder.open_photograph is pictures.open_photograph is images.open_photograph


# ---- which can't be used -----------------------------------------------------------------------------------


def test_bad_images_are_distinguished(tmp_path):
    image = Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    for name in ("good.jpg", "cut.jpg", "good.png", "cut.png"):
        image.save(tmp_path / name)
    for name in ("cut.jpg", "cut.png"):
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-300])
    (tmp_path / "text.jpg").write_text("<html>404</html>")
    (tmp_path / "empty.jpg").write_bytes(b"")
    names = ["good.jpg", "cut.jpg", "good.png", "cut.png", "text.jpg", "empty.jpg", "gone.jpg"]
    assert [line.split(" (")[0] for line in images.bad_images(tmp_path, names)] == [
        "cut.jpg: cut off",
        "cut.png: cut off",
        "text.jpg: is a web page, not a picture",
        "empty.jpg: is an empty file",
        "gone.jpg: was not found",
    ]


def test_what_is_no_picture_is_named_for_what_it_is(tmp_path):
    """A photograph of a phone, a dataset's pointer, an error page, and what the system will not open."""
    (tmp_path / "phone.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(300))
    (tmp_path / "pointer.jpg").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    (tmp_path / "page.png").write_bytes(b"\n<!DOCTYPE html><title>404</title>")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    reasons = {
        "phone.jpg": "is an HEIC photograph: save it as JPEG",
        "pointer.jpg": "is a Git LFS pointer: fetch the files with `git lfs pull`",
        "page.png": "is a web page, not a picture",
        "loop.jpg": "does not open (Too many levels of symbolic links)",
        "folder.jpg": "is no file",
        "pipe.jpg": "is no file",  # nobody waits for what never comes
        "x" * 300 + ".jpg": "does not open (File name too long)",
    }
    assert images.bad_images(tmp_path, list(reasons)) == [f"{name}: {why}" for name, why in reasons.items()]


@pytest.mark.parametrize("kind", ["apng", "mpo", "1", "LA", "PA", "P with many", "YCbCr", "gif", "avif"])
def test_odd_kinds_of_pictures_are_shown_as_they_look(tmp_path, kind):
    """The first frame, every alpha, whatever the name ends in."""
    picture = Image.fromarray(np.repeat(np.repeat(NOISE[::8, ::8], 8, 0), 8, 1))
    path, expected = tmp_path / "x.jpg", picture
    if kind in ("apng", "mpo", "gif", "avif"):
        form = {"apng": "png"}.get(kind, kind)
        picture.save(path, form, save_all=True, append_images=[picture.rotate(180)], quality=95)
    elif kind == "P with many":
        palette = picture.quantize(64)
        palette.save(path, "png", transparency=bytes(range(0, 256, 4)))
        alpha = np.asarray(palette)[:, :, None] * 4.0 / 255
        mixed = np.asarray(palette.convert("RGB")) * alpha + 255 * (1 - alpha)
        expected = Image.fromarray(mixed.round().astype(np.uint8))
    elif kind in ("LA", "PA"):
        half = Image.new("L", picture.size, 128)
        shown = picture.convert("L" if kind == "LA" else "P")
        expected = Image.composite(shown.convert("RGB"), Image.new("RGB", picture.size, "white"), half)
        shown = shown.convert(kind)
        shown.putalpha(half)
        shown.save(path, "tiff" if kind == "PA" else "png")
    else:
        picture.convert(kind).save(path, "tiff")
        expected = picture.convert(kind).convert("RGB")
    assert np.abs(pixels(path) - np.asarray(expected)).mean() < 5


@pytest.mark.parametrize("behind", [b"\0" * 100, bytes(range(250)) * 40, b"\xff\xd8\xff\xe0" * 5000])
@pytest.mark.parametrize("name", ["x.jpg", "x.png"])
def test_what_decodes_whole_is_whole(tmp_path, name, behind):
    """A phone's video, a server's zeros or the start of another picture may follow the end."""
    path = save(tmp_path / name, NOISE)
    path.write_bytes(path.read_bytes() + behind)
    assert images.bad_images(tmp_path, [name]) == []


def test_only_the_end_marker_is_missing(tmp_path):
    """Every pixel is there: what Pillow decodes whole is used."""
    path = save(tmp_path / "x.png", NOISE)
    before, whole = pixels(path), path.read_bytes()
    path.write_bytes(whole[: whole.rindex(images.END_MARKERS["PNG"])])
    assert images.bad_images(tmp_path, ["x.png"]) == [] and np.array_equal(pixels(path), before)


@pytest.mark.parametrize("how", [{}, {"optimize": True}, {"restart_marker_rows": 1}, {"quality": 30}])
@pytest.mark.parametrize("kind", ["RGB", "L", "CMYK", "flat"])
def test_a_jpeg_without_its_end_mark_is_whole_to_the_last_bit(tmp_path, kind, how):
    """One byte less and the last block is a guess, which a decoder makes without a word."""
    picture = Image.fromarray(NOISE) if kind != "flat" else Image.new("RGB", (640, 480), "#c8641e")
    path = tmp_path / "x.jpg"
    picture.convert("RGB" if kind == "flat" else kind).save(path, **how)
    before, data = pixels(path), path.read_bytes()
    for missing in (1, 2):
        path.write_bytes(data[:-missing])
        assert images.bad_images(tmp_path, ["x.jpg"]) == [] and np.array_equal(pixels(path), before)
    for missing in (3, 4, 5, 7, 10, 30, 60):
        path.write_bytes(data[:-missing])
        (problem,) = images.bad_images(tmp_path, ["x.jpg"])
        assert problem.startswith("x.jpg: cut off (image file is truncated"), missing
        with pytest.raises(images.Unusable):
            images.open_photograph(path)


def test_a_jpeg_that_may_lack_a_whole_scan_is_refused(tmp_path):
    """Behind any of its scans a progressive one decodes, only coarser."""
    path = save(tmp_path / "x.jpg", NOISE, progressive=True)
    data = path.read_bytes()
    for end in (len(data) - 2, data.rindex(b"\xff\xda"), data.rindex(b"\xff\xc4")):
        path.write_bytes(data[:end])
        assert images.bad_images(tmp_path, ["x.jpg"])[0].startswith("x.jpg: cut off")


def test_a_huge_photograph_of_two_pictures_is_read_at_a_fraction(tmp_path, monkeypatch):
    """As phones write them, with a map of the depth behind the picture: MPO, not JPEG."""
    picture = Image.fromarray(NOISE).resize((400, 320))
    picture.save(tmp_path / "x.mpo", save_all=True, append_images=[picture.resize((40, 32))])
    monkeypatch.setattr(images, "MOST_PIXELS", 9000)
    assert images.bad_images(tmp_path, ["x.mpo"]) == []
    assert images.open_photograph(tmp_path / "x.mpo").size == (100, 80)


def test_a_huge_jpeg_is_read_at_a_fraction(tmp_path, monkeypatch):
    Image.fromarray(NOISE).resize((400, 320)).save(tmp_path / "huge.jpg", quality=95)
    whole = images.open_photograph(tmp_path / "huge.jpg")
    for limit, size in ((400 * 320, (400, 320)), (400 * 320 - 1, (200, 160)), (9000, (100, 80))):
        monkeypatch.setattr(images, "MOST_PIXELS", limit)
        assert images.bad_images(tmp_path, ["huge.jpg"]) == []
        small = images.open_photograph(tmp_path / "huge.jpg")
        assert small.size == size
        assert np.abs(np.asarray(whole.resize(size)).astype(float) - np.asarray(small)).mean() < 5


@pytest.mark.parametrize(
    ("name", "how"), [("huge.png", {}), ("huge.jpg", {"progressive": True}), ("huge.tif", {}), ("h.webp", {})]
)
def test_another_huge_picture_is_refused_by_its_pixels(tmp_path, monkeypatch, name, how):
    save(tmp_path / name, NOISE, **how)
    monkeypatch.setattr(images, "MOST_PIXELS", 64 * 64 - 1)
    assert images.bad_images(tmp_path, [name]) == [
        f"{name}: has 64 x 64 pixels, and more than 4,095 are not read: make it smaller"
    ]
    with pytest.raises(OSError, match="64 x 64 pixels"):
        images.open_photograph(tmp_path / name)


def test_no_warning_of_a_library_reaches_the_screen(tmp_path):
    """In a process of its own, as a user's: a picture above Pillow's own limit, odd EXIF, an odd palette."""
    Image.MAX_IMAGE_PIXELS = None
    Image.new("1", (10_000, 9_000)).save(tmp_path / "large.png")
    save(tmp_path / "odd.jpg", NOISE, exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01")
    Image.fromarray(NOISE).quantize(8).save(tmp_path / "palette.png", transparency=bytes([0, 9, 99]))
    code = (
        "import sys, pathlib; from common.retrieval import images\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).iterdir()): images.open_photograph(path)\n"
    )
    process = running.start(str(tmp_path), python=[sys.executable, "-c", code])
    assert process.communicate(timeout=120) == ("", "") and process.returncode == 0


@pytest.mark.parametrize(
    ("folder", "names", "fetched"),
    [
        ("val2017", ["000000000139.jpg", "000000000285.jpg"], True),
        ("val2017", ["000000000139.jpg", "flower.jpg"], False),
        ("val2017", ["000000000001.png"], False),  # the bundled sample's
        ("photos", ["000000000139.jpg"], False),
    ],
)
def test_only_cocos_own_folder_is_fetched_again(tmp_path, folder, names, fetched):
    advice = images.how_to_restore(tmp_path / folder, [f"{name}: cut off" for name in names])
    assert ("--download" in advice) == fetched and ("COCO" in advice) == fetched


# ---- caches of earlier rules -------------------------------------------------------------------------------


def meta_of(names, opening) -> Meta:
    rows = {"sampled_img_ids": [], "caption_ids": [], "captions": [], "gt_img_index": []}
    return Meta(
        **{"model": "m", "seed": 1, "num_images": 2, "captions_per_image": 1, "revision": None},
        **{"processor": None, "dtype": "float32", "image_folder": "x", "bundled_sample": False},
        **{"versions": {}, "fingerprints": Fingerprints(), "file_names": names, "opening": opening, **rows},
    )


def test_a_cache_of_plain_photographs_outlives_the_rules(tmp_path):
    save(tmp_path / "a.jpg", NOISE)
    save(tmp_path / "opaque.png", np.dstack([NOISE, np.full((64, 64), 255, np.uint8)]))
    images.refuse_other_pixels(tmp_path, meta_of(["a.jpg", "opaque.png", "gone.jpg"], 1))


def test_a_cache_of_other_pixels_is_refused_by_name(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path / "turned.jpg", NOISE, exif=exif)
    save(tmp_path / "clear.png", np.dstack([NOISE, np.full((64, 64), 9, np.uint8)]))
    save(tmp_path / "deep.png", (RAMP * 65535).astype(np.uint16))
    save(tmp_path / "plain.jpg", NOISE)
    names = ["turned.jpg", "clear.png", "deep.png", "plain.jpg"]
    with pytest.raises(UserError) as raised:
        images.refuse_other_pixels(tmp_path, meta_of(names, 1))
    assert "3 images" in str(raised.value) and "--cache-dir" in str(raised.value)
    assert all(name in str(raised.value) for name in names[:3]) and "plain.jpg" not in str(raised.value)
    images.refuse_other_pixels(tmp_path, meta_of(names, images.OPENING))
