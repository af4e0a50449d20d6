"""Step 5 on the bundled sample: every number of the report is in its CSV; what it says, refuses, removes."""

import os
import re
import shutil
from pathlib import Path

import pytest

from common import files, records, results
from common.report import document
from common.report.figures import FIGURES
from common.retrieval import meta
from tests.support import running
from tests.support import summary_study as study_of
from tests.support.folders import Folders
from tests.support.running import without_folders
from tests.support.summary_study import (
    change_json,
    copy_of,
    drawn_once,
    merge,
    page,
    run,
    says,
    summarize,
    table,
    write_table,
)

torch = pytest.importorskip("torch", reason="the study is drawn and improved with torch")


@pytest.fixture
def whole(sample_study) -> Folders:
    """The sample, labeled with errors, merged, improved by few methods, and summarized."""
    return sample_study


@pytest.fixture
def study(whole, tmp_path) -> Folders:
    """A copy that the test may change."""
    return copy_of(whole, tmp_path)


# ---- states that a study can be in -----------------------------------------------------------------------


def no_labels(study: Folders) -> None:
    study_of.without_improvements(study)
    study_of.without_probe(study)
    (study.failures / "annotations_clean.csv").unlink()


def no_improvements(study: Folders) -> None:
    study_of.without_improvements(study)


def improvements_alone(study: Folders) -> None:
    (study.failures / "annotations_clean.csv").unlink()


def sheets(study: Folders) -> list[Path]:
    """The sheets that hold labels."""
    return sorted(study.failures.glob("assign_*.csv"))


def one_category_empty(study: Folders) -> None:
    for path in sheets(study):
        write_table(path, [row for row in table(path) if row["category"] != "Spatial"])
    merge(study, "--bootstrap-rounds", 50)


def one_label(study: Folders) -> None:
    for path in sheets(study):
        first = [row | {"category": "", "ambiguous_subtype": ""} for row in table(path)]
        if path.stem == "assign_A":
            first = table(path)[:1]
        write_table(path, first)
    merge(study, "--bootstrap-rounds", 50)


def one_annotator(study: Folders) -> None:
    for path in study.failures.glob("assign_*"):
        if path.stem not in ("assign_A", "assign_overlap_A"):
            path.unlink()
    merge(study, "--bootstrap-rounds", 50)


def no_pictures_and_no_samples(study: Folders) -> None:
    for folder in study.failures.glob("vis_*"):
        shutil.rmtree(folder)
    (study.failures / "failure_samples.csv").unlink()


def no_exact_method(study: Folders) -> None:
    change_json(
        study.results / "net_effects.json",
        lambda index: index.update(
            net_effects=[row for row in index["net_effects"] if not row["marks"]["exact"]]
        ),
    )


def no_method_at_all(study: Folders) -> None:
    change_json(
        study.results / "net_effects.json",
        lambda index: index.update(
            net_effects=[], cells=[], differences=[], left_out={"nnn": "there is no bank"}
        ),
    )


def no_probe(study: Folders) -> None:
    study_of.without_probe(study)


def untouched(study: Folders) -> None:
    pass


STATES = [untouched, no_probe, no_labels, no_improvements, improvements_alone, one_category_empty, one_label]
STATES += [one_annotator, no_pictures_and_no_samples, no_exact_method, no_method_at_all]
# What each state has to say of what is missing, and which figures it can't have.
FROM_LABELS = {"category_distribution", "ambiguous_vs_clear", "gt_rank", "agreement", "confusion"}
FROM_METHODS = set(FIGURES) - FROM_LABELS - {"probe"}
MISSING = {
    "no_probe": ("Made by", {"probe"}),
    "no_labels": ("There are no labels yet", set(FIGURES)),
    "no_improvements": ("No improvements have been measured. They are optional", FROM_METHODS),
    "improvements_alone": ("There are no labels yet", FROM_LABELS),
    "one_label": ("No agreement can be measured", {"agreement", "confusion"}),
    "one_annotator": ("No agreement can be measured", {"agreement", "confusion"}),
    "no_pictures_and_no_samples": ("Ranks are not shown", {"gt_rank"}),
    "no_exact_method": ("Hubs are not shown", {"hubness"}),
    "no_method_at_all": ("No improvements have been measured", FROM_METHODS - {"failure_overlap"}),
}
# Digits that are no numbers of the study.
NO_NUMBER = re.compile(
    r"R@(1|5|10)\b|\b(95|5)%|step [1-6]|AC1|share × \(1 − R@1\)|k = (1|10):|an alpha of 0\.8|of 0\.667"
)


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_every_number_of_the_report_is_in_its_csv(state, study):
    state(study)
    summarize(study)
    taken = page(study)
    csvs = {name: table(study.results / name) for name in {number.csv for number in taken.numbers}}
    wrong = [one for one in taken.numbers if not says(one, csvs[one.csv][one.row - 2])]
    assert not wrong, wrong[:5]
    assert len(taken.numbers) > 20
    rest = NO_NUMBER.sub("", " ".join(" ".join(taken.plain).split()))
    assert not re.findall(r".{20}\d.{20}", rest), "numbers without a source"
    check_what_is_missing(study, taken, *MISSING.get(state.__name__, ("Made by", set())))


def check_what_is_missing(study: Folders, taken: study_of.Page, text: str, absent: set[str]) -> None:
    shown = " ".join(" ".join(taken.plain).split())
    assert text in shown
    drawn = study.results / "figures"
    names = [{path.stem for path in drawn.glob(f"*.{kind}")} for kind in ("csv", "png", "pdf")]
    assert names[0] == names[1] == names[2] == {name for name in FIGURES if name not in absent}
    assert "nan" not in shown.lower().split() and "None" not in shown.split()
    for path in [*study.results.glob("summary_*.csv"), *drawn.glob("*.csv")]:
        cells = {cell for row in table(path) for cell in row.values()}
        assert cells and not cells & {"nan", "None", "inf"}, path.name


def test_links_lead_to_files_and_nothing_is_loaded(whole):
    taken = page(whole)
    inside = {link for link in taken.links if link.startswith("#")}
    assert all((whole.results / link).is_file() for link in set(taken.links) - inside)
    written = {path.relative_to(whole.results).as_posix() for path in whole.results.rglob("*.csv")}
    linked = {link for link in taken.links if link.endswith(".csv")}
    assert linked == {name for name in written if not name.startswith("cells/")}
    assert all(source.startswith("data:image/") for source in taken.sources)
    assert len(taken.sources) == len(FIGURES) + len(table(whole.results / "summary_examples.csv"))
    assert not taken.tags & {"script", "link", "iframe", "object", "video"}
    policy = re.search('Content-Security-Policy" content="([^"]+)"', taken.raw)[1]
    assert policy.startswith("default-src &#39;none&#39;; img-src data:;")


def test_the_report_stays_small_with_many_examples(study):
    """With as many as there can be, and every figure in it."""
    summarize(study, "--examples-per-category", document.MOST_EXAMPLES, draw=drawn_once)
    n = len(table(study.results / "summary_examples.csv"))
    assert n > 70
    assert (study.results / "report.html").stat().st_size < 10_000_000
    assert len(page(study).sources) == len(FIGURES) + n


# ---- what is said, and reruns -----------------------------------------------------------------------------


def test_the_console_says_what_comes_next(whole):
    before = whole.said["summarize_result.py, without improvements"]
    after = whole.said["summarize_result.py"]
    assert "no improvements were found; they are optional" in before
    assert (
        without_folders(before)
        .splitlines()[-1]
        .startswith("Next, if you like: python improve_subset.py, then this again")
    )
    assert after.splitlines()[-1].startswith("Next: open ")
    for name in ("summary_failures.csv", "report.html", "figures/", "tables/"):
        assert name in before
    for line in after.splitlines():
        for path in re.findall(r"Wrote (\S+?)[/:]", line):
            assert os.path.isdir(path) or os.path.isfile(path), line


def test_the_console_gives_headline_numbers_with_intervals(whole):
    """In the one format, and the same as in the CSVs."""
    said = whole.said["summarize_result.py"]
    share = r"(\d+\.\d\d)% \[(\d+\.\d\d), (\d+\.\d\d)\]"
    found = {
        "summary_baseline": re.search(rf"R@1 = {share} over 2,700 captions", said),
        "summary_failures": re.search(
            rf"Ambiguous: {share} of \d+ labeled failures; (?:final|provisional)", said
        ),
    }
    for name, shown in found.items():
        row = table(whole.results / f"{name}.csv")[0]
        cells = [row["share" if name == "summary_failures" else "value"], row["low"], row["high"]]
        assert shown.groups() == tuple(f"{100 * float(cell):.2f}" for cell in cells)
    row = table(whole.results / "summary_if_right.csv")[0]
    right = re.search(rf"R@1 of these captions = {share}, counting as right: Ambiguous with a subtype", said)
    cells = [row[f"R@1_if_right{end}"] for end in ("", "_low", "_high")]
    assert right.groups() == tuple(f"{100 * float(cell):.2f}" for cell in cells)
    best = table(whole.results / "summary_net_effects.csv")[0]
    points = [f"{float(best[name]):+.2f}" for name in ("net_R@1", "low_R@1", "high_R@1")]
    lead = "Best fix:" if best["helps"] == "True" else "No fix helps. The best one is"
    named = "".join(f" ({mark})" for mark in best["marks"].split("; ") if mark)
    effect = f"{points[0]} points [{points[1]}, {points[2]}] on R@1, p "
    assert f"{lead} {best['name']}{named}, {effect}" in said
    n = len(table(whole.results / "summary_subset_results.csv"))
    assert f"Read {n} results of step 6: 6 methods (each pooling counts as one)" in said


def test_without_labels_the_next_command_is_to_merge(study):
    no_labels(study)
    out = summarize(study)
    assert (
        "no labels were found in " in out
        and "Next: python merge_assignments.py, then this again" in without_folders(out)
    )


def test_a_rerun_without_torch_writes_the_same_bytes(study):
    """In another process, where Python's hash seed differs and torch can't be imported."""

    def state() -> dict[str, bytes]:
        kinds = ("report.html", "summary_*.csv", "figures/*", "tables/*.tex", "tables/tabular/*")
        return {str(path): path.read_bytes() for kind in kinds for path in study.results.glob(kind)}

    before = state()
    assert len(before) > 40
    options = study.options("cache", "failure", "result")
    for path in study.results.glob("figures/*"):
        path.unlink()
    env = os.environ | {"PYTHONHASHSEED": "1"}
    again = running.apart("summarize_result.py", *options, without=("torch", "transformers"), env=env)
    assert (again.status, again.err) == (0, "")
    assert state() == before


def test_outdated_files_of_an_earlier_run_are_removed(study):
    (study.results / "figures" / "my_own.png").write_bytes(b"mine")
    no_labels(study)
    out = summarize(study)
    assert "removed outdated files of an earlier run: figures/category_distribution.csv, " in out
    left = {path.name for path in study.results.rglob("*") if path.is_file()}
    assert (study.results / "tables" / "tabular" / "baseline.tex").is_file()
    assert left == {"baseline.json", "report.html", "my_own.png", "baseline.tex"} | {
        f"summary_{name}.csv" for name in ("baseline", "plan", "provenance", "cautions")
    }


def test_latex_tables_hold_the_same_numbers(whole):
    text = (whole.results / "tables" / "failures.tex").read_text(encoding="utf-8")
    rows = table(whole.results / "summary_failures.csv")
    body = text.split("\\midrule\n")[1].split("\\bottomrule")[0].strip().splitlines()
    counts = [[row["category"], f"{row['n']} of {row['total']}"] for row in rows]
    assert [line.split(" & ")[:2] for line in body] == counts
    assert f"{100 * float(rows[0]['share']):.2f}\\% [" in body[0]
    for path in (whole.results / "tables").glob("*.tex"):
        source = path.read_text(encoding="utf-8")
        assert source.count("{") == source.count("}")
        assert all(
            rule in source for rule in ("\\toprule", "\\midrule", "\\bottomrule", "\\caption", "\\label")
        )
        assert not re.search(r"(?<!\\)[%#](?! \\usepackage)|[–−]", source)
        columns = re.search(r"begin\{tabular\}\{(\w+)\}", source)[1]
        cells = re.findall(r"^.* \\\\$", source, re.MULTILINE)
        assert cells and all(line.count(" & ") == len(columns) - 1 for line in cells)


# ---- cautions, comparison, errors -------------------------------------------------------------------------


def cautions(study: Folders) -> str:
    return "\n".join(row["caution"] for row in table(study.results / "summary_cautions.csv"))


def test_cautions_name_what_limits_this_study(whole):
    said = cautions(whole)
    assert "This is the bundled sample" in said
    assert re.search(r"Only \d+ failures have a label, so a share near one half is known to within", said)
    assert "Too few items to draw conclusions about these categories: " in said
    assert "labeled by one person alone" in said
    assert "Extra knowledge: tfidf. " in said and "Dealt: category (max). " in said
    assert "The best of 4 fixes was picked for being best" in said or "No fix helps" in said
    assert "Estimated: prompts (max), " in said or "Estimated: category (max), " in said


def test_labels_merged_again_after_step_6_are_reported(study):
    path = study.failures / "assign_A.csv"
    write_table(path, table(path)[1:])
    merge(study, "--bootstrap-rounds", 50)
    assert "labels were merged again after improvements had been measured" in summarize(study)
    assert "Labels were merged again" in cautions(study)


def test_improvements_of_another_cache_are_left_out(study):
    change_json(study.results / "net_effects.json", lambda index: index["identity"].update(cache="0" * 16))
    assert "was measured on another cache, so improvements are left out" in summarize(study)
    assert not (study.results / "summary_net_effects.csv").exists()


def test_failures_of_another_cache_are_reported(study):
    change_json(study.failures / "manifest.json", lambda manifest: manifest.update(fingerprint="0" * 16))
    assert "was made from another cache" in summarize(study)
    assert "was made from another cache" in cautions(study)


def test_published_values_are_shown_where_settings_match(study):
    assert "published" not in " ".join(page(study).plain).split("There are no published values")[0].lower()
    compared = {
        "published": {"R@1": 30.44, "R@5": 54.77, "R@10": 66.24},
        "difference_points": {"R@1": -0.37, "R@5": 0.01, "R@10": 0.0},
        "agrees": False,
    }
    change_json(study.results / "baseline.json", lambda baseline: baseline.update(comparison=compared))
    summarize(study)
    numbers = [one for one in page(study).numbers if one.csv == "summary_baseline.csv"]
    found = {(one.column, one.text) for one in numbers}
    assert {("published", "30.44%"), ("difference_points", "\u22120.37")} <= found
    assert "differs from the published baseline" in cautions(study)


def test_without_a_cache_the_baseline_says_what_it_was(study):
    shutil.rmtree(study.root / "cache")
    out = summarize(study)
    assert "the cache was not found, so captions were not compared" in out
    assert (study.results / "summary_net_effects.csv").is_file()


def hard_ones_left_blank(study: Folders) -> int:
    """Nobody labels what is Ambiguous, as people do who skip what is hard; returns how many failures."""
    every, labeled = set(), set()
    for path in sheets(study):
        rows = table(path)
        for row in rows:
            if row["category"].startswith("Ambiguous"):
                row |= {"category": "", "ambiguous_subtype": ""}
            every.add(row["idx"])
            labeled |= {row["idx"]} if row["category"] else set()
        write_table(path, rows)
    merge(study, "--bootstrap-rounds", 50)
    return len(every - labeled)


def test_labels_that_are_missing_are_told_and_bounded(study):
    """In every table that uses them, and never "at random"."""
    before = {row["category"]: row for row in table(study.results / "summary_failures.csv")}["Ambiguous"]
    n = hard_ones_left_blank(study)
    assert n > 5
    status = re.search(rf"provisional: {n} of 80 without a label.*", summarize(study))[0]
    for name in ("summary_failures", "summary_if_right", "figures/category_distribution", "figures/gt_rank"):
        assert {row["status"] for row in table(study.results / f"{name}.csv")} == {status}, name
    assert {row["labels"] for row in table(study.results / "summary_matrix.csv")} == {status}
    rows = table(study.results / "summary_subset_results.csv")
    assert {row["labels"] for row in rows} == {status, ""}
    escaped = status.replace("_", "\\_")
    for name in ("failures", "if_right", "matrix", "subset_Count"):
        assert escaped in (study.results / "tables" / f"{name}.tex").read_text().replace("~", " "), name
    row = table(study.results / "summary_failures.csv")[0]
    lacks = int(row["missing"]) + int(row["waiting"])
    assert (row["drawn"], int(row["missing"])) == ("80", n)
    bounds = (int(row["n"]) / 80, (int(row["n"]) + lacks) / 80)
    assert [float(row["least"]), float(row["most"])] == pytest.approx(bounds, abs=1e-6)
    assert float(row["high"]) < float(before["share"]), "the interval alone would not have said so"
    bounds = {
        row["counted"]: float(row["R@1_if_right"]) for row in table(study.results / "summary_if_right.csv")
    }
    assert bounds["none of the missing"] <= bounds["fits"] < bounds["all of the missing"]
    assert f"Provisional: {n} of 80 drawn failures have no label" in cautions(study)
    shown = " ".join(" ".join(page(study).plain).split())
    assert "drawn at random, have a label" not in shown and "of them were drawn at random;" in shown


def test_unsure_labels_are_not_counted_as_right(study):
    """Without a subtype nobody said that the retrieved image fits."""
    for path in sheets(study):
        rows = table(path)
        for row in rows[::2]:
            row["ambiguous_subtype"] = ""
        write_table(path, rows)
    merge(study, "--bootstrap-rounds", 50)
    out = summarize(study)
    labels = table(study.failures / "annotations_clean.csv")
    n = sum(bool(row["ambiguous_subtype"]) for row in labels)
    ambiguous = sum(row["category"] == "Ambiguous" for row in labels)
    fits, every = table(study.results / "summary_if_right.csv")[:2]
    assert (fits["counted"], every["counted"]) == ("fits", "fits or unsure")
    assert (int(fits["n"]), int(every["n"])) == (n, ambiguous) and n < ambiguous
    assert float(fits["R@1_if_right"]) < float(every["R@1_if_right"])
    assert f"{ambiguous - n} Ambiguous failure" in cautions(study)
    assert "counting as right: all Ambiguous, so the unsure ones too" in out


def test_a_table_that_a_spreadsheet_saved_is_read(study):
    path = study.failures / "annotations_clean.csv"
    before = (study.results / "summary_failures.csv").read_bytes()
    rows = table(path)
    lines = [
        ";".join(f'"{cell}"' for cell in line) for line in [list(rows[0]), *(row.values() for row in rows)]
    ]
    path.write_bytes("\r\n".join(lines).encode("cp1252"))
    summarize(study)
    assert (study.results / "summary_failures.csv").read_bytes() == before


HOSTILE = ["<script>alert(1)</script>", '=HYPERLINK("http://x")', "-2+3", 'a & b "c" {{ 7 }} 100 % _x_']


def test_hostile_captions_are_text(study):
    """Captions of the cache itself: in a report they run nothing, in a CSV no spreadsheet runs them."""
    (meta_file,) = study.cache.glob("meta_*.json")
    content = records.read(meta_file, meta.Meta, "")
    labels, samples = (
        table(study.failures / name) for name in ("annotations_clean.csv", "failure_samples.csv")
    )
    order = {row["idx"]: int(row["order"]) for row in samples}
    first = sorted(
        (row for row in labels if row["category"] == "Ambiguous"), key=lambda row: order[row["idx"]]
    )
    hostile = dict(zip((row["idx"] for row in first), HOSTILE, strict=False))
    for row in [*labels, *samples]:
        row["caption"] = hostile.get(row["idx"], row["caption"])
    captions = [hostile.get(str(idx), text) for idx, text in enumerate(content.captions)]
    content = records.replace(content, captions=captions)
    rows = records.replace(content.fingerprints, rows=meta.rows_fingerprint(content))
    content = records.replace(content, fingerprints=rows)
    records.write(meta_file, content)
    change_json(
        study.results / "baseline.json",
        lambda baseline: baseline["cache"].update(fingerprint=content.fingerprint),
    )
    write_table(study.failures / "annotations_clean.csv", labels)
    write_table(study.failures / "failure_samples.csv", samples)
    summarize(study, "--examples-per-category", 4)
    shown = [one.text for one in page(study).numbers if one.column == "caption"]
    assert set(HOSTILE) <= set(shown)
    assert "script" not in page(study).tags
    cells = {row["caption"] for row in table(study.results / "summary_examples.csv")}
    assert {"'" + HOSTILE[1], "'-2+3"} <= cells


def fails(study: Folders, *options, status: int = 1) -> str:
    failed = run("summarize_result.py", *study.options("cache", "failure", "result"), *options)
    assert failed.status == status
    assert failed.err.startswith("error: ") and "Traceback" not in failed.err
    return failed.err


def test_results_that_do_not_belong_together_are_refused(study):
    (study.results / "report.html").unlink()
    index = files.read_json(study.results / results.INDEX)
    (study.results / index["cells"][0]).unlink()
    err = fails(study)
    again = "lists results that were not found; run `python improve_subset.py` again"
    assert again in without_folders(err)
    assert index["cells"][0] in err
    (study.results / results.INDEX).write_text('{"cells": []}')
    assert "run `python improve_subset.py` again" in without_folders(fails(study))
    change_json(
        study.results / "baseline.json", lambda baseline: baseline["cache"].update(fingerprint="0" * 16)
    )
    assert "belongs to another cache" in fails(study)
    (study.results / "baseline.json").write_text("{}")
    assert "run `python main.py` again" in without_folders(fails(study))
    (study.results / "baseline.json").unlink()
    assert "was not found: run `python main.py` first" in without_folders(fails(study))
    assert not (study.results / "report.html").exists()


def test_labels_that_step_4_did_not_write_are_refused(study):
    path = study.failures / "annotations_clean.csv"
    rows = table(path)
    write_table(path, [rows[0] | {"category": "Colour"}, *rows[1:]])
    assert "category 'Colour' is none of Ambiguous" in fails(study)
    write_table(path, [rows[0], rows[1] | {"caption": "another"}, *rows[2:]])
    err = fails(study)
    assert "'another' is not that of idx" in without_folders(
        err
    ) and "run `python merge_assignments.py` again" in without_folders(err)
    write_table(path, [{"idx": 1, "caption": "x"}])
    assert "run `python merge_assignments.py` again" in without_folders(fails(study))


def test_shares_of_other_labels_are_refused(study):
    """Labels and shares are of one merge: an interrupted one leaves the shares of the merge before it."""
    path = study.failures / "annotations_clean.csv"
    write_table(path, table(path)[1:])
    err = fails(study)
    assert "category_distribution.csv counts other labels than annotations_clean.csv holds" in err
    assert "run `python merge_assignments.py` again" in without_folders(err)


@pytest.mark.parametrize("name", ["category_distribution.csv", "confusion.csv", "agreement.json"])
def test_a_merge_that_was_interrupted_is_refused(study, name):
    (study.failures / name).unlink()
    err = fails(study)
    assert name in without_folders(err) and "run `python merge_assignments.py` again" in without_folders(err)


@pytest.mark.parametrize(
    ("option", "legal"),
    [
        ("--examples-per-category 41", "0 to 40"),
        ("--examples-per-category -1", "0 to 40"),
        ("--figure-dpi 5", "50 to 1200"),
    ],
)
def test_settings_out_of_range_exit_with_2(tmp_path, option, legal):
    """Before anything is read: there is no study here at all."""
    assert f"should be {legal}" in fails(Folders(tmp_path), *option.split(), status=2)


def test_no_examples_where_none_are_asked_for(study):
    summarize(study, "--examples-per-category", 0)
    assert "None were asked for" in " ".join(page(study).plain)
    assert not (study.results / "summary_examples.csv").exists()
