"""Tables in two languages: the same cells, each with its source, and nothing in them that runs."""

import shutil
import subprocess

import pytest

from common.report import tables
from common.report.tables import Column, Csv, Table

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
    Column("Share [95%]", "{share:share} [{low:bound}, {high:bound}]"),
    Column("d", "{d:signed}", is_text=True),
    Column("p", "{p:p}"),
]


def test_html_names_the_source_of_each_figure_and_escapes():
    html = str(tables.render(Table("A <table>", CSV, COLUMNS, None, "t")).html)
    assert '<span data-csv="t.csv" data-row="2" data-column="share">39.17%</span> [' in html
    assert '<span data-csv="t.csv" data-row="3" data-column="d">+1.20</span>' in html
    assert '<span data-csv="t.csv" data-row="2" data-column="p">&lt;\u00a00.0001</span>' in html
    assert '<span data-csv="t.csv" data-row="3" data-column="share">–</span></td>' in html, "not – [–, –]"
    assert "<b>" not in html and "A &lt;table&gt;" in html
    assert html.count("<tr>") == 4 and html.count('scope="row"') == 3


def test_both_languages_show_the_same_rows():
    rendered = tables.render(Table("T", CSV, COLUMNS, [2, 0], "t"))
    body = rendered.latex.split("\\midrule\n")[1].split("\\bottomrule")[0].splitlines()
    assert len(body) == 2 and body[0].startswith("c & 0 & 0.00\\% [--, --] & -- & --")
    assert body[1].startswith(
        r"a\_b \& 50\% \#1 \$x\$ \{y\} \textasciitilde{} \textasciicircum{} \textbackslash{}cmd $<$b$>$"
    )
    assert "1,234,567 & 39.17\\% [30.00, 50.00] & $-$0.26 & $<$~0.0001" in body[1]
    assert "\\begin{tabular}{lrrlr}" in rendered.latex


def test_captions_and_heads_name_cells_of_the_first_row():
    """What holds for the whole table, or a whole column, has a source too."""
    columns = [Column("Name", "{name}"), Column("Share", "{share:share}", under="n = {n:count}")]
    rendered = tables.render(Table("Labels: {p}", CSV, columns, [1], "t", "95% intervals are for 5 others"))
    html = str(rendered.html)
    assert '<caption>Labels: <span data-csv="t.csv" data-row="3" data-column="p">0.05</span> <small>' in html
    assert ">Share <small><span" in html and "–</span></small></th>" in html
    assert "\\caption{Labels: 0.05. 95\\% intervals are for 5 others}" in rendered.latex
    assert "Name & Share (--) \\\\" in rendered.tabular


def test_a_bare_tabular_is_the_same_table():
    rendered = tables.render(Table("T", CSV, COLUMNS, None, "t", "a note"))
    assert rendered.tabular in rendered.latex and rendered.tabular.startswith("\\begin{tabular}")
    assert "caption" not in rendered.tabular and "a note" not in rendered.tabular


def test_a_row_is_found_by_its_cells_or_it_is_an_error():
    assert CSV.find(name="b") == 1
    assert CSV.where(n="") == [1] and CSV.where(low="") == [1, 2]
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
