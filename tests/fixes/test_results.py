"""The declared results and what README says of them; finished methods are recognized, others are not."""

import re
import typing
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from common import comparisons, files, records, results
from common.fixes.results import CODE, adjusted, family
from tests.project.test_imports import of_common
from tests.support import PROJECT

# Heading of a table in final_results/README.md -> the type whose fields it describes.
TABLES = {
    "`net_effects.json`": results.Index,
    "Each of `net_effects`": results.IndexRow,
    "Each measure of `net_effect`": results.NetEffect,
    "A method: `cells/*.json`": results.MethodResult,
    "`marks`": results.Marks,
    "Each of `sets`": results.SetResult,
    "`changed`": results.Changed,
    "`placebo` of a set": results.PlaceboChanged,
    "Each measure of a placebo": results.Chance,
    "Each measure of `beyond`": results.Beyond,
    "`identity`": results.Identity,
    "Each of `power`": results.Power,
    "Each of `differences`": comparisons.Difference,
    "Each of `compared`": results.ComparedModel,
    "`overlap`": comparisons.Overlap,
    "Each of `recovered`": comparisons.Recovered,
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


def test_the_readme_names_the_columns_of_compared_ranks():
    assert first_cells("`cells/compared_*.csv`") == [*results.COMPARED_COLUMNS, "rank_1", "rank_2"]


def test_compared_models_are_in_the_family(tmp_path):
    """Their tests cost power like any other."""
    found = {Path("nnn"): result("nnn", p=0.01), Path("is"): result("is", p=0.03)}
    tests, sentence = family(found, ["mean"], 1)
    assert "over 2 fixes and 1 compared model: each method once" in sentence
    p_holm, p_models = adjusted(found, tests, [{"R@1": SimpleNamespace(p=0.02)}])
    assert (p_holm, p_models) == ({Path("nnn"): 0.03, Path("is"): 0.04}, [0.04])
    assert adjusted(found, tests, []) == ({Path("nnn"): 0.02, Path("is"): 0.03}, [])


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


def test_all_that_computes_is_in_the_fingerprint_of_the_code():
    """Every module of common/ that fixes/ imports is in it, or known to compute no result of step 6."""
    fixes = set((PROJECT / "common" / "fixes").glob("[!_]*.py"))
    reached = set().union(*(of_common(path) for path in fixes))
    words = {"say.py", "settings.py", "errors.py", "files.py", "records.py", "heavy.py"}
    inputs = {
        "merged.py",
        "cache.py",
        "meta.py",
        "text_cache.py",
    }  # what they give has a fingerprint of its own
    assert {path.name for path in reached - set(CODE)} <= words | inputs
    assert fixes <= set(CODE) and all(path.is_file() for path in CODE)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_fingerprint_of_code_is_over_every_byte(tmp_path, place):
    paths = [tmp_path / name for name in ("a.py", "b.py", "c.py")]
    for path in paths:
        path.write_text(f"# {path.name}\n", encoding="utf-8")
    before = files.sources_fingerprint(paths)
    assert files.sources_fingerprint(paths) == before
    paths[place].write_text("# another\n", encoding="utf-8")
    assert files.sources_fingerprint(paths) != before


def result(method, pooling="none", p=0.01, **marks) -> results.MethodResult:
    """What the family looks at."""
    plain = dict.fromkeys(("transductive", "oracle", "dealt", "anecdotal", "tuned"), False)
    marks = results.Marks(exact=True, ranked=100, of=100, **plain | marks)
    whole = SimpleNamespace(marks=marks, net_effect={"R@1": SimpleNamespace(p=p)})
    return SimpleNamespace(method=method, pooling=pooling, on=lambda name: whole)


@pytest.mark.parametrize("first", ["mean", "max", "logsumexp"])
def test_near_copies_and_references_cost_no_power(first):
    """Poolings of a method are one test; what is transductive or has extra knowledge is none."""
    found = {Path("nnn"): result("nnn"), Path("tfidf"): result("tfidf", oracle=True)}
    found |= {Path(each): result("prompts", each) for each in ("mean", "max", "logsumexp")}
    found |= {Path("is"): result("is", transductive=True), Path("c"): result("category", first, dealt=True)}
    tests, sentence = family(found, [first, *{"mean", "max", "logsumexp"} - {first}])
    assert set(tests) == {Path("nnn"), Path(first), Path("c")}
    assert f"the first of POOLING ({first})" in sentence and "over 3 fixes" in sentence
    assert "R@5 and R@10 is not adjusted" in sentence


@pytest.mark.parametrize(
    ("marks", "words", "is_fix"),
    [
        ({}, [], True),
        ({"transductive": True}, ["transductive"], False),
        ({"oracle": True}, [results.EXTRA], False),
        ({"dealt": True}, ["dealt"], True),
        ({"exact": False, "ranked": 1889, "of": 2700}, ["estimated from 1,889 of 2,700"], True),
        ({"anecdotal": True, "ranked": 7}, ["anecdotal: n = 7"], True),
        ({"tuned": True, "transductive": True}, ["transductive", "tuned"], False),
    ],
)
def test_a_mark_is_said_and_explained(marks, words, is_fix):
    plain = dict.fromkeys(("transductive", "oracle", "dealt", "anecdotal", "tuned"), False)
    found = results.Marks(**{"exact": True, "ranked": 9, "of": 9, **plain} | marks)
    assert (found.words, found.is_fix) == (words, is_fix)
    assert all(any(word.startswith(mark) for mark in results.LEGEND) for word in words)
