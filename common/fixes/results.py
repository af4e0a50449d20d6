"""The files of step 6: one pair a cell in `cells/`, and the index of the last run. The types are in
common/results.py.

A cell's ranks are written before its result, which holds their fingerprint: where the result is whole, both
are. So a killed run continues behind the last whole cell.
"""

import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common import files, records, say
from common.errors import UserError
from common.fixes import compared, differences, measures, net_effect, power, prompts, recipes, rerank
from common.fixes.bank import Bank
from common.fixes.cells import Cell, Pass, Ranker
from common.fixes.compared import Other
from common.fixes.study import Study
from common.labels import merged
from common.results import (
    ALL,
    CELLS,
    INDEX,
    NO_POOLING,
    RANK_COLUMNS,
    BankNote,
    Half,
    Identity,
    Index,
    IndexRow,
    MethodResult,
    NetEffect,
    Queries,
    Split,
)
from common.retrieval import ranks
from common.settings import Settings

FORMAT = 3  # of the result files; another number makes older ones count for nothing
COMMON = Path(__file__).resolve().parent.parent
# What computes a result: who edits a formula must not meet numbers of the old one.
CODE = (
    *sorted((COMMON / "fixes").glob("*.py")),
    *(COMMON / name for name in ("comparisons.py", "results.py", "sampling.py", "statistics.py")),
    COMMON / "labels" / "taxonomy.py",
    *(COMMON / "retrieval" / name for name in ("coco.py", "evaluation.py")),
    *ranks.CODE,
)
OF_PLACEBO = [name for name in RANK_COLUMNS if name.startswith("rank_placebo")]  # a column for each draw
# Which methods and poolings run, and on which machine, changes no cell.
NOT_IDENTITY = ("METHODS", "POOLING", "DEVICE")


class Found(NamedTuple):
    """What a run of step 6 found: its own methods, and what it compares."""

    methods: dict[Path, MethodResult]
    skipped: dict[str, str]  # method -> why it could not be run
    others: list[Other]  # caches of COMPARE


class Run(NamedTuple):
    """What every result says of the run that made it."""

    identity: Identity
    settings: Settings  # of the script
    parameters: dict[str, dict]  # part -> those that are used
    split: Split | None
    bank: BankNote | None
    versions: dict[str, str]

    @property
    def mark(self) -> str:
        """First digits of the identity's hash, which the names of its files end in."""
        text = json.dumps(records.plain(self.identity), sort_keys=True)
        return files.fingerprint(text.encode("utf-8"))[:8]


def run_of(study: Study, bank: Bank | None, parameters: dict[str, dict], settings: Settings) -> Run:
    """What all results of a run have in common."""
    ids_compared = bool(bank and bank.ids_compared)
    templates = json.dumps([prompts.GENERAL, prompts.OF_CATEGORY])
    identity = Identity(
        format=FORMAT,
        code=files.sources_fingerprint(CODE),
        cache=study.frozen.meta.fingerprint,
        labels=merged.fingerprint(study.labels),
        bank=bank.fingerprint[:16] if bank else None,
        bank_ids_compared=ids_compared,
        templates=files.fingerprint(templates.encode("utf-8"))[:16],
        settings={name: value for name, value in settings.values().items() if name not in NOT_IDENTITY},
        published=recipes.published(),
        grids=recipes.grids() if settings.TUNE else None,
        candidates=rerank.CANDIDATES,
    )
    split = None
    if len(study.tuning):
        split = Split(tuned_on=_half(study, study.tuning), reported_on=_half(study, study.queries))
    versions = files.versions("torch", "numpy", "scipy")
    return Run(identity, settings, parameters, split, bank.note if bank else None, versions)


def path_of(folder: Path, cell: Cell, run: Run) -> Path:
    """Where a cell's result goes in a results' folder. Its ranks are a CSV of the same name."""
    settings = run.settings
    about = f"K{settings.K_TEMPLATES}_tau{settings.TAU:g}_seed{settings.SEED}_{run.mark}"
    return folder / CELLS / f"{cell.recipe.name}_{cell.pooling}_{about}.json"


def read_finished(path: Path, run: Run) -> MethodResult | None:
    """A finished cell's result, if it is this run's and its ranks are as they were written."""
    try:
        result = records.read(path, MethodResult, "")
        whole = files.file_fingerprint(path.with_name(result.ranks_file)) == result.ranks_fingerprint
    except (OSError, UserError):
        return None
    return result if whole and result.identity == run.identity else None


def write(path: Path, cell: Cell, passes: list[Pass], ranker: Ranker, run: Run) -> MethodResult:
    """Measure a cell on each of its sets by its `passes`; write its ranks, then its result."""
    study = ranker.study
    ranks_file = path.with_suffix(".csv")
    files.write_csv(ranks_file, list(RANK_COLUMNS), rank_rows(cell, passes, study))
    of_source = {each.source: each for each in passes}
    views = {name: of_source[cell.source(name)].on(queries) for name, queries in cell.sets.items()}
    seed = run.settings.SEED
    result = MethodResult(
        name=cell.label,
        method=cell.recipe.name,
        pooling=cell.pooling,
        tau=run.settings.TAU,
        K_templates=run.settings.K_TEMPLATES,
        seed=seed,
        parameters={
            part.name: run.parameters[part.name] for part in cell.recipe.parts if part.name in run.parameters
        },
        queries=Queries(all=len(study.queries), failures=len(study.failures)),
        sets=[measures.measured(cell, name, view, study, seed) for name, view in views.items()],
        split=run.split,
        bank=run.bank,
        texts_cut_off=ranker.cut_off(cell),
        ranks_file=ranks_file.name,
        ranks_fingerprint=files.file_fingerprint(ranks_file),
        identity=run.identity,
        versions=run.versions,
    )
    records.write(path, result)
    return result


def rank_rows(cell: Cell, passes: list[Pass], study: Study) -> list[dict]:
    """One row a query (two, if its category was once its label and once dealt): its rank before and after.

    Every number of the cell can be computed again from these rows. By idx, then by category_of_query.
    """
    meta, rows = study.frozen.meta, []
    for source, queries, after, placebos in passes:
        sets_of = defaultdict(list)
        for name, members in cell.sets.items():
            if cell.source(name) == source:
                for idx in members.tolist():
                    sets_of[idx].append(name)
        for place, idx in enumerate(queries.tolist()):
            before = int(study.before.rank[idx])
            rows.append(
                {
                    "idx": idx,
                    "caption_id": meta.caption_ids[idx],
                    "caption": meta.captions[idx],
                    "gt_img_idx": meta.gt_img_index[idx],
                    "stratum": "failure" if before > 1 else "success",
                    "category": study.labels.get(idx, ""),
                    "sets": " ".join(sets_of[idx]),
                    "category_of_query": source or "",
                    "rank_before": before,
                    "rank_after": int(after.rank[place]),
                }
                | {name: int(each[place]) for name, each in zip(OF_PLACEBO, placebos, strict=True)}
            )
    return sorted(rows, key=lambda row: (row["idx"], row["category_of_query"]))


def family(found: dict[Path, MethodResult], poolings: list[str], n_models: int = 0) -> tuple[list[Path], str]:
    """The tests that Holm's p is adjusted over, those of `n_models` compared models aside, and a sentence.

    Each method that could be used as it was measured counts once, whatever its poolings: those are near
    copies of each other, and the one to test is the first in POOLING, chosen before its result is seen.
    """
    order, chosen = [NO_POOLING, *poolings, *prompts.POOLINGS], {}
    for path, result in found.items():
        rival = chosen.get(result.method)
        earlier = rival and order.index(found[rival].pooling) <= order.index(result.pooling)
        if result.on(ALL).marks.is_fix and not earlier:
            chosen[result.method] = path
    tests = [path for path in found if path in chosen.values()]
    models = f" and {say.items(n_models, 'compared model')}" if n_models else ""
    return tests, (
        f"p of R@1 is adjusted by Holm over {say.items(len(tests), 'fix', 'fixes')}{models}: each method "
        f"once, one with templates as pooled by the first of POOLING ({poolings[0]}), chosen beforehand. "
        "Other poolings, and what is transductive or has extra knowledge, are outside of this family and "
        "have no adjusted p. p of R@5 and R@10 is not adjusted."
    )


def adjusted(
    found: dict[Path, MethodResult], tests: list[Path], further: list[dict[str, NetEffect]]
) -> tuple[dict[Path, float], list[float]]:
    """p of R@1 of the `tests`, and of further net effects, adjusted over all of them (Holm)."""
    effects = [*(found[path].on(ALL).net_effect for path in tests), *further]
    p_holm = [measures.p_value(p) for p in net_effect.holm([each["R@1"].p for each in effects])]
    return dict(zip(tests, p_holm, strict=False)), p_holm[len(tests) :]


def index_rows(found: dict[Path, MethodResult], p_holm: dict[Path, float]) -> list[IndexRow]:
    """The confirmatory results, one a cell; p_holm as `adjusted` gives it."""
    whole = {path: result.on(ALL) for path, result in found.items()}
    return [
        IndexRow(
            name=found[path].name,
            method=found[path].method,
            pooling=found[path].pooling,
            marks=result.marks,
            category_of_query=result.category_of_query,
            p_holm=p_holm.get(path),
            net_effect=result.net_effect,
            placebo=result.placebo_net_effect,
            beyond=result.beyond_net_effect,
            file=f"{CELLS}/{path.name}",
        )
        for path, result in whole.items()
    ]


def of_earlier_runs(folder: Path, found: dict[Path, MethodResult], run: Run) -> dict[Path, MethodResult]:
    """Whole results of the same identity that are not among the run's own: of other methods or poolings."""
    paths = sorted(set((folder / CELLS).glob(f"*_{run.mark}.json")) - set(found))
    read = {path: read_finished(path, run) for path in paths}
    return {path: result for path, result in read.items() if result is not None}


def write_index(folder: Path, own: Found, study: Study, run: Run) -> Index:
    """Write what this run found, and the methods that earlier ones of the same identity did."""
    kept = of_earlier_runs(folder, own.methods, run)
    found = own.methods | kept
    tests, sentence = family(found, run.settings.POOLING, len(own.others))
    effects = [compared.net_effects(other, study, run.settings.SEED) for other in own.others]
    p_holm, p_models = adjusted(found, tests, effects)
    described = zip(own.others, effects, p_models, strict=True)
    used = {part for result in found.values() for part in recipes.parse(result.method).parts}
    ids = study.frozen.meta.sampled_img_ids
    measured = {result.method for result in found.values()}
    index = Index(
        net_effects=index_rows(found, p_holm),
        family=sentence,
        kept=[result.name for result in kept.values()],
        texts_cut_off=merge(result.texts_cut_off for result in found.values()),
        left_out={method: reason for method, reason in own.skipped.items() if method not in measured},
        cells=[f"{CELLS}/{path.name}" for path in found],
        parts=[part.note for part in recipes.PARTS if part in used],
        settings=run.settings.values(),
        mark=run.mark,
        identity=run.identity,
        parameters=merge(result.parameters for result in found.values()),
        split=run.split,
        bank=run.bank,
        versions=run.versions,
        tuning_image_ids=sorted(ids[row] for row in set(study.frozen.gt[study.tuning].tolist())),
        differences=differences.between_hubs(found, run.settings.SEED),
        power=power.of_kinds(found, tests, len(tests) + len(own.others)),
        compared=[compared.described(other, study, *found_of) for other, *found_of in described],
        failed_by_all=compared.failed_by_all(own.others, study),
        compared_ranks=compared_ranks(folder, own.others, study, run),
    )
    records.write(folder / INDEX, index)
    return index


def compared_ranks(folder: Path, others: list[Other], study: Study, run: Run) -> str | None:
    """Write the ranks of compared models; returns where, seen from the results' folder, None without any."""
    if not others:
        return None
    path = compared.write_ranks(folder / CELLS, others, study, f"seed{run.settings.SEED}_{run.mark}")
    return f"{CELLS}/{path.name}"


def merge(mappings: Iterable[dict]) -> dict:
    """One mapping of several that agree where they share a key."""
    return {key: value for each in mappings for key, value in each.items()}


def of_other_runs(folder: Path, run: Run) -> list[Path]:
    """Files of step 6 in a results' folder that are of other settings, or of older versions."""
    older = [*folder.glob("subset_results_*.json"), *folder.glob("ranks_*.csv")]
    other = [path for path in (folder / CELLS).glob("*_seed*.*") if not path.stem.endswith(run.mark)]
    return sorted(older) + sorted(path for path in other if path.suffix in (".json", ".csv"))


def _half(study: Study, queries: np.ndarray) -> Half:
    return Half(queries=len(queries), images=len(np.unique(study.frozen.gt[queries])))
