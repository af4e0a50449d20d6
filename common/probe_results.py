"""What probe.py writes, declared: a controlled probe next to retrieval and people's labels. Shares 0 to 1."""

from common.records import Record

RESULT, ITEMS = "probe.json", "probe_items.csv"
ITEM_COLUMNS = (
    *("type", "index", "idx", "gt_img_idx", "filename", "caption", "negative_caption"),
    *("score", "negative_score", "outcome", "rank", "category"),
)
RIGHT, WRONG, TIED = "right", "wrong", "tied"  # an item's outcome; a tie counts as an error
FEWEST = 10  # items below which a share of labeled failures is not given
BAND = 1.5  # points within which accuracy agrees with the published one


class Accuracy(Record):
    """How often the caption scores higher than the negative one, of one type of items."""

    type: str  # name of its file
    words: str  # what was done to the caption
    categories: list[str]  # of the study that it is about
    n: int  # items
    images: int  # that they are of
    right: int
    ties: int  # among the errors
    same_words: int  # items whose two captions have the same words in another order
    value: float  # share that is right
    low: float  # 95 % interval for other images of this kind, clustered by image
    high: float
    published: float | None = None  # percent, of the study's model; None: no published accuracy


class Odds(Record):
    """Whether a caption whose item of one type fails is also one that fails in retrieval (R@1)."""

    type: str
    both_fail: int  # items that fail, and whose caption fails in retrieval
    only_item_fails: int
    only_retrieval_fails: int
    both_right: int
    odds_ratio: float | None  # None where one of the four is 0
    low: float | None = None  # 95 % interval for other images of this kind, clustered by image
    high: float | None = None


class Compared(Record):
    """A category, or several that one type does not split: what the probe and what people say of it."""

    categories: list[str]
    types: list[str]  # that are about it; empty: a hole of the probe
    n: int = 0  # items of these types
    accuracy: float | None = None  # share that is right
    accuracy_low: float | None = None  # 95 % interval as in Accuracy
    accuracy_high: float | None = None
    probe_place: int | None = None  # 1: the probe fails most here
    mentioned: float | None = None  # share of the cache's captions that mention it, by the word list
    labeled: int | None = None  # labeled failures of the category; None: no labels yet
    of: int | None = None  # labeled failures of any
    share: float | None = None  # of the labeled failures
    ratio: float | None = None  # share / mentioned
    ratio_low: float | None = None  # 95 % interval for all failures of these captions
    ratio_high: float | None = None
    label_place: int | None = None  # 1: the greatest ratio of those that the probe is about


class Labeled(Record):
    """Labeled failures of one category whose caption has an item of one type."""

    category: str
    type: str
    n: int  # items
    failed: int  # of them the model fails
    share: float | None  # failed / n; None where n is below FEWEST


class Inputs(Record):
    """What the results depend on."""

    cache: str  # fingerprint of the cache
    labels: str | None  # of the merged labels; None: there were none
    files: dict[str, str]  # file of the probe -> its SHA-256
    published: bool  # whether they are the authors' own


class Result(Record):
    """probe.json."""

    model: str
    items: int  # that were read
    joined: int  # of them with a caption of the cache
    elsewhere: int  # of images that the cache does not hold
    without_caption: list[str]  # of its images, with a caption that it does not hold
    cut_off: int  # texts longer than the model reads
    accuracies: list[Accuracy]
    odds: list[Odds]
    categories: list[Compared]
    labeled: list[Labeled]
    comparison: str  # a sentence: whether accuracies agree with the published ones, or why that is not known
    agrees: bool | None  # None: not compared
    inputs: Inputs
    versions: dict[str, str]
    items_file: str = ""  # SHA-256 of probe_items.csv, which is written first
