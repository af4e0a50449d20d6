"""Shares that a model helped to estimate: next to people's in the tables and the figure, and marked."""

import pytest

from common import files
from common.errors import UserError
from common.labels import assisted
from common.labels.decisions import Item
from common.labels.model_labels import ModelLabels, Note
from common.labels.ratings import Choice
from common.labels.shares import CategoryShare, Share
from common.labels.taxonomy import CATEGORY_NAMES
from common.report import assisted_rows, label_inputs, label_rows, study_tables, summaries, tables
from tests.support import written_study

BASE = {
    "summary_provenance": [{"what": "a", "value": "b"}],
    "summary_baseline": label_rows.baseline(written_study.baseline()),
}
COUNTS = {"Ambiguous": 20, "Count": 15, "Object": 5}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What step 4 writes of a model that says Count of half of the Ambiguous ones."""
    path = tmp_path_factory.mktemp("failures")
    labels = written_study.labels_of(COUNTS)
    items = [Item(one.label.idx, Choice(one.label.category, ""), "one rater", 1) for one in labels.failures]
    says = {item.idx: "Count" if item.idx < 10 else item.choice.category for item in items}
    says |= {idx: CATEGORY_NAMES[idx % 7] for idx in range(len(items), 100)}
    choices = {idx: Choice(category, "") for idx, category in says.items()}
    model = ModelLabels(Note(model="vlm 2", prompt="p", date="d"), choices, 100, "", "p")
    rows = [CategoryShare("all", row.category, Share(*row.share)) for row in labels.categories]
    for name, table in assisted.tables(assisted.compare(items, rows, model, 20, 1)).items():
        files.write_csv(path / name, table.columns, table.rows)
    return path


@pytest.fixture(scope="module")
def labels(folder):
    read = label_inputs.read_model(folder, 40)
    return written_study.labels_of(COUNTS)._replace(**read)


def test_shares_are_step_4s_with_the_bias_in_points(labels):
    rows = {row["category"]: row for row in assisted_rows.shares(labels)}
    assert list(rows) == list(CATEGORY_NAMES)
    count = rows["Count"]
    assert (count["n"], count["people"], count["model_n"], count["bias_pp"]) == (40, 0.375, 100, 25.0)
    assert count["assisted_low"] < count["assisted"] < count["assisted_high"]
    assert rows["Spatial"]["kappa"] is None


def test_the_figure_and_the_tables_name_the_model(labels, tmp_path):
    own = label_rows.shares(labels)
    found = {
        "figures/category_distribution": assisted_rows.next_to(own, labels),
        "summary_assisted": assisted_rows.shares(labels),
        "summary_model_agreement": assisted_rows.agreement(labels),
    }
    assert {row["model_name"] for row in found["figures/category_distribution"]} == {"vlm 2"}
    csvs = summaries.write(tmp_path, found | BASE)
    made = study_tables.of(csvs)
    assert made["assisted"].caption.startswith("Shares assisted by {model_name}")
    text = tables.render(made["assisted"]).latex
    assert "vlm 2" in text and "Assisted" in text
    assert "model, people" in str(tables.render(made["model_agreement"]).html)


def test_without_a_model_nothing_is_said():
    labels = written_study.labels_of(COUNTS)
    own = label_rows.shares(labels)
    assert assisted_rows.next_to(own, labels) == own
    assert assisted_rows.shares(labels) == assisted_rows.agreement(labels) == []


def test_rows_of_other_labels_are_refused(folder):
    with pytest.raises(UserError, match="is about other labels than annotations_clean.csv holds"):
        label_inputs.read_model(folder, 41)
