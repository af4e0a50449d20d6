"""Step 5 of 6: turn labels and results into tables, figures and a report that anybody can read.

Run:    python summarize_result.py      after step 4, and again after step 6
Reads:  final_results/baseline.json; failure_analysis/ (annotations_clean.csv, failure_samples.csv,
        agreement.json, confusion.csv, raters.csv, pictures); final_results/net_effects.json and what it lists
Writes: final_results/: report.html (everything in one file), summary_*.csv, figures/ (PNG and PDF, each with
        the CSV that it is drawn from), tables/ (LaTeX)
Takes:  some seconds, on any laptop. What isn't there yet is said and left out
"""

import json
import platform
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
import pandas as pd

from common import files, records, statistics
from common.errors import UserError, list_rows, reported
from common.labels import sheet_reader, spellings
from common.labels.same_caption import compare
from common.labels.taxonomy import CATEGORY_NAMES, SUBTYPE_NAMES
from common.report import cautions, document, figures, tables
from common.retrieval import meta
from common.settings import override, shown

# ---- settings ----------------------------------------------------------------------------------------------
EXAMPLES_PER_CATEGORY: int = 3  # failures of each category shown in the report; 0 means none
FIGURE_DPI: int = 300  # pixels an inch of the PNG figures, which are 3.5 inches wide
CACHE_DIR: str = "cache"  # frozen embeddings; only their meta file is read, and it may be missing
FAILURE_DIR: str = "failure_analysis"  # merged labels, agreement, pictures
RESULT_DIR: str = "final_results"  # baseline.json, step 6's results, and everything that this step writes
# ------------------------------------------------------------------------------------------------------------

MEASURES = ("R@1", "R@5", "R@10")
NO_POOLING = "none"
FINITE_FROM = 0.10  # share of all failures above which intervals allow for having drawn so many
SAMPLED = ("order", "gt_rank", "margin", "gt_file_name", "pred_file_name")  # of failure_samples.csv
INDEX = {"net_effects", "left_out", "cells", "settings", "mark", "identity", "split", "bank"}  # its parts
LABELLED = ("idx", "caption", "category", "ambiguous_subtype", "decided", "n_raters")
RESULT_COLUMNS = [  # of summary_subset_results.csv; the first ones are those that other programs look for
    *("file", "subset_size", "categories", "pooling", "tau", "K_templates", "seed"),
    *(f"baseline_{measure}" for measure in MEASURES),
    *(f"improved_{measure}" for measure in MEASURES),
    *(f"delta_pp_{measure}" for measure in MEASURES),
    *("name", "method", "oracle", "transductive", "category_of_query", "anecdotal", "exact"),
    *(f"delta_pp_{measure}_{end}" for measure in MEASURES for end in ("low", "high")),
    *(f"{what}_{measure}" for measure in MEASURES for what in ("gained", "lost")),
    *("recovered", "baseline_MRR", "improved_MRR"),
    *(f"placebo_delta_pp_{measure}" for measure in MEASURES),
    *(f"placebo_{what}_{measure}" for measure in MEASURES for what in ("gained", "lost")),
    *("share_of_labelled_failures", "contribution_pp"),
]


class Study(NamedTuple):
    """All that was read. `labels` is None before step 4, `index` before step 6."""

    folder: Path  # of results
    failure_dir: Path
    baseline: dict
    labels: pd.DataFrame | None  # LABELLED and SAMPLED columns, one row an item
    drawn: dict  # step 2's manifest.json, {} where there is none
    merged: dict  # agreement.json, {} before step 4
    confusion: list[dict]
    raters: list[dict]
    index: dict | None  # net_effects.json
    cells: list[dict]  # results of step 6, in the order of the index
    notes: list[str]  # what was odd or left out on the way in

    @property
    def recall(self) -> float:
        """R@1, text to image, as a share."""
        return self.baseline["text_to_image"]["R@1"]["value"]

    @property
    def failures(self) -> int:
        """How many captions fail at R@1 in all, of which some were drawn and labelled."""
        n = self.baseline["text_to_image"]["n"]
        return n - round(self.recall * n)


def check_settings(examples: int, dpi: int) -> None:
    """Refuse what no run can do, naming what is legal."""
    if not 0 <= examples <= document.MOST_EXAMPLES:
        raise UserError(
            f"EXAMPLES_PER_CATEGORY = {examples}: should be 0 to {document.MOST_EXAMPLES}, so that the "
            "report stays small enough to be sent"
        )
    if not 50 <= dpi <= 1200:
        raise UserError(f"FIGURE_DPI = {dpi}: should be 50 to 1200")


def read(cache_dir: Path, failure_dir: Path, result_dir: Path) -> Study:
    """Everything that earlier steps wrote and that belongs to this cache."""
    content, notes = find_cache(cache_dir, result_dir)
    folder, failures = meta.own_folder(result_dir, content), meta.own_folder(failure_dir, content)
    baseline = read_baseline(folder / "baseline.json")
    cache_id = baseline["cache"]["fingerprint"]
    if isinstance(content, meta.Meta) and content.fingerprint != cache_id:
        raise UserError(
            f"{shown(folder / 'baseline.json')} belongs to another cache ({cache_id}) than the one in "
            f"{shown(cache_dir)}/ ({content.fingerprint}): run `python main.py` again"
        )
    drawn = read_if_there(failures / "manifest.json")
    if drawn and drawn.get("fingerprint") != cache_id:
        notes.append(
            f"{shown(failures)}/ was made from another cache ({drawn.get('fingerprint')}) than "
            f"baseline.json ({cache_id}): labels may be about other failures than those counted here"
        )
    labels = read_labels(failures, getattr(content, "captions", None))
    merged = read_if_there(failures / "agreement.json") if labels is not None else {}
    pairs = ("level", "rater_1", "rater_2", "label_1", "label_2", "n")
    confusion = read_table(failures / "confusion.csv", pairs) if merged else []
    raters = read_table(failures / "raters.csv", ("rater", "labelled", "missing")) if merged else []
    index, cells = read_improvements(folder, cache_id, labels, notes)
    return Study(folder, failures, baseline, labels, drawn, merged, confusion, raters, index, cells, notes)


def find_cache(cache_dir: Path, result_dir: Path) -> tuple[meta.Making, list[str]]:
    """The cache's meta content or, where no cache is, as much of it as a baseline.json says."""
    try:
        return meta.read(meta.find(cache_dir)), []
    except UserError:
        for folder in meta.places(result_dir):
            if (folder / "baseline.json").is_file():
                made_with = read_baseline(folder / "baseline.json")["made_with"]
                making = records.parse(made_with, meta.Making, "baseline.json", "run `python main.py` again")
                return making, ["the cache isn't here, so captions were not compared with it"]
        raise


def read_baseline(path: Path) -> dict:
    """Step 1's result."""
    if not path.is_file():
        raise UserError(f"{shown(path)} isn't there: run `python main.py` first")
    content = files.read_json(path)
    if not {"text_to_image", "image_to_text", "cache", "made_with", "comparison"} <= content.keys():
        raise UserError(f"{shown(path)} isn't what step 1 writes: run `python main.py` again")
    return content


def read_if_there(path: Path) -> dict:
    """A JSON file, or {}."""
    return files.read_json(path) if path.is_file() else {}


def read_table(path: Path, wanted: tuple[str, ...], captions: dict[int, str] | None = None) -> list[dict]:
    """Rows of a CSV that an earlier step wrote, even if a spreadsheet saved it; [] where it isn't there."""
    if not path.is_file():
        return []
    columns = {spellings.squeezed(name): name for name in wanted}
    try:
        rows = sheet_reader.read(path, captions or {}, columns, wanted).rows
    except UserError as error:
        step = "failure.py" if path.name == "failure_samples.csv" else "merge_assignments.py"
        raise UserError(f"{error}, or run `python {step}` again") from error
    return [row.cells for row in rows]


def read_labels(folder: Path, captions: list[str] | None) -> pd.DataFrame | None:
    """Step 4's labels with what step 2 knew of each item; None before step 4.

    Raises UserError for rows that aren't of this cache or hold what step 4 can't have written.
    """
    path = folder / "annotations_clean.csv"
    known = dict(enumerate(captions or []))
    rows = read_table(path, LABELLED, known)
    if not rows:
        return None
    bad = []
    for row in rows:
        idx = sheet_reader.whole_number(row["idx"])
        other = captions is not None and (idx not in known or compare(row["caption"], known[idx]) == "other")
        if idx is None or other:
            bad.append(f"idx {row['idx']}: {row['caption']!r} isn't that caption of the cache")
        elif row["category"] not in CATEGORY_NAMES:
            bad.append(f"idx {idx}: category {row['category']!r} is none of {', '.join(CATEGORY_NAMES)}")
        else:
            row |= {"idx": idx, "caption": known.get(idx, row["caption"])}
    if bad:
        raise UserError(
            f"{shown(path)} isn't what step 4 wrote for this cache: run `python merge_assignments.py` again\n"
            f"{list_rows(bad)}"
        )
    samples = {
        sheet_reader.whole_number(row["idx"]): row
        for row in read_table(folder / "failure_samples.csv", ("idx", "caption", *SAMPLED), known)
    }
    blank = dict.fromkeys(SAMPLED, "")
    items = [{name: row[name] for name in LABELLED} | _of(samples, row["idx"], blank) for row in rows]
    labels = pd.DataFrame(items)
    for name in ("order", "gt_rank", "margin"):
        labels[name] = pd.to_numeric(labels[name], errors="coerce")
    return labels.sort_values(["order", "idx"], kind="stable", ignore_index=True)


def _of(samples: dict[int, dict], idx: int, blank: dict) -> dict:
    return {name: samples.get(idx, blank)[name] for name in SAMPLED}


def read_improvements(
    folder: Path, cache_id: str, labels: pd.DataFrame | None, notes: list[str]
) -> tuple[dict | None, list[dict]]:
    """Step 6's last run and all results that it lists; nothing where it is missing or of another cache."""
    path = folder / "net_effects.json"
    if not path.is_file():
        return None, []
    index = files.read_json(path)
    if not INDEX <= index.keys():
        raise UserError(f"{shown(path)} isn't what step 6 writes: run `python improve_subset.py` again")
    if index["identity"]["cache"] != cache_id:
        notes.append(
            f"{shown(path)} was measured on another cache, so improvements are left out: "
            "run `python improve_subset.py` again"
        )
        return None, []
    missing = [name for name in index["cells"] if not (folder / name).is_file()]
    if missing:
        raise UserError(
            f"{shown(path)} lists results that aren't there; run `python improve_subset.py` again\n"
            f"{list_rows(missing)}"
        )
    categories = {} if labels is None else dict(zip(labels["idx"].tolist(), labels["category"], strict=True))
    now = json.dumps(sorted(categories.items())).encode("utf-8")  # as step 6 fingerprints its labels
    if index["identity"]["labels"] != (files.fingerprint(now)[:16] if categories else None):
        notes.append(
            "labels were merged anew after improvements had been measured: what is told by category, and of "
            "category templates, is about the earlier labels. Run `python improve_subset.py` again"
        )
    return index, [files.read_json(folder / name) | {"file": name} for name in index["cells"]]


def digits(value: float | None, n: int = 6) -> str:
    """A figure as text with a fixed number of decimals; blank for None and nan."""
    if value is None or np.isnan(value):
        return ""
    return f"{round(value, n) + 0.0:.{n}f}"  # + 0.0 makes 0.0 of -0.0


def baseline_rows(baseline: dict) -> list[dict]:
    """Both directions; beside text to image the published recall, where the settings are that study's."""
    rows = []
    compared = baseline["comparison"] or {"published": {}, "difference_points": {}}
    for direction in ("text_to_image", "image_to_text"):
        found = baseline[direction]
        for measure in (*MEASURES, "MRR", "median_rank"):
            one = found[measure] if isinstance(found[measure], dict) else {"value": found[measure]}
            row = {"direction": direction.replace("_", " "), "measure": measure.replace("_", " ")}
            row |= {"queries": found["n"], "gallery": found["gallery"], "images": found["n_images"]}
            row |= {key: digits(one.get(key)) for key in ("value", "low", "high")}
            own = direction == "text_to_image"
            row["published"] = digits(compared["published"].get(measure) if own else None, 2)
            row["difference_points"] = digits(compared["difference_points"].get(measure) if own else None, 2)
            rows.append(row)
    return rows


def share(n: int, total: int, population: int) -> tuple[float, float, float]:
    """A share of the labelled failures with its interval, in which a large part of all is allowed for."""
    finite = total > FINITE_FROM * population
    low, high = statistics.wilson_of_finite(n, total, population) if finite else statistics.wilson(n, total)
    return n / total, low, high


def failure_rows(labels: pd.DataFrame, population: int, recall: float, status: str) -> list[dict]:
    """By category: how frequent, what R@1 would gain, and how far the model was from right."""
    rows = []
    for name in CATEGORY_NAMES:
        own = labels[labels["category"] == name]
        row = {"category": name, "n": len(own), "total": len(labels)}
        shares = dict(zip(("", "_low", "_high"), share(len(own), len(labels), population), strict=True))
        row |= {end.strip("_") or "share": digits(value) for end, value in shares.items()}
        row["finite_population"] = len(labels) > FINITE_FROM * population
        gains = {end: value * (1 - recall) for end, value in shares.items()}
        row |= {f"gain_if_fixed_pp{end}": digits(100 * gain, 4) for end, gain in gains.items()}
        row |= {f"R@1_if_right{end}": digits(recall + gain) for end, gain in gains.items()}
        row["median_gt_rank"] = digits(own["gt_rank"].median(), 1)
        row["median_margin"] = digits(own["margin"].median())
        rows.append(row | {"failures": population, "status": status})
    return rows


def ambiguous_rows(labels: pd.DataFrame, population: int) -> list[dict]:
    """Ambiguous, each of its subtypes, and clear."""
    ambiguous = labels[labels["category"] == "Ambiguous"]["ambiguous_subtype"]
    counts = {"Ambiguous": len(ambiguous)}
    counts |= {f"Ambiguous ({name})": int((ambiguous == name).sum()) for name in SUBTYPE_NAMES}
    if (ambiguous == "").any():
        counts["Ambiguous (no subtype)"] = int((ambiguous == "").sum())
    counts["Clear"] = len(labels) - len(ambiguous)
    rows = []
    for name, n in counts.items():
        shares = zip(("share", "low", "high"), share(n, len(labels), population), strict=True)
        rows.append(
            {"label": name, "n": n, "total": len(labels)} | {key: digits(value) for key, value in shares}
        )
    return rows


def rank_rows(labels: pd.DataFrame) -> list[dict]:
    """Quantiles of the ground truth's rank by category; none where step 2's table isn't there."""
    quantiles = {"p05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "p95": 0.95}
    rows = []
    for name in CATEGORY_NAMES:
        ranks = labels.loc[labels["category"] == name, "gt_rank"].dropna()
        found = {key: digits(ranks.quantile(of) if len(ranks) else None, 2) for key, of in quantiles.items()}
        rows.append({"category": name, "n": len(ranks), **found})
    return rows if labels["gt_rank"].notna().any() else []


def agreement_rows(merged: dict) -> list[dict]:
    """Every coefficient at each level, over all raters and for each pair."""
    return [
        {"level": level}
        | {key: one[key] for key in ("over", "statistic", "raters", "n_items")}
        | {key: digits(one[key]) for key in ("value", "low", "high")}
        | {"caution": one["caution"]}
        for level, estimates in merged.get("agreement", {}).items()
        for one in estimates
    ]


def agreement_figure_rows(rows: list[dict]) -> list[dict]:
    """Coefficients over all raters, of levels that can be told anything about."""
    overall = [row for row in rows if row["over"] == "all raters"]
    told = {row["level"] for row in overall if row["value"] != ""}
    return [row for row in overall if row["level"] in told]


def confusion_rows(confusion: list[dict]) -> list[dict]:
    """All pairs of ratings of one item, whoever gave which: the lower triangle of categories."""
    counts = {(one, two): 0 for at, one in enumerate(CATEGORY_NAMES) for two in CATEGORY_NAMES[: at + 1]}
    for row in confusion:
        if row["level"] == "category":
            pair = row["label_1"], row["label_2"]
            counts[pair if pair in counts else pair[::-1]] += int(row["n"])
    rows = [{"label_1": one, "label_2": two, "n": n} for (one, two), n in counts.items()]
    return rows if any(counts.values()) else []


def rater_rows(raters: list[dict]) -> list[dict]:
    """Who labelled how much."""
    return [{name: row[name] for name in ("rater", "labelled", "missing")} for row in raters]


def method_name(row: dict) -> str:
    """`prompts (mean)`, or `nnn` where nothing is pooled."""
    return row["method"] + ("" if row["pooling"] == NO_POOLING else f" ({row['pooling']})")


def result_row(cell: dict) -> dict:
    """A cell of step 6 as a row. On all queries the figures are of the whole set, estimated or exact."""
    row = {name: cell[name] for name in RESULT_COLUMNS[:7]}
    marks = ("method", "oracle", "transductive", "category_of_query", "anecdotal", "exact")
    row |= {name: cell[name] for name in marks} | {"name": method_name(cell)}
    whole, placebo = cell["net_effect"], cell["placebo_net_effect"]
    for measure in MEASURES:
        if whole:
            before, after, delta = whole[measure]["before"], whole[measure]["after"], whole[measure]
            other = placebo[measure]
        else:
            before, after = cell["baseline"][measure], cell["improved"][measure]
            delta, other = cell["delta_pp"][measure], cell["placebo"]["delta_pp"][measure]
        row |= {f"baseline_{measure}": digits(before, 2), f"improved_{measure}": digits(after, 2)}
        row[f"delta_pp_{measure}"] = digits(delta["value"], 2)
        row |= {f"delta_pp_{measure}_{end}": digits(delta[end], 2) for end in ("low", "high")}
        row[f"placebo_delta_pp_{measure}"] = digits(other["value"], 2)
        for what in ("gained", "lost"):
            row[f"{what}_{measure}"] = cell[what][measure]
            row[f"placebo_{what}_{measure}"] = cell["placebo"][what][measure]
    row["recovered"] = cell["gained"]["R@1"]
    if not whole or cell["exact"]:  # of a sample of unequal shares the mean says nothing
        row |= {f"{when}_MRR": digits(cell[when]["MRR"], 2) for when in ("baseline", "improved")}
    if cell["contribution_pp"] is not None:
        row["share_of_labelled_failures"] = digits(cell["share_of_labelled_failures"])
        row["contribution_pp"] = digits(cell["contribution_pp"], 2)
    return {name: "" if row.get(name) is None else row[name] for name in RESULT_COLUMNS}


def net_rows(index: dict, cells: list[dict]) -> list[dict]:
    """One row a method: fixes first, the largest net effect on top, then what is an oracle."""
    order = sorted(index["net_effects"], key=lambda row: (row["oracle"], -row["net_effect"]["R@1"]["value"]))
    by_file = {cell["file"]: cell for cell in cells}
    rows = []
    for found in order:
        cell = by_file[found["file"]]
        row = {"name": method_name(found), "method": found["method"], "pooling": found["pooling"]}
        row |= {key: found[key] for key in ("oracle", "transductive", "exact", "subset_size")}
        row["category_of_query"] = found["category_of_query"] or ""
        row |= _net(found["net_effect"]["R@1"], "R@1") | {"p_holm": f"{found['p_holm']:.6g}"}
        row |= _placebo(found["placebo"]["R@1"], "R@1") | in_points_of_all(cell, cells)
        for measure in MEASURES[1:]:
            row |= _net(found["net_effect"][measure], measure) | _placebo(found["placebo"][measure], measure)
        rows.append(row | {"file": found["file"]})
    return rows


def _net(effect: dict, measure: str) -> dict:
    """A net effect's columns for one measure."""
    row = {
        f"baseline_{measure}": digits(effect["before"], 2),
        f"improved_{measure}": digits(effect["after"], 2),
    }
    row[f"net_{measure}"] = digits(effect["value"], 2)
    for end in ("low", "high", "sampling_low", "sampling_high"):
        row[f"{end}_{measure}"] = digits(effect[end], 2)
    row |= {f"gained_{measure}": effect["gained"], f"lost_{measure}": effect["lost"]}
    row[f"p_{measure}"] = f"{effect['p']:.6g}"
    row[f"mcnemar_p_{measure}"] = "" if effect["mcnemar_p"] is None else f"{effect['mcnemar_p']:.6g}"
    return row


def _placebo(effect: dict, measure: str) -> dict:
    ends = (("placebo", "value"), ("placebo_low", "low"), ("placebo_high", "high"))
    return {f"{name}_{measure}": digits(effect[key], 2) for name, key in ends}


def in_points_of_all(cell: dict, cells: list[dict]) -> dict[str, str]:
    """Points of R@1 of the whole set that failures give and successes cost; their difference is the net.

    Counts of samples are brought to the size of what they were drawn from.
    """
    n, failures = cell["queries"]["all"], cell["queries"]["failures"]
    ranked = failures
    if not cell["exact"]:
        key = ("method", "pooling")
        sizes = [
            other["subset_size"]
            for other in cells
            if other["categories"] == "failures" and all(other[name] == cell[name] for name in key)
        ]
        ranked = sizes[0]
    successes = cell["subset_size"] - ranked
    gained = cell["gained"]["R@1"] / max(ranked, 1) * failures / n
    lost = cell["lost"]["R@1"] / max(successes, 1) * (n - failures) / n
    return {"gained_pp": digits(100 * gained, 2), "lost_pp": digits(100 * lost, 2)}


def forest_rows(net: list[dict]) -> list[dict]:
    """What the forest plot shows of each method."""
    columns = {"net": "net_R@1", "low": "low_R@1", "high": "high_R@1"}
    columns |= {key: f"{key}_R@1" for key in ("placebo", "placebo_low", "placebo_high")}
    return [
        {"name": row["name"], "oracle": row["oracle"]} | {key: row[of] for key, of in columns.items()}
        for row in net
    ]


def hubness_rows(net: list[dict], cells: list[dict]) -> list[dict]:
    """Hubs before and after each method that ranked all queries."""
    by_file = {cell["file"]: cell["hubness"] for cell in cells}
    rows = []
    for row in net:
        hubs = by_file[row["file"]]
        if hubs:
            found = {"name": row["name"], "k": hubs["k"]}
            found |= {when: digits(hubs[when]["skewness"], 4) for when in ("before", "after")}
            found |= {f"never_{when}": hubs[when]["never_among_first"] for when in ("before", "after")}
            found |= {f"top_{when}": hubs[when]["top"][0]["file_name"] for when in ("before", "after")}
            found |= {f"top_{when}_queries": hubs[when]["top"][0]["queries"] for when in ("before", "after")}
            rows.append(found)
    return rows


def example_rows(labels: pd.DataFrame, each: int, failure_dir: Path) -> list[dict]:
    """The first `each` items of each category in the order of the draw, which knows nothing of them."""
    found = {path.name: path for path in sorted(failure_dir.glob("vis_*/fail_*.jpg"))}
    rows = []
    for name in CATEGORY_NAMES:
        for item in labels[labels["category"] == name].head(each).to_dict("records"):
            picture = found.get(f"fail_{item['idx']}.jpg")
            row = {key: item[key] for key in ("idx", "category", "ambiguous_subtype", "caption")}
            row |= {key: item[key] for key in ("gt_file_name", "pred_file_name")}
            row |= {"gt_rank": digits(item["gt_rank"], 0), "margin": digits(item["margin"])}
            row["picture"] = f"{picture.parent.name}/{picture.name}" if picture else ""
            rows.append(row)
    return rows


def provenance_rows(study: Study) -> list[dict]:
    """What was run: cache, draw, labels, improvements, versions."""
    made, drawn = study.baseline["made_with"], study.drawn.get("settings", {})
    captions = study.baseline["text_to_image"]
    values = {
        "model": made["model"],
        "revision": made["revision"],
        "image processor": made["processor"],
        "encoded in": made["dtype"],
        "images": captions["gallery"],
        "captions": captions["n"],
        "seed of the sample": made["seed"],
        "annotation file": made["annotation_file"],
        "its SHA-256": made["fingerprints"]["annotation_file"],
        "cache": study.baseline["cache"]["fingerprint"],
        "failures at R@1": study.failures,
        "seed of the draw": drawn.get("SEED"),
        "annotators": ", ".join(drawn.get("ANNOTATORS", [])),
        "failures drawn, backups aside": drawn.get("SAMPLE_SIZE"),
        "of them for every annotator": drawn.get("OVERLAP_SIZE"),
        "failures with a label that counts": None if study.labels is None else len(study.labels),
    }
    if study.index:
        settings = study.index["settings"]
        bank = study.index["bank"]
        values |= {
            "seed of step 6": settings["SEED"],
            "run of step 6": study.index["mark"],
            "templates, tau": f"{settings['K_TEMPLATES']}, {settings['TAU']:g}",
            "failures and successes ranked where texts are encoded": settings["CONTROL_SIZE"],
            "bank": bank and f"{bank['size']:,} captions of {bank['file']}",
        }
    values["versions of step 1"] = ", ".join(
        f"{name} {of}" for name, of in study.baseline["versions"].items()
    )
    own = {"python": platform.python_version(), "numpy": np.__version__, "pandas": pd.__version__}
    own["matplotlib"] = matplotlib.__version__
    values["versions of step 5"] = ", ".join(f"{name} {of}" for name, of in own.items())
    return [{"what": what, "value": value} for what, value in values.items() if value not in (None, "")]


def caution_rows(study: Study, csvs: dict[str, list[dict]]) -> list[dict]:
    """Everything to beware of, by what it is about, in the order of the report."""
    said = [("sample", cautions.SAMPLE)] if study.baseline["made_with"]["bundled_sample"] else []
    said += [("reading", note) for note in study.notes]
    said += [("baseline", text) for text in cautions.of_baseline(study.baseline)]
    if study.labels is None:
        said.append(("labels", "There are no labels yet, so nothing is said of categories or agreement."))
    else:
        counts = study.labels["category"].value_counts()
        thin = {name: int(counts.get(name, 0)) for name in CATEGORY_NAMES}
        thin = {name: n for name, n in thin.items() if 0 < n < cautions.ANECDOTAL}
        single = int((study.labels["decided"] == "one rater").sum())
        waiting = study.merged.get("waiting", 0)
        texts = cautions.of_labels(len(study.labels), single, waiting, thin)
        said += [("labels", text) for text in texts]
        said += [("agreement", text) for text in cautions.of_agreement(csvs["summary_agreement"])]
    if study.index:
        texts = cautions.of_improvements(csvs["summary_net_effects"], study.index)
        said += [("improvements", text) for text in texts]
    return [{"about": about, "caution": f"{text[0].upper()}{text[1:].rstrip('.')}."} for about, text in said]


def summaries(study: Study, examples: int) -> dict[str, list[dict]]:
    """Name -> rows of every CSV that there is something to write into; `figures/` ones are drawn."""
    csvs = {"summary_provenance": provenance_rows(study), "summary_baseline": baseline_rows(study.baseline)}
    if study.labels is not None:
        waiting = study.merged.get("waiting", 0)
        status = f"provisional: {waiting} wait" if waiting else "final"
        shares = failure_rows(study.labels, study.failures, study.recall, status)
        agreed = agreement_rows(study.merged)
        csvs |= {"summary_failures": shares, "summary_agreement": agreed}
        csvs["summary_raters"] = rater_rows(study.raters)
        columns = ("category", "n", "total", "share", "low", "high")
        csvs["figures/category_distribution"] = [{name: row[name] for name in columns} for row in shares]
        csvs["figures/ambiguous_vs_clear"] = ambiguous_rows(study.labels, study.failures)
        csvs["figures/gt_rank"] = rank_rows(study.labels)
        csvs["figures/agreement"] = agreement_figure_rows(agreed)
        csvs["figures/confusion"] = confusion_rows(study.confusion)
        csvs["summary_examples"] = example_rows(study.labels, examples, study.failure_dir)
    if study.index:
        net = net_rows(study.index, study.cells)
        csvs |= {"summary_net_effects": net, "summary_subset_results": list(map(result_row, study.cells))}
        csvs["figures/net_effect"] = forest_rows(net)
        in_points = ("name", "gained_pp", "lost_pp")
        csvs["figures/gained_lost"] = [{name: row[name] for name in in_points} for row in net]
        csvs["figures/hubness"] = hubness_rows(net, study.cells)
    csvs["summary_cautions"] = caution_rows(study, csvs)
    return {name: rows for name, rows in csvs.items() if rows}


def write_csvs(folder: Path, csvs: dict[str, list[dict]]) -> dict[str, tables.Csv]:
    """Write every CSV, and read it back: figures and report are made from what stands in the files."""
    written = {}
    for name, rows in csvs.items():
        path = folder / f"{name}.csv"
        files.write_csv(path, list(rows[0]), rows)
        cells = pd.read_csv(path, encoding="utf-8-sig", dtype=str, keep_default_na=False)
        cells = cells.map(files.unguarded)
        written[name] = tables.Csv(f"{name}.csv", cells.to_dict("records"))
    return written


def write_figures(folder: Path, csvs: dict[str, tables.Csv], dpi: int) -> dict[str, bytes]:
    """PNG and PDF of every figure that there is a CSV for; returns their SVGs for the report."""
    drawn = {}
    for name in figures.FIGURES:
        csv = csvs.get(f"figures/{name}")
        if csv:
            kinds = figures.draw(name, csv.rows, dpi)
            drawn[name] = kinds.pop("svg")
            for kind, data in kinds.items():
                files.write_bytes(folder / "figures" / f"{name}.{kind}", data)
    return drawn


def remove_earlier(folder: Path, written: set[str]) -> list[str]:
    """Delete what an earlier run of this step wrote and this one has nothing for; returns the names."""
    ours = [f"figures/{name}.{kind}" for name in figures.FIGURES for kind in ("csv", "png", "pdf")]
    ours += [f"tables/{name}.tex" for name in document.LATEX_TABLES]
    ours += [path.name for path in folder.glob("summary_*.csv")]
    stale = [name for name in ours if name not in written and (folder / name).is_file()]
    for name in stale:
        (folder / name).unlink()
    return stale


def say_read(study: Study) -> None:
    """What was read, and what is missing."""
    found = study.baseline["text_to_image"]
    print(
        f"Read {shown(study.folder / 'baseline.json')}: {found['n']:,} captions, {found['gallery']:,} images"
    )
    if study.labels is None:
        print(f"  no labels yet in {shown(study.failure_dir)}/, so nothing is said of categories")
    else:
        waiting = study.merged.get("waiting", 0)
        provisional = f" (PROVISIONAL: {waiting} more wait in adjudicate.csv)" if waiting else ""
        print(f"Read {len(study.labels):,} labels of {study.failures:,} failures{provisional}")
    if study.index is None:
        print("  no improvements yet; they are optional")
    else:
        n = len(study.index["net_effects"])
        print(f"Read {len(study.cells):,} results of step 6: {n} methods, poolings counted apart")
    for note in study.notes:
        print(f"  {note}")


def say_result(csvs: dict[str, tables.Csv]) -> None:
    """The headline numbers, each with its n."""
    base = csvs["summary_baseline"].rows[0]
    print(f"R@1 = {_interval(base, 'value')} over {int(base['queries']):,} captions")
    if "summary_failures" in csvs:
        row = csvs["summary_failures"].rows[0]
        print(f"Ambiguous: {_interval(row, 'share')} of {row['total']} labelled failures")
        print(f"  R@1 if they counted as right: {_interval(row, 'R@1_if_right', 'R@1_if_right_')}")
    if "summary_net_effects" in csvs:
        best = csvs["summary_net_effects"].rows[0]
        if best["oracle"] == "False":
            ends = f"[{float(best['low_R@1']):+.2f}, {float(best['high_R@1']):+.2f}]"
            p = tables.shown(best["p_holm"], "p").replace(tables.SPACE, " ")
            print(f"Best fix: {best['name']}, {float(best['net_R@1']):+.2f} points of R@1 {ends}, Holm p {p}")


def _interval(row: dict[str, str], name: str, prefix: str = "") -> str:
    value, low, high = (100 * float(row[key]) for key in (name, f"{prefix}low", f"{prefix}high"))
    return f"{value:.1f} % [{low:.1f}, {high:.1f}]"


def say_written(
    folder: Path, csvs: dict[str, tables.Csv], n_tables: int, stale: list[str], study: Study
) -> None:
    """Each path, and what comes next."""
    where, names = shown(folder), [name for name in csvs if name.startswith("summary_")]
    print(f"Wrote in {where}/: {', '.join(f'{name}.csv' for name in names)}")
    n_figures = len(csvs) - len(names)
    if n_figures:
        print(f"Wrote {where}/figures/: {n_figures} figures as .png and .pdf, with the .csv of each")
    print(f"Wrote {where}/tables/: {n_tables} LaTeX tables (booktabs)")
    if stale:
        print(f"  removed, since there is nothing for them any more: {', '.join(stale)}")
    print(f"Wrote {where}/report.html")
    if study.labels is None:
        print("Next: python merge_assignments.py, then this again")
    elif study.index is None:
        print(
            "Next, if you like: python improve_subset.py, then this again. The report is complete without it"
        )
    else:
        print(f"Next: open {where}/report.html in a browser")


@reported
def main() -> None:
    globals().update(vars(override(globals())))
    check_settings(EXAMPLES_PER_CATEGORY, FIGURE_DPI)
    study = read(CACHE_DIR, FAILURE_DIR, RESULT_DIR)
    say_read(study)

    csvs = write_csvs(study.folder, summaries(study, EXAMPLES_PER_CATEGORY))
    drawn = write_figures(study.folder, csvs, FIGURE_DPI)
    rendered = {name: tables.render(table) for name, table in document.tables_of(csvs).items()}
    written = {f"{name}.csv" for name in csvs} | {
        f"figures/{name}.{kind}" for name in drawn for kind in ("png", "pdf")
    }
    for name in sorted(rendered.keys() & document.LATEX_TABLES):
        files.write_bytes(study.folder / "tables" / f"{name}.tex", rendered[name].latex.encode("utf-8"))
        written.add(f"tables/{name}.tex")
    page = document.html(csvs, {name: of.html for name, of in rendered.items()}, drawn, study.failure_dir)
    files.write_bytes(study.folder / "report.html", page)
    stale = remove_earlier(study.folder, written)
    say_result(csvs)
    say_written(study.folder, csvs, sum(name.endswith(".tex") for name in written), stale, study)


if __name__ == "__main__":
    main()
