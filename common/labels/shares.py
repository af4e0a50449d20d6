"""How frequent each label is among the failures: the one place where such a share gets its interval.

Step 4 writes these shares (category_distribution.csv, ambiguous_vs_clear.csv), and step 5 reads them.
"""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from common import say, statistics
from common.errors import UserError
from common.labels import merged, sheet_reader, sheets, spellings
from common.labels.decisions import Item
from common.labels.gaps import Gaps
from common.labels.ratings import Choice
from common.labels.taxonomy import AMBIGUOUS, CATEGORY_NAMES, CLEAR_NAMES, SUBTYPE_NAMES
from common.settings import shown

DISTRIBUTION, VERSUS_CLEAR = "category_distribution.csv", "ambiguous_vs_clear.csv"
FINITE_FROM = 0.10  # share of all failures above which an interval allows for having drawn so many
ALL, CLEAR = "all", "clear"  # what a category's share is over
OF_CATEGORIES = [
    (over, name) for over, names in ((ALL, CATEGORY_NAMES), (CLEAR, CLEAR_NAMES)) for name in names
]
OF_AMBIGUOUS = [
    *(AMBIGUOUS, "Clear"),
    *(str(Choice(AMBIGUOUS, name)) for name in (*SUBTYPE_NAMES, "no subtype")),
]


class Share(NamedTuple):
    """A count with its share and 95 % interval. Each field is a column of both files."""

    n: int
    total: int  # items that the share is of
    share: float | None  # between 0 and 1, six digits; None where there is nothing to have a share of
    low: float | None  # of the interval of this share alone
    high: float | None
    status: str  # begins with "final" or, while labels are missing or wait, with "provisional"
    # Files of earlier versions lack these columns, whose intervals never allowed for a finite population.
    population: int | None = None  # failures that the items were drawn from; None where that is not known
    finite_population: bool = False  # whether the interval allows for having drawn a large part of them
    low_all: float | None = None  # of intervals that hold for all categories at once; of categories only
    high_all: float | None = None
    least: float | None = None  # share if none of the missing and waiting items had the label
    most: float | None = None  # share if all of them had it


class CategoryShare(NamedTuple):
    """A row of category_distribution.csv."""

    over: str  # ALL items, or the CLEAR ones
    category: str
    share: Share


class LabelShare(NamedTuple):
    """A row of ambiguous_vs_clear.csv."""

    label: str  # of OF_AMBIGUOUS
    share: Share


class Basis(NamedTuple):
    """What shares are taken from."""

    items: list[Item]  # that are decided
    gaps: Gaps  # drawn failures without a label
    population: int | None  # failures that the items were drawn from, as step 2's manifest says


def of_categories(basis: Basis) -> list[CategoryShare]:
    """Share of each category over all items, then over the clear ones."""
    counts = Counter(item.choice.category for item in basis.items)
    clear = sum(counts[name] for name in CLEAR_NAMES)
    # How many of all failures are clear nobody knows, so shares of the clear ones have no population.
    over_clear = basis._replace(population=None)
    return [
        CategoryShare(over, name, _share(counts[name], len(basis.items), basis, len(CATEGORY_NAMES)))
        if over == ALL
        else CategoryShare(over, name, _share(counts[name], clear, over_clear, len(CLEAR_NAMES)))
        for over, name in OF_CATEGORIES
    ]


def of_ambiguous(basis: Basis) -> list[LabelShare]:
    """Share of ambiguous and clear items, and of each subtype among all items."""
    subtypes = [item.choice.subtype for item in basis.items if item.choice.category == AMBIGUOUS]
    total = len(basis.items)
    counts = [len(subtypes), total - len(subtypes), *(subtypes.count(name) for name in (*SUBTYPE_NAMES, ""))]
    return [LabelShare(label, _share(n, total, basis)) for label, n in zip(OF_AMBIGUOUS, counts, strict=True)]


def is_finite(total: float, population: int | None) -> bool:
    """Whether so many items are so large a part of all failures that an interval has to allow for it."""
    return population is not None and total > FINITE_FROM * population


def interval(n: float, total: float, population: int | None, z: float = statistics.Z) -> tuple[float, float]:
    """Wilson's interval of n of `total` items; n needn't be whole. Raises ValueError without any item.

    Where the items are a large part of the failures that they were drawn from, its form for a finite
    population (`statistics.wilson_of_finite`): a share of 200 of 300 failures is nearly known.
    """
    if is_finite(total, population):
        return statistics.wilson_of_finite(n, total, population, z)
    return statistics.wilson(n, total, z)


def table(rows: list[CategoryShare] | list[LabelShare]) -> sheets.Table:
    """Such shares as the columns and rows of their file."""
    names = rows[0]._fields[:-1]
    cells = [dict(zip(names, row, strict=False)) | row.share._asdict() for row in rows]
    return sheets.Table([*names, *Share._fields], cells)


def read_categories(folder: Path) -> list[CategoryShare]:
    """category_distribution.csv of a failure folder, which has a row for each of OF_CATEGORIES.

    Raises UserError where it was not found, and where it is not what step 4 writes.
    """
    rows = _read(folder / DISTRIBUTION, ("over", "category"), OF_CATEGORIES)
    return [CategoryShare(*key, share) for key, share in rows]


def read_ambiguous(folder: Path) -> list[LabelShare]:
    """ambiguous_vs_clear.csv of a failure folder, which has a row for each of OF_AMBIGUOUS; raises alike."""
    return [
        LabelShare(*key, share)
        for key, share in _read(folder / VERSUS_CLEAR, ("label",), [(label,) for label in OF_AMBIGUOUS])
    ]


def _share(n: int, total: int, basis: Basis, together: int = 0) -> Share:
    """A count as a share of `total` items, with its `interval`.

    together: how many shares are read at once, which a second interval allows for (`statistics.z_of`); 0 for
    none.
    """
    population, share = basis.population, n / total if total else None
    low, high = interval(n, total, population) if total else (None, None)
    low_all, high_all = None, None
    if total and together:
        low_all, high_all = interval(n, total, population, statistics.z_of(together))
    least, most = basis.gaps.bounds(n, total)
    numbers = [None if value is None else say.rounded(value) for value in (share, low, high)]
    more = [None if value is None else say.rounded(value) for value in (low_all, high_all, least, most)]
    return Share(n, total, *numbers, basis.gaps.status, population, is_finite(total, population), *more)


def _read(
    path: Path, keys: tuple[str, ...], expected: list[tuple[str, ...]]
) -> list[tuple[tuple[str, ...], Share]]:
    """(what it is of, share) of each row of a file."""
    if not path.is_file():
        raise UserError(f"{shown(path)} was not found: {merged.AGAIN}")
    columns = (*keys, *Share._fields)
    required = tuple(name for name in columns if name not in Share._field_defaults)
    spelled = {spellings.squeezed(name): name for name in columns}
    rows = [row.cells for row in sheet_reader.read(path, {}, spelled, required, f", or {merged.AGAIN}").rows]
    found = [tuple(row[key] for key in keys) for row in rows]
    try:
        shares = list(map(_parsed, rows))
    except ValueError as error:
        raise UserError(f"{shown(path)} is not what step 4 writes ({error}): {merged.AGAIN}") from error
    if found != expected:
        raise UserError(f"{shown(path)} has not the rows that step 4 writes: {merged.AGAIN}")
    return list(zip(found, shares, strict=True))


def _parsed(row: dict[str, str]) -> Share:
    """A row's share. Raises ValueError where a cell is no number."""
    numbers = ("share", "low", "high", "low_all", "high_all", "least", "most")
    known = {name: float(row[name]) if row.get(name) else None for name in numbers}
    population = int(row["population"]) if row.get("population") else None
    finite = row.get("finite_population", "").casefold() == "true"  # spreadsheets write it in capitals
    counted = {"n": int(row["n"]), "total": int(row["total"]), "status": row["status"]}
    return Share(**counted, **known, population=population, finite_population=finite)
