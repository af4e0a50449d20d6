"""Verified positives: captions with a retrieved image that people found to fit, though it is not their own.

COCO counts one image as right for a caption. Whoever labels failures judges further pairs, and those that fit
are given back here: as ids alone, for others' evaluations.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common import files, say
from common.labels import levels, sensitivity
from common.labels.decisions import majority
from common.labels.levels import Measured
from common.labels.ratings import Choice, Labels, raters_of
from common.labels.sheets import Table
from common.labels.taxonomy import AMBIGUOUS, CATEGORY_NAMES
from common.retrieval.additional import QRELS

VERIFIED, SINGLE = "verified_positives.csv", "single_votes.csv"
CARD = "verified_positives.md"
ENOUGH = 2  # people who say that an image fits, before the pair is verified
LICENSE = (
    "Only ids are in these files: no caption and no picture, which stay under the licenses of their dataset. "
    "The judgments are the annotators' own: ask them, and name a license, before you publish the files"
)


class Pair(NamedTuple):
    """A caption and a retrieved image that fits: a row of verified_positives.csv and of single_votes.csv."""

    caption_id: int  # of the captions file
    image_id: int
    idx: int  # caption row
    votes_for: int  # people who said that the image fits: Ambiguous with a subtype
    votes_unsure: int  # who said Ambiguous without one: unsure, or not said
    votes: int  # people in all, an adjudicator among them
    subtype: str  # blank where those for it don't agree on one
    decided: str  # "one rater", "all agree", "majority" or "adjudicated"


class Precision(NamedTuple):
    """How many of the pairs with so many votes truly fit, by a model of the raters' errors."""

    votes_for: int
    votes: int
    pairs: int
    expected: list[float]  # under each of `sensitivity.assumptions`, in their order


class Positives(NamedTuple):
    """What people found."""

    verified: list[Pair]  # two people or more, and a majority or an adjudicator; by caption id
    single: list[Pair]  # one person said so and nobody outvoted that
    judged: int  # pairs that anybody judged
    without_ids: int  # of them, whose ids are not known
    precision: list[Precision]  # of verified and single ones; none where raters share too few items


def of(labels: Labels, adjudicated: Mapping[int, Choice], ids: Mapping[int, tuple[int, int]]) -> Positives:
    """The pairs that fit. ids: idx -> ids of the caption and of the retrieved image."""
    judged = labels.keys() | adjudicated.keys()
    pairs = [fitting(idx, labels.get(idx, {}), adjudicated.get(idx), ids[idx]) for idx in judged & ids.keys()]
    found = sorted(filter(None, pairs))
    verified, single = by_votes(found)
    without = len(judged - ids.keys())
    return Positives(verified, single, len(judged), without, precision(labels, [*verified, *single]))


def by_votes(pairs: list[Pair]) -> tuple[list[Pair], list[Pair]]:
    """Those that enough people found to fit, and those with one such vote; in their order."""
    return [one for one in pairs if one.votes_for >= ENOUGH], [one for one in pairs if one.votes_for == 1]


def fitting(idx: int, given: Mapping[str, Choice], final: Choice | None, ids: tuple[int, int]) -> Pair | None:
    """The pair of an item whose label says that the image fits; None where it says otherwise."""
    everybody = [*given.values(), *([final] if final else [])]
    decided = final or majority(everybody)
    subtypes = [choice.subtype for choice in everybody if choice.category == AMBIGUOUS and choice.subtype]
    unsure = sum(choice == (AMBIGUOUS, "") for choice in everybody)
    # Without an adjudicator, those who are sure have to be more than all others: unsure is not for it.
    outvoted = final is None and 2 * len(subtypes) <= len(everybody)
    if decided is None or decided.category != AMBIGUOUS or outvoted or not subtypes:
        return None
    if final:
        if not final.subtype:
            return None  # an adjudicator who is unsure verifies nothing
        how = "adjudicated"
    else:
        how = "one rater" if len(everybody) == 1 else "majority"
        how = "all agree" if how == "majority" and len(subtypes) == len(everybody) else how
    return Pair(*ids, idx, len(subtypes), unsure, len(everybody), decided.subtype, how)


def precision(labels: Labels, pairs: Iterable[Pair]) -> list[Precision]:
    """By votes, how many pairs truly fit if raters err as their overlap suggests (`sensitivity`).

    An adjudicator, who knew the others' labels, is not in that model: adjudicated pairs are left out.
    """
    raters = raters_of(labels)
    matrix = levels.codes(labels, raters, levels.CATEGORY)
    row_of = {idx: at for at, idx in enumerate(sorted(labels))}
    rows_of = defaultdict(list)
    for pair in pairs:
        if pair.decided != "adjudicated":
            rows_of[pair.votes_for, pair.votes].append(row_of[pair.idx])
    if not rows_of or not sensitivity.can_tell(matrix):
        return []
    patterns, weights = np.unique(matrix, axis=0, return_counts=True)
    chances, ambiguous = [], CATEGORY_NAMES.index(AMBIGUOUS)
    for falls in sensitivity.assumptions().values():
        found = sensitivity.fit(patterns, weights, falls)
        chances.append(sensitivity.posterior(matrix, found, falls)[:, ambiguous])
    return [
        Precision(*votes, len(rows), [say.rounded(float(one[rows].mean())) for one in chances])
        for votes, rows in sorted(rows_of.items(), reverse=True)
    ]


def tables(found: Positives) -> dict[str, Table]:
    """Name -> content of both CSVs."""
    return {VERIFIED: Table.of(Pair, found.verified), SINGLE: Table.of(Pair, found.single)}


def qrels(pairs: Iterable[Pair]) -> bytes:
    """The verified pairs as TREC's judgments: query (caption id), 0, document (image id), 1."""
    return "".join(f"{pair.caption_id} 0 {pair.image_id} 1\n" for pair in pairs).encode("ascii")


def card(found: Positives, sources: Mapping[str, str], guide: str, measured: Measured) -> bytes:
    """The data card: what the pairs are, how many, how sure, by which guide, under which license.

    sources: file that rows were checked against -> its SHA-256. guide: fingerprint of the annotation guide.
    """
    counts = Counter(pair.subtype or "no common subtype" for pair in found.verified)
    kinds = ", ".join(f"{say.number(n)} {name}" for name, n in sorted(counts.items()))
    verified = say.items(len(found.verified), "pair")
    lines = [
        "# Verified positives",
        "",
        "Each pair is a caption and an image that is not its own and that people found to fit all of it.",
        "The image is the one that a retrieval model ranked first, so these are no random pairs, and a pair",
        "that is not here is not known to be wrong.",
        "",
        f"- `{VERIFIED}` and `{QRELS}` (TREC: caption id, 0, image id, 1): {verified} that",
        f"  {ENOUGH} people or more found to fit, by a majority or an adjudicator{kinds and f' ({kinds})'}",
        f"- `{SINGLE}`: {say.items(len(found.single), 'pair')} with one such vote alone",
        f"- judged in all: {say.items(found.judged, 'pair')}; ids not known: {say.number(found.without_ids)}",
        f"- annotation guide: {guide}",
        *(f"- checked against {Path(name).name}: SHA-256 {digest}" for name, digest in sources.items()),
        "",
        "## Agreement of the annotators",
        "",
        *_agreement(measured),
        "",
        "## Expected precision, by votes",
        "",
        *_precision(found.precision),
        "",
        "## License",
        "",
        f"{LICENSE}.",
    ]
    return ("\n".join(lines) + "\n").encode("utf-8")


def _agreement(measured: Measured) -> list[str]:
    said = []
    for level in (levels.AMBIGUOUS_OR_CLEAR, levels.CATEGORY):
        for one in measured[level]:
            if one.over == "all raters" and one.value is not None:
                said.append(f"- {level}: {one.statistic} {one}, {say.items(one.n_items, 'item')}")
    return said or ["None was measured: no two annotators labeled the same items."]


def _precision(rows: list[Precision]) -> list[str]:
    if not rows:
        return ["Not known: annotators share too few items."]
    words = list(sensitivity.assumptions())
    head = ["votes for", "votes", "pairs", *(f"truly fitting, if {text}" for text in words)]
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join("---:" for _ in head) + " |"]
    for row in rows:
        cells = [row.votes_for, row.votes, say.number(row.pairs), *map(say.share, row.expected)]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    note = "By a model of the annotators' errors (Dawid and Skene 1979); adjudicated pairs are not in it."
    return [*lines, "", note]


def guide_version(guide: Path) -> str:
    """Identity of an annotation guide's words: 16 hexadecimal digits of SHA-256, whatever its line ends."""
    lines = guide.read_text(encoding="utf-8").splitlines()
    return files.fingerprint("\n".join(lines).encode("utf-8"))[:16]


def sentence(found: Positives) -> str:
    """How many there are, in a line."""
    verified, single = say.items(len(found.verified), "pair"), say.number(len(found.single))
    return f"Retrieved images that fit: {verified} by {ENOUGH} people or more, {single} by one vote alone"
