"""Verified positives: who has to say so, what is told of them, and how sure they are."""

import random

import pytest

from common.labels import levels, positives
from common.labels.positives import Pair
from common.labels.ratings import Choice
from common.labels.taxonomy import CATEGORY_NAMES
from tests.support import PROJECT

U, D, A = Choice("Ambiguous", "underspecified"), Choice("Ambiguous", "nearduplicate"), Choice("Ambiguous", "")
C, S = Choice("Count", ""), Choice("Spatial", "")
IDS = {idx: (1000 + idx, 50 + idx) for idx in range(50_000)}


def found(given: list[Choice], final: Choice | None = None) -> positives.Positives:
    labels = {7: dict(zip("ABCD", given, strict=False))} if given else {}
    return positives.of(labels, {7: final} if final else {}, IDS)


@pytest.mark.parametrize(
    ("given", "final", "row"),
    [
        ([U, U], None, (2, 0, 2, "underspecified", "all agree")),
        ([U, D, C], None, (2, 0, 3, "", "majority")),
        ([U, U, A], None, (2, 1, 3, "underspecified", "majority")),
        ([U, U, U, C], None, (3, 0, 4, "underspecified", "majority")),
        ([U, C], D, (2, 0, 3, "nearduplicate", "adjudicated")),
        ([U, C, S], U, (2, 0, 4, "underspecified", "adjudicated")),
    ],
)
def test_two_people_and_a_majority_verify(given, final, row):
    result = found(given, final)
    assert result.verified == [Pair(1007, 57, 7, *row)]
    assert result.single == []


@pytest.mark.parametrize(
    ("given", "final", "row"),
    [
        ([D], None, (1, 0, 1, "nearduplicate", "one rater")),
        ([C, S], U, (1, 0, 3, "underspecified", "adjudicated")),
        ([], U, (1, 0, 1, "underspecified", "adjudicated")),
    ],
)
def test_one_persons_word_stands_apart(given, final, row):
    result = found(given, final)
    assert result.single == [Pair(1007, 57, 7, *row)]
    assert result.verified == []


@pytest.mark.parametrize(
    ("given", "final"),
    [([A, A], None), ([A], None), ([U, A], None), ([U, U, A, A], None), ([U, C], None), ([U, U, C, C], None)]
    + [([U, U, U], C), ([U, U], A), ([C], None), ([C, C, U], None)],
)
def test_who_is_unsure_or_outvoted_verifies_nothing(given, final):
    result = found(given, final)
    assert (result.verified, result.single, result.judged) == ([], [], 1)


def test_pairs_without_ids_are_counted():
    result = positives.of({7: {"A": U, "B": U}, 8: {"A": U, "B": U}}, {}, {8: (3, 4)})
    assert (len(result.verified), result.judged, result.without_ids) == (1, 2, 1)


def test_qrels_are_trecs_in_order():
    pairs = positives.of({idx: {"A": U, "B": U} for idx in (9, 2, 5)}, {}, IDS).verified
    assert positives.qrels(pairs) == b"1002 0 52 1\n1005 0 55 1\n1009 0 59 1\n"


def study(n: int, error: float, to_ambiguous: float | None, seed: int) -> tuple[dict, dict[int, str]]:
    """Labels of n items, a quarter of them by all three, and the true category of each."""
    draw, labels, truth = random.Random(seed), {}, {}
    for idx in range(n):
        truth[idx] = draw.choices(CATEGORY_NAMES, (0.3, 0.1, 0.1, 0.2, 0.05, 0.15, 0.1))[0]
        raters = "ABC" if idx % 4 == 0 else "ABC"[idx % 3]
        labels[idx] = {}
        for rater in raters:
            said = truth[idx]
            if draw.random() < error:
                others = [name for name in CATEGORY_NAMES if name != said]
                said = draw.choice(others)
                if to_ambiguous and truth[idx] != "Ambiguous":
                    clear = [name for name in others if name != "Ambiguous"]
                    said = "Ambiguous" if draw.random() < to_ambiguous else draw.choice(clear)
            labels[idx][rater] = U if said == "Ambiguous" else Choice(said, "")
    return labels, truth


@pytest.mark.parametrize(("to_ambiguous", "assumption"), [(None, 0), (0.8, 1)])
def test_expected_precision_is_right_by_votes(to_ambiguous, assumption):
    """Raters err in 15 %: of each number of votes so many pairs truly fit as is told by the right model."""
    labels, truth = study(24_000, 0.15, to_ambiguous, 4)
    result = positives.of(labels, {}, IDS)
    told = {(row.votes_for, row.votes): row for row in result.precision}
    assert told.keys() == {(3, 3), (2, 3), (1, 1)}
    for votes, row in told.items():
        pairs = [one for one in (*result.verified, *result.single) if (one.votes_for, one.votes) == votes]
        right = sum(truth[pair.idx] == "Ambiguous" for pair in pairs) / len(pairs)
        assert row.pairs == len(pairs)
        assert row.expected[assumption] == pytest.approx(right, abs=0.02)
    assert (
        told[3, 3].expected[assumption]
        > told[2, 3].expected[assumption]
        > told[1, 1].expected[assumption] - 0.02
    )


def test_precision_is_not_told_where_raters_share_too_little():
    labels = {idx: {"A": U, "B": U} if idx < 10 else {"A": U} for idx in range(40)}
    result = positives.of(labels, {}, IDS)
    assert (len(result.verified), len(result.single), result.precision) == (10, 30, [])
    assert "Not known: annotators share too few items." in card(labels)


def card(labels: dict) -> str:
    measured = levels.measure(labels, 20, 1)
    result = positives.of(labels, {}, IDS)
    return positives.card(result, {"/home/me/meta.json": "ab12"}, "0123456789abcdef", measured).decode(
        "utf-8"
    )


def test_the_card_tells_counts_guide_agreement_and_license():
    text = card(study(400, 0.1, None, 2)[0])
    result = positives.of(study(400, 0.1, None, 2)[0], {}, IDS)
    assert f"{len(result.verified)} pairs that" in text and f"({len(result.verified)} underspecified)" in text
    assert f"`single_votes.csv`: {len(result.single)} pairs" in text
    assert "annotation guide: 0123456789abcdef" in text
    assert "checked against meta.json: SHA-256 ab12" in text and "/home" not in text
    assert "category: Krippendorff's alpha 0." in text
    assert "| 3 | 3 | " in text and "| 1 | 1 | " in text
    assert "no caption and no picture" in text


def test_a_guides_version_is_its_words(tmp_path):
    text = (PROJECT / "annotation_guide.md").read_text(encoding="utf-8")
    (tmp_path / "guide.md").write_bytes(text.replace("\n", "\r\n").encode("utf-8"))
    own = positives.guide_version(PROJECT / "annotation_guide.md")
    assert positives.guide_version(tmp_path / "guide.md") == own and len(own) == 16
    (tmp_path / "guide.md").write_text(text + "One more rule.", encoding="utf-8")
    assert positives.guide_version(tmp_path / "guide.md") != own
