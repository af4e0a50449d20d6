"""A probe in the report: read back if it is of this cache, its rows, what labels that changed make of it."""

import pytest

from common import probe_results, records
from common.errors import UserError
from common.labels import merged
from common.probe_results import Accuracy, Compared, Inputs, Labeled, Odds, Result
from common.report import inputs, probe_rows, probe_tables, summaries, tables

SHARES = {"value": 0.5, "low": 0.3, "high": 0.7}
COUNTS = {"n": 4, "images": 3, "right": 2, "ties": 1, "same_words": 4}
CELLS = {"both_fail": 1, "only_item_fails": 0, "only_retrieval_fails": 2, "both_right": 1}


def result(published: float | None = None, labels: str | None = None) -> Result:
    """Two types, of which one has no odds ratio; two categories, of which one is a hole."""
    kinds = ("swap_att", "replace_rel")
    about = {"swap_att": ["Attribute"], "replace_rel": ["Action", "Spatial"]}
    odds = {"odds_ratio": 2.0, "low": 0.5, "high": 8.0}
    compared = [
        Compared(categories=["Context"], types=[], mentioned=0.4),
        Compared(categories=["Action", "Spatial"], types=["replace_rel"], n=4, accuracy=0.5, probe_place=1),
    ]
    return Result(
        **{"model": "m", "items": 9, "joined": 8, "elsewhere": 1, "without_caption": [], "cut_off": 0},
        accuracies=[
            Accuracy(type=k, words="w", categories=about[k], published=published, **COUNTS, **SHARES)
            for k in kinds
        ],
        odds=[
            Odds(type="swap_att", odds_ratio=None, **CELLS),
            Odds(type="replace_rel", **(CELLS | {"only_item_fails": 1}), **odds),
        ],
        categories=compared,
        labeled=[Labeled(category="Action", type="replace_rel", n=1, failed=1, share=None)],
        comparison="Not compared",
        agrees=None,
        inputs=Inputs(cache="this one", labels=labels, files={}, published=False),
        versions={},
    )


def written(folder, found: Result) -> None:
    records.write(folder / probe_results.RESULT, found)


def test_a_probe_of_this_cache_is_read_back(tmp_path):
    notes = []
    assert inputs.read_probe(tmp_path, "this one", None, notes) is None
    written(tmp_path, result())
    assert inputs.read_probe(tmp_path, "this one", None, notes) == result() and notes == []


def test_a_probe_of_another_cache_is_left_out_and_said(tmp_path):
    written(tmp_path, result())
    notes = []
    assert inputs.read_probe(tmp_path, "another", None, notes) is None
    assert len(notes) == 1 and "of another cache" in notes[0] and "python probe.py" in notes[0]


def test_labels_merged_after_the_probe_are_said(tmp_path):
    written(tmp_path, result(labels=merged.fingerprint({1: "Object"})))
    notes = []
    assert inputs.read_probe(tmp_path, "this one", None, notes) is not None
    assert len(notes) == 1 and "labels were merged after" in notes[0]


def test_a_probe_that_is_not_whole_names_the_command(tmp_path):
    (tmp_path / probe_results.RESULT).write_text('{"model": "m"}', encoding="utf-8")
    with pytest.raises(UserError, match="probe.json .*python probe.py"):
        inputs.read_probe(tmp_path, "this one", None, [])


@pytest.mark.parametrize("published", [None, 63.96])
def test_every_table_shows_what_the_csvs_hold(tmp_path, published):
    csvs = summaries.write(tmp_path, probe_rows.of(result(published), None))
    found = {name: tables.render(table).latex for name, table in probe_tables.of(csvs).items()}
    assert found.keys() == probe_tables.TABLES.keys()
    assert r"50.00\% [30.00, 70.00]" in found["probe"] and "2.00 [0.50, 8.00]" in found["probe"]
    assert r"swap\_att & w & Attribute" in found["probe"] and ("Published" in found["probe"]) == bool(
        published
    )
    assert "Context & -- & -- & -- & -- & 40.00" in found["probe_categories"]
    assert "Action and Spatial" in found["probe_categories"]
    assert "Share of failures" not in found["probe_categories"], "there are no labels"
    assert r"Action & replace\_rel & 1 & 1 & --" in found["probe_labeled"]
