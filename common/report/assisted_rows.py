"""Rows on a model's labels next to people's, all of which step 4 computed. Shares are between 0 and 1."""

from common.labels import assisted
from common.report.label_inputs import Labels

TEXTS = ("category", "status", "model_name")
COUNTS = ("n", "model_n")
SHARE = ("assisted", "assisted_low", "assisted_high")


def shares(labels: Labels) -> list[dict]:
    """A category by people alone, by the model alone with its bias in points, and by both."""
    rows = []
    for cells in labels.assisted:
        row = {name: _value(name, cells[name]) for name in assisted.Row._fields}
        for end in ("", "_low", "_high"):
            row[f"bias_pp{end}"] = 100 * row.pop(f"bias{end}")
        rows.append(row)
    return rows


def next_to(own: list[dict], labels: Labels) -> list[dict]:
    """Rows on each category, with its assisted share if a model labeled the failures too."""
    found = {cells["category"]: cells for cells in labels.assisted}
    if not found:
        return own
    return [
        row | {name: _value(name, found[row["category"]][name]) for name in (*SHARE, "model_name")}
        for row in own
    ]


def agreement(labels: Labels) -> list[dict]:
    """Coefficients of the label that counts and the model's, at the levels where there are any."""
    return [cells for cells in labels.model_agreement if cells["value"]]


def _value(name: str, cell: str) -> str | int | float | None:
    if name in TEXTS or not cell:
        return cell or None
    return int(cell) if name in COUNTS else float(cell)
