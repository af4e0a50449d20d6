"""Figures: what they show is what their table holds, readable without color, the same bytes each time."""

import io
import re
import zlib

import matplotlib
import numpy as np
import pytest
from matplotlib.patches import Rectangle
from PIL import Image

from common.labels.taxonomy import CATEGORY_NAMES
from common.report import figures

SHARES = [(0.4, 0.3, 0.5), (0.1, 0.05, 0.2), (0.0, 0.0, 0.02)]


def shares(names, counts, status: str = "final") -> list[dict[str, str]]:
    total = sum(counts)
    return [
        {"category": name, "label": name, "n": str(n), "share": f"{n / total:.4f}", "status": status}
        | {"low": f"{max(0, n / total - 0.05):.4f}", "high": f"{n / total + 0.06:.4f}"}
        for name, n in zip(names, counts, strict=True)
    ]


def agreement(**undefined) -> list[dict[str, str]]:
    rows = []
    for level in ("ambiguous or clear", "category", "subtype"):
        for number, statistic in enumerate(("percent agreement", "Krippendorff's alpha", "Gwet's AC1")):
            value = {"value": f"0.{7 + number}", "low": "0.5", "high": "0.95"}
            rows.append({"level": level, "statistic": statistic, "n_items": "50"} | value)
    return rows


def confusion(n: str) -> list[dict[str, str]]:
    return [
        {"label_1": one, "label_2": two, "n": n}
        for at, one in enumerate(CATEGORY_NAMES)
        for two in CATEGORY_NAMES[: at + 1]
    ]


def ranks(*medians: str) -> list[dict[str, str]]:
    names = ("p05", "q25", "median", "q75", "p95")
    return [
        {"category": category, "n": "12" if median else "0"}
        | {name: str(round(float(median) * (1 + at))) if median else "" for at, name in enumerate(names)}
        for category, median in zip(CATEGORY_NAMES, medians, strict=False)
    ]


ASSISTED = {"assisted": "0.2", "assisted_low": "0.1", "assisted_high": "0.6", "model_name": "tiny-vlm 1.0"}
MARKS = ["", "extra knowledge", "transductive; estimated from 2,000 of 2,700; tuned", "dealt; tuned"]
MARKS += ["anecdotal: n = 11", "estimated from 2,000 of 2,700"]


def methods(*nets: float, marks: list[str] = MARKS, placebo: float = -2.0) -> list[dict[str, str]]:
    return [
        {"name": f"method {at} (max)", "marks": marks[at % len(marks)], "net": f"{net:.2f}", "k": "1"}
        | {"low": f"{net - 1:.2f}", "high": f"{net + 1:.2f}"}
        | {"placebo": f"{placebo}", "placebo_low": f"{placebo - 1}", "placebo_high": f"{placebo + 1}"}
        | {"gained_pp": f"{max(net, 0) + 1:.2f}", "lost_pp": f"{max(-net, 0) + 1:.2f}"}
        | {"before": "1.50", "after": f"{1.5 - net / 10:.4f}"}
        for at, net in enumerate(nets)
    ]


def probe(*ratios: float | None) -> list[dict[str, str]]:
    rows = []
    for ratio, name in zip(ratios, ("replace-obj", "swap-obj", "add-obj", "replace-att"), strict=False):
        ends = {"": 1, "_low": 0.3, "_high": 4}
        odds = {f"odds_ratio{end}": "" if ratio is None else f"{ratio * of}" for end, of in ends.items()}
        rows.append({"type": name, "n": "1652", "accuracy": "0.909", "low": "0.89", "high": "0.92"} | odds)
    return rows


WAYS = ("both_fail", "only_first_fails", "only_other_fails", "both_right")
MODELS = [
    ("openai/clip-vit-large-patch14-336 (bfloat16)", 9000, 8000, 2000, 6000),
    ("the same", 17500, 0, 0, 7500),
    ("all wrong", 17500, 0, 7500, 0),
]


def overlap(*models: tuple) -> list[dict[str, str]]:
    """Columns of the figure of shared failures: name and counts of each model."""
    rows = []
    for name, *counts in models:
        row = {"name": name, "n": str(sum(counts))}
        rows.append(row | {way: str(n) for way, n in zip(WAYS, counts, strict=True)})
    return rows


# Each figure on an ordinary table, and on those at the edge of what there can be.
TABLES = {
    "category_distribution": [
        shares(CATEGORY_NAMES, [40, 10, 5, 3, 2, 1, 0]),
        shares(CATEGORY_NAMES, [1, 0, 0, 0, 0, 0, 0]),
        shares(CATEGORY_NAMES, [40, 10, 5, 3, 2, 1, 1], "provisional: 35 of 200 without a label"),
        shares(CATEGORY_NAMES, [1200, 900, 300, 300, 200, 60, 40]),
        [row | ASSISTED for row in shares(CATEGORY_NAMES, [40, 10, 10, 10, 10, 10, 10])],
    ],
    "ambiguous_vs_clear": [shares(["Ambiguous", "Ambiguous (underspecified)", "Clear"], [10, 6, 50])],
    "agreement": [
        agreement(),
        [row | {"value": "", "low": "", "high": ""} for row in agreement()[:3]] + agreement()[3:],
        [row | {"low": "", "high": ""} for row in agreement()],
        [row | {"value": "-0.30", "low": "-0.60"} for row in agreement()[:1]],
    ],
    "confusion": [confusion("7"), confusion("12345"), confusion("0")[:-1] + confusion("1")[-1:]],
    "gt_rank": [ranks("2", "3", "4", "10", "2", "700", "5"), ranks("2", "", ""), ranks("2")],
    "probe": [probe(1.2, None, 0.8, 3.0), probe(None, None), probe(40.0, 0.01, 1.0), probe(1.0)],
    "net_effect": [
        methods(3.2, -1.0, 0.0, 7.0, 1.0, 2.0),
        methods(0.0),
        methods(5.0, marks=["extra knowledge"]),
        methods(3.2, 1.0, placebo=-21.0),
    ],
    "gained_lost": [methods(3.2, -1.0, 0.0, 7.0), methods(0.0)],
    "hubness": [methods(3.2, -1.0), methods(0.0)],
    "failure_overlap": [overlap(("other", 1599, 212, 163, 726)), overlap(*MODELS)],
}
CASES = [(name, at) for name, tables in TABLES.items() for at in range(len(tables))]


def drawn(name: str, rows: list[dict[str, str]]):
    with matplotlib.rc_context(figures.STYLE):
        figure = figures.FIGURES[name](rows)
        figure.draw_without_rendering()
    return figure


def test_every_figure_is_tried():
    assert TABLES.keys() == figures.FIGURES.keys()


@pytest.mark.parametrize(("name", "at"), CASES)
def test_nothing_is_cut_off_and_no_text_covers_another(name, at):
    rows = TABLES[name][at]
    figure = drawn(name, rows)
    shown = [text for axes in figure.axes for text in texts_of(axes) if text.get_text()]
    boxes = [text.get_window_extent() for text in shown]
    for text, box in zip(shown, boxes, strict=True):
        assert box.x0 >= -1 and box.x1 <= figure.bbox.x1 + 1, f"{text.get_text()!r} is cut off"
    for one in range(len(boxes)):
        for other in range(one):
            # Slanted names may have boxes that overlap where the letters don't.
            covered = name != "confusion" and _cover(boxes[one], boxes[other])
            assert not covered, (shown[one].get_text(), shown[other].get_text())
    assert figure.bbox.height / figure.dpi < 11, "higher than a page"


def texts_of(axes) -> list:
    """Every text that is drawn: of ticks those within the limits."""
    low, high = axes.get_xlim()
    ticks = [text for text in axes.get_xticklabels() if low <= text.get_position()[0] <= high]
    names = [text for text in axes.get_yticklabels() if text.get_visible()]  # of panels the first has them
    return [*axes.texts, *ticks, *names, axes.xaxis.label, axes.yaxis.label]


def _cover(one, other) -> bool:
    wide = min(one.x1, other.x1) - max(one.x0, other.x0)
    high = min(one.y1, other.y1) - max(one.y0, other.y0)
    return wide > 1 and high > 2


@pytest.mark.parametrize(("name", "at"), CASES)
def test_no_axis_is_empty(name, at):
    for axes in drawn(name, TABLES[name][at]).axes:
        low, high = axes.get_xlim()
        inside = [
            x
            for line in axes.lines
            for x in np.atleast_1d(line.get_xdata())
            if low <= x <= high and line.get_marker() not in ("None", None, "")
        ]
        bars = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
        assert inside or bars
        assert len(axes.get_yticks()) >= 1


def test_bars_are_as_long_as_the_shares():
    rows = TABLES["category_distribution"][0]
    (axes,) = drawn("category_distribution", rows).axes
    assert [bar.get_width() for bar in axes.patches] == pytest.approx(
        [100 * float(row["share"]) for row in rows]
    )
    assert [text.get_text() for text in axes.texts] == [f"n = {row['n']}" for row in rows]
    assert [text.get_text() for text in axes.get_yticklabels()] == list(CATEGORY_NAMES)
    assert "provisional" not in axes.get_xlabel()
    (unsure,) = drawn("category_distribution", TABLES["category_distribution"][2]).axes
    assert "provisional" in unsure.get_xlabel()
    # Ambiguous can be recognized without color.
    assert [bool(bar.get_hatch()) for bar in axes.patches] == [True] + 6 * [False]


def test_assisted_shares_stand_under_peoples_and_are_named():
    figure = drawn("category_distribution", TABLES["category_distribution"][-1])
    (axes,) = figure.axes
    diamonds = [line for line in axes.lines if line.get_marker() == "D"]
    assert [line.get_xdata()[0] for line in diamonds] == [20.0] * 7
    assert [line.get_ydata()[0] for line in diamonds] == [at + 0.4 for at in range(7)]
    assert axes.get_xlim()[1] >= 60 and axes.get_ylim()[0] > 6.5
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["assisted by tiny-vlm 1.0"]


def marks_of(axes) -> list[tuple[str, float]]:
    """Each marker with its place."""
    marks = [(line.get_marker(), float(line.get_xdata()[0])) for line in axes.lines]
    return [mark for mark in marks if mark[0] != "None"]


def test_forest_plot_shows_each_method_with_its_placebo():
    """Each kind has a marker of its own, estimated ones are not filled, and every mark is in words."""
    rows = TABLES["net_effect"][0]
    (axes,) = drawn("net_effect", rows).axes
    expected = []
    for row, marker in zip(rows, "s^vPps", strict=True):
        expected += [(marker, float(row["net"])), ("x", float(row["placebo"]))]
    assert marks_of(axes) == expected
    filled = [line.get_markerfacecolor() for line in axes.lines if line.get_marker() in set("s^vPp")]
    assert [face == "white" for face in filled] == ["estimated" in row["marks"] for row in rows]
    spans = [tuple(line.get_xdata()) for line in axes.lines if len(line.get_xdata()) == 2]
    assert (float(rows[0]["low"]), float(rows[0]["high"])) in spans


@pytest.mark.parametrize("name", ["net_effect", "gained_lost", "hubness"])
def test_marks_stand_with_a_method_in_every_figure(name):
    (axes,) = drawn(name, TABLES["net_effect"][0]).axes
    shown = [" ".join(text.get_text().split()) for text in axes.get_yticklabels()]
    for text, row in zip(shown, TABLES["net_effect"][0], strict=True):
        words = [re.split(" from|:", mark)[0] for mark in row["marks"].split("; ") if mark]
        assert text.startswith(row["name"]) and all(word in text for word in words)


@pytest.mark.parametrize(("placebo", "marker"), [(-21.0, "<"), (-7.0, "<"), (30.0, ">")])
def test_a_placebo_far_away_does_not_squeeze_the_methods(placebo, marker):
    rows = methods(3.2, 1.0, placebo=placebo)
    (axes,) = drawn("net_effect", rows).axes
    low, high = axes.get_xlim()
    ends = [float(row[key]) for row in rows for key in ("low", "high")]
    assert max(ends) - min(0, *ends) > 0.6 * (high - low)
    assert [mark for mark, _ in marks_of(axes)] == ["s", marker, "^", marker]
    assert {at for mark, at in marks_of(axes) if mark == marker} == {low if marker == "<" else high}


def test_whiskers_end_at_the_box():
    (axes,) = drawn("gt_rank", TABLES["gt_rank"][0]).axes
    boxes = [(box.get_x(), box.get_x() + box.get_width()) for box in axes.patches]
    lines = [tuple(line.get_xdata()) for line in axes.lines if line.get_linewidth() == 0.9]
    for (left, right), low, high in zip(boxes, lines[::2], lines[1::2], strict=True):
        assert (low[1], high[0]) == pytest.approx((left, right))


def test_no_marker_of_agreement_is_cut():
    figure = drawn("agreement", TABLES["agreement"][0])
    (axes,) = figure.axes
    last = max(float(line.get_ydata()[0]) for line in axes.lines)
    bottom = axes.transData.transform((0, last))[1]
    assert bottom - axes.bbox.y0 > 4 * figure.dpi / 72, "half of a marker of 4 points, and some more"


def test_confusion_shows_every_count():
    rows = [row | {"n": str(at)} for at, row in enumerate(confusion("0"))]
    (axes,) = drawn("confusion", rows).axes
    shown = [text.get_text() for text in axes.texts]
    assert shown == ["·"] + [str(at) for at in range(1, 28)]


def test_gained_and_lost_differ_in_hatch_and_side():
    (axes,) = drawn("gained_lost", TABLES["gained_lost"][0]).axes
    for bar in axes.patches:
        assert bool(bar.get_hatch()) == (bar.get_width() < 0)


def test_odds_ratios_are_shown_where_one_is_known():
    left, right = drawn("probe", probe(1.2, None, 0.8)).axes
    for axes, values, marker in ((left, [90.9] * 3, "s"), (right, [1.2, 0.8], "o")):
        assert [line.get_xdata()[0] for line in axes.lines if line.get_marker() == marker] == values
    assert [text.get_text() for text in right.texts] == ["not known"]
    assert len(drawn("probe", probe(None)).axes) == 1


def test_shared_failures_are_parts_of_all_captions():
    (axes,) = drawn("failure_overlap", TABLES["failure_overlap"][0]).axes
    ends = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in axes.patches]
    assert [high for _, high in ends] == pytest.approx([59.22, 67.07, 73.11, 100], abs=0.01)
    assert [low for low, _ in ends[1:]] == pytest.approx([high for _, high in ends[:-1]])
    assert len({(bar.get_facecolor(), bar.get_hatch()) for bar in axes.patches}) == 4


@pytest.mark.parametrize("name", TABLES)
def test_files_have_no_dates_and_embedded_fonts(name):
    one, two = (figures.draw(name, TABLES[name][0], 72) for _ in range(2))
    assert one == two
    assert one.keys() == {"png", "pdf", "svg"}
    picture = Image.open(io.BytesIO(one["png"]))
    assert picture.width == round(72 * figures.WIDTH)
    assert not {key for key in picture.info if key.lower() not in ("dpi",)}
    assert b"Date" not in one["pdf"] and b"/Type3" not in one["pdf"]
    fonts = re.findall(rb"/BaseFont /(\S+)", one["pdf"])
    assert fonts and all(b"DejaVuSans" in font for font in fonts)
    assert b"/FontFile2" in one["pdf"]
    assert b"<text" not in one["svg"] and b"dc:date" not in one["svg"]
    assert len(zlib.compress(one["svg"])) < 60_000


def test_marks_that_differ_in_meaning_differ_in_shape():
    """In gray, methods differ from placebos, and before from after."""
    for name in ("net_effect", "hubness", "agreement"):
        (axes,) = drawn(name, TABLES[name][0]).axes
        marks = {line.get_marker() for line in axes.lines} - {"None", None, ""}
        assert len(marks) >= 2, name
