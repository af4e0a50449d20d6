"""The tables of a controlled probe, from the CSVs on it."""

from common.report.tables import OTHER_IMAGES, Column, Csv, Table

COUNTS = "{both_fail:count}, {only_item_fails:count}, {only_retrieval_fails:count}, {both_right:count}"


def of(csvs: dict[str, Csv]) -> dict[str, Table]:
    """Name -> those of TABLES that there is a CSV for."""
    sheets = {name: csvs.get(f"summary_{name}") for name in TABLES}
    return {name: TABLES[name](csv) for name, csv in sheets.items() if csv is not None}


def _types(csv: Csv) -> Table:
    columns = [
        Column("Type", "{type}"),
        Column("What was changed", "{words}", is_text=True),
        Column("About", "{categories}", is_text=True),
        Column("n", "{n:count} of {images:count} images"),
        Column("Right [95%]", "{accuracy:share} [{low:bound}, {high:bound}]"),
        Column("Ties", "{ties:count}"),
        Column("Same words", "{same_words:count}"),
        Column("Fail in both, probe, retrieval, neither", COUNTS),
        Column("Odds ratio [95%]", "{odds_ratio:two} [{odds_ratio_low:two}, {odds_ratio_high:two}]"),
    ]
    if csv.rows[0]["published"]:
        columns.insert(5, Column("Published", "{published:percent}"))
    note = (
        f"{OTHER_IMAGES}, of each number by itself. Ties count as errors. Same words: items whose captions "
        "differ in the order of words alone. Odds ratio: odds that a caption fails at R@1 if its item fails, "
        "over the odds if it does not; none where one of the four counts is zero"
    )
    return Table("Captions with one thing changed", csv, columns, None, "probe", note)


def _categories(csv: Csv) -> Table:
    columns = [
        Column("Category", "{categories}"),
        Column("Types", "{types}", is_text=True),
        Column("Items", "{n:count}"),
        Column("Right [95%]", "{accuracy:share} [{accuracy_low:bound}, {accuracy_high:bound}]"),
        Column("Place, most errors first", "{probe_place:count}"),
        Column("Mentioned in", "{mentioned:share}"),
    ]
    caption = "The probe by category"
    if any(row["share"] for row in csv.rows):
        caption = "The probe by category, next to labels: {status}"
        columns += [
            Column("Share of failures", "{share:share}, {labeled:count} of {of:count}"),
            Column("Share / mentioned [95%]", "{ratio:two} [{ratio_low:two}, {ratio_high:two}]"),
            Column("Place, most failures first", "{label_place:count}"),
        ]
    note = (
        "95% intervals: of accuracy for as many other images of this kind, clustered by image; of share / "
        "mentioned for all failures of these very captions. Places are among categories that have a type"
    )
    return Table(caption, csv, columns, None, "probe-categories", note)


def _labeled(csv: Csv) -> Table:
    columns = [
        Column("Category", "{category}"),
        Column("Type", "{type}", is_text=True),
        Column("Items", "{n:count}"),
        Column("The model fails", "{failed:count}"),
        Column("Share", "{share:share}"),
    ]
    note = "Few items get no share, and none gets an interval: these are anecdotes"
    caption = "Labeled failures whose caption has an item"
    return Table(caption, csv, columns, None, "probe-labeled", note)


TABLES = {"probe": _types, "probe_categories": _categories, "probe_labeled": _labeled}
