"""Positives of several studies: votes added up, contradictions listed, other orders refused."""

from pathlib import Path

import pytest

from common.errors import UserError
from common.labels import pooled_positives as pooled
from common.labels.pooled_positives import FITS, FITS_NOT, Study
from common.labels.ratings import Choice
from tests.support import merge_folder, running

U, A, C, S = (
    Choice("Ambiguous", "underspecified"),
    Choice("Ambiguous", ""),
    Choice("Count", ""),
    Choice("Spatial", ""),
)


def study(
    name: str, given: dict[int, list[Choice]], images: dict[int, int] | None = None, **adjudged
) -> Study:
    """A study of captions 0 to 9 with ids 100 on; image 50 + idx was retrieved, or what `images` says."""
    labels = {idx: dict(zip("ABC", of, strict=False)) for idx, of in given.items()}
    for idx, choice in adjudged.items():
        labels[int(idx.strip("i"))]["adjudicator"] = choice
    ids = {idx: (100 + idx, (images or {}).get(idx, 50 + idx)) for idx in range(10)}
    return Study(Path(name), {idx: f"caption {idx}" for idx in range(10)}, ids, labels)


def test_votes_of_different_people_are_added():
    found = pooled.pool([study("one", {3: [U], 4: [U]}), study("two", {3: [U], 5: [C]})])
    assert [(one.caption_id, one.image_id, one.votes_for, one.votes) for one in found.verified] == [
        (103, 53, 2, 2)
    ]
    assert [one.caption_id for one in found.single] == [104]
    assert found.contradictions == []


def test_studies_that_contradict_verify_nothing():
    found = pooled.pool(
        [study("one", {3: [U, U, U]}), study("two", {3: [C, S, C]}), study("three", {3: [U]})]
    )
    assert (found.verified, found.single) == ([], [])
    said = [(one.study, one.verdict, one.votes_for, one.votes) for one in found.contradictions]
    assert said == [("one", FITS, 3, 3), ("two", FITS_NOT, 0, 3), ("three", FITS, 1, 1)]


@pytest.mark.parametrize("other", [[A], [A, U], [C, U]])
def test_who_is_unsure_or_split_contradicts_nobody(other):
    found = pooled.pool([study("one", {3: [U, U, U]}), study("two", {3: other})])
    assert (len(found.verified), found.contradictions) == (1, [])


def test_other_images_of_a_caption_are_other_pairs():
    """Two models retrieve different images for one caption."""
    found = pooled.pool([study("one", {3: [U, U]}), study("two", {3: [C, C]}, {3: 77})])
    assert [one.image_id for one in found.verified] == [53]
    assert found.contradictions == []


def test_an_adjudicator_decides_in_the_pool_too():
    one = study("one", {3: [U, C, S]}, i3=U)
    assert [pair.decided for pair in pooled.pool([one, study("two", {4: [C]})]).verified] == ["adjudicated"]


def test_the_order_of_studies_changes_no_pair():
    studies = [study("one", {3: [U], 4: [U, U]}), study("two", {3: [U], 4: [C, C]}), study("three", {5: [U]})]
    one, other = pooled.pool(studies), pooled.pool(studies[::-1])
    assert (one.verified, one.single) == (other.verified, other.single)
    assert sorted(one.contradictions) == sorted(other.contradictions)


@pytest.mark.parametrize("changed", ["captions", "ids"])
def test_another_frozen_order_is_refused(changed):
    one, two = study("one", {3: [U]}), study("two", {3: [U]})
    other = {"captions": two.captions | {3: "something else"}, "ids": two.ids | {3: (999, 53)}}
    with pytest.raises(UserError, match="not of the same frozen order"):
        pooled.pool([one, two._replace(**{changed: other[changed]})])


# ---- the script -----------------------------------------------------------------------------------------


@pytest.fixture
def two(tmp_path) -> list[merge_folder.Folder]:
    """Two merged studies of one cache: one finds idx 1 and 2 to fit by two, the other idx 1 not to."""
    studies = [merge_folder.Folder(tmp_path / name) for name in ("one", "two")]
    for folder, second in zip(studies, (merge_folder.U, "Count"), strict=True):
        for rater in "AB":
            folder.fill(f"assign_overlap_{rater}", {1: second, 2: merge_folder.U})
        folder.merged()
    return studies


def run(two: list[merge_folder.Folder], out: Path) -> running.Run:
    names = ",".join(str(folder.path) for folder in two)
    return running.run(
        "merge_positives.py", "--studies", names, "--cache-dir", two[0].root / "cache", "--pooled-dir", out
    )


def test_the_script_pools_what_step_4_wrote(two, tmp_path):
    assert [len(folder.table("verified_positives.csv")) for folder in two] == [2, 1]
    status, said, err = run(two, tmp_path / "out")
    assert (status, err) == (0, "")
    assert "Verified by two people or more: 1 pair; by one vote alone: 0" in said
    assert "Left out: 1 pair on which studies contradict, in contradictions.csv" in said
    image = 1000 + merge_folder.predicted(2)
    assert (tmp_path / "out" / "verified_positives.qrels").read_text() == f"2 0 {image} 1\n"
    (pair,) = merge_folder.table(tmp_path / "out" / "verified_positives.csv")
    assert (pair["votes_for"], pair["votes"]) == ("4", "4")
    rows = merge_folder.table(tmp_path / "out" / "contradictions.csv")
    assert [(row["caption_id"], row["verdict"]) for row in rows] == [("1", FITS), ("1", FITS_NOT)]


def test_what_was_not_merged_is_named(two, tmp_path):
    (two[1].path / "annotations_raw.csv").unlink()
    status, _, err = run(two, tmp_path / "out")
    assert status == 1 and "annotations_raw.csv was not found: run `python merge_assignments.py" in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("names", ["", "nowhere,here", "."])
def test_fewer_than_two_studies_are_refused(names, tmp_path):
    status, _, err = running.run("merge_positives.py", "--studies", names, "--pooled-dir", tmp_path / "out")
    assert status == 2 and err.startswith("error: STUDIES = ")
