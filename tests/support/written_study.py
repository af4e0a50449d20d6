"""A study written by hand, without a model: what step 5 reads, of any size and of every kind."""

from pathlib import Path

from common import records, results
from common.labels import manifest
from common.labels.taxonomy import CATEGORY_NAMES, SUBTYPE_NAMES
from common.results import Change, Changed, Hubness, Hubs, Index, IndexRow, MethodResult, NetEffect, SetResult
from common.retrieval import evaluation, meta
from tests.support import merge_folder, summary_study
from tests.support.folders import Folders

N = 3000  # labeled failures
LEVEL = {"R@1": 50.0, "R@5": 70.0, "R@10": 80.0}
# Method -> whether it encodes texts, and so was measured on samples, with two poolings.
METHODS = {"nnn": False, "words": False, "prompts": True, "prompts+nnn+words": True}
ORACLE = "words"
SIZES = {results.ALL: 12000, results.FAILURES: 1000, results.SUCCESSES: 800}
NOTHING = {"labels": None, "bank": None, "grids": None, "settings": {}, "published": {}}
IDENTITY = results.Identity(format=1, cache="", templates="", candidates=9, **NOTHING)


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
    making = None if content is None else content.making
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
    tests = {"gained": 12, "lost": 34, "p": 0.0421, "mcnemar_p": None}
    return {
        name: NetEffect(before=level, after=level + value, value=value, **ends, **tests)
        for name, level in LEVEL.items()
    }


def set_result(name: str, exact: bool = True, **changes) -> SetResult:
    """A method on one set of queries."""
    change = Change(value=-1.5, low=-2.0, high=0.5)
    changed = Changed(
        improved=LEVEL | {"MRR": 60.0},
        delta_pp=dict.fromkeys(LEVEL, change),
        gained=dict.fromkeys(LEVEL, 12),
        lost=dict.fromkeys(LEVEL, 34),
    )
    fields = {"subset_size": SIZES.get(name, 200), "anecdotal": name == "Action", "exact": exact}
    fields |= {"confirmatory": name == results.ALL, "oracle": False, "category_of_query": None, "ties": 0}
    fields |= {"baseline": LEVEL | {"MRR": 60.0}, "changed": changed, "placebo": changed}
    if name == results.ALL:
        fields |= {"net_effect": net_effect(), "placebo_net_effect": net_effect()}
        if exact:
            top = results.TopImage(file_name="000000000009.jpg", queries=99)
            hubs = Hubs(skewness=3.2, never_among_first=7, top=[top])
            fields["hubness"] = Hubness(k=10, before=hubs, after=hubs)
        else:
            fields["subset_size"] = SIZES[results.FAILURES] + SIZES[results.SUCCESSES]
    elif name in CATEGORY_NAMES:
        fields |= {"contribution_pp": 0.5, "share_of_labelled_failures": 0.1}
    return SetResult(categories=name, **fields | changes)


def method(name: str, pooling: str = results.NO_POOLING, **changes) -> MethodResult:
    """A method on every set, or on those in `changes`."""
    label = name if pooling == results.NO_POOLING else f"{name} ({pooling})"
    exact = pooling == results.NO_POOLING
    sets = [*CATEGORY_NAMES, results.CLEAR, results.FAILURES, results.SUCCESSES, results.ALL]
    fields = {"name": label, "method": name, "pooling": pooling, "oracle": name == ORACLE}
    fields |= {"transductive": False, "tau": 0.01, "K_templates": 10, "seed": 42, "parameters": {}}
    fields |= {"queries": results.Queries(all=12000, failures=6000), "split": None, "bank": None}
    fields["sets"] = [set_result(each, exact or each != results.ALL, oracle=name == ORACLE) for each in sets]
    fields |= {"ranks_file": f"{name}_{pooling}.csv", "ranks_fingerprint": "0" * 64}
    return MethodResult(**fields | {"identity": IDENTITY, "versions": {}} | changes)


def index_row(found: MethodResult, **changes) -> IndexRow:
    """A method's row in the index."""
    names = ("name", "method", "pooling", "oracle", "transductive")
    whole = found.on(results.ALL)
    fields = {name: getattr(found, name) for name in names} | {"p_holm": 0.5, "category_of_query": None}
    fields |= {"exact": whole.exact, "subset_size": whole.subset_size, "file": file_of(found)}
    return IndexRow(**fields | {"net_effect": whole.net_effect, "placebo": whole.net_effect} | changes)


def file_of(found: MethodResult) -> str:
    return f"{results.CELLS}/{found.method}_{found.pooling}.json"


def index(methods: list[MethodResult], **changes) -> Index:
    """net_effects.json of some methods."""
    part = results.PartNote(name="nnn", kind="hubs", oracle=False, description="takes off hubs", source="")
    settings = {"SEED": 42, "K_TEMPLATES": 10, "TAU": 0.01, "CONTROL_SIZE": 1000}
    fields = {"net_effects": list(map(index_row, methods)), "left_out": {}, "parts": [part]}
    fields |= {"cells": list(map(file_of, methods)), "settings": settings, "mark": "0" * 8}
    fields |= {"identity": IDENTITY, "parameters": {}, "split": None, "bank": None, "versions": {}}
    return Index(**fields | {"tuning_image_ids": []} | changes)


def write_improvements(study: Folders) -> None:
    """Results of step 6 for some methods, of every kind that there can be."""
    poolings = {True: ("mean", "logsumexp"), False: (results.NO_POOLING,)}
    methods = [method(name, each) for name, encodes in METHODS.items() for each in poolings[encodes]]
    for found in methods:
        records.write(study.results / file_of(found), found)
    (meta_file,) = study.cache.glob("meta_*.json")
    identity = records.replace(IDENTITY, cache=meta.read(meta_file).fingerprint)
    content = index(methods, identity=identity, left_out={"nnn+words": "there is no bank"})
    records.write(study.results / results.INDEX, content)
