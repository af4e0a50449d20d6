"""A captions file as it comes from outside, checked entry by entry before anything is built on it.

Converters and people write COCO's form in many ways. What is harmless is taken as it is meant (an image
listed once for each of its captions, keys that captions don't need); everything else is refused by entry.
"""

import json
from collections.abc import Hashable
from pathlib import Path

from common import say
from common.errors import UserError, list_rows
from common.settings import shown

# How files begin that are no JSON, and what to do about each.
BEGINNINGS = {
    b"\x1f\x8b": "is compressed (gzip): unpack it first, for example with `gunzip`",
    b"PK\x03\x04": "is a ZIP archive: unpack it first",
    b"BZh": "is compressed (bzip2): unpack it first",
    b"\xfd7zXZ\x00": "is compressed (xz): unpack it first",
    b"\x28\xb5\x2f\xfd": "is compressed (zstd): unpack it first",
    b"version https://git-lfs": "is a Git LFS pointer, not the file itself: fetch it with `git lfs pull`",
    b"<": "is a web page or XML, not JSON: get the file again",
}
IDS = range(-(2**63), 2**63)  # what 64 bits hold
NEEDED = "a COCO captions file is needed: an object with the lists `images` and `annotations`"
LONGEST = 60  # characters of a value in a message


def read(path: Path) -> dict[str, list[dict]]:
    """The `images` and `annotations` of a captions file, in its order, each id once.

    An image needs `id` and `file_name`, an annotation `id`, `image_id` and `caption`; other keys stay, and
    what else the file holds is left out. Raises UserError where the file is no captions file, naming what it
    is, where entries are bad or contradict one another, naming them, and where no caption holds a word.
    """
    name, content = shown(path), _parsed(Path(path))
    if not isinstance(content, dict):
        raise UserError(f"{name} holds {_kind(content)}: {NEEDED}")
    for key in ("images", "annotations"):
        if key not in content:
            raise UserError(
                f"{name} holds no `{key}`, only {say.first_of(list(content)) or 'nothing'}: {NEEDED}"
            )
        if not isinstance(content[key], list):
            raise UserError(f"{name}: `{key}` is {_kind(content[key])}: {NEEDED}")
    images, annotations = content["images"], content["annotations"]
    if annotations and not images:
        raise UserError(f"{name} holds no images, only {say.items(len(annotations), 'annotation')}: {NEEDED}")
    if annotations and not any(isinstance(each, dict) and "caption" in each for each in annotations):
        raise UserError(f"{name}: none of its {len(annotations):,} annotations has a `caption`: {NEEDED}")
    known = {each["id"] for each in images if isinstance(each, dict) and is_id(each.get("id"))}
    images, problems = _once(images, "image", _image_problem)
    annotations, more = _once(annotations, "annotation", lambda each: _annotation_problem(each, known))
    problems += more if known else []  # without a single id every annotation lacks its own image
    if problems:
        n = say.items(len(problems), "bad entry", "bad entries")
        raise UserError(f"{name} has {n}; fix them or get the file again:\n{list_rows(problems)}")
    if not any(each["caption"].strip() for each in annotations):
        raise UserError(
            f"{name} holds no captions ({say.items(len(images), 'image')}, "
            f"{say.items(len(annotations), 'annotation')}): a file with captions is needed, which test "
            "splits don't have"
        )
    return {"images": images, "annotations": annotations}


def _parsed(path: Path) -> object:
    """What a JSON file holds. Raises UserError naming what the file is where it is not JSON."""
    data = path.read_bytes()
    for beginning, what in BEGINNINGS.items():
        if data.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(beginning):
            raise UserError(f"{shown(path)} {what}")
    if not data.strip(b" \t\r\n\0"):
        raise UserError(f"{shown(path)} is empty: get the file again")
    try:
        return json.loads(data)
    except RecursionError as error:
        raise UserError(f"{shown(path)} is nested too deeply: {NEEDED}") from error
    except ValueError as error:
        if _is_json(data.split(b"\n", 1)[0]):
            raise UserError(f"{shown(path)} holds JSON lines, one value a line: {NEEDED}") from error
        raise UserError(f"{shown(path)} is not valid JSON ({error}): get or make it again") from error


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True


def _once(entries: list, what: str, problem_of) -> tuple[list[dict], list[str]]:
    """Entries with each id once, in order, and what is wrong with the others.

    Equal entries are one; entries that differ under one id contradict one another. `problem_of` says what is
    wrong with an entry that is an object with a good id, or None.
    """
    good, problems = {}, []
    for number, entry in enumerate(entries):
        place = f"{what}s[{number}]"
        if not isinstance(entry, dict):
            problems.append(f"{place} is {_kind(entry)}, not an object")
        elif not is_id(entry.get("id")):
            problems.append(f"{place}: `id` is {_value(entry, 'id')}, not a whole number")
        elif entry["id"] in good:
            if good[entry["id"]] != entry:
                problems.append(f"{what} {entry['id']}: the id occurs twice, with different content")
        elif problem := problem_of(entry):
            problems.append(f"{what} {entry['id']}: {problem}")
        else:
            good[entry["id"]] = entry
    return list(good.values()), problems


def _image_problem(image: dict) -> str | None:
    if problem := text_problem(image, "file_name"):
        return problem
    return None if image["file_name"].strip() else "`file_name` is blank"


def _annotation_problem(annotation: dict, known: set[int]) -> str | None:
    """`known`: ids of the file's images."""
    image_id = annotation.get("image_id")
    if not is_id(image_id):
        return f"`image_id` is {_value(annotation, 'image_id')}, not a whole number"
    if image_id not in known:
        return f"no image has the id {image_id}"
    return text_problem(annotation, "caption")


def text_problem(entry: dict, key: str) -> str | None:
    """What is wrong with a text, or None. NUL and half characters can't be in a file's name or a sheet."""
    text = entry.get(key)
    if not isinstance(text, str):
        return f"`{key}` is {_value(entry, key)}, not a text"
    if "\0" in text:
        return f"`{key}` holds the character NUL: {_short(text)}"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return f"`{key}` holds half of a character (one of a pair of surrogates): {_short(text)}"
    return None


def is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value in IDS


def _value(entry: dict, key: Hashable) -> str:
    return _short(entry[key]) if key in entry else "missing"


def _short(value: object) -> str:
    """A value as JSON writes it, cut where it is long."""
    text = json.dumps(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 4] + " ..."


def _kind(value: object) -> str:
    """What JSON calls a value."""
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")
