"""Figures of what methods and models do: net effects, gains and losses, hubs, shared failures.

A method's marks stand with its name.
"""

from __future__ import annotations

import re
import textwrap

from common.heavy import matplotlib
from common.report.plots import FILL, HATCH, INK, PALE, SOFT, Rows, axes_of, grid, legend, name_rows
from common.results import EXTRA


def _methods_axes(rows: Rows) -> tuple[matplotlib.figure.Figure, matplotlib.axes.Axes]:
    """matplotlib.axes.Axes with a row for each method, high enough for the most lines that a name takes."""
    names = [_named(row) for row in rows]
    lines = max(name.count("\n") + 1 for name in names)
    figure, axes = axes_of(len(rows), row=max(0.22, 0.02 + 0.1 * lines))
    name_rows(axes, names)
    for text in axes.get_yticklabels():
        text.set(fontsize=6.3 if lines < 3 else 5.8, linespacing=0.95)
    grid(axes)
    return figure, axes


def _named(row: dict[str, str]) -> str:
    """A method's name, its pooling and its marks on further lines: one would take half of the width."""
    # How many queries a mark is about is in the tables.
    marks = [re.split(" from|:", mark)[0] for mark in row["marks"].split("; ") if mark]
    lines = textwrap.wrap(", ".join(marks), 26)
    return "\n".join([row["name"].replace(" (", "\n("), *lines])


# What a method's number is, the gravest mark first -> its marker. Estimated ones are not filled.
MARKERS = {"transductive": "v", EXTRA: "^", "dealt": "P", "tuned": "D", "anecdotal": "p", "": "s"}


def _marker(row: dict[str, str]) -> str:
    return next(mark for mark in MARKERS if mark in row["marks"])


def net_effect(rows: Rows) -> matplotlib.figure.Figure:
    """Forest plot. Columns name, marks, net, low, high, placebo, placebo_low, placebo_high, in points."""
    figure, axes = _methods_axes(rows)
    left, right = _limits([float(row[key]) for row in rows for key in ("low", "high")])
    for at, row in enumerate(rows):
        net, low, high = (float(row[key]) for key in ("net", "low", "high"))
        axes.plot([low, high], [at - 0.13] * 2, color=INK, lw=1.3, solid_capstyle="butt")
        face = "white" if "estimated" in row["marks"] else FILL
        axes.plot(net, at - 0.13, MARKERS[_marker(row)], mfc=face, mec=INK, markersize=5)
        _placebo(axes, row, at + 0.22, (left, right))
    axes.set_xlim(left, right)
    axes.axvline(0, color=INK, lw=0.8, zorder=0)
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(6))
    axes.set_xlabel("net effect on R@1, points")
    used = {_marker(row) for row in rows}
    entries = [(marker, FILL, INK, mark or "fix") for mark, marker in MARKERS.items() if mark in used][::-1]
    if any("estimated" in row["marks"] for row in rows):
        entries.append(("s", "white", INK, "estimated"))
    legend(figure, [*entries, ("x", SOFT, SOFT, "placebo (< > off the axis)")])
    return figure


def _limits(ends: list[float]) -> tuple[float, float]:
    """An axis that holds 0 and all methods' intervals, with some room for placebos that are near."""
    low, high = min(0.0, *ends), max(0.0, *ends)
    room = 0.25 * (high - low) or 1.0
    return low - room, high + room


def _placebo(axes: matplotlib.axes.Axes, row: dict[str, str], at: float, limits: tuple[float, float]) -> None:
    """A placebo with its interval; one that is far away, at the axis' end: methods should not be squeezed."""
    value, left, right = float(row["placebo"]), *limits
    if not left < value < right:
        end, marker = (left, "<") if value <= left else (right, ">")
        axes.plot(end, at, marker, color=SOFT, markersize=3, clip_on=False)
        return
    span = [max(left, float(row["placebo_low"])), min(right, float(row["placebo_high"]))]
    axes.plot(span, [at] * 2, color=SOFT, lw=0.7)
    axes.plot(value, at, "x", color=SOFT, markersize=3.5)


def gained_lost(rows: Rows) -> matplotlib.figure.Figure:
    """Columns name, marks, gained_pp, lost_pp: points of R@1 that failures give and successes cost."""
    figure, axes = _methods_axes(rows)
    axes.grid(False)
    gained, lost = ([float(row[name]) for row in rows] for name in ("gained_pp", "lost_pp"))
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
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(6))
    axes.xaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{abs(value):g}"))
    axes.set_xlabel("points of R@1")
    handles, texts = axes.get_legend_handles_labels()
    net_mark = matplotlib.lines.Line2D([], [], marker="D", linestyle="", mfc="white", mec=INK, markersize=3.6)
    figure.legend(
        [handles[1], handles[0], net_mark], [texts[1], texts[0], "net"], loc="outside upper left", ncols=3
    )
    return figure


def hubness(rows: Rows) -> matplotlib.figure.Figure:
    """Columns name, marks, k, before, after: skewness of the k-occurrence. Drawn at the least k."""
    least = min(int(row["k"]) for row in rows)
    rows = [row for row in rows if int(row["k"]) == least]
    figure, axes = _methods_axes(rows)
    for at, row in enumerate(rows):
        before, after = float(row["before"]), float(row["after"])
        axes.plot([before, after], [at, at], color=SOFT, lw=1)
        axes.plot(before, at, "o", mfc="white", mec=INK, markersize=4.5)
        axes.plot(after, at, "s", color=FILL, markersize=4.5)
    axes.margins(x=0.06)
    axes.set_xlim(left=min(0, axes.get_xlim()[0]))
    axes.set_xlabel(f"skewness of the {least}-occurrence (0: no hubs)")
    legend(figure, [("o", "white", INK, "before"), ("s", FILL, FILL, "after")])
    return figure


# Column -> face, hatch and name of its part of a bar.
PARTS_OF_ALL = {
    "both_fail": (FILL, "", "both fail"),
    "only_first_fails": (PALE, "", "first alone"),
    "only_other_fails": ("white", HATCH, "other alone"),
    "both_right": ("white", "", "neither"),
}


def failure_overlap(rows: Rows) -> matplotlib.figure.Figure:
    """Columns name, n and PARTS_OF_ALL: captions by which of two models fails them, in percent of n."""
    figure, axes = axes_of(len(rows), row=0.3)
    for at, row in enumerate(rows):
        left = 0.0
        for column, (face, hatch, name) in PARTS_OF_ALL.items():
            share = 100 * int(row[column]) / int(row["n"])
            named = {} if at else {"label": name}
            axes.barh(at, share, 0.6, left, color=face, edgecolor=INK, linewidth=0.7, hatch=hatch, **named)
            left += share
    name_rows(axes, ["\n".join(textwrap.wrap(row["name"], 26)) for row in rows])
    axes.set_xlim(0, 100)
    axes.set_xlabel("captions that fail at R@1, %")
    figure.legend(loc="outside upper left", ncols=4, handlelength=1.2, columnspacing=0.9)
    return figure
