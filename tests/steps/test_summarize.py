"""Step 5 on the bundled sample: every figure of the report, every CSV by an independent calculation."""

import json
import math
import os
import re
import shutil
import statistics as plain_statistics
import subprocess
import sys
from collections import Counter, defaultdict
from itertools import combinations

import pytest

from common import files
from common.labels.taxonomy import CATEGORY_NAMES
from common.report import document
from common.report.figures import FIGURES
from tests.support import PROJECT
from tests.support import summary_study as study_of
from tests.support.summary_study import (
    Folders,
    change_json,
    copy_of,
    done,
    page,
    run,
    says,
    summarize,
    table,
    write_table,
)

torch = pytest.importorskip("torch", reason="the study is drawn and improved with torch")


@pytest.fixture(scope="session")
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
    (study.failures / "annotations_clean.csv").unlink()


def no_improvements(study: Folders) -> None:
    study_of.without_improvements(study)


def improvements_alone(study: Folders) -> None:
    (study.failures / "annotations_clean.csv").unlink()


def one_category_empty(study: Folders) -> None:
    path = study.failures / "annotations_clean.csv"
    write_table(path, [row for row in table(path) if row["category"] != "Spatial"])


def one_label(study: Folders) -> None:
    path = study.failures / "annotations_clean.csv"
    write_table(path, table(path)[:1])


def one_annotator(study: Folders) -> None:
    for path in study.failures.glob("assign_*"):
        if path.stem not in ("assign_A", "assign_overlap_A"):
            path.unlink()
    done("merge_assignments.py", *study.options("cache", "failure"), "--bootstrap-rounds", 50)


def no_pictures_and_no_samples(study: Folders) -> None:
    for folder in study.failures.glob("vis_*"):
        shutil.rmtree(folder)
    (study.failures / "failure_samples.csv").unlink()


def no_exact_method(study: Folders) -> None:
    change_json(
        study.results / "net_effects.json",
        lambda index: index.update(net_effects=[row for row in index["net_effects"] if not row["exact"]]),
    )


def no_method_at_all(study: Folders) -> None:
    change_json(
        study.results / "net_effects.json",
        lambda index: index.update(net_effects=[], cells=[], left_out={"nnn": "there is no bank"}),
    )


def untouched(study: Folders) -> None:
    pass


STATES = [untouched, no_labels, no_improvements, improvements_alone, one_category_empty, one_label]
STATES += [one_annotator, no_pictures_and_no_samples, no_exact_method, no_method_at_all]
# What each state has to say of what is missing, and which figures it can't have.
FROM_LABELS = {"category_distribution", "ambiguous_vs_clear", "gt_rank", "agreement", "confusion"}
FROM_METHODS = set(FIGURES) - FROM_LABELS
MISSING = {
    "no_labels": ("There are no labels yet", set(FIGURES)),
    "no_improvements": ("No improvements have been measured. They are optional", FROM_METHODS),
    "improvements_alone": ("There are no labels yet", FROM_LABELS),
    "one_annotator": ("No agreement can be measured", {"agreement", "confusion"}),
    "no_pictures_and_no_samples": ("Ranks aren't shown", {"gt_rank"}),
    "no_exact_method": ("Hubs aren't shown", {"hubness"}),
    "no_method_at_all": ("No improvements have been measured", FROM_METHODS),
}
# Digits that are no figures of the study.
NO_FIGURE = re.compile(r"R@(1|5|10)\b|\b(95|5) %|step [1-6]|AC1|share × \(1 − R@1\)")


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_every_figure_of_the_report_stands_in_its_csv(state, study):
    state(study)
    summarize(study)
    taken = page(study)
    csvs = {name: table(study.results / name) for name in {figure.csv for figure in taken.figures}}
    wrong = [figure for figure in taken.figures if not says(figure, csvs[figure.csv][figure.row - 2])]
    assert not wrong, wrong[:5]
    assert len(taken.figures) > 20
    rest = NO_FIGURE.sub("", " ".join(" ".join(taken.plain).split()))
    assert not re.findall(r".{20}\d.{20}", rest), "figures without a source"
    check_what_is_missing_is_said(study, taken, *MISSING.get(state.__name__, ("Made by", set())))


def check_what_is_missing_is_said(study: Folders, taken: study_of.Page, text: str, absent: set[str]) -> None:
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
    assert linked == {name for name in written if not name.startswith("ranks_")}
    assert all(source.startswith("data:image/") for source in taken.sources)
    assert len(taken.sources) == 8 + len(table(whole.results / "summary_examples.csv"))
    assert not taken.tags & {"script", "link", "iframe", "object", "video"}
    policy = re.search('Content-Security-Policy" content="([^"]+)"', taken.raw)[1]
    assert policy.startswith("default-src &#39;none&#39;; img-src data:;")


def test_the_report_stays_small_with_as_many_examples_as_there_can_be(study):
    summarize(study, "--examples-per-category", document.MOST_EXAMPLES)
    n = len(table(study.results / "summary_examples.csv"))
    assert n > 70
    assert (study.results / "report.html").stat().st_size < 10_000_000
    assert len(page(study).sources) == 8 + n


# ---- the CSVs, calculated again ----------------------------------------------------------------------------


def near(cell: str, value: float, digits: int) -> bool:
    return abs(float(cell) - value) <= 0.51 * 10**-digits


def wilson(n: int, total: int, population: int) -> tuple[float, float]:
    """Wilson's interval in its closed form, the finite-population factor on z where over 10 % are drawn."""
    z2 = 1.959963984540054**2
    if total > 0.1 * population:
        z2 *= (population - total) / (population - 1)
    p = n / total
    half = math.sqrt(z2 * p * (1 - p) / total + (z2 / total) ** 2 / 4)
    middle = p + z2 / total / 2
    return (middle - half) / (1 + z2 / total), (middle + half) / (1 + z2 / total)


def test_summary_failures_from_the_merged_labels(whole):
    labels = {row["idx"]: row["category"] for row in table(whole.failures / "annotations_clean.csv")}
    samples = {row["idx"]: row for row in table(whole.failures / "failure_samples.csv")}
    base = files.read_json(whole.results / "baseline.json")["text_to_image"]
    recall = base["R@1"]["value"]
    population = round(base["n"] * (1 - recall))
    rows = table(whole.results / "summary_failures.csv")
    assert [row["category"] for row in rows] == list(CATEGORY_NAMES)
    for row in rows:
        own = [samples[idx] for idx, category in labels.items() if category == row["category"]]
        low, high = wilson(len(own), len(labels), population)
        for name, share in (("", len(own) / len(labels)), ("_low", low), ("_high", high)):
            assert near(row[name.strip("_") or "share"], share, 6)
            assert near(row[f"gain_if_fixed_pp{name}"], 100 * share * (1 - recall), 4)
            assert near(row[f"R@1_if_right{name}"], recall + share * (1 - recall), 6)
        assert int(row["n"]) == len(own)
        if own:
            assert float(row["median_gt_rank"]) == plain_statistics.median(int(one["gt_rank"]) for one in own)
            assert near(row["median_margin"], plain_statistics.median(float(one["margin"]) for one in own), 6)
    assert (rows[0]["finite_population"], int(rows[0]["failures"])) == ("False", population)


def test_summary_failures_with_many_of_all_drawn(study):
    """The same with a draw of more than a tenth: 79 labels of 500 failures."""

    def fewer(baseline):
        baseline["text_to_image"] |= {"n": 1000}
        baseline["text_to_image"]["R@1"]["value"] = 0.5

    study_of.without_improvements(study)
    change_json(study.results / "baseline.json", fewer)
    summarize(study)
    rows = table(study.results / "summary_failures.csv")
    total = int(rows[0]["total"])
    for row in rows:
        low, high = wilson(int(row["n"]), total, 500)
        assert row["finite_population"] == "True"
        assert near(row["low"], low, 6) and near(row["high"], high, 6)
    assert "finite-population correction" in " ".join(page(study).plain)


def test_figures_of_labels_from_the_merged_labels(whole):
    labels = table(whole.failures / "annotations_clean.csv")
    ranks = {row["idx"]: int(row["gt_rank"]) for row in table(whole.failures / "failure_samples.csv")}
    for row in table(whole.results / "figures" / "gt_rank.csv"):
        own = sorted(ranks[one["idx"]] for one in labels if one["category"] == row["category"])
        assert int(row["n"]) == len(own)
        if len(own) > 1:
            quarters = plain_statistics.quantiles(own, n=4, method="inclusive")
            assert [float(row[name]) for name in ("q25", "median", "q75")] == pytest.approx(quarters)
            twentieths = plain_statistics.quantiles(own, n=20, method="inclusive")
            assert [float(row["p05"]), float(row["p95"])] == pytest.approx(
                [twentieths[0], twentieths[-1]], abs=0.01
            )
    counts = Counter("Ambiguous" if one["category"] == "Ambiguous" else "Clear" for one in labels)
    counts |= Counter(f"Ambiguous ({one['ambiguous_subtype']})" for one in labels if one["ambiguous_subtype"])
    rows = table(whole.results / "figures" / "ambiguous_vs_clear.csv")
    assert {row["label"]: int(row["n"]) for row in rows if "no subtype" not in row["label"]} == counts


def test_agreement_and_confusion_from_the_ratings(whole):
    given = defaultdict(dict)
    for row in table(whole.failures / "annotations_raw.csv"):
        given[row["idx"]][row["rater"]] = row["category"]
    pairs = Counter(
        frozenset(pair) for of in given.values() for pair in combinations(of.values(), 2) if all(pair)
    )
    rows = table(whole.results / "figures" / "confusion.csv")
    counted = Counter({frozenset((row["label_1"], row["label_2"])): int(row["n"]) for row in rows})
    assert +counted == pairs
    assert len(rows) == 28 and sum(int(row["n"]) for row in rows) == pairs.total() == 60
    agreed = next(
        row for row in table(whole.results / "summary_agreement.csv")
        if (row["level"], row["over"], row["statistic"]) == ("category", "all raters", "percent agreement")
    )  # fmt: skip
    assert near(agreed["value"], sum(n for pair, n in pairs.items() if len(pair) == 1) / 60, 6)


def ranks_of(whole: Folders, row: dict) -> list[dict]:
    name = row["file"].replace("subset_results_", "ranks_").replace(".json", ".csv")
    return table(whole.results / name)


def test_summary_subset_results_from_the_ranks(whole):
    rows = table(whole.results / "summary_subset_results.csv")
    index = files.read_json(whole.results / "net_effects.json")
    assert [row["file"] for row in rows] == index["cells"]
    checked = 0
    for row in rows:
        if row["categories"] == "all" and row["exact"] == "False":
            continue  # the next test
        ranks = ranks_of(whole, row)
        for k in (1, 5, 10):
            before, after, placebo = ([int(one[f"rank_{when}"]) <= k for one in ranks]
                                      for when in ("before", "after", "placebo"))  # fmt: skip
            n = len(ranks)
            assert near(row[f"baseline_R@{k}"], 100 * sum(before) / n, 2)
            assert near(row[f"improved_R@{k}"], 100 * sum(after) / n, 2)
            assert near(row[f"delta_pp_R@{k}"], 100 * (sum(after) - sum(before)) / n, 2)
            assert near(row[f"placebo_delta_pp_R@{k}"], 100 * (sum(placebo) - sum(before)) / n, 2)
            gained = sum(new and not old for old, new in zip(before, after, strict=True))
            lost = sum(old and not new for old, new in zip(before, after, strict=True))
            assert (int(row[f"gained_R@{k}"]), int(row[f"lost_R@{k}"])) == (gained, lost)
            checked += 1
        assert int(row["subset_size"]) == n
        assert near(row["improved_MRR"], 100 * sum(1 / int(one["rank_after"]) for one in ranks) / n, 2)
        assert int(row["recovered"]) == int(row["gained_R@1"])
    assert checked > 100


def test_net_effects_from_the_ranks(whole):
    base = files.read_json(whole.results / "baseline.json")["text_to_image"]
    n = base["n"]
    failures = n - round(n * base["R@1"]["value"])
    rows = table(whole.results / "summary_net_effects.csv")
    assert {row["exact"] for row in rows} == {"True", "False"}
    for row in rows:
        ranks = ranks_of(whole, row)
        # Each failure that was ranked stands for as many of all failures as were not, and so each success.
        ranked = Counter(one["stratum"] for one in ranks)
        weight = {"failure": failures / ranked["failure"], "success": (n - failures) / ranked["success"]}
        for k in (1, 5, 10):
            for column, when in ((f"net_R@{k}", "after"), (f"placebo_R@{k}", "placebo")):
                changes = [(int(one[f"rank_{when}"]) <= k) - (int(one["rank_before"]) <= k) for one in ranks]
                net = sum(weight[one["stratum"]] * of for one, of in zip(ranks, changes, strict=True)) / n
                assert near(row[column], 100 * net, 2), (row["name"], column)
            assert near(row[f"improved_R@{k}"], float(row[f"baseline_R@{k}"]) + float(row[f"net_R@{k}"]), 1)
        gained = sum(one["rank_after"] == "1" for one in ranks if one["stratum"] == "failure")
        lost = sum(one["rank_after"] != "1" for one in ranks if one["stratum"] == "success")
        assert near(row["gained_pp"], 100 * gained * weight["failure"] / n, 2)
        assert near(row["lost_pp"], 100 * lost * weight["success"] / n, 2)
    nets = {
        oracle: [float(row["net_R@1"]) for row in rows if row["oracle"] == oracle]
        for oracle in ("True", "False")
    }
    assert all(of == sorted(of, reverse=True) for of in nets.values())
    assert [row["oracle"] for row in rows] == sorted(row["oracle"] for row in rows)
    forest = table(whole.results / "figures" / "net_effect.csv")
    assert [(row["name"], row["net"], row["low"], row["placebo"]) for row in forest] == [
        (row["name"], row["net_R@1"], row["low_R@1"], row["placebo_R@1"]) for row in rows
    ]


def test_contribution_of_a_category(whole):
    labels = Counter(row["category"] for row in table(whole.failures / "annotations_clean.csv"))
    base = files.read_json(whole.results / "baseline.json")["text_to_image"]["R@1"]["value"]
    rows = [row for row in table(whole.results / "summary_subset_results.csv") if row["contribution_pp"]]
    assert {row["categories"] for row in rows} <= set(CATEGORY_NAMES)
    for row in rows:
        share, recovery = (
            labels[row["categories"]] / labels.total(),
            int(row["recovered"]) / int(row["subset_size"]),
        )
        assert near(row["contribution_pp"], 100 * share * (1 - base) * recovery, 2)


def test_columns_that_other_programs_look_for(whole):
    first = (
        "file,subset_size,categories,pooling,tau,K_templates,seed,baseline_R@1,baseline_R@5,baseline_R@10,"
        "improved_R@1,improved_R@5,improved_R@10,delta_pp_R@1,delta_pp_R@5,delta_pp_R@10,"
    )
    text = (whole.results / "summary_subset_results.csv").read_bytes()
    assert text.startswith(b"\xef\xbb\xbf" + first.encode())
    row = table(whole.results / "summary_subset_results.csv")[0]
    assert all(re.fullmatch(r"-?\d+\.\d\d", row[name]) for name in first.split(",")[7:-1])


# ---- what is said, and reruns -----------------------------------------------------------------------------


def test_the_console_says_what_comes_next(whole):
    script = "summarize_result.py"
    before, after = whole.said[f"{script}, without improvements"], whole.said[script]
    assert "no improvements yet; they are optional" in before
    assert before.splitlines()[-1].startswith("Next, if you like: python improve_subset.py, then this again")
    assert after.splitlines()[-1].startswith("Next: open ") and "Best fix: " in after
    assert "R@1 if they counted as right: " in before
    for name in ("summary_failures.csv", "report.html", "figures/", "tables/"):
        assert name in before
    for line in after.splitlines():
        for path in re.findall(r"Wrote (\S+?)[/:]", line):
            assert os.path.isdir(path) or os.path.isfile(path), line


def test_without_labels_the_next_command_is_to_merge(study):
    no_labels(study)
    out = summarize(study)
    assert "no labels yet" in out and "Next: python merge_assignments.py, then this again" in out


def test_a_rerun_writes_the_same_bytes_in_another_process_without_torch(study):
    """Python's hash seed differs, and torch can't be imported: as where only step 5 runs."""

    def state() -> dict[str, bytes]:
        kinds = ("report.html", "summary_*.csv", "figures/*", "tables/*")
        return {str(path): path.read_bytes() for kind in kinds for path in study.results.glob(kind)}

    before = state()
    assert len(before) > 40
    code = "import sys; sys.modules.update(torch=None, transformers=None); import runpy; "
    code += "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    options = study.options("cache", "failure", "result")
    for seed in ("1", "2"):
        for path in study.results.glob("figures/*"):
            path.unlink()
        again = subprocess.run(
            [sys.executable, "-c", code, "summarize_result.py", *options],
            cwd=PROJECT,
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (again.returncode, again.stderr) == (0, "")
        assert state() == before


def test_what_an_earlier_run_wrote_goes_when_there_is_nothing_for_it(study):
    (study.results / "figures" / "my_own.png").write_bytes(b"mine")
    no_labels(study)
    out = summarize(study)
    assert "removed, since there is nothing for them any more" in out
    left = {path.name for path in study.results.rglob("*") if path.is_file()}
    assert left == {"baseline.json", "report.html", "my_own.png", "baseline.tex"} | {
        f"summary_{name}.csv" for name in ("baseline", "provenance", "cautions")
    }


def test_latex_tables_hold_the_same_figures(whole):
    text = (whole.results / "tables" / "failures.tex").read_text(encoding="utf-8")
    rows = table(whole.results / "summary_failures.csv")
    body = text.split("\\midrule\n")[1].split("\\bottomrule")[0].strip().splitlines()
    assert [line.split(" & ")[:2] for line in body] == [[row["category"], row["n"]] for row in rows]
    assert f"{100 * float(rows[0]['share']):.1f}~\\% [" in body[0]
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
    assert "Only " in said and "failures are labelled" in said
    assert "what is said of these categories alone is an anecdote" in said
    assert "labelled by one person alone" in said
    assert "Oracles: " in said and all(name in said for name in ("tfidf", "category (max)"))
    assert "The best of 3 fixes was picked for being best" in said
    assert "Estimated from samples" in said


def test_labels_merged_anew_after_step_6_are_told(study):
    path = study.failures / "annotations_clean.csv"
    write_table(path, table(path)[1:])
    assert "labels were merged anew after improvements had been measured" in summarize(study)
    assert "Labels were merged anew" in cautions(study)


def test_improvements_of_another_cache_are_left_out(study):
    change_json(study.results / "net_effects.json", lambda index: index["identity"].update(cache="0" * 16))
    assert "was measured on another cache, so improvements are left out" in summarize(study)
    assert not (study.results / "summary_net_effects.csv").exists()


def test_failures_of_another_cache_are_told(study):
    change_json(study.failures / "manifest.json", lambda manifest: manifest.update(fingerprint="0" * 16))
    assert "was made from another cache" in summarize(study)
    assert "was made from another cache" in cautions(study)


def test_transductive_banks_and_tuned_halves_are_told(study):
    def change(index):
        index["net_effects"][0]["transductive"] = True
        index["split"] = {"tuned_on": {"queries": 1350}, "reported_on": {"queries": 1350}}

    change_json(study.results / "net_effects.json", change)
    summarize(study)
    assert "Transductive: " in cautions(study)
    assert "tuned on 1,350 queries" in cautions(study)


def test_the_published_baseline_stands_beside_only_where_the_settings_are_the_studys(study):
    assert "published" not in " ".join(page(study).plain).split("No published figures")[0].lower()
    compared = {
        "published": {"R@1": 30.44, "R@5": 54.77, "R@10": 66.24},
        "difference_points": {"R@1": -0.37, "R@5": 0.01, "R@10": 0.0},
        "agrees": False,
    }
    change_json(study.results / "baseline.json", lambda baseline: baseline.update(comparison=compared))
    summarize(study)
    found = {
        (figure.column, figure.text) for figure in page(study).figures if figure.csv == "summary_baseline.csv"
    }
    assert {("published", "30.44\u00a0%"), ("difference_points", "\u22120.37")} <= found
    assert "differs from the published baseline" in cautions(study)


def test_without_a_cache_the_baseline_says_what_it_was(study):
    shutil.rmtree(study.root / "cache")
    out = summarize(study)
    assert "the cache isn't here" in out
    assert (study.results / "summary_net_effects.csv").is_file()


def test_items_that_wait_make_shares_provisional(study):
    change_json(study.failures / "agreement.json", lambda merged: merged.update(waiting=3))
    assert "PROVISIONAL: 3 more wait" in summarize(study)
    assert {row["status"] for row in table(study.results / "summary_failures.csv")} == {"provisional: 3 wait"}
    assert "Provisional: 3 items wait" in cautions(study)


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
    content = json.loads(meta_file.read_text(encoding="utf-8"))
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
    for idx, text in hostile.items():
        content["captions"][int(idx)] = text
    from common.retrieval import meta

    content["fingerprints"]["rows"] = meta.rows_fingerprint(content)
    meta_file.write_text(json.dumps(content), encoding="utf-8")
    change_json(
        study.results / "baseline.json",
        lambda baseline: baseline["cache"].update(fingerprint=meta.fingerprint(content)),
    )
    write_table(study.failures / "annotations_clean.csv", labels)
    write_table(study.failures / "failure_samples.csv", samples)
    summarize(study, "--examples-per-category", 4)
    shown = [figure.text for figure in page(study).figures if figure.column == "caption"]
    assert set(HOSTILE) <= set(shown)
    assert "script" not in page(study).tags
    cells = {row["caption"] for row in table(study.results / "summary_examples.csv")}
    assert {"'" + HOSTILE[1], "'-2+3"} <= cells


def fails(study: Folders, *options) -> str:
    status, _, err = run("summarize_result.py", *study.options("cache", "failure", "result"), *options)
    assert status == 1
    assert err.startswith("error: ") and "Traceback" not in err
    return err


def test_errors_are_one_line_and_say_what_to_do(study):
    (study.results / "report.html").unlink()
    index = files.read_json(study.results / "net_effects.json")
    (study.results / index["cells"][0]).unlink()
    assert "lists results that aren't there; run `python improve_subset.py` again" in fails(study)
    (study.results / "net_effects.json").write_text('{"cells": []}')
    assert "isn't what step 6 writes: run `python improve_subset.py` again" in fails(study)
    study_of.without_improvements(study)
    path = study.failures / "annotations_clean.csv"
    rows = table(path)
    write_table(path, [rows[0] | {"category": "Colour"}, rows[1] | {"caption": "another"}, *rows[2:]])
    err = fails(study)
    assert "category 'Colour' is none of Ambiguous" in err and "'another' isn't that caption" in err
    assert "run `python merge_assignments.py` again" in err
    write_table(path, [{"idx": 1, "caption": "x"}])
    assert "run `python merge_assignments.py` again" in fails(study)
    change_json(
        study.results / "baseline.json", lambda baseline: baseline["cache"].update(fingerprint="0" * 16)
    )
    assert "belongs to another cache" in fails(study)
    (study.results / "baseline.json").write_text("{}")
    assert "run `python main.py` again" in fails(study)
    (study.results / "baseline.json").unlink()
    assert "run `python main.py` first" in fails(study)
    assert not (study.results / "report.html").exists()


@pytest.mark.parametrize(
    ("option", "legal"),
    [
        ("--examples-per-category 41", "0 to 40"),
        ("--examples-per-category -1", "0 to 40"),
        ("--figure-dpi 5", "50 to 1200"),
    ],
)
def test_settings_out_of_range(study, option, legal):
    assert f"should be {legal}" in fails(study, *option.split())


def test_no_examples_where_none_are_asked_for(study):
    summarize(study, "--examples-per-category", 0)
    assert "None were asked for" in " ".join(page(study).plain)
    assert not (study.results / "summary_examples.csv").exists()
