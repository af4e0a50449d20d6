"""How people write the labels and the columns of a sheet, and what each spelling counts as.

Spellings of labels are in their entries of the taxonomy; here they become one table.
A cell is compared after `squeezed`: case, white space, hyphens, underscores, slashes, dots and quotes play
no part, so `near_duplicate`, `Near-Duplicate` and ` near duplicate ` are one spelling and need one entry.
A spelling that is not in the table is never guessed at: the reader names the nearest label, a person decides.
"""

import difflib
import functools
import re
import unicodedata

from common.labels import taxonomy

# Sheet columns that users rename. A column counts by its squeezed name; the sheets' own names need no entry.
COLUMN_SPELLINGS = {
    "idx": ("index", "caption idx", "caption index", "编号", "序号"),
    "caption": ("captions", "caption text", "描述", "标题"),
    "gt_img_idx": ("gt image idx", "gt idx", "ground truth idx"),
    "pred_img_idx": ("pred image idx", "pred idx", "predicted idx"),
    "category": ("categories", "label", "category label", "类别"),
    "ambiguous_subtype": ("subtype", "ambiguous subtypes", "ambiguity subtype", "子类型"),
    "revision": (),
    "seconds": (),
    "repeat": (),
    "note": ("notes", "comment", "comments", "remark", "remarks", "备注"),
}
# Also removed: the zero-width characters and byte order marks that copying out of a browser leaves behind.
_NO_PART = re.compile(r"[\s\-_/\\.'\"`´‘’“”\u00ad\u200b-\u200f\u2010-\u2015\u2212\u2060\ufeff]+")


@functools.lru_cache(maxsize=10_000)
def squeezed(text: str) -> str:
    """A spelling without what plays no part: case, width, white space, hyphens, slashes, dots, quotes."""
    return _NO_PART.sub("", unicodedata.normalize("NFKC", text)).casefold()


def _table(labels: tuple[taxonomy.Label, ...]) -> dict[str, str]:
    """Squeezed spelling -> the label's name in files. A label's own name is always its own."""
    table = {squeezed(text): label.name for label in labels for text in label.spellings}
    table |= {squeezed(text): label.name for label in labels for text in label.names}
    return table | {squeezed(label.name): label.name for label in labels}


CATEGORY_TABLE = _table(taxonomy.CATEGORIES)
SUBTYPE_TABLE = _table(taxonomy.SUBTYPES)
COLUMN_TABLE = {
    squeezed(spelling): column
    for column, further in COLUMN_SPELLINGS.items()
    for spelling in (column, *further)
}


def category(text: str) -> str | None:
    """The category that a cell names, or None where the table has no such spelling."""
    return CATEGORY_TABLE.get(squeezed(text))


def subtype(text: str) -> str | None:
    """The ambiguous subtype that a cell names, or None where the table has no such spelling."""
    return SUBTYPE_TABLE.get(squeezed(text))


@functools.lru_cache(maxsize=10_000)
def is_blank(text: str) -> bool:
    """Whether a cell holds nothing that a person could have meant as a label."""
    return not unicodedata.normalize("NFKC", text).strip(" \t\r\n\v\f\u200b\u200c\u200d\u2060\ufeff\u00ad")


def nearest_category(text: str) -> str:
    """The category whose spellings are closest to a cell's text: what to propose, never what to assume."""
    return CATEGORY_TABLE[_closest(squeezed(text), tuple(CATEGORY_TABLE))]


def nearest_subtype(text: str) -> str:
    """The same for an ambiguous subtype."""
    return SUBTYPE_TABLE[_closest(squeezed(text), tuple(SUBTYPE_TABLE))]


@functools.lru_cache(maxsize=10_000)  # a wrong word often fills a whole column
def _closest(word: str, spellings: tuple[str, ...]) -> str:
    return difflib.get_close_matches(word, spellings, n=1, cutoff=0.0)[0]
