"""The merged labels: what step 4 writes of each item and of the merge, and the one reader of both."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from common import files, records
from common.errors import UserError, list_rows
from common.labels import same_caption, sheet_reader, sheets
from common.labels.agreement import Estimate
from common.labels.decisions import Item
from common.labels.drawn import Folder
from common.labels.handed_in import HandIn
from common.labels.model_labels import ModelLabels
from common.labels.ratings import Rating
from common.labels.taxonomy import CATEGORY_NAMES, SUBTYPE_NAMES
from common.records import Record
from common.settings import shown

CLEAN, RAW, REPORT = "annotations_clean.csv", "annotations_raw.csv", "agreement.json"
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


class Raw(NamedTuple):
    """A row of annotations_raw.csv: a label as it was handed in, and what it became."""

    file: str
    row: str  # as the spreadsheet numbers it
    rater: str
    idx: int | str  # as written where it is no row number
    caption: str  # this and the next two as written
    gt_img_idx: str
    pred_img_idx: str
    category_written: str
    subtype_written: str
    category: str  # that counts; blank where the row counts for nothing
    ambiguous_subtype: str
    status: str  # why the row counts for nothing, or that it counts
    note: str
    further: str  # cells of other columns: `sure?: yes; who: Ann`


class Settings(Record):
    """Step 4's settings, under their names there."""

    STRICT: bool
    BOOTSTRAP_ROUNDS: int
    SEED: int  # where the setting was None, the cache's


class Input(Record):
    """A sheet that was read."""

    sha256: str  # of the file
    rater: str
    read_as: str  # "CSV, comma, utf-8-sig", "workbook"
    rows: int
    labelled: int  # rows that hold a label


class ModelInput(Record):
    """A model's labels, which no rating and no coefficient here knows of."""

    model: str  # this and the next two as model_labels.json says
    prompt: str
    date: str
    sha256: str  # of model_labels.csv
    labelled: int  # failures
    same_prompt: bool  # whether the prompt is label_task.jsonl's own


class Report(Record):
    """agreement.json: how far raters agree, and all that went into the merge."""

    settings: Settings
    checked_against: dict[str, str]  # file -> its SHA-256
    inputs: dict[str, Input]  # file -> what it held
    versions: dict[str, str]  # package -> version
    items: int  # that have a label
    waiting: int  # items that wait for a decision in adjudicate.csv
    agreement: dict[str, list[Estimate]]  # level -> coefficients over all raters, then of each pair
    # Earlier versions wrote none of these: None is not known.
    drawn: int | None = None  # failures that were drawn for labeling, backups aside
    missing: int | None = None  # of them with no label that counts and none that waits
    left_out: int | None = None  # of the missing ones with a row that STRICT = False left out
    backups: int | None = None  # backup items that have a label
    model: ModelInput | None = None  # None: no model labeled


def inputs(given: HandIn) -> dict[str, Input]:
    """What each sheet held, by its name."""
    return {
        sheet.file: Input(
            sha256=files.file_fingerprint(given.folder.path / sheet.file),
            rater=sheet.rater,
            read_as=sheet.form,
            rows=len(sheet.rows),
            labelled=len(sheet.labeled),
        )
        for sheet in given.sheets
    }


def model_input(model: ModelLabels | None) -> ModelInput | None:
    """Where a model's labels come from."""
    if model is None:
        return None
    note = records.plain(model.note)
    return ModelInput(**note, sha256=model.sha256, labelled=len(model.choices), same_prompt=model.same_prompt)


def clean(items: list[Item], folder: Folder) -> sheets.Table:
    """annotations_clean.csv."""
    known = folder.known
    rows = [
        Labeled(
            *(item.idx, known.captions[item.idx], known.positives[item.idx], known.predicted.get(item.idx)),
            *(*item.choice, item.decided, item.n_raters),
        )
        for item in items
    ]
    return sheets.Table.of(Labeled, rows)


def raw(rated: list[Rating]) -> sheets.Table:
    """annotations_raw.csv."""
    return sheets.Table.of(Raw, list(map(_raw, rated)))


def read_report(folder: Path) -> Report:
    """agreement.json of a failure folder. Raises UserError where step 4 did not write it."""
    return records.read(folder / REPORT, Report, AGAIN)


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


def _raw(rating: Rating) -> Raw:
    """A rating as a row of annotations_raw.csv."""
    cells = {name: rating.written.get(name, "") for name in sheets.COLUMNS}
    return Raw(
        file=rating.file,
        row=rating.row,
        rater=rating.rater,
        idx=cells["idx"] if rating.idx is None else rating.idx,
        caption=cells["caption"],
        gt_img_idx=cells["gt_img_idx"],
        pred_img_idx=cells["pred_img_idx"],
        category_written=cells["category"],
        subtype_written=cells["ambiguous_subtype"],
        category=rating.choice.category if rating.choice else "",
        ambiguous_subtype=rating.choice.subtype if rating.choice else "",
        status=rating.status,
        note=cells["note"],
        further="; ".join(f"{name}: {cell}" for name, cell in rating.further.items()),
    )
