"""A study written by hand, without a model: what step 5 reads, of any size and of every kind."""

from pathlib import Path

from common import records, results, statistics
from common.comparisons import Difference, Overlap, Recovered
from common.labels import gaps, manifest
from common.labels.merged import Labeled
from common.labels.shares import CategoryShare, Share
from common.labels.taxonomy import CATEGORY_NAMES, SUBTYPE_NAMES
from common.report.label_inputs import Failure, Labels, Sample
from common.results import (
    Beyond,
    Chance,
    Change,
    Changed,
    Hubness,
    Hubs,
    Index,
    IndexRow,
    Marks,
    MethodResult,
    NetEffect,
    PlaceboChanged,
    SetResult,
)
from common.retrieval import evaluation, meta
from tests.support import merge_folder, summary_study
from tests.support.folders import Folders

N = 3000  # labeled failures
LEVEL = {"R@1": 50.0, "R@5": 70.0, "R@10": 80.0}
# Method -> whether it encodes texts, and so was measured on samples, with two poolings.
METHODS = {"nnn": False, "words": False, "dis": False, "dn": False, "category": True, "prompts": True}
METHODS |= {"prompts+nnn+words": True}
ORACLE = "words"
STATUS = {"dis": {"transductive": True}, "dn": {"tuned": True}, "category": {"dealt": True}}  # marks
SIZES = {results.ALL: 12000, results.FAILURES: 1000, results.SUCCESSES: 800}
NOTHING = {"labels": None, "bank": None, "grids": None, "settings": {}, "published": {}}
NOTHING |= {"code": "", "cache": "", "templates": "", "bank_ids_compared": True}
IDENTITY = results.Identity(format=3, candidates=9, **NOTHING)
PLAIN = Marks(
    exact=True,
    ranked=200,
    of=200,
    transductive=False,
    oracle=False,
    dealt=False,
    anecdotal=False,
    tuned=False,
)


MAKING = meta.Making(
    model="m",
    seed=42,
    num_images=5000,
    captions_per_image=5,
    revision=None,
    processor=None,
    dtype="float32",
    image_folder="data/val2017",
    bundled_sample=False,
    versions={},
    fingerprints=meta.Fingerprints(),
)


def labeled(root: Path, n: int = N) -> Folders:
    """A study of 4 n captions of which `n` failures were labeled by two raters, 50 of them by both."""
    study = Folders(root)
    captions = [f"a photograph of {idx} dogs, no. {idx * 7 % 1000}" for idx in range(4 * n)]
    for folder in (study.cache, study.failures, study.results):
        folder.mkdir(parents=True)
    content = meta.read(merge_folder.write_cache(study.cache, captions, bundled_sample=True))
    records.write(study.results / "baseline.json", baseline(content))
    manifest.write(study.failures, drawn(content, n))
    samples = [sample(idx, captions[idx]) for idx in range(n)]
    summary_study.write_table(study.failures / "failure_samples.csv", samples)
    for rater, rows in (("A", samples), ("B", samples[:50])):
        names = ("idx", "caption", "gt_img_idx", "pred_img_idx")
        sheet = [{name: row[name] for name in names} | label_of(row["idx"]) for row in rows]
        summary_study.write_table(study.failures / f"assign_{rater}.csv", sheet)
    summary_study.merge(study, "--bootstrap-rounds", 100)
    return study


def labels_of(
    counts: dict[str, int], single: int = 0, waiting: int = 0, missing: int = 0, unsure: int = 0
) -> Labels:
    """So many failures of each category, the first `single` ones labeled by one rater.

    Of Ambiguous the first `unsure` ones have no subtype. What waits or is missing bounds the shares.
    """
    categories = [name for name, n in counts.items() for _ in range(n)]
    failures = []
    for idx, name in enumerate(categories):
        subtype = SUBTYPE_NAMES[0] if name == "Ambiguous" and idx >= unsure else ""
        decided = "one rater" if idx < single else "all agree"
        failures.append(Failure(Labeled(idx, "a", 0, 1, name, subtype, decided, 2), Sample()))
    total = len(categories)
    lacks = gaps.Gaps(total + missing + waiting, missing, 0, waiting, 0)
    shared = {"status": lacks.status, "population": None, "finite_population": False}
    shares = []
    for name in CATEGORY_NAMES:
        n = counts.get(name, 0)
        least, most = lacks.bounds(n, total)
        ends = statistics.wilson(n, total)
        shares.append(
            CategoryShare("all", name, Share(n, total, n / total, *ends, **shared, least=least, most=most))
        )
    return Labels(failures, shares, [], {}, waiting, missing, lacks.drawn, [], [], [])


def sample(idx: int, caption: str) -> dict[str, object]:
    """A row of failure_samples.csv."""
    row = {"idx": idx, "caption": caption, "gt_img_idx": idx // 2, "pred_img_idx": idx // 2 + 1}
    row |= {"order": idx + 1, "part": "A", "gt_rank": 2 + (idx % 60) ** 2, "margin": "0.010000"}
    return row | {"gt_file_name": "a.jpg", "pred_file_name": "b.jpg"}


def label_of(idx: int) -> dict[str, str]:
    category = CATEGORY_NAMES[idx * idx % 7]
    subtype = SUBTYPE_NAMES[idx % 2] if category == "Ambiguous" else ""
    return {"category": category, "ambiguous_subtype": subtype, "note": ""}


def drawn(content: meta.Meta, n: int) -> manifest.Manifest:
    """Step 2's manifest: `n` of half of the captions were drawn."""
    design = manifest.Design(
        SAMPLE_SIZE=n,
        OVERLAP_SIZE=50,
        PER_ANNOTATOR=n - 50,
        BACKUP_SIZE=0,
        ANNOTATORS=["A", "B"],
        SEED=42,
        LANGUAGE="en",
    )
    return manifest.Manifest(
        fingerprint=content.fingerprint,
        meta_file="meta.json",
        settings=design,
        captions=len(content.captions),
        images=len(content.file_names),
        failures=len(content.captions) // 2,
        drawn={"A": n},
        versions={},
        complete=True,
        files=[],
    )


def baseline(content: meta.Meta | None = None, **changes) -> evaluation.Baseline:
    """baseline.json with half of the captions right; `changes` are to the measures of text to image."""
    n, images = (25000, 5000) if content is None else (len(content.captions), len(content.file_names))
    half = evaluation.Interval(value=0.5, low=0.48, high=0.52)
    shared = {"n_images": images, "median_rank": 1.5, "ties": 0}
    shared |= dict.fromkeys(("r1", "r5", "r10", "mrr"), half)
    text = {"n": n, "gallery": images, "provably_ambiguous_captions": 0, **shared} | changes
    making = MAKING if content is None else content.making
    return evaluation.Baseline(
        text_to_image=evaluation.TextToImage(**text),
        image_to_text=evaluation.ImageToText(n=images, gallery=n, **shared),
        comparison=None,
        cache=evaluation.CacheNote(
            fingerprint="" if content is None else content.fingerprint, meta_file="meta.json"
        ),
        made_with=making,
        versions={"python": "3.11"},
    )


# ---- improvements ------------------------------------------------------------------------------------------


def net_effect(value: float = -1.5) -> dict[str, NetEffect]:
    """The same effect on each measure."""
    ends = {"low": value - 0.5, "high": value + 2, "sampling_low": value - 0.1, "sampling_high": value + 0.1}
    tests = {"gained": 12, "lost": 34, "p": 0.0421}
    return {
        name: NetEffect(before=level, after=level + value, value=value, **ends, **tests)
        for name, level in LEVEL.items()
    }


CHANCE = Chance(value=-1.5, low=-2.0, high=0.5, sd=0.3, draws=[-1.5] * results.DRAWS)
BEYOND = Beyond(value=0.7, low=-0.4, high=1.8, seen=2.1, needed=900)


def marks(name: str, exact: bool = True, **changes) -> Marks:
    """The status of a number on one set: of a sample where the method was estimated."""
    of = SIZES.get(name, 200)
    if name == results.ALL and not exact:
        changes = {"exact": False, "ranked": SIZES[results.FAILURES] + SIZES[results.SUCCESSES]} | changes
    return records.replace(PLAIN, **{"of": of, "ranked": of, "anecdotal": name == "Action"} | changes)


def set_result(name: str, exact: bool = True, status: dict | None = None, **changes) -> SetResult:
    """A method on one set of queries; `status` are its marks where they are not the usual ones."""
    change = Change(value=-1.5, low=-2.0, high=0.5)
    counts = {"gained": dict.fromkeys(LEVEL, 12), "lost": dict.fromkeys(LEVEL, 34)}
    levels = {"improved": LEVEL | {"MRR": 60.0}}
    changed = Changed(delta_pp=dict.fromkeys(LEVEL, change), **counts, **levels)
    chance = {"delta_pp": dict.fromkeys(LEVEL, CHANCE), "beyond": dict.fromkeys(LEVEL, BEYOND)}
    placebo = PlaceboChanged(**chance, **counts, **levels)
    fields = {"marks": marks(name, exact, **status or {}), "category_of_query": None, "ties": 0}
    fields |= {"confirmatory": name == results.ALL, "baseline": LEVEL | {"MRR": 60.0}}
    fields |= {"changed": changed, "placebo": placebo}
    if name == results.ALL:
        fields |= {"net_effect": net_effect(), "placebo_net_effect": dict.fromkeys(LEVEL, CHANCE)}
        fields["beyond_net_effect"] = dict.fromkeys(LEVEL, BEYOND)
        if exact:
            top = results.TopImage(file_name="000000000009.jpg", queries=99)
            hubs = Hubs(skewness=3.2, never_among_first=7, largest_share=0.01, top=[top])
            fields["hubness"] = [Hubness(k=k, before=hubs, after=hubs) for k in results.SHOWS]
    elif name in CATEGORY_NAMES:
        fields |= {"contribution_pp": 0.5, "share_of_labelled_failures": 0.1}
    return SetResult(categories=name, **fields | changes)


def method(
    name: str, pooling: str = results.NO_POOLING, status: dict | None = None, **changes
) -> MethodResult:
    """A method on every set, or on those in `changes`; `status` are marks that all its numbers have."""
    label = name if pooling == results.NO_POOLING else f"{name} ({pooling})"
    exact = pooling == results.NO_POOLING
    sets = [*CATEGORY_NAMES, results.CLEAR, results.FAILURES, results.SUCCESSES, results.ALL]
    status = ({"oracle": True} if name == ORACLE else {}) | (status or {})
    fields = {"name": label, "method": name, "pooling": pooling, "texts_cut_off": {}}
    fields |= {"tau": 0.01, "K_templates": 10, "seed": 42, "parameters": {}}
    fields |= {"queries": results.Queries(all=12000, failures=6000), "split": None, "bank": None}
    fields["sets"] = [set_result(each, exact or each != results.ALL, status) for each in sets]
    fields |= {"ranks_file": f"{name}_{pooling}.csv", "ranks_fingerprint": "0" * 64}
    fields = {name: value for name, value in fields.items() if name in records.names(MethodResult)}
    return MethodResult(**fields | {"identity": IDENTITY, "versions": {}} | changes)


def index_row(found: MethodResult, **changes) -> IndexRow:
    """A method's row in the index."""
    whole = found.on(results.ALL)
    fields = {name: getattr(found, name) for name in ("name", "method", "pooling")}
    fields |= {"marks": whole.marks, "p_holm": 0.5, "category_of_query": None, "file": file_of(found)}
    fields |= {"placebo": whole.placebo_net_effect, "beyond": whole.beyond_net_effect}
    return IndexRow(**fields | {"net_effect": whole.net_effect} | changes)


def file_of(found: MethodResult) -> str:
    return f"{results.CELLS}/{found.method}_{found.pooling}.json"


def index(methods: list[MethodResult], **changes) -> Index:
    """net_effects.json of some methods."""
    part = results.PartNote(name="nnn", kind="hubs", oracle=False, description="takes off hubs", source="")
    settings = {"SEED": 42, "K_TEMPLATES": 10, "TAU": 0.01, "CONTROL_SIZE": 1000}
    fields = {"net_effects": list(map(index_row, methods)), "left_out": {}, "parts": [part]}
    fields |= {"family": "Over the fixes of this run.", "kept": [], "texts_cut_off": {}}
    fields |= {"cells": list(map(file_of, methods)), "settings": settings, "mark": "0" * 8}
    fields |= {"identity": IDENTITY, "parameters": {}, "split": None, "bank": None, "versions": {}}
    return Index(**fields | {"tuning_image_ids": []} | changes)


def improvements() -> tuple[list[MethodResult], list[IndexRow]]:
    """Methods in which every mark occurs. What is no fix has the largest effect; one fix helps."""
    poolings = {True: ("mean", "logsumexp"), False: (results.NO_POOLING,)}
    pairs = [(name, each) for name, encodes in METHODS.items() for each in poolings[encodes]]
    methods = [method(*pair, STATUS.get(pair[0])) for pair in pairs]
    better = {"dis": {"net_effect": net_effect(9.0), "p_holm": None}}
    better |= {"words": {"net_effect": net_effect(8.0)}}
    better["prompts"] = {"net_effect": net_effect(3.0), "p_holm": 0.012}
    return methods, [index_row(found, **better.get(found.method, {})) for found in methods]


def difference(first: str, second: str, value: float = 1.1) -> Difference:
    ends = {"low": value - 1, "high": value + 1, "low_all": value - 1.5, "high_all": value + 1.5}
    return Difference(first=first, second=second, value=value, **ends, gained=104, lost=74)


def recovered(counts: dict[str, int] | None = None) -> list[Recovered]:
    """A tenth of all failures and of the labeled ones of each category."""
    counts = {results.FAILURES: 6000, "Ambiguous": 50, "Count": 10} if counts is None else counts
    return [Recovered(name, n, n // 10, 10.0, 5.0, 20.0) for name, n in counts.items()]


def compared_model(name: str = "org/a-second-model-of-the-hub", **changes) -> results.ComparedModel:
    """A model that fails 5,800 of 12,000 captions where the first one fails 6,000."""
    ends = {"consistency": 0.8, "consistency_low": 0.75, "consistency_high": 0.85, "recovered_back": 6.9}
    counts = {"both_fail": 5400, "only_first_fails": 600, "only_other_fails": 400, "both_right": 5600}
    fields = {"name": name, "model": name, "revision": None, "dtype": "float32", "cache": "0" * 16}
    fields |= {"meta_file": "cache/meta.json", "p_holm": 0.04, "net_effect": net_effect(1.7)}
    fields |= {"overlap": Overlap(**counts, **ends), "recovered": recovered()}
    return results.ComparedModel(**fields | changes)


def comparisons() -> dict:
    """What an index says of comparisons."""
    pairs = [difference("nnn", "dn", 3.0), difference("nnn", "is"), difference("is", "dn")]
    power = [
        results.Power(kind="base", methods=2, exact=False, least=1.4, most=1.9, control_size=3200),
        results.Power(kind="hubs", methods=4, exact=True, least=1.1, most=1.2, control_size=None),
        results.Power(kind="base+hubs", methods=1, exact=False, least=1.8, most=1.8, control_size=None),
    ]
    found = {"differences": pairs, "compared": [compared_model()], "failed_by_all": recovered()}
    return found | {"power": power}


def write_improvements(study: Folders) -> None:
    """Results of step 6 for some methods, of every kind that there can be."""
    methods, rows = improvements()
    for found in methods:
        records.write(study.results / file_of(found), found)
    (meta_file,) = study.cache.glob("meta_*.json")
    identity = records.replace(IDENTITY, cache=meta.read(meta_file).fingerprint)
    further = {"identity": identity, "left_out": {"nnn+words": "there is no bank"}} | comparisons()
    content = index(methods, net_effects=rows, **further)
    records.write(study.results / results.INDEX, content)
