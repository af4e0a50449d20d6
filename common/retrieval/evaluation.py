"""Ranks to recall@K, MRR and median rank with their intervals: what baseline.json holds. Needs no torch.

recall@K is the share of queries whose positive is among the first K; MRR is the mean of 1 / rank (Voorhees,
TREC-8 1999). Ranks come from ranking.py, which has the rule for ties.
"""

import math
from pathlib import Path

import numpy as np

from common import say, statistics
from common.records import Record, field
from common.retrieval import coco
from common.retrieval.additional import Additional
from common.retrieval.meta import Making, Meta
from common.retrieval.ranks import Ranks

CUTOFFS = (1, 5, 10)
STUDY_MODEL = "openai/clip-vit-base-patch32"
# The study that this project re-implements: percent, text to image, on this very file's 25,000 captions.
STUDY_RECALL = {"R@1": 30.44, "R@5": 54.77, "R@10": 66.24}
STUDY_FILE = "1018a8760deaf1fc71be2f1b8da1a1348b9c35994af4322ca2fd795a78abb79c"  # captions_val2017.json
STUDY_TOLERANCE = 0.15  # points; nothing is sampled, so only numerics and the image backend can differ


BASELINE = "baseline.json"


class Interval(Record):
    """A value with its 95 % interval, clustered by image."""

    value: float
    low: float
    high: float


class Measures(Record):
    """The measures of one direction. Recall and MRR are between 0 and 1."""

    n: int  # queries
    n_images: int  # that they belong to
    r1: Interval = field(name="R@1")
    r5: Interval = field(name="R@5")
    r10: Interval = field(name="R@10")
    mrr: Interval = field(name="MRR")
    median_rank: float

    @property
    def by_name(self) -> dict[str, Interval]:
        """Recall and MRR under their names: R@1, R@5, R@10, MRR."""
        return {"R@1": self.r1, "R@5": self.r5, "R@10": self.r10, "MRR": self.mrr}


class Merged(Record):
    """Recall where captions of equal text are one query with several positives, as mteb counts it.

    Of a query's images it is the share that is among the first K: trec_eval's recall.
    """

    queries: int
    most_images: int  # of one query
    r1: float = field(name="R@1")
    r5: float = field(name="R@5")
    r10: float = field(name="R@10")


class TextToImage(Measures, kw_only=True):
    """Captions are queries."""

    gallery: int  # images
    ties: int  # captions with another image at the very score of their own
    provably_ambiguous_captions: int  # with the same text as a caption of another image
    # Of these, and of a file of an earlier version None:
    provably_ambiguous_right: int | None = None  # with the own image first
    provably_ambiguous_at_most: int | None = None  # that can be, since equal texts get equal scores
    r1_ceiling: float | None = field(name="R@1_ceiling", default=None)  # R@1 if that many were right
    merged: Merged | None = None  # None: of an earlier version
    # Of a run (RUN_FILE) that lists not every image, else None:
    below: int | None = None  # captions whose own image is not listed; they have the last rank of all
    listed: int | None = None  # fewest images that are listed for one of these


class ImageToText(Measures, kw_only=True):
    """Images are queries; those without a caption are left out."""

    ties: int  # images with a foreign caption at the very score of their best own one
    gallery: int  # captions


class Comparison(Record):
    """This run's recall next to the published one, by measure, where the settings are that study's."""

    published: dict[str, float]  # percent
    difference_points: dict[str, float]  # this run's recall less the published one
    agrees: bool  # none differs by more than STUDY_TOLERANCE


class CacheNote(Record):
    """The cache that was evaluated."""

    fingerprint: str  # Meta.fingerprint
    meta_file: str  # seen from the project's folder


class Baseline(Record):
    """baseline.json: the measures, then where they come from."""

    text_to_image: TextToImage
    image_to_text: ImageToText | None  # None: of a run, which ranks no captions
    comparison: Comparison | None  # None: with other settings than the study's
    cache: CacheNote
    made_with: Making
    versions: dict[str, str]  # package -> version, of this evaluation
    additional_positives: Additional | None = None  # None: people have verified no further pairs


def of_captions(found: Ranks, content: Meta) -> TextToImage:
    """The measures of a cache's captions; `content`: what its meta file holds."""
    gt, below = np.array(content.gt_img_index), found.rank > found.depth
    ambiguous = coco.provably_ambiguous(content.captions, gt)
    answerable = coco.answerable(content.captions, gt)
    return text_to_image(
        found.rank,
        gt,
        gallery=len(content.file_names),
        ties=int(found.tied.sum()),
        **same_text(found.rank == 1, ambiguous, answerable),
        merged=merged(found.rank, content.captions, gt),
        below=int(below.sum()) or None,
        listed=int(found.depth[below].min()) if below.any() else None,
    )


def of_images(found: Ranks, content: Meta) -> ImageToText | None:
    """The measures of a cache's images; None of a run's."""
    with_caption = np.flatnonzero(found.image_rank)  # the others have no positive, and rank 0
    if not len(with_caption):
        return None
    ranks, ties = found.image_rank[with_caption], int(found.image_tied.sum())
    return image_to_text(ranks, with_caption, gallery=len(content.captions), ties=ties)


def text_to_image(ranks: np.ndarray, gt: np.ndarray, **counts: int) -> TextToImage:
    """The measures of captions as queries.

    ranks (n_captions,): 1 = own image first; gt (n_captions,): image row of each caption; counts: the fields
    of TextToImage that are no measures.
    """
    return _measures(TextToImage, ranks, gt, counts)


def image_to_text(ranks: np.ndarray, images: np.ndarray, **counts: int) -> ImageToText:
    """The measures of images as queries.

    ranks (n,): 1 = a caption of its own first; images (n,): row of each; counts as for `text_to_image`.
    """
    return _measures(ImageToText, ranks, images, counts)


def _measures(kind: type, ranks: np.ndarray, cluster: np.ndarray, counts: dict[str, int]):
    """One direction; `cluster` (n,) names what queries are alike in, the image, for the intervals."""
    reached = {f"r{cutoff}": recall_interval(ranks, cutoff, cluster) for cutoff in CUTOFFS}
    return kind(
        n=len(ranks),
        n_images=len(np.unique(cluster)),
        **reached,
        mrr=mrr_interval(ranks, cluster),
        median_rank=float(np.median(ranks)),
        **counts,
    )


def recall(ranks: np.ndarray, cutoff: int) -> float:
    """recall@cutoff, a share between 0 and 1: how many positives are among the first `cutoff`."""
    return float(np.mean(ranks <= cutoff))


def recall_interval(ranks: np.ndarray, cutoff: int, cluster: np.ndarray) -> Interval:
    """recall@cutoff with its 95 % interval; cluster (n,) is the image of each query."""
    low, high = statistics.clustered_share(ranks <= cutoff, cluster)
    return Interval(recall(ranks, cutoff), float(low), float(high))


def mrr_interval(ranks: np.ndarray, cluster: np.ndarray) -> Interval:
    """MRR with its 95 % interval, within 0 and 1; cluster (n,) is the image of each query."""
    low, high = statistics.clustered_mean(1.0 / ranks, cluster, (0.0, 1.0))
    return Interval(mean_reciprocal_rank(ranks), float(low), float(high))


def mean_reciprocal_rank(ranks: np.ndarray) -> float:
    """Mean of 1 / rank (Voorhees, TREC-8 1999)."""
    return float(np.mean(1.0 / ranks))


def merged(ranks: np.ndarray, captions: list[str], gt: np.ndarray) -> Merged:
    """Recall with captions of equal text merged into one query.

    ranks and gt (n_captions,): as for `text_to_image`. Texts are equal where they are encoded as one; of
    captions of one text and one image the first counts, since all have one rank.
    """
    ranks_of: dict[str, dict[int, int]] = {}  # text -> image row -> rank
    for rank, caption, image in zip(ranks.tolist(), captions, gt.tolist(), strict=True):
        ranks_of.setdefault(coco.one_form(caption), {}).setdefault(image, rank)
    each = [np.array(list(of_text.values())) for of_text in ranks_of.values()]
    reached = {f"r{k}": float(np.mean([recall(ranks, k) for ranks in each])) for k in CUTOFFS}
    return Merged(queries=len(each), most_images=max(map(len, each)), **reached)


def same_text(right: np.ndarray, ambiguous: np.ndarray, answerable: int) -> dict[str, int | float]:
    """The fields of TextToImage on captions with the same text as a caption of another image.

    right (n_captions,) bool: the own image is first; ambiguous (n_captions,) bool: such captions; answerable:
    how many of all captions can be right, equal texts getting equal scores.
    """
    n, n_ambiguous = len(right), int(ambiguous.sum())
    return {
        "provably_ambiguous_captions": n_ambiguous,
        "provably_ambiguous_right": int((ambiguous & right).sum()),
        "provably_ambiguous_at_most": n_ambiguous - (n - answerable),
        "r1_ceiling": answerable / n,
    }


def most_by_chance(found: TextToImage) -> float:
    """R@1 that guessing hardly exceeds (one time in 40), all captions of an image guessed as one.

    Of a large gallery it is three times 1 / gallery; one of few images is exceeded easily.
    """
    chance = 1 / found.gallery
    return chance + statistics.Z * math.sqrt(chance * (1 - chance) / found.n_images)


def at_chance(found: TextToImage) -> bool:
    """Whether R@1 is what guessing gives.

    Never of so few images that guessing may well get half of the captions right, where nothing can be told,
    nor where most captions tie, which says of the images that they are alike.
    """
    return found.r1.value <= most_by_chance(found) < 0.5 and not mostly_tied(found)


def mostly_tied(found: TextToImage) -> bool:
    """Whether ties, which count as errors, decide on half of the captions or more."""
    return found.ties >= found.n / 2


def limits(found: Baseline) -> list[str]:
    """What a reader must know to read the numbers of a run: a sentence each, none where all is well."""
    said, captions, made = [], found.text_to_image, found.made_with
    if captions.provably_ambiguous_at_most is not None and captions.provably_ambiguous_captions:
        n = say.items(captions.provably_ambiguous_captions, "caption")
        most, right = captions.provably_ambiguous_at_most, captions.provably_ambiguous_right
        ceiling = say.share(captions.r1_ceiling)
        said.append(
            f"{n} with the same text as a caption of another image: equal texts get equal scores,\n"
            f"  so at most {most:,} can be right ({right:,} are), and R@1 is {ceiling} at most"
        )
    if captions.below:
        n = say.items(captions.below, "caption")
        said.append(
            f"{n} below the {captions.listed:,} or more images that the run lists: they count as last,\n"
            f"  so R@K is exact up to K = {captions.listed:,}. Beyond it R@K, and MRR in any case, is a\n"
            "  lower bound, and a median rank an upper one"
        )
    if found.additional_positives:
        said.append(found.additional_positives.sentence)
    if made.truncated_captions:
        said.append(f"Captions cut off at {made.max_tokens} tokens: {made.truncated_captions:,}")
    if mostly_tied(captions):
        said.append(
            f"{captions.ties:,} of {captions.n:,} captions tie, so these numbers say little: check that the "
            "images differ from one another"
        )
    if at_chance(captions):
        most = say.share(most_by_chance(captions))
        cause = "rows.json in another order" if made.imported_from else "random weights"
        said.append(
            f"R@1 is at chance: guessing gives up to {most} here. Likely causes: {cause}, or images\n"
            "  that do not belong to these captions"
        )
    return said


def comparison(found: TextToImage, made_with: Making) -> Comparison | None:
    """The published recall next to this run's, where data, protocol and model are the study's."""
    same = (
        made_with.fingerprints.annotation_file == STUDY_FILE
        and (made_with.num_images, made_with.captions_per_image) == (5000, 5)
        and made_with.dtype == "float32"
        and Path(made_with.model).name == Path(STUDY_MODEL).name  # a folder of that name may hold it too
    )
    if not same:
        return None
    points = {
        name: round(100 * found.by_name[name].value - published, 2)
        for name, published in STUDY_RECALL.items()
    }
    return Comparison(
        published=STUDY_RECALL,
        difference_points=points,
        agrees=all(abs(value) <= STUDY_TOLERANCE for value in points.values()),
    )
