"""Step 6 of 6: try training-free fixes, and measure what each mends and what it breaks.

Run:    python improve_subset.py
Reads:  cache/, failure_analysis/annotations_clean.csv (labels; without them nothing is told by category), and
        a bank of captions of other images, data/annotations/captions_train2017.json
Writes: final_results/: net_effects.json (the result: a net effect for each method), subset_results_*.json (a
        method on a set of queries), ranks_*.csv (ranks before and after); in cache/ the texts it encoded
Takes:  the bundled sample: a minute. COCO without a GPU: about half an hour, nearly all of it encoding
        templates and bank; a run that was stopped goes on where it was
"""

import json
import platform
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy
import torch
from tqdm import tqdm

from common import files, sampling
from common.errors import UserError, reported
from common.fixes import bank as banks
from common.fixes import hubness, net_effect, placebo, prompts, rerank
from common.labels import sheet_reader, spellings
from common.labels.same_caption import compare
from common.labels.taxonomy import CATEGORY_NAMES, CLEAR_NAMES
from common.retrieval import cache, meta, ranking, text_cache
from common.settings import PROJECT_DIR, override, shown

# ---- settings ----------------------------------------------------------------------------------------------
METHODS: list[str] = [  # what to try: one part, or one of each kind joined by +
    *("prompts", "category"),  # templates, general or of the query's category
    *("nnn", "dn", "is", "dis"),  # corrections of hubs
    *("tfidf", "overlap", "words"),  # words for the first candidates
    *("prompts+nnn", "nnn+words", "prompts+nnn+words"),
]
CATEGORIES: list[str] = list(CATEGORY_NAMES)  # of failures to measure on; Ambiguous is always added
SUBSET_SIZE: int = 100  # failures of each category; where there are fewer, all are taken
CONTROL_SIZE: int = 1000  # of all failures, and of all successes, for methods that encode texts
POOLING: list[str] = ["mean", "max", "logsumexp"]  # of templates' cosines: mean, max, logsumexp
K_TEMPLATES: int = 10  # templates of prompts, and of each category: 1 to 10
TAU: float = 0.01  # of logsumexp, in cosines: towards 0 it is max, at 1 it is mean
BANK_SIZE: int = 20000  # captions of the bank
ALLOW_TRANSDUCTIVE: bool = False  # True: accept a bank that holds queries, and mark every number
TUNE: bool = False  # True: choose parameters of hubs and words on half of the images, report on the rest
SEED: int | None = None  # of every draw; None means the cache's
DEVICE: str = "auto"  # for encoding texts: auto, cpu, cuda, cuda:1, mps
BANK_FILE: str = "data/annotations/captions_train2017.json"  # captions JSON, or encoded captions (.npz)
MODEL_DIR: str | None = None  # folder of the model; None means where step 1 found it
CACHE_DIR: str = "cache"  # frozen embeddings; a meta file in it chooses among several
FAILURE_DIR: str = "failure_analysis"  # annotations_clean.csv
RESULT_DIR: str = "final_results"  # everything that this step writes but encoded texts
# ------------------------------------------------------------------------------------------------------------

SETTINGS = (
    *("METHODS", "CATEGORIES", "SUBSET_SIZE", "CONTROL_SIZE", "POOLING", "K_TEMPLATES", "TAU"),
    *("BANK_SIZE", "ALLOW_TRANSDUCTIVE", "TUNE", "SEED"),
)
FORMAT = 1  # of the result files; another number makes older ones count for nothing
ANECDOTAL = 30  # queries below which a figure is an anecdote
HUBS_SHOWN = 10  # images that come first most often, named before and after
MEASURES = tuple(f"R@{cutoff}" for cutoff in ranking.CUTOFFS)
IN_POINTS = ("value", "low", "high", "sampling_low", "sampling_high")
ALL, FAILURES, SUCCESSES, CLEAR = "all", "failures", "successes", "clear"
NO_POOLING = "none"
RANK_COLUMNS = [
    *("idx", "caption_id", "caption", "gt_img_idx", "stratum", "category"),
    *("rank_before", "rank_after", "rank_placebo"),
]


class Study(NamedTuple):
    """What is measured on: all of the cache's queries or, with TUNE, those of one half of the images."""

    frozen: cache.Cache
    gt: np.ndarray  # (n_captions,) image rows
    before: rerank.Ranked  # of all captions, in the order of idx
    queries: np.ndarray  # idx that are reported on
    tuning: np.ndarray  # idx that parameters are chosen on; empty without TUNE
    labels: dict[int, str]  # idx of a failure -> its category

    @property
    def failures(self) -> np.ndarray:
        return self.queries[self.before.rank[self.queries] > 1]

    @property
    def successes(self) -> np.ndarray:
        return self.queries[self.before.rank[self.queries] == 1]


class Cell(NamedTuple):
    """A method, with one pooling, on one set of queries: one pair of result files."""

    method: str
    pooling: str
    subset: str
    queries: np.ndarray  # idx, ascending

    def name(self, settings: dict, mark: str) -> str:
        """What the cell's two files are called behind `subset_results_` and `ranks_`."""
        sizes = f"n{len(self.queries)}_{self.pooling}_K{settings['K_TEMPLATES']}_tau{settings['TAU']:g}"
        return f"{self.method}_{self.subset}_{sizes}_seed{settings['SEED']}_{mark}"


def check_settings(settings: dict) -> None:
    """Refuse what no run can do, naming what is legal."""
    for name, legal in (("CATEGORIES", CATEGORY_NAMES), ("POOLING", prompts.POOLINGS)):
        unknown = [value for value in settings[name] if value not in legal]
        if unknown or not settings[name]:
            raise UserError(f"{name} = {','.join(settings[name])}: should be of {', '.join(legal)}")
    for method in settings["METHODS"]:
        try:
            rerank.parse(method)
        except ValueError as error:
            raise UserError(f"METHODS: {error}") from error
    if not settings["METHODS"]:
        raise UserError(f"METHODS is empty: name some of {', '.join(rerank.PARTS)}, joined by + or alone")
    for name in ("SUBSET_SIZE", "CONTROL_SIZE", "BANK_SIZE", "K_TEMPLATES"):
        if settings[name] < 1:
            raise UserError(f"{name} = {settings[name]}: should be 1 or more")
    if settings["K_TEMPLATES"] > prompts.MOST:
        raise UserError(f"K_TEMPLATES = {settings['K_TEMPLATES']}: there are {prompts.MOST} of each set")
    if not settings["TAU"] > 0:
        raise UserError(f"TAU = {settings['TAU']}: should be above 0 (0.01 is CLIP's own)")


def read_labels(path: Path, captions: list[str]) -> dict[int, str]:
    """idx -> category of step 4's merged labels; empty where there are none yet.

    Raises UserError where a row isn't of this cache.
    """
    if not path.is_file():
        return {}
    wanted = ("idx", "caption", "category")
    columns = {spellings.squeezed(name): name for name in wanted}
    try:
        rows = sheet_reader.read(path, dict(enumerate(captions)), columns, wanted).rows
    except UserError as error:
        raise UserError(f"{error}, or run `python merge_assignments.py` again") from error
    labels, other = {}, []
    for row in rows:
        idx = sheet_reader.whole_number(row.cells["idx"])
        known = idx is not None and 0 <= idx < len(captions)
        if not known or compare(row.cells["caption"], captions[idx]) == "other":
            other.append(row.cells["idx"])
        elif row.cells["category"] in CATEGORY_NAMES:
            labels[idx] = row.cells["category"]
    if other:
        raise UserError(
            f"{shown(path)} belongs to another cache: {len(other)} of {len(rows)} captions differ (idx "
            f"{', '.join(other[:5])}). Put that cache back, or run `python merge_assignments.py` again"
        )
    return labels


def make_study(frozen: cache.Cache, labels: dict[int, str], tune: bool, seed: int) -> Study:
    """Rank all captions as step 1 did and, to tune, split them in halves by image."""
    gt = np.array(frozen.meta.gt_img_index, dtype=np.int64)
    everything = np.arange(len(gt))
    plain = rerank.Method(rerank.Plain(frozen.txt, frozen.img))
    (before,) = rerank.rank([plain], everything, gt, first=True)
    tuning = np.zeros(0, dtype=np.int64)
    if tune:
        order = sampling.hashed_order(range(len(frozen.img)), frozen.meta.sampled_img_ids, seed)
        half = np.isin(gt, order[: len(order) // 2])
        tuning, everything = everything[half], everything[~half]
    study = Study(frozen, gt, before, everything, tuning, labels)
    if not len(study.failures) or not len(study.successes):
        raise UserError("all captions fail, or none does: there is nothing to mend, or nothing to break")
    return study


def choose_subsets(study: Study, categories: list[str], size: int, control: int, seed: int) -> dict:
    """Name -> idx of every set of queries, ascending. Draws are by hash of the caption id, as in step 2."""
    ids = study.frozen.meta.caption_ids
    failures = sampling.hashed_order(study.failures, ids, seed)
    subsets = {}
    for name in CATEGORY_NAMES:
        of_category = [idx for idx in failures.tolist() if study.labels.get(idx) == name]
        if of_category and (name in categories or name == "Ambiguous"):
            subsets[name] = of_category[:size]
    clear = [idx for idx in failures.tolist() if study.labels.get(idx) in CLEAR_NAMES]
    if clear:
        subsets[CLEAR] = clear
    subsets[FAILURES] = failures[:control]
    subsets[SUCCESSES] = sampling.hashed_order(study.successes, ids, seed)[:control]
    return {name: np.sort(np.array(idx, dtype=np.int64)) for name, idx in subsets.items()}


def cells_of(method: str, subsets: dict, study: Study, poolings: list[str]) -> list[Cell]:
    """The cells of a method: each pooling, if it has templates, on each set of queries.

    On all queries where no text has to be encoded; else the samples of failures and successes stand for all.
    """
    parts = rerank.parse(method)
    encodes = any(part in rerank.BASES for part in parts)
    sets = dict(subsets)
    if "category" in parts:
        sets.pop("Ambiguous", None)  # no template tells two images apart that both fit
    sets[ALL] = np.union1d(subsets[FAILURES], subsets[SUCCESSES]) if encodes else study.queries
    return [
        Cell(method, pooling, name, queries)
        for pooling in (poolings if encodes else [NO_POOLING])
        for name, queries in sets.items()
    ]


def find_bank(path: Path, settings: dict, content: dict) -> banks.Bank | None:
    """The bank, checked against the queries; None where there is none."""
    default = PROJECT_DIR / "data" / "annotations" / "captions_train2017.json"
    if content.bundled_sample and path == default:
        path = PROJECT_DIR / "data" / "sample" / "annotations" / "captions_train2017.json"
    if not path.is_file():
        if path != default and not content.bundled_sample:
            raise UserError(f"BANK_FILE = {shown(path)}: there is no such file")
        return None
    bank = banks.read(path, settings["BANK_SIZE"], settings["SEED"], content)
    return banks.checked(bank, content, settings["ALLOW_TRANSDUCTIVE"])


def fill_maker(maker: rerank.Maker, bank: banks.Bank | None, texts: text_cache.TextCache) -> str:
    """Give the maker its bank; returns why it has none, or "" if it has."""
    if bank is None:
        return (
            "there is no bank of captions: `python main.py --download True` puts captions_train2017.json "
            "into data/annotations/ (data/README.md: by hand), or set BANK_FILE"
        )
    rows = bank.embeddings
    if rows is None:
        try:
            texts.add(bank.captions, "bank")
        except text_cache.NoModel as error:
            return f"the bank can't be encoded, since {error}"
        rows = texts.rows(bank.captions)
    if rows.shape[1] != maker.img.shape[1]:
        raise UserError(f"BANK_FILE: its rows have {rows.shape[1]} numbers, the cache's {maker.img.shape[1]}")
    maker.add_bank(rows, bank.captions)
    return ""


def left_out(
    methods: list[str], study: Study, bank: banks.Bank | None, no_bank: str, texts
) -> dict[str, str]:
    """Method -> why it can't be run here."""
    reasons, no_model = {}, ""
    parts_of = {method: rerank.parse(method) for method in methods}
    if any(set(parts) & set(rerank.BASES) for parts in parts_of.values()):
        try:
            texts.find()
        except text_cache.NoModel as error:
            no_model = str(error)
    for method, parts in parts_of.items():
        if no_bank and set(parts) & set(rerank.NEED_BANK):
            reasons[method] = no_bank
        elif bank and bank.transductive and "words" in parts:
            reasons[method] = "the bank holds queries, whose own words would lead to their images"
        elif no_model and set(parts) & set(rerank.BASES):
            reasons[method] = no_model
        elif "category" in parts and not any(name in CLEAR_NAMES for name in study.labels.values()):
            reasons[method] = "there are no labels of clear failures yet: run `python merge_assignments.py`"
    return reasons


def choose_parameters(methods: list[str], study: Study, maker: rerank.Maker) -> dict[str, dict]:
    """Published parameters or, with TUNE, those of the grid with the best R@1 on the tuning half."""
    used = {part for method in methods for part in rerank.parse(method)}
    parts = [part for part in rerank.DEFAULTS if part in used]
    chosen = {part: rerank.DEFAULTS[part] for part in parts}
    if not len(study.tuning):
        return chosen
    for part in tqdm(parts, desc="tuning", unit="part", disable=None, leave=False):
        scored = []
        for parameters in [rerank.DEFAULTS[part], *rerank.GRIDS[part]]:
            method, _ = maker.make((part,), {part: parameters})
            (after,) = rerank.rank([method], study.tuning, study.gt)
            scored.append(ranking.recall(after.rank, 1))
        # The first of equal ones, so the published parameters unless others are better.
        chosen[part] = [rerank.DEFAULTS[part], *rerank.GRIDS[part]][int(np.argmax(scored))]
    return chosen


def deal_categories(study: Study, seed: int) -> dict[int, str]:
    """A clear category for each query, dealt in the proportion of the labels.

    Which category a query would fail in isn't known when it is asked: this is what category templates can do
    in use.
    """
    counts = Counter(name for name in study.labels.values() if name in CLEAR_NAMES)
    names = sorted(counts)
    shares = np.cumsum([counts[name] for name in names]) / counts.total()
    draws = np.random.default_rng([placebo.CATEGORY, seed]).random(len(study.gt))
    return {idx: names[np.searchsorted(shares, draw, side="right")] for idx, draw in enumerate(draws)}


def templated(cell: Cell, study: Study, settings: dict) -> list[str]:
    """The texts of a cell's queries, each in its K templates; none for a method without templates."""
    k, captions = settings["K_TEMPLATES"], study.frozen.meta.captions
    if cell.pooling == NO_POOLING:
        return []
    if "category" not in rerank.parse(cell.method):
        sets = {idx: prompts.GENERAL for idx in cell.queries.tolist()}
    else:
        dealt = category_source(cell.method, cell.subset) == "dealt"
        category = deal_categories(study, settings["SEED"]) if dealt else study.labels
        sets = {idx: prompts.OF_CATEGORY[category[idx]] for idx in cell.queries.tolist()}
    return [text for idx, templates in sets.items() for text in prompts.filled(templates[:k], captions[idx])]


def encode_templates(cells: list[Cell], study: Study, texts: text_cache.TextCache, settings: dict) -> None:
    """Encode what the cells need, once for all methods that share templates."""
    for part in rerank.BASES:
        own = [cell for cell in cells if part in rerank.parse(cell.method)]
        needed = {text for cell in own for text in templated(cell, study, settings)}
        if needed:
            texts.add(sorted(needed), f"{part} templates")


def run_cell(cell: Cell, study: Study, maker: rerank.Maker, texts, chosen: dict, settings: dict) -> list:
    """Rank a cell's queries by the method and by its placebo."""
    bases = None
    if cell.pooling != NO_POOLING:
        rows = texts.rows(templated(cell, study, settings))
        rows = rows.reshape(len(cell.queries), settings["K_TEMPLATES"], -1)
        bases = maker.pooled(cell.queries, rows, cell.pooling, settings["TAU"])
    methods = maker.make(rerank.parse(cell.method), chosen, bases)
    return rerank.rank(list(methods), cell.queries, study.gt, first=cell.subset == ALL)


def points(value: float | None) -> float | None:
    """A share as percent, with digits enough for any table and few enough for another machine's last bits."""
    return None if value is None else round(100 * value, 4) + 0.0  # + 0.0 makes 0.0 of -0.0


def digits(p: float | None) -> float | None:
    """A p-value to six significant digits."""
    return None if p is None else float(f"{p:.6g}")


def levels(ranks: np.ndarray) -> dict:
    """R@1, R@5, R@10 and MRR in percent."""
    recall = {f"R@{cutoff}": points(ranking.recall(ranks, cutoff)) for cutoff in ranking.CUTOFFS}
    return recall | {"MRR": points(ranking.mean_reciprocal_rank(ranks))}


def compared(before: np.ndarray, after: np.ndarray, image: np.ndarray) -> dict:
    """What became of some queries: levels, differences in points with paired intervals, gained and lost."""
    result = {"improved": levels(after), "delta_pp": {}, "gained": {}, "lost": {}}
    for name, cutoff in zip(MEASURES, ranking.CUTOFFS, strict=True):
        value, low, high = net_effect.paired(before, after, image, cutoff)
        result["delta_pp"][name] = {"value": points(value), "low": points(low), "high": points(high)}
        result["gained"][name] = int(((before > cutoff) & (after <= cutoff)).sum())
        result["lost"][name] = int(((before <= cutoff) & (after > cutoff)).sum())
    return result


def net_effects(before: np.ndarray, after: np.ndarray, image: np.ndarray, study: Study, seed: int) -> dict:
    """Net effect on each measure of the whole set, in points of percent."""
    sizes, result = (len(study.failures), len(study.successes)), {}
    for name, cutoff in zip(MEASURES, ranking.CUTOFFS, strict=True):
        found = net_effect.effect(before, after, image, sizes, cutoff, seed)._asdict()
        in_points = {field: points(found[field]) for field in IN_POINTS}
        in_points |= {field: digits(found[field]) for field in ("p", "mcnemar_p")}
        level = ranking.recall(study.before.rank[study.queries], cutoff)
        result[name] = {"before": points(level), "after": points(level + found["value"])} | found | in_points
    return result


def hubs(before: rerank.Ranked, after: rerank.Ranked, file_names: list[str]) -> dict:
    """k-occurrence before and after: its skewness, and the images that come first most often."""
    result = {"k": hubness.OCCURRENCE_K}
    for when, ranked in (("before", before), ("after", after)):
        counts = hubness.occurrence(ranked.first, len(file_names))
        top = np.argsort(-counts, kind="stable")[:HUBS_SHOWN]
        result[when] = {
            "skewness": round(hubness.skewness(counts), 6),
            "never_among_first": int((counts == 0).sum()),
            "top": [{"file_name": file_names[row], "queries": int(counts[row])} for row in top],
        }
    return result


def measure(cell: Cell, study: Study, ranked: list, settings: dict) -> dict:
    """All figures of a cell; the method's name for each of them is in the README of the results' folder."""
    after, under_placebo = ranked
    before, image = study.before.rank[cell.queries], study.gt[cell.queries]
    result = {"baseline": levels(before), **compared(before, after.rank, image)}
    result |= {"ties": int(after.tied.sum()), "placebo": compared(before, under_placebo.rank, image)}
    result |= {"contribution_pp": None, "net_effect": None, "placebo_net_effect": None, "hubness": None}
    if cell.subset in CATEGORY_NAMES:
        n = sum(study.labels.get(idx) == cell.subset for idx in study.failures.tolist())
        share = n / sum(idx in study.labels for idx in study.failures.tolist())
        failing = len(study.failures) / len(study.queries)
        result["share_of_labelled_failures"] = round(share, 6)
        result["contribution_pp"] = points(share * failing * ranking.recall(after.rank, 1))
    if cell.subset == ALL:
        seed = settings["SEED"]
        result["net_effect"] = net_effects(before, after.rank, image, study, seed)
        result["placebo_net_effect"] = net_effects(before, under_placebo.rank, image, study, seed)
        if len(cell.queries) == len(study.queries):
            first = rerank.Ranked(before, study.before.tied[cell.queries], study.before.first[cell.queries])
            result["hubness"] = hubs(first, after, study.frozen.meta.file_names)
    return result


def run_identity(study: Study, bank: banks.Bank | None, settings: dict) -> dict:
    """All that a cell's figures hang on, except for what its name says."""
    lists = ("METHODS", "CATEGORIES", "POOLING")
    labels = json.dumps(sorted(study.labels.items()))
    templates = json.dumps([prompts.GENERAL, prompts.OF_CATEGORY])
    identity = {
        "format": FORMAT,
        "cache": study.frozen.meta.fingerprint,
        "labels": files.fingerprint(labels.encode("utf-8"))[:16] if study.labels else None,
        "bank": bank.fingerprint[:16] if bank else None,
        "templates": files.fingerprint(templates.encode("utf-8"))[:16],
        "settings": {name: value for name, value in settings.items() if name not in lists},
        "parameters": {"defaults": rerank.DEFAULTS, "candidates": rerank.CANDIDATES},
    }
    if settings["TUNE"]:
        identity["parameters"]["grids"] = rerank.GRIDS
    return identity


def rank_rows(cell: Cell, study: Study, ranked: list) -> list[dict]:
    """One row a query: its rank before and after, from which every figure can be computed again."""
    content, rows = study.frozen.meta, []
    for place, idx in enumerate(cell.queries.tolist()):
        before = int(study.before.rank[idx])
        rows.append(
            {
                "idx": idx,
                "caption_id": content.caption_ids[idx],
                "caption": content.captions[idx],
                "gt_img_idx": content.gt_img_index[idx],
                "stratum": "failure" if before > 1 else "success",
                "category": study.labels.get(idx, ""),
                "rank_before": before,
                "rank_after": int(ranked[0].rank[place]),
                "rank_placebo": int(ranked[1].rank[place]),
            }
        )
    return rows


def read_finished(path: Path, identity: dict) -> dict | None:
    """A finished cell's result, if it is this run's and its ranks are as they were written."""
    try:
        result = json.loads(path.read_bytes())
        ranks = path.with_name(result["ranks_file"])
        whole = files.file_fingerprint(ranks) == result["ranks_fingerprint"]
        return result if whole and result["identity"] == json.loads(json.dumps(identity)) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def category_source(method: str, subset: str) -> str | None:
    """Where category templates take a query's category from: its label, or a deal in their proportion."""
    if "category" not in rerank.parse(method):
        return None
    return "dealt" if subset in (ALL, FAILURES, SUCCESSES) else "label"


def write_cell(path: Path, cell: Cell, study: Study, ranked: list, head: dict, settings: dict) -> dict:
    """Write a cell's ranks, then its result, which so says that both are whole."""
    ranks = path.with_name(path.name.replace("subset_results_", "ranks_", 1)).with_suffix(".csv")
    files.write_csv(ranks, RANK_COLUMNS, rank_rows(cell, study, ranked))
    parts = rerank.parse(cell.method)
    result = {
        "method": cell.method,
        "categories": cell.subset,
        "subset_size": len(cell.queries),
        "anecdotal": len(cell.queries) < ANECDOTAL,
        "confirmatory": cell.subset == ALL,
        "exact": cell.subset != ALL or len(cell.queries) == len(study.queries),
        "oracle": bool(set(parts) & set(rerank.ORACLES)),
        "category_of_query": category_source(cell.method, cell.subset),
        "transductive": bool(
            head["bank"] and head["bank"]["transductive"] and set(parts) & set(rerank.NEED_BANK)
        ),
        "pooling": cell.pooling,
        "tau": settings["TAU"],
        "K_templates": settings["K_TEMPLATES"],
        "seed": settings["SEED"],
        "parameters": {part: head["parameters"][part] for part in parts if part in head["parameters"]},
        "queries": {"all": len(study.queries), "failures": len(study.failures)},
        **measure(cell, study, ranked, settings),
        "split": head["split"],
        "bank": head["bank"],
        "ranks_file": ranks.name,
        "ranks_fingerprint": files.file_fingerprint(ranks),
        "identity": head["identity"],
        "versions": head["versions"],
    }
    files.write_json(path, result)
    return result


def run_cells(
    cells: list[Cell], study: Study, maker, texts, head: dict, settings: dict, folder: Path
) -> dict:
    """Path -> result of every cell: read where an earlier run finished it, else computed and written."""
    paths = [folder / f"subset_results_{cell.name(settings, head['mark'])}.json" for cell in cells]
    results = {path: read_finished(path, head["identity"]) for path in paths}
    waiting = [(path, cell) for path, cell in zip(paths, cells, strict=True) if results[path] is None]
    if len(waiting) < len(cells):
        print(f"{len(cells) - len(waiting)} of {len(cells)} cells were finished by an earlier run")
    encode_templates([cell for _, cell in waiting], study, texts, settings)
    for label, n in texts.cut_off.items():
        if n:
            print(f"  {label}: {n:,} texts are longer than the model reads, so their ends were cut off")
    with tqdm(waiting, unit="cell", disable=None, leave=False) as bar:
        for path, cell in bar:
            bar.set_description(f"{cell.method} {cell.subset}")
            ranked = run_cell(cell, study, maker, texts, head["parameters"], settings)
            results[path] = write_cell(path, cell, study, ranked, head, settings)
    return results


def net_effect_rows(results: dict) -> list[dict]:
    """The confirmatory results, one a method and pooling, with p adjusted over all of them (Holm)."""
    whole = {path: result for path, result in results.items() if result["confirmatory"]}
    adjusted = net_effect.holm([result["net_effect"]["R@1"]["p"] for result in whole.values()])
    rows = []
    for (path, result), p in zip(whole.items(), adjusted, strict=True):
        marks = ("method", "pooling", "oracle", "transductive", "category_of_query", "exact", "subset_size")
        rows.append(
            {name: result[name] for name in marks}
            | {
                "p_holm": digits(p),
                "net_effect": result["net_effect"],
                "placebo": result["placebo_net_effect"],
            }
            | {"file": path.name}
        )
    return rows


def write_index(folder: Path, rows: list[dict], results, skipped, study: Study, head: dict, settings) -> None:
    """net_effects.json: the result of the last run, and which cells' files belong to it."""
    ids = study.frozen.meta.sampled_img_ids
    content = {
        "net_effects": rows,
        "left_out": skipped,
        "cells": [path.name for path in results],
        "settings": settings,
        **head,
        "tuning_image_ids": sorted(ids[row] for row in set(study.gt[study.tuning].tolist())),
    }
    files.write_json(folder / "net_effects.json", content)


def provenance(study: Study, bank: banks.Bank | None, chosen: dict, settings: dict) -> dict:
    """What every result file says of the run: identity, parameters, split, bank, versions."""
    identity = run_identity(study, bank, settings)
    split = None
    if len(study.tuning):
        halves = {"tuned_on": study.tuning, "reported_on": study.queries}
        split = {
            name: {"queries": len(half), "images": len(np.unique(study.gt[half]))}
            for name, half in halves.items()
        }
    about = ("file", "fingerprint", "available", "transductive", "equal_texts")
    return {
        "mark": files.fingerprint(json.dumps(identity, sort_keys=True).encode("utf-8"))[:8],
        "identity": identity,
        "parameters": chosen,
        "split": split,
        "bank": {"size": len(bank.captions)} | {name: getattr(bank, name) for name in about}
        if bank
        else None,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "scipy": scipy.__version__,
        },
    }


def say_input(study: Study, subsets: dict, bank: banks.Bank | None, settings: dict) -> None:
    """What is measured on, and with which bank."""
    n, recall = len(study.queries), ranking.recall(study.before.rank[study.queries], 1)
    print(
        f"Read {shown(study.frozen.meta_file)}: {len(study.frozen.img):,} images, {len(study.gt):,} captions"
    )
    if len(study.tuning):
        print(
            f"  parameters are chosen on {len(study.tuning):,} of them (half of the images), and reported is:"
        )
    print(f"  R@1 = {recall:.4f} over {n:,} captions: {len(study.failures):,} failures")
    labelled = [idx for idx in study.failures.tolist() if idx in study.labels]
    print(f"Labels: {len(labelled):,} of these failures have one")
    if not study.labels:
        print("  none yet, so nothing is measured by category (the net effects need no labels)")
    passed_over = len(study.labels) - len(labelled)
    if passed_over:
        where = (
            "no failures here, or in the tuning half" if len(study.tuning) else "no failures of this cache"
        )
        print(f"  left out: {passed_over:,} labels of captions that are {where}")
    small = {name: len(idx) for name, idx in subsets.items() if name in CATEGORY_NAMES}
    fewer = [f"{name} {size}" for name, size in small.items() if size < settings["SUBSET_SIZE"]]
    if fewer:
        print(f"  fewer than SUBSET_SIZE = {settings['SUBSET_SIZE']}, so all are taken: {', '.join(fewer)}")
    if bank:
        print(f"Bank: {len(bank.captions):,} of {bank.available:,} captions of {bank.file}")
        print(
            f"  {bank.equal_texts:,} of them have the same text as a query, though they are of other images"
        )
        fewer = [
            part for part, values in rerank.DEFAULTS.items() if (values.get("k") or 0) > len(bank.captions)
        ]
        if fewer:
            print(f"  fewer than the k of {', '.join(fewer)}, so all of them are taken")
        if bank.transductive:
            print("  TRANSDUCTIVE: it holds queries or their images; every number that uses it is marked so")


def say_left_out(skipped: dict[str, str]) -> None:
    """Methods that can't be run here, in one line for each reason."""
    for reason in dict.fromkeys(skipped.values()):
        names = ", ".join(method for method, why in skipped.items() if why == reason)
        print(f"Left out: {names}: {reason}")


def say_net_effects(rows: list[dict], study: Study) -> None:
    """The confirmatory table."""
    if not rows:
        print("\nNo method could be run, so there is no result")
        return
    print(
        f"\nNet effect on R@1 of all {len(study.queries):,} captions, in points (95 % interval over images):"
    )
    for row in rows:
        effect, beside = row["net_effect"]["R@1"], row["placebo"]["R@1"]
        name = row["method"] + ("" if row["pooling"] == NO_POOLING else f" ({row['pooling']})")
        marks = [word for word in ("oracle", "transductive") if row[word]]
        marks += [] if row["exact"] else [f"estimated from {row['subset_size']:,}"]
        print(
            f"  {name:<30} {effect['value']:+6.2f} [{effect['low']:+6.2f}, {effect['high']:+6.2f}]  "
            f"p {p_text(effect['p'])}, Holm {p_text(row['p_holm'])}  gained {effect['gained']:,}, "
            f"lost {effect['lost']:,}  placebo {beside['value']:+.2f}"
            + (f"  ({', '.join(marks)})" if marks else "")
        )
    if any(row["oracle"] for row in rows):
        print("  oracle: it knows what nobody knows when a caption is asked; a bound, not a fix")
    if not all(row["exact"] for row in rows):
        print("  estimated: from samples of failures and of successes, each weighted by its true share;")
        print("  gained and lost are counts in the samples, so their difference isn't the effect")


def p_text(p: float) -> str:
    """A p-value to four digits; never as 0, which no test gives."""
    return "<.0001" if p < 0.0001 else f"{p:.4f}"


def say_written(folder: Path, n: int, mark: str) -> None:
    """Where the results are, and what comes next."""
    others = [path for path in folder.glob("subset_results_*.json") if not path.stem.endswith(mark)]
    print(f"\nWrote {shown(folder / 'net_effects.json')} and, of {n} cells, subset_results_*_{mark}.json")
    print(f"  and ranks_*_{mark}.csv")
    if others:
        print(f"  {len(others)} subset_results files of other settings lie there too; they don't count here")
    print("Next: python summarize_result.py")


@reported
def main() -> None:
    globals().update(vars(override(globals())))
    frozen = cache.load(meta.find(CACHE_DIR))
    settings = {name: globals()[name] for name in SETTINGS}
    settings["SEED"] = frozen.meta.seed if SEED is None else SEED
    check_settings(settings)
    labels_file = meta.own_folder(FAILURE_DIR, frozen.meta) / "annotations_clean.csv"
    labels = read_labels(labels_file, frozen.meta.captions)
    study = make_study(frozen, labels, TUNE, settings["SEED"])
    subsets = choose_subsets(study, CATEGORIES, SUBSET_SIZE, CONTROL_SIZE, settings["SEED"])
    bank = find_bank(BANK_FILE, settings, frozen.meta)
    say_input(study, subsets, bank, settings)

    maker = rerank.Maker(frozen.txt, frozen.img, frozen.meta.captions, study.gt, settings["SEED"])
    texts = text_cache.TextCache(frozen, MODEL_DIR, DEVICE)
    skipped = left_out(METHODS, study, bank, fill_maker(maker, bank, texts), texts)
    say_left_out(skipped)
    methods = [method for method in METHODS if method not in skipped]
    chosen = choose_parameters(methods, study, maker)
    head = provenance(study, bank, chosen, settings)
    cells = [cell for method in methods for cell in cells_of(method, subsets, study, POOLING)]
    folder = meta.own_folder(RESULT_DIR, frozen.meta)
    results = run_cells(cells, study, maker, texts, head, settings, folder)
    rows = net_effect_rows(results)
    write_index(folder, rows, results, skipped, study, head, settings)
    say_net_effects(rows, study)
    say_written(folder, len(results), head["mark"])


if __name__ == "__main__":
    main()
