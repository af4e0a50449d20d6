"""What steps 2 and 4 wrote of the failures that have a label: read, and checked against one another."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from common import files, records
from common.errors import UserError
from common.labels import assisted, levels, merged, retest, shares, sheet_reader, sheets, spellings
from common.labels.agreement import Estimate
from common.labels.handed_in import RATERS, TIMES
from common.labels.merged import Labeled
from common.labels.shares import CategoryShare, LabelShare, Share
from common.labels.taxonomy import AMBIGUOUS
from common.settings import shown

CONFUSION, SAMPLES = "confusion.csv", "failure_samples.csv"
SENSITIVITY = "sensitivity.csv"
ALL_RATERS = "all raters"  # what a coefficient is `over` that is of no pair
AGAIN = "run `python failure.py` again"  # for failure_samples.csv


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
    # Of earlier versions, and of sheets, no time is known.
    timed: int | None = None  # items whose time on screen a page recorded
    seconds_an_item: float | None = None  # in the mean


class Assumed(NamedTuple):
    """What a share would be if annotators err as an assumption says; blank cells are not known."""

    assumption: str
    about: str  # "category" or "rater"
    name: str
    value: str
    low: str
    high: str
    counted: str  # the share as it was counted


class Labels(NamedTuple):
    """All of it."""

    failures: list[Failure]  # in the order of the draw
    categories: list[CategoryShare]  # over all of them
    ambiguous: list[LabelShare]  # Ambiguous, Clear, and each subtype
    agreement: dict[str, list[Estimate]]  # level -> coefficients over all raters, then of each pair
    waiting: int  # items that nobody has decided on yet
    missing: int | None  # drawn failures without any label; None where an earlier version merged
    drawn: int | None  # failures that were drawn for labeling; None as above
    confusion: list[Pair]
    raters: list[Rater]
    assumed: list[Assumed]
    assisted: list[dict[str, str]] = []  # rows of assisted_shares.csv; none where no model labeled
    retest: list[dict[str, str]] = []  # of second answers: the fields of Estimate, where somebody gave some
    model_agreement: list[dict[str, str]] = []  # of people and the model: level, and the fields of Estimate

    def of(self, category: str) -> list[Failure]:
        """The failures of one category, in the order of the draw."""
        return [failure for failure in self.failures if failure.label.category == category]

    def share(self, category: str) -> Share:
        """One category's share."""
        return next(row.share for row in self.categories if row.category == category)

    @property
    def status(self) -> str:
        """Whether shares can still change, as step 4 says it with each."""
        return self.categories[0].share.status

    @property
    def unsure(self) -> int:
        """Ambiguous failures without a subtype: nobody said that the retrieved image fits."""
        return sum(not failure.label.ambiguous_subtype for failure in self.of(AMBIGUOUS))


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
    categories = [row for row in shares.read_categories(folder) if row.over == shares.ALL]
    _check_same_run(folder, labels, categories)
    _check_present(folder)
    report = merged.read_report(folder)
    pairs = _table(folder / CONFUSION, ("level", *Pair._fields))
    return Labels(
        failures=sorted(failures, key=_place_in_the_draw),
        categories=categories,
        ambiguous=shares.read_ambiguous(folder),
        agreement=report.agreement,
        waiting=report.waiting,
        missing=report.missing,
        drawn=report.drawn,
        confusion=[
            Pair(row["label_1"], row["label_2"], int(row["n"]))
            for row in pairs
            if row["level"] == levels.CATEGORY
        ],
        raters=_raters(folder / RATERS),
        assumed=_assumed(folder),
        retest=_optional(folder / retest.NAME, tuple(records.names(Estimate))),
        **read_model(folder, len(labels)),
    )


def read_model(folder: Path, n: int) -> dict[str, list[dict[str, str]]]:
    """What step 4 wrote of a model's labels next to n of people's: the fields of Labels, empty without one.

    Raises UserError where it is about other labels of people.
    """
    rows = _optional(folder / assisted.NAME, assisted.Row._fields)
    if any(row["n"] != str(n) for row in rows):
        raise UserError(
            f"{shown(folder / assisted.NAME)} is about other labels than {merged.CLEAN} holds: {merged.AGAIN}"
        )
    coefficients = _optional(folder / assisted.AGREEMENT, ("level", *records.names(Estimate)))
    return {"assisted": rows, "model_agreement": coefficients}


def _optional(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """Cells of a table that not every study has; none where it was not found."""
    return _table(path, columns) if path.is_file() else []


def _assumed(folder: Path) -> list[Assumed]:
    """Step 4's sensitivity to annotators' errors; none where it could not tell, or an earlier version ran."""
    return [Assumed(**row) for row in _optional(folder / SENSITIVITY, Assumed._fields)]


def _raters(path: Path) -> list[Rater]:
    """raters.csv, in which earlier versions told no time."""
    head = ("rater", "labelled", "missing")
    spelled = {spellings.squeezed(name): name for name in (*head, *TIMES)}
    found = []
    for row in sheet_reader.read(path, {}, spelled, head, f", or {merged.AGAIN}").rows:
        timed, seconds = (sheet_reader.whole_number(row.cells.get(name, "")) for name in TIMES)
        time = (timed, seconds / timed) if timed and seconds is not None else (None, None)
        found.append(Rater(row.cells["rater"], *(int(row.cells[name]) for name in head[1:]), *time))
    return found


def _place_in_the_draw(failure: Failure) -> tuple[bool, int]:
    """A key for sorting; what has no place comes last, and labels are in the order of idx already."""
    return failure.sample.order is None, failure.sample.order or 0


def _check_present(folder: Path) -> None:
    """Raise UserError where labels were merged, but not all that step 4 writes next to them was found."""
    for name in (CONFUSION, RATERS, merged.REPORT):
        if not (folder / name).is_file():
            raise UserError(
                f"{shown(folder / name)} was not found, though labels were merged: {merged.AGAIN}"
            )


def _check_same_run(folder: Path, labels: list[Labeled], categories: list[CategoryShare]) -> None:
    """Raise UserError where the shares are of other labels: a merge was interrupted, or a file restored."""
    counts = Counter(label.category for label in labels)
    if any((row.share.n, row.share.total) != (counts[row.category], len(labels)) for row in categories):
        raise UserError(
            f"{shown(folder / shares.DISTRIBUTION)} counts other labels than {merged.CLEAN} holds: "
            f"{merged.AGAIN}"
        )


def _samples(folder: Path, captions: list[str] | None) -> dict[int, Sample]:
    """idx -> what step 2 wrote of each failure; {} where its table was not found."""
    if not (folder / SAMPLES).is_file():
        return {}
    columns = ("idx", "caption", "order", "gt_rank", "margin", "gt_file_name", "pred_file_name")
    rows = sheet_reader.read_table(folder / SAMPLES, columns, dict(enumerate(captions or ())), AGAIN)
    pictures = sheets.pictures(folder)
    found = {}
    for row in rows:
        idx = sheet_reader.whole_number(row["idx"])
        order, gt_rank = (sheet_reader.whole_number(row[name]) for name in ("order", "gt_rank"))
        margin = float(row["margin"]) if files.NUMBER.fullmatch(row["margin"]) else None
        names = (row["gt_file_name"], row["pred_file_name"])
        found[idx] = Sample(order, gt_rank, margin, *names, pictures.get(idx, ""))
    return found


def _table(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """Cells of one of step 4's tables, even if a spreadsheet saved it."""
    return sheet_reader.read_table(path, columns, {}, merged.AGAIN)
