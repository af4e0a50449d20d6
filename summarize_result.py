"""Step 5 of 6: turn labels and results into tables, figures and a report that anybody can read.

Run:    python summarize_result.py      after step 4, and again after step 6
Reads:  final_results/baseline.json; failure_analysis/ (merged labels, shares, agreement, failure_samples.csv,
        pictures); final_results/net_effects.json and the methods' results in cells/ that it lists, probe.json
Writes: final_results/: report.html (everything in one file), summary_*.csv, figures/ (PNG and PDF, each with
        the CSV that it is drawn from), tables/ (LaTeX)
Takes:  some seconds, on any laptop. What was not found is named in the report and left out
"""

from pathlib import Path

from common import files, say
from common.commands import command
from common.errors import SettingError, reported
from common.labels.taxonomy import AMBIGUOUS
from common.report import document, figures, fix_rows, inputs, label_rows, study_tables, summaries, tables
from common.report.inputs import Sources
from common.report.label_inputs import Labels
from common.report.tables import Csv, Rendered
from common.settings import Settings, override, shown

# ---- settings ----------------------------------------------------------------------------------------------
EXAMPLES_PER_CATEGORY: int = 3  # failures of each category shown in the report; 0 means none
FIGURE_DPI: int = 300  # pixels an inch of the PNG figures, which are 3.5 inches wide
STUDY_DIR: str | None = None  # folder of one study, with the three below in it; None: the project's own
CACHE_DIR: str = "cache"  # frozen embeddings; only their meta file is read, and it may be missing
FAILURE_DIR: str = "failure_analysis"  # merged labels, agreement, pictures
RESULT_DIR: str = "final_results"  # baseline.json, step 6's results, and everything that this step writes
# ------------------------------------------------------------------------------------------------------------


def check(settings: Settings) -> None:
    """Refuse what no run can do, naming what is legal. Raises SettingError."""
    if not 0 <= settings.EXAMPLES_PER_CATEGORY <= document.MOST_EXAMPLES:
        raise SettingError(
            f"EXAMPLES_PER_CATEGORY = {settings.EXAMPLES_PER_CATEGORY}: should be 0 to "
            f"{document.MOST_EXAMPLES}, so that the report stays small enough to be sent"
        )
    if not 50 <= settings.FIGURE_DPI <= 1200:
        raise SettingError(f"FIGURE_DPI = {settings.FIGURE_DPI}: should be 50 to 1200")


def write_figures(folder: Path, csvs: dict[str, Csv], dpi: int) -> dict[str, bytes]:
    """PNG and PDF of every figure that there is a CSV for; returns their SVGs for the report, by name."""
    drawn = {}
    for name in figures.FIGURES:
        if f"figures/{name}" in csvs:
            kinds = figures.draw(name, csvs[f"figures/{name}"].rows, dpi)
            drawn[name] = kinds.pop("svg")  # sharp at any size inside the page, and smaller than a PNG
            for kind, data in kinds.items():
                files.write_bytes(folder / "figures" / f"{name}.{kind}", data)
    return drawn


def write_tables(folder: Path, csvs: dict[str, Csv]) -> dict[str, Rendered]:
    """Every table that there is a CSV for, by name; those for papers are also written as LaTeX."""
    rendered = {name: tables.render(table) for name, table in study_tables.of(csvs).items()}
    for name in rendered.keys() & study_tables.LATEX:
        files.write_bytes(folder / "tables" / f"{name}.tex", rendered[name].latex.encode("utf-8"))
        tabular = folder / summaries.TABULAR / f"{name}.tex"
        files.write_bytes(tabular, rendered[name].tabular.encode("utf-8"))
    return rendered


def write_report(
    sources: Sources, csvs: dict[str, Csv], drawn: dict[str, bytes], rendered: dict[str, Rendered]
) -> None:
    """Everything in one page, made from the CSVs: it says nothing that they don't."""
    # What a method's name means is said by step 6, which knows its methods.
    parts = sources.measured.index.parts if sources.measured else []
    page = document.page(
        csvs, {name: table.html for name, table in rendered.items()}, drawn, parts, sources.failure_dir
    )
    files.write_bytes(sources.folder / "report.html", page)


def say_read(sources: Sources) -> None:
    """What was read, and what is missing."""
    found = sources.baseline.text_to_image
    counts = f"{say.number(found.n)} captions, {say.number(found.gallery)} images"
    print(f"Read {shown(sources.folder / inputs.BASELINE)}: {counts}")
    if sources.labels is None:
        print(f"  no labels were found in {shown(sources.failure_dir)}/, so nothing is said of categories")
    else:
        n = say.items(len(sources.labels.failures), "label")
        print(f"Read {n} of {say.items(sources.population, 'failure')}; {sources.labels.status}")
    if sources.measured is None:
        print("  no improvements were found; they are optional")
    else:
        n_results = sum(len(method.sets) for method in sources.measured.methods)
        n_methods = len(sources.measured.index.net_effects)
        counted = f"{say.items(n_methods, 'method')} (each pooling counts as one)"
        print(f"Read {say.items(n_results, 'result')} of step 6: {counted}")
    if sources.probe is not None:
        print(f"Read {say.items(sources.probe.joined, 'item')} of a probe of {sources.probe.model}")
    for note in sources.notes:
        print(f"  {note}")


def say_result(sources: Sources) -> None:
    """The headline numbers, each with its n, its marks, and whom its interval is about."""
    found, recall = sources.baseline.text_to_image, sources.baseline.text_to_image.r1
    counted = f"{say.number(found.n)} captions, {say.number(found.gallery)} images"
    print(f"R@1 = {say.share(recall.value, recall.low, recall.high)} over {counted}", end="")
    print("; the interval is for as many other images of this kind")
    if sources.labels is not None:
        say_labels(sources.labels, recall.value)
    best = fix_rows.best_fix(sources.measured.index) if sources.measured else None
    if best is not None:
        net = best.net_effect["R@1"]
        effect = say.points(net.value, net.low, net.high)
        named = f"{best.name}{''.join(f' ({mark})' for mark in best.marks.words)}"
        adjusted = "" if best.p_holm is None else f", {say.p(best.p_holm)} (Holm)"
        lead = "Best fix:" if best.helps else "No fix helps. The best one is"
        print(f"{lead} {named}, {effect} on R@1{adjusted}")
    for model in sources.measured.index.compared if sources.measured else []:
        net = model.net_effect["R@1"]
        effect = say.points(net.value, net.low, net.high)
        print(f"{model.name} in place of this model: {effect} on R@1, {say.p(model.p_holm)} (Holm)")


def say_labels(labels: Labels, recall: float) -> None:
    """What the labels say of the failures, and of R@1 on these very captions."""
    share = labels.share(AMBIGUOUS)
    given = say.share(share.share, share.low, share.high)
    print(f"{AMBIGUOUS}: {given} of {say.items(share.total, 'labeled failure')}; {share.status}")
    for row in label_rows.counted_as_right(labels, recall):
        right = say.share(row["R@1_if_right"], row["R@1_if_right_low"], row["R@1_if_right_high"])
        print(f"  R@1 of these captions = {right}, counting as right: {row['words']}")


def say_written(sources: Sources, written: list[str], stale: list[str]) -> None:
    """Each path, and what comes next."""
    where = shown(sources.folder)
    names = [name for name in written if name.startswith("summary_")]
    print(f"Wrote in {where}/: {', '.join(names)}")
    n_figures = sum(name.endswith(".png") for name in written)
    if n_figures:
        print(
            f"Wrote {where}/figures/: {say.items(n_figures, 'figure')} as .png and .pdf, "
            "with the .csv of each"
        )
    n_tables = sum(name.startswith(summaries.TABULAR) for name in written)
    print(f"Wrote {where}/tables/: {say.items(n_tables, 'LaTeX table')} (booktabs), bare ones in tabular/")
    if stale:
        print(f"  removed outdated files of an earlier run: {', '.join(stale)}")
    print(f"Wrote {where}/report.html")
    if sources.labels is None:
        print(f"Next: {command('merge_assignments.py')}, then this again")
    elif sources.measured is None:
        print(
            f"Next, if you like: {command('improve_subset.py')}, then this again. "
            "The report is complete without it"
        )
    else:
        print(f"Next: open {where}/report.html in a browser")


@reported
def main() -> None:
    settings = override(globals())
    check(settings)
    sources = inputs.read(settings.CACHE_DIR, settings.FAILURE_DIR, settings.RESULT_DIR)
    say_read(sources)

    # Figures, tables and the page are made from the CSVs as they were written: one can look up every number.
    folder = sources.folder
    csvs = summaries.write(folder, summaries.of(sources, settings.EXAMPLES_PER_CATEGORY))
    drawn = write_figures(folder, csvs, settings.FIGURE_DPI)
    rendered = write_tables(folder, csvs)
    write_report(sources, csvs, drawn, rendered)

    # An earlier run may have had labels or improvements that are gone: its files would contradict this page.
    written = [f"{name}.csv" for name in csvs]
    written += [f"figures/{name}.{kind}" for name in drawn for kind in ("png", "pdf")]
    written += [
        f"{where}/{name}.tex"
        for where in ("tables", summaries.TABULAR)
        for name in rendered.keys() & study_tables.LATEX
    ]
    stale = summaries.remove_stale(folder, set(written))
    say_result(sources)
    say_written(sources, written, stale)


if __name__ == "__main__":
    main()
