"""What step 6 found, as files: `fixes` writes them, `report` reads them, and neither knows the other.

`net_effects.json` is an `Index`. Each method, with one pooling, has a `MethodResult` in `cells/` and a CSV of
ranks next to it, with the columns RANK_COLUMNS. Recall, MRR and differences are in percent or points of it;
shares and p-values are between 0 and 1. A mapping by measure has the keys of MEASURES.
"""

from typing import NamedTuple

from common.comparisons import Difference, Overlap, Recovered
from common.records import Record

MEASURES = ("R@1", "R@5", "R@10")
CELLS = "cells"  # folder of methods' results in the results' folder
INDEX = "net_effects.json"
ALL, FAILURES, SUCCESSES, CLEAR = "all", "failures", "successes", "clear"  # sets that are no category
NO_POOLING = "none"  # of a method without templates
LABEL, DEALT = "label", "dealt"  # where category templates take a query's category from
DRAWS = 10  # of each placebo, from seeds of their own; the first one's seed is the run's
RANK_COLUMNS = (
    *("idx", "caption_id", "caption", "gt_img_idx", "stratum", "category"),
    *("sets", "category_of_query", "rank_before", "rank_after"),
    *("rank_placebo", *(f"rank_placebo_{draw}" for draw in range(1, DRAWS))),
)
# Of the file of ranks of compared models; a column rank_1, rank_2 ... for each of them follows.
COMPARED_COLUMNS = ("idx", "caption_id", "caption", "gt_img_idx", "category", "failed_by", "rank_before")
SHOWS = {  # k -> what the k-occurrence, how many queries have an image among their first k, says
    1: "at k = 1: which images come first, as R@1 counts",
    10: "at k = 10: which images come among the first ten; its skewness can rise while the largest hubs "
    "shrink, since images that were found for no query come back",
}
EXTRA = "extra knowledge"  # the word for an oracle's results
LEGEND = {  # mark -> what it says
    "estimated": "from random samples of the set, each query standing for as many of its kind",
    "transductive": "its bank holds queries or their images, so it has seen what it is tested on; no fix",
    EXTRA: "an oracle: it uses what nobody knows when a query is asked; a reference, no fix and no bound",
    "dealt": "templates of a category that was dealt at random, since nobody knows a query's own",
    "anecdotal": "from few queries",
    "tuned": "parameters were chosen on the other half of the images; the gallery is the same",
}


class Marks(Record):
    """What has to be said wherever a number stands: the status of one method on one set of queries."""

    exact: bool  # every query of the set was ranked; else the number is estimated from a sample
    ranked: int  # queries that were ranked
    of: int  # queries of the set
    transductive: bool  # learned from a bank that holds queries, and the method has a part that uses it
    oracle: bool  # here the method really used what nobody knows when a query is asked
    dealt: bool  # category templates were dealt at random: a failure's own category was not used
    anecdotal: bool  # fewer were ranked than statistics.ANECDOTAL
    tuned: bool  # has a part whose parameters were chosen on the other half of the images

    @property
    def words(self) -> list[str]:
        """The marks as every output says them; empty where there is nothing to say."""
        return [
            *(["transductive"] if self.transductive else []),
            *([EXTRA] if self.oracle else []),
            *(["dealt"] if self.dealt else []),
            *([] if self.exact else [f"estimated from {self.ranked:,} of {self.of:,}"]),
            *([f"anecdotal: n = {self.ranked}"] if self.anecdotal else []),
            *(["tuned"] if self.tuned else []),
        ]

    @property
    def is_fix(self) -> bool:
        """Whether somebody could use it as it was measured: only such a method may be called the best fix."""
        return not (self.transductive or self.oracle)


class Change(Record):
    """A difference in points, with its paired 95 % interval clustered by image."""

    value: float
    low: float
    high: float


class Chance(Record):
    """A placebo's effect in points, averaged over draws, each with another seed."""

    value: float  # mean over draws
    low: float  # 95 % interval of that mean: other images, and other draws
    high: float
    sd: float | None  # between draws; None where there was one, as an earlier version had it
    draws: list[float]  # each draw's effect; the first one's seed is the run's


class Beyond(Record):
    """A method's effect less its placebo's, in points: paired, clustered by image, other draws included."""

    value: float
    low: float
    high: float
    seen: float | None  # smallest difference found with 80 % power at this n; None with a single image
    needed: int | None  # queries with which a difference of this size is found so often; None if it is 0


class Changed(Record):
    """What became of the queries of a set."""

    improved: dict[str, float]  # by measure, and "MRR": the level after
    delta_pp: dict[str, Change]  # by measure
    gained: dict[str, int]  # by measure: queries that came into the first K
    lost: dict[str, int]  # by measure: queries that fell out of them


class PlaceboChanged(Record):
    """What became of the queries of a set under the placebo: means over its draws."""

    improved: dict[str, float]  # by measure, and "MRR"
    delta_pp: dict[str, Chance]  # by measure
    gained: dict[str, float]  # by measure: queries, on average over draws
    lost: dict[str, float]
    beyond: dict[str, Beyond]  # by measure: the method less its placebo; {} of an earlier version


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
    p: float  # sign-flip permutation of per-image sums, two-sided; not adjusted


class TopImage(Record):
    """An image that comes first for many queries."""

    file_name: str
    queries: int


class Hubs(Record):
    """The k-occurrence of all images: how many queries have each among their first k."""

    skewness: float
    never_among_first: int  # images
    largest_share: float  # of all queries, those that have the largest hub among their first k
    top: list[TopImage]


class Hubness(Record):
    """Hubs before and after a method, for one of SHOWS' k."""

    k: int
    before: Hubs
    after: Hubs


class SetResult(Record, kw_only=True):
    """A method on one set of queries."""

    categories: str  # the set: a category, or one of ALL, FAILURES, SUCCESSES, CLEAR
    confirmatory: bool  # the set is ALL
    marks: Marks
    category_of_query: str | None  # "label" or "dealt": where category templates took it from
    baseline: dict[str, float]  # by measure, and "MRR": the level before
    changed: Changed
    ties: int  # queries with another image at the very score of their own
    placebo: PlaceboChanged
    share_of_labelled_failures: float | None = None  # of a category
    contribution_pp: float | None = None  # of a category: share x (1 - R@1) x recovery
    net_effect: dict[str, NetEffect] | None = None  # by measure; of ALL
    placebo_net_effect: dict[str, Chance] | None = None
    beyond_net_effect: dict[str, Beyond] | None = None  # by measure: net effect less the placebo's
    hubness: list[Hubness] | None = None  # of ALL, where every query was ranked: one for each k of SHOWS

    def hubs(self, k: int) -> Hubness | None:
        """The hubs among the first k images of all queries, or None where they were not counted."""
        return next((each for each in self.hubness or [] if each.k == k), None)


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
    ids_compared: bool  # with the queries'; False for OTHER_BANK_FILE, whose ids are of another numbering
    transductive: bool  # holds queries or their images
    equal_texts: int  # captions whose text, or whose embedding, is also a query's
    # Queries whose text, or whose embedding, is also a caption's of the bank; None of an earlier version.
    queries_covered: int | None


class Identity(Record, kw_only=True):
    """Everything that a run's numbers depend on, except for what the name of a method's file says."""

    format: int  # of the result files
    code: str  # fingerprint of the sources that compute results
    cache: str  # its fingerprint
    labels: str | None  # fingerprint of the merged labels; None without any
    bank: str | None  # first digits of the bank file's SHA-256; None without a bank
    bank_ids_compared: bool
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
    tau: float
    K_templates: int
    seed: int
    parameters: dict[str, dict]  # part -> its parameters
    queries: Queries
    sets: list[SetResult]
    split: Split | None
    bank: BankNote | None
    texts_cut_off: dict[str, int]  # what it was made from ("bank", "prompts templates") -> too long texts
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
    marks: Marks
    category_of_query: str | None
    p_holm: float | None  # of R@1, adjusted over the family; None for what is not in it (Index.family)
    net_effect: dict[str, NetEffect]  # by measure
    placebo: dict[str, Chance]  # by measure
    beyond: dict[str, Beyond]  # by measure: net effect less the placebo's; {} of an earlier version
    file: str  # the method's result, seen from the results' folder

    @property
    def helps(self) -> bool:
        """Whether R@1 rose, by a test that holds for all fixes of the run together."""
        return self.p_holm is not None and self.p_holm < 0.05 and self.net_effect["R@1"].value > 0


class ComparedModel(Record, kw_only=True):
    """Another cache of the same captions, as if its model were a method: what it does to the same queries."""

    name: str  # for people: its model, and what distinguishes it where that alone does not
    model: str
    revision: str | None
    dtype: str
    cache: str  # its fingerprint
    meta_file: str
    p_holm: float  # of R@1, adjusted over the family (Index.family)
    net_effect: dict[str, NetEffect]  # by measure
    overlap: Overlap  # of its failures and the first model's
    recovered: list[Recovered]  # of the first model's failures, by category: those that it has right

    @property
    def differs(self) -> bool:
        """Whether R@1 is another one, by a test that holds for all of the family together."""
        return self.p_holm < 0.05


class PartNote(Record):
    """What a part of a method's name means."""

    name: str
    kind: str  # base, hubs, words
    oracle: bool  # it can use extra knowledge; where it did, marks say
    description: str  # one sentence
    source: str  # of its published parameters, or ""


class Power(Record):
    """What methods of one kind could show here: net effects on R@1, in points, with 80 % power after Holm."""

    kind: str  # of the parts: "hubs", "base+words" (see PartNote)
    methods: int  # of this kind, in the family of Index.family
    exact: bool  # every query was ranked
    least: float  # smallest effect to be found, of the method whose effect varies least
    most: float  # the same of the one whose effect varies most: each method shows so large an effect
    control_size: int | None  # CONTROL_SIZE with which each shows 1 point; None if exact, or if none would do


class Index(Record, kw_only=True):
    """The result of step 6: the last run's methods, and those of earlier runs of the same identity."""

    net_effects: list[IndexRow]
    family: str  # a sentence: over which tests p_holm is adjusted, and what is not
    kept: list[str]  # names of methods that an earlier run of the same identity measured, not the last one
    texts_cut_off: dict[str, int]  # "bank", "prompts templates" ...: texts longer than the model reads
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
    differences: list[Difference] = []  # between each two corrections of hubs that are fixes by themselves
    power: list[Power] = []  # of fixes, by kind
    compared: list[ComparedModel] = []  # in the order of COMPARE
    failed_by_all: list[Recovered] = []  # of the first model's failures: those that all others fail too
    compared_ranks: str | None = None  # a CSV of each query's ranks, seen from the results' folder


class Measured(NamedTuple):
    """A run of step 6 as it is read back."""

    index: Index
    methods: list[MethodResult]  # in the order of Index.cells
