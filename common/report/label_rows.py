"""Rows of the tables on the baseline, on labels and on agreement. Shares are between 0 and 1.

Cells are numbers, texts or None: `summaries` writes them with the decimals of their column. Shares and their
intervals are step 4's, read and never computed again.
"""

from collections import Counter
from statistics import median

import numpy as np

from common import records, statistics
from common.labels.shares import Share
from common.labels.taxonomy import AMBIGUOUS, CATEGORY_NAMES
from common.report.label_inputs import ALL_RATERS, Failure, Labels
from common.retrieval.evaluation import Baseline, Comparison, Measures

COUNTED = {  # what counts as right -> in words
    "fits": f"{AMBIGUOUS} with a subtype (annotators said that the retrieved image fits)",
    "fits or unsure": f"all {AMBIGUOUS}, so the unsure ones too",
    "none of the missing": "the least: none of the failures without a label",
    "all of the missing": f"the most: all {AMBIGUOUS}, and all failures without a label",
}
AGREED = ("all agree", "majority")  # how a label was decided that two people or more gave
VERIFIED = "R@1 with verified positives, a lower bound"
QUANTILES = {"p05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "p95": 0.95}


def baseline(found: Baseline) -> list[dict]:
    """Both directions; text to image with the published recall, where the settings are that study's."""
    own = found.text_to_image
    rows = _direction("text to image", own, own.gallery, found.comparison)
    if found.additional_positives:
        wider = {name: getattr(found.additional_positives, name) for name in ("value", "low", "high")}
        rows.append({**rows[0], "measure": VERIFIED, **wider, "published": None, "difference_points": None})
    images = found.image_to_text
    return rows + (_direction("image to text", images, images.gallery, None) if images else [])


def _direction(name: str, found: Measures, gallery: int, compared: Comparison | None) -> list[dict]:
    """A row for each measure of one direction."""
    published = compared.published if compared else {}
    difference = compared.difference_points if compared else {}
    head = {
        "direction": name,
        "measure": "",
        "queries": found.n,
        "gallery": gallery,
        "images": found.n_images,
    }
    rows = []
    for measure, interval in found.by_name.items():
        row = head | {"measure": measure, **records.plain(interval), "published": published.get(measure)}
        rows.append(row | {"difference_points": difference.get(measure)})
    return [*rows, head | {"measure": "median rank", "value": found.median_rank}]


def if_right(recall: float, share: float) -> float:
    """R@1 if a share of the failures counted as right."""
    return recall + share * (1 - recall)


def failures(labels: Labels, population: int, recall: float) -> list[dict]:
    """By category: how frequent, what R@1 would gain, and how far the model was from right.

    population: all failures, of which some were labeled. recall: R@1, taken as known.
    """
    rows = []
    for category, share in [(row.category, row.share) for row in labels.categories]:
        row = {"category": category, **_share_cells(share), "finite_population": share.finite_population}
        row |= {"low_all": share.low_all, "high_all": share.high_all}
        ends = {"": share.share, "_low": share.low, "_high": share.high}
        row |= {f"gain_if_fixed_pp{end}": 100 * value * (1 - recall) for end, value in ends.items()}
        row |= {f"R@1_if_right{end}": if_right(recall, value) for end, value in ends.items()}
        samples = [failure.sample for failure in labels.of(category)]
        row["n_ranks"] = sum(sample.gt_rank is not None for sample in samples)
        row["median_gt_rank"] = _median([sample.gt_rank for sample in samples])
        row["median_margin"] = _median([sample.margin for sample in samples])
        row |= {"failures": population, "drawn": labels.drawn, "missing": labels.missing}
        rows.append(row | {"waiting": labels.waiting})
    return rows


def fitting(labels: Labels) -> Share:
    """The share of failures whose retrieved image fits, as annotators said with a subtype.

    Step 4's own share of Ambiguous where each has a subtype; else its interval is computed the same way.
    """
    every = labels.share(AMBIGUOUS)
    if not labels.unsure:
        return every
    n = every.n - labels.unsure
    if every.finite_population:
        low, high = statistics.wilson_of_finite(n, every.total, every.population)
    else:
        low, high = statistics.wilson(n, every.total)
    least = None if every.least is None else every.least * n / every.n
    return every._replace(n=n, share=n / every.total, low=low, high=high, least=least)


def counted_as_right(labels: Labels, recall: float) -> list[dict]:
    """R@1 of these very captions if the retrieved image fits some failures: what can be counted as right.

    The first row is the headline. The last two bound it, whatever the missing labels are; they and the one
    on unsure labels are there only where such labels are.
    """
    fits, every = fitting(labels), labels.share(AMBIGUOUS)
    rows = [_counted("fits", fits, recall)]
    if labels.unsure:
        rows.append(_counted("fits or unsure", every, recall))
    if fits.least is not None and every.most is not None and every.most > fits.least and _is_open(labels):
        for counted, share in (("none of the missing", fits.least), ("all of the missing", every.most)):
            bound = fits._replace(n=None, total=None, share=share, low=None, high=None)
            rows.append(_counted(counted, bound, recall))
    return [row | {"unsure": labels.unsure} for row in rows]


def _is_open(labels: Labels) -> bool:
    return bool(labels.missing or labels.waiting)


def _counted(counted: str, share: Share, recall: float) -> dict:
    row = {"counted": counted, "words": COUNTED[counted], **_share_cells(share)}
    for end, value in {"": share.share, "_low": share.low, "_high": share.high}.items():
        row[f"R@1_if_right{end}"] = None if value is None else if_right(recall, value)
    return row


def _median(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(median(known)) if known else None


def shares(labels: Labels) -> list[dict]:
    """Each category's share."""
    return [{"category": row.category, **_share_cells(row.share)} for row in labels.categories]


def _share_cells(share: Share) -> dict:
    names = ("n", "total", "share", "low", "high", "least", "most", "status")
    return {name: getattr(share, name) for name in names}


def ambiguous(labels: Labels) -> list[dict]:
    """Ambiguous, each of its subtypes, and clear, which follows Ambiguous in step 4's table."""
    ordered = sorted(labels.ambiguous, key=lambda row: row.label == "Clear")
    # Only a study in which an item lacks its subtype has something to say of such items.
    named = [row for row in ordered if row.share.n or not row.label.endswith("(no subtype)")]
    return [{"label": row.label, **_share_cells(row.share)} for row in named]


def gt_rank(labels: Labels) -> list[dict]:
    """Quantiles of the ground truth's rank by category; none where step 2's table was not found."""
    rows = []
    for name in CATEGORY_NAMES:
        ranks = [failure.sample.gt_rank for failure in labels.of(name)]
        ranks = [rank for rank in ranks if rank is not None]
        found = {key: float(np.quantile(ranks, at)) if ranks else None for key, at in QUANTILES.items()}
        rows.append({"category": name, "n": len(ranks), **found, "status": labels.status})
    return rows if any(row["n"] for row in rows) else []


def agreement(labels: Labels) -> list[dict]:
    """Every coefficient at each level, over all raters and for each pair."""
    return [
        {"level": level, **records.plain(one)}
        for level, coefficients in labels.agreement.items()
        for one in coefficients
    ]


def agreement_overall(labels: Labels) -> list[dict]:
    """Coefficients over all raters, of the levels at which any of them could be measured."""
    rows = []
    for level, coefficients in labels.agreement.items():
        overall = [one for one in coefficients if one.over == ALL_RATERS]
        if any(one.value is not None for one in overall):
            rows += [{"level": level, **records.plain(one)} for one in overall]
    return rows


def confusion(labels: Labels) -> list[dict]:
    """All pairs of ratings of one item, whoever gave which: the lower triangle of categories."""
    pairs = [(one, two) for at, one in enumerate(CATEGORY_NAMES) for two in CATEGORY_NAMES[: at + 1]]
    counts = Counter()
    for pair in labels.confusion:
        named = (pair.label_1, pair.label_2)
        counts[named if named in pairs else named[::-1]] += pair.n
    rows = [{"label_1": one, "label_2": two, "n": counts[one, two]} for one, two in pairs]
    return rows if counts.total() else []


def raters(labels: Labels) -> list[dict]:
    """Who labeled how much, and how long it took where pages recorded that."""
    return [rater._asdict() for rater in labels.raters]


def second_answers(labels: Labels) -> list[dict]:
    """How far each person says the same again, where a page showed items a second time."""
    return labels.retest


def assumed(labels: Labels) -> list[dict]:
    """What shares would be if annotators err as their overlap suggests, each with its assumption."""
    return [row._asdict() for row in labels.assumed]


def examples(labels: Labels, each: int) -> list[dict]:
    """The first `each` failures of each category in the order of the draw, which knows nothing of them.

    Those on which two people or more agree come first: one person's slip should be nobody's example.
    """
    chosen = [sorted(labels.of(name), key=_by_one_person)[:each] for name in CATEGORY_NAMES]
    return [_example(failure) for own in chosen for failure in own]


def _by_one_person(failure: Failure) -> bool:
    return failure.label.decided not in AGREED


def _example(failure: Failure) -> dict:
    label, sample = failure
    row = {"idx": label.idx, "category": label.category, "ambiguous_subtype": label.ambiguous_subtype}
    row |= {"decided": label.decided, "caption": label.caption, "gt_file_name": sample.gt_file_name}
    row |= {"pred_file_name": sample.pred_file_name, "gt_rank": sample.gt_rank}
    return row | {"margin": sample.margin, "picture": sample.picture}
