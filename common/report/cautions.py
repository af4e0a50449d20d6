"""What limits a study, in plain words: one sentence a caution."""

import re
from typing import NamedTuple

from common import say
from common.labels import adjudication, levels, merged
from common.labels.agreement import RELIABLE, TENTATIVE, Estimate
from common.labels.taxonomy import AMBIGUOUS, CATEGORY_NAMES
from common.report.fix_rows import best_first
from common.report.inputs import Sources
from common.report.label_inputs import ALL_RATERS, Labels
from common.results import LEGEND, BankNote, Index
from common.retrieval import evaluation
from common.retrieval.evaluation import Baseline
from common.statistics import ANECDOTAL, wilson

FEW_LABELS = 100  # labeled failures below which it is said how closely shares are known
LARGE_TIES = 0.01  # share of tied queries from which the way of breaking ties matters
ALPHA = "Krippendorff's alpha"
SAMPLE = (
    "This is the bundled sample: rendered scenes and a tiny CLIP, for trying every step. No number on this "
    "page says anything about CLIP or COCO."
)


class Caution(NamedTuple):
    """A row of summary_cautions.csv."""

    about: str  # sample, reading, baseline, labels, agreement or improvements
    caution: str


def of(sources: Sources) -> list[Caution]:
    """All of them, in the order of the report."""
    said = [("sample", [SAMPLE] if sources.baseline.made_with.bundled_sample else [])]
    said += [("reading", sources.notes), ("baseline", of_baseline(sources.baseline))]
    if sources.labels is None:
        said.append(("labels", ["There are no labels yet, so nothing is said of categories or agreement"]))
    else:
        said.append(("labels", of_labels(sources.labels)))
        said.append(("agreement", of_agreement(sources.labels.agreement)))
    if sources.measured is not None:
        said.append(("improvements", of_improvements(sources.measured.index)))
    return [Caution(about, _sentence(text)) for about, texts in said for text in texts]


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:].rstrip('.')}."


def of_baseline(baseline: Baseline) -> list[str]:
    """What limits step 1's numbers, the gravest first."""
    said, found, compared = [], baseline.text_to_image, baseline.comparison
    # Step 1's own sentences, of which the last are the gravest.
    said += [" ".join(text.split()) for text in reversed(evaluation.limits(baseline))]
    if compared is not None and not compared.agrees:
        said.append(
            "R@1, R@5 or R@10 differs from the published baseline by more than numerics explains: look at "
            "the model's revision, the image processor and the images before you trust anything below"
        )
    for one, noun, other in ((found, "captions", "image"), (baseline.image_to_text, "images", "caption")):
        if one is not None and one.ties > LARGE_TIES * one.n:  # a run says nothing of images as queries
            said.append(
                f"{say.number(one.ties)} of {say.number(one.n)} {noun} tie: another {other} has the very "
                f"score of the right one. Ties count as errors, so recall of {noun} is a lower bound"
            )
    equal = found.provably_ambiguous_captions
    if equal and found.provably_ambiguous_at_most is None:  # an earlier version did not count how many can be
        said.append(
            f"{say.number(equal)} of {say.number(found.n)} captions have the same text as a caption of "
            "another image. Equal texts get equal scores, so no method can get all of them right"
        )
    return said


def of_labels(labels: Labels) -> list[str]:
    """What limits the shares of categories."""
    said, n = of_missing(labels), len(labels.failures)
    if n < FEW_LABELS:
        low, high = wilson(n / 2, n)
        said.append(
            f"Only {say.items(n, 'failure')} {'has' if n == 1 else 'have'} a label, so a share near one half "
            f"is known to within {say.two(50 * (high - low))} points, and no share less closely"
        )
    counts = {name: len(labels.of(name)) for name in CATEGORY_NAMES}
    thin = [f"{name} {count}" for name, count in counts.items() if 0 < count < ANECDOTAL]
    if thin:
        said.append(f"Too few items to draw conclusions about these categories: {', '.join(thin)}")
    single = sum(failure.label.decided == "one rater" for failure in labels.failures)
    if single:
        said.append(
            f"{say.number(single)} of {say.number(n)} labeled failures were labeled by one person alone. An "
            "annotator's errors bias shares, and no interval repairs that"
        )
    if labels.unsure:
        said.append(
            f"{say.items(labels.unsure, f'{AMBIGUOUS} failure')} {'has' if labels.unsure == 1 else 'have'} "
            "no subtype: an annotator was unsure, which is not to say that the retrieved image fits"
        )
    return said


def of_missing(labels: Labels) -> list[str]:
    """Drawn failures that no label counts for, and how far they could move the share of Ambiguous."""
    if labels.missing is None:
        return [
            "Whether all drawn failures have a label is not known, since an earlier version merged them: "
            f"{merged.AGAIN}"
        ]
    lacks = []
    if labels.missing:
        drawn = say.number(labels.drawn)
        lacks.append(f"{say.number(labels.missing)} of {drawn} drawn failures have no label")
    if labels.waiting:
        verb = "waits" if labels.waiting == 1 else "wait"
        lacks.append(f"{say.items(labels.waiting, 'item')} {verb} in {adjudication.NAME} without a majority")
    share = labels.share(AMBIGUOUS)
    if not lacks or share.least is None:
        return [f"{labels.status}"] if lacks else []
    kind = labels.status.partition(":")[0]
    return [
        f"{kind}: {', and '.join(lacks)}. People leave what is hard, so these are missing for a reason, and "
        "those with a label are no random sample. Whatever the missing ones are, "
        f"{say.share(share.least)} to {say.share(share.most)} of the drawn failures are {AMBIGUOUS}"
    ]


def of_agreement(by_level: dict[str, list[Estimate]]) -> list[str]:
    """Weak or unknown agreement on the seven categories, and what each coefficient's own caution says.

    by_level: level -> coefficients.
    """
    overall = {
        level: [one for one in coefficients if one.over == ALL_RATERS]
        for level, coefficients in by_level.items()
    }
    own = overall.get(levels.CATEGORY, [])
    if all(one.value is None for one in own):
        why = next((one.caution for one in own if one.caution), "no rating")
        return [f"No agreement could be measured ({why}), so nothing shows how far labels can be trusted."]
    said = []
    alpha = next(one.value for one in own if one.statistic == ALPHA)
    if alpha is not None and alpha < RELIABLE:
        if alpha < TENTATIVE:
            limit, meaning = TENTATIVE, "too low even for tentative conclusions"
        else:
            limit, meaning = RELIABLE, "enough for tentative conclusions alone"
        said.append(
            f"Agreement on the categories is {meaning}: alpha is {say.coefficient(alpha)}, below "
            f"Krippendorff's limit of {limit:g}. The category depends on who labeled it"
        )
    for level, coefficients in overall.items():
        texts = [text for one in coefficients for text in one.caution.split("; ")]
        # Coefficients with other numbers of items say the same with other numbers: once is enough.
        distinct = {re.sub(r"\d", "", text): text for text in reversed(texts) if text}
        if distinct:
            said.append(f"Agreement, {level}: {'; '.join(reversed(distinct.values()))}.")
    return said


def of_improvements(index: Index) -> list[str]:
    """What limits step 6's numbers: marks, the bank, texts that were cut off, and what was left out."""
    said, rows = [], best_first(index)
    fixes = [row for row in rows if row.marks.is_fix]
    if fixes and not any(row.helps for row in fixes):
        said.append("No fix helps: after Holm's correction no fix raises R@1, so the best one is no finding")
    elif len(fixes) > 1:
        said.append(
            f"The best of {say.number(len(fixes))} fixes was picked for being best, so its net effect is "
            "likely too high. Holm's p allows for that, its interval does not"
        )
    for mark, meaning in LEGEND.items():
        names = [row.name for row in rows if any(word.startswith(mark) for word in row.marks.words)]
        if names:
            said.append(f"{mark}: {', '.join(names)}. That is, {meaning}")
    if index.split is not None:
        said.append(
            f"Parameters were tuned on {say.number(index.split.tuned_on.queries)} queries; improvements are "
            f"reported on the other {say.number(index.split.reported_on.queries)}, so their baseline is that "
            "half's"
        )
    if index.compared:
        said.append(
            "Labels were drawn among what the first model fails, and part of failing is chance: any other "
            "model has some of them right, one that is no better too. A category says something of another "
            "model only next to all failures"
        )
    said += of_bank(index.bank)
    for which, n in index.texts_cut_off.items():
        said.append(f"{which}: {say.items(n, 'text')} cut off at the end, where the model stops reading")
    if index.kept:
        said.append(
            f"Measured by an earlier run of the same study, not by the last one: {', '.join(index.kept)}"
        )
    for reason in dict.fromkeys(index.left_out.values()):
        names = ", ".join(method for method, why in index.left_out.items() if why == reason)
        said.append(f"Not measured: {names}, since {reason}")
    return said


def of_bank(bank: BankNote | None) -> list[str]:
    """Texts that the bank shares with the queries, though they are other images'."""
    if bank is None or not bank.equal_texts:
        return []
    covered = ""
    if bank.queries_covered is not None:
        covered = f": {say.items(bank.queries_covered, 'query is', 'queries are')} covered so"
    return [
        f"{say.number(bank.equal_texts)} of the bank's {say.items(bank.size, 'caption')} have the text or "
        f"the embedding of a query, though they are of other images{covered}"
    ]
