"""The declared results and what README says of them; finished methods are recognized, others are not."""

import re
import typing

import msgspec
import pytest

from common import records, results
from tests.support import PROJECT

# Heading of a table in final_results/README.md -> the type whose fields it describes.
TABLES = {
    "`net_effects.json`": results.Index,
    "Each of `net_effects`": results.IndexRow,
    "Each measure of `net_effect`": results.NetEffect,
    "A method: `cells/*.json`": results.MethodResult,
    "Each of `sets`": results.SetResult,
    "`changed` and `placebo`": results.Changed,
    "`identity`": results.Identity,
}


def section() -> str:
    """Step 6's half of the README."""
    text = (PROJECT / "final_results" / "README.md").read_text(encoding="utf-8")
    return text.split("## Step 6,", 1)[1].split("\n## ", 1)[0]


def first_cells(heading: str) -> list[str]:
    """The names in the first column of the table under a heading."""
    found = re.search(rf"^\*\*{re.escape(heading)}\*\*.*\n\n((?:\|.*\n)+)", section(), re.M)
    assert found, f"{heading}: no such table"
    lines = found[1].splitlines()[2:]
    return [name for line in lines for name in re.findall(r"`([^`]+)`", line.split("|")[1])]


@pytest.mark.parametrize("heading", TABLES)
def test_the_readme_names_every_field_and_no_other(heading):
    named = first_cells(heading)
    assert len(set(named)) == len(named)
    assert set(named) == set(records.names(TABLES[heading]))


def test_the_readme_names_the_columns_of_ranks():
    assert first_cells("`cells/*.csv`") == list(results.RANK_COLUMNS)


def kinds_in(kind: type) -> set[type]:
    """A record and all records that its fields hold."""
    found = {kind}
    for each in msgspec.structs.fields(kind):
        waiting = [each.type]
        while waiting:
            inner = waiting.pop()
            waiting += typing.get_args(inner)
            if isinstance(inner, type) and issubclass(inner, records.Record):
                found |= kinds_in(inner)
    return found


def test_fields_of_inner_records_are_named_too():
    mentioned = set(re.findall(r"`([^`]+)`", section()))
    for kind in kinds_in(results.Index) | kinds_in(results.MethodResult):
        assert set(records.names(kind)) <= mentioned, kind
