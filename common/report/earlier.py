"""Results of step 6 as version 1 of its files had them: a file for each method on each set of queries.

They are read as today's records and say nothing that was not measured then: each placebo was drawn once, so
there is no spread between draws, and a method was not compared with its placebo query by query.
"""

from pathlib import Path
from typing import NamedTuple

from common import records
from common.labels.taxonomy import CATEGORY_NAMES
from common.records import Record
from common.results import (
    ALL,
    DEALT,
    FAILURES,
    NO_POOLING,
    SUCCESSES,
    BankNote,
    Chance,
    Change,
    Changed,
    Hubness,
    Hubs,
    Identity,
    Index,
    IndexRow,
    Marks,
    Measured,
    MethodResult,
    NetEffect,
    PlaceboChanged,
    Queries,
    SetResult,
    Split,
    TopImage,
)

FORMAT = 1
ALWAYS_ORACLES = {"tfidf", "overlap"}  # parts; `category` was an oracle where labels were used
NOTE = (
    "step 6's results were measured by an earlier version: each placebo was drawn once, so nothing is said "
    "of its spread or of how far a method is above it, and names of methods are not explained"
)


class Bank(Record):
    """The bank of captions; today's `ids_compared` was always true, `queries_covered` was not counted."""

    size: int
    file: str
    fingerprint: str
    available: int
    transductive: bool
    equal_texts: int


class Placebo(Record):
    """What became of a set under the one draw of the placebo. Mappings as in `common.results.Changed`."""

    improved: dict[str, float]
    delta_pp: dict[str, Change]
    gained: dict[str, int]
    lost: dict[str, int]


class Top(Record):
    """The k-occurrence of images, as `common.results.Hubs` without the share of the largest hub."""

    skewness: float
    never_among_first: int
    top: list[TopImage]


class TopHubs(Record):
    """The one k that hubs were counted at."""

    k: int
    before: Top
    after: Top


class Of(Record):
    """What the results depended on."""

    format: int
    cache: str
    labels: str | None
    bank: str | None
    templates: str
    settings: dict
    parameters: dict


class Cell(Record, kw_only=True):
    """A method, with one pooling, on one set of queries. Fields as in `MethodResult` and `SetResult`."""

    method: str
    categories: str
    subset_size: int
    anecdotal: bool
    confirmatory: bool
    oracle: bool  # one of its parts can use extra knowledge
    category_of_query: str | None
    transductive: bool
    pooling: str
    tau: float
    K_templates: int
    seed: int
    parameters: dict[str, dict]
    queries: Queries
    baseline: dict[str, float]
    improved: dict[str, float]
    delta_pp: dict[str, Change]
    gained: dict[str, int]
    lost: dict[str, int]
    ties: int
    placebo: Placebo
    contribution_pp: float | None
    share_of_labelled_failures: float | None = None
    net_effect: dict[str, NetEffect] | None
    placebo_net_effect: dict[str, NetEffect] | None
    hubness: TopHubs | None
    split: Split | None
    bank: Bank | None
    ranks_file: str
    ranks_fingerprint: str
    versions: dict[str, str]


class Row(Record):
    """A method's net effect on the whole set."""

    method: str
    pooling: str
    p_holm: float
    file: str


class Listing(Record):
    """net_effects.json."""

    net_effects: list[Row]
    left_out: dict[str, str]
    cells: list[str]
    settings: dict
    mark: str
    identity: Of
    parameters: dict[str, dict]
    split: Split | None
    bank: Bank | None
    versions: dict[str, str]
    tuning_image_ids: list[int]


class Found(NamedTuple):
    """What is known of a set's size, for the marks."""

    subset_size: int  # the most failures of a category that were taken
    labels: dict[str, int]  # category -> labeled failures


def is_earlier(content: object) -> bool:
    """Whether a net_effects.json, as JSON's own types, is of version 1."""
    identity = content.get("identity") if isinstance(content, dict) else None
    return isinstance(identity, dict) and identity.get("format") == FORMAT


def measured(folder: Path, listing: Listing, labels: dict[str, int], again: str) -> Measured:
    """The results in a folder that a net_effects.json of version 1 lists; all of its files must be there.

    labels: category -> failures that have it today. Raises UserError where a file is not what that version
    wrote.
    """
    cells = [records.read(folder / name, Cell, again) for name in listing.cells]
    found = Found(listing.identity.settings["SUBSET_SIZE"], labels)
    identity, methods = _identity(listing), []
    for row in listing.net_effects:
        own = [cell for cell in cells if (cell.method, cell.pooling) == (row.method, row.pooling)]
        methods.append(_method(own, found, identity))
    rows = [_row(row, method) for row, method in zip(listing.net_effects, methods, strict=True)]
    return Measured(_index(listing, rows, identity), methods)


def _index(listing: Listing, rows: list[IndexRow], identity: Identity) -> Index:
    """The listing as today's index; `cells` names the result on the whole set."""
    return Index(
        net_effects=rows,
        family=f"p of R@1 was adjusted by Holm over all {len(rows)} results of an earlier version.",
        kept=[],
        texts_cut_off={},
        left_out=listing.left_out,
        cells=[row.file for row in rows],
        parts=[],
        settings=listing.settings,
        mark=listing.mark,
        identity=identity,
        parameters=listing.parameters,
        split=listing.split,
        bank=_bank(listing.bank),
        versions=listing.versions,
        tuning_image_ids=listing.tuning_image_ids,
    )


def _identity(listing: Listing) -> Identity:
    of = listing.identity
    return Identity(
        format=of.format,
        code="",  # was not kept
        cache=of.cache,
        labels=of.labels,
        bank=of.bank,
        bank_ids_compared=True,
        templates=of.templates,
        settings=of.settings,
        published=of.parameters["defaults"],
        grids=of.parameters.get("grids"),
        candidates=of.parameters["candidates"],
    )


def _bank(bank: Bank | None) -> BankNote | None:
    return bank and BankNote(**records.plain(bank), ids_compared=True, queries_covered=None)


def _row(row: Row, method: MethodResult) -> IndexRow:
    whole = method.on(ALL)
    return IndexRow(
        name=method.name,
        method=row.method,
        pooling=row.pooling,
        marks=whole.marks,
        category_of_query=whole.category_of_query,
        p_holm=row.p_holm if whole.marks.is_fix else None,
        net_effect=whole.net_effect,
        placebo=whole.placebo_net_effect,
        beyond={},
        file=row.file,
    )


def _method(cells: list[Cell], found: Found, identity: Identity) -> MethodResult:
    """The results of one method, which were a file for each set."""
    whole = next(cell for cell in cells if cell.categories == ALL)
    return MethodResult(
        name=whole.method if whole.pooling == NO_POOLING else f"{whole.method} ({whole.pooling})",
        method=whole.method,
        pooling=whole.pooling,
        tau=whole.tau,
        K_templates=whole.K_templates,
        seed=whole.seed,
        parameters=whole.parameters,
        queries=whole.queries,
        sets=[_set(cell, found) for cell in cells],
        split=whole.split,
        bank=_bank(whole.bank),
        texts_cut_off={},
        ranks_file=whole.ranks_file,
        ranks_fingerprint=whole.ranks_fingerprint,
        identity=identity,
        versions=whole.versions,
    )


def _set(cell: Cell, found: Found) -> SetResult:
    return SetResult(
        categories=cell.categories,
        confirmatory=cell.confirmatory,
        marks=_marks(cell, found),
        category_of_query=cell.category_of_query,
        baseline=cell.baseline,
        changed=Changed(improved=cell.improved, delta_pp=cell.delta_pp, gained=cell.gained, lost=cell.lost),
        ties=cell.ties,
        placebo=PlaceboChanged(
            improved=cell.placebo.improved,
            delta_pp={name: _once(change) for name, change in cell.placebo.delta_pp.items()},
            gained=cell.placebo.gained,
            lost=cell.placebo.lost,
            beyond={},
        ),
        share_of_labelled_failures=cell.share_of_labelled_failures,
        contribution_pp=cell.contribution_pp,
        net_effect=cell.net_effect,
        placebo_net_effect=cell.placebo_net_effect
        and {name: _once(change) for name, change in cell.placebo_net_effect.items()},
        beyond_net_effect=None,
        hubness=cell.hubness and [_hubness(cell.hubness, cell.subset_size)],
    )


def _once(change: Change | NetEffect) -> Chance:
    """A placebo's effect that was drawn once."""
    return Chance(value=change.value, low=change.low, high=change.high, sd=None, draws=[change.value])


def _marks(cell: Cell, found: Found) -> Marks:
    of, dealt = cell.subset_size, cell.category_of_query == DEALT
    whole = {ALL: cell.queries.all, FAILURES: cell.queries.failures}
    whole[SUCCESSES] = cell.queries.all - cell.queries.failures
    if of >= found.subset_size:  # of a smaller category all were taken
        whole |= {name: max(of, found.labels.get(name, 0)) for name in CATEGORY_NAMES}
    of = whole.get(cell.categories, of)
    return Marks(
        exact=cell.subset_size == of,
        ranked=cell.subset_size,
        of=of,
        transductive=cell.transductive,
        oracle=cell.oracle and (not dealt or not ALWAYS_ORACLES.isdisjoint(cell.method.split("+"))),
        dealt=dealt,
        anecdotal=cell.anecdotal,
        tuned=cell.split is not None and bool(cell.parameters),
    )


def _hubness(hubs: TopHubs, n: int) -> Hubness:
    when = {
        name: Hubs(
            skewness=one.skewness,
            never_among_first=one.never_among_first,
            largest_share=one.top[0].queries / n,
            top=one.top,
        )
        for name, one in (("before", hubs.before), ("after", hubs.after))
    }
    return Hubness(k=hubs.k, **when)
