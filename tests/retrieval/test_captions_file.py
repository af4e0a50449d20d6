"""Captions files from outside: what is meant is taken, everything else is named in one message."""

import bz2
import gzip
import json
import lzma
import zipfile

import pytest

from common.errors import UserError
from common.retrieval import captions_file, coco

IMAGES = [{"id": n, "file_name": f"{n}.jpg"} for n in (1, 2, 3)]
ANNOTATIONS = [{"id": 10 * n, "image_id": n, "caption": f"a scene {n}"} for n in (1, 2, 3)]


def written(path, **changes):
    """A captions file, good but for `changes`."""
    content = {"images": IMAGES, "annotations": ANNOTATIONS} | changes
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def refusal(path) -> str:
    with pytest.raises(UserError) as raised:
        coco.read_captions(path)
    return str(raised.value)


# ---- taken as they are meant -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"categories": []},
        {"categories": [{"id": 1, "name": "dog"}]},
        {"categories": None, "type": "captions", "info": {}, "licenses": []},
        {"images": [image for image in IMAGES for _ in range(5)]},
        {"images": IMAGES + IMAGES[::-1]},
        {"annotations": ANNOTATIONS * 2},
    ],
)
def test_a_harmless_form_gives_the_same_sample(tmp_path, changes):
    plain = coco.sample(coco.read_captions(written(tmp_path / "plain.json")), 9, 5, 42)
    assert coco.sample(coco.read_captions(written(tmp_path / "x.json", **changes)), 9, 5, 42) == plain
    assert len(plain.image_ids) == 3 and plain.without_caption == 0


def test_a_byte_order_mark_and_utf_16_are_read(tmp_path):
    text = json.dumps({"images": IMAGES, "annotations": ANNOTATIONS})
    for encoding in ("utf-8-sig", "utf-16", "utf-32"):
        (tmp_path / "x.json").write_text(text, encoding=encoding)
        assert len(captions_file.read(tmp_path / "x.json")["images"]) == 3


def test_ids_may_be_negative_and_large(tmp_path):
    images = [{"id": key, "file_name": f"{key}.jpg"} for key in (-5, 2**63 - 1)]
    annotations = [{"id": -key, "image_id": key, "caption": "a"} for key in (-5, 2**63 - 1)]
    found = captions_file.read(written(tmp_path / "x.json", images=images, annotations=annotations))
    assert [image["id"] for image in found["images"]] == [-5, 2**63 - 1]


# ---- refused by entry --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ([1], "[1]"),
        (True, "true"),
        (1.0, "1.0"),
        ("1", '"1"'),
        (None, "null"),
        ({}, "{}"),
        (2**63, str(2**63)),
    ],
)
def test_an_id_that_is_no_whole_number_is_named(tmp_path, value, shown):
    images = [*IMAGES, {"id": value, "file_name": "4.jpg"}]
    message = refusal(written(tmp_path / "x.json", images=images))
    assert "x.json has 1 bad entry" in message and f"images[3]: `id` is {shown}, not a whole" in message
    annotations = [*ANNOTATIONS, {"id": value, "image_id": 1, "caption": "a"}]
    message = refusal(written(tmp_path / "x.json", annotations=annotations))
    assert f"annotations[3]: `id` is {shown}, not a whole number" in message
    annotations = [*ANNOTATIONS, {"id": 99, "image_id": value, "caption": "a"}]
    message = refusal(written(tmp_path / "x.json", annotations=annotations))
    assert f"annotation 99: `image_id` is {shown}, not a whole number" in message


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "is null, not a text"),
        (["a"], 'is ["a"], not a text'),
        (7, "is 7, not a text"),
        ("a\0b", "holds the character NUL"),
        ("a \ud83d", "holds half of a character"),
        ("\udc00 a", "holds half of a character"),
    ],
)
def test_a_text_that_is_none_is_named(tmp_path, text, reason):
    annotations = [*ANNOTATIONS, {"id": 99, "image_id": 1, "caption": text}]
    assert f"annotation 99: `caption` {reason}" in refusal(
        written(tmp_path / "x.json", annotations=annotations)
    )
    images = [*IMAGES, {"id": 99, "file_name": text}]
    assert f"image 99: `file_name` {reason}" in refusal(written(tmp_path / "x.json", images=images))


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (None, "is null, not an object"),
        ([1], "is a list, not an object"),
        ("a", "is a text, not an object"),
        (3, "is a number, not an object"),
        (False, "is true or false, not an object"),
        ({}, "`id` is missing, not a whole number"),
    ],
)
@pytest.mark.parametrize("key", ["images", "annotations"])
def test_an_entry_that_is_no_object_is_named(tmp_path, key, entry, reason):
    good = {"images": IMAGES, "annotations": ANNOTATIONS}[key]
    message = refusal(written(tmp_path / "x.json", **{key: [*good, entry]}))
    assert f"{key}[3]{' ' if reason.startswith('is') else ': '}{reason}" in message


@pytest.mark.parametrize(
    "second",
    [{"id": 2, "file_name": "other.jpg"}, {"id": 2, "file_name": "2.jpg", "width": 9}],
)
def test_entries_that_differ_under_one_id_are_named(tmp_path, second):
    message = refusal(written(tmp_path / "x.json", images=[*IMAGES, second]))
    assert "image 2: the id occurs twice, with different content" in message


def test_a_missing_image_and_a_blank_name_are_named(tmp_path):
    lost = [*ANNOTATIONS, {"id": 99, "image_id": 7, "caption": "a"}]
    assert "annotation 99: no image has the id 7" in refusal(written(tmp_path / "x.json", annotations=lost))
    blank = [*IMAGES, {"id": 99, "file_name": " "}]
    assert "image 99: `file_name` is blank" in refusal(written(tmp_path / "x.json", images=blank))


def test_many_bad_entries_are_counted(tmp_path):
    annotations = [{**each, "id": [n]} for n in range(50) for each in ANNOTATIONS]
    message = refusal(written(tmp_path / "x.json", annotations=annotations))
    assert "has 150 bad entries" in message and len(message.splitlines()) == 22


# ---- no captions file at all -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"annotations": []}, "holds no captions (3 images, 0 annotations)"),
        (
            {"annotations": [{**each, "caption": " \n"} for each in ANNOTATIONS]},
            "holds no captions (3 images",
        ),
        ({"images": [], "annotations": []}, "holds no captions (0 images, 0 annotations)"),
        ({"images": []}, "holds no images"),
        ({"images": None}, "`images` is null"),
        ({"images": {"1.jpg": IMAGES[0]}}, "`images` is an object"),
        ({"annotations": {"10": ANNOTATIONS[0]}}, "`annotations` is an object"),
        ({"annotations": "captions.json"}, "`annotations` is a text"),
        (
            {"annotations": [{"id": 1, "image_id": 1, "bbox": []}]},
            "none of its 1 annotations has a `caption`",
        ),
    ],
)
def test_a_file_without_captions_is_one_line(tmp_path, changes, message):
    said = refusal(written(tmp_path / "x.json", **changes))
    assert message in said and "\n" not in said


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (gzip.compress(b"{}", mtime=0), "is compressed (gzip): unpack it first"),
        (bz2.compress(b"{}"), "is compressed (bzip2)"),
        (lzma.compress(b"{}"), "is compressed (xz)"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "is a Git LFS pointer"),
        (b"\n<!DOCTYPE html><html>404</html>", "is a web page or XML"),
        (b"", "is empty"),
        (b" \n\0\0\0", "is empty"),
        (b'{"id": 1}\n{"id": 2}\n', "holds JSON lines, one value a line"),
        (b"[1]\n[2]\n", "holds JSON lines"),
        (b'{"images": [{"id": 1, "fi', "is not valid JSON"),
        (b'{"images": "\xff\xfe"}', "is not valid JSON"),
        (b"[" * 100_000, "is nested too deeply"),
        (b"[]", "holds a list"),
        (b"null", "holds null"),
        (b"{}", "holds no `images`, only nothing"),
        (b'{"images": []}', "holds no `annotations`, only images"),
    ],
)
def test_a_file_of_another_kind_is_named_for_what_it_is(tmp_path, data, message):
    (tmp_path / "x.json").write_bytes(data)
    said = refusal(tmp_path / "x.json")
    assert f"x.json {message}" in said and "\n" not in said


def test_an_archive_is_named_for_what_it_is(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.json", "w") as archive:
        archive.writestr("captions.json", "{}")
    assert "is a ZIP archive" in refusal(tmp_path / "x.json")


@pytest.mark.parametrize("name", ["captions_val2017.json", "captions_train2017.json", "flickr.json"])
def test_only_cocos_own_files_are_fetched(tmp_path, name):
    said = refusal(tmp_path / name)
    assert "was not found" in said and ("--download" in said) == (name != "flickr.json")
