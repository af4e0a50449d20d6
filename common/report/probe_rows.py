"""Rows on a controlled probe next to retrieval and labels, all of which probe.py computed. Shares 0 to 1."""

from common.probe_results import Result
from common.records import plain


def of(probe: Result, status: str | None) -> dict[str, list[dict]]:
    """Name -> rows of every CSV on the probe. status: of the labels, if any."""
    return {
        "summary_probe": types(probe),
        "summary_probe_categories": categories(probe, status),
        "summary_probe_labeled": labeled(probe),
        "figures/probe": figure(probe),
    }


def types(probe: Result) -> list[dict]:
    """A type of change: accuracy, and level B, whether the same captions fail in retrieval."""
    rows = []
    for right, odds in zip(probe.accuracies, probe.odds, strict=True):
        rows.append(
            {
                "type": right.type,
                "words": right.words,
                "categories": " and ".join(right.categories),
                "n": right.n,
                "images": right.images,
                "right": right.right,
                "ties": right.ties,
                "same_words": right.same_words,
                "accuracy": right.value,
                "low": right.low,
                "high": right.high,
                "published": right.published,
                "both_fail": odds.both_fail,
                "only_item_fails": odds.only_item_fails,
                "only_retrieval_fails": odds.only_retrieval_fails,
                "both_right": odds.both_right,
                "odds_ratio": odds.odds_ratio,
                "odds_ratio_low": odds.low,
                "odds_ratio_high": odds.high,
                "comparison": probe.comparison,
            }
        )
    return rows


def categories(probe: Result, status: str | None) -> list[dict]:
    """Level A: a category, or several that one type does not split."""
    rows = []
    for row in probe.categories:
        # A record leaves out what is not known; a table has it blank.
        cells = dict.fromkeys(row.__struct_fields__) | plain(row)
        cells |= {"categories": " and ".join(row.categories), "types": ", ".join(row.types)}
        rows.append(cells | {"n": row.n or None, "status": status})
    return rows


def labeled(probe: Result) -> list[dict]:
    """Level C: labeled failures of a category whose caption has an item of a type."""
    return [plain(row) for row in probe.labeled]


def figure(probe: Result) -> list[dict]:
    """A type of change: its accuracy, and the odds ratio of its items' captions."""
    return [
        {
            "type": right.type.replace("_", "-"),
            "n": right.n,
            "accuracy": right.value,
            "low": right.low,
            "high": right.high,
            "odds_ratio": odds.odds_ratio,
            "odds_ratio_low": odds.low,
            "odds_ratio_high": odds.high,
        }
        for right, odds in zip(probe.accuracies, probe.odds, strict=True)
    ]
