"""Figures of a study, each drawn from one small table of text cells, the CSV next to it.

They are one column of a two-column paper wide, which is also a phone's width, and are read without color:
what differs has another marker, hatch or label. The same table gives the same bytes: no dates inside.
"""

import io
from collections.abc import Callable

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

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
# Nothing that says when or with what a file was made: two runs give the same bytes.
METADATA = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    "svg": {"Date": None, "Creator": None},
}
Rows = list[dict[str, str]]


def draw(name: str, rows: Rows, dpi: int) -> dict[str, bytes]:
    """The figure `name` of FIGURES from the rows of its CSV: kind of file ("png", "pdf", "svg") -> bytes."""
    with matplotlib.rc_context(STYLE):
        figure = FIGURES[name](rows)
        files = {}
        for kind, metadata in METADATA.items():
            data = io.BytesIO()
            figure.savefig(data, format=kind, dpi=dpi, metadata=metadata)
            files[kind] = data.getvalue()
    return files


def _axes(n_rows: float, row: float = ROW) -> tuple[Figure, Axes]:
    """One pair of axes whose height goes with the number of rows, the first row on top."""
    figure = Figure(figsize=(WIDTH, MARGINS + row * n_rows), layout="constrained")
    axes = figure.add_subplot()
    axes.set_ylim(n_rows - 0.5, -0.5)
    axes.set_axisbelow(True)
    return figure, axes


def _name_rows(axes: Axes, names: list[str]) -> None:
    axes.set_yticks(range(len(names)), names)


def _name_methods(axes: Axes, rows: Rows) -> None:
    """Names of methods, their pooling on a second line: in one line they would take half of the width."""
    _name_rows(axes, [row["name"].replace(" (", "\n(") for row in rows])
    for text in axes.get_yticklabels():
        text.set(fontsize=6.3, linespacing=0.95)


def _grid(axes: Axes) -> None:
    axes.grid(axis="x", color=PALE, linewidth=0.5)


def _numbers(rows: Rows, column: str, scale: float = 1.0) -> list[float]:
    return [scale * float(row[column]) for row in rows]


def _whole(n: str) -> str:
    return f"{int(n):,}"


def _bars_of_shares(rows: Rows, names: list[str], hatched: list[bool]) -> Figure:
    """Horizontal bars of shares in percent, with intervals and counts."""
    figure, axes = _axes(len(rows))
    for at, row in enumerate(rows):
        share, low, high = (100 * float(row[key]) for key in ("share", "low", "high"))
        face = "white" if hatched[at] else PALE
        axes.barh(at, share, 0.66, color=face, edgecolor=INK, linewidth=0.7, hatch=HATCH * hatched[at])
        axes.plot([low, high], [at, at], color=INK, linewidth=1.2, solid_capstyle="butt")
        axes.plot([low, high], [at, at], "|", color=INK, markersize=4.5, markeredgewidth=1)
        axes.annotate(
            f"n = {_whole(row['n'])}", (high, at), (4, 0), textcoords="offset points", va="center", color=INK
        )
    _name_rows(axes, names)
    # Room on the right for the longest count.
    axes.set_xlim(0, 1.22 * max(_numbers(rows, "high", 100)))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel("share of the labelled failures, %, with 95 % interval")
    return figure


def category_distribution(rows: Rows) -> Figure:
    """Columns category, n, share, low, high."""
    names = [row["category"] for row in rows]
    return _bars_of_shares(rows, names, [name == "Ambiguous" for name in names])


def ambiguous_vs_clear(rows: Rows) -> Figure:
    """Columns label, n, share, low, high; subtypes follow Ambiguous, their names in brackets."""
    names = [row["label"] for row in rows]
    within = [f"  {name.split('(')[1].rstrip(')')}" if "(" in name else name for name in names]
    return _bars_of_shares(rows, within, [name.startswith("Ambiguous") for name in names])


def agreement(rows: Rows) -> Figure:
    """Columns level, statistic, n_items, value, low, high; blank where undefined. A level is in one piece."""
    levels = list(dict.fromkeys(row["level"] for row in rows))
    places = [at + 1.1 * (1 + levels.index(row["level"])) for at, row in enumerate(rows)]
    figure, axes = _axes(places[-1] + 0.7, row=0.165)
    markers = dict(zip(dict.fromkeys(row["statistic"] for row in rows), "so^Dv*", strict=False))
    axes.set_xlim(min([0.0, *(float(row["low"] or row["value"] or 0) - 0.05 for row in rows)]), 1.03)
    for at, row in zip(places, rows, strict=True):
        if row["value"] == "":
            axes.annotate("undefined", (0.02, at), va="center", color=SOFT, style="italic")
            continue
        if row["low"] != "":
            axes.plot(_numbers([row, row], "low")[:1] + [float(row["high"])], [at, at], color=INK, lw=1)
        axes.plot(float(row["value"]), at, markers[row["statistic"]], color=INK, markersize=4, clip_on=False)
    axes.set_yticks(places, [row["statistic"] for row in rows])
    for level in levels:
        own = [(at, row) for at, row in zip(places, rows, strict=True) if row["level"] == level]
        counts = list(dict.fromkeys(_whole(row["n_items"]) for _, row in own))
        text = f"{level} (n = {' or '.join(counts)})"
        axes.annotate(
            text, (0, own[0][0] - 1), xycoords=("axes fraction", "data"), weight="bold", va="center"
        )
    _grid(axes)
    axes.set_xlabel("agreement, with 95 % interval")
    return figure


def confusion(rows: Rows) -> Figure:
    """Columns label_1, label_2, n: pairs of ratings, the lower triangle. Darker means more."""
    labels = list(dict.fromkeys(row["label_1"] for row in rows))
    figure = Figure(figsize=(WIDTH, WIDTH * 0.86), layout="constrained")
    axes = figure.add_subplot()
    most = max(int(row["n"]) for row in rows)
    for row in rows:
        x, y, n = labels.index(row["label_2"]), labels.index(row["label_1"]), int(row["n"])
        # The square root lets a few disagreements be seen next to many agreements.
        depth = (n / most) ** 0.5 if most else 0
        edge = {
            "edgecolor": INK if x == y else PALE,
            "linewidth": 0.9 if x == y else 0.5,
            "zorder": 1 + (x == y),
        }
        axes.add_patch(matplotlib.patches.Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=_grey(depth), **edge))
        color = "white" if depth > 0.6 else INK if n else SOFT
        axes.text(x, y, _whole(row["n"]) if n else "·", ha="center", va="center", color=color, zorder=3)
    axes.set_xticks(range(len(labels)), labels, rotation=35, ha="right", rotation_mode="anchor")
    _name_rows(axes, labels)
    axes.tick_params(length=0)
    axes.set(xlim=(-0.5, len(labels) - 0.5), ylim=(len(labels) - 0.5, -0.5), aspect="equal")
    axes.spines[:].set_visible(False)
    axes.set_xlabel("one rater said")
    axes.set_ylabel("another rater said")
    return figure


def _grey(depth: float) -> tuple[float, float, float]:
    """White for 0, the blue of the other figures for 1; its lightness falls evenly."""
    end = matplotlib.colors.to_rgb(FILL)
    return tuple(1 - depth * (1 - part) for part in end)


def gt_rank(rows: Rows) -> Figure:
    """Columns category, n, p05, q25, median, q75, p95 of the ground truth's rank; blank where n is 0."""
    figure, axes = _axes(len(rows), row=0.23)
    axes.set_xscale("log")
    for at, row in enumerate(rows):
        if row["median"] == "":
            axes.annotate(
                "none labelled so",
                (0.02, at),
                xycoords=("axes fraction", "data"),
                va="center",
                color=SOFT,
                style="italic",
            )
            continue
        low, first, middle, third, high = (float(row[key]) for key in ("p05", "q25", "median", "q75", "p95"))
        axes.plot([low, high], [at, at], color=INK, lw=0.9)
        axes.barh(at, third - first, 0.5, left=first, color=PALE, edgecolor=INK, linewidth=0.7)
        axes.plot([middle, middle], [at - 0.25, at + 0.25], color=INK, lw=2)
    _name_rows(axes, [f"{row['category']} ({_whole(row['n'])})" for row in rows])
    right = max(10.5, *(1.15 * float(row["p95"] or 0) for row in rows))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if right < 200 else (1, 3)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlim(1.6, right)
    _grid(axes)
    axes.set_xlabel("rank of the ground truth")
    return figure


def net_effect(rows: Rows) -> Figure:
    """Forest plot. Columns name, net, low, high, oracle, placebo, placebo_low, placebo_high, in points."""
    figure, axes = _axes(len(rows), row=0.26)
    for at, row in enumerate(rows):
        oracle = row["oracle"] == "True"
        net, low, high = (float(row[key]) for key in ("net", "low", "high"))
        axes.plot([low, high], [at - 0.13] * 2, color=INK, lw=1.3, solid_capstyle="butt")
        style = {"markerfacecolor": "white" if oracle else FILL, "markeredgecolor": INK, "markersize": 5}
        axes.plot(net, at - 0.13, "^" if oracle else "s", **style)
        axes.plot(
            [float(row["placebo_low"]), float(row["placebo_high"])], [at + 0.22] * 2, color=SOFT, lw=0.7
        )
        axes.plot(float(row["placebo"]), at + 0.22, "x", color=SOFT, markersize=3.5)
    axes.axvline(0, color=INK, lw=0.8, zorder=0)
    _name_methods(axes, rows)
    _grid(axes)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.set_xlabel("net effect on R@1, points")
    _legend(
        figure,
        [
            ("s", FILL, INK, "method"),
            ("^", "white", INK, "oracle (a bound)"),
            ("x", SOFT, SOFT, "its placebo"),
        ],
        {
            "^": any(row["oracle"] == "True" for row in rows),
            "s": any(row["oracle"] != "True" for row in rows),
        },
    )
    return figure


def _legend(figure: Figure, entries: list[tuple[str, str, str, str]], used: dict[str, bool]) -> None:
    """Markers above the axes, those that occur; on the inside one would hide a row sooner or later."""
    handles = [
        matplotlib.lines.Line2D(
            [],
            [],
            marker=marker,
            linestyle="",
            markerfacecolor=face,
            markeredgecolor=edge,
            markersize=5,
            label=text,
        )
        for marker, face, edge, text in entries
        if used.get(marker, True)
    ]
    figure.legend(
        handles=handles, loc="outside upper left", ncols=len(handles), handletextpad=0.2, columnspacing=1
    )


def gained_lost(rows: Rows) -> Figure:
    """Columns name, gained_pp, lost_pp: points of R@1 that failures give and successes cost."""
    figure, axes = _axes(len(rows), row=0.24)
    gained, lost = _numbers(rows, "gained_pp"), _numbers(rows, "lost_pp")
    places = range(len(rows))
    axes.barh(places, gained, 0.66, color=FILL, edgecolor=INK, linewidth=0.7, label="gained")
    axes.barh(
        places,
        [-of for of in lost],
        0.66,
        color="white",
        edgecolor=INK,
        linewidth=0.7,
        hatch=HATCH,
        label="lost",
    )
    for at, row in enumerate(rows):
        net = float(row["gained_pp"]) - float(row["lost_pp"])
        axes.plot(net, at, "D", markerfacecolor="white", markeredgecolor=INK, markersize=3.6)
    axes.axvline(0, color=INK, lw=0.8)
    _name_methods(axes, rows)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{abs(value):g}"))
    axes.set_xlabel("points of R@1")
    handles, texts = axes.get_legend_handles_labels()
    net_mark = matplotlib.lines.Line2D(
        [], [], marker="D", linestyle="", markerfacecolor="white", markeredgecolor=INK, markersize=3.6
    )
    figure.legend(
        [handles[1], handles[0], net_mark], [texts[1], texts[0], "net"], loc="outside upper left", ncols=3
    )
    return figure


def hubness(rows: Rows) -> Figure:
    """Columns name, before, after: skewness of the k-occurrence."""
    figure, axes = _axes(len(rows))
    for at, row in enumerate(rows):
        before, after = float(row["before"]), float(row["after"])
        axes.plot([before, after], [at, at], color=SOFT, lw=1)
        axes.plot(before, at, "o", markerfacecolor="white", markeredgecolor=INK, markersize=4.5)
        axes.plot(after, at, "s", color=FILL, markersize=4.5)
    _name_methods(axes, rows)
    axes.margins(x=0.06)
    axes.set_xlim(left=min(0, axes.get_xlim()[0]))
    _grid(axes)
    axes.set_xlabel("skewness of the k-occurrence (0: no hubs)")
    _legend(figure, [("o", "white", INK, "before"), ("s", FILL, FILL, "after")], {})
    return figure


FIGURES: dict[str, Callable[[Rows], Figure]] = {
    function.__name__: function
    for function in (
        *(category_distribution, ambiguous_vs_clear, agreement, confusion, gt_rank),
        *(net_effect, gained_lost, hubness),
    )
}
