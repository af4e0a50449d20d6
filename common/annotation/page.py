"""The annotation page: one HTML file with everything in it, for one annotator, opened from the disk.

The template, its style, its script and its words in each language are next to this file (page.html.j2,
page.css, SCRIPTS, page_texts.json). Captions travel as JSON, in which no character can end the block.
"""

import json
import re
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from common.errors import SettingError, UserError
from common.html import digest, encoded, environment
from common.labels import sheets, spellings
from common.labels.taxonomy import AMBIGUOUS, CATEGORIES, LANGUAGES, PRECEDENCE, SUBTYPES, Label

HERE = Path(__file__).parent
TEXTS = json.loads((HERE / "page_texts.json").read_text(encoding="utf-8"))
# One script in four files: what is shown, labels, CSV out and in, keys and clicks. Joined in this order.
SCRIPTS = ("page.js", "page_labels.js", "page_csv.js", "page_keys.js")
MAX_BYTES = 25_000_000  # of a page
PHOTO_BYTES = 12_000, 75_000  # of a photograph: fewer show too little to judge by, more show nothing new
TAXONOMY = "common/labels/taxonomy.py"
OWN = "own"  # part of an item that one annotator alone labels


class Item(NamedTuple):
    """One failure on a page, in the order in which the page shows them."""

    idx: int
    caption: str
    gt: int  # image row
    pred: int  # image row
    part: str  # sheets.OVERLAP or OWN
    repeat: bool = False  # shown a second time: its label is no rating, and nothing on the page says so


class Key(NamedTuple):
    """A key under its name for screen readers (aria-keyshortcuts) and as it is shown."""

    name: str
    cap: str


ACTIONS = (
    *(("previous", Key("ArrowLeft", "←")), ("next", Key("ArrowRight", "→")), ("skip", Key("S", "s"))),
    *(("next_unlabelled", Key("N", "n")), ("clear", Key("X", "x")), ("undo", Key("Z", "z"))),
    *(("load", Key("L", "l")), ("export", Key("E", "e")), ("help", Key("?", "?"))),
)
FURTHER_KEYS = ("m", "g", "r", "y", "c", "h")  # note, the two pictures, redo, compact; h is help, too


def photo_bytes(n_items: int) -> int:
    """How many bytes each photograph of a page with so many items may have.

    A page holds two photographs an item, a third larger in base64, besides some 4 % of text and script.
    Raises SettingError where there are too many items.
    """
    least, most = PHOTO_BYTES
    room = int(0.96 * MAX_BYTES * 3 / 4)
    if room < 2 * n_items * least:
        raise SettingError(
            f"OVERLAP_SIZE + PER_ANNOTATOR = {n_items} items on one page: it would pass "
            f"{MAX_BYTES / 1e6:.0f} MB. At most {room // (2 * least)} fit; lower one of the two"
        )
    return min(most, room // (2 * n_items))


def export_name(annotator: str) -> str:
    """The file that a page exports, which step 4 reads."""
    return f"assign_page_{annotator}.csv"


def html(annotator: str, items: list[Item], photos: dict[int, bytes], sample: str, language: str) -> bytes:
    """The whole page. `photos` holds a JPEG for each image row; `sample` identifies cache and draw, so that
    labels which a browser kept never meet another sample's items. Raises UserError where it grows too large.
    """
    if language not in LANGUAGES:
        raise ValueError(f"language {language!r} is none of {LANGUAGES}")
    check_keys()
    texts = _texts(annotator, language)
    content = _content(annotator, items, photos, sample, language) | {"texts": texts}
    script = "".join((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS)
    css = (HERE / "page.css").read_text(encoding="utf-8")
    template = environment(HERE).get_template("page.html.j2")
    text = template.render(
        data=content,
        n_items=len(items),
        texts=texts,
        heading=texts["heading"].format(name=annotator),
        actions=ACTIONS,
        policy=_policy(script, css),
        script=Markup(script),
        css=Markup(css),
    )
    page = text.encode("utf-8")
    if len(page) > MAX_BYTES:
        raise UserError(
            f"the page of annotator {annotator} has {len(page) / 1e6:.1f} MB, more than "
            f"{MAX_BYTES / 1e6:.0f}: lower OVERLAP_SIZE or PER_ANNOTATOR"
        )
    return page


def _content(annotator: str, items: list[Item], photos: dict[int, bytes], sample: str, language: str) -> dict:
    """What the page's script reads."""
    return {
        "annotator": annotator,
        "storage_key": f"annotate:{sample}:{annotator}",
        "export_name": export_name(annotator),
        "columns": sheets.COLUMNS,
        "items": [item._asdict() for item in items],
        "photos": {row: encoded(jpeg) for row, jpeg in photos.items()},
        "ambiguous": AMBIGUOUS,
        "categories": [_shown(label, language) for label in CATEGORIES],
        "subtypes": [_shown(label, language) for label in SUBTYPES],
        "spellings": {
            "categories": spellings.CATEGORY_TABLE,
            "subtypes": spellings.SUBTYPE_TABLE,
            "columns": spellings.COLUMN_TABLE,
        },
    }


def _shown(label: Label, language: str) -> dict:
    """What the page needs of a label."""
    return {
        "name": label.name,
        "title": label.title(language),
        "meaning": label.meaning(language),
        "key": label.key,
    }


def _texts(annotator: str, language: str) -> dict:
    """The page's words in a language, with what the taxonomy says in them. The script fills in the rest."""
    titles = {label.name: label.title(language) for label in CATEGORIES}
    comma = "、" if language == "zh" else ", "
    values = {
        "precedence": comma.join(titles[name] for name in PRECEDENCE),
        "ambiguous": titles[AMBIGUOUS],
        "ambiguous_key": next(label.key for label in CATEGORIES if label.name == AMBIGUOUS),
        "category_keys": in_a_row([label.key for label in CATEGORIES], language),
        "subtype_keys": " / ".join(label.key for label in SUBTYPES),
        "file": export_name(annotator),
    }

    def filled(text: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda field: values.get(field[1], field[0]), text)

    words = TEXTS[language].items()
    return {name: filled(text) if isinstance(text, str) else list(map(filled, text)) for name, text in words}


def in_a_row(keys: list[str], language: str) -> str:
    """Keys in words: `1 to 7`; where they aren't digits in a row, all of them."""
    digits = [str(number) for number in range(1, len(keys) + 1)]
    if keys == digits and len(keys) > 2:
        return f"{keys[0]} {'到' if language == 'zh' else 'to'} {keys[-1]}"
    return ("、" if language == "zh" else ", ").join(keys)


def check_keys() -> None:
    """Raise UserError where a label's key is none, or is taken by the page or by another label."""
    owners = {key.cap: action for action, key in ACTIONS} | dict.fromkeys(FURTHER_KEYS, "the page")
    for label in (*CATEGORIES, *SUBTYPES):
        wrong = "" if re.fullmatch("[0-9a-z]", label.key) else "should be a digit or a small letter"
        wrong = f"is taken by {owners[label.key]}" if label.key in owners else wrong
        if wrong:
            raise UserError(f"the key {label.key!r} of {label.name} {wrong}: change it in {TAXONOMY}")
        owners[label.key] = label.name


def _policy(script: str, css: str) -> str:
    """A Content-Security-Policy that lets this very script and style run, and nothing from anywhere else."""
    return (
        f"default-src 'none'; img-src data:; script-src 'sha256-{digest(script)}'; "
        f"style-src 'sha256-{digest(css)}'; base-uri 'none'; form-action 'none'"
    )
