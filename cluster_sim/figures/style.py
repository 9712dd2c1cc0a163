"""What all figures share: size, colours, axes, and how numbers are said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from math import floor
from textwrap import fill
from typing import cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from cluster_sim.errors import ScenarioError
from cluster_sim.results.results import Results

WIDTH_IN = 9.0
"""900 pixels at 100 dpi: a README's width. Text of 8 points and more stays readable there."""

# Okabe and Ito's palette, told apart with every common colour blindness; yellow is left out, it is
# too pale for lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
Dash = str | tuple[int, tuple[float, ...]]
DASHES: tuple[Dash, ...] = ("-", (0, (5.0, 1.5)), (0, (1.0, 1.0)), (0, (5.0, 1.5, 1.0, 1.5)))
GREY = "#777777"
# Of the phases of a request's life, see metrics.phases; from the same palette.
PHASES = {
    "queue": "#E69F00",
    "prefill": "#0072B2",
    "hand-over": "#CC79A7",
    "KV transfer": "#56B4E9",
    "preempted": "#D55E00",
    "contention": "#000000",
    "decode": "#009E73",
}


@dataclass(frozen=True)
class Sheet:
    """What a figure is for: its width, and how large its text is beside that of a README."""

    width_in: float
    wide_in: float
    """Of figures with panels side by side."""
    text: float
    tallest_in: float = float("inf")


SHEETS = {
    "readme": Sheet(WIDTH_IN, WIDTH_IN, 1.0),
    "paper": Sheet(
        3.4, 7.0, 0.8
    ),  # one and two columns of IEEE's and ACM's pages; text of 6.4 points and more
    "slide": Sheet(13.33, 13.33, 1.5, 7.5),  # 16 to 9, as slides are
}
_sheet: ContextVar[Sheet] = ContextVar("sheet", default=SHEETS["readme"])


@contextmanager
def using(name: str) -> Iterator[Sheet]:
    """Figures that are made while this lasts are for a README, a paper or a slide."""
    token = _sheet.set(SHEETS[name])
    try:
        yield SHEETS[name]
    finally:
        _sheet.reset(token)


def scaled(figure: Figure, sheet: Sheet) -> Figure:
    """`figure` with its text and its lines as large as `sheet` wants them; it was drawn with the
    sizes of a README.
    """
    if sheet.text == 1.0:
        return figure
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_fontsize(sheet.text * float(text.get_fontsize()))
    for panel in figure.axes:
        panel.tick_params(labelsize=8.0 * sheet.text)
        for line in panel.lines:
            line.set_linewidth(sheet.text * line.get_linewidth())
            line.set_markersize(sheet.text * line.get_markersize())
    return figure


def _characters(count: int, columns: int = 1) -> int:
    """As many as fit where `count` fit in a README."""
    sheet = _sheet.get()
    width_in = sheet.width_in if columns == 1 else sheet.wide_in
    return max(round(count * width_in / WIDTH_IN / sheet.text), 16)


@dataclass(frozen=True)
class Variant:
    """One of the runs that are drawn together, and how it looks in every panel."""

    results: Results
    label: str
    colour: str
    dash: Dash


def variants(results: Sequence[Results]) -> list[Variant]:
    """The runs in the order given, labelled by what tells them apart: variant, else name, else a
    number.
    """
    scenarios = [one.scenario for one in results]
    labels = [scenario.variant or scenario.name for scenario in scenarios]
    if len(set(labels)) < len(labels):
        labels = [scenario.title for scenario in scenarios]
    if len(set(labels)) < len(labels) and len({scenario.seed for scenario in scenarios}) > 1:
        labels = [
            f"{label}, seed {scenario.seed}"
            for label, scenario in zip(labels, scenarios, strict=True)
        ]
    seen: Counter[str] = Counter()
    for place, label in enumerate(labels):
        seen[label] += 1
        if seen[label] > 1:
            labels[place] = f"{label} ({seen[label]})"
    return [
        Variant(one, label, *look(place))
        for place, (one, label) in enumerate(zip(results, labels, strict=True))
    ]


def look(place: int) -> tuple[str, Dash]:
    """Colour and dash of the run at this place."""
    return COLOURS[place % len(COLOURS)], DASHES[place % len(DASHES)]


def blank(
    heights_in: Sequence[float],
    columns: int = 1,
    share_x: bool = False,
    share_y: bool = False,
    given: Sequence[Axes] | None = None,
) -> tuple[Figure, list[Axes]]:
    """An empty figure as wide as the sheet in use, with rows of these heights [inches] in a README,
    and its axes row by row.

    given: axes to draw on in place of new ones. Raises ScenarioError where they are fewer than are
    needed.
    """
    if given is not None:
        if len(given) < len(heights_in) * columns:
            raise ScenarioError.at("axes", f"came {len(given)}; wanted {len(heights_in) * columns}")
        return cast(Figure, given[0].get_figure(root=True)), list(
            given[: len(heights_in) * columns]
        )
    sheet = _sheet.get()
    width_in = sheet.width_in if columns == 1 else sheet.wide_in
    height_in = min(
        sum(heights_in) * (width_in / WIDTH_IN) ** 0.35, sheet.tallest_in
    )  # half as wide is not half as high: text stays
    figure = Figure(figsize=(width_in, height_in), layout="constrained", dpi=100)
    grid = figure.subplots(
        len(heights_in),
        columns,
        sharex=share_x,
        sharey=share_y,
        squeeze=False,
        gridspec_kw={"height_ratios": list(heights_in)},
    )
    axes = list(grid.ravel())
    for panel in axes:
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(True, color="#dddddd", linewidth=0.6)
        panel.set_axisbelow(True)
        panel.tick_params(labelsize=8)
    return figure, axes


def _columns(figure: Figure) -> int:
    """Panels side by side."""
    return max(
        (
            spec.get_gridspec().ncols
            for panel in figure.axes
            if (spec := panel.get_subplotspec()) is not None
        ),
        default=1,
    )


def headline(figure: Figure, text: str) -> None:
    """The finding, over the whole figure."""
    figure.suptitle(
        fill(text, _characters(96, _columns(figure)), break_on_hyphens=False),
        fontsize=11,
        fontweight="bold",
        x=0.01,
        ha="left",
    )


def title(panel: Axes, text: str, width: int = 120) -> None:
    """What a panel shows, with its numbers; `width` in characters."""
    figure = panel.get_figure(root=True)
    panel.set_title(
        fill(text, _characters(width, _columns(figure) if figure else 1), break_on_hyphens=False),
        fontsize=9,
        loc="left",
    )


def label(panel: Axes, x: str | None = None, y: str | None = None) -> None:
    """Names of the axes, with their units."""
    if x is not None:
        panel.set_xlabel(x, fontsize=9)
    if y is not None:
        panel.set_ylabel(y, fontsize=8)


def shared_legend(panel: Axes) -> None:
    """One legend for all panels, below them, with what is drawn in `panel`."""
    if (figure := panel.get_figure(root=True)) is not None:
        ncols = 4 if _columns(figure) > 1 or _sheet.get().width_in >= WIDTH_IN else 2
        figure.legend(
            *panel.get_legend_handles_labels(),
            loc="outside lower center",
            ncols=ncols,
            fontsize=9,
            frameon=False,
            handlelength=3.0,
            markerscale=2.0,
        )


def nothing(panel: Axes, text: str) -> None:
    """Say in the panel why there is nothing in it."""
    panel.text(
        0.5, 0.5, text, transform=panel.transAxes, ha="center", va="center", fontsize=9, color=GREY
    )


def logarithmic(panel: Axes, axis: str) -> None:
    """Make the `x` or `y` axis logarithmic, with plain numbers at its ticks; for when everything is
    drawn and limits are known.
    """
    (panel.set_xscale if axis == "x" else panel.set_yscale)("log")
    which = panel.xaxis if axis == "x" else panel.yaxis
    low, high = panel.get_xlim() if axis == "x" else panel.get_ylim()
    which.set_major_locator(
        LogLocator(subs=(1.0, 2.0, 5.0) if high < 50.0 * low else (1.0,), numticks=8)
    )
    which.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}".replace(",", " ")))
    which.set_minor_formatter(NullFormatter())


def slo_limits(results: Sequence[Results], which: str) -> Iterator[float]:
    """The different limits [s] that the runs' objectives set for `which`: ttft, tpot or e2el."""
    limits = {getattr(one.scenario.slo, f"{which}_s") for one in results}
    yield from sorted(limit for limit in limits if limit is not None)


def latency_unit(*values_s: np.ndarray) -> tuple[float, str]:
    """How many of the unit are a second, and the unit: ms, or s where values go beyond 10 s."""
    largest_s = max((float(np.max(values)) for values in values_s if len(values)), default=0.0)
    return (1.0, "s") if largest_s > 10.0 else (1e3, "ms")


def duration(value_s: float) -> str:
    """A time as people say it: three figures and a unit.

    >>> duration(0.0123), duration(0.5), duration(12.34), duration(75.0)
    ('12.3 ms', '500 ms', '12.3 s', '75 s')
    """
    return (
        f"{1e3 * value_s:.3g} ms"
        if value_s < 0.9995
        else f"{value_s:.3g} s"
        if value_s < 999.5
        else f"{value_s:.0f} s"
    )


def percent(share: float) -> str:
    """A share, never rounded to all or to nothing.

    >>> percent(1.0), percent(0.9996), percent(0.974), percent(0.0)
    ('100 %', '99.9 %', '97 %', '0 %')
    """
    if 0.01 <= share <= 0.99 or share in (0.0, 1.0):
        return f"{100 * share:.0f} %"
    return f"{min(max(floor(1000 * share) / 10, 0.1), 99.9):.1f} %"
