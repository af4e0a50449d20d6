"""What step 6 found, as files: `fixes` writes them, `report` reads them, and neither knows the other.

`net_effects.json` is an `Index`. Each method, with one pooling, has a `MethodResult` in `cells/` and a CSV of
ranks next to it, with the columns RANK_COLUMNS. Recall, MRR and differences are in percent or points of it;
shares and p-values are between 0 and 1. A mapping by measure has the keys of MEASURES.
"""

from typing import NamedTuple

from common.records import Record

MEASURES = ("R@1", "R@5", "R@10")
CELLS = "cells"  # folder of methods' results in the results' folder
INDEX = "net_effects.json"
ALL, FAILURES, SUCCESSES, CLEAR = "all", "failures", "successes", "clear"  # sets that are no category
NO_POOLING = "none"  # of a method without templates
LABEL, DEALT = "label", "dealt"  # where category templates take a query's category from
RANK_COLUMNS = (
    *("idx", "caption_id", "caption", "gt_img_idx", "stratum", "category"),
    *("sets", "category_of_query", "rank_before", "rank_after", "rank_placebo"),
)


class Change(Record):
    """A difference in points, with its paired 95 % interval clustered by image."""

    value: float
    low: float
    high: float


class Changed(Record):
    """What became of the queries of a set."""

    improved: dict[str, float]  # by measure, and "MRR": the level after
    delta_pp: dict[str, Change]  # by measure
    gained: dict[str, int]  # by measure: queries that came into the first K
    lost: dict[str, int]  # by measure: queries that fell out of them


class NetEffect(Record):
    """A net effect on one measure of the whole set, in points."""

    before: float  # recall of the whole set
    after: float
    value: float
    low: float  # 95 % interval for other images of this kind, clustered by image
    high: float
    sampling_low: float  # 95 % interval for the exact effect on this very set
    sampling_high: float
    gained: int  # of the queries that were ranked
    lost: int
    p: float  # sign-flip permutation of per-image sums, two-sided
    mcnemar_p: float | None  # takes captions of one image for independent; None where undefined


class TopImage(Record):
    """An image that comes first for many queries."""

    file_name: str
    queries: int


class Hubs(Record):
    """The k-occurrence of all images: how many queries have each among their first k."""

    skewness: float
    never_among_first: int  # images
    top: list[TopImage]


class Hubness(Record):
    """Hubs before and after a method."""

    k: int
    before: Hubs
    after: Hubs


class SetResult(Record, kw_only=True):
    """A method on one set of queries."""

    categories: str  # the set: a category, or one of ALL, FAILURES, SUCCESSES, CLEAR
    subset_size: int  # queries that were ranked
    anecdotal: bool  # fewer of them than statistics.ANECDOTAL
    confirmatory: bool  # the set is ALL
    exact: bool  # every query of the set was ranked; else ALL is estimated from samples
    oracle: bool  # the method has a part that uses information that is not available at test time
    category_of_query: str | None  # "label" or "dealt": where category templates took it from
    baseline: dict[str, float]  # by measure, and "MRR": the level before
    changed: Changed
    ties: int  # queries with another image at the very score of their own
    placebo: Changed
    share_of_labelled_failures: float | None = None  # of a category
    contribution_pp: float | None = None  # of a category: share x (1 - R@1) x recovery
    net_effect: dict[str, NetEffect] | None = None  # by measure; of ALL
    placebo_net_effect: dict[str, NetEffect] | None = None
    hubness: Hubness | None = None  # of ALL, where every query was ranked


class Half(Record):
    """One half of the images."""

    queries: int
    images: int


class Split(Record):
    """With TUNE: where parameters were chosen, and where results are reported."""

    tuned_on: Half
    reported_on: Half


class BankNote(Record):
    """The bank of captions that methods learned from."""

    size: int  # captions
    file: str
    fingerprint: str  # SHA-256 of the file
    available: int  # captions in the file
    transductive: bool  # holds queries or their images
    equal_texts: int  # captions whose text is also a query's


class Identity(Record, kw_only=True):
    """Everything that a run's numbers depend on, except for what the name of a method's file says."""

    format: int  # of the result files
    cache: str  # its fingerprint
    labels: str | None  # fingerprint of the merged labels; None without any
    bank: str | None  # first digits of the bank file's SHA-256; None without a bank
    templates: str  # fingerprint of all templates
    settings: dict  # constants of the script, folders aside, but for METHODS and POOLING
    published: dict[str, dict]  # part -> its published parameters
    grids: dict[str, list[dict]] | None  # with TUNE: part -> what was tried
    candidates: int  # first images of a query that words may order again


class Queries(Record):
    """How many queries there are to report on."""

    all: int
    failures: int


class MethodResult(Record, kw_only=True):
    """A method, with one pooling, on every set of queries."""

    name: str  # for people: "prompts (mean)"
    method: str  # parts joined by +
    pooling: str  # of templates' cosines, or NO_POOLING
    oracle: bool
    transductive: bool  # it learned from a bank that holds queries
    tau: float
    K_templates: int
    seed: int
    parameters: dict[str, dict]  # part -> its parameters
    queries: Queries
    sets: list[SetResult]
    split: Split | None
    bank: BankNote | None
    ranks_file: str  # the CSV next to it
    ranks_fingerprint: str  # SHA-256 of it
    identity: Identity
    versions: dict[str, str]

    def on(self, name: str) -> SetResult | None:
        """The result on one set, or None where the set is empty or was not asked for."""
        return next((each for each in self.sets if each.categories == name), None)


class IndexRow(Record, kw_only=True):
    """A method's net effect on the whole set, with p adjusted over all rows."""

    name: str  # for people
    method: str
    pooling: str
    oracle: bool
    transductive: bool
    category_of_query: str | None
    exact: bool
    subset_size: int
    p_holm: float  # of R@1
    net_effect: dict[str, NetEffect]  # by measure
    placebo: dict[str, NetEffect]  # by measure
    file: str  # the method's result, seen from the results' folder


class PartNote(Record):
    """What a part of a method's name means."""

    name: str
    kind: str  # base, hubs, words
    oracle: bool
    description: str  # one sentence
    source: str  # of its published parameters, or ""


class Index(Record, kw_only=True):
    """The result of the last run of step 6."""

    net_effects: list[IndexRow]
    left_out: dict[str, str]  # method -> why it could not be run
    cells: list[str]  # the methods' results, seen from the results' folder
    parts: list[PartNote]  # of the methods that ran
    settings: dict  # constants of the script, folders aside
    mark: str  # first digits of the identity's hash
    identity: Identity
    parameters: dict[str, dict]  # part -> those that were used
    split: Split | None
    bank: BankNote | None
    versions: dict[str, str]
    tuning_image_ids: list[int]


class Measured(NamedTuple):
    """A run of step 6 as it is read back."""

    index: Index
    methods: list[MethodResult]  # in the order of Index.cells
