"""adjudicate.csv: items without a majority, each rater's label side by side, and what a person decided.

The file is rewritten whole at each merge. A row that a person wrote into is kept, whatever became of its
item, with its cells as they were written.
"""

from collections import defaultdict
from typing import NamedTuple

from common.labels import ratings, sheet_reader, sheets, spellings
from common.labels.drawn import Folder
from common.labels.findings import Finding
from common.labels.ratings import Choice, Labels, Rating

NAME = "adjudicate.csv"
RATER = "adjudicator"
FINAL = {"final_category": "category", "final_subtype": "ambiguous_subtype"}  # its column -> a sheet's
# Squeezed name of a column -> what it is to a reader: labels are in columns of the file's own.
COLUMN_TABLE = {key: name for key, name in spellings.COLUMN_TABLE.items() if name not in FINAL.values()}
COLUMN_TABLE |= {spellings.squeezed(name): plain for name, plain in FINAL.items()}


class Adjudicated(NamedTuple):
    """What adjudicate.csv held."""

    filled: list[sheet_reader.Row]  # rows that a person wrote into
    ratings: list[Rating]  # the decisions among them
    findings: list[Finding]

    @property
    def choices(self) -> dict[int, Choice]:
        """idx -> the decision that counts."""
        return {idx: given[RATER] for idx, given in ratings.one_each(self.ratings).items()}


def read(folder: Folder) -> Adjudicated:
    """What people decided, and what is wrong with it.

    Raises SheetError where the file can't be read: it could not be rewritten without losing what it holds.
    """
    path = folder.path / NAME
    if not path.is_file():
        return Adjudicated([], [], [])
    known, otherwise = folder.known.captions, ". It was left as it is"
    rows = sheet_reader.read(path, known, COLUMN_TABLE, otherwise=otherwise).rows
    filled = [row for row in rows if ratings.is_labeled(row) or row.cells.get("note")]
    decided, findings = [], []
    for row in filter(ratings.is_labeled, filled):
        rating, found = ratings.rate(row, NAME, RATER, folder.known)
        decided.append(rating)
        findings += found
    decided, clashes = ratings.set_clashes_aside(decided)
    return Adjudicated(filled, decided, findings + clashes)


def columns(labels: Labels) -> list[str]:
    """The columns that show an item to a person, one of them for each rater."""
    return [*sheets.ITEM, "picture", *(f"label_{rater}" for rater in ratings.raters_of(labels))]


def table(waiting: list[int], filled: list[sheet_reader.Row], labels: Labels, folder: Folder) -> sheets.Table:
    """The rewritten file: what waits, and every row that a person wrote into, by idx."""
    pictures = sheets.pictures(folder.path)
    by_idx = {idx: [side_by_side(idx, folder, pictures, labels[idx])] for idx in waiting}
    kept = defaultdict(list)
    for row in filled:
        idx = sheet_reader.whole_number(row.cells["idx"])
        cells = row.further | {name: row.cells.get(name, "") for name in sheets.ITEM}
        if idx in folder.known.captions:
            cells |= side_by_side(idx, folder, pictures, labels.get(idx, {}))
        cells |= {name: row.cells.get(plain, "") for name, plain in FINAL.items()}
        # A row whose idx can't be read goes to the end.
        at = folder.known.last + 1 if idx is None else idx
        kept[at].append(cells | {"note": row.cells.get("note", "")})
    by_idx |= kept
    item = columns(labels)
    further = dict.fromkeys(name for row in filled for name in row.further if name not in item)
    return sheets.Table(
        [*item, *FINAL, "note", *further], [cells for idx in sorted(by_idx) for cells in by_idx[idx]]
    )


def side_by_side(
    idx: int, folder: Folder, pictures: dict[int, str], given: dict[str, Choice]
) -> dict[str, object]:
    """What a person needs to judge an item: its caption, its picture, and each rater's label."""
    cells = {
        "idx": idx,
        "caption": folder.known.captions[idx],
        "gt_img_idx": folder.known.positives[idx],
        "pred_img_idx": folder.known.predicted.get(idx, ""),
        "picture": pictures.get(idx, ""),
    }
    return cells | {f"label_{rater}": str(choice) for rater, choice in given.items()}
