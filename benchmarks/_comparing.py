"""When two versions' files count as the same: their bytes, or the values in them.

Values are compared where the new version words, rounds or places them differently by intention:
- A number is the same as another one where both round to the same at the coarser one's last digit.
- Texts of a CSV are compared without the quote that guards them from spreadsheets, and sentences by their
  numbers.
- A share of step 4 has the interval that step 5 used to compute, the finite-population one. What step 5
  computes from shares it computes from step 4's six digits: one unit in the last place may differ.
- A method's results on all of its sets are in one file of `cells/`; there was one for each set.
- A run of step 6 has another mark, since its result files have another form; versions are not compared.
- A report's values are its elements with `data-csv`; its own sentences are not compared.
- The new version may have further columns and further keys.
"""

import csv
import fnmatch
import io
import json
import re
from collections import defaultdict
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

from common import files, records, results

# What a file holds, by its path in the study: cache/, failures/ or results/. The first match counts.
KINDS = [
    ("embeddings", "cache/img_*.pt", "cache/txt_*.pt"),
    ("encoded texts", "cache/texts_*"),
    ("meta", "cache/meta_*.json"),
    ("baseline", "results/baseline.json"),
    ("the draw", "failures/failure_samples.csv", "failures/manifest.json"),
    ("sheets", "failures/assign_*"),
    ("pictures", "failures/vis_*/*.jpg"),
    ("pages", "failures/annotate_*.html"),
    ("merged labels", "failures/annotations_*.csv"),
    ("shares", "failures/category_distribution.csv", "failures/ambiguous_vs_clear.csv"),
    ("agreement and the rest of step 4", "failures/*"),
    ("net effects", "results/net_effects.json"),
    ("ranks of queries", "results/ranks_*.csv"),
    ("methods on sets", "results/subset_results_*.json"),
    ("summaries", "results/summary_*.csv"),
    ("figures' tables", "results/figures/*.csv"),
    ("figures", "results/figures/*"),
    ("LaTeX tables", "results/tables/*"),
    ("report", "results/report.html"),
    ("anything else", "*"),
]
IGNORED = (
    "cache/.lock*",
    "cache/bank.npz",
    "*/README.md",
    "*/sample/*",
    "results/tuned/*",
    "results/cells/*",
)
NUMBER = re.compile(r"[+-]?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")
MOVED = {"file", "cells", "ranks_file", "ranks_fingerprint"}  # where a method's file is, in tables and JSON
IDENTITY = ("cache", "labels", "bank", "templates", "settings")  # of a run, in both versions' words
SENTENCES = ("caution",)  # columns
MARKS = ("run of step 6", "versions of step 5")  # rows of the table of provenance


class Compared(NamedTuple):
    """A file of the old version, next to the new one's."""

    name: str
    same_bytes: bool
    differences: list[str]  # in value


def compare(study, old: Path, new: Path) -> dict[str, list[Compared]]:
    """Every file of a study, by what it holds."""
    before, after = files_of(study, old), files_of(study, new)
    cells = Cells(new / study.results)
    found = defaultdict(list)
    for name in sorted(set(before) | set(after)):
        kind = next(what for what, *patterns in KINDS if any(fnmatch.fnmatch(name, one) for one in patterns))
        if kind in ("methods on sets", "ranks of queries"):
            one = cells.compared(before[name], kind) if name in before else ["only the new version has it"]
            found[kind].append(Compared(name, False, one))
        elif name not in before or name not in after:
            only = "only the old version has it" if name in before else "only the new version has it"
            found[kind].append(Compared(name, False, [only]))
        else:
            same = before[name].read_bytes() == after[name].read_bytes()
            differences = [] if same else differences_of(kind, before[name], after[name], old / study.results)
            found[kind].append(Compared(name, same, differences))
    return {what: found[what] for what, *_ in KINDS if what in found}


def files_of(study, root: Path) -> dict[str, Path]:
    """Path in the study -> file."""
    found = {}
    for part, folder in (("cache", study.cache), ("failures", study.failures), ("results", study.results)):
        for path in (root / folder).rglob("*") if folder else ():
            name = f"{part}/{path.relative_to(root / folder).as_posix()}"
            if path.is_file() and not any(fnmatch.fnmatch(name, pattern) for pattern in IGNORED):
                found[name] = path
    return found


def differences_of(kind: str, old: Path, new: Path, old_results: Path) -> list[str]:
    """Where two files of one name differ in value."""
    if kind == "shares":
        return shares(old, new, old_results / "figures" / old.name)
    if kind == "net effects":
        return net_effects(old, new)
    if old.suffix == ".csv":
        rows = [[row for row in rows_of(path) if row.get("what") not in MARKS] for path in (old, new)]
        return tables(*rows, derived=old.name == "summary_failures.csv")
    if old.suffix == ".json":
        return values(*(json.loads(path.read_text(encoding="utf-8")) for path in (old, new)))
    if old.suffix == ".xlsx":
        return tables(workbook(old), workbook(new))
    if old.name == "report.html":
        return reports(old, new)
    if old.suffix == ".tex":
        return texts(old, new)
    return [f"{old.stat().st_size:,} bytes, now {new.stat().st_size:,}"]


# ---- values ------------------------------------------------------------------------------------------------


def same_number(first: str, second: str) -> bool:
    """Whether two numbers, as written, are one at the coarser one's last digit."""
    numbers = [text.replace(",", "") for text in (first, second)]
    decimals = min(len(re.split("e", text)[0].partition(".")[2]) for text in numbers)
    if any("e" in text for text in numbers):
        a, b = map(float, numbers)
        return abs(a - b) <= 1e-5 * max(abs(a), abs(b))
    return abs(float(numbers[0]) - float(numbers[1])) <= 0.5 * 10**-decimals * (1 + 1e-6) + 1e-9


def same_text(first: str, second: str) -> bool:
    """Whether two cells say the same."""
    if first == second:
        return True
    return all(map(NUMBER.fullmatch, (first, second))) and same_number(first, second)


def one_unit(first: str, second: str) -> bool:
    """Whether two numbers of as many decimals differ by one in the last of them."""
    if not all(map(NUMBER.fullmatch, (first, second))):
        return False
    decimals = [len(text.partition(".")[2]) for text in (first, second)]
    return decimals[0] == decimals[1] and round(abs(float(first) - float(second)) * 10 ** decimals[0]) <= 1


def values(old: object, new: object, place: str = "") -> list[str]:
    """Where two JSON values differ; a key that is None in the old one may be absent in the new one."""
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for key in old.keys() - MOVED:
            found += values(old[key], new.get(key), f"{place}.{key}" if place else key)
        return sorted(found)
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [text for at in range(len(old)) for text in values(old[at], new[at], f"{place}[{at}]")]
    return [] if old == new else [f"{place}: {short(old)}, now {short(new)}"]


def short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


# ---- tables ------------------------------------------------------------------------------------------------


def rows_of(path: Path) -> list[dict[str, str]]:
    text = io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")
    return [
        {column: files.unguarded(cell or "") for column, cell in row.items()} for row in csv.DictReader(text)
    ]


def workbook(path: Path) -> list[dict[str, str]]:
    import openpyxl

    head, *rows = openpyxl.load_workbook(path).active.iter_rows(values_only=True)
    return [{str(name): str(cell) for name, cell in zip(head, row, strict=True)} for row in rows]


def tables(old: list[dict], new: list[dict], derived: bool = False) -> list[str]:
    """Where two tables differ: their rows, or cells of columns. `derived`: computed from rounded shares."""
    if len(old) != len(new):
        return [f"{len(old)} rows, now {len(new)}"]
    found = []
    for column in [name for name in (old[0] if old else {}) if name not in MOVED]:
        if column not in new[0]:
            found.append(f"column {column} is gone")
            continue
        pairs = [(before[column], after[column]) for before, after in zip(old, new, strict=True)]
        same = same_text if column not in SENTENCES else same_shown
        differing = [pair for pair in pairs if not same(*pair) and not (derived and one_unit(*pair))]
        if differing:
            first, now = map(short, differing[0])
            found.append(f"{column} in {len(differing)} rows, first {first}, now {now}")
    return found


def shares(old: Path, new: Path, of_step_5: Path) -> list[str]:
    """A table of shares: the old one with the intervals that the old step 5 gave for the same shares."""
    expected, ends = rows_of(old), {}
    for row in rows_of(of_step_5) if of_step_5.is_file() else []:
        ends[row.get("category") or row["label"]] = {"low": row["low"], "high": row["high"]}
    found = []
    for row, now in zip(expected, rows_of(new), strict=True):
        name = row.get("category") or row["label"]
        if row.get("over", "all") == "all" and name in ends:
            row |= ends[name]
        elif row.get("over", "all") == "all":
            # Step 5 left this one out: all that can be said is that the interval became no wider.
            if float(row["low"]) <= float(now["low"]) <= float(now["high"]) <= float(row["high"]):
                row |= {"low": now["low"], "high": now["high"]}
        found += [f"{name}: {text}" for text in tables([row], [now])]
    return found


# ---- step 6 ------------------------------------------------------------------------------------------------


def net_effects(old: Path, new: Path) -> list[str]:
    """The index of net effects."""
    before, after = (json.loads(path.read_text(encoding="utf-8")) for path in (old, new))
    before["identity"] = {name: before["identity"][name] for name in IDENTITY}
    del before["mark"]
    return values(before, after)


class Cells:
    """The new version's results of methods, and the old one's cells as views of them."""

    def __init__(self, folder: Path):
        self.methods, self.ranks = {}, {}
        for path in sorted((folder / results.CELLS).glob("*.json")):
            one = records.read(path, results.MethodResult, "run it again")
            self.methods[one.method, one.pooling] = one
            self.ranks[one.method, one.pooling] = rows_of(path.with_name(Path(one.ranks_file).name))

    def compared(self, old: Path, kind: str) -> list[str]:
        """Where the new version differs from an old cell: its numbers, or its queries' ranks."""
        if kind == "methods on sets":
            cell = json.loads(old.read_text(encoding="utf-8"))
        else:
            name = old.name.replace("ranks_", "subset_results_", 1)
            cell = json.loads(old.with_name(name).with_suffix(".json").read_text(encoding="utf-8"))
        method = self.methods.get((cell["method"], cell["pooling"]))
        found = method and method.on(cell["categories"])
        if found is None:
            return ["the new version lacks it"]
        if kind == "ranks of queries":
            return self.rows(old, cell)
        cell["identity"] = {name: cell["identity"][name] for name in IDENTITY}
        return values(cell, self.as_before(method, found))

    @staticmethod
    def as_before(method: results.MethodResult, one: results.SetResult) -> dict:
        """A method on one set in the form of an old cell."""
        whole, own = records.plain(method), records.plain(one)
        changed = own.pop("changed")
        return whole | own | changed

    def rows(self, old: Path, cell: dict) -> list[str]:
        """The ranks of an old cell's queries, among all that the method ranked."""
        wanted, known = cell["categories"], self.ranks[cell["method"], cell["pooling"]]
        sets = "category_of_query" in (known[0] if known else {})
        now = [
            row
            for row in known
            if wanted in re.split(r"[;, ]+", row["sets"])
            and (not sets or row["category_of_query"] == (cell["category_of_query"] or ""))
        ]
        return tables(rows_of(old), now)


# ---- texts -------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """The values of a report: (csv, row, column) -> what a reader sees."""

    def __init__(self, path: Path):
        super().__init__()
        self.values, self.within, self.tag = defaultdict(set), None, ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if "data-csv" in given:
            self.within, self.tag = (given["data-csv"], given["data-row"], given["data-column"]), tag

    def handle_data(self, data):
        if self.within:
            self.values[self.within].add(data.replace("\u2212", "-").replace("\u00a0", " ").strip())

    def handle_endtag(self, tag):
        if tag == self.tag:
            self.within = None


def reports(old: Path, new: Path) -> list[str]:
    """Values that the new report lacks, or shows otherwise."""
    before, after = Page(old).values, Page(new).values
    lost = [" ".join(key) for key in before if key not in after]
    marks = {(key[0], key[1]) for key, shown in before.items() if shown & set(MARKS)}
    found = [f"{len(lost)} values are gone, first {lost[0]}"] if lost else []
    for key in [key for key in before.keys() & after.keys() if key[:2] not in marks]:
        same = same_shown if key[2] in SENTENCES else shown_alike
        # A value may be shown at several places: each of them has to be one of the other page's.
        for text in before[key]:
            if not any(same(text, now) for now in after[key]):
                found.append(f"{' '.join(key)}: {short(text)} is gone")
        for now in after[key]:
            if not any(same(text, now) for text in before[key]):
                found.append(f"{' '.join(key)}: {short(now)} was {short(sorted(before[key])[0])}")
    return sorted(found)


def same_shown(first: str, second: str) -> bool:
    """Whether two texts for readers show the same numbers."""
    numbers = [NUMBER.findall(text) for text in (first, second)]
    return len(numbers[0]) == len(numbers[1]) and all(map(same_number, *numbers))


def shown_alike(first: str, second: str) -> bool:
    """The same, or the same words where there is no number."""
    return first == second or (bool(NUMBER.search(first)) and same_shown(first, second))


def texts(old: Path, new: Path) -> list[str]:
    """Where two texts differ: in numbers, line by line, or in words."""
    before, after = (path.read_text(encoding="utf-8").splitlines() for path in (old, new))
    if len(before) != len(after):
        return [f"{len(before)} lines, now {len(after)}"]
    return [
        f"line {number}: {short(line)}, now {short(now)}"
        for number, (line, now) in enumerate(zip(before, after, strict=True), start=1)
        if not shown_alike(line, now)
    ]
