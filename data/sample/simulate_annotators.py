"""Fill blank annotation sheets of the bundled sample from its scenes, for trying steps 4 to 6 without people.

Run:    python data/sample/simulate_annotators.py       after failure.py
Reads:  cache/sample/meta_*.json, failure_analysis/sample/assign_*.csv, data/sample/annotations/
Writes: the same sheets, filled in
Takes:  a second

The label of a row is the true one (`world.true_label`), or with the annotator's error rate another of the
seven categories, all alike likely. Rows that hold a label already stay as they are. Where a sheet or the
cache holds anything that isn't the sample's, nothing is written at all. An annotator's errors depend on the
seed, the annotator and the caption alone, not on which sheets there are or on the order of their rows.
"""

import csv
import random
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import world

from common import files
from common.errors import UserError, list_rows, reported
from common.files import unguarded
from common.labels.sheets import COLUMNS
from common.retrieval import meta
from common.settings import override, shown

# ---- settings ------------------------------------------------------------------------------------
ANNOTATORS: list[str] = ["A", "B", "C"]  # whose sheets to fill, by the letter in the file's name
ERROR_RATES: list[float] = [0.0, 0.0, 0.0]  # share of wrong categories of each annotator, 0 to 1
SEED = 7  # of the errors
CACHE_DIR = "cache/sample"
FAILURE_DIR = "failure_analysis/sample"
ANNOTATION_FILE = "data/sample/annotations/captions_val2017.json"
# --------------------------------------------------------------------------------------------------

SHEET = re.compile(r"assign_(?:overlap_)?(.+)\.csv")


def check_cache(cache, content, cache_name):
    """Raise UserError unless every image and caption of the cache is the sample's."""
    captions = {row["id"]: (row["image_id"], row["caption"]) for row in content["annotations"]}
    ids, texts = cache.caption_ids, cache.captions
    owners = (cache.sampled_img_ids[row] for row in cache.gt_img_index)
    strange = [
        f"idx {idx} (caption {caption_id}): {text!r}"
        for idx, (caption_id, text, owner) in enumerate(zip(ids, texts, owners, strict=True))
        if captions.get(caption_id) != (owner, text)
    ]
    known = {image["id"] for image in content["images"]}
    strange += [f"image {i}" for i in cache.sampled_img_ids if i not in known]
    if strange:
        raise UserError(
            f"{cache_name} isn't the bundled sample's ({len(strange)} of its rows aren't), and right answers "
            f"are known of the sample alone. Nothing was written.\n{list_rows(strange)}"
        )


def find_sheets(failure_dir, annotators):
    """The sheets to fill: a list of (path, annotator), in order of their names."""
    found = ((path, SHEET.fullmatch(path.name)) for path in sorted(failure_dir.glob("assign_*.csv")))
    sheets = [(path, match[1]) for path, match in found if match and match[1] in annotators]
    if not sheets:
        raise UserError(
            f"{shown(failure_dir)}/ holds no assign_{annotators[0]}.csv or the like: "
            "run `python failure.py` first"
        )
    return sheets


def read_sheet(path):
    """A sheet's column names and rows, every cell as its text."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows, columns = list(reader), reader.fieldnames or []
    except UnicodeDecodeError as error:
        raise UserError(
            f"{shown(path)} isn't UTF-8 ({error}): make it again with `python failure.py`"
        ) from error
    missing = [column for column in COLUMNS if column not in columns]
    if missing:
        raise UserError(
            f"{shown(path)} lacks the columns {', '.join(missing)}: has another program saved it?"
        )
    if any(None in row or None in row.values() for row in rows):
        raise UserError(
            f"{shown(path)} has rows of more or fewer cells than its header: restore it from a copy"
        )
    return columns, rows


def foreign_rows(rows, cache, name):
    """What is wrong with the rows of a sheet that aren't the cache's, one text each."""
    problems = []
    for line, row in enumerate(rows, start=2):
        try:
            idx, own, retrieved = (int(row[column]) for column in ("idx", "gt_img_idx", "pred_img_idx"))
        except ValueError:
            problems.append(f"{name} row {line}: idx, gt_img_idx and pred_img_idx should be whole numbers")
            continue
        if not (0 <= idx < len(cache.captions) and 0 <= retrieved < len(cache.sampled_img_ids)):
            problems.append(f"{name} row {line}: idx {idx} or pred_img_idx {retrieved} is out of range")
        elif cache.captions[idx] not in (row["caption"], unguarded(row["caption"])):
            problems.append(f"{name} row {line}: idx {idx} has another caption, {cache.captions[idx]!r}")
        elif cache.gt_img_index[idx] != own:
            problems.append(f"{name} row {line}: gt_img_idx {own} isn't {cache.gt_img_index[idx]}")
    return problems


def annotate(truth, error_rate, rng):
    """An annotator's (category, subtype): the true one, or with probability `error_rate` another."""
    if rng.random() >= error_rate:
        return truth
    category = rng.choice([name for name in world.CATEGORIES if name != truth[0]])
    return category, rng.choice(world.SUBTYPES) if category == "Ambiguous" else ""


def fill(rows, annotator, error_rate, seed, cache, content):
    """Fill the blank rows and count them. One that holds a subtype alone was begun by someone: it stays."""
    scenes = {image["id"]: image["scene"] for image in content["images"]}
    says = {row["id"]: row["says"] for row in content["annotations"]}
    blank = [row for row in rows if not row["category"].strip() and not row["ambiguous_subtype"].strip()]
    for row in blank:
        caption_id = cache.caption_ids[int(row["idx"])]
        own, retrieved = (
            scenes[cache.sampled_img_ids[int(row[name])]] for name in ("gt_img_idx", "pred_img_idx")
        )
        rng = random.Random(f"{seed} {annotator} {caption_id}")
        truth = world.true_label(says[caption_id], own, retrieved)
        row["category"], row["ambiguous_subtype"] = annotate(truth, error_rate, rng)
    return len(blank)


def check_rates(annotators, error_rates):
    if len(annotators) != len(error_rates) or not all(0 <= rate <= 1 for rate in error_rates):
        raise UserError(
            f"ERROR_RATES = {error_rates}: should be a number from 0 to 1 for each of {', '.join(annotators)}"
        )


@reported
def main():
    globals().update(vars(override(globals())))
    check_rates(ANNOTATORS, ERROR_RATES)
    meta_file = meta.find(CACHE_DIR)
    cache, content = meta.read(meta_file), files.read_json(ANNOTATION_FILE)
    check_cache(cache, content, shown(meta_file))
    sheets = [
        (path, annotator, *read_sheet(path)) for path, annotator in find_sheets(FAILURE_DIR, ANNOTATORS)
    ]
    problems = [text for path, _, _, rows in sheets for text in foreign_rows(rows, cache, path.name)]
    if problems:
        raise UserError(
            f"{shown(FAILURE_DIR)}/ holds rows that aren't this cache's. Nothing was written.\n"
            + list_rows(problems)
        )
    rates = dict(zip(ANNOTATORS, ERROR_RATES, strict=True))
    for path, annotator, columns, rows in sheets:
        filled = fill(rows, annotator, rates[annotator], SEED, cache, content)
        if filled:
            files.write_csv(path, columns, rows)
        print(
            f"{shown(path)}: {filled} rows filled by {annotator} (error rate {rates[annotator]:g}), ", end=""
        )
        print(f"{len(rows) - filled} held something already")
    print("Next: python merge_assignments.py")


if __name__ == "__main__":
    main()
