"""A controlled probe next to what people say: by category, by caption, by labeled failure.

Level A compares the order of categories, level B asks of the very same caption (it needs no labels), level C
counts labeled failures that have an item. None of them says that the two must agree: a probe changes one
thing of a caption, while retrieval compares one caption with thousands of images.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common import records, say, statistics
from common.labels import mentions, merged, shares
from common.labels.shares import CategoryShare
from common.labels.taxonomy import CATEGORIES
from common.probe_results import BAND, FEWEST, RIGHT, TIED, WRONG, Accuracy, Compared, Labeled, Odds
from common.retrieval.evaluation import STUDY_MODEL
from common.retrieval.meta import Meta
from common.retrieval.probe_items import KINDS, TIE, Joined, Kind, Scores


class Labels(NamedTuple):
    """What people said, if step 4 ran."""

    category_of: dict[int, str]  # idx -> category of a labeled failure
    shares: list[CategoryShare]  # of categories among them; empty without labels


class Answers(NamedTuple):
    """What became of the joined items. Arrays of one entry an item."""

    joined: Joined
    kind: np.ndarray  # (n,) str: name of its Kind
    outcome: np.ndarray  # (n,) str: RIGHT, WRONG or TIED
    image: np.ndarray  # (n,) int64: row of its image, by which all intervals are clustered
    rank: np.ndarray  # (n,) int64: of that image when the item's caption is the query

    @property
    def failed(self) -> np.ndarray:
        """(n,) bool. Ties count as errors."""
        return self.outcome != RIGHT

    @property
    def kinds(self) -> list[Kind]:
        """Those that have items, in the order of KINDS."""
        return [kind for kind in KINDS if (self.kind == kind.name).any()]


def read_labels(folder: Path, captions: Sequence[str]) -> Labels:
    """The labels in a failure folder. captions: the cache's, by idx. Raises UserError as their readers do."""
    labels = merged.categories(merged.read(folder, captions))
    return Labels(labels, shares.read_categories(folder) if labels else [])


def answers(joined: Joined, scores: Scores, gt: np.ndarray, rank: np.ndarray) -> Answers:
    """What became of the items. gt and rank (n_captions,) int64: image row and rank of each caption."""
    difference = scores.own - scores.negative
    outcome = np.where(np.abs(difference) <= TIE, TIED, np.where(difference > 0, RIGHT, WRONG))
    kind = np.array([item.kind for item in joined.items])
    return Answers(joined, kind, outcome, gt[joined.idx], rank[joined.idx])


def about(kind: str) -> list[str]:
    """The categories that a type of items is about."""
    return [label.name for label in CATEGORIES if kind in label.probes]


def accuracies(found: Answers, published: bool) -> list[Accuracy]:
    """A row for each type; `published`: the items are the authors' own."""
    rows = []
    for kind in found.kinds:
        at = found.kind == kind.name
        items = [item for item, own in zip(found.joined.items, at, strict=True) if own]
        value, low, high = _right(found, at)
        rows.append(
            Accuracy(
                type=kind.name,
                words=kind.words,
                categories=about(kind.name),
                n=len(items),
                images=len(np.unique(found.image[at])),
                right=int((found.outcome[at] == RIGHT).sum()),
                ties=int((found.outcome[at] == TIED).sum()),
                same_words=sum(_bag(item.caption) == _bag(item.negative) for item in items),
                value=value,
                low=low,
                high=high,
                published=kind.published if published else None,
            )
        )
    return rows


def _right(found: Answers, at: np.ndarray) -> tuple[float, float, float]:
    """Share of some items that is right, with its 95 % interval. at (n,) bool, not all False."""
    right = ~found.failed[at]
    ends = statistics.clustered_share(right, found.image[at])
    return tuple(float(say.rounded(number)) for number in (right.mean(), *ends))


def _bag(text: str) -> list[str]:
    """The words of a text, whatever their order: what a model that ignores order reads."""
    return sorted(re.findall(r"\w+", text.lower()))


def odds(found: Answers) -> list[Odds]:
    """Level B, a row for each type: is a caption whose item fails also one that fails in retrieval?"""
    rows = []
    for kind in found.kinds:
        at = found.kind == kind.name
        item, query = found.failed[at], found.rank[at] > 1
        ratio = statistics.odds_ratio(item, query, found.image[at])
        value, low, high = (None,) * 3 if ratio is None else map(say.rounded, ratio)
        rows.append(
            Odds(
                type=kind.name,
                both_fail=int((item & query).sum()),
                only_item_fails=int((item & ~query).sum()),
                only_retrieval_fails=int((~item & query).sum()),
                both_right=int((~item & ~query).sum()),
                odds_ratio=value,
                low=low,
                high=high,
            )
        )
    return rows


def categories(found: Answers, captions: Sequence[str], labels: Labels) -> list[Compared]:
    """Level A: of each category the accuracy on its types next to its share of failures per mention.

    captions: all of the cache. Categories that one type does not split are one row; those without a type are
    rows too. Places are among rows that have a type.
    """
    there = {kind.name for kind in found.kinds}
    types = {label.name: tuple(sorted(there & set(label.probes))) for label in CATEGORIES}
    groups: dict[object, list[str]] = {}
    for name, own in types.items():
        groups.setdefault(own or name, []).append(name)  # without a type each is a group of its own
    rows = []
    for names in groups.values():
        own = [kind.name for kind in found.kinds if kind.name in types[names[0]]]
        rows.append(
            Compared(
                categories=names,
                types=own,
                **_on_types(found, own),
                **_of_people(names, captions, labels),
            )
        )
    return _placed(rows)


def _on_types(found: Answers, types: list[str]) -> dict[str, float]:
    """The fields of Compared on the probe."""
    if not types:
        return {}
    at = np.isin(found.kind, types)
    value, low, high = _right(found, at)
    return {"n": int(at.sum()), "accuracy": value, "accuracy_low": low, "accuracy_high": high}


def _of_people(names: list[str], captions: Sequence[str], labels: Labels) -> dict[str, float | None]:
    """The fields of Compared on mentions and labels."""
    mentioned = mentions.rate(captions, names)
    fields = {"mentioned": None if mentioned is None else say.rounded(mentioned)}
    own = [row.share for row in labels.shares if row.over == shares.ALL and row.category in names]
    total = own[0].total if own else 0
    if not total:
        return fields
    n = sum(share.n for share in own)
    fields |= {"labeled": n, "of": total, "share": say.rounded(n / total)}
    if not mentioned:
        return fields
    # How often these captions mention it is known, so the interval is the share's alone.
    ends = (n / total, *shares.interval(n, total, own[0].population))
    ratios = [say.rounded(end / mentioned) for end in ends]
    return fields | dict(zip(("ratio", "ratio_low", "ratio_high"), ratios, strict=True))


def _placed(rows: list[Compared]) -> list[Compared]:
    """The same with their places: the lowest accuracy first, and the greatest share per mention."""

    def place(row: Compared, value, of: list[float]) -> int | None:
        return 1 + sum(other < value for other in of) if row.types and value is not None else None

    tested = [row for row in rows if row.types]
    probe = [row.accuracy for row in tested]
    people = [-row.ratio for row in tested if row.ratio is not None]
    placed = []
    for row in rows:
        ratio = None if row.ratio is None else -row.ratio
        places = place(row, row.accuracy, probe), place(row, ratio, people)
        placed.append(records.replace(row, probe_place=places[0], label_place=places[1]))
    return placed


def labeled(found: Answers, labels: Labels) -> list[Labeled]:
    """Level C: labeled failures whose caption has an item, by category and type."""
    names = np.array([labels.category_of.get(idx, "") for idx in found.joined.idx.tolist()])
    rows = []
    for label in CATEGORIES:
        for kind in found.kinds:
            at = (names == label.name) & (found.kind == kind.name) & (found.rank > 1)
            n, failed = int(at.sum()), int(found.failed[at].sum())
            if n:
                share = say.rounded(failed / n) if n >= FEWEST else None
                rows.append(Labeled(category=label.name, type=kind.name, n=n, failed=failed, share=share))
    return rows


def comparison(rows: list[Accuracy], found: Answers, content: Meta) -> tuple[str, bool | None]:
    """Whether accuracies agree with the published ones of OpenAI's ViT-B/32, in a sentence; None: unknown."""
    study = STUDY_MODEL.rsplit("/", 1)[1]
    if content.model.rsplit("/", 1)[-1] != study:
        return f"Not compared with published accuracies, which are known of {study} alone", None
    if any(row.published is None for row in rows):
        return "Not compared with published accuracies: the items are not the authors' own", None
    if found.joined.elsewhere:
        n, more = say.number(len(found.joined.items)), say.number(found.joined.elsewhere)
        return f"Not compared with published accuracies: {n} items, and {more} are of other images", None
    apart = [(row.type, 100 * row.value - row.published) for row in rows]
    far = [f"{name} {say.points(points)}" for name, points in apart if abs(points) > BAND]
    if far:
        return (
            f"Differs from the published accuracies by more than {BAND} points in {', '.join(far)}: look at "
            "the model's revision, DTYPE, the image processor and the images",
            False,
        )
    return f"Agrees with the published accuracies of {study} within {BAND} points", True
