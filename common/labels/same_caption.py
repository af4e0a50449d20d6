"""Whether a table's caption is the one that the cache has under its `idx`: the one check of them all."""

import functools
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

from common.errors import UserError, list_rows
from common.labels.findings import short
from common.settings import shown

LOST = {"?", "\ufffd"}  # what programs write for a character that an encoding can't hold


def compare(written: str, caption: str) -> str:
    """Compare a table's caption with the cache's: "same", "lost" (characters became `?`) or "other".

    White space, the quote that guards a formula and the Unicode form of an accent make no difference. Lost
    are characters that an encoding could not hold: not ASCII, or not printable.
    """
    written, caption = _plain(written), _plain(caption)
    if written == caption:
        return "same"
    if not LOST & set(written):
        return "other"
    # How far in `written` one can be after each letter of the caption. A lost letter leaves one mark, or one
    # for each of its code units (2) or bytes (4); a regular expression would try all ways of sharing them.
    reached = {0}
    for letter in caption:
        further = {at + 1 for at in reached if written[at : at + 1] == letter}
        if not " " <= letter <= "~":
            for marks in range(1, 5):
                further |= {at + marks for at in reached if _all_lost(written[at : at + marks], marks)}
        reached = further
    return "lost" if len(written) in reached else "other"


def not_that_of(idx: int, caption: str) -> str:
    """What is wrong with a caption cell that compares as "other"; `caption` is the cache's."""
    return f"is not that of idx {idx}: {short(caption)!r}"


def check(
    path: Path, rows: Iterable[tuple[int | None, str]], known: Mapping[int, str], otherwise: str
) -> None:
    """Raise UserError where a table's rows, (idx, caption), are not those of the cache.

    known: idx -> caption. `otherwise` is what a user does who won't restore the table's own cache.
    """
    rows, wrong = list(rows), []
    for idx, written in rows:
        if idx not in known:
            wrong.append(f"idx {'(no row number)' if idx is None else idx} is not in the cache")
        elif compare(written, known[idx]) == "other":
            wrong.append(f"caption {short(written)!r} {not_that_of(idx, known[idx])}")
    if wrong:
        raise UserError(
            f"{shown(path)} belongs to another cache: {len(wrong)} of {len(rows)} captions differ. Restore "
            f"that cache, or {otherwise}\n{list_rows(wrong)}"
        )


def _all_lost(part: str, marks: int) -> bool:
    return len(part) == marks and LOST >= set(part)


@functools.lru_cache(maxsize=100_000)
def _plain(caption: str) -> str:
    """A caption without what spreadsheets change and nobody means."""
    caption = " ".join(unicodedata.normalize("NFC", caption).split()).lstrip("' ")
    # A caption that is a number loses its leading zeros.
    return caption.lstrip("0") or "0" if caption.isascii() and caption.isdigit() else caption
