"""What is wrong or odd about a handed-in sheet, and how that is put into words: one line for each fault."""

from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from common import say

ROWS_NAMED = 100  # in one line of a message
# From this many rows, and this share of a file's rows, wrong captions mean another sample, not slips.
FOREIGN_ROWS, FOREIGN_SHARE = 3, 0.1
IDENTITY = ("caption", "idx")  # columns that say which caption a row is about


class Finding(NamedTuple):
    """Something to report about one row or, with `row` blank, about one file."""

    file: str
    row: str  # as the spreadsheet numbers it
    rater: str
    column: str  # blank where it is about the row or file as a whole
    value: str  # of the cell
    what: str  # a predicate: "is not a label"
    nearest: str = ""  # the label that was perhaps meant
    is_report: bool = False  # odd, but no problem: the row counts

    @classmethod
    def of_file(cls, file: str, what: str, rater: str = "", is_report: bool = False) -> "Finding":
        """A finding about a whole file."""
        return cls(file, "", rater, "", "", what, is_report=is_report)

    @property
    def is_foreign(self) -> bool:
        """Whether the row is not about the caption that it says."""
        return self.column in IDENTITY and not self.is_report


def describe(findings: list[Finding], n_rows: Mapping[str, int]) -> list[str]:
    """One line for each thing found, rows of a file with the same fault in one.

    n_rows: file -> how many it has. Many wrong captions of one file are reported as what they mean.

        assign_A.csv rows 5, 9: category 'Colour' is not a label; nearest: Count
    """
    by_file = defaultdict(list)
    for finding in findings:
        if finding.is_foreign:
            by_file[finding.file].append(finding)
    foreign = {
        file: rows
        for file, rows in by_file.items()
        if len(rows) >= max(FOREIGN_ROWS, FOREIGN_SHARE * n_rows.get(file, 0))
    }
    lines = [_foreign(rows, n_rows[file]) for file, rows in foreign.items()]
    alike = defaultdict(list)  # a finding without its row -> the rows that it is about
    for finding in findings:
        if not (finding.is_foreign and finding.file in foreign):
            alike[finding._replace(row="")].append(finding.row)
    return lines + [_line(finding, rows) for finding, rows in alike.items()]


def short(text: str, letters: int = 60) -> str:
    """The beginning of a long text, on one line."""
    text = " ".join(text.split())
    return text if len(text) <= letters else text[: letters - 3] + "..."


def _line(finding: Finding, rows: list[str]) -> str:
    """The line for rows of one file with the same fault."""
    value = f" {finding.column} {short(finding.value)!r}" if finding.column else ""
    nearest = f"; nearest: {finding.nearest}" if finding.nearest else ""
    named = _rows(rows)
    return f"{finding.file}{' ' if named else ''}{named}:{value} {finding.what}{nearest}"


def _foreign(rows: list[Finding], n_rows: int) -> str:
    """The line for a file whose captions are mostly another sample's."""
    first = rows[0]
    return (
        f"{first.file}: looks like another sample: {len(rows)} of {n_rows} captions differ "
        f"({_rows([row.row for row in rows])}; the first: {first.column} {short(first.value)!r} "
        f"{first.what}). Move the file away if it belongs to another cache; if one column was sorted "
        "alone, undo that"
    )


def _rows(rows: list[str]) -> str:
    """`row 5`, `rows 5, 9, 12`, or nothing for a whole file."""
    rows = [row for row in rows if row]
    return f"row{'s' if len(rows) > 1 else ''} {say.first_of(rows, ROWS_NAMED)}" if rows else ""
