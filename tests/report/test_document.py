"""The report in a real browser: at two widths, printed, without a network; and a study of 3,000 labels."""

import shutil
from pathlib import Path

import pytest

from tests.support import summary_study as study_of
from tests.support import written_study
from tests.support.folders import Folders
from tests.support.summary_study import drawn_once, page, says, table

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe was not found")

SIZES = {"laptop": (1280, 720), "phone": (390, 844)}
N = written_study.N


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Folders:
    study = written_study.labeled(tmp_path_factory.mktemp("large"))
    study_of.summarize(study, draw=drawn_once)
    return study


def test_3000_labels(large):
    rows = table(large.results / "summary_failures.csv")
    assert sum(int(row["n"]) for row in rows) == N == int(rows[0]["total"])
    assert {row["finite_population"] for row in rows} == {"True"}  # 3,000 of 6,000
    assert (large.results / "report.html").stat().st_size < 10_000_000
    taken = page(large)
    csvs = {name: table(large.results / name) for name in {number.csv for number in taken.numbers}}
    assert [one for one in taken.numbers if not says(one, csvs[one.csv][one.row - 2])] == []
    assert len(list((large.results / "figures").glob("*.pdf"))) == 5
    assert "Its picture was not found in the folder of the failures." in " ".join(taken.plain)


# ---- the browser -----------------------------------------------------------------------------------------


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
    written_study.write_improvements(improved)
    study_of.summarize(improved, draw=drawn_once)
    folders = {"labels": large, "nothing": empty, "improved": improved}
    return {name: study.results / "report.html" for name, study in folders.items()}


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
def test_it_fits_the_screen_and_is_accessible(open_report, state, size):
    """It asks for nothing, neither while it opens nor while its parts are unfolded."""
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
