"""Whose a sheet is by what it says, where its name alone can't be believed."""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from common import say
from common.labels import file_names, ratings
from common.labels.findings import Finding
from common.labels.ratings import Choice, Known, Rating
from common.labels.sheet_reader import Row

DOUBLE_ITEMS = 10  # two people seldom agree on so many items in every subtype
RATERS_NAMED = 8  # in a message

Given = dict[int, list[Choice]]  # idx -> what one rater's sheets say of it, several where they differ


def given(rows: Iterable[Row], known: Known) -> Given:
    """The labels of some rows that count."""
    found = defaultdict(list)
    for row in filter(ratings.is_labeled, rows):
        rating, _ = ratings.rate(row, "", "", known)
        if rating.choice:
            found[rating.idx].append(rating.choice)
    return found


def owner(own: Given, named: str | None, by_rater: Mapping[str, Given]) -> str | None:
    """Whose copy a sheet is whose name is not exactly a rater's; None where the content doesn't say so.

    own: its labels. named: the rater that its name begins with. by_rater: labels of sheets that are surely
    somebody's. With a name, most labels of shared items have to be the same: others clash row by row then.
    Without one, all labels have to be those of a single rater, and there have to be many.
    """
    if named:
        theirs = by_rater.get(named, {})
        return named if 2 * len(_same(own, theirs)) > len(own.keys() & theirs.keys()) else None
    if len(own) < DOUBLE_ITEMS:
        return None
    twins = [rater for rater, labels in by_rater.items() if len(_same(own, labels)) == len(own)]
    return twins[0] if len(twins) == 1 else None


def _same(own: Given, other: Given) -> list[int]:
    """The items of which both say the same."""
    return [
        idx
        for idx, choices in own.items()
        if any(not ratings.differ([*choices, label]) for label in other.get(idx, ()))
    ]


def copied(file: str, rater: str, own: Given, other: Given) -> Finding:
    """The note that a sheet with another name counts as a copy of a rater's."""
    same, n = len(_same(own, other)), say.items(len(own), "label")
    what = f"counts as a copy of {rater}'s sheet: {rater} says the same in {say.number(same)} of its {n}"
    return Finding.of_file(file, what, rater, is_report=True)


def nobodys(file: str, n_labels: int, raters: list[str]) -> Finding:
    """What to do about a filled sheet that is nobody's by name and content."""
    people, letter = say.first_of(raters, RATERS_NAMED) or "anybody", raters[0] if raters else "A"
    what = (
        f"holds labels ({n_labels}), but its name doesn't say whose, and no sheet of {people} holds the "
        f"same: rename it to assign_{letter}.csv, assign_overlap_{letter}.csv or assign_page_{letter}.csv, "
        f"with the name of the annotator who filled it in for {letter}. If it is a copy, move it away; if a "
        "further person labeled the shared items, rename it to assign_overlap.csv"
    )
    return Finding.of_file(file, what)


def separate(rated: list[Rating], name: str) -> list[Rating]:
    """Sheets without a letter: files whose labels agree are one rater, others are further ones.

    The raters called `name` become "`name` 1", "`name` 2" ... where there are several. A copy is never one.
    """
    by_file = defaultdict(list)
    for rating in rated:
        if rating.rater == name and rating.choice:
            by_file[rating.file].append(rating)
    groups: list[list[Rating]] = []
    for file in sorted(by_file, key=lambda file: (file_names.is_copy(file), file)):
        own = {rating.idx: rating.choice for rating in by_file[file]}
        agreeing = [
            group
            for group in groups
            if not any(ratings.differ([own[other.idx], other.choice]) for other in group if other.idx in own)
        ]
        if agreeing or (groups and file_names.is_copy(file)):
            (agreeing or groups)[0].extend(by_file[file])
        else:
            groups.append(list(by_file[file]))
    if len(groups) < 2:
        return list(rated)
    rater_of = {rating.file: f"{name} {n}" for n, group in enumerate(groups, start=1) for rating in group}
    return [
        replace(rating, rater=rater_of.get(rating.file, name)) if rating.rater == name else rating
        for rating in rated
    ]


def doubles(rated: list[Rating]) -> list[Finding]:
    """Report any two raters who agree on every item that both labeled: one person twice, perhaps."""
    by_rater = defaultdict(dict)
    for idx, labels in ratings.one_each(rated).items():
        for rater, choice in labels.items():
            by_rater[rater][idx] = choice
    findings = []
    for one, other in itertools.combinations(sorted(by_rater), 2):
        shared = by_rater[one].keys() & by_rater[other].keys()
        alike = not any(ratings.differ([by_rater[one][idx], by_rater[other][idx]]) for idx in shared)
        if len(shared) >= DOUBLE_ITEMS and alike:
            file = next(r.file for r in rated if r.choice and r.rater == other and r.idx in shared)
            same = f"says exactly what {one} says of {say.items(len(shared), 'item')}"
            findings.append(
                Finding.of_file(file, f"{same}: remove it if {one} filled it in", other, is_report=True)
            )
    return findings
