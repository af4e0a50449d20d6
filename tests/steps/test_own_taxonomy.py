"""A taxonomy of one's own: a category is added, two are renamed in taxonomy.py, and every step runs."""

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from common.labels import sheets
from tests.support import PROJECT
from tests.support.folders import Folders

# The entry and nothing else: no Chinese, no spellings, no templates.
ENTRY = """    Label(
        name="Text",
        long_name="Text in the Image",
        key="8",
        definition="The caption quotes writing, and the image shows other writing or none.",
    ),
)
SUBTYPES = ("""
# Several scripts, one after the other, in one process of the changed project.
DRIVER = """import json, runpy, sys
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/data/sample"]
for script, *options in json.loads(sys.argv[2]):
    sys.argv = [script, *options]
    print(f"$ {script}", flush=True)
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as stopped:
        if stopped.code:
            raise
"""


class Changed(NamedTuple):
    """A study, and the copy of the project with other categories that makes it."""

    folders: Folders
    project: Path

    def options(self, *names: str) -> list[str]:
        return self.folders.options(*names)

    def run(self, *scripts: tuple[str, ...]) -> str:
        arguments = [sys.executable, "-c", DRIVER, str(self.project), json.dumps(scripts)]
        done = subprocess.run(arguments, cwd=self.project, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def study(sample_measured, tmp_path_factory) -> Changed:
    """After step 2 and a simulated step 3, whose sheets hold the old names.

    `Context` is called `Setting` from now on, and `Ambiguous` is called `Unclear`.
    """
    root = tmp_path_factory.mktemp("own")
    for name in ("cache", "results"):
        shutil.copytree(sample_measured.root / name, root / name)
    made = Changed(Folders(root), root / "project")
    skipped = shutil.ignore_patterns("__pycache__", "val2017", "*.md")
    for name in ("common", "data/sample"):
        shutil.copytree(PROJECT / name, made.project / name, ignore=skipped)
    for path in [*PROJECT.glob("*.py"), PROJECT / "annotation_guide.md"]:
        shutil.copy(path, made.project)
    taxonomy = made.project / "common" / "labels" / "taxonomy.py"
    text = taxonomy.read_text(encoding="utf-8")
    for before, after in [
        (")\nSUBTYPES = (", ENTRY),
        ('name="Context"', 'name="Setting"'),
        ('"Contexts",', '"Contexts", "Context",'),
        ('AMBIGUOUS = "Ambiguous"', 'AMBIGUOUS = "Unclear"'),
        ('"Ambiguity",', '"Ambiguous", "Ambiguity",'),
    ]:
        assert text.count(before) == 1
        text = text.replace(before, after)
    taxonomy.write_text(text, encoding="utf-8")
    photographs = ("--image-dir", str(PROJECT / "data" / "sample" / "val2017"))
    draw = "--sample-size 60 --overlap-size 15 --per-annotator 15 --backup-size 0".split()
    both = made.options("cache", "failure")
    made.run(
        ("failure.py", *both, *photographs, *draw),
        ("data/sample/simulate_annotators.py", *both, "--error-rates", "0,0,0"),
    )
    return made


def relabel(path: Path) -> int:
    """Rows of a sheet as people write them: a third of the new category, and one with the old name."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    words = {**dict.fromkeys(range(0, len(rows), 3), "text in the image"), 1: "Context"}
    for number, word in words.items():
        rows[number] |= {"category": word, "ambiguous_subtype": ""}
    with open(path, "w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, sheets.COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return len(words) - 1


def page_data(path: Path) -> dict:
    block = r'<script type="application/json" id="data">(.*?)</script>'
    return json.loads(re.search(block, path.read_text(encoding="utf-8"), re.S)[1])


def report_words(study: Changed) -> str:
    """What a reader of the report sees: no pictures, no names of files."""
    page = (study.folders.results / "report.html").read_text(encoding="utf-8")
    page = re.sub(r"<style.*?</style>|<[^>]*>", " ", page, flags=re.S)
    return re.sub(r"\S*ambiguous_\S*", "", page)


def test_pages_and_workbooks_have_the_new_category(study):
    data = page_data(study.folders.failures / "annotate_A.html")
    keys = {label["name"]: label["key"] for label in data["categories"]}
    assert keys["Text"] == "8" and keys["Setting"] == "5" and "Context" not in keys
    assert data["texts"]["said_fresh"].startswith("Press 1 to 8 for the category")
    assert data["texts"]["rules"][2].endswith(", Text in the Image.")  # no precedence: it comes last
    assert data["spellings"]["categories"]["context"] == "Setting"
    assert data["spellings"]["categories"]["ambiguous"] == "Unclear" and keys["Unclear"] == "1"
    shown = {**data["texts"], "categories": data["categories"]}
    assert "ambiguous" not in json.dumps(shown, ensure_ascii=False).casefold()


def test_the_new_key_labels_an_item(study, browser):
    from tests.support.annotating import press

    tab = browser.new_page(viewport={"width": 1280, "height": 720})
    tab.goto((study.folders.failures / "annotate_A.html").as_uri())
    press(tab, "8")
    assert tab.evaluate("Object.values(state.labels)[0].category") == "Text"
    tops = tab.evaluate("[...document.querySelectorAll('[data-category]')].map((each) => each.offsetTop)")
    assert len(tops) == 8 and len(set(tops)) == 1  # one row of eight
    tab.close()


@pytest.mark.slow
def test_every_later_step_runs(study):
    """Sheets that hold the old name are read; a category without templates leaves out one method, by name."""
    n = sum(relabel(study.folders.failures / f"assign_{name}.csv") for name in "ABC")
    both, all_three = study.options("cache", "failure"), study.options("cache", "failure", "result")
    bank = ("--bank-file", str(PROJECT / "data/sample/annotations/captions_train2017.json"))
    fixes = "--methods category,tfidf --pooling max --k-templates 2 --control-size 40 --device cpu".split()
    said = study.run(
        ("merge_assignments.py", *both, "--bootstrap-rounds", "50"),
        ("improve_subset.py", *all_three, *fixes, *bank, "--bank-size", "100"),
        ("summarize_result.py", *all_three),
    )
    assert "(8 categories)" in said and re.search(rf"Text +{n} ", said)
    assert re.search(r"Setting +[1-9]", said) and "Context" not in said
    assert re.search(r"Unclear +[1-9]", said) and "Ambiguous" not in said
    assert "mbiguous" not in report_words(study)
    assert "Text has no templates in common/labels/taxonomy.py: add 10" in said
    distribution = (study.folders.failures / "category_distribution.csv").read_text(encoding="utf-8-sig")
    assert f"all,Text,{n}," in distribution
    report = (study.folders.results / "report.html").read_text(encoding="utf-8")
    assert "Text in the Image" in report and "Text has no templates" in report
