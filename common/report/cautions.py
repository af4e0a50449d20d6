"""What a reader of a study should beware of, in plain words: one sentence for each thing that is so.

The rows are those of the summary CSVs, before or after they were written.
"""

import re

from common.labels.agreement import GOOD, WEAK

ANECDOTAL = 30  # queries below which a figure is an anecdote
FEW_LABELS = 100  # labelled failures below which a share is known to about +-10 points at best
LARGE_TIES = 0.01  # share of tied queries from which the way of breaking ties matters

SAMPLE = (
    "This is the bundled sample: rendered scenes and a tiny CLIP, for trying every step. No number on this "
    "page says anything about CLIP or COCO."
)
Rows = list[dict]


def of_baseline(baseline: dict) -> list[str]:
    """What limits step 1's figures. `baseline` is baseline.json."""
    said, found = [], baseline["text_to_image"]
    compared = baseline["comparison"]
    if compared and not compared["agrees"]:
        said.append(
            "R@1, R@5 or R@10 differs from the published baseline by more than numerics explains: look at "
            "the model's revision, the image processor and the images before you trust anything below."
        )
    if found["ties"] > LARGE_TIES * found["n"]:
        said.append(f"{found['ties']:,} of {found['n']:,} queries tie; ties count against the model.")
    unanswerable = found["provably_ambiguous_captions"]
    if unanswerable:
        said.append(
            f"{unanswerable:,} of {found['n']:,} captions have the same text as a caption of another image: "
            "no method can answer them."
        )
    return said


def of_labels(n: int, single: int, waiting: int, thin: dict[str, int]) -> list[str]:
    """What limits the shares: `n` labelled failures, of which `single` have one rater, and `waiting` ones.

    thin: category -> n of those with fewer than ANECDOTAL items.
    """
    said = []
    if waiting:
        said.append(
            f"Provisional: {waiting:,} {_items(waiting)} without a majority for one label, and so in none of "
            "these shares, until adjudicate.csv is filled in."
        )
    if n < FEW_LABELS:
        said.append(f"Only {n:,} failures are labelled, so shares are known to about ten points at best.")
    if thin:
        named = ", ".join(f"{name} {count}" for name, count in thin.items())
        said.append(f"Few items ({named}): what is said of these categories alone is an anecdote.")
    if single:
        said.append(
            f"{single:,} of {n:,} labelled failures were labelled by one person alone. An annotator's errors "
            "bias shares, and no interval repairs that."
        )
    return said


def _items(n: int) -> str:
    return "item waits" if n == 1 else "items wait"


def of_agreement(rows: Rows) -> list[str]:
    """Weak or unknown agreement on the seven categories, and what each coefficient's own caution says."""
    overall = [row for row in rows if row["over"] == "all raters"]
    own = {row["statistic"]: row for row in overall if row["level"] == "category"}
    if not own or all(row["value"] == "" for row in own.values()):
        why = next((row["caution"] for row in own.values() if row["caution"]), "no rating")
        return [f"No agreement could be measured ({why}), so nothing tells how far labels can be trusted."]
    said = []
    alpha = own["Krippendorff's alpha"]
    if alpha["value"] != "" and float(alpha["value"]) < GOOD:
        grade = "weak" if float(alpha["value"]) <= WEAK else "moderate"
        said.append(
            f"Agreement on the seven categories is {grade} (alpha {float(alpha['value']):.2f}, below "
            f"{GOOD:.2f}): which category a failure is in hangs on who labelled it."
        )
    for level in dict.fromkeys(row["level"] for row in overall):
        texts = [text for row in overall if row["level"] == level for text in row["caution"].split("; ")]
        # Coefficients with other numbers of items say the same with other numbers: once is enough.
        distinct = {re.sub(r"\d", "", text): text for text in reversed(texts) if text}
        if distinct:
            said.append(f"Agreement, {level}: {'; '.join(reversed(distinct.values()))}.")
    return said


def of_improvements(net: Rows, index: dict) -> list[str]:
    """Oracles, transductive banks, estimates, tuning, and what was left out. `index`: net_effects.json."""
    said = []
    fixes = [row for row in net if not row["oracle"]]
    if len(fixes) > 1:
        said.append(
            f"The best of {len(fixes)} fixes was picked for being best, so its net effect is likely too "
            "high. Holm's p allows for that, its interval doesn't."
        )
    oracles = [row["name"] for row in net if row["oracle"]]
    if oracles:
        said.append(
            f"Oracles: {', '.join(oracles)}. They use what nobody knows when a caption is asked (other "
            "people's captions of the gallery, or the failure's own category): bounds, not fixes."
        )
    transductive = [row["name"] for row in net if row["transductive"]]
    if transductive:
        said.append(
            f"Transductive: {', '.join(transductive)}. Their bank holds queries or their images, so they "
            "have seen what they are tested on."
        )
    estimated = [row["name"] for row in net if not row["exact"]]
    if estimated:
        said.append(
            f"Estimated from samples of failures and successes, not from all queries: {', '.join(estimated)}."
        )
    if index["split"]:
        halves = index["split"]
        said.append(
            f"Parameters were tuned on {halves['tuned_on']['queries']:,} queries; improvements are reported "
            f"on the other {halves['reported_on']['queries']:,}, so their baseline is that half's."
        )
    reasons = dict.fromkeys(index["left_out"].values())
    for reason in reasons:
        names = ", ".join(method for method, why in index["left_out"].items() if why == reason)
        said.append(f"Not measured: {names}, since {reason}.")
    return said
