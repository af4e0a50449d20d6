"""adjudicate.csv: items without a majority, each rater's label side by side, and what a person decided.

The file is rewritten whole at each merge. A row that a person wrote into is kept, whatever became of its
item, with its cells as they were written.
"""

from collections import defaultdict
from pathlib import Path

from common.labels import ratings, sheet_reader, spellings
from common.labels.drawn import Study
from common.labels.findings import Finding

NAME = "adjudicate.csv"
RATER = "adjudicator"
FINAL = {"final_category": "category", "final_subtype": "ambiguous_subtype"}  # its column -> a sheet's
ITEM = ["idx", "caption", "gt_img_idx", "pred_img_idx"]


def read(study: Study) -> tuple[list[sheet_reader.Row], list[ratings.Rating], list[Finding]]:
    """The rows that a person wrote into, the decisions among them, and what is wrong with those.

    Raises UserError where the file can't be read: it could not be rewritten without losing what it holds.
    """
    path = study.folder / NAME
    if not path.is_file():
        return [], [], []
    columns = {key: name for key, name in spellings.COLUMN_TABLE.items() if name not in FINAL.values()}
    columns |= {spellings.squeezed(name): plain for name, plain in FINAL.items()}
    rows = sheet_reader.read(path, study.known.captions, columns, otherwise=". It was left as it is").rows
    filled = [row for row in rows if ratings.is_labelled(row) or row.cells.get("note")]
    rated, findings = [], []
    for row in filter(ratings.is_labelled, filled):
        rating, found = ratings.rate(row, NAME, RATER, study.known)
        rated.append(rating)
        findings += found
    return filled, rated, findings + ratings.set_clashes_aside(rated)


def table(
    waiting: list[int], filled: list[sheet_reader.Row], labels: ratings.Labels, study: Study
) -> list[dict]:
    """Rows for the rewritten file: what waits, and every row that a person wrote into, by idx."""
    pictures = pictures_of(study.folder)
    by_idx = {idx: [side_by_side(idx, study, pictures, labels[idx])] for idx in waiting}
    kept = defaultdict(list)
    for row in filled:
        idx = sheet_reader.whole_number(row.cells["idx"])
        cells = row.further | {name: row.cells.get(name, "") for name in ITEM}
        if idx in study.known.captions:
            cells |= side_by_side(idx, study, pictures, labels.get(idx, {}))
        cells |= {name: row.cells.get(plain, "") for name, plain in FINAL.items()}
        # A row whose idx can't be read goes to the end.
        kept[study.known.last + 1 if idx is None else idx].append(cells | {"note": row.cells.get("note", "")})
    by_idx |= kept
    return [cells for idx in sorted(by_idx) for cells in by_idx[idx]]


def pictures_of(folder: Path) -> dict[str, str]:
    """File name -> path of each picture that step 2 drew, seen from the failure folder."""
    return {path.name: f"{path.parent.name}/{path.name}" for path in sorted(folder.glob("vis_*/fail_*.jpg"))}


def side_by_side(
    idx: int, study: Study, pictures: dict[str, str], given: dict[str, tuple[str, str]]
) -> dict[str, object]:
    """What a person needs to judge an item: its caption, its picture, and each rater's label."""
    cells = {
        "idx": idx,
        "caption": study.known.captions[idx],
        "gt_img_idx": study.known.positives[idx],
        "pred_img_idx": study.known.predicted.get(idx, ""),
        "picture": pictures.get(f"fail_{idx}.jpg", ""),
    }
    return cells | {f"label_{rater}": ratings.label(*of) for rater, of in given.items()}
