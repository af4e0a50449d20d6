"""What steps 2 and 4 wrote of the failures that have a label: read, and checked against one another."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from common import records
from common.errors import UserError
from common.labels import merged, sheet_reader, sheets
from common.labels.merged import Labeled
from common.records import Record
from common.settings import shown

DISTRIBUTION, AMBIGUOUS, AGREEMENT = "category_distribution.csv", "ambiguous_vs_clear.csv", "agreement.json"
CONFUSION, RATERS, SAMPLES = "confusion.csv", "raters.csv", "failure_samples.csv"
SHARE = ("n", "total", "share", "low", "high", "finite_population")  # columns of a share
ALL_RATERS = "all raters"  # what a coefficient is `over` that is of no pair
AGAIN = "run `python failure.py` again"  # for failure_samples.csv


class Coefficient(Record):
    """A coefficient of agreement; `value`, `low` and `high` are None where they are undefined."""

    over: str  # "all raters" or "pair"
    statistic: str
    raters: str
    n_items: int
    value: float | None
    low: float | None
    high: float | None
    caution: str


class Agreement(Record):
    """What step 5 takes from step 4's agreement.json."""

    agreement: dict[str, list[Coefficient]]  # level -> coefficients
    waiting: int = 0  # items that nobody has decided on yet


class Share(NamedTuple):
    """A share of the labeled failures with its 95 % interval, as step 4 computed it."""

    name: str  # a category, "Ambiguous (<subtype>)" or "Clear"
    n: int
    total: int
    share: float
    low: float
    high: float
    is_finite: bool  # whether the interval allows for so many of all failures having a label


class Sample(NamedTuple):
    """What step 2 wrote of a failure; the defaults are for one that its table does not have."""

    order: int | None = None  # place in the draw
    gt_rank: int | None = None  # of the caption's own image
    margin: float | None = None  # cosine of the retrieved image less that of the caption's own
    gt_file_name: str = ""
    pred_file_name: str = ""
    picture: str = ""  # the side-by-side picture, seen from the folder of the failures


class Failure(NamedTuple):
    """A failure that has a label."""

    label: Labeled
    sample: Sample


class Pair(NamedTuple):
    """How often one rater gave an item the one category, and another rater the other."""

    label_1: str
    label_2: str
    n: int


class Rater(NamedTuple):
    """How many items an annotator labeled, and how many are missing."""

    rater: str
    labelled: int
    missing: int


class Labels(NamedTuple):
    """All of it."""

    failures: list[Failure]  # in the order of the draw
    categories: list[Share]
    ambiguous: list[Share]  # Ambiguous, Clear, and each subtype
    agreement: dict[str, list[Coefficient]]  # level -> coefficients, over all raters and of each pair
    waiting: int  # items that nobody has decided on yet
    confusion: list[Pair]
    raters: list[Rater]

    def of(self, category: str) -> list[Failure]:
        """The failures of one category, in the order of the draw."""
        return [failure for failure in self.failures if failure.label.category == category]

    def share(self, category: str) -> Share:
        """One category's share."""
        return next(share for share in self.categories if share.name == category)

    @property
    def status(self) -> str:
        """Whether shares can still change."""
        return f"provisional: {self.waiting} wait" if self.waiting else "final"


def read(folder: Path, captions: list[str] | None) -> Labels | None:
    """What is in the folder of the failures; None before step 4.

    captions: the cache's, by idx; None without a cache. Raises UserError for rows of another cache, and where
    a table is missing or was not written by the same run as the labels.
    """
    labels = merged.read(folder, captions)
    if not labels:
        return None
    samples = _samples(folder, captions)
    failures = [Failure(label, samples.get(label.idx, Sample())) for label in labels]
    categories = _table(folder, DISTRIBUTION, ("over", "category", *SHARE))
    categories = [_share(row["category"], row) for row in categories if row["over"] == "all"]
    _check_same_run(folder, labels, categories)
    pairs = _table(folder, CONFUSION, ("level", *Pair._fields))
    raters = _table(folder, RATERS, Rater._fields)
    found = records.read(_existing(folder / AGREEMENT), Agreement, merged.AGAIN)
    return Labels(
        failures=sorted(failures, key=_place_in_the_draw),
        categories=categories,
        ambiguous=[_share(row["label"], row) for row in _table(folder, AMBIGUOUS, ("label", *SHARE))],
        agreement=found.agreement,
        waiting=found.waiting,
        confusion=[
            Pair(row["label_1"], row["label_2"], int(row["n"])) for row in pairs if row["level"] == "category"
        ],
        raters=[Rater(row["rater"], int(row["labelled"]), int(row["missing"])) for row in raters],
    )


def _place_in_the_draw(failure: Failure) -> tuple[bool, int]:
    """A key for sorting; what has no place comes last, and labels are in the order of idx already."""
    return failure.sample.order is None, failure.sample.order or 0


def _check_same_run(folder: Path, labels: list[Labeled], categories: list[Share]) -> None:
    """Raise UserError where the shares are of other labels: a merge was interrupted, or a file restored."""
    counts = Counter(label.category for label in labels)
    if any(counts[share.name] != share.n or share.total != len(labels) for share in categories):
        raise UserError(
            f"{shown(folder / DISTRIBUTION)} counts other labels than {merged.CLEAN} holds: {merged.AGAIN}"
        )


def _share(name: str, row: dict[str, str]) -> Share:
    """A row of a table of shares; the cells are a CSV's."""
    n, total, share, low, high, finite = (row[column] for column in SHARE)
    return Share(name, int(n), int(total), float(share), float(low), float(high), finite == "True")


def _samples(folder: Path, captions: list[str] | None) -> dict[int, Sample]:
    """idx -> what step 2 wrote of each failure; {} where its table was not found."""
    if not (folder / SAMPLES).is_file():
        return {}
    columns = ("idx", "caption", "part", "order", "gt_rank", "margin", "gt_file_name", "pred_file_name")
    rows = sheet_reader.read_table(folder / SAMPLES, columns, dict(enumerate(captions or ())), AGAIN)
    found = {}
    for row in rows:
        idx = sheet_reader.whole_number(row["idx"])
        picture = "" if idx is None else sheets.picture_path(row["part"], idx)
        found[idx] = Sample(
            order=sheet_reader.whole_number(row["order"]),
            gt_rank=sheet_reader.whole_number(row["gt_rank"]),
            margin=_number(row["margin"]),
            gt_file_name=row["gt_file_name"],
            pred_file_name=row["pred_file_name"],
            picture=picture if (folder / picture).is_file() else "",
        )
    return found


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _table(folder: Path, name: str, columns: Iterable[str]) -> list[dict[str, str]]:
    """Cells of one of step 4's tables, even if a spreadsheet saved it."""
    return sheet_reader.read_table(_existing(folder / name), tuple(columns), {}, merged.AGAIN)


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise UserError(f"{shown(path)} was not found, though labels were merged: {merged.AGAIN}")
    return path
