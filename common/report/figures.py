"""Figures of a study, each drawn from one small table of text cells, the CSV next to it.

They are one column of a two-column paper wide, which is also a phone's width, and are read without color:
what differs has another marker, hatch or label. The same table gives the same bytes: no dates inside.
"""

from __future__ import annotations

import io
from collections.abc import Callable

from common.heavy import matplotlib
from common.labels.taxonomy import AMBIGUOUS
from common.report import fix_figures
from common.report.plots import (
    FILL,
    HATCH,
    INK,
    MARGINS,
    PALE,
    ROW,
    SOFT,
    STYLE,
    WIDTH,
    Rows,
    axes_of,
    grid,
    legend,
    name_rows,
)

# Nothing that says when or with what a file was made: two runs give the same bytes.
METADATA = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    "svg": {"Date": None, "Creator": None},
}


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


def _numbers(rows: Rows, column: str, scale: float = 1.0) -> list[float]:
    return [scale * float(row[column]) for row in rows]


def _whole(n: str) -> str:
    return f"{int(n):,}"


def _bars_of_shares(rows: Rows, names: list[str], hatched: list[bool]) -> matplotlib.figure.Figure:
    """Horizontal bars of shares in percent, with intervals and counts."""
    assisted = bool(rows[0].get("assisted"))
    figure, axes = axes_of(len(rows), row=ROW * (1.5 if assisted else 1))
    if assisted:
        legend(figure, [("D", "white", INK, f"assisted by {rows[0]['model_name']}")])
    for at, row in enumerate(rows):
        if assisted:
            _assisted(axes, row, at + 0.4)
        share, low, high = (100 * float(row[key]) for key in ("share", "low", "high"))
        face = "white" if hatched[at] else PALE
        axes.barh(at, share, 0.66, color=face, edgecolor=INK, linewidth=0.7, hatch=HATCH * hatched[at])
        axes.plot([low, high], [at, at], color=INK, linewidth=1.2, solid_capstyle="butt")
        axes.plot([low, high], [at, at], "|", color=INK, markersize=4.5, markeredgewidth=1)
        axes.annotate(
            f"n = {_whole(row['n'])}", (high, at), (4, 0), textcoords="offset points", va="center", color=INK
        )
    name_rows(axes, names)
    # Room on the right for the longest count.
    ends = [float(row.get("assisted_high") or row["high"]) for row in rows]
    axes.set_xlim(0, max(1.22 * max(_numbers(rows, "high", 100)), 105 * max(ends)))
    if assisted:
        axes.set_ylim(len(rows) - 0.3, -0.5)  # room for the last row's second marker
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(6, integer=True))
    provisional = "\n(provisional)" if rows[0]["status"].startswith("provisional") else ""
    axes.set_xlabel(f"share of the labeled failures, %, with 95 % interval{provisional}")
    return figure


def _assisted(axes: matplotlib.axes.Axes, row: dict[str, str], at: float) -> None:
    """The share that a model helped to estimate, under people's own."""
    share, low, high = (100 * float(row[f"assisted{end}"]) for end in ("", "_low", "_high"))
    axes.plot([low, high], [at, at], color=SOFT, linewidth=0.9, solid_capstyle="butt")
    axes.plot(share, at, "D", markerfacecolor="white", markeredgecolor=INK, markersize=3, markeredgewidth=0.7)


def category_distribution(rows: Rows) -> matplotlib.figure.Figure:
    """Columns category, n, share, low, high; with a model's help also assisted, its ends and model_name."""
    names = [row["category"] for row in rows]
    return _bars_of_shares(rows, names, [name == AMBIGUOUS for name in names])


def ambiguous_vs_clear(rows: Rows) -> matplotlib.figure.Figure:
    """Columns label, n, share, low, high; subtypes follow Ambiguous, their names in brackets."""
    names = [row["label"] for row in rows]
    within = [f"  {name.split('(')[1].rstrip(')')}" if "(" in name else name for name in names]
    return _bars_of_shares(rows, within, [name.startswith(AMBIGUOUS) for name in names])


def agreement(rows: Rows) -> matplotlib.figure.Figure:
    """Columns level, statistic, n_items, value, low, high; blank where undefined. A level is in one piece."""
    levels = list(dict.fromkeys(row["level"] for row in rows))
    places = [at + 1.1 * (1 + levels.index(row["level"])) for at, row in enumerate(rows)]
    figure, axes = axes_of(places[-1] + 0.7, row=0.165)
    markers = dict(zip(dict.fromkeys(row["statistic"] for row in rows), "so^Dv*", strict=False))
    axes.set_xlim(min([0.0, *(float(row["low"] or row["value"] or 0) - 0.05 for row in rows)]), 1.03)
    axes.set_ylim(places[-1] + 0.9, -0.5)  # room for a whole marker below the last row
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
    grid(axes)
    axes.set_xlabel("agreement, with 95 % interval")
    return figure


def confusion(rows: Rows) -> matplotlib.figure.Figure:
    """Columns label_1, label_2, n: pairs of ratings, the lower triangle. Darker means more."""
    labels = list(dict.fromkeys(row["label_1"] for row in rows))
    figure = matplotlib.figure.Figure(figsize=(WIDTH, WIDTH * 0.86), layout="constrained")
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
    name_rows(axes, labels)
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


def gt_rank(rows: Rows) -> matplotlib.figure.Figure:
    """Columns category, n, p05, q25, median, q75, p95 of the ground truth's rank; blank where n is 0."""
    figure, axes = axes_of(len(rows), row=0.23)
    axes.set_xscale("log")
    for at, row in enumerate(rows):
        if row["median"] == "":
            axes.annotate(
                "none labeled so",
                (0.02, at),
                xycoords=("axes fraction", "data"),
                va="center",
                color=SOFT,
                style="italic",
            )
            continue
        low, first, middle, third, high = (float(row[key]) for key in ("p05", "q25", "median", "q75", "p95"))
        for ends in ([low, first], [third, high]):
            axes.plot(ends, [at, at], color=INK, lw=0.9, solid_capstyle="butt")
        axes.barh(at, third - first, 0.5, left=first, color=PALE, edgecolor=INK, linewidth=0.7)
        axes.plot([middle, middle], [at - 0.25, at + 0.25], color=INK, lw=2)
    name_rows(axes, [f"{row['category']} ({_whole(row['n'])})" for row in rows])
    right = max(10.5, *(1.15 * float(row["p95"] or 0) for row in rows))
    axes.xaxis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1, 2, 5) if right < 200 else (1, 3)))
    axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    axes.xaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlim(1.6, right)
    grid(axes)
    axes.set_xlabel("rank of the ground truth")
    return figure


def probe(rows: Rows) -> matplotlib.figure.Figure:
    """Columns type, n, accuracy, odds_ratio, each of the two with its ends; blank where there is no ratio."""
    known = [row for row in rows if row["odds_ratio"]]
    figure = matplotlib.figure.Figure(figsize=(WIDTH, MARGINS + ROW * len(rows)), layout="constrained")
    panels = figure.subplots(1, 2 if known else 1, sharey=True, squeeze=False)[0]
    panels[0].set_ylim(len(rows) - 0.5, -0.5)
    for at, row in enumerate(rows):
        low, value, high = (100 * float(row[key]) for key in ("low", "accuracy", "high"))
        panels[0].plot([low, high], [at, at], color=INK, lw=1)
        panels[0].plot(value, at, "s", color=FILL, markersize=4)
    name_rows(panels[0], [f"{row['type']} ({_whole(row['n'])})" for row in rows])
    panels[0].set_xlabel("caption preferred, %")
    if known:
        _odds(panels[1], rows)
    for axes, nothing in zip(panels, (50, 1), strict=False):
        grid(axes)
        axes.axvline(nothing, color=SOFT, lw=0.8, linestyle=":", zorder=1)
    return figure


def _odds(axes: matplotlib.axes.Axes, rows: Rows) -> None:
    """Odds ratios on a logarithmic axis that holds every interval."""
    for at, row in enumerate(rows):
        if row["odds_ratio"] == "":
            place = {"xycoords": ("axes fraction", "data"), "va": "center"}
            axes.annotate("not known", (0.04, at), color=SOFT, style="italic", **place)
            continue
        axes.plot([float(row[f"odds_ratio_{end}"]) for end in ("low", "high")], [at, at], color=INK, lw=1)
        axes.plot(float(row["odds_ratio"]), at, "o", mfc="white", mec=INK, markersize=4)
    ends = [float(row[f"odds_ratio_{end}"]) for row in rows if row["odds_ratio"] for end in ("low", "high")]
    low, high = min([0.5, *ends]), max([2.0, *ends])
    axes.set(xscale="log", xlim=(0.8 * low, 1.25 * high))
    # At most some four numbers, whatever an interval spans.
    axes.xaxis.set_major_locator(
        matplotlib.ticker.LogLocator(subs=(1,) if high / low > 60 else (1, 3), numticks=5)
    )
    axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    axes.xaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("odds ratio of R@1 failing")


FIGURES: dict[str, Callable[[Rows], matplotlib.figure.Figure]] = {
    function.__name__: function
    for function in (
        *(category_distribution, ambiguous_vs_clear, agreement, confusion, gt_rank, probe),
        *(fix_figures.net_effect, fix_figures.gained_lost, fix_figures.hubness),
        fix_figures.failure_overlap,
    )
}
