"""Step 4 of 6: merge the sheets that annotators filled in into one label an item, and measure agreement.

Run:    python merge_assignments.py
Reads:  every assign_*.csv and assign_*.xlsx of failure_analysis/ (exports of the pages among them; none is
        ever changed), adjudicate.csv, failure_samples.csv, and the captions in cache/
Writes: failure_analysis/: annotations_clean.csv (one row an item), annotations_raw.csv (every rating),
        category_distribution.csv, ambiguous_vs_clear.csv, agreement.csv and .json, confusion.csv,
        disagreements.csv, raters.csv, problems.csv, and adjudicate.csv (what a person has to decide)
Takes:  some seconds, on any laptop
"""

import itertools
import platform
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common import files, statistics
from common.errors import UserError, list_rows, reported
from common.labels import adjudication, agreement, drawn, ratings, sheet_reader, sheets
from common.labels.findings import Finding, describe
from common.labels.ratings import Labels, Rating, label, raters_of
from common.labels.taxonomy import CATEGORY_NAMES, CLEAR_NAMES, SUBTYPE_NAMES
from common.settings import override, shown

# ---- settings ----------------------------------------------------------------------------------------------
STRICT: bool = True  # any problem stops the merge; False: bad rows are left out, listed in problems.csv
BOOTSTRAP_ROUNDS: int = 2000  # redraws of the items behind each interval of agreement
SEED: int | None = None  # of the redraws; None means the cache's
CACHE_DIR: str = "cache"  # frozen embeddings; only their meta file is read
FAILURE_DIR: str = "failure_analysis"  # the handed-in sheets, and where the merged files go
# ------------------------------------------------------------------------------------------------------------

ITEM = adjudication.ITEM
SHARE = ["n", "total", "share", "low", "high", "status"]
COLUMNS = {
    "annotations_clean.csv": [*ITEM, "category", "ambiguous_subtype", "decided", "n_raters"],
    "annotations_raw.csv": [
        *("file", "row", "rater", *ITEM, "category_written", "subtype_written"),
        *("category", "ambiguous_subtype", "status", "note", "further"),
    ],
    "category_distribution.csv": ["over", "category", *SHARE],
    "ambiguous_vs_clear.csv": ["label", *SHARE],
    "agreement.csv": ["level", *agreement.Estimate._fields],
    "confusion.csv": ["level", "rater_1", "rater_2", "label_1", "label_2", "n"],
    "raters.csv": [
        *("rater", "sheets", "labelled", "missing", *CATEGORY_NAMES),
        *(f"share_{name}" for name in CATEGORY_NAMES),
        "missing_idx",
    ],
    "problems.csv": ["file", "row", "rater", "column", "value", "what", "nearest"],
}
# Who agrees on what: each level's labels, of which a rater gives an item at most one.
LEVELS = {
    "ambiguous or clear": ["Ambiguous", "Clear"],
    "category": list(CATEGORY_NAMES),
    "subtype": list(SUBTYPE_NAMES),
}


class HandedIn(NamedTuple):
    """A sheet that could be read. `sheet` and `rater` as `ratings.who` says; `labelled` rows hold a label."""

    file: str
    sheet: str
    rater: str
    revision: int | None
    form: str
    rows: list[sheet_reader.Row]
    labelled: list[sheet_reader.Row]


class Item(NamedTuple):
    """An item's label, counted once. `decided` says how it came about."""

    idx: int
    category: str
    subtype: str
    decided: str
    n_raters: int


def check_settings(rounds: int, seed: int | None) -> None:
    """Raise UserError for a number that can't be meant."""
    for name, value in (("BOOTSTRAP_ROUNDS", rounds), ("SEED", seed)):
        if value is not None and value < 0:
            raise UserError(f"{name} = {value}: should be 0 or more")


def read_sheets(study: drawn.Study) -> tuple[list[HandedIn], list[Finding]]:
    """Every sheet of the folder, and what is wrong with those that can't be read or have no clear rater."""
    handed_in, findings = [], []
    paths = sorted(study.folder.iterdir(), key=lambda path: path.name) if study.folder.is_dir() else []
    for path in paths:
        if what := ratings.not_read(path):
            findings.append(what)
        if not ratings.is_sheet(path):
            continue
        try:
            sheet = sheet_reader.read(path, study.known.captions)
        except sheet_reader.SheetError as error:
            findings.append(Finding.of_file(path.name, error.reason))
            continue
        labelled = list(filter(ratings.is_labelled, sheet.rows))
        named = ratings.who(path, study.annotators)
        if named is None and labelled:
            what = (
                f"holds labels ({len(labelled)}), but its name doesn't say whose: rename it to assign_A.csv, "
                "assign_overlap_A.csv or assign_page_A.csv, with the annotator's letter for A"
            )
            findings.append(Finding(path.name, "", "", "", "", what))
        elif named is not None:
            if labelled and sheet.missing:
                what = f"lacks the columns {', '.join(sheet.missing)}, which were not checked; its rows count"
                findings.append(Finding(path.name, "", "", "", "", what, is_report=True))
            revision = page_revision(sheet.rows)
            handed_in.append(HandedIn(path.name, *named, revision, sheet.form, sheet.rows, labelled))
    if not handed_in and not findings:
        raise UserError(
            f"{shown(study.folder)}/ holds no assign_*.csv or .xlsx: run `python failure.py` first"
        )
    return handed_in, findings


def page_revision(rows: list[sheet_reader.Row]) -> int | None:
    """How often a page's labels had been changed when it was exported; None for a sheet that isn't one."""
    revisions = [sheet_reader.whole_number(row.cells.get("revision", "")) for row in rows]
    return max((revision for revision in revisions if revision is not None), default=None)


def superseded(handed_in: list[HandedIn]) -> dict[str, str]:
    """File -> the later export of the same rater's page, which counts in its place."""
    # A blank export is no later word, whatever its revision: it would silence the labels of the one before.
    exports = [sheet for sheet in handed_in if sheet.sheet == "page" and sheet.labelled]
    exports = [sheet for sheet in exports if sheet.revision is not None]
    latest = {sheet.rater: sheet for sheet in sorted(exports, key=lambda sheet: sheet.revision)}
    return {
        sheet.file: latest[sheet.rater].file
        for sheet in exports
        if sheet.revision < latest[sheet.rater].revision
    }


def with_retrieved(study: drawn.Study, handed_in: list[HandedIn]) -> drawn.Study:
    """Without failure_samples.csv nothing says which image was retrieved: take what most sheets say."""
    if study.known.predicted:
        return study
    said = defaultdict(Counter)
    for row in itertools.chain.from_iterable(sheet.rows for sheet in handed_in):
        idx, image = (sheet_reader.whole_number(row.cells.get(name, "")) for name in ("idx", "pred_img_idx"))
        if image is not None:
            said[idx][image] += 1
    predicted = {idx: images.most_common(1)[0][0] for idx, images in said.items()}
    return study._replace(known=study.known._replace(predicted=predicted))


def rate_rows(
    handed_in: list[HandedIn], replaced: dict[str, str], study: drawn.Study
) -> tuple[list[Rating], list[Finding]]:
    """A rating for each labelled row, with all that is wrong or odd about it; clashes count for nothing."""
    rated, findings = [], []
    for sheet in handed_in:
        if not sheet.labelled:
            continue  # a blank sheet counts for nothing, whatever its rows are
        for row in sheet.rows:
            if not ratings.is_labelled(row):
                found = ratings.not_its_own(row, sheet.file, sheet.rater, study.known)
            else:
                rating, found = ratings.rate(row, sheet.file, sheet.rater, study.known)
                rated.append(rating)
            findings += found if sheet.file not in replaced else []
    for rating in rated:
        if rating.file in replaced:
            rating.category = rating.subtype = ""
            rating.status = f"replaced by the later {replaced[rating.file]}"
    ratings.tell_apart(rated, "overlap")
    clashes = ratings.set_clashes_aside(rated)
    return rated, findings + clashes + ratings.doubles(rated, "overlap")


def decide(labels: Labels, adjudicated: Labels) -> tuple[list[Item], list[int]]:
    """One label an item, and the items that wait for a person: no majority, and not adjudicated.

    An adjudication stands above a majority, since it was made in knowledge of the raters' labels.
    """
    decided, waiting = [], []
    for idx in sorted(labels.keys() | adjudicated.keys()):
        given = list(labels.get(idx, {}).values())
        if idx in adjudicated:
            decided.append(Item(idx, *adjudicated[idx][adjudication.RATER], "adjudicated", len(given)))
        elif (by_majority := ratings.majority(given)) is None:
            waiting.append(idx)
        else:
            same = len({category for category, _ in given}) == 1
            how = "one rater" if len(given) == 1 else "all agree" if same else "majority"
            decided.append(Item(idx, *by_majority, how, len(given)))
    return decided, waiting


def distribution(items: list[Item], waiting: int) -> list[dict]:
    """Share of each category over all items and over the clear ones, with 95 % Wilson intervals."""
    status = f"provisional: {waiting} wait in {adjudication.NAME}" if waiting else "final"
    rows = []
    for over, names in (("all", CATEGORY_NAMES), ("clear", CLEAR_NAMES)):
        counts = Counter(item.category for item in items if item.category in names)
        rows += [
            {"over": over, "category": name, **share(counts[name], counts.total()), "status": status}
            for name in names
        ]
    return rows


def ambiguous_or_clear(items: list[Item], waiting: int) -> list[dict]:
    """Share of ambiguous and clear items, and of each subtype among all items."""
    status = f"provisional: {waiting} wait in {adjudication.NAME}" if waiting else "final"
    ambiguous = [item for item in items if item.category == "Ambiguous"]
    counts = {"Ambiguous": len(ambiguous), "Clear": len(items) - len(ambiguous)}
    for name in SUBTYPE_NAMES:
        counts[label("Ambiguous", name)] = sum(item.subtype == name for item in ambiguous)
    counts[label("Ambiguous", "no subtype")] = sum(not item.subtype for item in ambiguous)
    return [{"label": name, **share(n, len(items)), "status": status} for name, n in counts.items()]


def share(n: int, total: int) -> dict[str, object]:
    """A count with its share and interval; blank where there is nothing to have a share of."""
    if not total:
        return {"n": n, "total": total, "share": "", "low": "", "high": ""}
    low, high = statistics.wilson(n, total)
    return {"n": n, "total": total, "share": rounded(n / total), "low": rounded(low), "high": rounded(high)}


def rounded(value: float | None) -> float | str:
    """Six digits, so that the last bits of another machine don't change a file; blank for None."""
    return "" if value is None else round(value, 6) + 0.0  # + 0.0 makes 0.0 of -0.0


def measure_agreement(labels: Labels, rounds: int, seed: int) -> dict[str, list[agreement.Estimate]]:
    """Every coefficient at each level, over all raters and for each pair."""
    raters = raters_of(labels)
    return {
        level: agreement.assess(codes(labels, raters, level), raters, names, rounds, [seed, number])
        for number, (level, names) in enumerate(LEVELS.items())
    }


def codes(labels: Labels, raters: list[str], level: str) -> np.ndarray:
    """(n_items, n_raters) codes into the level's labels, or MISSING; items in ascending idx."""
    place = {rater: number for number, rater in enumerate(raters)}
    matrix = np.full((len(labels), len(raters)), agreement.MISSING)
    for row, idx in enumerate(sorted(labels)):
        for rater, (category, subtype) in labels[idx].items():
            name = {
                "ambiguous or clear": "Ambiguous" if category == "Ambiguous" else "Clear",
                "category": category,
                "subtype": subtype,
            }[level]
            if name:
                matrix[row, place[rater]] = LEVELS[level].index(name)
    return matrix


def confusion(labels: Labels) -> list[dict]:
    """For each level and pair of raters: on how many items the first said label_1 and the second label_2."""
    raters, rows = raters_of(labels), []
    for level, names in LEVELS.items():
        matrix = codes(labels, raters, level)
        for first, second in itertools.combinations(range(len(raters)), 2):
            pair = matrix[:, [first, second]]
            pair = pair[(pair != agreement.MISSING).all(1)]
            head = {"level": level, "rater_1": raters[first], "rater_2": raters[second]}
            table = agreement.pair_table(pair, len(names)).tolist() if len(pair) else []
            for label_1, counts in zip(names, table, strict=False):  # no table: no rows
                cells = zip(names, counts, strict=True)
                rows += [head | {"label_1": label_1, "label_2": label_2, "n": n} for label_2, n in cells]
    return rows


def disagreements(labels: Labels, items: list[Item], study: drawn.Study) -> list[dict]:
    """Items on which two raters differ, in category or in subtypes both given, and what became of them."""
    decisions = {item.idx: item for item in items}
    pictures = adjudication.pictures_of(study.folder)
    rows = []
    for idx, given in labels.items():
        differ = len({category for category, _ in given.values()}) > 1
        if not differ and len({subtype for _, subtype in given.values() if subtype}) < 2:
            continue
        row = adjudication.side_by_side(idx, study, pictures, given)
        row |= {"level": "category" if differ else "subtype", "decided": "waits"}
        if idx in decisions:
            item = decisions[idx]
            row |= {"decided": item.decided, "final": label(item.category, item.subtype)}
        rows.append(row)
    return rows


def rater_rows(
    handed_in: list[HandedIn], rated: list[Rating], labels: Labels, study: drawn.Study
) -> list[dict]:
    """What each rater handed in, what is missing of it, and how often each label was given."""
    sheets_of, items_of = defaultdict(list), defaultdict(set)
    rater_in = {rating.file: rating.rater for rating in rated}  # sheets without a letter were told apart
    for sheet in handed_in:
        rater = rater_in.get(sheet.file, sheet.rater)
        sheets_of[rater] += [sheet.file] if sheet.labelled else []
        # Backup rows are filled as need be: a blank one is not missing.
        if sheet.sheet != "backup":
            items_of[rater] |= {sheet_reader.whole_number(row.cells["idx"]) for row in sheet.rows}
    for rater in study.annotators:
        items_of[rater] |= {idx for idx, part in study.parts.items() if part in (rater, "overlap")}
    rows = []
    for rater in sorted(items_of.keys() | sheets_of.keys()):
        if rater in ratings.NO_LETTER.values() and not sheets_of[rater]:
            continue  # a sheet without a letter is somebody's only once it holds a label
        given = {idx: of[rater][0] for idx, of in labels.items() if rater in of}
        missing = sorted((items_of[rater] & study.known.captions.keys()) - given.keys())
        row = {"rater": rater, "sheets": "; ".join(sheets_of[rater])}
        row |= {"labelled": len(given), "missing": len(missing), "missing_idx": " ".join(map(str, missing))}
        counts = Counter(given.values())
        for name in CATEGORY_NAMES:
            row |= {name: counts[name], f"share_{name}": rounded(counts[name] / len(given)) if given else ""}
        rows.append(row)
    return rows


def save(path: Path, rows: list[dict], columns: list[str]) -> None:
    """Write a CSV in which no text runs as a formula; `sheet_reader.read` takes the guarding quotes off."""
    wanted = set(columns)
    files.write_csv(path, columns, [{name: row[name] for name in row if name in wanted} for row in rows])


def columns_of(labels: Labels, filled: list[sheet_reader.Row]) -> dict[str, list[str]]:
    """Columns of the tables that have one for each rater; those that people added to adjudicate.csv stay."""
    item = [*ITEM, "picture", *(f"label_{rater}" for rater in raters_of(labels))]
    further = dict.fromkeys(name for row in filled for name in row.further if name not in item)
    return {
        adjudication.NAME: [*item, *adjudication.FINAL, "note", *further],
        "disagreements.csv": [*item, "level", "final", "decided"],
    }


def raw_row(rating: Rating) -> dict:
    """A label as it was handed in: where, by whom, what was written, and what it became."""
    written = {name: rating.written.get(name, "") for name in sheets.COLUMNS}
    written["idx"] = written["idx"] if rating.idx is None else rating.idx
    written["category_written"], written["subtype_written"] = (
        written["category"],
        written["ambiguous_subtype"],
    )
    became = {"category": rating.category, "ambiguous_subtype": rating.subtype, "status": rating.status}
    further = "; ".join(f"{name}: {cell}" for name, cell in rating.further.items())
    return (
        written | became | {"file": rating.file, "row": rating.row, "rater": rating.rater, "further": further}
    )


def clean_row(item: Item, study: drawn.Study) -> dict:
    """An item once, with the label that counts."""
    row = adjudication.side_by_side(item.idx, study, {}, {})
    row |= {"category": item.category, "ambiguous_subtype": item.subtype}
    return row | {"decided": item.decided, "n_raters": item.n_raters}


def agreement_rows(measured: dict[str, list[agreement.Estimate]]) -> list[dict]:
    """One row a coefficient, at each level."""
    rows = [{"level": level} | one._asdict() for level, estimates in measured.items() for one in estimates]
    return [row | {name: rounded(row[name]) for name in ("value", "low", "high")} for row in rows]


def provenance(
    study: drawn.Study,
    handed_in: list[HandedIn],
    settings: dict,
    measured: dict,
    n_items: int,
    n_waiting: int,
) -> dict:
    """agreement.json: the figures, and all that went into this merge."""
    inputs = {
        sheet.file: {
            "sha256": files.file_fingerprint(study.folder / sheet.file),
            "rater": sheet.rater,
            "read_as": sheet.form,
            "rows": len(sheet.rows),
            "labelled": len(sheet.labelled),
        }
        for sheet in handed_in
    }
    return {
        "settings": settings,
        "checked_against": study.sources,
        "inputs": inputs,
        "versions": {"python": platform.python_version(), "numpy": np.__version__},
        "items": n_items,
        "waiting": n_waiting,
        "agreement": {level: [in_json(one) for one in estimates] for level, estimates in measured.items()},
    }


def in_json(one: agreement.Estimate) -> dict:
    """An estimate with null where a figure is undefined."""
    figures = {name: getattr(one, name) for name in ("value", "low", "high")}
    return one._asdict() | {name: None if of is None else rounded(of) for name, of in figures.items()}


def say_who(raters: list[dict], handed_in: list[HandedIn], replaced: dict[str, str]) -> None:
    """Who handed in what, and what is missing."""
    print("Handed in:")
    for row in raters:
        missing = row["missing_idx"].split()
        lacks = f"; {len(missing)} missing (idx {first_of(missing, 10)})" if missing else "; complete"
        print(f"  {row['rater']:<4} {row['labelled']:>4} labels  {row['sheets'] or 'nothing'}{lacks}")
    for file, later in replaced.items():
        print(f"  {file} was passed over: {later} is a later export of the same page")
    blank = [sheet.file for sheet in handed_in if not sheet.labelled]
    if blank:
        print(f"  {in_number(len(blank), 'blank sheet')} passed over ({first_of(blank, 3)})")


def in_number(n: int, noun: str) -> str:
    """`1 item`, `3 items`."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def first_of(words: list[str], shown: int) -> str:
    """The first few of many, separated by commas."""
    return ", ".join(words[:shown]) + (", ..." if len(words) > shown else "")


def say_result(shares: list[dict], measured: dict[str, list[agreement.Estimate]], waiting: int) -> None:
    """The distribution and, in one line, the agreement on the seven categories."""
    total = shares[0]["total"]
    provisional = f" (PROVISIONAL: {waiting} more wait in {adjudication.NAME})" if waiting else ""
    print(f"Distribution over {in_number(total, 'item')}{provisional}:")
    clear = {row["category"]: row["share"] for row in shares if row["over"] == "clear"}
    for row in shares[: len(CATEGORY_NAMES)] if total else []:
        interval = f"[{row['low']:.1%}, {row['high']:.1%}]"
        of_clear = clear.get(row["category"], "")
        of_clear = f"  {of_clear:.1%} of the clear ones" if of_clear != "" else ""
        print(
            f"  {row['category']:<10} {row['n']:>5} {row['share']:>7.1%}  {interval:<16}{of_clear}".rstrip()
        )
    percent, alpha, ac1 = measured["category"][:3]
    if percent.value is None:
        print(f"Agreement: none to measure, {percent.caution}")
        return
    named = (("percent", percent), ("alpha", alpha), ("AC1", ac1))
    figures = ", ".join(f"{name} {in_words(one)}" for name, one in named)
    print(
        f"Agreement of {percent.raters} on {in_number(percent.n_items, 'item')} (seven categories): {figures}"
    )
    if alpha.caution:
        print(f"  beware: {alpha.caution}")


def in_words(one: agreement.Estimate) -> str:
    """`0.74 [0.62, 0.85]`, or that it is undefined."""
    if one.value is None:
        return "undefined"
    return f"{one.value:.2f}" + (f" [{one.low:.2f}, {one.high:.2f}]" if one.low is not None else "")


def say_next(folder: Path, names: list[str], waiting: int) -> None:
    """Where the files are and what comes next."""
    print(f"Wrote in {shown(folder)}/: {', '.join(names)}")
    if waiting:
        items, file = in_number(waiting, "item"), shown(folder / adjudication.NAME)
        print(f"Next: decide {items} in {file} (final_category) and run this again,")
        print("  or go on with what is decided: python summarize_result.py")
    else:
        print("Next: python summarize_result.py")


def say_findings(
    findings: list[Finding], handed_in: list[HandedIn], study: drawn.Study, strict: bool
) -> None:
    """Stop at problems (strict), or say what is left out and what was odd.

    Raises UserError with every problem in it, since each is a row that a person has to look at.
    """
    n_rows = {sheet.file: len(sheet.rows) for sheet in handed_in}
    problems = describe([one for one in findings if not one.is_report], n_rows)
    reports = describe([one for one in findings if one.is_report], n_rows)
    if problems and strict:
        raise UserError(
            f"{shown(study.folder)}/ has problems, {len(problems)} in all; nothing was merged:\n"
            f"{list_rows(problems, shown=len(problems))}\n"
            f"Legal labels: {', '.join(CATEGORY_NAMES)}; subtypes of Ambiguous: {', '.join(SUBTYPE_NAMES)}.\n"
            "Mend the sheets and run again, or leave these out: `python merge_assignments.py --strict False`"
        )
    print(f"Rows were checked against {' and '.join(study.sources)}")
    for note in study.notes:
        print(f"  {note}")
    if problems:
        print(f"Left out, listed in problems.csv:\n{list_rows(problems)}")
    if reports:
        print(f"To know:\n{list_rows(reports)}")


@reported
def main() -> None:
    globals().update(vars(override(globals())))
    check_settings(BOOTSTRAP_ROUNDS, SEED)
    study = drawn.read(CACHE_DIR, FAILURE_DIR)
    seed = study.seed if SEED is None else SEED
    handed_in, unread = read_sheets(study)
    study, replaced = with_retrieved(study, handed_in), superseded(handed_in)
    rated, odd = rate_rows(handed_in, replaced, study)
    filled, adjudicated, odd_decisions = adjudication.read(study)
    findings = [*unread, *odd, *odd_decisions]
    say_findings(findings, handed_in, study, STRICT)

    labels = ratings.one_each(rated)
    items, waiting = decide(labels, ratings.one_each(adjudicated))
    if not items and not waiting:
        raise UserError(f"no label in {shown(study.folder)}/ counts: fill in the sheets or pages first")
    measured = measure_agreement(labels, BOOTSTRAP_ROUNDS, seed)
    tables = {
        "annotations_clean.csv": [clean_row(item, study) for item in items],
        "annotations_raw.csv": [raw_row(rating) for rating in [*rated, *adjudicated]],
        "category_distribution.csv": distribution(items, len(waiting)),
        "ambiguous_vs_clear.csv": ambiguous_or_clear(items, len(waiting)),
        "agreement.csv": agreement_rows(measured),
        "confusion.csv": confusion(labels),
        "disagreements.csv": disagreements(labels, items, study),
        "raters.csv": rater_rows(handed_in, rated, labels, study),
        "problems.csv": [finding._asdict() for finding in findings if not finding.is_report],
        adjudication.NAME: adjudication.table(waiting, filled, labels, study),
    }
    columns = COLUMNS | columns_of(labels, filled)
    for name, rows in tables.items():
        save(study.folder / name, rows, columns[name])
    settings = {"STRICT": STRICT, "BOOTSTRAP_ROUNDS": BOOTSTRAP_ROUNDS, "SEED": seed}
    summary = provenance(study, handed_in, settings, measured, len(items), len(waiting))
    files.write_json(study.folder / "agreement.json", summary)
    say_who(tables["raters.csv"], handed_in, replaced)
    say_result(tables["category_distribution.csv"], measured, len(waiting))
    say_next(study.folder, [*tables, "agreement.json"], len(waiting))


if __name__ == "__main__":
    main()
