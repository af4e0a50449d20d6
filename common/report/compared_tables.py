"""The tables on comparisons: which columns of which CSV each shows, as in study_tables.py."""

from common.report.tables import MARKS, OTHER_IMAGES, Column, Csv, Table, points

# Labeled failures are a selection, which has to be said wherever their recovery stands.
MEAN = (
    "Labels were drawn among what the first model fails, and part of failing is chance: any other model has "
    "some of them right, one that is no better too. Read a category next to all failures"
)


def of(csvs: dict[str, Csv]) -> dict[str, Table]:
    """Name -> those of TABLES that there is a CSV for."""
    return {name: make(csvs[csv]) for name, (csv, make) in TABLES.items() if csv in csvs}


def _differences(csv: Csv) -> Table:
    columns = [
        Column("Correction of hubs", "{first}"),
        Column("less", "{second}", is_text=True),
        Column("R@1, points [95%]", points("difference_pp", "low_pp", "high_pp")),
        Column("All pairs at once [95%]", "[{low_all_pp:signed}, {high_all_pp:signed}]"),
        Column("Right with the first alone, the second alone", "{gained:count}, {lost:count}"),
    ]
    note = (
        f"Fixes that are a correction of hubs alone, each two on the same captions. {OTHER_IMAGES}: of each "
        "pair by itself, and of all pairs at once (Bonferroni)"
    )
    return Table("Do corrections of hubs differ?", csv, columns, None, "differences", note)


def _compared(csv: Csv) -> Table:
    columns = [
        Column("Model", "{name}"),
        Column("Its R@1", "{improved_R@1:percent}"),
        Column("Net effect on R@1, points [95%]", points("net_R@1", "low_R@1", "high_R@1")),
        Column("p (Holm)", "{p_holm:p}"),
        Column("Gained, lost", "{gained_R@1:count}, {lost_R@1:count}"),
    ]
    note = (
        f"Every caption was ranked by both models. {OTHER_IMAGES}. p: sign-flip permutation over images, "
        "adjusted by Holm together with the fixes"
    )
    return Table("Other models in place of the first one", csv, columns, None, "compared", note)


def _overlap(csv: Csv) -> Table:
    columns = [
        Column("Model", "{name}"),
        Column("Fail in both", "{both_fail:count} of {queries:count}"),
        Column("Failures of the first, of its own", "{first_fails:count}, {other_fails:count}"),
        Column(
            "Error consistency [95%]", "{consistency:two} [{consistency_low:two}, {consistency_high:two}]"
        ),
        Column(
            "It has right of the first's [95%]",
            "{recovered:share} [{recovered_low:bound}, {recovered_high:bound}]",
        ),
        Column("The first has right of its own", "{recovered_back:share}"),
    ]
    note = (
        "Error consistency is Cohen's kappa of right and wrong (Geirhos et al.): zero by chance, one if the "
        f"same captions fail. {OTHER_IMAGES}; that of what it has right for other failures like these"
    )
    return Table("Which failures models share", csv, columns, None, "compared-overlap", note)


def _categories(csv: Csv) -> Table:
    columns = [
        Column("Model", "{name}"),
        Column("Category", "{category}", is_text=True),
        MARKS,
        Column("n", "{n:count}"),
        Column("Has right [95%]", "{share:share} [{low:bound}, {high:bound}]"),
        Column(
            "Of all failures [95%]",
            "{all_share:share} [{all_low:bound}, {all_high:bound}] (n = {all_n:count})",
        ),
    ]
    note = (
        f"Exploratory. {MEAN}. 95% intervals are for other failures like these, clustered by image, one at a "
        "time"
    )
    caption = "What other models have right of the first model's failures. Labels: {labels}"
    return Table(caption, csv, columns, None, "compared-categories", note)


def _failed_by_all(csv: Csv) -> Table:
    columns = [
        Column("Failures of the first model", "{category}"),
        MARKS,
        Column("n", "{n:count}"),
        Column("Failed by all", "{hits:count}"),
        Column("Share [95%]", "{share:share} [{low:bound}, {high:bound}]"),
    ]
    caption = "Captions that all {models} models fail"
    if csv.rows[0]["labels"]:
        caption += ". Labels: {labels}"
    note = f"{MEAN}. 95% intervals are for other failures like these, clustered by image"
    return Table(caption, csv, columns, None, "failed-by-all", note)


TABLES = {  # name -> the CSV that it shows, and how
    "differences": ("summary_differences", _differences),
    "compared": ("summary_compared", _compared),
    "compared_overlap": ("summary_compared", _overlap),
    "compared_categories": ("summary_compared_categories", _categories),
    "failed_by_all": ("summary_failed_by_all", _failed_by_all),
}
