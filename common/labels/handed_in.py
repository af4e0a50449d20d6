"""What people handed in: every sheet of the folder, whose it is, and the ratings in it."""

import itertools
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

from common import files, say
from common.errors import UserError
from common.labels import adjudication, file_names, model_labels, ratings, retest, sheet_reader, whose
from common.labels.adjudication import Adjudicated
from common.labels.drawn import SAMPLES, Folder
from common.labels.findings import Finding
from common.labels.ratings import Labels, Rating
from common.labels.sheets import BACKUP, OVERLAP, Table
from common.labels.taxonomy import CATEGORY_NAMES
from common.settings import shown

IDX_NAMED = 10  # missing items named in a line; raters.csv has all
BLANK_NAMED = 3  # empty sheets named in a line
RATERS = "raters.csv"
TIMES = ("timed", "seconds")  # its columns on how long people took: items, and all of their seconds


class HandedIn(NamedTuple):
    """A sheet that could be read."""

    file: str
    kind: str  # OWN or PAGE of `file_names`, OVERLAP or BACKUP
    rater: str
    revision: int | None  # of a page's export: how often its labels had been changed; None for other sheets
    form: str  # how it was read: "CSV, comma, utf-8-sig", "workbook"
    rows: list[sheet_reader.Row]
    labeled: list[sheet_reader.Row]  # the rows that hold a label
    repeats: list[sheet_reader.Row]  # a page's second answers, which are in neither


class HandIn(NamedTuple):
    """Everything that people handed in, read and rated."""

    folder: Folder
    sheets: list[HandedIn]  # by file name
    replaced: dict[str, str]  # file -> the later export of the same page, which counts in its place
    ratings: list[Rating]
    adjudicated: Adjudicated
    findings: list[Finding]
    model: model_labels.Reading  # a model's labels, which count for nothing here
    repeats: list[Rating]  # second answers, which count for nothing here either

    @property
    def n_rows(self) -> dict[str, int]:
        """File -> its rows, of every file that findings may be about row by row."""
        further = {adjudication.NAME: len(self.adjudicated.filled), model_labels.NAME: self.model.rows}
        return {sheet.file: len(sheet.rows) + len(sheet.repeats) for sheet in self.sheets} | further

    @property
    def problems(self) -> list[Finding]:
        """What has to be fixed, or is left out."""
        return [finding for finding in self.findings if not finding.is_report]

    @property
    def notes(self) -> list[Finding]:
        """What is odd but changes nothing."""
        return [finding for finding in self.findings if finding.is_report]


class Rater(NamedTuple):
    """What one rater handed in, and what is missing of it."""

    name: str
    files: list[str]  # sheets that hold a label
    counts: Counter[str]  # category -> items that count
    missing: list[int]  # idx of items that were the rater's to label
    timed: int  # items whose time on screen a page recorded, second answers aside
    seconds: int  # on all of them

    @property
    def labeled(self) -> int:
        """Items with a label of this rater that counts."""
        return self.counts.total()


def read(folder: Folder) -> HandIn:
    """Every sheet of the folder, adjudicate.csv, a model's labels, and all that is wrong or odd about them.

    Raises UserError where there is no sheet, or where adjudicate.csv can't be read.
    """
    sheets, unread, folder = read_sheets(folder)
    folder, replaced = with_retrieved(folder, sheets), superseded(sheets)
    rated, odd = rate_rows(sheets, replaced, folder)
    counting = [(sheet.file, sheet.rater, sheet.repeats) for sheet in sheets if sheet.file not in replaced]
    repeats, wrong = retest.rate(counting, folder.known)
    adjudicated, model = adjudication.read(folder), model_labels.read(folder)
    findings = [*unread, *odd, *wrong, *adjudicated.findings, *model.findings]
    return HandIn(folder, sheets, replaced, rated, adjudicated, findings, model, repeats)


def read_sheets(folder: Folder) -> tuple[list[HandedIn], list[Finding], Folder]:
    """Every sheet of the folder, and what is wrong with those that can't be read or have no clear rater.

    Where nothing says who was drawn, the folder comes back with whom the sheets' names speak of. Raises
    UserError where nothing was handed in.
    """
    found = file_names.find(folder.path)
    if not any(found):
        raise UserError(
            f"{shown(folder.path)}/ holds no assign_*.csv or .xlsx: run `python failure.py` first"
        )
    read, findings = _readable(found.sheets, folder)
    if not folder.annotators:
        folder = _with_assumed(folder, [path.name for path in read])
    sheets, more = _with_raters(read, folder)
    opened = [
        Finding.of_file(path.name, "is the mark of a sheet that is open: save and close it", is_report=True)
        for path in found.opened
    ]
    return sheets, [*findings, *more, *_others(found.others, read, folder), *opened], folder


def _readable(paths: list[Path], folder: Folder) -> tuple[dict[Path, sheet_reader.Sheet], list[Finding]]:
    """The sheets that can be read, and why the others can't."""
    read, findings = {}, []
    for path in paths:
        try:
            read[path] = sheet_reader.read(path, folder.known.captions)
        except sheet_reader.SheetError as error:
            if file_names.begins(path.name):
                findings.append(Finding.of_file(path.name, error.reason))
            else:  # a list of assignments, perhaps: nothing that has to be a sheet
                what = f"was not read, since its name doesn't begin with assign_, and it {error.reason}"
                findings.append(Finding.of_file(path.name, what, is_report=True))
    return read, findings


def _with_assumed(folder: Folder, names: list[str]) -> Folder:
    """The folder with the raters whom sheets' names speak of, and a note that says so."""
    raters = file_names.assumed(names)
    people = f": each name is taken for one person ({', '.join(raters)})" if raters else ""
    note = f"neither {SAMPLES} nor manifest.json says who was drawn{people}"
    return folder._replace(annotators=raters, notes=[*folder.notes, note])


def _with_raters(
    read: dict[Path, sheet_reader.Sheet], folder: Folder
) -> tuple[list[HandedIn], list[Finding]]:
    """The sheets that are somebody's, by name or by content, and what is odd about all of them."""
    sheets, unsure, findings = [], [], []
    # Rater -> idx -> labels, of sheets that are surely theirs.
    by_rater = defaultdict(lambda: defaultdict(list))
    for path, sheet in read.items():
        said = file_names.said(path.name, folder.annotators)
        repeats = list(filter(retest.is_repeat, sheet.rows))
        rows = [row for row in sheet.rows if not retest.is_repeat(row)]
        labeled = list(filter(ratings.is_labeled, rows))
        if labeled and sheet.missing:
            what = f"lacks the columns {', '.join(sheet.missing)}, which were not checked; its rows are kept"
            findings.append(Finding.of_file(path.name, what, is_report=True))
        revision = _revision(sheet.rows)
        handed = HandedIn(*(path.name, said.kind, said.rater, revision, sheet.form), rows, labeled, repeats)
        (sheets if said.is_sure else unsure).append(handed)
        for idx, choices in whose.given(labeled, folder.known).items() if said.is_sure else ():
            by_rater[said.rater][idx] += choices
    for handed in unsure:
        own = whose.given(handed.labeled, folder.known)
        if not handed.labeled:
            what = "holds no label, and its name doesn't say whose: skipped"
            findings.append(Finding.of_file(handed.file, what, is_report=True))
        elif rater := whose.owner(own, handed.rater, by_rater):
            sheets.append(handed._replace(rater=rater))
            findings.append(whose.copied(handed.file, rater, own, by_rater[rater]))
        else:
            findings.append(whose.nobodys(handed.file, len(handed.labeled), folder.annotators))
    return sorted(sheets, key=lambda sheet: sheet.file), findings


def _others(paths: list[Path], read: dict[Path, sheet_reader.Sheet], folder: Folder) -> list[Finding]:
    """A finding for each handed-in file that is not read; a problem where it may hold labels."""
    top, findings = {files.file_fingerprint(path) for path in read}, []
    for path in paths:
        may_hold = file_names.begins(path.name) and not file_names.is_backup(path)
        if path.is_file() and path.suffix.casefold() in file_names.TABLES:
            may_hold = files.file_fingerprint(path) not in top and _may_hold_labels(path, folder)
        name = path.relative_to(folder.path).as_posix()
        what = file_names.why_not_read(path, folder.path)
        findings.append(Finding.of_file(name, what, is_report=not may_hold))
    return findings


def _may_hold_labels(path: Path, folder: Folder) -> bool:
    """Whether a sheet in a subfolder holds a label, or could, as it can't be read."""
    try:
        return any(map(ratings.is_labeled, sheet_reader.read(path, folder.known.captions).rows))
    except sheet_reader.SheetError:
        return file_names.begins(path.name)


def _revision(rows: list[sheet_reader.Row]) -> int | None:
    """How often a page's labels had been changed when it was exported; None for a sheet that isn't one."""
    revisions = [sheet_reader.whole_number(row.cells.get("revision", "")) for row in rows]
    return max((revision for revision in revisions if revision is not None), default=None)


def superseded(sheets: list[HandedIn]) -> dict[str, str]:
    """File -> the later export of the same rater's page, which counts in its place."""
    # A blank export is no later word, whatever its revision: it would silence the labels of the one before.
    exports = [sheet for sheet in sheets if sheet.kind == file_names.PAGE and sheet.labeled]
    exports = [sheet for sheet in exports if sheet.revision is not None]
    latest = {sheet.rater: sheet for sheet in sorted(exports, key=lambda sheet: sheet.revision)}
    return {
        sheet.file: latest[sheet.rater].file
        for sheet in exports
        if sheet.revision < latest[sheet.rater].revision
    }


def with_retrieved(folder: Folder, sheets: list[HandedIn]) -> Folder:
    """Without failure_samples.csv nothing says which image was retrieved: take what most sheets say."""
    if folder.known.predicted:
        return folder
    said = defaultdict(Counter)
    for row in itertools.chain.from_iterable(sheet.rows for sheet in sheets):
        idx, image = (sheet_reader.whole_number(row.cells.get(name, "")) for name in ("idx", "pred_img_idx"))
        if image is not None:
            said[idx][image] += 1
    predicted = {idx: images.most_common(1)[0][0] for idx, images in said.items()}
    return folder._replace(known=folder.known._replace(predicted=predicted))


def rate_rows(
    sheets: list[HandedIn], replaced: dict[str, str], folder: Folder
) -> tuple[list[Rating], list[Finding]]:
    """A rating for each labeled row, with all that is wrong or odd about it; clashes count for nothing.

    replaced: file -> the later export that counts in its place, as `superseded` gives it.
    """
    rated, findings = [], []
    for sheet in sheets:
        if not sheet.labeled:
            continue  # a blank sheet counts for nothing, whatever its rows are
        for row in sheet.rows:
            if not ratings.is_labeled(row):
                found = ratings.not_its_own(row, sheet.file, sheet.rater, folder.known)
            else:
                rating, found = ratings.rate(row, sheet.file, sheet.rater, folder.known)
                rated.append(rating)
            # What was wrong with an earlier export, its rater may have fixed since.
            findings += found if sheet.file not in replaced else []
    rated = [
        rating.struck(f"replaced by the later {replaced[rating.file]}") if rating.file in replaced else rating
        for rating in rated
    ]
    rated, clashes = ratings.set_clashes_aside(whose.separate(rated, OVERLAP))
    return rated, findings + clashes + whose.doubles(rated)


def raters(given: HandIn, labels: Labels) -> list[Rater]:
    """What each rater handed in, what is missing of it, and how often each category was given."""
    folder, files_of, items_of = given.folder, defaultdict(list), defaultdict(set)
    # Who handed in a sheet without a letter may have got a number after it had been read.
    rater_in = {rating.file: rating.rater for rating in given.ratings}
    for sheet in given.sheets:
        rater = rater_in.get(sheet.file, sheet.rater)
        files_of[rater] += [sheet.file] if sheet.labeled else []
        # Backup rows are filled as the need arises: a blank one is not missing.
        if sheet.kind != BACKUP:
            items_of[rater] |= {sheet_reader.whole_number(row.cells["idx"]) for row in sheet.rows}
    times = _times(given, rater_in)
    for rater in folder.annotators:
        items_of[rater] |= {idx for idx, part in folder.parts.items() if part in (rater, OVERLAP)}
    found = []
    for rater in sorted(items_of.keys() | files_of.keys()):
        if rater in file_names.NO_LETTER and not files_of[rater]:
            continue  # a sheet without a letter is somebody's only once it holds a label
        said = {idx: by_rater[rater].category for idx, by_rater in labels.items() if rater in by_rater}
        missing = sorted((items_of[rater] & folder.known.captions.keys()) - said.keys())
        spent = [seconds for idx, seconds in times[rater].items() if idx in said]
        counts = Counter(said.values())
        found.append(Rater(rater, files_of[rater], counts, missing, len(spent), sum(spent)))
    return found


def _times(given: HandIn, rater_in: dict[str, str]) -> dict[str, dict[int, int]]:
    """Rater -> idx -> seconds that a page showed it; of two exports of a page the later one's."""
    times = defaultdict(dict)
    for sheet in given.sheets:
        for row in sheet.labeled if sheet.file not in given.replaced else ():
            seconds = sheet_reader.whole_number(row.cells.get("seconds", ""))
            if seconds:
                rater = rater_in.get(sheet.file, sheet.rater)
                times[rater][sheet_reader.whole_number(row.cells["idx"])] = seconds
    return times


def sentences(given: HandIn, raters: list[Rater]) -> list[str]:
    """Who handed in what, and what is missing, as lines to read."""
    lines = ["Handed in:"]
    for rater in raters:
        missing = say.first_of(list(map(str, rater.missing)), IDX_NAMED)
        lacks = f"{say.number(len(rater.missing))} missing (idx {missing})" if missing else "complete"
        n_labels = say.items(rater.labeled, "label")
        took = f"; {round(rater.seconds / rater.timed)} s an item" if rater.timed else ""
        sheets = ", ".join(rater.files) or "nothing"
        lines.append(f"  {rater.name:<4} {n_labels:>11}  {sheets}; {lacks}{took}")
    for file, later in given.replaced.items():
        lines.append(f"  Skipped {file}: {later} is a later export of the same page")
    blank = [sheet.file for sheet in given.sheets if not sheet.labeled]
    if blank:
        names = say.first_of(blank, BLANK_NAMED)
        lines.append(f"  Skipped {say.items(len(blank), 'empty sheet')} ({names})")
    return lines


def table(raters: list[Rater]) -> Table:
    """raters.csv."""
    head = ("rater", "sheets", "labelled", "missing")
    columns = [*head, *CATEGORY_NAMES, *(f"share_{name}" for name in CATEGORY_NAMES), "missing_idx", *TIMES]
    rows = []
    for rater in raters:
        cells = (rater.name, "; ".join(rater.files), rater.labeled, len(rater.missing))
        row = dict(zip(head, cells, strict=True)) | {"missing_idx": " ".join(map(str, rater.missing))}
        if rater.timed:
            row |= dict(zip(TIMES, (rater.timed, rater.seconds), strict=True))
        for name in CATEGORY_NAMES:
            row[name] = rater.counts[name]
            row[f"share_{name}"] = say.rounded(rater.counts[name] / rater.labeled) if rater.labeled else ""
        rows.append(row)
    return Table(columns, rows)
