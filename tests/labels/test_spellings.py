"""The table of spellings: what people write for a label, and what must never be taken for one."""

import pytest

from common.labels import sheets, spellings, taxonomy


@pytest.mark.parametrize("label", taxonomy.CATEGORIES + taxonomy.SUBTYPES, ids=lambda label: label.name)
def test_every_name_of_the_guides_is_known(label):
    known = spellings.category if label in taxonomy.CATEGORIES else spellings.subtype
    for name in label.names:
        for written in (name, name.upper(), name.lower(), f" {name}\t", name.replace(" ", "_")):
            assert known(written) == label.name


def test_no_spelling_means_two_labels():
    for labels in (taxonomy.CATEGORIES, taxonomy.SUBTYPES):
        claims = {}
        for label in labels:
            for spelling in (*label.names, *label.spellings):
                claims.setdefault(spellings.squeezed(spelling), set()).add(label.name)
        twice = {spelling: names for spelling, names in claims.items() if len(names) > 1}
        assert not twice, f"spellings of two labels in common/labels/taxonomy.py: {twice}"
    assert not set(spellings.CATEGORY_TABLE) & set(spellings.SUBTYPE_TABLE)


def test_a_labels_own_name_is_never_another_labels_spelling():
    """A new category `Scene` before Context, which lists it as a spelling: sheets that say Scene mean it."""
    new = taxonomy.Label("Scene", "Scene itself", "8", "The scene is another one, with other things in it.")
    table = spellings._table((new, *taxonomy.CATEGORIES))
    assert table["scene"] == table["sceneitself"] == "Scene" and table["scenes"] == "Context"


def test_every_column_of_a_sheet_is_known_by_its_own_name():
    for column in sheets.COLUMNS:
        assert spellings.COLUMN_TABLE[spellings.squeezed(column.replace("_", " ").upper())] == column


@pytest.mark.parametrize(
    ("written", "label"),
    [
        ("Sptial", "Spatial"),
        ("near_duplicate", None),
        ("Scene/Context", "Context"),
        ("scene - context", "Context"),
        ("action/interaction", "Action"),
        ("动作 / 交互", "Action"),
        ("Ｏｂｊｅｃｔ", "Object"),
        ("Object?", None),
        ("not Object", None),
        ("Object Count", None),
        ("1", None),
        ("", None),
        ("none", None),
    ],
)
def test_category(written, label):
    assert spellings.category(written) == label


@pytest.mark.parametrize(
    ("written", "label"),
    [
        ("near_duplicate", "nearduplicate"),
        ("Near-Duplicate", "nearduplicate"),
        ("under specified", "underspecified"),
        ("UNDER_SPECIFIED", "underspecified"),
        ("duplicate", None),
        ("specified", None),
        ("Ambiguous", None),
    ],
)
def test_subtype(written, label):
    assert spellings.subtype(written) == label


@pytest.mark.parametrize(
    ("written", "label"), [("Countt", "Count"), ("objekt confusion", "Object"), ("spatial rel", "Spatial")]
)
def test_nearest_is_proposed(written, label):
    assert spellings.category(written) is None
    assert spellings.nearest_category(written) == label


@pytest.mark.parametrize("blank", ["", " ", "\t\r\n", "\u00a0", "\u200b", "\ufeff", "\u3000"])
def test_blank(blank):
    assert spellings.is_blank(blank)
    assert not spellings.is_blank(blank + "x")
