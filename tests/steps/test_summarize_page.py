"""The report in a real browser: at two widths, printed, without a network; and a study of 3,000 labels."""

import json
import shutil
from pathlib import Path

import pytest

from common.labels.taxonomy import CATEGORY_NAMES, SUBTYPE_NAMES
from common.retrieval import meta
from tests.support import merge_folder
from tests.support import summary_study as study_of
from tests.support.summary_study import Folders, page, says, table

playwright = pytest.importorskip("playwright.sync_api", reason="playwright isn't installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe isn't installed")

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
ARGUMENTS += ["--disable-background-networking", "--disable-component-update"]
SIZES = {"laptop": (1280, 720), "phone": (390, 844)}
N = 3000
METHODS = ["nnn", "words", "prompts", "prompts+nnn+words"]


# ---- a study without torch, written by hand ---------------------------------------------------------------


def labelled(root: Path, n: int = N) -> Folders:
    """A study of 12,000 captions of which `n` failures were labelled by two raters, 50 of them by both."""
    study = Folders(root)
    captions = [f"a photograph of {idx} dogs, no. {idx * 7 % 1000}" for idx in range(4 * n)]
    (root / "cache").mkdir(parents=True)
    meta_file = merge_folder.write_cache(root / "cache", captions, bundled_sample=True)
    content = json.loads(meta_file.read_text(encoding="utf-8"))
    study.results.mkdir(parents=True)
    study.failures.mkdir(parents=True)
    write_baseline(study, content, n)
    items = [{"idx": idx, "caption": captions[idx], "gt_img_idx": idx // 2} for idx in range(n)]
    samples = [
        item
        | {
            "pred_img_idx": item["idx"] // 2 + 1,
            "order": item["idx"] + 1,
            "part": "A",
            "gt_rank": 2 + at * at,
        }
        | {"margin": "0.010000", "gt_file_name": "a.jpg", "pred_file_name": "b.jpg"}
        for item, at in zip(items, (idx % 60 for idx in range(n)), strict=True)
    ]
    study_of.write_table(study.failures / "failure_samples.csv", samples)
    for rater, rows in (("A", samples), ("B", samples[:50])):
        sheet = [
            {name: row[name] for name in ("idx", "caption", "gt_img_idx", "pred_img_idx")}
            | label_of(row["idx"])
            for row in rows
        ]
        study_of.write_table(study.failures / f"assign_{rater}.csv", sheet)
    study_of.done("merge_assignments.py", *study.options("cache", "failure"), "--bootstrap-rounds", 100)
    return study


def label_of(idx: int) -> dict[str, str]:
    category = CATEGORY_NAMES[idx * idx % 7]
    subtype = SUBTYPE_NAMES[idx % 2] if category == "Ambiguous" else ""
    return {"category": category, "ambiguous_subtype": subtype, "note": ""}


def write_baseline(study: Folders, content: dict, n: int) -> None:
    """baseline.json with half of the captions right."""
    share = {"value": 0.5, "low": 0.48, "high": 0.52}
    found = {"n": 4 * n, "n_images": 2 * n, "gallery": 2 * n, "ties": 0, "provably_ambiguous_captions": 0}
    found |= dict.fromkeys(("R@1", "R@5", "R@10", "MRR"), share) | {"median_rank": 1.5}
    made_with = {name: content[name] for name in ("model", "revision", "processor", "dtype", "seed")}
    made_with |= {"annotation_file": "captions.json", "bundled_sample": True}
    made_with["fingerprints"] = {"annotation_file": "0" * 64}
    baseline = {
        "text_to_image": found,
        "image_to_text": found,
        "comparison": None,
        "cache": {"fingerprint": meta.fingerprint(content), "meta_file": "meta.json"},
        "made_with": made_with,
        "versions": {"python": "3.11"},
    }
    (study.results / "baseline.json").write_text(json.dumps(baseline), encoding="utf-8")


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Folders:
    study = labelled(tmp_path_factory.mktemp("large"))
    study_of.summarize(study)
    return study


def test_3000_labels(large):
    rows = table(large.results / "summary_failures.csv")
    assert sum(int(row["n"]) for row in rows) == N == int(rows[0]["total"])
    assert {row["finite_population"] for row in rows} == {"True"}  # 3,000 of 6,000
    assert (large.results / "report.html").stat().st_size < 10_000_000
    taken = page(large)
    csvs = {name: table(large.results / name) for name in {figure.csv for figure in taken.figures}}
    assert [one for one in taken.figures if not says(one, csvs[one.csv][one.row - 2])] == []
    assert len(list((large.results / "figures").glob("*.pdf"))) == 5
    assert "Its picture isn't in the folder of the failures." in " ".join(taken.plain)


# ---- the browser -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no Chromium is installed: `apt-get install chromium`")
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def reports(large, tmp_path_factory) -> dict[str, Path]:
    """Reports of a study in different states."""
    empty = Folders(tmp_path_factory.mktemp("empty"))
    shutil.copytree(large.root / "cache", empty.root / "cache")
    empty.results.mkdir(parents=True)
    shutil.copy(large.results / "baseline.json", empty.results)
    study_of.summarize(empty)
    improved = Folders(tmp_path_factory.mktemp("improved"))
    shutil.copytree(large.root, improved.root, dirs_exist_ok=True)
    write_improvements(improved)
    study_of.summarize(improved)
    folders = {"labels": large, "nothing": empty, "improved": improved}
    return {name: study.results / "report.html" for name, study in folders.items()}


def write_improvements(study: Folders) -> None:
    """Results of step 6 for some methods, of every kind that there can be."""
    baseline = json.loads((study.results / "baseline.json").read_text(encoding="utf-8"))
    level = {"R@1": 50.0, "R@5": 70.0, "R@10": 80.0}
    effect = {"value": -1.5, "low": -2.0, "high": 0.5, "sampling_low": -1.6, "sampling_high": -1.4}
    effect |= {"gained": 12, "lost": 34, "p": 0.0421, "mcnemar_p": None}
    whole = {name: effect | {"before": of, "after": of - 1.5} for name, of in level.items()}
    compared = {"improved": level | {"MRR": 60.0}, "delta_pp": dict.fromkeys(level, effect)}
    compared |= {"gained": dict.fromkeys(level, 12), "lost": dict.fromkeys(level, 34)}
    hub = {"skewness": 3.2, "never_among_first": 7, "top": [{"file_name": "000000000009.jpg", "queries": 99}]}
    rows, cells = [], []
    for method in METHODS:
        for subset in (*CATEGORY_NAMES, "clear", "failures", "successes", "all"):
            poolings = ("mean", "logsumexp") if "prompts" in method else ("none",)
            for pooling in poolings:
                exact = subset != "all" or pooling == "none"
                cell = {"method": method, "pooling": pooling, "categories": subset, "exact": exact}
                cell |= {"subset_size": 2000 if subset == "all" else 1000, "anecdotal": subset == "Action"}
                cell |= {"oracle": method == "words", "transductive": False, "category_of_query": None}
                cell |= {
                    "tau": 0.01,
                    "K_templates": 10,
                    "seed": 42,
                    "baseline": level | {"MRR": 60.0},
                    **compared,
                }
                cell |= {"queries": {"all": 12000, "failures": 6000}, "placebo": compared, "hubness": None}
                cell |= {"contribution_pp": 0.5, "share_of_labelled_failures": 0.1, "net_effect": None}
                cell["placebo_net_effect"] = None
                name = f"subset_results_{method}_{subset}_{pooling}.json"
                if subset == "all":
                    cell |= {"net_effect": whole, "placebo_net_effect": whole}
                    cell["hubness"] = {"k": 10, "before": hub, "after": hub} if exact else None
                    marks = ("method", "pooling", "oracle", "transductive", "category_of_query", "exact")
                    rows.append(
                        {key: cell[key] for key in (*marks, "subset_size")} | {"p_holm": 0.5, "file": name}
                    )
                    rows[-1] |= {"net_effect": whole, "placebo": whole}
                (study.results / name).write_text(json.dumps(cell), encoding="utf-8")
                cells.append(name)
    settings = {"SEED": 42, "K_TEMPLATES": 10, "TAU": 0.01, "CONTROL_SIZE": 1000}
    index = {
        "net_effects": rows,
        "cells": cells,
        "left_out": {"nnn+words": "there is no bank"},
        "split": None,
    }
    index |= {"settings": settings, "mark": "0" * 8, "bank": None}
    index["identity"] = {"cache": baseline["cache"]["fingerprint"], "labels": None}
    (study.results / "net_effects.json").write_text(json.dumps(index), encoding="utf-8")


@pytest.fixture
def open_report(browser, reports):
    """Open a report at a size: (tab, what it asked for, what its console said)."""
    contexts = []

    def opened(state: str, size: str):
        width, height = SIZES[size]
        contexts.append(
            browser.new_context(viewport={"width": width, "height": height}, has_touch=size == "phone")
        )
        tab, asked, said = contexts[-1].new_page(), [], []
        tab.on("request", lambda request: asked.append(request.url))
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.goto(reports[state].as_uri())
        tab.wait_for_load_state("load")
        return tab, asked, said

    yield opened
    for context in contexts:
        context.close()


@pytest.mark.parametrize("state", ["labels", "nothing", "improved"])
@pytest.mark.parametrize("size", SIZES)
def test_it_fits_the_screen_asks_for_nothing_and_is_accessible(open_report, state, size):
    tab, asked, said = open_report(state, size)
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [tab.url]
    width = SIZES[size][0]
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    # Only tables may be wider than the screen, and they scroll by themselves.
    wide = tab.evaluate(
        """width => [...document.querySelectorAll("body *")].filter(one => !one.closest(".scroll")
        && one.getBoundingClientRect().right > width + 1).map(one => one.outerHTML.slice(0, 90))""",
        width,
    )
    assert wide == []
    for details in tab.locator("summary").all():
        details.click()
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    loaded = tab.evaluate("[...document.images].every(one => one.complete && one.naturalWidth > 0)")
    assert loaded
    small = tab.evaluate(
        """[...document.querySelectorAll("p, td, th, li, figcaption, small, span")].filter(
        one => parseFloat(getComputedStyle(one).fontSize) < 12).length"""
    )
    assert small == 0
    serious = [
        (one["id"], one["nodes"][0]["html"][:120])
        for one in axe.Axe().run(tab).response["violations"]
        if one["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_wide_tables_scroll_by_keyboard(open_report):
    tab, _, _ = open_report("improved", "phone")
    scroll = tab.locator(".scroll", has=tab.locator("table caption", has_text="Net effect on R@1 of"))
    scroll.focus()
    assert scroll.evaluate("one => one.scrollWidth > one.clientWidth")
    for _ in range(6):
        tab.keyboard.press("ArrowRight")
    tab.wait_for_timeout(500)
    assert scroll.evaluate("one => one.scrollLeft") > 30


@pytest.mark.parametrize("state", ["labels", "nothing", "improved"])
def test_it_prints_within_the_page(open_report, state, tmp_path):
    tab, _, _ = open_report(state, "laptop")
    tab.emulate_media(media="print")
    # The printable width of A4 at 96 pixels an inch, margins off.
    tab.set_viewport_size({"width": round((210 - 30) / 25.4 * 96), "height": 1000})
    limit = tab.evaluate("document.documentElement.clientWidth")
    assert (
        tab.evaluate(
            "width => [...document.querySelectorAll('table, figure, img, p')].filter("
            "one => one.getBoundingClientRect().right > width + 1).map(one => one.outerHTML.slice(0, 90))",
            limit,
        )
        == []
    )
    data = tab.pdf(prefer_css_page_size=True)
    assert data.startswith(b"%PDF") and data.count(b"/Type /Page\n") <= 14
    assert tab.locator("nav").is_hidden()
