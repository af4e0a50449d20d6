"""Methods are parsed once, and the table of parts says everything about each of them."""

import pytest

from common.fixes import recipes
from common.fixes.recipes import BASE, HUBS, KINDS, LABELS, TEXTS, WORDS
from common.results import DEALT, LABEL

NAMES = [part.name for part in recipes.PARTS]


@pytest.mark.parametrize("name", ["nnn+words", "words+nnn"])
def test_a_method_has_one_name_whatever_the_order(name):
    recipe = recipes.parse(name)
    assert recipe.name == "nnn+words" and recipe == recipes.parse("nnn+words")
    assert (recipe.base, recipe.hubs.name, recipe.words.name) == (None, "nnn", "words")


@pytest.mark.parametrize(
    ("name", "encodes", "needs_bank", "uses_category", "reads_bank", "oracle_where"),
    [
        ("prompts", True, False, False, False, []),
        ("category", True, False, True, False, [LABEL]),
        ("nnn", False, True, False, False, []),
        ("tfidf", False, False, False, False, [None]),
        ("words", False, True, False, True, []),
        ("csls", False, True, False, False, []),
        ("nnn_gallery", False, False, False, False, []),
        ("centre", False, True, False, False, []),
        ("category+dn+words", True, True, True, True, [LABEL]),
        ("category+tfidf", True, False, True, False, [LABEL, DEALT]),
    ],
)
def test_what_a_method_needs(name, encodes, needs_bank, uses_category, reads_bank, oracle_where):
    recipe = recipes.parse(name)
    assert (recipe.encodes, recipe.needs_bank) == (encodes, needs_bank)
    assert (recipe.uses_category, recipe.reads_bank) == (uses_category, reads_bank)
    sources = [LABEL, DEALT] if uses_category else [None]
    assert [source for source in sources if recipe.is_oracle(source)] == oracle_where


def test_a_label_names_the_pooling_where_there_is_one():
    assert recipes.parse("prompts+nnn").label("mean") == "prompts+nnn (mean)"
    assert recipes.parse("nnn").label("none") == "nnn"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nn", "'nn' is none of prompts, category, nnn"),
        ("", "'' is none of"),
        ("nnn+is", "'nnn\\+is' has more than one of nnn, dn, is, dis"),
        ("nnn+nnn", "has more than one of"),
        ("prompts+category", "has more than one of prompts, category"),
    ],
)
def test_what_is_no_method_is_refused(name, said):
    with pytest.raises(ValueError, match=said):
        recipes.parse(name)


def test_every_entry_of_the_table_is_whole():
    assert len(set(NAMES)) == len(NAMES) and not any("+" in name or " " in name for name in NAMES)
    for part in recipes.PARTS:
        assert part.kind in KINDS and part.description and callable(part.make)
        # Templates have to be encoded, and nothing else is.
        assert (TEXTS in part.needs) == (part.kind == BASE)
        assert LABELS not in part.needs or part.kind == BASE
        assert bool(part.published) == bool(part.grid) == bool(part.source)
        assert not part.published or part.published in part.grid, "TUNE tries what was published"
        assert all(each.keys() == part.published.keys() for each in part.grid)
        assert ("weight" in part.published) == (part.kind == WORDS)
        assert part.note.name == part.name and part.note.oracle == part.is_oracle


def test_parts_stand_in_the_order_in_which_they_work():
    assert [part.kind for part in recipes.PARTS] == sorted((p.kind for p in recipes.PARTS), key=KINDS.index)
    assert {part.kind for part in recipes.PARTS} == {BASE, HUBS, WORDS}


def test_a_new_entry_is_known_everywhere(monkeypatch):
    toy = recipes.Part("toy", HUBS, "a toy", lambda it, strength: None, published={"strength": 2.0})
    monkeypatch.setattr(recipes, "PARTS", (*recipes.PARTS, toy))
    assert recipes.parse("words+toy").hubs is toy
    assert recipes.published()["toy"] == {"strength": 2.0}
    with pytest.raises(ValueError, match="more than one of nnn, dn, is, dis, csls, nnn_gallery, centre, toy"):
        recipes.parse("nnn+toy")


def test_names_are_explained_once_each():
    lines = recipes.explained([recipes.parse("nnn+words"), recipes.parse("nnn"), recipes.parse("prompts")])
    assert [line.split()[0] for line in lines] == ["prompts", "nnn", "words"]
    assert "Nearest Neighbor Normalization" in lines[1]
    long = recipes.explained([recipes.parse("nnn"), recipes.parse("nnn_gallery")])
    assert [line.index("N") for line in long] == [12, 12], "a column that the longest name fits in"
    counts = {part.name: part.learns_from for part in recipes.PARTS}
    assert (counts["csls"], counts["dn"], counts["nnn_gallery"]) == (10, 0, 0)
