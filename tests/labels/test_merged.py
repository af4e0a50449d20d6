"""The merged labels: written by step 4, read here by steps 5 and 6, refused where they are another's."""

import pytest

from common import files, records
from common.errors import UserError
from common.labels import merged
from common.labels.agreement import Estimate
from common.labels.merged import Labeled

CAPTIONS = ["A dog", "=SUM(A1)", "Café crème", "A cat"]
LABELS = [
    Labeled(0, "A dog", 0, 1, "Ambiguous", "nearduplicate", "all agree", 2),
    Labeled(1, "=SUM(A1)", 0, None, "Count", "", "one rater", 1),
    Labeled(3, "A cat", 1, 0, "Object", "", "adjudicated", 0),
]


def write(folder, labels=LABELS, **cells) -> None:
    """annotations_clean.csv, with some cells of its last row changed."""
    rows = [label._asdict() for label in labels]
    rows[-1] |= cells
    files.write_csv(folder / merged.CLEAN, list(Labeled._fields), rows)


def test_no_file_is_no_label(tmp_path):
    assert merged.read(tmp_path, CAPTIONS) == []


@pytest.mark.parametrize("known", [CAPTIONS, None])
def test_labels_come_back_by_idx(tmp_path, known):
    write(tmp_path, LABELS[::-1])
    assert merged.read(tmp_path, known) == LABELS


def test_a_file_that_a_spreadsheet_saved_is_read(tmp_path):
    write(tmp_path, [label._replace(caption=CAPTIONS[label.idx]) for label in [*LABELS, LABELS[0]]][1:])
    path = tmp_path / merged.CLEAN
    text = path.read_text(encoding="utf-8-sig").replace(",", ";").replace("A dog", "A  dog ")
    path.write_bytes(text.encode("utf-16"))
    assert merged.read(tmp_path, CAPTIONS) == LABELS


def test_captions_are_the_caches(tmp_path):
    """A spreadsheet may have lost characters of them."""
    write(tmp_path, [Labeled(2, "Caf? cr?me", 1, 0, "Count", "", "one rater", 1)])
    assert merged.read(tmp_path, CAPTIONS)[0].caption == "Café crème"
    assert merged.read(tmp_path, None)[0].caption == "Caf? cr?me"


def test_labels_of_another_cache_are_refused(tmp_path):
    write(tmp_path)
    with pytest.raises(UserError) as refused:
        merged.read(tmp_path, ["A dog", "=SUM(A1)", "x", "A cow"])
    assert "belongs to another cache: 1 of 3 captions differ" in str(refused.value)
    assert "caption 'A cat' is not that of idx 3: 'A cow'" in str(refused.value)
    with pytest.raises(UserError, match="idx 3 is not in the cache"):
        merged.read(tmp_path, CAPTIONS[:3])


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"category": "object"}, "idx 3: category 'object' is none of Ambiguous, Attribute"),
        ({"ambiguous_subtype": "twin"}, "idx 3: subtype 'twin' is none of underspecified, nearduplicate"),
        ({"n_raters": "two"}, "row 3: n_raters 'two' is not a number"),
        ({"idx": "0", "caption": "A dog"}, "idx 0 has 2 rows"),
    ],
)
def test_what_step_4_cannot_have_written_is_refused(tmp_path, cells, words):
    write(tmp_path, **cells)
    with pytest.raises(UserError, match="is not what step 4 writes: run `python merge_assignments.py`") as e:
        merged.read(tmp_path, CAPTIONS)
    assert words in str(e.value)


def test_fingerprint_is_of_idx_and_category_alone():
    """Its value is in results that were measured before; SHA-256 of `[[0, "Ambiguous"], [1, ...`."""
    expected = files.fingerprint(b'[[0, "Ambiguous"], [1, "Count"], [3, "Object"]]')[:16]
    categories = merged.categories(LABELS)
    assert merged.fingerprint(categories) == expected == "e211aebc40d25523"
    assert merged.fingerprint(dict(reversed(categories.items()))) == expected
    assert merged.fingerprint({**categories, 3: "Count"}) != expected
    assert merged.fingerprint({}) is None


def test_the_report_is_read_through_its_declaration(tmp_path):
    estimate = Estimate(
        over="pair", statistic="kappa", raters="A, B", n_items=3, value=None, low=None, high=None, caution="x"
    )
    report = merged.Report(
        settings=merged.Settings(STRICT=True, BOOTSTRAP_ROUNDS=5, SEED=42),
        checked_against={"meta.json": "0" * 64},
        inputs={"assign_A.csv": merged.Input(sha256="1", rater="A", read_as="CSV", rows=3, labelled=2)},
        versions={"python": "3"},
        items=3,
        waiting=1,
        agreement={"category": [estimate]},
        drawn=9,
        missing=5,
        left_out=1,
        backups=2,
    )
    records.write(tmp_path / merged.REPORT, report)
    assert merged.read_report(tmp_path) == report
    content = files.read_json(tmp_path / merged.REPORT)
    assert [*content, "model"] == records.names(merged.Report)  # which is left out where no model labeled
    assert content["agreement"]["category"][0]["value"] is None
    files.write_json(tmp_path / merged.REPORT, content | {"waiting": "one"})
    with pytest.raises(UserError, match="agreement.json does not hold what this version writes"):
        merged.read_report(tmp_path)
