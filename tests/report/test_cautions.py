"""Cautions: each says what limits this study, and nothing is said where nothing does."""

import pytest

from common import records
from common.labels import agreement
from common.labels.taxonomy import CATEGORY_NAMES
from common.report import cautions
from common.report.label_inputs import Labels
from common.results import BankNote, Half, Split
from common.retrieval import evaluation
from common.retrieval.evaluation import Comparison
from tests.support import written_study
from tests.support.written_study import baseline, index, index_row, method, net_effect


def labels(counts: dict[str, int], **changes) -> Labels:
    """So many failures of each category: see written_study.labels_of."""
    return written_study.labels_of(counts, **changes)


def test_a_sound_baseline_has_no_caution():
    assert cautions.of_baseline(baseline()) == []
    agrees = Comparison(published={}, difference_points={}, agrees=True)
    assert cautions.of_baseline(records.replace(baseline(), comparison=agrees)) == []


def test_a_baseline_unlike_the_published_one_is_reported():
    differs = Comparison(published={}, difference_points={}, agrees=False)
    (said,) = cautions.of_baseline(records.replace(baseline(), comparison=differs))
    assert "differs from the published baseline" in said


def test_ties_are_counted_in_both_directions():
    said = cautions.of_baseline(baseline(ties=4000))
    assert said[0].startswith("4,000 of 25,000 captions tie") and len(said) == 1
    found = baseline()
    tied = records.replace(found.image_to_text, ties=340)
    (said,) = cautions.of_baseline(records.replace(found, image_to_text=tied))
    assert said.startswith("340 of 5,000 images tie: another caption")


@pytest.mark.parametrize(
    ("counts", "part"),
    [
        ({"provably_ambiguous_at_most": 184, "provably_ambiguous_right": 60, "r1_ceiling": 0.9927},
         "at most 184 can be right (60 are), and R@1 is 99.27% at most"),
        ({}, "367 of 25,000 captions have the same text"),  # of a file that an earlier version wrote
    ],
)  # fmt: skip
def test_equal_texts_say_how_many_can_be_right(counts, part):
    (said,) = cautions.of_baseline(baseline(provably_ambiguous_captions=367, **counts))
    assert part in said and "answer" not in said


def test_what_step_1_warned_of_is_said_again():
    """At chance first, which says most; then what the model did not read."""
    interval = evaluation.Interval(value=0.0002, low=0.0001, high=0.0004)
    made = records.replace(written_study.MAKING, truncated_captions=799, max_tokens=32)
    chance, cut = cautions.of_baseline(records.replace(baseline(r1=interval), made_with=made))
    assert chance.startswith("R@1 is at chance") and "cut off at 32 tokens: 799" in cut


def test_what_limits_the_shares():
    assert cautions.of_labels(labels(dict.fromkeys(CATEGORY_NAMES, 30))) == []
    said = " ".join(cautions.of_labels(labels({"Ambiguous": 36, "Count": 4}, single=30)))
    for part in ("Only 40 failures have a label", "these categories: Count 4", "30 of 40"):
        assert part in said


@pytest.mark.parametrize(("n", "points"), [(99, "9.66"), (50, "13.36"), (20, "20.07"), (10, "26.34")])
def test_how_closely_few_labels_tell_a_share(n, points):
    """Of a share near one half, where it is known least."""
    said = " ".join(cautions.of_labels(labels({"Ambiguous": n})))
    assert f"to within {points} points, and no share less closely" in said


@pytest.mark.parametrize(
    ("missing", "waiting", "parts"),
    [
        (35, 0, ["Provisional: 35 of 200 drawn failures have no label", "7.00% to 24.50% of the drawn"]),
        (0, 11, ["Provisional: 11 items wait in adjudicate.csv", "7.95% to 14.20%"]),
        (1, 1, ["1 of 167 drawn failures have no label, and 1 item waits", "8.38% to 9.58%"]),
    ],
)
def test_missing_labels_are_counted_and_bounded(missing, waiting, parts):
    found = labels({"Ambiguous": 14, "Clear": 151}, missing=missing, waiting=waiting)
    said = " ".join(text.capitalize()[0] + text[1:] for text in cautions.of_missing(found))
    assert all(part in said for part in parts), said
    assert "no random sample" in said


def test_an_unsure_label_does_not_say_that_the_image_fits():
    found = labels({"Ambiguous": 120}, unsure=12)
    assert any(text.startswith("12 Ambiguous failures have no subtype") for text in cautions.of_labels(found))


def coefficient(value: float | None, caution: str = "", statistic: str = cautions.ALPHA):
    return agreement.Estimate(
        over="all raters",
        statistic=statistic,
        raters="A, B",
        n_items=50,
        value=value,
        low=value,
        high=value,
        caution=caution,
    )


@pytest.mark.parametrize(
    ("alpha", "said"),
    [
        (0.2, "too low even for tentative"),
        (0.62, "too low even for tentative"),
        (0.667, "enough for tentative"),
        (0.79, "enough for tentative"),
        (0.8, ""),
    ],
)
def test_alpha_is_held_to_the_limits_of_krippendorff(alpha, said):
    found = cautions.of_agreement({"category": [coefficient(alpha)]})
    assert len(found) == bool(said) and said in " ".join(found)


def test_unknown_agreement_is_reported_with_the_reason():
    (said,) = cautions.of_agreement({"category": [coefficient(None, "only one rater: agreement takes two")]})
    assert "No agreement could be measured (only one rater" in said
    assert cautions.of_agreement({})[0].startswith("No agreement could be measured (no rating)")


def test_a_caution_of_several_coefficients_is_given_once():
    found = [coefficient(0.9, "only 26 items; skewed"), coefficient(0.9, "only 22 items; skewed", "AC1")]
    assert cautions.of_agreement({"category": found}) == ["Agreement, category: only 26 items; skewed."]


def test_what_was_left_out_is_given_by_reason():
    left_out = {"nnn": "there is no bank", "dn": "there is no bank", "prompts": "no model"}
    assert cautions.of_improvements(index([], left_out=left_out)) == [
        "Not measured: nnn, dn, since there is no bank",
        "Not measured: prompts, since no model",
    ]


def test_kinds_of_methods_are_named():
    methods = [method("nnn", status={"transductive": True}), method("prompts", "max")]
    methods += [method(written_study.ORACLE), method("dn")]
    half = Half(queries=1350, images=270)
    said = cautions.of_improvements(index(methods, split=Split(tuned_on=half, reported_on=half)))
    assert [text.split(":")[0].split(";")[0] for text in said] == [
        "No fix helps",
        "estimated",
        "transductive",
        "extra knowledge",
        "Parameters were tuned on 1,350 queries",
    ]
    assert "prompts (max)" in said[1] and ": nnn. " in said[2] and ": words. " in said[3]


def test_the_best_fix_was_picked_where_one_helps():
    rows = [index_row(method(name), p_holm=0.01, net_effect=net_effect(2.0)) for name in ("nnn", "dn")]
    (said,) = cautions.of_improvements(index([], net_effects=rows))
    assert said.startswith("The best of 2 fixes was picked")


def test_what_step_6_warned_of_is_said_again():
    bank = BankNote(
        size=1811,
        file="b.json",
        fingerprint="",
        available=1811,
        ids_compared=True,
        transductive=False,
        equal_texts=17,
        queries_covered=23,
    )
    said = cautions.of_improvements(index([], bank=bank, texts_cut_off={"bank": 108}, kept=["dn"]))
    assert said[0].startswith("17 of the bank's 1,811 captions have the text") and "23 queries" in said[0]
    assert said[1:] == [
        "bank: 108 texts cut off at the end, where the model stops reading",
        "Measured by an earlier run of the same study, not by the last one: dn",
    ]
