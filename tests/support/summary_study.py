"""Running step 5 with its figures drawn once, changing a copy of a study, and reading what was written."""

import csv
import json
import re
import shutil
import unittest.mock
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

from common import probe_results, results
from common.report import figures
from tests.support import running
from tests.support.folders import Folders

DRAW = figures.draw
KNOWN = {}
BLANK = b'<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'


def drawn_once(name: str, rows: list[dict], dpi: int) -> dict[str, bytes]:
    """`figures.draw`, which takes seconds, once for each table. (That it gives the same bytes has a test.)"""
    key = name, dpi, json.dumps(rows)
    if key not in KNOWN:
        KNOWN[key] = DRAW(name, rows, dpi)
    return dict(KNOWN[key])


def drawn_blank(name: str, rows: list[dict], dpi: int) -> dict[str, bytes]:
    """Files without a picture, for tests that don't look at figures."""
    return {"svg": BLANK, "png": b"", "pdf": b""}


def run(script: str, *options, draw=drawn_once) -> running.Run:
    """Run a script in this process, its figures drawn once."""
    with unittest.mock.patch("common.report.figures.draw", draw):
        return running.run(script, *options)


def summarize(study: Folders, *options, draw=drawn_blank) -> str:
    """Run step 5, which has to succeed, with blank figures; returns what it said."""
    folders = study.options("cache", "failure", "result")
    status, out, err = run("summarize_result.py", *folders, *options, draw=draw)
    assert (status, err) == (0, ""), err
    return out


def merge(study: Folders, *options) -> None:
    """Run step 4 on the sheets as they are."""
    running.done("merge_assignments.py", *study.options("cache", "failure"), *options)


def copy_of(study: Folders, root: Path) -> Folders:
    """A study that a test may change; the cache stays where it is, but for its meta file."""
    for name in ("failures", "results"):
        shutil.copytree(study.root / name, root / name)
    (root / "cache").mkdir(parents=True)
    for path in study.cache.glob("meta_*.json"):
        shutil.copy(path, root / "cache")
    return Folders(root)


def without_improvements(study: Folders) -> None:
    (study.results / results.INDEX).unlink()
    shutil.rmtree(study.results / results.CELLS)


def without_probe(study: Folders) -> None:
    for name in (probe_results.RESULT, probe_results.ITEMS):
        (study.results / name).unlink()


# ---- read what was written ---------------------------------------------------------------------------------


def table(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def write_table(path: Path, rows: list[dict]) -> None:
    with open(path, "w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def change_json(path: Path, change) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


class Number(NamedTuple):
    """An element of the report that names where it comes from, and what it shows."""

    csv: str
    row: int
    column: str
    text: str


class Page(HTMLParser):
    """A report taken apart: its numbers, the text outside of them, links, pictures and tags."""

    VOID = {"meta", "img", "br"}

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.numbers, self.plain, self.links, self.sources, self.open = [], [], [], [], []
        self.tags, self.within, self.raw = set(), None, text
        self.feed(text)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.add(tag)
        self.links += [given["href"]] if "href" in given else []
        self.sources += [given["src"]] if "src" in given else []
        self.plain += [given[name] for name in ("alt", "title") if name in given]
        if tag in self.VOID:
            return
        self.open.append(tag)
        if "data-csv" in given:
            assert self.within is None, "a number inside a number"
            self.within = Number(given["data-csv"], int(given["data-row"]), given["data-column"], "")

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"{tag} closes nothing"
        if tag == "span" and self.within:
            self.numbers.append(self.within)
            self.within = None

    def handle_data(self, data):
        if self.within:
            self.within = self.within._replace(text=self.within.text + data)
        elif not {"style", "a", "code", "title", "dd"} & set(self.open):
            self.plain.append(data)


def page(study: Folders) -> Page:
    return Page((study.results / "report.html").read_text(encoding="utf-8"))


DIGITS = re.compile(r"[+-]?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")
WORDS = {("–", "")}


IN_PERCENT = {  # columns that hold shares between 0 and 1, and are shown in percent
    "summary_failures.csv": {"share", "low", "high", "low_all", "high_all", "least", "most"},
    "summary_if_right.csv": {
        "share",
        "low",
        "high",
        *(f"R@1_if_right{end}" for end in ("", "_low", "_high")),
    },
    "summary_compared.csv": {"recovered", "recovered_low", "recovered_high", "recovered_back"},
    "summary_compared_categories.csv": {"share", "low", "high", "all_share", "all_low", "all_high"},
    "summary_failed_by_all.csv": {"share", "low", "high"},
    "summary_sensitivity.csv": {"value", "low", "high", "counted"},
    "summary_baseline.csv": {"value", "low", "high"},
    "summary_probe.csv": {"accuracy", "low", "high"},
    "summary_probe_categories.csv": {
        *("mentioned", "share", "accuracy", "accuracy_low", "accuracy_high"),
    },
    "summary_probe_labeled.csv": {"share"},
}


def says(number: Number, row: dict[str, str]) -> bool:
    """Whether what a reader sees is what the CSV's cell holds: the same text, or its number rounded.

    Written without the report's own formats, as a reader would check.
    """
    cell, text = row[number.column], number.text
    cell = cell[1:] if re.match("'+[=+@-]", cell) else cell
    if text == cell or (text, cell) in WORDS:
        return True
    plain = text.replace("\u2212", "-").replace("\u00a0", " ").removesuffix("%")
    if plain.startswith("< "):
        return float(cell) < float(plain[2:])
    if not DIGITS.fullmatch(plain):
        return False
    shown, decimals = float(plain.replace(",", "")), len(plain.partition(".")[2])
    shares = number.column in IN_PERCENT.get(number.csv, ()) and row.get("measure") != "median rank"
    # A value on the edge of rounding may go either way, hence a hair more than half of the last digit.
    return abs(shown - (100 if shares else 1) * float(cell)) <= 0.5 * 10**-decimals * (1 + 1e-6) + 1e-9
