"""The files of step 6: one pair a cell in `cells/`, and the index of the last run. The types are in
common/results.py.

A cell's ranks are written before its result, which holds their fingerprint: where the result is whole, both
are. So a killed run continues behind the last whole cell.
"""

import json
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common import files, records
from common.errors import UserError
from common.fixes import measures, net_effect, prompts, recipes, rerank
from common.fixes.bank import Bank
from common.fixes.cells import Cell, Pass
from common.fixes.study import Study
from common.labels import merged
from common.results import (
    ALL,
    CELLS,
    INDEX,
    RANK_COLUMNS,
    BankNote,
    Half,
    Identity,
    Index,
    IndexRow,
    MethodResult,
    Queries,
    Split,
)
from common.settings import Settings

FORMAT = 2  # of the result files; another number makes older ones count for nothing
# Which methods and poolings run, and on which machine, changes no cell.
NOT_IDENTITY = ("METHODS", "POOLING", "DEVICE")


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
    templates = json.dumps([prompts.GENERAL, prompts.OF_CATEGORY])
    identity = Identity(
        format=FORMAT,
        cache=study.frozen.meta.fingerprint,
        labels=merged.fingerprint(study.labels),
        bank=bank.fingerprint[:16] if bank else None,
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


def write(path: Path, cell: Cell, passes: list[Pass], study: Study, run: Run) -> MethodResult:
    """Measure a cell on each of its sets; write its ranks, then its result."""
    ranks = path.with_suffix(".csv")
    files.write_csv(ranks, list(RANK_COLUMNS), rank_rows(cell, passes, study))
    of_source = {each.source: each for each in passes}
    views = {name: of_source[cell.source(name)].on(queries) for name, queries in cell.sets.items()}
    seed = run.settings.SEED
    result = MethodResult(
        name=cell.label,
        method=cell.recipe.name,
        pooling=cell.pooling,
        oracle=cell.recipe.is_oracle,
        transductive=bool(run.bank and run.bank.transductive and cell.recipe.needs_bank),
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
        ranks_file=ranks.name,
        ranks_fingerprint=files.file_fingerprint(ranks),
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
    for source, queries, after, placebo in passes:
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
                    "rank_placebo": int(placebo.rank[place]),
                }
            )
    return sorted(rows, key=lambda row: (row["idx"], row["category_of_query"]))


def index_rows(results: dict[Path, MethodResult]) -> list[IndexRow]:
    """The confirmatory results, one a cell, with p adjusted over all of them (Holm)."""
    whole = {path: result.on(ALL) for path, result in results.items()}
    adjusted = net_effect.holm([found.net_effect["R@1"].p for found in whole.values()])
    return [
        IndexRow(
            name=results[path].name,
            method=results[path].method,
            pooling=results[path].pooling,
            oracle=found.oracle,
            transductive=results[path].transductive,
            category_of_query=found.category_of_query,
            exact=found.exact,
            subset_size=found.subset_size,
            p_holm=measures.p_value(p),
            net_effect=found.net_effect,
            placebo=found.placebo_net_effect,
            file=f"{CELLS}/{path.name}",
        )
        for (path, found), p in zip(whole.items(), adjusted, strict=True)
    ]


def write_index(
    folder: Path, results: dict[Path, MethodResult], skipped: dict[str, str], study: Study, run: Run
) -> Index:
    """Write what the last run found, and which cells belong to it. skipped: method -> reason."""
    used = {part for result in results.values() for part in recipes.parse(result.method).parts}
    ids = study.frozen.meta.sampled_img_ids
    index = Index(
        net_effects=index_rows(results),
        left_out=skipped,
        cells=[f"{CELLS}/{path.name}" for path in results],
        parts=[part.note for part in recipes.PARTS if part in used],
        settings=run.settings.values(),
        mark=run.mark,
        identity=run.identity,
        parameters=run.parameters,
        split=run.split,
        bank=run.bank,
        versions=run.versions,
        tuning_image_ids=sorted(ids[row] for row in set(study.frozen.gt[study.tuning].tolist())),
    )
    records.write(folder / INDEX, index)
    return index


def of_other_runs(folder: Path, run: Run) -> list[Path]:
    """Files of step 6 in a results' folder that are of other settings, or of older versions."""
    older = [*folder.glob("subset_results_*.json"), *folder.glob("ranks_*.csv")]
    other = [path for path in (folder / CELLS).glob("*_seed*.*") if not path.stem.endswith(run.mark)]
    return sorted(older) + sorted(path for path in other if path.suffix in (".json", ".csv"))


def _half(study: Study, queries: np.ndarray) -> Half:
    return Half(queries=len(queries), images=len(np.unique(study.frozen.gt[queries])))
