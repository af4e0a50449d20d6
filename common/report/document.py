"""The report: one HTML file with everything in it, and the tables that it shares with a paper.

The template and its style lie beside this file (document.html.j2, document.css). It has no script and loads
nothing. Every figure in it is an element that names its CSV, row and column (see tables.py).
"""

import base64
import hashlib
from pathlib import Path

import jinja2
from markupsafe import Markup

from common.annotation import pictures
from common.labels.taxonomy import CATEGORIES, CATEGORY_NAMES
from common.report import tables
from common.report.tables import Column, Csv, Table

HERE = Path(__file__).parent
PICTURE_BYTES = 6_000_000  # of all examples together: a third more in base64, within 10 MB with all else
PICTURE_MOST = 110_000  # of one of them
MOST_EXAMPLES = 40  # of each category: more would leave each picture too few bytes to be recognised
SETS = (*CATEGORY_NAMES, "clear", "failures", "successes")  # of queries that step 6 measures on
SET_NAMES = {
    "clear": "all clear categories",
    "failures": "all failures, a sample",
    "successes": "successes, a sample",
}

# What each CSV is for, and what one row of it means.
CSVS = {
    "summary_failures": "A category: share, gain if fixed, R@1 if it counted as right, rank and margin.",
    "summary_net_effects": "A method (with one pooling) on the whole set: net effect, tests, placebo.",
    "summary_subset_results": "A method on one set of queries, with everything that was measured on it.",
    "summary_baseline": "A measure in one direction, with its interval.",
    "summary_agreement": "A coefficient at one level, over all raters or for a pair.",
    "summary_raters": "An annotator: how many items are labelled and missing.",
    "summary_examples": "A failure shown in this report.",
    "summary_cautions": "Something to beware of.",
    "summary_provenance": "Something that was set or measured before.",
    "figures/category_distribution": "A category: its share of the labelled failures.",
    "figures/ambiguous_vs_clear": "Ambiguous, one of its subtypes, or clear.",
    "figures/gt_rank": "A category: quantiles of the ground truth's rank.",
    "figures/agreement": "A coefficient at one level, over all raters.",
    "figures/confusion": "Two categories: how often one rater gave the one and another rater the other.",
    "figures/net_effect": "A method: net effect and placebo, with intervals.",
    "figures/gained_lost": "A method: points of R@1 gained and lost.",
    "figures/hubness": "A method: skewness of the k-occurrence, top image, images that never come up.",
}
METHODS = {  # what each part of a method's name stands for
    "prompts": "the caption in several general templates, their cosines pooled (mean, max or logsumexp)",
    "category": "the same with templates of one category: the failure's own, or dealt at random to queries "
    "that nobody has labelled",
    "nnn": "Nearest Neighbor Normalization: takes off each image a part of its highest scores over a bank of "
    "captions (Chowdhury et al.)",
    "dn": "Distribution Normalization: the same over the whole bank (Zhou et al.)",
    "is": "inverted softmax over the bank (Smith et al.)",
    "dis": "dynamic inverted softmax: only for queries whose first image also comes first for a "
    "caption of the bank (Bogolin et al.)",
    "tfidf": "re-ranks by TF-IDF with other people's captions of each candidate",
    "overlap": "re-ranks by the words shared with other people's captions of each candidate",
    "words": "re-ranks by words of the bank that CLIP itself assigns to each image",
}


def tables_of(csvs: dict[str, Csv]) -> dict[str, Table]:
    """Name -> every table that there is a CSV for."""
    found = {}
    if "summary_provenance" in csvs:
        columns = [Column("What", "{what}"), Column("Value", "{value}", is_text=True)]
        found["provenance"] = Table("Settings, inputs and versions", csvs["summary_provenance"], columns)
    found["baseline"] = _baseline(csvs["summary_baseline"])
    if "summary_failures" in csvs:
        found["failures"] = _failures(csvs["summary_failures"])
    if "summary_raters" in csvs:
        columns = [Column("Annotator", "{rater}"), Column("Labelled", "{labelled:count}")]
        columns.append(Column("Missing", "{missing:count}"))
        found["raters"] = Table("Who labelled", csvs["summary_raters"], columns)
    if "figures/agreement" in csvs:
        found["agreement"] = _agreement(csvs["summary_agreement"], "all raters")
        found["agreement_pairs"] = _agreement(csvs["summary_agreement"], "pair")
    if "summary_net_effects" in csvs:
        found["net_effects"] = _net_effects(csvs["summary_net_effects"])
        found["net_effects_further"] = _further(csvs["summary_net_effects"])
    if "figures/hubness" in csvs:
        found["hubness"] = _hubness(csvs["figures/hubness"])
    if "summary_subset_results" in csvs:
        found |= {f"subset_{name}": table for name, table in _subsets(csvs["summary_subset_results"]).items()}
    return found


LATEX_TABLES = {"baseline", "failures", "agreement", "agreement_pairs", "net_effects", "net_effects_further"}
LATEX_TABLES |= {"hubness", *(f"subset_{name}" for name in SETS)}


def _baseline(csv: Csv) -> Table:
    columns = [
        Column("Direction, measure", "{direction}, {measure}"),
        Column("This run [95 %]", "{value:share2} [{low:bound2}, {high:bound2}]"),
    ]
    if any(row["published"] for row in csv.rows):
        columns += [
            Column("Published", "{published:percent}"),
            Column("Points apart", "{difference_points:signed}"),
        ]
    positions = [at for at, row in enumerate(csv.rows) if row["measure"] != "median rank"]
    return Table("Zero-shot retrieval, frozen model", csv, columns, positions, "baseline")


def _failures(csv: Csv) -> Table:
    columns = [
        Column("Category", "{category}"),
        Column("n", "{n:count}"),
        Column("Share [95 %]", "{share:share} [{low:bound}, {high:bound}]"),
        Column(
            "Gain if fixed, points [95 %]",
            "{gain_if_fixed_pp:signed} [{gain_if_fixed_pp_low:two}, {gain_if_fixed_pp_high:two}]",
        ),
        Column("Median rank", "{median_gt_rank:number}"),
        Column("Median margin", "{median_margin:four}"),
    ]
    return Table("Failures by category", csv, columns, None, "failures")


def _agreement(csv: Csv, over: str) -> Table:
    columns = [
        Column("Level", "{level}"),
        Column("Raters", "{raters}", is_text=True),
        Column("Coefficient", "{statistic}", is_text=True),
        Column("n", "{n_items:count}"),
        Column("Value [95 %]", "{value:two} [{low:two}, {high:two}]"),
    ]
    caption = "Agreement over all raters" if over == "all raters" else "Agreement of each pair of raters"
    label = "agreement" if over == "all raters" else "agreement-pairs"
    return Table(caption, csv, columns, csv.where(over=over), label)


def _net_effects(csv: Csv) -> Table:
    columns = [
        Column("Method", "{name}"),
        Column("Net effect on R@1, points [95 %]", "{net_R@1:signed} [{low_R@1:two}, {high_R@1:two}]"),
        Column("p (Holm)", "{p_holm:p}"),
        Column("Gained, lost", "{gained_R@1:count}, {lost_R@1:count}"),
        Column("Its placebo [95 %]", "{placebo_R@1:signed} [{placebo_low_R@1:two}, {placebo_high_R@1:two}]"),
        Column("Kind", "{oracle:kind}, {exact:exactness}", is_text=True),
    ]
    return Table("Net effect on R@1 of the whole set", csv, columns, None, "net-effects")


def _further(csv: Csv) -> Table:
    columns = [Column("Method", "{name}")]
    for measure in ("R@5", "R@10"):
        cell = f"{{net_{measure}:signed}} [{{low_{measure}:two}}, {{high_{measure}:two}}]"
        columns += [Column(f"Net effect on {measure} [95 %]", cell), Column("p", f"{{p_{measure}:p}}")]
        columns.append(Column("Its placebo", f"{{placebo_{measure}:signed}}"))
    columns.append(Column("McNemar p, R@1", "{mcnemar_p_R@1:p}"))
    return Table("Net effect on R@5 and R@10, in points", csv, columns, None, "net-effects-further")


def _hubness(csv: Csv) -> Table:
    columns = [
        Column("Method", "{name}"),
        Column("Skewness before", "{before:two}"),
        Column("after", "{after:two}"),
        Column("Images that never come up before", "{never_before:count}"),
        Column("after", "{never_after:count}"),
        Column("Top hub before", "{top_before} ({top_before_queries:count})"),
        Column("after", "{top_after} ({top_after_queries:count})"),
    ]
    return Table("Hubs among the images", csv, columns, None, "hubness")


def _subsets(csv: Csv) -> dict[str, Table]:
    """A table for each set of queries that is no confirmatory result."""
    columns = [
        Column("Method", "{name}"),
        Column("n", "{subset_size:count}"),
        Column(
            "R@1, change [95 %]", "{delta_pp_R@1:signed} [{delta_pp_R@1_low:two}, {delta_pp_R@1_high:two}]"
        ),
        Column("its placebo", "{placebo_delta_pp_R@1:signed}"),
        Column("R@5", "{baseline_R@5:two} to {improved_R@5:two}"),
        Column("R@10", "{baseline_R@10:two} to {improved_R@10:two}"),
        Column("Gained, lost at R@1", "{gained_R@1:count}, {lost_R@1:count}"),
        Column("Contribution, points", "{contribution_pp:signed}"),
        Column("Kind", "{oracle:kind}", is_text=True),
    ]
    found = {}
    for name in SETS:
        positions = csv.where(categories=name)
        if positions:
            caption = f"Exploratory: {SET_NAMES.get(name, name)}"
            own = (
                columns
                if name in CATEGORY_NAMES
                else [one for one in columns if "Contribution" not in one.head]
            )
            found[name] = Table(caption, csv, own, positions, f"subset-{name}")
    return found


def html(
    csvs: dict[str, Csv], rendered: dict[str, Markup], drawn: dict[str, bytes], failure_dir: Path
) -> bytes:
    """The whole page, from CSVs as they were written, tables as HTML and figures as SVG.

    failure_dir: where the examples' pictures lie; one that isn't there is said and left out.
    """
    css = (HERE / "document.css").read_text(encoding="utf-8")
    used = {part for row in _rows(csvs, "summary_net_effects") for part in row["method"].split("+")}
    text = (
        _environment()
        .get_template("document.html.j2")
        .render(
            csvs=csvs,
            tables=rendered,
            figures={name: _data("image/svg+xml", svg) for name, svg in drawn.items()},
            photos=_photos(_rows(csvs, "summary_examples"), failure_dir),
            categories=CATEGORIES,
            sets=[name for name in SETS if f"subset_{name}" in rendered],
            set_names=SET_NAMES,
            described=CSVS,
            methods={name: text for name, text in METHODS.items() if name in used},
            latex=sorted(rendered.keys() & LATEX_TABLES),
            policy=f"default-src 'none'; img-src data:; style-src 'sha256-{_digest(css)}'; base-uri 'none'",
            css=Markup(css),
        )
    )
    return text.encode("utf-8")


def _rows(csvs: dict[str, Csv], name: str) -> list[dict[str, str]]:
    return csvs[name].rows if name in csvs else []


def _photos(examples: list[dict[str, str]], failure_dir: Path) -> dict[str, str]:
    """idx -> the example's side-by-side picture as a data URI, for those that can be read."""
    named = {row["idx"]: failure_dir / row["picture"] for row in examples if row["picture"]}
    found = {}
    for idx, path in named.items():
        try:
            jpeg = pictures.for_page(path, min(PICTURE_MOST, PICTURE_BYTES // len(named)))
        except OSError:
            continue
        found[idx] = _data("image/jpeg", jpeg)
    return found


def _data(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["cell"] = tables.figure
    return environment
