"""From the rows of filled sheets to ratings: who gave them, what is wrong with each, which ones clash."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from common.labels import same_caption, sheet_reader, spellings
from common.labels.findings import Finding

TABLES = (".csv", ".xlsx")
# Tables that people save by mistake. Left unread they would be labels lost without a word.
OTHER_TABLES = (".xls", ".xlsm", ".xlsb", ".ods", ".fods", ".numbers", ".tsv", ".txt")
# What browsers and file managers add to the name of a second copy.
COPY = re.compile(r"(\s*\(\d+\)| ?- (copy|kopie|副本)( ?\(\d+\))?| copy( \d+)?)+$", re.IGNORECASE)
NO_LETTER = {"overlap": "overlap", "backup": "backup"}  # sheet -> rater, where a name has no letter
DOUBLE_ITEMS = 10  # two people seldom agree on so many items in every subtype
Labels = dict[int, dict[str, tuple[str, str]]]  # idx -> rater -> (category, subtype)


class Known(NamedTuple):
    """What is known of each caption, by `idx`; `predicted` may lack some, `last` is the largest idx."""

    captions: Mapping[int, str]
    positives: Mapping[int, int]
    predicted: Mapping[int, int]
    drawn: frozenset[int] | None  # those that may be labelled; None: all
    last: int


@dataclass
class Rating:
    """One row of a sheet that holds a label: what was written and what it became.

    `category` is blank as long as the row counts for nothing; `status` says why, or that it counts.
    """

    file: str
    row: str
    rater: str
    idx: int | None
    written: dict[str, str]
    further: dict[str, str]
    category: str = ""
    subtype: str = ""
    status: str = ""


def is_sheet(path: Path) -> bool:
    """Whether a file is named like a handed-in sheet; lock files (`~$`, `.~lock`) begin otherwise."""
    return path.name.casefold().startswith("assign_") and path.suffix.casefold() in TABLES and path.is_file()


def not_read(path: Path) -> Finding | None:
    """What to say of a file that looks handed in but isn't read: an .ods, say, a `Copy of assign_A.csv`."""
    name, suffix = path.name.casefold(), path.suffix.casefold()
    if name.startswith("assign_") and suffix in OTHER_TABLES:
        return Finding(path.name, "", "", "", "", "can't be read: save it as .csv or .xlsx")
    elsewhere = "assign" in name and not name.startswith(("assign_", ".", "~"))
    if elsewhere and suffix in TABLES + OTHER_TABLES:
        what = "was not read, since its name doesn't begin with assign_"
        return Finding(path.name, "", "", "", "", what, is_report=True)
    return None


def who(path: Path, annotators: list[str]) -> tuple[str, str] | None:
    """(sheet, rater) by a file's name: `assign_page_A (1).csv` -> ("page", "A"); None where it isn't clear.

    The sheet is "own", "overlap", "page" or "backup". An overlap or backup sheet without a letter has a
    rater of that name. One letter counts as a capital, a longer name as one of `annotators` or in small
    letters.
    """
    stem = COPY.sub("", path.stem)[len("assign_") :].strip()
    sheet, _, name = stem.partition("_")
    if sheet.casefold() not in ("overlap", "page", "backup"):
        sheet, name = "own", stem
    sheet, name = sheet.casefold(), name.strip()
    if not name and sheet in NO_LETTER:
        return sheet, NO_LETTER[sheet]
    for annotator in annotators:
        if name.casefold() == annotator.casefold():
            return sheet, annotator
    # An unknown name of several words (`A_final`, `A v2`) would make a second rater of A.
    if not re.fullmatch(r"[^\W_]+", name):
        return None
    return sheet, name.upper() if len(name) == 1 else name.casefold()


def is_labelled(row: sheet_reader.Row) -> bool:
    """Whether a person wrote a label into a row (a note alone is none).

    So does a row with no row number, whatever it holds: a line that broke in two has its label elsewhere.
    """
    if sheet_reader.whole_number(row.cells["idx"]) is None and any(row.cells.values()):
        return True
    return not all(spellings.is_blank(row.cells.get(name, "")) for name in ("category", "ambiguous_subtype"))


def rate(row: sheet_reader.Row, file: str, rater: str, known: Known) -> tuple[Rating, list[Finding]]:
    """Turn a labelled row into a rating. A row that isn't what it says counts for nothing.

    An unknown subtype, or one beside another category than Ambiguous, costs the subtype alone.
    """
    idx = sheet_reader.whole_number(row.cells["idx"])
    rating = Rating(file, row.number, rater, idx, row.cells, row.further)
    findings = _identity(rating, known)
    if not any(not finding.is_report for finding in findings):
        findings += _label(rating)  # of a row that isn't what it says, the label may be anybody's
    problems = [finding for finding in findings if not finding.is_report]
    if rating.category:
        rating.status = "counted without its subtype" if problems else "counted"
    else:
        rating.status = "left out: " + "; ".join(f"{one.column} {one.what}" for one in problems)
    return rating, findings


def not_its_own(row: sheet_reader.Row, file: str, rater: str, known: Known) -> list[Finding]:
    """What is wrong with an unlabelled row of a filled sheet: its label may have slipped into a neighbour."""
    rating = Rating(
        file, row.number, rater, sheet_reader.whole_number(row.cells["idx"]), row.cells, row.further
    )
    return [finding for finding in _identity(rating, known) if not finding.is_report]


def _label(rating: Rating) -> list[Finding]:
    """Put the canonical label into a rating, as far as the table knows what was written."""
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
        elif category != "Ambiguous" and not findings:
            beside = category or "a blank category"
            what = f"stands beside {beside}; only Ambiguous has subtypes"
            findings.append(_finding(rating, "ambiguous_subtype", what))
            subtype = None
    if category is not None:
        rating.category, rating.subtype = category, subtype or ""
    return findings


def _identity(rating: Rating, known: Known) -> list[Finding]:
    """Whether a row's idx, caption, ground truth and retrieved image are those of the cache."""
    idx, cells = rating.idx, rating.written
    if idx is None:
        return [_finding(rating, "idx", "is not a row number")]
    if idx > known.last:
        return [_finding(rating, "idx", f"is out of range (0 to {known.last})")]
    if idx not in known.captions or (known.drawn is not None and idx not in known.drawn):
        return [_finding(rating, "idx", "is not among the drawn failures (failure_samples.csv)")]
    positive = cells.get("gt_img_idx", "")
    same_positive = sheet_reader.whole_number(positive) == known.positives[idx]
    same = same_caption.compare(cells["caption"], known.captions[idx])
    if same == "other" or (same == "lost" and not same_positive):
        return [_finding(rating, "caption", same_caption.not_that_of(idx, known.captions[idx]))]
    findings = []
    if positive and not same_positive:
        what = f"is not the ground truth of idx {idx}, which is {known.positives[idx]}"
        findings.append(_finding(rating, "gt_img_idx", what))
    if same == "lost":
        what = "has lost characters; idx and ground truth agree, so the row counts"
        findings.append(_finding(rating, "caption", what)._replace(is_report=True))
    predicted = cells.get("pred_img_idx", "")
    if predicted and idx in known.predicted:
        if sheet_reader.whole_number(predicted) != known.predicted[idx]:
            what = f"is another retrieved image than {known.predicted[idx]}; the row counts"
            findings.append(_finding(rating, "pred_img_idx", what)._replace(is_report=True))
    return findings


def _finding(rating: Rating, column: str, what: str, nearest: str = "") -> Finding:
    """A finding about one cell of a row."""
    value = rating.written.get(column, "")
    return Finding(rating.file, rating.row, rating.rater, column, value, what, nearest)


def set_clashes_aside(ratings: list[Rating]) -> list[Finding]:
    """Find rows of one rater that say different things of one item, and count none of them.

    A blank never clashes: neither a blank row nor a blank subtype beside a filled one.
    """
    by_item = defaultdict(list)
    for rating in ratings:
        if rating.category:
            by_item[rating.rater, rating.idx].append(rating)
    findings = []
    for (rater, idx), group in by_item.items():
        if not _clash(group):
            continue
        for rating in group:
            others = [f"{other.file} row {other.row}" for other in group if other is not rating]
            rating.status = "set aside: says otherwise than " + ", ".join(others)
        labels = " / ".join(dict.fromkeys(label(rating.category, rating.subtype) for rating in group))
        places = " and ".join(f"{rating.file} row {rating.row}" for rating in group[1:])
        what = f"of idx {idx} is not what rater {rater} says in {places}; keep one"
        findings.append(Finding(group[0].file, group[0].row, rater, "category", labels, what))
        for rating in group:
            rating.category = rating.subtype = ""
    return findings


def _clash(group: list[Rating]) -> bool:
    """Whether ratings of one item differ: in category, or in subtypes that are both given."""
    return (
        len({rating.category for rating in group}) > 1
        or len({rating.subtype for rating in group if rating.subtype}) > 1
    )


def tell_apart(ratings: list[Rating], name: str) -> None:
    """Sheets without a letter: files whose labels go together are one rater, others are further ones.

    Changes the raters of `ratings` named `name` to "`name` 1", "`name` 2" ... where there are several.
    """
    files = defaultdict(list)
    for rating in ratings:
        if rating.rater == name and rating.category:
            files[rating.file].append(rating)
    groups: list[list[Rating]] = []
    for file in sorted(files):
        own = {rating.idx: rating for rating in files[file]}
        for group in groups:
            if not any(_clash([own[other.idx], other]) for other in group if other.idx in own):
                group += files[file]
                break
        else:
            groups.append(list(files[file]))
    if len(groups) > 1:
        rater_of = {
            group_rating.file: f"{name} {n}" for n, group in enumerate(groups, 1) for group_rating in group
        }
        for rating in ratings:
            if rating.rater == name:
                rating.rater = rater_of.get(rating.file, name)


def doubles(ratings: list[Rating], name: str) -> list[Finding]:
    """Report a sheet without a letter whose every label is another rater's: one person twice, perhaps."""
    labels = one_each(ratings)
    files = {rating.rater: rating.file for rating in ratings if rating.category}
    findings = []
    for nameless in [rater for rater in raters_of(labels) if rater.split()[0] == name]:
        own = {idx: given for idx, given in labels.items() if nameless in given}
        for rater in raters_of(labels):
            shared = [given for given in own.values() if rater in given]
            alike = all(given[rater] == given[nameless] for given in shared)
            if rater != nameless and len(shared) >= DOUBLE_ITEMS and alike:
                what = (
                    f"says just what {rater} says of {len(shared)} items: if {rater} filled it in, remove it"
                )
                findings.append(Finding(files[nameless], "", nameless, "", "", what, is_report=True))
    return findings


def label(category: str, subtype: str) -> str:
    """A label as one text: `Ambiguous (nearduplicate)`, `Count`."""
    return f"{category} ({subtype})" if subtype else category


def one_each(ratings: list[Rating]) -> Labels:
    """One label for each item and rater, of the ratings that count, once clashes are set aside."""
    labels = defaultdict(dict)
    for rating in ratings:
        if rating.category:
            _, before = labels[rating.idx].get(rating.rater, ("", ""))
            labels[rating.idx][rating.rater] = (rating.category, rating.subtype or before)
    return {idx: dict(sorted(labels[idx].items())) for idx in sorted(labels)}


def raters_of(labels: Labels) -> list[str]:
    """Everybody who gave a label that counts."""
    return sorted({rater for given in labels.values() for rater in given})


def majority(labels: list[tuple[str, str]]) -> tuple[str, str] | None:
    """The (category, subtype) of more than half of an item's raters; None where no category has that.

    The subtype is the one of more than half of those who gave one, else blank.
    """
    category = _more_than_half([category for category, _ in labels])
    if category is None:
        return None
    subtypes = [subtype for of, subtype in labels if of == category and subtype]
    return category, _more_than_half(subtypes) or ""


def _more_than_half(values: list[str]) -> str | None:
    """The value that more than half of all are, if there is one."""
    if not values:
        return None
    value, n = Counter(values).most_common(1)[0]
    return value if 2 * n > len(values) else None
