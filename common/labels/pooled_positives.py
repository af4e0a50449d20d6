"""Positives of several studies of the same captions as one set, and the pairs on which studies contradict.

Studies may have drawn other failures, or be of other models: what they share is the frozen order of captions.
Annotators of two studies are taken for different people, so two single votes make a verified pair.
"""

from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from common.errors import UserError, list_rows
from common.labels import adjudication, drawn, merged, positives, same_caption, sheet_reader
from common.labels.decisions import majority
from common.labels.positives import Pair
from common.labels.ratings import Choice
from common.labels.sheets import Table
from common.labels.taxonomy import AMBIGUOUS
from common.settings import shown

CONTRADICTIONS = "contradictions.csv"
COLUMNS = ("rater", "idx", "category", "ambiguous_subtype")
FITS, FITS_NOT = "fits", "does not fit"


class Study(NamedTuple):
    """What the people of one study said."""

    folder: Path
    captions: dict[int, str]  # idx -> text, of every caption that is known
    ids: dict[int, tuple[int, int]]  # idx -> ids of the caption and of the retrieved image
    given: dict[int, dict[str, Choice]]  # idx -> who -> label; an adjudicator is one of them


class Verdict(NamedTuple):
    """A row of contradictions.csv: what one of the studies says of a pair on which they contradict."""

    caption_id: int
    image_id: int
    study: str
    verdict: str  # FITS or FITS_NOT
    votes_for: int
    votes: int


class Pooled(NamedTuple):
    """The pairs of all studies; those on which studies contradict are in neither of the first two."""

    verified: list[Pair]
    single: list[Pair]
    contradictions: list[Verdict]


def read(folder: Path, cache_dir: Path) -> Study:
    """What step 4 wrote of one study. Raises UserError where it did not run, or gives no ids."""
    path = folder / merged.RAW
    if not path.is_file():
        raise UserError(
            f"{shown(path)} was not found: run `python merge_assignments.py` for this study first"
        )
    found, given = drawn.read(cache_dir, folder), defaultdict(dict)
    for row in sheet_reader.read_table(path, COLUMNS, {}, merged.AGAIN):
        idx = sheet_reader.whole_number(row["idx"])
        if idx is not None and row["category"]:  # the others count for nothing
            before = given[idx].get(row["rater"])
            subtype = row["ambiguous_subtype"] or (before.subtype if before else "")
            given[idx][row["rater"]] = Choice(row["category"], subtype)
    unknown = sorted(given.keys() - found.ids.keys())
    if unknown:
        raise UserError(
            f"{shown(folder / drawn.SAMPLES)} gives no ids of {len(unknown)} judged pairs, so they can't be "
            f"pooled (idx {', '.join(map(str, unknown[:5]))}): restore the file"
        )
    return Study(folder, dict(found.known.captions), dict(found.ids), dict(given))


def pool(studies: list[Study]) -> Pooled:
    """One set of pairs by all votes. Raises UserError where studies are not of the same frozen order."""
    _check_same_order(studies)
    votes, finals, idx_of, verdicts = defaultdict(dict), {}, {}, defaultdict(list)
    for study in studies:
        for idx, given in study.given.items():
            ids = study.ids[idx]
            idx_of[ids] = idx
            for rater, choice in given.items():
                # The first adjudicator decides; those of further studies count as one more person.
                if rater == adjudication.RATER and ids not in finals:
                    finals[ids] = choice
                else:
                    votes[ids][f"{study.folder}: {rater}"] = choice
            if verdict := _verdict(given):
                n_for = sum(one.category == AMBIGUOUS and one.subtype != "" for one in given.values())
                verdicts[ids].append(Verdict(*ids, shown(study.folder), verdict, n_for, len(given)))
    contradicted = {ids: said for ids, said in verdicts.items() if len({one.verdict for one in said}) > 1}
    pairs = [
        positives.fitting(idx_of[ids], votes[ids], finals.get(ids), ids)
        for ids in idx_of.keys() - contradicted.keys()
    ]
    verified, single = positives.by_votes(sorted(filter(None, pairs)))
    return Pooled(verified, single, [one for ids in sorted(contradicted) for one in contradicted[ids]])


def tables(found: Pooled) -> dict[str, Table]:
    """Name -> content of each CSV."""
    return {
        positives.VERIFIED: Table.of(Pair, found.verified),
        positives.SINGLE: Table.of(Pair, found.single),
        CONTRADICTIONS: Table.of(Verdict, found.contradictions),
    }


def _verdict(given: dict[str, Choice]) -> str:
    """What a study says of a pair; "" where its people are unsure or differ."""
    decided = given.get(adjudication.RATER) or majority(list(given.values()))
    if decided is None or decided == (AMBIGUOUS, ""):
        return ""
    return FITS if decided.category == AMBIGUOUS else FITS_NOT


def _check_same_order(studies: list[Study]) -> None:
    first, wrong = {}, []
    for study in studies:
        for idx in study.given:
            mine = (study.captions[idx], study.ids[idx][0], study.folder)
            text, caption_id, folder = first.setdefault(idx, mine)
            if caption_id != mine[1] or same_caption.compare(mine[0], text) == "other":
                where = f"{shown(folder)}/, {mine[1]} in {shown(mine[2])}/"
                wrong.append(f"idx {idx} is caption {caption_id} in {where}")
    if wrong:
        raise UserError(
            "these studies are not of the same frozen order, so their pairs were not pooled:\n"
            f"{list_rows(wrong)}"
        )
