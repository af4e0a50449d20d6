"""The report: one HTML file with everything in it.

The template and its style are in document.html.j2 and document.css. The page has no script and loads nothing.
Every number on it is an element that names its CSV, row and column (see tables.py).
"""

from collections.abc import Iterable
from pathlib import Path

from markupsafe import Markup

from common import html
from common.annotation import pictures
from common.labels.agreement import RELIABLE, TENTATIVE
from common.labels.taxonomy import AMBIGUOUS, CATEGORIES
from common.report import study_tables, tables
from common.report.summaries import SHEETS
from common.report.tables import Csv
from common.results import LEGEND, SHOWS, PartNote

HERE = Path(__file__).parent
PICTURE_BYTES = 6_000_000  # of all examples together: a third more in base64, within 10 MB with all else
PICTURE_MOST = 110_000  # of one of them
MOST_EXAMPLES = 40  # of each category: more would leave each picture too few bytes to be recognized


def page(
    csvs: dict[str, Csv],
    rendered: dict[str, Markup],
    drawn: dict[str, bytes],
    parts: Iterable[PartNote],
    failure_dir: Path,
) -> bytes:
    """The whole page, from CSVs as they were written, tables as HTML and figures as SVG.

    parts: what the names of methods are made of. failure_dir: the folder of the examples' pictures; a picture
    that can't be read is left out, and the page says so.
    """
    css = (HERE / "document.css").read_text(encoding="utf-8")
    environment = html.environment(HERE, trim=True)
    environment.globals["cell"] = tables.value
    examples = csvs["summary_examples"].rows if "summary_examples" in csvs else []
    text = environment.get_template("document.html.j2").render(
        csvs=csvs,
        tables=rendered,
        figures={name: html.data_uri("image/svg+xml", svg) for name, svg in drawn.items()},
        photos=_photos(examples, failure_dir),
        categories=CATEGORIES,
        ambiguous=AMBIGUOUS,
        sets=[name for name in study_tables.SETS if f"subset_{name}" in rendered],
        set_names=study_tables.SET_NAMES,
        sheets=SHEETS,
        parts=list(parts),
        legend=LEGEND,
        marks_used=_marks_used(csvs),
        shows=SHOWS,
        tentative=f"{TENTATIVE:g}",
        reliable=f"{RELIABLE:g}",
        latex=sorted(rendered.keys() & study_tables.LATEX),
        policy=f"default-src 'none'; img-src data:; style-src 'sha256-{html.digest(css)}'; base-uri 'none'",
        css=Markup(css),
    )
    return text.encode("utf-8")


def _marks_used(csvs: dict[str, Csv]) -> set[str]:
    """The marks that any number of step 6 has, without what they say of its n."""
    rows = csvs["summary_subset_results"].rows if "summary_subset_results" in csvs else []
    return {mark for row in rows for mark in LEGEND if mark in row["marks"]}


def _photos(examples: list[dict[str, str]], failure_dir: Path) -> dict[str, str]:
    """idx -> the example's side-by-side picture as a data URI, for those that can be read."""
    named = [row for row in examples if row["picture"]]
    found = {}
    for row in named:
        limit = min(PICTURE_MOST, PICTURE_BYTES // len(named))
        try:
            jpeg = pictures.photographs(failure_dir / row["picture"], row["caption"], limit)
        except OSError:
            continue
        found[row["idx"]] = html.data_uri("image/jpeg", jpeg)
    return found
