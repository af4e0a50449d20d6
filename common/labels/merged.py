"""annotations_clean.csv, the one label of each item: step 4 writes it, steps 5 and 6 read it here."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from common import files
from common.errors import UserError, list_rows
from common.labels import same_caption, sheet_reader
from common.labels.taxonomy import CATEGORY_NAMES, SUBTYPE_NAMES
from common.settings import shown

CLEAN = "annotations_clean.csv"
AGAIN = "run `python merge_assignments.py` again"


class Labeled(NamedTuple):
    """A row of annotations_clean.csv: an item with the label that counts."""

    idx: int  # caption row
    caption: str
    gt_img_idx: int  # image row of the caption's own image
    pred_img_idx: int | None  # image row of the retrieved one; None where no file says which it was
    category: str  # of CATEGORY_NAMES
    ambiguous_subtype: str  # of SUBTYPE_NAMES; blank for other categories, and where nobody gave one
    decided: str  # "one rater", "all agree", "majority" or "adjudicated"
    n_raters: int  # who labeled it; 0 where only an adjudicator did


def read(folder: Path, known: Sequence[str] | None) -> list[Labeled]:
    """The merged labels in a failure folder, by idx; none before step 4.

    known: the cache's captions by idx, which the rows are checked against and captions are taken from; None
    where there is no cache. Raises UserError where a row is another cache's, or not what step 4 writes.
    """
    path = folder / CLEAN
    if not path.is_file():
        return []
    by_idx = dict(enumerate(known or ()))
    rows = sheet_reader.read_table(path, Labeled._fields, by_idx, AGAIN)
    if known is not None:
        written = [(sheet_reader.whole_number(row["idx"]), row["caption"]) for row in rows]
        same_caption.check(path, written, by_idx, AGAIN)
    wrong = [fault for number, row in enumerate(rows, start=1) if (fault := _fault(row, number))]
    counts = Counter(row["idx"] for row in rows)
    wrong += [f"idx {idx} has {n} rows" for idx, n in counts.items() if n > 1]
    if wrong:
        raise UserError(f"{shown(path)} is not what step 4 writes: {AGAIN}\n{list_rows(wrong)}")
    labels = sorted(map(_labeled, rows), key=lambda label: label.idx)
    return [label._replace(caption=by_idx.get(label.idx, label.caption)) for label in labels]


def categories(labels: Sequence[Labeled]) -> dict[int, str]:
    """idx -> category."""
    return {label.idx: label.category for label in labels}


def fingerprint(category_of: Mapping[int, str]) -> str | None:
    """Identity of a set of labels, idx -> category: 16 hexadecimal digits, or None where there are none."""
    if not category_of:
        return None
    text = json.dumps(sorted(category_of.items()))
    return files.fingerprint(text.encode("utf-8"))[:16]


def _fault(row: dict[str, str], number: int) -> str:
    """What step 4 can't have written in a row, or ""."""
    for name in ("idx", "gt_img_idx", "n_raters"):
        if sheet_reader.whole_number(row[name]) is None:
            return f"row {number}: {name} {row[name]!r} is not a number"
    if row["category"] not in CATEGORY_NAMES:
        return f"idx {row['idx']}: category {row['category']!r} is none of {', '.join(CATEGORY_NAMES)}"
    if row["ambiguous_subtype"] not in ("", *SUBTYPE_NAMES):
        return f"idx {row['idx']}: subtype {row['ambiguous_subtype']!r} is none of {', '.join(SUBTYPE_NAMES)}"
    return ""


def _labeled(row: dict[str, str]) -> Labeled:
    """A row's cells as a record."""
    numbers = ("idx", "gt_img_idx", "pred_img_idx", "n_raters")
    return Labeled(**row | {name: sheet_reader.whole_number(row[name]) for name in numbers})
