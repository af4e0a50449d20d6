"""The README of the results' folder, held to what steps 1 and 5 declare."""

import re
import typing

import pytest

from common import probe_results, records
from common.report import figures, summaries
from common.retrieval import evaluation
from tests.support import PROJECT

README = (PROJECT / "final_results" / "README.md").read_text(encoding="utf-8")


def names(heading: str) -> list[str]:
    """The names in the first column of the first table after some words."""
    after = README.split(heading, 1)[1]
    table = re.search(r"(^\|.*\n)+", after, re.M)[0].splitlines()[2:]
    return [name for row in table for name in re.findall(r"`([^`]+)`", row.split("|")[1])]


def test_baseline_has_the_fields_that_the_readme_lists():
    assert names("**`baseline.json`**") == records.names(evaluation.Baseline)
    measures = records.names(evaluation.Measures)
    assert set(names("**The measures of one direction**")) == set(measures)
    for field, direction in evaluation.Baseline.__annotations__.items():
        if field in ("text_to_image", "image_to_text"):
            (row,) = re.findall(rf"^\| `{field}` \|(.*)", README, re.M)
            kind = next(iter(typing.get_args(direction)), direction)  # of `... | None`
            further = set(records.names(kind)) - set(measures)
            assert set(re.findall(r"`([^`]+)`", row)) == further


@pytest.mark.parametrize(
    ("heading", "kind"),
    [
        ("**`probe.json`**", probe_results.Result),
        ("**Each of `accuracies`**", probe_results.Accuracy),
        ("**Each of `odds`**", probe_results.Odds),
        ("**Each of `categories`**", probe_results.Compared),
    ],
)
def test_the_probe_has_the_fields_that_the_readme_lists(heading, kind):
    assert names(heading) == records.names(kind)


def test_the_readme_lists_every_file_of_step_5():
    listed = set(names("## Step 5"))
    assert {f"{name}.csv" for name in summaries.SHEETS if "/" not in name} == {
        name for name in listed if name.startswith("summary_")
    }
    (line,) = re.findall(r"^Figures: (.*)\.$", README, re.M)
    assert set(re.findall(r"`([^`]+)`", line)) == set(figures.FIGURES)
    assert "tables/<name>.tex" in listed
