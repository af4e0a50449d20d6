"""A probe next to retrieval and labels: accuracies, categories, captions, labeled failures."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from common import statistics
from common.labels import probe_levels, shares
from common.labels.probe_levels import Labels
from common.labels.shares import CategoryShare, Share
from common.labels.taxonomy import CATEGORY_NAMES
from common.probe_results import FEWEST, RIGHT, TIED, WRONG
from common.retrieval.probe_items import KINDS, TIE, Item, Joined, Scores

NO_LABELS = Labels({}, [])
CAPTIONS = ["a red cat", "two cats", "a cat sleeping next to a dog", "a cat in the kitchen"]


def answers(rows: list[tuple[str, int, float, int]], elsewhere: int = 0, image: int = 2):
    """Answers to items (type, idx, own cosine less the negative's, rank); `image` captions have one image."""
    items = [
        Item(kind, str(k), "f.jpg", "a b", "b  A." if k % 2 else "a c") for k, (kind, *_) in enumerate(rows)
    ]
    idx = np.array([row[1] for row in rows])
    n = idx.max() + 1
    rank = np.ones(n, dtype=int)
    rank[idx] = [row[3] for row in rows]
    own = np.full(len(rows), 0.25)
    scores = Scores(own, own - np.array([row[2] for row in rows]))
    return probe_levels.answers(Joined(items, idx, elsewhere, []), scores, np.arange(n) // image, rank)


def labels(counts: dict[str, int], category_of=None) -> Labels:
    total = sum(counts.values())
    rows = [
        CategoryShare(
            shares.ALL, name, Share(counts.get(name, 0), total, counts.get(name, 0) / total, 0, 1, "")
        )
        for name in CATEGORY_NAMES
    ]
    return Labels(category_of or {0: "Object"}, rows)


def test_ties_are_errors_and_told():
    found = answers(
        [("add_obj", k, d, 1) for k, d in enumerate((0.1, -0.1, 0.0, TIE / 2, -TIE / 2, 2 * TIE))]
    )
    assert found.outcome.tolist() == [RIGHT, WRONG, TIED, TIED, TIED, RIGHT]
    (row,) = probe_levels.accuracies(found, published=True)
    assert (row.n, row.images, row.right, row.ties, row.same_words) == (6, 3, 2, 3, 3)
    assert row.value == pytest.approx(1 / 3, abs=1e-6)
    ends = statistics.clustered_share(np.array([1, 0, 0, 0, 0, 1]), np.array([0, 0, 1, 1, 2, 2]))
    assert (row.low, row.high) == pytest.approx(ends, abs=1e-6)
    assert (row.categories, row.published) == (["Object"], 77.20)
    assert probe_levels.accuracies(found, published=False)[0].published is None


def test_each_type_counts_the_same_captions_in_retrieval():
    rows = [("swap_att", k, d, rank) for k, (d, rank) in enumerate([(-1, 2), (-1, 1), (1, 3), (1, 1)] * 4)]
    rows += [("swap_obj", 20, 1, 5)]
    first, second = probe_levels.odds(answers(rows))
    assert (first.type, first.odds_ratio) == ("swap_obj", None)
    counts = second.both_fail, second.only_item_fails, second.only_retrieval_fails, second.both_right
    assert counts == (4, 4, 4, 4) and second.odds_ratio == 1 and second.low < 1 < second.high


def test_categories_that_one_type_does_not_split_are_one_row():
    kinds = [("replace_rel", 0.1), ("replace_att", -0.1), ("swap_obj", 0.1), ("swap_obj", -0.1)]
    found = answers([(kind, k, d, 1) for k, (kind, d) in enumerate(kinds)])
    people = labels({"Action": 10, "Spatial": 20, "Object": 20, "Attribute": 40, "Count": 10})
    rows = {tuple(row.categories): row for row in probe_levels.categories(found, CAPTIONS, people)}
    assert list(rows) == [
        *(("Ambiguous",), ("Attribute",), ("Action", "Spatial"), ("Count",), ("Context",), ("Object",))
    ]
    both = rows["Action", "Spatial"]
    assert (both.types, both.n, both.mentioned, both.labeled, both.share) == (
        ["replace_rel"],
        1,
        0.25,
        30,
        0.3,
    )
    assert both.ratio == pytest.approx(1.2)
    ends = [end / 0.25 for end in statistics.wilson(30, 100)]
    assert [both.ratio_low, both.ratio_high] == pytest.approx(ends, abs=1e-6)
    for hole in ("Ambiguous",), ("Count",), ("Context",):
        assert rows[hole].types == [] and rows[hole].accuracy is None and rows[hole].label_place is None
    assert rows["Count",].ratio == pytest.approx(0.4) and rows["Ambiguous",].mentioned is None
    places = {name: (row.probe_place, row.label_place) for name, row in rows.items() if row.types}
    assert places == {("Attribute",): (1, 1), ("Object",): (2, 3), ("Action", "Spatial"): (3, 2)}


def test_without_labels_the_probe_stands_alone():
    rows = probe_levels.categories(answers([("add_att", 0, 1, 2)]), CAPTIONS, NO_LABELS)
    assert all(row.share is None and row.label_place is None for row in rows)
    assert [row.categories for row in rows if row.types] == [["Attribute"]]
    assert probe_levels.labeled(answers([("add_att", 0, 1, 2)]), NO_LABELS) == []


def test_labeled_failures_get_no_share_of_few_items():
    rows = [("replace_rel", k, -1 if k < 4 else 1, 2) for k in range(FEWEST)]
    rows += [("add_obj", 0, -1, 2), ("add_obj", 40, 1, 1)]
    people = labels({"Object": 1}, dict.fromkeys(range(FEWEST), "Spatial") | {40: "Object"})
    found = probe_levels.labeled(answers(rows), people)
    counted = [(row.category, row.type, row.n, row.failed, row.share) for row in found]
    assert counted == [("Spatial", "add_obj", 1, 1, None), ("Spatial", "replace_rel", FEWEST, 4, 0.4)]


OPENAI = "openai/clip-vit-base-patch32"


def as_published(off: dict[str, float] | None = None) -> list[SimpleNamespace]:
    off = off or {}
    kinds = [kind for kind in KINDS if kind.size]
    values = {kind.name: kind.published / 100 + off.get(kind.name, 0) for kind in kinds}
    return [SimpleNamespace(type=k.name, published=k.published, value=values[k.name]) for k in kinds]


@pytest.mark.parametrize(
    ("model", "rows", "elsewhere", "agrees", "said"),
    [
        (OPENAI, as_published(), 0, True, "Agrees .* clip-vit-base-patch32 within 1.5 points"),
        (OPENAI, as_published({"swap_att": 0.0149}), 0, True, "Agrees"),
        (
            "clip-vit-base-patch32",
            as_published({"swap_att": -0.02}),
            0,
            False,
            r"in swap_att -2.00 points: look",
        ),
        (OPENAI, as_published(), 3, None, "Not compared .*: 1 items, and 3 are of other images"),
        (OPENAI, [SimpleNamespace(type="x", published=None, value=0.5)], 0, None, "not the authors' own"),
        ("ViT-L-14", as_published(), 0, None, "Not compared .* known of clip-vit-base-patch32 alone"),
    ],
)
def test_accuracies_are_held_to_the_published_ones(model, rows, elsewhere, agrees, said):
    found = answers([("add_obj", 0, 1, 1)], elsewhere)
    sentence, agreed = probe_levels.comparison(rows, found, SimpleNamespace(model=model))
    assert agreed is agrees
    assert re.search(said, sentence), sentence
