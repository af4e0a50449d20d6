"""What all figures share: their size, their style, axes with a row for each thing that is shown."""

from __future__ import annotations

from common.heavy import matplotlib

WIDTH = 3.5  # inches
ROW = 0.19  # inches of height for each row of a figure
MARGINS = 0.62  # inches of height for axis labels and legend
INK, SOFT, FILL, PALE = "#16202a", "#66727e", "#0a558c", "#c9d3dc"
HATCH = "/////"
STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so figures look alike on every machine
    "font.size": 7,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0,
    "ytick.major.size": 0,
    "hatch.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 6.5,
    "pdf.fonttype": 42,  # TrueType, embedded: publishers refuse the default, Type 3
    "svg.fonttype": "path",
    "svg.hashsalt": "CLIP-ZeroShot-Retrieval",  # ids inside an SVG are random without it
}
Rows = list[dict[str, str]]


def axes_of(n_rows: float, row: float = ROW) -> tuple[matplotlib.figure.Figure, matplotlib.axes.Axes]:
    """One pair of axes whose height goes with the number of rows, the first row on top."""
    figure = matplotlib.figure.Figure(figsize=(WIDTH, MARGINS + row * n_rows), layout="constrained")
    axes = figure.add_subplot()
    axes.set_ylim(n_rows - 0.5, -0.5)
    axes.set_axisbelow(True)
    return figure, axes


def name_rows(axes: matplotlib.axes.Axes, names: list[str]) -> None:
    axes.set_yticks(range(len(names)), names)


def grid(axes: matplotlib.axes.Axes) -> None:
    axes.grid(axis="x", color=PALE, linewidth=0.5)


def legend(figure: matplotlib.figure.Figure, entries: list[tuple[str, str, str, str]]) -> None:
    """Markers above the axes; on the inside one would hide a row sooner or later."""
    handles = [
        matplotlib.lines.Line2D(
            [], [], marker=marker, linestyle="", mfc=face, mec=edge, markersize=5, label=text
        )
        for marker, face, edge, text in entries
    ]
    columns = min(len(handles), 3)
    figure.legend(
        handles=handles, loc="outside upper left", ncols=columns, handletextpad=0.2, columnspacing=1
    )
