"""Step 5's CSVs on the bundled sample, each calculated again from what earlier steps wrote."""

import math
import re
import statistics
from collections import Counter, defaultdict
from itertools import combinations

import pytest

from common import files
from common.labels.taxonomy import CATEGORY_NAMES
from tests.support import summary_study
from tests.support.folders import Folders
from tests.support.summary_study import change_json, copy_of, merge, summarize, table

torch = pytest.importorskip("torch", reason="the study is drawn and improved with torch")


@pytest.fixture
def whole(sample_study) -> Folders:
    """The sample, labeled with errors, merged, improved by few methods, and summarized."""
    return sample_study


def near(cell: str, value: float, digits: int, error: float = 0.0) -> bool:
    """Whether a cell is a value rounded to so many digits; `error` is that of what it was calculated from."""
    return abs(float(cell) - value) <= 0.51 * 10**-digits + error


def wilson(n: int, total: int, population: int) -> tuple[float, float]:
    """Wilson's interval in its closed form, the finite-population factor on z where over 10% are drawn."""
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
    # What shares give is calculated from their six digits in step 4's table.
    error = 0.5e-6 * (1 - recall)
    for row in rows:
        own = [samples[idx] for idx, category in labels.items() if category == row["category"]]
        low, high = wilson(len(own), len(labels), population)
        for name, share in (("", len(own) / len(labels)), ("_low", low), ("_high", high)):
            assert near(row[name.strip("_") or "share"], share, 6)
            assert near(row[f"gain_if_fixed_pp{name}"], 100 * share * (1 - recall), 4, 100 * error)
            assert near(row[f"R@1_if_right{name}"], recall + share * (1 - recall), 6, error)
        assert int(row["n"]) == len(own)
        if own:
            assert float(row["median_gt_rank"]) == statistics.median(int(one["gt_rank"]) for one in own)
            assert near(row["median_margin"], statistics.median(float(one["margin"]) for one in own), 6)
    assert (rows[0]["finite_population"], int(rows[0]["failures"])) == ("False", population)


def test_shares_are_those_of_step_4(whole):
    """One share has one interval: the same numbers in the two files of one name."""
    merged = [row for row in table(whole.failures / "category_distribution.csv") if row["over"] == "all"]
    rows = table(whole.results / "figures" / "category_distribution.csv")
    columns = ("share", "low", "high")
    assert [row["category"] for row in rows] == [row["category"] for row in merged]
    for row, source in zip(rows, merged, strict=True):
        assert [float(row[name]) for name in columns] == [float(source[name]) for name in columns]
    merged = {row["label"]: row for row in table(whole.failures / "ambiguous_vs_clear.csv")}
    for row in table(whole.results / "figures" / "ambiguous_vs_clear.csv"):
        source = merged[row["label"]]
        assert [float(row[name]) for name in columns] == [float(source[name]) for name in columns]


def test_intervals_allow_for_a_large_part_of_all_drawn(whole, tmp_path):
    """The labels of 80 of 500 failures, more than a tenth."""

    def fewer(baseline):
        baseline["text_to_image"] |= {"n": 1000}
        baseline["text_to_image"]["R@1"]["value"] = 0.5

    study = copy_of(whole, tmp_path)
    summary_study.without_improvements(study)
    change_json(study.results / "baseline.json", fewer)
    change_json(study.failures / "manifest.json", lambda manifest: manifest.update(failures=500))
    merge(study, "--bootstrap-rounds", 50)
    summarize(study)
    rows = table(study.results / "summary_failures.csv")
    total = int(rows[0]["total"])
    for row in rows:
        low, high = wilson(int(row["n"]), total, 500)
        assert (row["finite_population"], row["failures"]) == ("True", "500")
        assert near(row["low"], low, 6) and near(row["high"], high, 6)


def test_figures_of_labels_from_the_merged_labels(whole):
    labels = table(whole.failures / "annotations_clean.csv")
    ranks = {row["idx"]: int(row["gt_rank"]) for row in table(whole.failures / "failure_samples.csv")}
    for row in table(whole.results / "figures" / "gt_rank.csv"):
        own = sorted(ranks[one["idx"]] for one in labels if one["category"] == row["category"])
        assert int(row["n"]) == len(own)
        if len(own) > 1:
            quarters = statistics.quantiles(own, n=4, method="inclusive")
            assert [float(row[name]) for name in ("q25", "median", "q75")] == pytest.approx(quarters)
            twentieths = statistics.quantiles(own, n=20, method="inclusive")
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


PLACEBOS = ["rank_placebo", *(f"rank_placebo_{draw}" for draw in range(1, 10))]


def ranks_of(whole: Folders, row: dict, subset: str) -> list[dict]:
    """A method's ranks on one set of queries."""
    ranks = files.read_json(whole.results / row["file"])["ranks_file"]
    return [one for one in table(whole.results / "cells" / ranks) if subset in one["sets"].split()]


def test_summary_subset_results_from_the_ranks(whole):
    rows = table(whole.results / "summary_subset_results.csv")
    index = files.read_json(whole.results / "net_effects.json")
    files_of = [row["file"] for row in table(whole.results / "summary_net_effects.csv")]
    assert list(dict.fromkeys(row["file"] for row in rows)) == files_of
    assert set(files_of) == set(index["cells"])
    checked = 0
    for row in rows:
        if row["categories"] == "all" and row["exact"] == "False":
            continue  # the next test
        ranks = ranks_of(whole, row, row["categories"])
        for k in (1, 5, 10):
            before, after = ([int(one[f"rank_{when}"]) <= k for one in ranks] for when in ("before", "after"))
            n = len(ranks)
            assert near(row[f"baseline_R@{k}"], 100 * sum(before) / n, 2)
            assert near(row[f"improved_R@{k}"], 100 * sum(after) / n, 2)
            assert near(row[f"delta_pp_R@{k}"], 100 * (sum(after) - sum(before)) / n, 2)
            hits = [sum(int(one[draw]) <= k for one in ranks) for draw in PLACEBOS]
            placebo = sum(hits) / len(hits)
            assert near(row[f"placebo_delta_pp_R@{k}"], 100 * (placebo - sum(before)) / n, 2)
            assert near(row[f"beyond_R@{k}"], 100 * (sum(after) - placebo) / n, 2)
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
        ranks = ranks_of(whole, row, "all")
        # Each failure that was ranked stands for as many of all failures as were not, and so each success.
        ranked = Counter(one["stratum"] for one in ranks)
        weight = {"failure": failures / ranked["failure"], "success": (n - failures) / ranked["success"]}
        for k in (1, 5, 10):
            for column, draws in ((f"net_R@{k}", ["rank_after"]), (f"placebo_R@{k}", PLACEBOS)):
                nets = [
                    sum(
                        weight[one["stratum"]] * ((int(one[draw]) <= k) - (int(one["rank_before"]) <= k))
                        for one in ranks
                    )
                    for draw in draws
                ]
                net = sum(nets) / len(nets) / n
                assert near(row[column], 100 * net, 2), (row["name"], column)
            assert near(row[f"improved_R@{k}"], float(row[f"baseline_R@{k}"]) + float(row[f"net_R@{k}"]), 1)
        gained = sum(one["rank_after"] == "1" for one in ranks if one["stratum"] == "failure")
        lost = sum(one["rank_after"] != "1" for one in ranks if one["stratum"] == "success")
        assert near(row["gained_pp"], 100 * gained * weight["failure"] / n, 2)
        assert near(row["lost_pp"], 100 * lost * weight["success"] / n, 2)
    assert [row["fix"] for row in rows] == sorted((row["fix"] for row in rows), reverse=True)
    for fix in ("True", "False"):
        nets = [float(row["net_R@1"]) for row in rows if row["fix"] == fix]
        assert nets == sorted(nets, reverse=True)
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
