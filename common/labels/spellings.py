"""The one table of how people write the labels, and what each spelling counts as.

A cell is compared after `squeezed`: case, white space, hyphens, underscores, slashes, dots and quotes play
no part, so `near_duplicate`, `Near-Duplicate` and ` near duplicate ` are one spelling and need one entry.
A spelling that is not in the table is never guessed at: the reader names the nearest label, a person decides.
"""

import difflib
import functools
import re
import unicodedata

from common.labels import taxonomy

# Long and Chinese names come from the taxonomy; these are the further ones. Only spellings that can mean
# nothing else belong here: "number" or "place" would be a guess at what the annotator had in mind.
FURTHER_CATEGORY_SPELLINGS = {
    "Ambiguous": (
        *("Ambiguity", "Ambig", "Ambigous", "Ambigious", "Ambiguos", "Ambiguious", "Ambigiuous", "Ambiguius"),
        *("Ambigouus", "Ambigiguous", "Amibguous", "Ambguous", "Abmiguous", "模糊", "有歧义"),
    ),
    "Attribute": (
        *("Attributes", "Attribut", "Atribute", "Attibute", "Attrbute", "Attribue", "Attirbute", "Atrribute"),
        *("Atttribute", "Attribute Bind", "Attributes Binding", "Attribute Bindings", "属性"),
    ),
    "Action": (
        *("Actions", "Acton", "Actoin", "Acion", "Acction", "Aktion", "Interaction", "Interactions"),
        *("Action Interactions", "动作", "交互"),
    ),
    "Count": (
        *(
            "Counts",
            "Counting",
            "Plurality",
            "Conut",
            "Coutn",
            "Cuont",
            "Counting Plural",
            "Countng",
            "Couting",
        ),
        *("计数", "数量"),
    ),
    "Context": (
        *("Contexts", "Contex", "Contxt", "Conext", "Cotext", "Contextt", "Scene", "Scenes", "场景", "背景"),
    ),
    "Spatial": (
        *("Spatial Relations", "Spatial Relationship", "Sptial", "Spacial", "Spatail", "Spatal", "Spatical"),
        *("Spatiel", "Spatioal", "Saptial", "Spartial", "空间"),
    ),
    "Object": (
        *("Objects", "Objet", "Obejct", "Ojbect", "Objcet", "Objekt", "Obect", "Objct", "Object Confusions"),
        *("物体", "对象混淆"),
    ),
}
FURTHER_SUBTYPE_SPELLINGS = {
    "underspecified": (
        *("Under-specified", "Underspecification", "Underspecifed", "Underspecifie", "Underspecfied"),
        *("Underspecifid", "Undersepcified", "Underspecificed", "Underpecified", "Underspecified captions"),
        *("描述不充分",),
    ),
    "nearduplicate": (
        *("Near-duplicate", "Near duplicates", "Near-duplicate images", "Near dup", "Near dupe"),
        *("Nearduplicat", "Near-dupicate", "Near-duplciate", "Near-dublicate", "Neer duplicate", "近重复"),
    ),
}
# Sheet columns that users rename. A column counts by its squeezed name; the sheets' own names need no entry.
COLUMN_SPELLINGS = {
    "idx": ("index", "caption idx", "caption index", "编号", "序号"),
    "caption": ("captions", "caption text", "描述", "标题"),
    "gt_img_idx": ("gt image idx", "gt idx", "ground truth idx"),
    "pred_img_idx": ("pred image idx", "pred idx", "predicted idx"),
    "category": ("categories", "label", "category label", "类别"),
    "ambiguous_subtype": ("subtype", "ambiguous subtypes", "ambiguity subtype", "子类型"),
    "revision": (),
    "note": ("notes", "comment", "comments", "remark", "remarks", "备注"),
}
# Also removed: the zero-width characters and byte order marks that copying out of a browser leaves behind.
_NO_PART = re.compile(r"[\s\-_/\\.'\"`´‘’“”\u00ad\u200b-\u200f\u2010-\u2015\u2212\u2060\ufeff]+")


@functools.lru_cache(maxsize=10_000)
def squeezed(text: str) -> str:
    """A spelling without what plays no part: case, width, white space, hyphens, slashes, dots, quotes."""
    return _NO_PART.sub("", unicodedata.normalize("NFKC", text)).casefold()


def _table(labels: tuple[taxonomy.Label, ...], further: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """Squeezed spelling -> the label's name in files."""
    table = {}
    for label in labels:
        for spelling in (label.name, label.long_name, label.chinese_name, *further[label.name]):
            table[squeezed(spelling)] = label.name
    return table


CATEGORY_TABLE = _table(taxonomy.CATEGORIES, FURTHER_CATEGORY_SPELLINGS)
SUBTYPE_TABLE = _table(taxonomy.SUBTYPES, FURTHER_SUBTYPE_SPELLINGS)
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


@functools.lru_cache(maxsize=10_000)  # a wrong word often stands in a whole column
def _closest(word: str, spellings: tuple[str, ...]) -> str:
    return difflib.get_close_matches(word, spellings, n=1, cutoff=0.0)[0]
