"""Which CSVs step 5 writes: what a row of each means, its rows, and how its numbers are written.

Tables, figures and the report are made from what is in these files, read back. So each number that a reader
sees can be looked up.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from common import files, say
from common.labels import plan
from common.labels.taxonomy import AMBIGUOUS
from common.report import (
    assisted_rows,
    cautions,
    compared_rows,
    figures,
    fix_rows,
    label_rows,
    plan_rows,
    probe_rows,
    study_tables,
)
from common.report.inputs import Sources
from common.report.label_inputs import Labels
from common.report.tables import Csv
from common.results import MEASURES, Measured

Rows = list[dict]
TABULAR = "tables/tabular"  # folder of the tables without caption, for a table environment of one's own
AGAIN = "run `python summarize_result.py` again"


def fixed(digits: int) -> Callable[[float], str]:
    """A form with so many decimals."""
    return lambda value: f"{say.rounded(value, digits):.{digits}f}"


def significant(value: float) -> str:
    """Six significant digits, for p-values, which differ by orders of magnitude."""
    return f"{value:.6g}"


TWO, FOUR, SIX = fixed(2), fixed(4), fixed(6)  # percent and points; moments; shares, cosines, coefficients
P_VALUES = dict.fromkeys((f"p_{name}" for name in MEASURES), significant)


class Sheet(NamedTuple):
    """A CSV."""

    row: str  # what one row of it means
    form: Callable[[float], str] = SIX  # of numbers that are not whole
    others: dict[str, Callable[[float], str]] = {}  # column -> the form of its own


GAINS = dict.fromkeys((f"gain_if_fixed_pp{end}" for end in ("", "_low", "_high")), FOUR)
OF_MODELS = (  # shares and coefficients of a sheet that is in points else
    *("recovered", "recovered_low", "recovered_high", "recovered_back"),
    *("consistency", "consistency_low", "consistency_high"),
)
# Which population each interval is about: also said where the number stands (see study_tables).
SHEETS = {
    "summary_failures": Sheet(
        "A category: its share of the failures of these very captions, with an interval of its own and one "
        "that holds for all categories at once; gain if fixed, R@1 if it counted as right, rank and margin.",
        others=GAINS | {"median_gt_rank": fixed(1)},
    ),
    "summary_if_right": Sheet("What may count as right: R@1 of these very captions if it did."),
    "summary_net_effects": Sheet(
        "A method (with one pooling) on the whole set: net effect with its interval for as many other images "
        "of this kind, tests, placebo, marks.",
        TWO,
        P_VALUES | {"p_holm": significant},
    ),
    "summary_matrix": Sheet(
        "A method: the part of each category that it recovers, and how far above its placebo, with intervals "
        "for other failures like these, and marks.",
        TWO,
    ),
    "summary_subset_results": Sheet(
        "A method on one set of queries, with everything that was measured on it and its marks; intervals "
        "are for other queries like these.",
        TWO,
        {"tau": str, "share_of_labelled_failures": SIX},
    ),
    "summary_plan": Sheet("Something that the sizes of the draw promised before anybody labeled."),
    "summary_power": Sheet(
        "A kind of methods: the smallest net effect on R@1 that the test finds in four of five studies, "
        "after Holm, for as many other images of this kind, and the CONTROL_SIZE that one point takes.",
        TWO,
    ),
    "summary_differences": Sheet(
        "Two corrections of hubs: the first one's R@1 less the second one's, with intervals for as many "
        "other images of this kind, of the pair by itself and of all pairs at once.",
        TWO,
    ),
    "summary_compared": Sheet(
        "Another model on the same captions: net effect in the first one's place with its interval for as "
        "many other images of this kind, tests, shared failures, and what it has right of the first's.",
        TWO,
        P_VALUES | {"p_holm": significant} | dict.fromkeys(OF_MODELS, SIX),
    ),
    "summary_compared_categories": Sheet(
        "Another model on one category of the first one's failures: the share that it has right, next to "
        "that of all failures, with intervals for other failures like these."
    ),
    "summary_failed_by_all": Sheet(
        "All failures of the first model, or one category of them: those that every compared model fails too."
    ),
    "summary_baseline": Sheet(
        "A measure in one direction, with its interval for as many other images of this kind.",
        others={"published": TWO, "difference_points": TWO},
    ),
    "summary_agreement": Sheet(
        "A coefficient at one level, over all raters or for a pair, with its interval for other items of the "
        "same raters."
    ),
    "summary_sensitivity": Sheet(
        "What a share would be if annotators err as an assumption says: never in place of the counts."
    ),
    "summary_assisted": Sheet(
        "A category: its share by people alone, by a model alone (with its bias in points), and by both, "
        "with intervals for all failures of these very captions, and what the model's labels are worth.",
        others=dict.fromkeys(("bias_pp", "bias_pp_low", "bias_pp_high"), FOUR) | {"worth": fixed(1)},
    ),
    "summary_model_agreement": Sheet("A coefficient at one level, of people's labels and a model's."),
    "summary_raters": Sheet(
        "An annotator: how many items are labeled and missing, and the time that a page recorded.",
        others={"seconds_an_item": fixed(1)},
    ),
    "summary_retest": Sheet(
        "A coefficient of an annotator's first and second answers, with its interval for other items."
    ),
    "summary_probe": Sheet(
        "A type of change: how often the probe is right, and whether the same captions fail in retrieval, "
        "with intervals for as many other images of this kind.",
        others={"published": TWO},
    ),
    "summary_probe_categories": Sheet(
        "A category, or several that one type does not split: accuracy on the probe next to the share of "
        "failures per mention, with an interval for all failures of these very captions."
    ),
    "summary_probe_labeled": Sheet("Labeled failures of a category whose caption has an item of a type."),
    "summary_examples": Sheet("A failure shown in this report."),
    "summary_cautions": Sheet("Something that limits the study."),
    "summary_provenance": Sheet("Something that was set or measured before."),
    "figures/category_distribution": Sheet("A category: its share of the labeled failures."),
    "figures/ambiguous_vs_clear": Sheet(f"{AMBIGUOUS}, one of its subtypes, or clear."),
    "figures/gt_rank": Sheet("A category: quantiles of the ground truth's rank.", TWO),
    "figures/agreement": Sheet("A coefficient at one level, over all raters."),
    "figures/confusion": Sheet(
        "Two categories: how often one rater gave the one and another rater the other."
    ),
    "figures/probe": Sheet("A type of change: accuracy, and the odds ratio of failing in retrieval."),
    "figures/net_effect": Sheet("A method: net effect and placebo, with intervals and marks.", TWO),
    "figures/gained_lost": Sheet("A method: points of R@1 gained and lost, and its marks.", TWO),
    "figures/failure_overlap": Sheet("Another model: captions that both models, one or neither fails."),
    "figures/hubness": Sheet(
        "A method, at one k: skewness of the k-occurrence, top image, images that never come up.", FOUR
    ),
}


def of(sources: Sources, examples: int) -> dict[str, Rows]:
    """Name -> rows of every CSV that there is something to write into, `examples` failures a category."""
    csvs = {
        "summary_provenance": provenance(sources),
        "summary_baseline": label_rows.baseline(sources.baseline),
        "summary_plan": plan_rows.planned(sources.draw, plan.read_pace(sources.failure_dir)),
    }
    labels, measured = sources.labels, sources.measured
    status = None if labels is None else labels.status
    if labels is not None:
        csvs |= _on_labels(sources, labels, examples)
    if measured is not None:
        csvs |= _on_fixes(measured, status)
    if sources.probe is not None:
        csvs |= probe_rows.of(sources.probe, status)
    csvs["summary_cautions"] = [caution._asdict() for caution in cautions.of(sources)]
    return {name: rows for name, rows in csvs.items() if rows}


def _on_labels(sources: Sources, labels: Labels, examples: int) -> dict[str, Rows]:
    return {
        "summary_failures": label_rows.failures(labels, sources.population, sources.recall),
        "summary_if_right": label_rows.counted_as_right(labels, sources.recall),
        "summary_agreement": label_rows.agreement(labels),
        "summary_sensitivity": label_rows.assumed(labels),
        "summary_assisted": assisted_rows.shares(labels),
        "summary_model_agreement": assisted_rows.agreement(labels),
        "summary_raters": label_rows.raters(labels),
        "summary_retest": label_rows.second_answers(labels),
        "figures/category_distribution": assisted_rows.next_to(label_rows.shares(labels), labels),
        "figures/ambiguous_vs_clear": label_rows.ambiguous(labels),
        "figures/gt_rank": label_rows.gt_rank(labels),
        "figures/agreement": label_rows.agreement_overall(labels),
        "figures/confusion": label_rows.confusion(labels),
        "summary_examples": label_rows.examples(labels, examples),
    }


def _on_fixes(measured: Measured, status: str | None) -> dict[str, Rows]:
    """status: of the labels; None without any."""
    return {
        "summary_net_effects": fix_rows.net_effects(measured),
        "summary_matrix": fix_rows.matrix(measured, status),
        "summary_subset_results": fix_rows.subset_results(measured, status),
        "summary_power": plan_rows.power(measured.index),
        "summary_differences": compared_rows.differences(measured.index),
        "summary_compared": compared_rows.models(measured.index),
        "summary_compared_categories": compared_rows.categories(measured.index, status),
        "summary_failed_by_all": compared_rows.failed_by_all(measured.index, status),
        "figures/failure_overlap": compared_rows.overlap(measured.index),
        "figures/net_effect": fix_rows.forest(measured.index),
        "figures/gained_lost": fix_rows.gained_lost(measured),
        "figures/hubness": fix_rows.hubness(measured),
    }


def provenance(sources: Sources) -> Rows:
    """What was run: cache, draw, labels, improvements, versions. What is not known is left out."""
    values = _of_cache(sources) | _of_labels(sources) | _of_improvements(sources)
    values["versions of step 1"] = _listed(sources.baseline.versions)
    values["versions of step 5"] = _listed(files.versions("numpy", "matplotlib"))
    return [{"what": what, "value": value} for what, value in values.items() if value not in (None, "")]


def _of_cache(sources: Sources) -> dict[str, object]:
    made, captions = sources.baseline.made_with, sources.baseline.text_to_image
    return {
        "model": made.model,
        "vectors made by": made.maker,
        "vectors imported from": made.imported_from,
        "revision": made.revision,
        "image processor": made.processor,
        "encoded in": made.dtype,
        "images": captions.gallery,
        "captions": captions.n,
        "seed of the sample": made.seed,
        "annotation file": made.annotation_file,
        "its SHA-256": made.fingerprints.annotation_file,
        "cache": sources.baseline.cache.fingerprint,
        "failures at R@1": sources.population,
    }


def _of_labels(sources: Sources) -> dict[str, object]:
    labeled = None if sources.labels is None else len(sources.labels.failures)
    if sources.draw is None:
        return {"failures with a label that counts": labeled}
    design = sources.draw.settings
    return {
        "seed of the draw": design.SEED,
        "annotators": ", ".join(design.ANNOTATORS),
        "failures drawn, backups aside": design.SAMPLE_SIZE,
        "of them for every annotator": design.OVERLAP_SIZE,
        "failures with a label that counts": labeled,
    }


def _of_improvements(sources: Sources) -> dict[str, object]:
    if sources.measured is None:
        return {}
    index = sources.measured.index
    bank, settings = index.bank, index.settings
    return {
        "seed of step 6": settings["SEED"],
        "run of step 6": index.mark,
        "templates, tau": f"{settings['K_TEMPLATES']}, {settings['TAU']:g}",
        "failures and successes ranked where texts are encoded": settings["CONTROL_SIZE"],
        "bank": bank and f"{bank.size:,} captions of {bank.file}",
        "p-values adjusted over": index.family,
    }


def _listed(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def write(folder: Path, csvs: dict[str, Rows]) -> dict[str, Csv]:
    """Write every CSV, and read it back as text."""
    written = {}
    for name, rows in csvs.items():
        path, columns = folder / f"{name}.csv", list(rows[0])
        files.write_csv(path, columns, [_cells(row, SHEETS[name]) for row in rows])
        written[name] = Csv(f"{name}.csv", files.read_csv(path, columns, AGAIN))
    return written


def _cells(row: dict, sheet: Sheet) -> dict[str, object]:
    """A row as it is written: numbers that are not whole in their column's form, None as blank."""
    cells = {}
    for column, value in row.items():
        form = sheet.others.get(column, sheet.form)
        cells[column] = form(value) if isinstance(value, float) else "" if value is None else value
    return cells


def remove_stale(folder: Path, written: set[str]) -> list[str]:
    """Delete what an earlier run of this step wrote and this one has nothing for; returns the names."""
    ours = [f"figures/{name}.{kind}" for name in figures.FIGURES for kind in ("csv", "png", "pdf")]
    ours += [f"tables/{name}.tex" for name in sorted(study_tables.LATEX)]
    ours += [f"{TABULAR}/{name}.tex" for name in sorted(study_tables.LATEX)]
    ours += sorted(path.name for path in folder.glob("summary_*.csv"))
    stale = [name for name in ours if name not in written and (folder / name).is_file()]
    for name in stale:
        (folder / name).unlink()
    return stale
