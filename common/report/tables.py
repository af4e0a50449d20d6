"""Tables for people: one description of a table gives its HTML and its LaTeX, cell by cell from a CSV.

A number never stands alone. In HTML each one is an element that names the CSV it comes from, the row as a
spreadsheet counts it (the header is row 1) and the column, so that a reader, or a test, can look it up.
"""

import re
import string
from collections.abc import Callable
from typing import NamedTuple

from markupsafe import Markup

from common import say

NOTHING = "–"  # for a CSV's cell that is blank
SPACE = "\u00a0"  # that doesn't break: inside a number
MINUS = "\u2212"
OTHER_IMAGES = "95% intervals are for as many other images of this kind, clustered by image"


class Csv(NamedTuple):
    """A CSV as it was written: its name as a reader of the report finds it, and its cells as text."""

    name: str
    rows: list[dict[str, str]]

    def find(self, **cells: str) -> int:
        """Position of the one row that has these cells. Raises LookupError where none has, or several."""
        found = [at for at, row in enumerate(self.rows) if all(row[key] == of for key, of in cells.items())]
        if len(found) != 1:
            raise LookupError(f"{len(found)} rows of {self.name} have {cells}")
        return found[0]

    def where(self, **cells: str) -> list[int]:
        """Positions of all rows that have these cells."""
        return [at for at, row in enumerate(self.rows) if all(row[key] == of for key, of in cells.items())]


class Column(NamedTuple):
    """A column of a table. `cell` names columns of the CSV with their formats:

    "{share:share} [{low:bound}, {high:bound}]" gives "39.17% [32.70, 46.10]".
    """

    head: str
    cell: str
    is_text: bool = False  # text is set to the left, numbers to the right; the first column is text anyway
    under: str = ""  # under the head, as `cell` but of the first row: what holds for the whole column


MARKS = Column("Marks", "{marks}", is_text=True)


def points(value: str, low: str, high: str) -> str:
    """The cell of a change in points with its interval, of columns of these names."""
    return f"{{{value}:signed}} [{{{low}:signed}}, {{{high}:signed}}]"


class Table(NamedTuple):
    """A table: which rows of a CSV, and what of each. The first column names the row."""

    caption: str  # written as a column's cell: it may name columns, of the first row
    csv: Csv
    columns: list[Column]
    positions: list[int] | None = None  # of rows, in the order in which they are shown; None means all
    label: str = ""  # of the LaTeX table, for \ref
    note: str = ""  # whom intervals are about, and which test p is of: part of the caption


class Rendered(NamedTuple):
    """One table in two languages."""

    html: Markup
    latex: str  # in a `table` environment, with its caption
    tabular: str  # without


class Body(NamedTuple):
    """A table's text in pieces, before it is set in a language."""

    first: int  # position of the row that the caption and the heads are about
    caption: list["Fragment"]
    under: list[list["Fragment"]]  # one list a column
    rows: dict[int, list[list["Fragment"]]]  # position -> one list a column


class Fragment(NamedTuple):
    """A piece of a cell: plain text where `column` is None, else what a column of the CSV holds."""

    text: str
    column: str | None


# How a CSV's cell is displayed, by `say`. Shares are between 0 and 1, percent is 100 times that; a bound is
# an end of an interval whose value has the percent sign; a change in points is signed.
FORMATS: dict[str, Callable[[str], str]] = {
    "": str,
    "count": lambda cell: say.number(float(cell)),
    "share": lambda cell: say.share(float(cell)),
    "bound": lambda cell: say.two(100 * float(cell)),
    "percent": lambda cell: say.share(float(cell) / 100),
    "two": lambda cell: say.two(float(cell)),
    "cosine": lambda cell: say.cosine(float(cell)),
    "rank": lambda cell: say.rank(float(cell)),
    "signed": lambda cell: say.signed(float(cell)),
    "p": lambda cell: say.p_value(float(cell)),
}
# What print has and a terminal lacks: a minus as wide as a plus, and a space that ends no line.
PRINTED = str.maketrans({"-": MINUS, " ": SPACE})


def displayed(cell: str, form: str) -> str:
    """A CSV's cell as a reader sees it."""
    if cell == "":
        return NOTHING
    text = FORMATS[form](cell)
    return text.translate(PRINTED) if form else text


def value(csv: Csv, position: int, column: str, form: str = "") -> Markup:
    """One cell of a CSV as an element for running text."""
    return _element(csv, position, column, displayed(csv.rows[position][column], form))


def render(table: Table) -> Rendered:
    """A table in both languages, from the same cells. LaTeX needs the package booktabs."""
    rows = table.csv.rows
    positions = list(range(len(rows)) if table.positions is None else table.positions)
    first = rows[positions[0]]
    body = Body(
        positions[0],
        _fragments(table.caption, first),
        [_fragments(column.under, first) for column in table.columns],
        {at: [_fragments(column.cell, rows[at]) for column in table.columns] for at in positions},
    )
    tabular = _tabular(table, body)
    return Rendered(_html(table, body), _latex(table, body, tabular), tabular)


def _fragments(cell: str, row: dict[str, str]) -> list[Fragment]:
    """A cell's pieces. One whose numbers are all blank is one dash: "– [–, –]" would say no more."""
    parsed = list(string.Formatter().parse(cell))
    columns = [column for _, column, _, _ in parsed if column]
    if columns and not any(row[column] for column in columns):
        return [Fragment(NOTHING, columns[0])]
    pieces = []
    for literal, column, form, _ in parsed:
        if literal:
            pieces.append(Fragment(literal, None))
        if column:
            pieces.append(Fragment(displayed(row[column], form), column))
    return pieces


def _element(csv: Csv, position: int, column: str, text: str) -> Markup:
    return Markup('<span data-csv="{}" data-row="{}" data-column="{}">{}</span>').format(
        csv.name, position + 2, column, text
    )


def _html(table: Table, body: Body) -> Markup:
    """A table that scrolls sideways by itself, by keyboard too, where the screen is narrow."""
    heads = Markup("")
    for column, pieces in zip(table.columns, body.under, strict=True):
        under = Markup(" <small>{}</small>").format(_joined(table.csv, body.first, pieces)) if pieces else ""
        heads += Markup('<th scope="col"{}>{}{}</th>').format(_side(column), column.head, under)
    rows = Markup("")
    for position, cells in body.rows.items():
        filled = [_joined(table.csv, position, pieces) for pieces in cells]
        row = Markup('<th scope="row">{}</th>').format(filled[0])
        for column, content in zip(table.columns[1:], filled[1:], strict=True):
            row += Markup("<td{}>{}</td>").format(_side(column), content)
        rows += Markup("<tr>{}</tr>\n").format(row)
    caption = _joined(table.csv, body.first, body.caption)
    if table.note:
        caption += Markup(" <small>{}</small>").format(table.note)
    return Markup(
        '<div class="scroll" tabindex="0" role="region" aria-label="{}"><table>\n<caption>{}</caption>\n'
        "<thead><tr>{}</tr></thead>\n<tbody>\n{}</tbody>\n</table></div>\n"
    ).format("".join(piece.text for piece in body.caption), caption, heads, rows)


def _side(column: Column) -> Markup:
    return Markup(' class="text"') if column.is_text else Markup("")


def _joined(csv: Csv, position: int, pieces: list[Fragment]) -> Markup:
    """A cell's content; plain pieces are escaped as they join."""
    return Markup("").join(
        piece.text if piece.column is None else _element(csv, position, piece.column, piece.text)
        for piece in pieces
    )


def _tabular(table: Table, body: Body) -> str:
    """A `tabular` with booktabs' rules: text to the left, numbers to the right."""
    sides = "".join("l" if column.is_text else "r" for column in table.columns[1:])
    lines = [" & ".join(map(_plain, cells)) for cells in body.rows.values()]
    heads = [
        _escaped(column.head) + (f" ({_plain(pieces)})" if pieces else "")
        for column, pieces in zip(table.columns, body.under, strict=True)
    ]
    rows = "".join(f"{line} \\\\\n" for line in lines)
    return (
        f"\\begin{{tabular}}{{l{sides}}}\n\\toprule\n{' & '.join(heads)} \\\\\n\\midrule\n"
        f"{rows}\\bottomrule\n\\end{{tabular}}\n"
    )


def _latex(table: Table, body: Body, tabular: str) -> str:
    """The same in a `table` environment: its caption says what a reader of a paper has to know."""
    caption = _plain(body.caption) + (f". {_escaped(table.note)}" if table.note else "")
    return (
        "% \\usepackage{booktabs}\n\\begin{table}\n\\centering\n"
        f"\\caption{{{caption}}}\n\\label{{tab:{table.label}}}\n{tabular}\\end{{table}}\n"
    )


def _plain(pieces: list[Fragment]) -> str:
    return _escaped("".join(piece.text for piece in pieces))


LATEX = {"\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}"}
LATEX |= {"^": r"\textasciicircum{}", MINUS: "$-$", NOTHING: "--", SPACE: "~", "<": "$<$", ">": "$>$"}
LATEX |= {letter: "\\" + letter for letter in "$&#%_"}
SPECIAL = re.compile("[" + re.escape("".join(LATEX)) + "]")


def _escaped(text: str) -> str:
    """Text in which LaTeX reads no command."""
    return SPECIAL.sub(lambda found: LATEX[found[0]], text)
