"""The tables of a study, which the report and a paper share: which columns of which CSV each shows."""

from common.labels.taxonomy import CATEGORY_NAMES
from common.report.tables import Column, Csv, Table
from common.results import CLEAR, FAILURES, SUCCESSES

SETS = (*CATEGORY_NAMES, CLEAR, FAILURES, SUCCESSES)  # of queries, without the one of all
SET_NAMES = {
    CLEAR: "all clear categories",
    FAILURES: "all failures, a sample",
    SUCCESSES: "successes, a sample",
}
LATEX = {"baseline", "failures", "agreement", "agreement_pairs", "net_effects", "net_effects_further"}
LATEX |= {"hubness", *(f"subset_{name}" for name in SETS)}  # tables that are also written for papers


def of(csvs: dict[str, Csv]) -> dict[str, Table]:
    """Name -> every table that there is a CSV for."""
    found = {"provenance": _provenance(csvs["summary_provenance"])}
    found["baseline"] = _baseline(csvs["summary_baseline"])
    if "summary_failures" in csvs:
        found["failures"] = _failures(csvs["summary_failures"])
    if "summary_raters" in csvs:
        found["raters"] = _raters(csvs["summary_raters"])
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


def _points(value: str, low: str, high: str) -> str:
    """The cell of a change in points with its interval."""
    return f"{{{value}:signed}} [{{{low}:signed}}, {{{high}:signed}}]"


def _provenance(csv: Csv) -> Table:
    columns = [Column("What", "{what}"), Column("Value", "{value}", is_text=True)]
    return Table("Settings, inputs and versions", csv, columns)


def _baseline(csv: Csv) -> Table:
    columns = [
        Column("Direction, measure", "{direction}, {measure}"),
        Column("This run [95%]", "{value:share} [{low:bound}, {high:bound}]"),
    ]
    if any(row["published"] for row in csv.rows):
        columns += [
            Column("Published", "{published:percent}"),
            Column("Difference, points", "{difference_points:signed}"),
        ]
    # The median rank is no share: it has a sentence of its own.
    positions = [at for at, row in enumerate(csv.rows) if row["measure"] != "median rank"]
    return Table("Zero-shot retrieval, frozen model", csv, columns, positions, "baseline")


def _failures(csv: Csv) -> Table:
    gain = _points("gain_if_fixed_pp", "gain_if_fixed_pp_low", "gain_if_fixed_pp_high")
    columns = [
        Column("Category", "{category}"),
        Column("n", "{n:count}"),
        Column("Share [95%]", "{share:share} [{low:bound}, {high:bound}]"),
        Column("Gain if fixed, points [95%]", gain),
        Column("Median rank", "{median_gt_rank:rank}"),
        Column("Median margin", "{median_margin:cosine}"),
    ]
    return Table("Failures by category", csv, columns, None, "failures")


def _raters(csv: Csv) -> Table:
    columns = [Column("Annotator", "{rater}"), Column("Labeled", "{labelled:count}")]
    return Table("Who labeled", csv, [*columns, Column("Missing", "{missing:count}")])


def _agreement(csv: Csv, over: str) -> Table:
    columns = [
        Column("Level", "{level}"),
        Column("Raters", "{raters}", is_text=True),
        Column("Coefficient", "{statistic}", is_text=True),
        Column("n", "{n_items:count}"),
        Column("Value [95%]", "{value:two} [{low:two}, {high:two}]"),
    ]
    caption = "Agreement over all raters" if over == "all raters" else "Agreement of each pair of raters"
    label = "agreement" if over == "all raters" else "agreement-pairs"
    return Table(caption, csv, columns, csv.where(over=over), label)


def _net_effects(csv: Csv) -> Table:
    columns = [
        Column("Method", "{name}"),
        Column("Net effect on R@1, points [95%]", _points("net_R@1", "low_R@1", "high_R@1")),
        Column("p (Holm)", "{p_holm:p}"),
        Column("Gained, lost", "{gained_R@1:count}, {lost_R@1:count}"),
        Column("Its placebo [95%]", _points("placebo_R@1", "placebo_low_R@1", "placebo_high_R@1")),
        Column("Kind", "{oracle:kind}, {exact:exactness}", is_text=True),
    ]
    return Table("Net effect on R@1 of the whole set", csv, columns, None, "net-effects")


def _further(csv: Csv) -> Table:
    columns = [Column("Method", "{name}")]
    for measure in ("R@5", "R@10"):
        cell = _points(f"net_{measure}", f"low_{measure}", f"high_{measure}")
        columns += [Column(f"Net effect on {measure} [95%]", cell), Column("p", f"{{p_{measure}:p}}")]
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
        Column("R@1, change [95%]", _points("delta_pp_R@1", "delta_pp_R@1_low", "delta_pp_R@1_high")),
        Column("its placebo", "{placebo_delta_pp_R@1:signed}"),
        Column("R@5", "{baseline_R@5:percent} to {improved_R@5:percent}"),
        Column("R@10", "{baseline_R@10:percent} to {improved_R@10:percent}"),
        Column("Gained, lost at R@1", "{gained_R@1:count}, {lost_R@1:count}"),
    ]
    kind = Column("Kind", "{oracle:kind}", is_text=True)
    contribution = Column("Contribution, points", "{contribution_pp:signed}")  # which only a category has
    found = {}
    for name in SETS:
        positions = csv.where(categories=name)
        if positions:
            caption = f"Exploratory: {SET_NAMES.get(name, name)}"
            own = [*columns, contribution, kind] if name in CATEGORY_NAMES else [*columns, kind]
            found[name] = Table(caption, csv, own, positions, f"subset-{name}")
    return found
