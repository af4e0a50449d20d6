"""Fill blank annotation sheets of the bundled sample from its scenes, for trying steps 4 to 6 without people.

Run:    python data/sample/simulate_annotators.py       after failure.py
Reads:  cache/sample/meta_*.json, failure_analysis/sample/assign_*, data/sample/annotations/
Writes: the same sheets, filled in
Takes:  a second

The label of a row is the true one (`world.true_label`), or with the annotator's error rate another of the
seven categories, all alike likely. Rows that hold a label already stay as they are, and so do those whose
label another file holds: a page's export, a workbook, a copy. Where a sheet or the cache holds anything that
isn't the sample's, or a file that nobody can assign, nothing is written at all. An annotator's errors depend
on the seed, the annotator and the caption alone, not on which sheets there are or on the order of their rows.
"""

import random
import re
import sys
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import world

from common import files, say
from common.errors import SettingError, UserError, list_rows, reported
from common.labels import drawn, handed_in, same_caption
from common.labels.sheets import COLUMNS
from common.retrieval import meta
from common.settings import override, shown

# ---- settings ------------------------------------------------------------------------------------
ANNOTATORS: list[str] = ["A", "B", "C"]  # whose sheets to fill, by the letter in the file's name
ERROR_RATES: list[float] = [0.0, 0.0, 0.0]  # share of wrong categories of each annotator, 0 to 1
SEED: int = 7  # of the errors
CACHE_DIR: str = "cache/sample"  # the sample's cache; only its meta file is read
FAILURE_DIR: str = "failure_analysis/sample"  # the sheets
ANNOTATION_FILE: str = "data/sample/annotations/captions_val2017.json"  # captions with their scenes
# --------------------------------------------------------------------------------------------------

SHEET = re.compile(r"assign_(?:overlap_)?(.+)\.csv")
Label = tuple[str, str]  # category, subtype


class Sheet(NamedTuple):
    """A sheet to fill."""

    path: Path
    annotator: str
    rows: list[dict[str, str]]  # cells by column


class Truth(NamedTuple):
    """What is known of the sample: enough for the right label of any caption and image."""

    cache: meta.Meta
    scenes: dict[int, dict]  # image id -> what `world` put into it
    says: dict[int, dict]  # caption id -> what it says

    def of(self, row: dict[str, str]) -> Label:
        """The right label of a sheet's row."""
        caption_id = self.cache.caption_ids[int(row["idx"])]
        own, retrieved = (
            self.scenes[self.cache.sampled_img_ids[int(row[name])]] for name in ("gt_img_idx", "pred_img_idx")
        )
        return world.true_label(self.says[caption_id], own, retrieved)


def check_rates(annotators: list[str], error_rates: list[float]) -> None:
    """Raise SettingError unless each annotator has a rate between 0 and 1."""
    if len(annotators) != len(error_rates) or not all(0 <= rate <= 1 for rate in error_rates):
        rates = ",".join(map(str, error_rates))
        raise SettingError(
            f"ERROR_RATES = {rates}: should be a number from 0 to 1 for each of {', '.join(annotators)}"
        )


def read_truth(cache_dir: Path, annotation_file: Path) -> Truth:
    """The scenes. Raises UserError unless every image and caption of the cache is the sample's."""
    meta_file = meta.find(cache_dir)
    cache, content = meta.read(meta_file), files.read_json(annotation_file)
    captions = {row["id"]: (row["image_id"], row["caption"]) for row in content["annotations"]}
    owners = (cache.sampled_img_ids[row] for row in cache.gt_img_index)
    strange = [
        f"idx {idx} (caption {caption_id}): {text!r}"
        for idx, (caption_id, text, owner) in enumerate(
            zip(cache.caption_ids, cache.captions, owners, strict=True)
        )
        if captions.get(caption_id) != (owner, text)
    ]
    scenes = {image["id"]: image["scene"] for image in content["images"]}
    strange += [f"image {image_id}" for image_id in cache.sampled_img_ids if image_id not in scenes]
    if strange:
        raise UserError(
            f"{shown(meta_file)} isn't the bundled sample's ({len(strange)} of its rows aren't), and right "
            f"answers are known of the sample alone. Nothing was written.\n{list_rows(strange)}"
        )
    return Truth(cache, scenes, {row["id"]: row["says"] for row in content["annotations"]})


def read_sheets(failure_dir: Path, annotators: list[str]) -> list[Sheet]:
    """The sheets to fill, in order of their names. Raises UserError where there are none."""
    found = ((path, SHEET.fullmatch(path.name)) for path in sorted(failure_dir.glob("assign_*.csv")))
    again = "has another program saved it? Restore it, or make it again with `python failure.py`"
    sheets = [
        Sheet(path, match[1], files.read_csv(path, COLUMNS, again))
        for path, match in found
        if match and match[1] in annotators
    ]
    if not sheets:
        raise UserError(
            f"{shown(failure_dir)}/ holds no assign_{annotators[0]}.csv or the like: "
            "run `python failure.py` first"
        )
    return sheets


def foreign_rows(sheet: Sheet, cache: meta.Meta) -> list[str]:
    """What is wrong with the rows of a sheet that aren't the cache's, one text each."""
    problems = []
    for line, row in enumerate(sheet.rows, start=2):
        place = f"{sheet.path.name} row {line}"
        try:
            idx, own, retrieved = (int(row[column]) for column in ("idx", "gt_img_idx", "pred_img_idx"))
        except ValueError:
            problems.append(f"{place}: idx, gt_img_idx and pred_img_idx should be whole numbers")
            continue
        if not (0 <= idx < len(cache.captions) and 0 <= retrieved < len(cache.sampled_img_ids)):
            problems.append(f"{place}: idx {idx} or pred_img_idx {retrieved} is out of range")
        elif same_caption.compare(row["caption"], cache.captions[idx]) != "same":
            problems.append(f"{place}: caption {same_caption.not_that_of(idx, cache.captions[idx])}")
        elif cache.gt_img_index[idx] != own:
            problems.append(f"{place}: gt_img_idx {own} isn't {cache.gt_img_index[idx]}")
    return problems


def labeled_elsewhere(sheets: list[Sheet], cache_dir: Path, failure_dir: Path) -> dict[str, dict[int, str]]:
    """Name of each sheet -> idx -> another file in which the same annotator labeled that item.

    Raises UserError where a file may hold labels and can't be read, or nobody can say whose they are.
    """
    given = handed_in.read(drawn.read(cache_dir, failure_dir))
    rater_of = {sheet.file: sheet.rater for sheet in given.sheets}
    unclear = [f"{problem.file}: {problem.what}" for problem in given.problems if not problem.row]
    unclear += [
        f"{sheet.path.name}: {sheet.annotator} was not drawn (drawn: {', '.join(given.folder.annotators)})"
        for sheet in sheets
        if sheet.path.name not in rater_of
    ]
    if unclear:
        raise UserError(
            f"{shown(failure_dir)}/ holds sheets that nobody can assign. Nothing was "
            f"written.\n{list_rows(unclear)}"
        )
    found = {}
    for sheet in sheets:
        rater = rater_of[sheet.path.name]
        others = (rating for rating in given.ratings if rating.rater == rater)
        found[sheet.path.name] = {
            rating.idx: rating.file for rating in others if rating.file != sheet.path.name
        }
    return found


def fill(sheet: Sheet, truth: Truth, elsewhere: Collection[int], error_rate: float, seed: int) -> int:
    """Fill the blank rows and count them. One that holds a subtype alone was begun by someone: it stays.

    elsewhere: idx of rows that stay blank, as the annotator's label of them is in another file.
    """
    blank = [
        row
        for row in sheet.rows
        if not (row["category"] + row["ambiguous_subtype"]).strip() and int(row["idx"]) not in elsewhere
    ]
    for row in blank:
        # A generator for each row, so that other rows and sheets change nothing about it.
        rng = random.Random(f"{seed} {sheet.annotator} {truth.cache.caption_ids[int(row['idx'])]}")
        row["category"], row["ambiguous_subtype"] = annotate(truth.of(row), error_rate, rng)
    return len(blank)


def annotate(right: Label, error_rate: float, rng: random.Random) -> Label:
    """An annotator's label: the right one, or with probability `error_rate` another."""
    if rng.random() >= error_rate:
        return right
    category = rng.choice([name for name in world.CATEGORIES if name != right[0]])
    return category, rng.choice(world.SUBTYPES) if category == "Ambiguous" else ""


def say_filled(sheet: Sheet, filled: int, rate: float, elsewhere: dict[int, str]) -> None:
    """What became of a sheet's rows."""
    kept = [row for row in sheet.rows if int(row["idx"]) in elsewhere]
    blank = [int(row["idx"]) for row in kept if not (row["category"] + row["ambiguous_subtype"]).strip()]
    held = say.number(len(sheet.rows) - filled - len(blank))
    rows = say.items(filled, "row")
    print(f"{shown(sheet.path)}: {rows} filled by {sheet.annotator} (error rate {rate:g}), ", end="")
    print(f"{held} held something already")
    if blank:
        rows, where = say.items(len(blank), "row"), ", ".join(sorted({elsewhere[idx] for idx in blank}))
        print(f"  {rows} left blank, since {where} holds {sheet.annotator}'s labels of them")


@reported
def main() -> None:
    settings = override(globals())
    check_rates(settings.ANNOTATORS, settings.ERROR_RATES)
    truth = read_truth(settings.CACHE_DIR, settings.ANNOTATION_FILE)
    sheets = read_sheets(settings.FAILURE_DIR, settings.ANNOTATORS)
    problems = [text for sheet in sheets for text in foreign_rows(sheet, truth.cache)]
    if problems:
        raise UserError(
            f"{shown(settings.FAILURE_DIR)}/ holds rows that aren't this cache's. Nothing was written.\n"
            + list_rows(problems)
        )
    elsewhere = labeled_elsewhere(sheets, settings.CACHE_DIR, settings.FAILURE_DIR)
    rates = dict(zip(settings.ANNOTATORS, settings.ERROR_RATES, strict=True))
    for sheet in sheets:
        rate, others = rates[sheet.annotator], elsewhere[sheet.path.name]
        filled = fill(sheet, truth, others, rate, settings.SEED)
        if filled:
            files.write_csv(sheet.path, list(sheet.rows[0]), sheet.rows)
        say_filled(sheet, filled, rate, others)
    print("Next: python merge_assignments.py")


if __name__ == "__main__":
    main()
