"""Parts of step 5 by themselves: tables in two languages, cautions, intervals of large samples."""

import shutil
import subprocess

import numpy as np
import pytest

from common import statistics
from common.report import cautions, tables
from common.report.tables import Column, Csv, Table

# ---- intervals where many of all were drawn ---------------------------------------------------------------


@pytest.mark.parametrize(("successes", "n"), [(0, 50), (7, 50), (25, 50), (50, 50)])
def test_a_small_part_of_many_has_wilsons_interval(successes, n):
    expected = statistics.wilson(successes, n)
    assert statistics.wilson_of_finite(successes, n, 10**9) == pytest.approx(expected, abs=1e-6)


def test_once_all_are_drawn_the_share_is_known():
    assert statistics.wilson_of_finite(30, 120, 120) == (0.25, 0.25)
    assert statistics.wilson_of_finite(30, 120, 100) == (0.25, 0.25)


def test_the_correction_narrows_by_the_factor_of_the_textbook():
    """At a middling share and large n the half-width is z sqrt(p q / n) sqrt((N - n) / (N - 1))."""
    n, population = 20_000, 50_000
    low, high = statistics.wilson_of_finite(n // 2, n, population)
    factor = np.sqrt((population - n) / (population - 1))
    assert (high - low) / 2 == pytest.approx(statistics.Z * 0.5 / np.sqrt(n) * factor, rel=1e-3)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.4])
def test_intervals_of_a_finite_set_cover(share):
    """200 of 500 drawn 4,000 times: near 95 %, where uncorrected ones cover nearly always."""
    random, population, n = np.random.default_rng(0), 500, 200
    right = round(share * population)
    drawn = random.hypergeometric(right, population - right, n, size=4000)
    cover, plain = {}, {}
    for hits in np.unique(drawn):
        low, high = statistics.wilson_of_finite(int(hits), n, population)
        cover[hits] = low <= right / population <= high
        low, high = statistics.wilson(int(hits), n)
        plain[hits] = low <= right / population <= high
    covered = np.mean([cover[hits] for hits in drawn])
    assert 0.92 <= covered <= 0.985
    assert covered <= np.mean([plain[hits] for hits in drawn])


# ---- tables -----------------------------------------------------------------------------------------------

HOSTILE = 'a_b & 50% #1 $x$ {y} ~ ^ \\cmd <b>"q"</b>'
CSV = Csv(
    "t.csv",
    [
        {
            "name": HOSTILE,
            "n": "1234567",
            "share": "0.3917",
            "low": "0.3",
            "high": "0.5",
            "d": "-0.256",
            "p": "0",
        },
        {"name": "b", "n": "", "share": "", "low": "", "high": "", "d": "1.2", "p": "0.05"},
        {"name": "c", "n": "0", "share": "0.0", "low": "", "high": "", "d": "", "p": ""},
    ],
)
COLUMNS = [
    Column("Name", "{name}"),
    Column("n", "{n:count}"),
    Column("Share [95 %]", "{share:share} [{low:bound}, {high:bound}]"),
    Column("d", "{d:signed}", is_text=True),
    Column("p", "{p:p}"),
]


def test_html_names_the_source_of_each_figure_and_escapes():
    html = str(tables.render(Table("A <table>", CSV, COLUMNS, None, "t")).html)
    assert '<span data-csv="t.csv" data-row="2" data-column="share">39.2\u00a0%</span> [' in html
    assert '<span data-csv="t.csv" data-row="3" data-column="d">+1.20</span>' in html
    assert '<span data-csv="t.csv" data-row="2" data-column="p">&lt;\u00a00.0001</span>' in html
    assert '<span data-csv="t.csv" data-row="3" data-column="share">–</span></td>' in html, "not – [–, –]"
    assert "<b>" not in html and "A &lt;table&gt;" in html
    assert html.count("<tr>") == 4 and html.count('scope="row"') == 3


def test_both_languages_show_the_same_rows():
    rendered = tables.render(Table("T", CSV, COLUMNS, [2, 0], "t"))
    body = rendered.latex.split("\\midrule\n")[1].split("\\bottomrule")[0].splitlines()
    assert len(body) == 2 and body[0].startswith("c & 0 & 0.0~\\% [--, --] & -- & --")
    assert body[1].startswith(
        r"a\_b \& 50\% \#1 \$x\$ \{y\} \textasciitilde{} \textasciicircum{} \textbackslash{}cmd $<$b$>$"
    )
    assert "1,234,567 & 39.2~\\% [30.0, 50.0] & $-$0.26 & $<$~0.0001" in body[1]
    assert "\\begin{tabular}{lrrlr}" in rendered.latex


def test_a_row_is_found_by_its_cells_or_it_is_an_error():
    assert CSV.find(name="b") == 1
    assert CSV.where(n="") == [1] and CSV.where(low="") == [1, 2] and CSV.above("d", 0) == [1]
    with pytest.raises(LookupError):
        CSV.find(low="")
    with pytest.raises(LookupError):
        CSV.find(name="z")


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no LaTeX is installed")
def test_latex_compiles(tmp_path):
    body = tables.render(Table("50 % & more", CSV, COLUMNS, None, "t")).latex
    document = f"\\documentclass{{article}}\\usepackage{{booktabs}}\\begin{{document}}{body}\\end{{document}}"
    (tmp_path / "t.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    made = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout[-2000:]


# ---- cautions ---------------------------------------------------------------------------------------------


def baseline(**changes) -> dict:
    return {
        "text_to_image": {"n": 25000, "ties": 0, "provably_ambiguous_captions": 0} | changes,
        "comparison": None,
    }


def test_a_sound_baseline_has_no_caution():
    assert cautions.of_baseline(baseline()) == []
    agrees = baseline() | {"comparison": {"agrees": True}}
    assert cautions.of_baseline(agrees) == []


def test_ties_and_unanswerable_captions_are_counted():
    said = cautions.of_baseline(baseline(ties=4000, provably_ambiguous_captions=367))
    assert said[0].startswith("4,000 of 25,000 queries tie")
    assert said[1].startswith("367 of 25,000 captions have the same text")


def test_labels():
    assert cautions.of_labels(200, 0, 0, {}) == []
    said = " ".join(cautions.of_labels(40, 30, 2, {"Count": 4}))
    for part in ("2 items wait", "Only 40", "Count 4", "30 of 40"):
        assert part in said


def agreement(value: str, caution: str = "", level: str = "category") -> dict:
    return {
        "over": "all raters",
        "level": level,
        "statistic": "Krippendorff's alpha",
        "value": value,
        "caution": caution,
    }


@pytest.mark.parametrize(
    ("alpha", "grade"), [("0.2", "weak"), ("0.55", "moderate"), ("0.61", ""), ("0.9", "")]
)
def test_weak_agreement_is_told(alpha, grade):
    said = cautions.of_agreement([agreement(alpha)])
    assert (f"is {grade} (alpha {float(alpha):.2f}" in " ".join(said)) == bool(grade)
    assert len(said) == bool(grade)


def test_agreement_that_is_unknown_is_told_with_the_reason():
    (said,) = cautions.of_agreement([agreement("", "only one rater: agreement takes two")])
    assert "No agreement could be measured (only one rater" in said
    assert cautions.of_agreement([])[0].startswith("No agreement could be measured")


def test_the_same_caution_of_several_coefficients_is_told_once():
    rows = [agreement("0.9", "only 26 items; skewed"), agreement("0.9", "only 22 items; skewed")]
    assert cautions.of_agreement(rows) == ["Agreement, category: only 26 items; skewed."]


def test_what_was_left_out_of_improvements_is_told_by_reason():
    index = {
        "split": None,
        "left_out": {"nnn": "there is no bank", "dn": "there is no bank", "prompts": "no model"},
    }
    said = cautions.of_improvements([], index)
    assert said == [
        "Not measured: nnn, dn, since there is no bank.",
        "Not measured: prompts, since no model.",
    ]
