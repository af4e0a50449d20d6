"""What limits a study, in plain words: one sentence a caution."""

import re
from typing import NamedTuple

from common import say
from common.labels import levels
from common.labels.agreement import GOOD, WEAK, Estimate
from common.labels.taxonomy import CATEGORY_NAMES
from common.report.fix_rows import best_first
from common.report.inputs import Sources
from common.report.label_inputs import ALL_RATERS, Labels
from common.results import Index
from common.retrieval.evaluation import Baseline
from common.statistics import ANECDOTAL

FEW_LABELS = 100  # labeled failures below which a share is known to about +-10 points at best
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
    """What limits step 1's numbers."""
    said, found, compared = [], baseline.text_to_image, baseline.comparison
    if compared is not None and not compared.agrees:
        said.append(
            "R@1, R@5 or R@10 differs from the published baseline by more than numerics explains: look at "
            "the model's revision, the image processor and the images before you trust anything below."
        )
    if found.ties > LARGE_TIES * found.n:
        said.append(f"{found.ties:,} of {found.n:,} queries tie; ties count against the model.")
    unanswerable = found.provably_ambiguous_captions
    if unanswerable:
        said.append(
            f"{unanswerable:,} of {found.n:,} captions have the same text as a caption of another image: "
            "no method can answer them."
        )
    return said


def of_labels(labels: Labels) -> list[str]:
    """What limits the shares of categories."""
    said, n = [], len(labels.failures)
    if labels.waiting:
        verb = "waits" if labels.waiting == 1 else "wait"
        said.append(
            f"Provisional: {say.items(labels.waiting, 'item')} {verb} without a majority for one label, and "
            "so in none of these shares, until adjudicate.csv is filled in."
        )
    if n < FEW_LABELS:
        said.append(f"Only {n:,} failures are labelled, so shares are known to about ten points at best.")
    counts = {name: len(labels.of(name)) for name in CATEGORY_NAMES}
    thin = [f"{name} {count}" for name, count in counts.items() if 0 < count < ANECDOTAL]
    if thin:
        said.append(f"Too few items to draw conclusions about these categories: {', '.join(thin)}.")
    single = sum(failure.label.decided == "one rater" for failure in labels.failures)
    if single:
        said.append(
            f"{single:,} of {n:,} labelled failures were labelled by one person alone. An annotator's errors "
            "bias shares, and no interval repairs that."
        )
    return said


def of_agreement(by_level: dict[str, list[Estimate]]) -> list[str]:
    """Weak or unknown agreement on the categories, and what each coefficient's own caution says.

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
    if alpha is not None and alpha < GOOD:
        grade = "weak" if alpha <= WEAK else "moderate"
        said.append(
            f"Agreement on the categories is {grade} (alpha {say.coefficient(alpha)}, below "
            f"{say.coefficient(GOOD)}): the category depends on who labelled it."
        )
    for level, coefficients in overall.items():
        texts = [text for one in coefficients for text in one.caution.split("; ")]
        # Coefficients with other numbers of items say the same with other numbers: once is enough.
        distinct = {re.sub(r"\d", "", text): text for text in reversed(texts) if text}
        if distinct:
            said.append(f"Agreement, {level}: {'; '.join(reversed(distinct.values()))}.")
    return said


def of_improvements(index: Index) -> list[str]:
    """Oracles, transductive banks, estimates, tuning, and what was left out."""
    said, rows = [], best_first(index)
    fixes = [row for row in rows if not row.oracle]
    if len(fixes) > 1:
        said.append(
            f"The best of {len(fixes)} fixes was picked for being best, so its net effect is likely too "
            "high. Holm's p allows for that, its interval doesn't."
        )
    oracles = [row.name for row in rows if row.oracle]
    if oracles:
        said.append(
            f"Oracles: {', '.join(oracles)}. They use information that is not available at test time "
            "(other people's captions of the gallery, or the failure's own category): bounds, not fixes."
        )
    transductive = [row.name for row in rows if row.transductive]
    if transductive:
        said.append(
            f"Transductive: {', '.join(transductive)}. Their bank holds queries or their images, so they "
            "have seen what they are tested on."
        )
    estimated = [row.name for row in rows if not row.exact]
    if estimated:
        said.append(
            f"Estimated from samples of failures and successes, not from all queries: {', '.join(estimated)}."
        )
    if index.split is not None:
        said.append(
            f"Parameters were tuned on {index.split.tuned_on.queries:,} queries; improvements are reported "
            f"on the other {index.split.reported_on.queries:,}, so their baseline is that half's."
        )
    for reason in dict.fromkeys(index.left_out.values()):
        names = ", ".join(method for method, why in index.left_out.items() if why == reason)
        said.append(f"Not measured: {names}, since {reason}.")
    return said
