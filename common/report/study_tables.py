"""The tables of a study, which the report and a paper share: which columns of which CSV each shows.

Each says in its caption whom its intervals are about, and shows the n and the marks of its numbers.
"""

from common.labels.taxonomy import CATEGORY_NAMES
from common.report import compared_tables, probe_tables
from common.report.tables import MARKS, OTHER_IMAGES, Column, Csv, Table, points
from common.results import CLEAR, FAILURES, SUCCESSES

MATRIX = (*CATEGORY_NAMES, CLEAR)  # sets that are columns of the matrix
SETS = (*MATRIX, FAILURES, SUCCESSES)  # of queries, without the one of all
SET_NAMES = {
    CLEAR: "all clear categories",
    FAILURES: "all failures, a sample",
    SUCCESSES: "successes, a sample",
}
LATEX = {"baseline", "failures", "if_right", "sensitivity", "agreement", "agreement_pairs", "net_effects"}
LATEX |= {"assisted", "model_agreement", "power", "retest", *probe_tables.TABLES}
LATEX |= {"net_effects_further", "hubness", "matrix", *(f"subset_{name}" for name in SETS)}  # for papers too
LATEX |= compared_tables.TABLES.keys()
PLACEBO = "A placebo is the method with its link to the content cut, averaged over draws (sd: between draws)"
NO_MARK = "No mark: all captions were ranked, and nothing but the query and the images was used"


def of(csvs: dict[str, Csv]) -> dict[str, Table]:
    """Name -> every table that there is a CSV for."""
    found = {"provenance": _provenance(csvs["summary_provenance"])}
    found["baseline"] = _baseline(csvs["summary_baseline"])
    if "summary_plan" in csvs:
        found["plan"] = _plan(csvs["summary_plan"])
    if "summary_failures" in csvs:
        found["failures"] = _failures(csvs["summary_failures"])
        found["if_right"] = _if_right(csvs["summary_if_right"])
    if "summary_sensitivity" in csvs:
        found["sensitivity"] = _sensitivity(csvs["summary_sensitivity"])
    if "summary_assisted" in csvs:
        found["assisted"] = _assisted(csvs["summary_assisted"])
    if "summary_model_agreement" in csvs:
        agreed = csvs["summary_model_agreement"]
        found["model_agreement"] = _agreement(agreed, "pair")._replace(
            caption="Agreement of people and a model, apart from the annotators' own", label="model-agreement"
        )
    if "summary_raters" in csvs:
        found["raters"] = _raters(csvs["summary_raters"])
    if "summary_retest" in csvs:
        found["retest"] = _retest(csvs["summary_retest"])
    if "figures/agreement" in csvs:
        found["agreement"] = _agreement(csvs["summary_agreement"], "all raters")
        found["agreement_pairs"] = _agreement(csvs["summary_agreement"], "pair")
    found |= probe_tables.of(csvs)
    if "summary_net_effects" in csvs:
        found["net_effects"] = _net_effects(csvs["summary_net_effects"])
        found["net_effects_further"] = _further(csvs["summary_net_effects"])
    if "summary_power" in csvs:
        found["power"] = _power(csvs["summary_power"])
    if "figures/hubness" in csvs:
        found["hubness"] = _hubness(csvs["figures/hubness"])
    if "summary_matrix" in csvs:
        found["matrix"] = _matrix(csvs["summary_matrix"])
    if "summary_subset_results" in csvs:
        found |= {f"subset_{name}": table for name, table in _subsets(csvs["summary_subset_results"]).items()}
    return found | compared_tables.of(csvs)


def _provenance(csv: Csv) -> Table:
    columns = [Column("What", "{what}"), Column("Value", "{value}", is_text=True)]
    return Table("Settings, inputs and versions", csv, columns)


def _plan(csv: Csv) -> Table:
    columns = [Column("What", "{what}"), Column("Expected", "{value}", is_text=True)]
    return Table("What a draw of this size was to show, before labeling (95% intervals)", csv, columns)


def _baseline(csv: Csv) -> Table:
    columns = [
        Column("Direction, measure", "{direction}, {measure}"),
        Column("Queries", "{queries:count}"),
        Column("Gallery", "{gallery:count}"),
        Column("This run [95%]", "{value:share} [{low:bound}, {high:bound}]"),
    ]
    if any(row["published"] for row in csv.rows):
        columns += [
            Column("Published", "{published:percent}"),
            Column("Difference, points", "{difference_points:signed}"),
        ]
    # The median rank is no share: it has a sentence of its own.
    positions = [at for at, row in enumerate(csv.rows) if row["measure"] != "median rank"]
    caption = "Zero-shot retrieval with the frozen model"
    return Table(caption, csv, columns, positions, "baseline", f"{OTHER_IMAGES}. Ties count as errors")


def _failures(csv: Csv) -> Table:
    gain = points("gain_if_fixed_pp", "gain_if_fixed_pp_low", "gain_if_fixed_pp_high")
    columns = [Column("Category", "{category}"), Column("n", "{n:count} of {total:count}")]
    columns.append(Column("Share [95%]", "{share:share} [{low:bound}, {high:bound}]"))
    if csv.rows[0]["low_all"]:
        columns.append(Column("All at once [95%]", "[{low_all:bound}, {high_all:bound}]"))
    if csv.rows[0]["least"] != csv.rows[0]["most"]:
        columns.append(Column("Least, most", "{least:share}, {most:share}"))
    columns += [
        Column("Gain if fixed, points [95%]", gain),
        Column("Median rank", "{median_gt_rank:rank} (n = {n_ranks:count})"),
        Column("Median margin", "{median_margin:cosine}"),
    ]
    note = (
        "95% intervals are for all failures of these very captions: of each share by itself, and of all "
        "categories at once. Least and most: none or all of the drawn failures without a label have it"
    )
    return Table("Failures by category. Labels: {status}", csv, columns, None, "failures", note)


def _if_right(csv: Csv) -> Table:
    columns = [
        Column("What counts as right", "{words}"),
        Column("n", "{n:count} of {total:count}"),
        Column("Share of failures [95%]", "{share:share} [{low:bound}, {high:bound}]"),
        Column(
            "R@1 if right [95%]",
            "{R@1_if_right:share} [{R@1_if_right_low:bound}, {R@1_if_right_high:bound}]",
        ),
    ]
    note = "95% intervals are for these very captions, whose R@1 is known"
    caption = "R@1 if the retrieved image fits. Labels: {status}"
    return Table(caption, csv, columns, None, "if-right", note)


def _sensitivity(csv: Csv) -> Table:
    columns = [
        Column("Assumption", "{assumption}"),
        Column("Of", "{name}", is_text=True),
        Column("Would be [95%]", "{value:share} [{low:bound}, {high:bound}]"),
        Column("Counted", "{counted:share}"),
    ]
    note = (
        "A model of the annotators' errors, never in place of the counts; 95% intervals are over redraws of "
        "the items. Of an annotator: the part of the labels that would be wrong"
    )
    caption = "If annotators err as their overlap suggests"
    return Table(caption, csv, columns, None, "sensitivity", note)


def _assisted(csv: Csv) -> Table:
    bias = points("bias_pp", "bias_pp_low", "bias_pp_high")
    columns = [
        Column("Category", "{category}"),
        Column("People alone [95%]", "{people:share} [{people_low:bound}, {people_high:bound}]"),
        Column("Assisted [95%]", "{assisted:share} [{assisted_low:bound}, {assisted_high:bound}]"),
        Column("Worth labels of people", "{worth:count}", under="n = {n:count}"),
        Column("Weight of the model", "{weight:two}"),
        Column("Model alone", "{model:share}", under="n = {model_n:count}"),
        Column("Its bias, points [95%]", bias),
        Column("Kappa", "{kappa:two}"),
        Column("AC1", "{ac1:two}"),
    ]
    note = (
        "95% intervals are for all failures of these very captions. Assisted: the model's share of all, plus "
        "how far people differ from it where they looked (difference estimator), so that its errors bias "
        "nothing. Each category has its own weight, so assisted shares may miss 100%. Kappa and AC1 are of "
        "people and the model, this category or another. A model's label is no rating and counts nowhere else"
    )
    caption = "Shares assisted by {model_name}. Labels: {status}"
    return Table(caption, csv, columns, None, "assisted", note)


def _raters(csv: Csv) -> Table:
    columns = [Column("Annotator", "{rater}"), Column("Labeled", "{labelled:count}")]
    columns.append(Column("Missing", "{missing:count}"))
    if any(row["timed"] for row in csv.rows):
        columns.append(Column("Seconds an item (items timed)", "{seconds_an_item:two} ({timed:count})"))
    return Table("Who labeled", csv, columns)


def _retest(csv: Csv) -> Table:
    columns = [
        Column("Answers", "{raters}"),
        Column("Coefficient", "{statistic}", is_text=True),
        Column("n", "{n_items:count}"),
        Column("Value [95%]", "{value:two} [{low:two}, {high:two}]"),
    ]
    note = (
        "Items that a page showed a second time, late and unmarked. A second answer counts as nothing else. "
        "95% intervals are for other items labeled by the same person"
    )
    return Table("Does a person say the same again?", csv, columns, None, "retest", note)


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
    note = "95% intervals are for other items labeled by the same raters"
    return Table(caption, csv, columns, csv.where(over=over), label, note)


def _net_effects(csv: Csv) -> Table:
    placebo = points("placebo_R@1", "placebo_low_R@1", "placebo_high_R@1")
    columns = [
        Column("Method", "{name}"),
        MARKS,
        Column("n", "{ranked:count}"),
        Column("Net effect on R@1, points [95%]", points("net_R@1", "low_R@1", "high_R@1")),
        Column("p (Holm)", "{p_holm:p}"),
        Column("Gained, lost", "{gained_R@1:count}, {lost_R@1:count}"),
        Column("Its placebo [95%], sd", placebo + ", {placebo_sd_R@1:two}"),
    ]
    note = (
        f"{OTHER_IMAGES}; none allows for several methods. p: sign-flip permutation over images, adjusted by "
        f"Holm; a method without p is in no family of tests. {PLACEBO}. {NO_MARK}"
    )
    return Table("Net effect on R@1 of the whole set", csv, columns, None, "net-effects", note)


def _further(csv: Csv) -> Table:
    columns = [Column("Method", "{name}"), MARKS, Column("n", "{ranked:count}")]
    for measure in ("R@5", "R@10"):
        cell = points(f"net_{measure}", f"low_{measure}", f"high_{measure}")
        columns.append(Column(f"Net effect on {measure} [95%]", cell))
        columns.append(Column("p, unadjusted", f"{{p_{measure}:p}}"))
        columns.append(Column("Its placebo", f"{{placebo_{measure}:signed}}"))
    note = f"{OTHER_IMAGES}. p: sign-flip permutation over images, of each test alone. {NO_MARK}"
    caption = "Net effect on R@5 and R@10, in points"
    return Table(caption, csv, columns, None, "net-effects-further", note)


def _power(csv: Csv) -> Table:
    columns = [
        Column("Kind of methods", "{kind}"),
        Column("Methods", "{methods:count}"),
        Column("Smallest net effect, points", "{smallest_least_pp:two} to {smallest_most_pp:two}"),
        Column("CONTROL_SIZE for one point", "{control_size_for_1_point}", is_text=True),
    ]
    note = (
        "Found by the sign-flip test in four of five studies (its power), after Holm, for as many other "
        "images of this kind: with the method of a kind that varies least, and with the one that varies "
        "most, if as many captions change as did here. Only fixes, each once"
    )
    return Table("Which net effects on R@1 could be found", csv, columns, None, "power", note)


def _hubness(csv: Csv) -> Table:
    columns = [
        Column("Method", "{name}"),
        MARKS,
        Column("k", "{k:count}"),
        Column("n", "{n:count}"),
        Column("Images never among the first k: before", "{never_before:count}"),
        Column("after", "{never_after:count}"),
        Column("Queries of the largest hub: before", "{top_before_queries:count} ({top_before})"),
        Column("after", "{top_after_queries:count} ({top_after})"),
        Column("Skewness before", "{before:two}"),
        Column("after", "{after:two}"),
    ]
    note = (
        "Counts over these very captions: how many have each image among their first k, of which the first "
        "alone is what R@1 is about; skewness over more images can rise while the largest hubs shrink, "
        "since images that were found for no caption come back"
    )
    return Table("Hubs among the images", csv, columns, None, "hubness", note)


def _matrix(csv: Csv) -> Table:
    """A column for each set; a mark that a whole column has is under its head, one of a cell in the cell."""
    columns = [Column("Method", "{name}"), MARKS]
    for name in MATRIX:
        marks = {row[f"{name}_marks"] for row in csv.rows if row[f"{name}_n"]}
        if not marks:
            continue
        cell = f"{{{name}_recovered:percent}}; " + points(
            f"{name}_beyond", f"{name}_beyond_low", f"{name}_beyond_high"
        )
        common = len(marks) == 1
        under, own = f"n = {{{name}_n:count}}", f"{{{name}_marks}}"
        if common and marks != {""}:
            # Few queries are marked with their n.
            under = own if "n = " in "".join(marks) else f"{under}; {own}"
        columns.append(Column(name, cell if common else f"{cell} {own}", under=under))
    note = (
        "Exploratory. Share of a category's failures that a method brings to the first place; then, in "
        "points, how far that is above its placebo, with a 95% interval for other failures like these, "
        "clustered by image. No interval allows for so many comparisons. Marks in a head or a cell are of "
        "those alone"
    )
    return Table("Recovered at R@1, by category. Labels: {labels}", csv, columns, None, "matrix", note)


def _subsets(csv: Csv) -> dict[str, Table]:
    """A table for each set of queries that is no confirmatory result, in the order of the net effects."""
    columns = [
        Column("Method", "{name}"),
        MARKS,
        Column("n", "{subset_size:count}"),
        Column("R@1, change [95%]", points("delta_pp_R@1", "delta_pp_R@1_low", "delta_pp_R@1_high")),
        Column("its placebo, sd", "{placebo_delta_pp_R@1:signed}, {placebo_delta_pp_R@1_sd:two}"),
        Column("above its placebo [95%]", points("beyond_R@1", "beyond_R@1_low", "beyond_R@1_high")),
        Column("n to see that", "{beyond_R@1_needed:count}"),
        Column("R@5", "{baseline_R@5:percent} to {improved_R@5:percent}"),
        Column("R@10", "{baseline_R@10:percent} to {improved_R@10:percent}"),
        Column("Gained, lost at R@1", "{gained_R@1:count}, {lost_R@1:count}"),
    ]
    note = (
        "Exploratory: no test against the baseline, in points of R@1. 95% intervals are for other queries "
        f"like these, clustered by image, one at a time. {PLACEBO}. n to see that: with which a difference "
        "of this size is found in four of five studies"
    )
    found = {}
    for name in SETS:
        positions = csv.where(categories=name)
        if positions:
            caption = f"What methods do to {SET_NAMES.get(name, f'failures of the category {name}')}"
            if csv.rows[positions[0]]["labels"]:
                caption += ". Labels: {labels}"
            found[name] = Table(caption, csv, columns, positions, f"subset-{name}", note)
    return found
