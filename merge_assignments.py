"""Step 4 of 6: merge the sheets that annotators filled in into one label an item, and measure agreement.

Run:    python merge_assignments.py
Reads:  every assign_*.csv and assign_*.xlsx of failure_analysis/ (exports of the pages among them; none is
        ever changed), adjudicate.csv, failure_samples.csv, manifest.json, and the captions in cache/
Writes: failure_analysis/: annotations_clean.csv (one row an item), annotations_raw.csv (every rating),
        category_distribution.csv, ambiguous_vs_clear.csv, agreement.csv and .json, sensitivity.csv,
        confusion.csv, disagreements.csv, raters.csv, problems.csv, adjudicate.csv (what a person has to
        decide), verified_positives.csv, .qrels and .md, single_votes.csv (images that fit); retest.csv where
        somebody answered twice; with a model's labels assisted_shares.csv, model_agreement.csv and
        model_confusion.csv
Takes:  some seconds, on any laptop
"""

from pathlib import Path
from typing import NamedTuple

from common import files, records, say
from common.commands import command
from common.errors import UserError, list_rows, reported
from common.labels import (
    adjudication,
    agreement,
    assisted,
    drawn,
    findings,
    gaps,
    handed_in,
    levels,
    merged,
    model_labels,
    positives,
    ratings,
    retest,
    sensitivity,
    share_lines,
    shares,
)
from common.labels.decisions import Item, decide
from common.labels.handed_in import HandIn, Rater
from common.labels.sheets import Table
from common.labels.taxonomy import AMBIGUOUS, CATEGORY_NAMES, SUBTYPE_NAMES
from common.settings import PROJECT_DIR, at_least, override, shown

# ---- settings ----------------------------------------------------------------------------------------------
STRICT: bool = True  # any problem stops the merge; False: bad rows are left out, listed in problems.csv
BOOTSTRAP_ROUNDS: int = 2000  # redraws of the items behind each interval of agreement
SEED: int | None = None  # of the redraws; None means the cache's
STUDY_DIR: str | None = None  # folder of one study, with the two below in it; None: the project's own
CACHE_DIR: str = "cache"  # frozen embeddings; only their meta file is read
FAILURE_DIR: str = "failure_analysis"  # the handed-in sheets, and where the merged files go
# ------------------------------------------------------------------------------------------------------------

GUIDE = PROJECT_DIR / "annotation_guide.md"  # its words are the version that a data card names


class Merge(NamedTuple):
    """What the sheets come to."""

    labels: ratings.Labels  # idx -> rater -> label, of rows that count
    items: list[Item]  # that have one label
    waiting: list[int]  # idx of items that a person has to decide
    gaps: gaps.Gaps  # drawn failures without a label
    distribution: list[shares.CategoryShare]
    ambiguous: list[shares.LabelShare]
    measured: levels.Measured  # agreement at each level
    what_if: list[sensitivity.Row]  # shares if raters err as the overlap suggests
    raters: list[Rater]
    fitting: positives.Positives  # retrieved images that people found to fit
    retest: list[agreement.Estimate]  # of each person's first and second answers
    assisted: assisted.Compared | None  # shares that a model's labels help to estimate, if there are any


def merge(given: HandIn, rounds: int, seed: int) -> Merge:
    """One label an item, how frequent each label is, and how far raters agree.

    Raises UserError where no label counts.
    """
    labels = ratings.one_each(given.ratings)
    items, waiting = decide(labels, given.adjudicated.choices)
    if not items and not waiting:
        raise UserError(f"no label in {shown(given.folder.path)}/ counts: fill in the sheets or pages first")
    lacks = gaps.of(given, items, waiting)
    # A share has one interval in steps 4 and 5: that of a draw from so many failures, if that is known.
    basis = shares.Basis(items, lacks, given.folder.population)
    distribution = shares.of_categories(basis)
    counted = {row.category: row.share.share for row in distribution if row.over == shares.ALL}
    model = given.model.labels
    return Merge(
        *(labels, items, waiting, lacks, distribution, shares.of_ambiguous(basis)),
        levels.measure(labels, rounds, seed),
        sensitivity.of(labels, counted, agreement.Redraws(rounds, [seed])),
        handed_in.raters(given, labels),
        positives.of(labels, given.adjudicated.choices, given.folder.ids),
        retest.compare(given.repeats, labels, agreement.Redraws(rounds, [seed])),
        assisted.compare(items, distribution, model, rounds, seed) if model and items else None,
    )


def tables(given: HandIn, result: Merge) -> dict[str, Table]:
    """Name -> content of each CSV, in the order in which people look at them."""
    folder, labels, decided = given.folder, result.labels, given.adjudicated
    return {
        merged.CLEAN: merged.clean(result.items, folder),
        merged.RAW: merged.raw([*given.ratings, *decided.ratings, *retest.struck(given.repeats)]),
        shares.DISTRIBUTION: shares.table(result.distribution),
        shares.VERSUS_CLEAR: shares.table(result.ambiguous),
        "agreement.csv": levels.coefficients(result.measured),
        sensitivity.NAME: sensitivity.table(result.what_if),
        "confusion.csv": levels.confusion(labels),
        "disagreements.csv": levels.disagreements(labels, result.items, folder),
        handed_in.RATERS: handed_in.table(result.raters),
        "problems.csv": Table(findings.COLUMNS, [problem.cells() for problem in given.problems]),
        adjudication.NAME: adjudication.table(result.waiting, decided.filled, labels, folder),
        **positives.tables(result.fitting),
        **assisted.tables(result.assisted),
        **retest.tables(result.retest),
    }


def report(given: HandIn, result: Merge, settings: merged.Settings) -> merged.Report:
    """agreement.json: the coefficients, and all that went into this result."""
    return merged.Report(
        settings=settings,
        checked_against=given.folder.sources,
        inputs=merged.inputs(given),
        versions=files.versions("numpy"),
        items=len(result.items),
        agreement=result.measured,
        model=merged.model_input(given.model.labels),
        **result.gaps._asdict(),
    )


def say_findings(given: HandIn, strict: bool) -> None:
    """Stop at problems (strict), or say what is left out and what was odd.

    Raises UserError with every problem in it, since each is a row that a person has to look at.
    """
    problems, notes = (findings.describe(found, given.n_rows) for found in (given.problems, given.notes))
    if problems and strict:
        raise UserError(
            f"{shown(given.folder.path)}/ has problems, {say.number(len(problems))} in all; nothing was "
            f"merged:\n{list_rows(problems, shown=len(problems))}\n"
            f"Legal labels: {', '.join(CATEGORY_NAMES)}; "
            f"subtypes of {AMBIGUOUS}: {', '.join(SUBTYPE_NAMES)}.\n"
            "Fix the sheets and run again, or skip the bad rows with "
            "`python merge_assignments.py --strict False`"
        )
    print(f"Rows were checked against {' and '.join(given.folder.sources)}")
    for note in given.folder.notes:
        print(f"  {note}")
    if problems:
        print(f"Left out, listed in problems.csv:\n{list_rows(problems)}")
    if notes:
        print(f"Notes:\n{list_rows(notes)}")


def say_shares(result: Merge) -> None:
    """How frequent each category is, what that is about, what it would be if annotators err; agreement."""
    print(share_lines.heading(result.distribution, result.gaps))
    lines = share_lines.table(result.distribution, result.gaps)
    lines += share_lines.about(result.ambiguous, result.gaps)
    for line in lines + sensitivity.sentences(result.what_if):
        print(f"  {line}".rstrip())
    print(*levels.sentences(result.measured), *retest.sentences(result.retest), sep="\n")


def say_assisted(compared: assisted.Compared | None, reading: model_labels.Reading) -> None:
    """What a model's labels add, or that they were left out."""
    if compared and reading.labels:
        print(*assisted.sentences(compared, reading.labels), sep="\n")
    elif reading.rows:
        print(f"{model_labels.NAME} is left out whole: what is left of it would be no random sample")


def say_written(folder: Path, names: list[str], waiting: int) -> None:
    """Where the files are and what comes next."""
    print(f"Wrote in {shown(folder)}/: {', '.join(names)}")
    if waiting:
        items, file = say.items(waiting, "item"), shown(folder / adjudication.NAME)
        print(f"Next: fill in final_category for {items} in {file} and run this again,")
        print(f"  or continue without them: {command('summarize_result.py')}")
    else:
        print(f"Next: {command('summarize_result.py')}")


@reported
def main() -> None:
    settings = override(globals())
    at_least(0, BOOTSTRAP_ROUNDS=settings.BOOTSTRAP_ROUNDS, SEED=settings.SEED)
    folder = drawn.read(settings.CACHE_DIR, settings.FAILURE_DIR)
    # Redraws are those of the study: whoever merges the same sheets gets the same intervals.
    used = settings.but(SEED=folder.seed if settings.SEED is None else settings.SEED)
    given = handed_in.read(folder)
    say_findings(given, settings.STRICT)

    # Everything is computed before the first file is written, so that a failure leaves the last merge whole.
    result = merge(given, used.BOOTSTRAP_ROUNDS, used.SEED)
    written = tables(given, result)
    for name, table in written.items():
        files.write_csv(folder.path / name, table.columns, table.rows)
    # Of a model whose labels are gone, or of second answers that are, nothing may contradict this merge.
    for name in {*assisted.FILES, retest.NAME} - written.keys():
        (folder.path / name).unlink(missing_ok=True)
    files.write_bytes(folder.path / positives.QRELS, positives.qrels(result.fitting.verified))
    guide = positives.guide_version(GUIDE)
    card = positives.card(result.fitting, folder.sources, guide, result.measured)
    files.write_bytes(folder.path / positives.CARD, card)
    records.write(folder.path / merged.REPORT, report(given, result, merged.Settings(**used.values())))

    print(*handed_in.sentences(given, result.raters), sep="\n")
    say_shares(result)
    say_assisted(result.assisted, given.model)
    print(positives.sentence(result.fitting))
    say_written(folder.path, [*written, positives.QRELS, positives.CARD, merged.REPORT], len(result.waiting))


if __name__ == "__main__":
    main()
