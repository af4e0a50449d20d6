"""Rows of the tables on the baseline, on labels and on agreement. Shares are between 0 and 1.

Cells are numbers, texts or None: `summaries` writes them with the decimals of their column. Shares and their
intervals are step 4's, read and never computed again.
"""

from collections import Counter
from statistics import median

import numpy as np

from common import records
from common.labels.shares import Share
from common.labels.taxonomy import CATEGORY_NAMES
from common.report.label_inputs import ALL_RATERS, Failure, Labels
from common.retrieval.evaluation import Baseline, Comparison, Measures

QUANTILES = {"p05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "p95": 0.95}


def baseline(found: Baseline) -> list[dict]:
    """Both directions; text to image with the published recall, where the settings are that study's."""
    own = found.text_to_image
    rows = _direction("text to image", own, own.gallery, found.comparison)
    return rows + _direction("image to text", found.image_to_text, found.image_to_text.gallery, None)


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
        ends = {"": share.share, "_low": share.low, "_high": share.high}
        row |= {f"gain_if_fixed_pp{end}": 100 * value * (1 - recall) for end, value in ends.items()}
        row |= {f"R@1_if_right{end}": if_right(recall, value) for end, value in ends.items()}
        samples = [failure.sample for failure in labels.of(category)]
        row["median_gt_rank"] = _median([sample.gt_rank for sample in samples])
        row["median_margin"] = _median([sample.margin for sample in samples])
        rows.append(row | {"failures": population, "status": labels.status})
    return rows


def _median(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(median(known)) if known else None


def shares(labels: Labels) -> list[dict]:
    """Each category's share."""
    return [{"category": row.category, **_share_cells(row.share)} for row in labels.categories]


def _share_cells(share: Share) -> dict:
    return {name: getattr(share, name) for name in ("n", "total", "share", "low", "high")}


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
        rows.append({"category": name, "n": len(ranks), **found})
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
    """Who labeled how much."""
    return [rater._asdict() for rater in labels.raters]


def examples(labels: Labels, each: int) -> list[dict]:
    """The first `each` failures of each category in the order of the draw, which knows nothing of them."""
    return [_example(failure) for name in CATEGORY_NAMES for failure in labels.of(name)[:each]]


def _example(failure: Failure) -> dict:
    label, sample = failure
    row = {"idx": label.idx, "category": label.category, "ambiguous_subtype": label.ambiguous_subtype}
    row |= {"caption": label.caption, "gt_file_name": sample.gt_file_name}
    row |= {"pred_file_name": sample.pred_file_name, "gt_rank": sample.gt_rank}
    return row | {"margin": sample.margin, "picture": sample.picture}
