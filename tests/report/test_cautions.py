"""Cautions: each says what limits this study, and nothing is said where nothing does."""

import pytest

from common import records
from common.labels import agreement
from common.labels.merged import Labeled
from common.labels.taxonomy import CATEGORY_NAMES
from common.report import cautions
from common.report.label_inputs import Failure, Labels, Sample
from common.results import Half, Split
from common.retrieval.evaluation import Comparison
from tests.support import written_study
from tests.support.written_study import baseline, index, index_row, method


def labels(counts: dict[str, int], single: int = 0, waiting: int = 0) -> Labels:
    """So many failures of each category, the first `single` ones labeled by one rater."""
    categories = [name for name, n in counts.items() for _ in range(n)]
    failures = [
        Failure(Labeled(idx, "a", 0, 1, name, "", "one rater" if idx < single else "all agree", 2), Sample())
        for idx, name in enumerate(categories)
    ]
    return Labels(failures, [], [], {}, waiting, [], [])


def test_a_sound_baseline_has_no_caution():
    assert cautions.of_baseline(baseline()) == []
    agrees = Comparison(published={}, difference_points={}, agrees=True)
    assert cautions.of_baseline(records.replace(baseline(), comparison=agrees)) == []


def test_a_baseline_unlike_the_published_one_is_reported():
    differs = Comparison(published={}, difference_points={}, agrees=False)
    (said,) = cautions.of_baseline(records.replace(baseline(), comparison=differs))
    assert "differs from the published baseline" in said


def test_ties_and_unanswerable_captions_are_counted():
    said = cautions.of_baseline(baseline(ties=4000, provably_ambiguous_captions=367))
    assert said[0].startswith("4,000 of 25,000 queries tie")
    assert said[1].startswith("367 of 25,000 captions have the same text")


def test_what_limits_the_shares():
    assert cautions.of_labels(labels(dict.fromkeys(CATEGORY_NAMES, 30))) == []
    said = " ".join(cautions.of_labels(labels({"Ambiguous": 36, "Count": 4}, single=30, waiting=2)))
    for part in ("2 items wait", "Only 40", "these categories: Count 4.", "30 of 40"):
        assert part in said
    assert "1 item waits" in cautions.of_labels(labels({"Ambiguous": 36}, waiting=1))[0]


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


@pytest.mark.parametrize(("alpha", "grade"), [(0.2, "weak"), (0.55, "moderate"), (0.61, ""), (0.9, "")])
def test_weak_agreement_is_reported(alpha, grade):
    said = cautions.of_agreement({"category": [coefficient(alpha)]})
    assert (f"is {grade} (alpha {alpha:.2f}, below 0.60)" in " ".join(said)) == bool(grade)
    assert len(said) == bool(grade)


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
        "Not measured: nnn, dn, since there is no bank.",
        "Not measured: prompts, since no model.",
    ]


def test_kinds_of_methods_are_named():
    methods = [method("nnn"), method("prompts", "max"), method(written_study.ORACLE)]
    rows = [index_row(methods[0], transductive=True), *map(index_row, methods[1:])]
    half = Half(queries=1350, images=270)
    said = cautions.of_improvements(
        index(methods, net_effects=rows, split=Split(tuned_on=half, reported_on=half))
    )
    assert [text.split(":")[0].split(",")[0] for text in said] == [
        "The best of 2 fixes was picked for being best",
        "Oracles",
        "Transductive",
        "Estimated from samples of failures and successes",
        "Parameters were tuned on 1",
    ]
    assert "Oracles: words. " in said[1] and "Transductive: nnn. " in said[2] and "prompts (max)" in said[3]
