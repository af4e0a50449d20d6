"""From the rows of filled sheets to ratings: what is wrong with each, which ones clash."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from common.labels import same_caption, sheet_reader, spellings
from common.labels.findings import Finding
from common.labels.taxonomy import AMBIGUOUS


class Choice(NamedTuple):
    """A label as one person gave it to one item."""

    category: str
    subtype: str  # blank for other categories than Ambiguous, and where none was given

    def __str__(self) -> str:
        """`Ambiguous (nearduplicate)`, `Count`."""
        return f"{self.category} ({self.subtype})" if self.subtype else self.category


Labels = dict[int, dict[str, Choice]]  # idx -> rater -> what the rater chose; both in ascending order


class Known(NamedTuple):
    """What is known of each caption, by `idx`."""

    captions: Mapping[int, str]
    positives: Mapping[int, int]  # image row of the caption's own image
    predicted: Mapping[int, int]  # image row of the retrieved image; may lack some captions
    drawn: frozenset[int] | None  # those that may be labeled; None: all
    last: int  # the largest idx
    among: str = "the drawn failures (failure_samples.csv)"  # what those are that may be labeled, in words


@dataclass(frozen=True)
class Rating:
    """One row of a sheet that holds a label: what was written and what it became."""

    file: str
    row: str  # as the spreadsheet numbers it
    rater: str
    idx: int | None  # None where the cell holds no row number
    written: dict[str, str]  # cells by our column name
    further: dict[str, str]  # cells of other columns, by the sheet's own name
    choice: Choice | None = None  # None as long as the row counts for nothing
    status: str = ""  # why it counts for nothing, or that it counts

    def struck(self, why: str) -> "Rating":
        """The same as a row that counts for nothing."""
        return replace(self, choice=None, status=why)

    @property
    def place(self) -> str:
        """`assign_A.csv row 5`."""
        return f"{self.file} row {self.row}"


def is_labeled(row: sheet_reader.Row) -> bool:
    """Whether a person wrote a label into a row (a note alone is none).

    So does a row with no row number, whatever it holds: a line that broke in two has its label elsewhere.
    """
    if sheet_reader.whole_number(row.cells["idx"]) is None and any(row.cells.values()):
        return True
    return not all(spellings.is_blank(row.cells.get(name, "")) for name in ("category", "ambiguous_subtype"))


def rate(row: sheet_reader.Row, file: str, rater: str, known: Known) -> tuple[Rating, list[Finding]]:
    """Turn a labeled row into a rating. A row that isn't what it says counts for nothing.

    An unknown subtype, or one next to another category than Ambiguous, costs the subtype alone.
    """
    rating = _unrated(row, file, rater)
    choice, findings = None, _identity(rating, known)
    # Of a row that isn't what it says, the label may be anybody's.
    if all(finding.is_report for finding in findings):
        choice, more = _choice(rating)
        findings += more
    problems = [finding for finding in findings if not finding.is_report]
    if choice is None:
        why = "; ".join(f"{problem.column} {problem.what}" for problem in problems)
        return rating.struck(f"left out: {why}"), findings
    status = "counted without its subtype" if problems else "counted"
    return replace(rating, choice=choice, status=status), findings


def not_its_own(row: sheet_reader.Row, file: str, rater: str, known: Known) -> list[Finding]:
    """What is wrong with an unlabeled row of a filled sheet: its label may have slipped into a neighbor."""
    return [finding for finding in _identity(_unrated(row, file, rater), known) if not finding.is_report]


def _unrated(row: sheet_reader.Row, file: str, rater: str) -> Rating:
    """A row before its label is looked at."""
    idx = sheet_reader.whole_number(row.cells["idx"])
    return Rating(file, row.number, rater, idx, row.cells, row.further)


def _choice(rating: Rating) -> tuple[Choice | None, list[Finding]]:
    """What was written as a canonical label, as far as the table of spellings knows it."""
    written, subtype_written = rating.written["category"], rating.written.get("ambiguous_subtype", "")
    category, subtype = spellings.category(written), spellings.subtype(subtype_written)
    findings = []
    if category is None and not spellings.is_blank(written):
        nearest = spellings.nearest_category(written)
        findings.append(_finding(rating, "category", "is not a label", nearest))
    if not spellings.is_blank(subtype_written):
        if subtype is None:
            nearest = spellings.nearest_subtype(subtype_written)
            findings.append(_finding(rating, "ambiguous_subtype", "is not a subtype", nearest))
        elif category != AMBIGUOUS and not findings:
            what = f"is next to {category or 'a blank category'}; only {AMBIGUOUS} has subtypes"
            findings.append(_finding(rating, "ambiguous_subtype", what))
            subtype = None
    return (None if category is None else Choice(category, subtype or "")), findings


def _identity(rating: Rating, known: Known) -> list[Finding]:
    """Whether a row's idx, caption, ground truth and retrieved image are those of the cache."""
    idx, cells = rating.idx, rating.written
    if idx is None:
        return [_finding(rating, "idx", "is not a row number")]
    if idx > known.last:
        return [_finding(rating, "idx", f"is out of range (0 to {known.last})")]
    if idx not in known.captions or (known.drawn is not None and idx not in known.drawn):
        return [_finding(rating, "idx", f"is not among {known.among}")]
    positive = cells.get("gt_img_idx", "")
    same_positive = sheet_reader.whole_number(positive) == known.positives[idx]
    same = same_caption.compare(cells["caption"], known.captions[idx])
    # Where characters were lost, the ground truth has to confirm that it is this row.
    if same == "other" or (same == "lost" and not same_positive):
        return [_finding(rating, "caption", same_caption.not_that_of(idx, known.captions[idx]))]
    findings = []
    if positive and not same_positive:
        what = f"is not the ground truth of idx {idx}, which is {known.positives[idx]}"
        findings.append(_finding(rating, "gt_img_idx", what))
    if same == "lost":
        what = "lost some characters when it was saved; idx and ground truth match, so the row is kept"
        findings.append(_finding(rating, "caption", what)._replace(is_report=True))
    predicted = cells.get("pred_img_idx", "")
    if predicted and sheet_reader.whole_number(predicted) != known.predicted.get(idx):
        if idx in known.predicted:
            what = f"is another retrieved image than {known.predicted[idx]}; the row is kept"
            findings.append(_finding(rating, "pred_img_idx", what)._replace(is_report=True))
    return findings


def _finding(rating: Rating, column: str, what: str, nearest: str = "") -> Finding:
    """A finding about one cell of a row."""
    value = rating.written.get(column, "")
    return Finding(rating.file, rating.row, rating.rater, column, value, what, nearest)


def set_clashes_aside(ratings: list[Rating]) -> tuple[list[Rating], list[Finding]]:
    """Strike rows of one rater that say different things of one item, and report each such item.

    A blank never clashes: neither a blank row nor a blank subtype next to a filled one.
    """
    by_item = defaultdict(list)  # (rater, idx) -> positions of the rows that count
    for position, rating in enumerate(ratings):
        if rating.choice:
            by_item[rating.rater, rating.idx].append(position)
    kept, findings = list(ratings), []
    for (rater, idx), positions in by_item.items():
        group = [ratings[position] for position in positions]
        if not differ(rating.choice for rating in group):
            continue
        for position, rating in zip(positions, group, strict=True):
            others = ", ".join(other.place for other in group if other is not rating)
            kept[position] = rating.struck(f"set aside: says otherwise than {others}")
        first, label = group[0], str(group[0].choice)
        places = " and ".join(f"{str(rating.choice)!r} in {rating.place}" for rating in group[1:])
        what = f"of idx {idx}, but rater {rater} says {places}: keep one"
        findings.append(Finding(first.file, first.row, rater, "category", label, what))
    return kept, findings


def differ(choices: Iterable[Choice]) -> bool:
    """Whether labels of one item differ: in category, or in subtypes that are both given."""
    choices = list(choices)
    subtypes = {choice.subtype for choice in choices} - {""}
    return len({choice.category for choice in choices}) > 1 or len(subtypes) > 1


def one_each(ratings: list[Rating]) -> Labels:
    """One label for each item and rater, of the ratings that count, once clashes are set aside."""
    labels = defaultdict(dict)
    for rating in ratings:
        if rating.choice:
            before = labels[rating.idx].get(rating.rater, rating.choice)
            # Two sheets may both hold the label, and one of them its subtype.
            labels[rating.idx][rating.rater] = Choice(
                rating.choice.category, rating.choice.subtype or before.subtype
            )
    return {idx: dict(sorted(labels[idx].items())) for idx in sorted(labels)}


def raters_of(labels: Labels) -> list[str]:
    """Everybody who gave a label that counts."""
    return sorted({rater for given in labels.values() for rater in given})
