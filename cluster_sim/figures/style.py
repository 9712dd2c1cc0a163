"""Parts of all figures: colours, axes, titles, legends, and formats of numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import floor
from pathlib import Path
from textwrap import fill
from typing import Any, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from cluster_sim.errors import ScenarioError
from cluster_sim.figures.sheet import WIDTH_IN, sheet_in_use
from cluster_sim.results.earlier_folder import WITHOUT
from cluster_sim.results.results import Results
from cluster_sim.typing import Array

# Palette of Okabe and Ito, distinguishable with every common colour blindness. Yellow is omitted:
# it is too pale for lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
Dash = str | tuple[int, tuple[float, ...]]
DASHES: tuple[Dash, ...] = ("-", (0, (5.0, 1.5)), (0, (1.0, 1.0)), (0, (5.0, 1.5, 1.0, 1.5)))
DOTTED: Dash = (0, (2.0, 2.0))
GREY = "#777777"
LIMIT = "#B00020"
"""Colour of limits that should not be exceeded."""
PHASES = {
    "queue": "#E69F00",
    "prefill": "#0072B2",
    "wait for decode": "#CC79A7",
    "KV transfer": "#56B4E9",
    "preempted": "#D55E00",
    "contention": "#000000",
    "decode": "#009E73",
}
"""Colours of the phases of a request by their names in metrics.phases."""
MARKS = ("o", "s", "^", "D", "v", "P", "X")


UNHIDDEN = "\u200b"
"""Space of zero width, written before a name that begins with `_`; legends would omit the name."""


@dataclass(frozen=True)
class Variant:
    """One run of a figure, with its label, colour and dash in every panel."""

    results: Results
    """Results of the run."""
    label: str
    """Text that distinguishes the run from the other runs of the figure."""
    colour: str
    """Colour of the run's lines."""
    dash: Dash
    """Dash of the run's lines."""

    def line(self, panel: Axes, x: Array, y: Array, **look: Any) -> None:
        """Draw a line in the run's colour and dash; `look`: further options of matplotlib's plot."""
        panel.plot(x, y, color=self.colour, linestyle=self.dash, **look)


def variants(results: Sequence[Results]) -> list[Variant]:
    """Return the runs in the order given, with labels that distinguish them.

    The label is the variant or the name of the scenario; if these are equal, both. Runs for which
    these are equal too are labelled by the names of their folders; runs without folders get their
    seed or a number.

    Parameters
    ----------
    results
        Runs that are drawn together.
    """
    scenarios = [run.scenario for run in results]
    labels = [scenario.variant or scenario.name for scenario in scenarios]
    if len(set(labels)) < len(labels):
        labels = [scenario.title for scenario in scenarios]
    labels = _with_folders(labels, [run.folder for run in results])
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
        Variant(run, in_legend(label), *look(place))
        for place, (run, label) in enumerate(zip(results, labels, strict=True))
    ]


def _with_folders(labels: list[str], folders: Sequence[Path | None]) -> list[str]:
    """Return labels in which equal ones are replaced by the names of the runs' folders.

    A name has as many parent folders as distinguish the runs. The labels stay if a run with an
    equal label has no folder, or if two of these runs are from the same folder.

    >>> _with_folders(["q", "q", "x"], [Path("runs/a"), Path("runs/b"), Path("c")])
    ['a', 'b', 'x']
    >>> _with_folders(["q", "q"], [Path("runs/1/q"), Path("runs/2/q")])
    ['1/q', '2/q']
    >>> _with_folders(["q", "q"], [Path("runs/q"), Path("runs/q/without/power_caps")])
    ['q', 'without power caps']
    """
    counts = Counter(labels)
    alike = {place: folders[place] for place, label in enumerate(labels) if counts[label] > 1}
    paths = {place: _parts(folder) for place, folder in alike.items() if folder is not None}
    if not alike or len(paths) < len(alike):
        return labels
    for depth in range(1, max(map(len, paths.values()))):
        names = {place: "/".join(parts[-depth:]) for place, parts in paths.items()}
        if len(set(names.values())) == len(names):
            return [names.get(place, label) for place, label in enumerate(labels)]
    return labels


def _parts(folder: Path) -> tuple[str, ...]:
    """Return the names in the path of a run folder; the last two of a run without a mechanism are one."""
    *parents, above, name = folder.absolute().parts
    if above == WITHOUT:
        return (*parents, f"without {name.replace('_', ' ')}")
    return (*parents, above, name)


def in_legend(name: str) -> str:
    """Return a name as the label of a line; matplotlib hides labels that begin with `_`."""
    return f"{UNHIDDEN}{name}" if name.startswith("_") else name


def look(place: int) -> tuple[str, Dash]:
    """Return the colour and dash of the run at an index."""
    return COLOURS[place % len(COLOURS)], DASHES[place % len(DASHES)]


def listed(shown: Iterable[Variant], text: Callable[[Variant], str], separator: str = ", ") -> str:
    """Return one text: the label of each run, each followed by `text` of the run."""
    return separator.join(f"{variant.label} {text(variant)}" for variant in shown)


def blank(
    heights_in: Sequence[float],
    columns: int = 1,
    *,
    share_x: bool = False,
    share_y: bool = False,
    given: Sequence[Axes] | None = None,
) -> tuple[Figure, list[Axes]]:
    """Return an empty figure as wide as the sheet in use, and its axes row by row.

    Parameters
    ----------
    heights_in
        Height of each row of panels in a README [inches].
    columns
        Number of panels side by side.
    share_x, share_y
        Whether panels share their x axis or y axis.
    given
        Axes to use instead of new axes.

    Raises
    ------
    ScenarioError
        Fewer axes are given than the figure needs.
    """
    if given is not None:
        needed = len(heights_in) * columns
        if len(given) < needed:
            raise ScenarioError.at("axes", f"got {len(given)}; expected {needed}")
        return cast(Figure, given[0].get_figure(root=True)), list(given[:needed])
    sheet = sheet_in_use()
    width_in = sheet.width_of(columns)
    # the height shrinks less than the width, since text keeps its size
    height_in = min(sum(heights_in) * (width_in / WIDTH_IN) ** 0.35, sheet.tallest_in)
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
        panel.grid(visible=True, color="#dddddd", linewidth=0.6)
        panel.set_axisbelow(True)
        panel.tick_params(labelsize=8)
    return figure, axes


def _columns(figure: Figure) -> int:
    """Return the number of panels side by side."""
    return max(
        (
            spec.get_gridspec().ncols
            for panel in figure.axes
            if (spec := panel.get_subplotspec()) is not None
        ),
        default=1,
    )


def headline(panel: Axes, text: str) -> None:
    """Write the finding of a figure above all panels; `panel` is any of its axes."""
    if (figure := panel.get_figure(root=True)) is not None:
        figure.suptitle(
            fill(text, sheet_in_use().characters(96, _columns(figure)), break_on_hyphens=False),
            fontsize=11,
            fontweight="bold",
            x=0.01,
            ha="left",
        )


def title(panel: Axes, text: str, width: int = 120) -> None:
    """Write the title of a panel above it; `width` is its maximum length of line [characters]."""
    figure = panel.get_figure(root=True)
    columns = _columns(figure) if figure else 1
    panel.set_title(
        fill(text, sheet_in_use().characters(width, columns), break_on_hyphens=False),
        fontsize=9,
        loc="left",
    )


def label(panel: Axes, x: str | None = None, y: str | None = None) -> None:
    """Label the axes of a panel."""
    if x is not None:
        panel.set_xlabel(x, fontsize=9)
    if y is not None:
        panel.set_ylabel(y, fontsize=8)


def shared_legend(panel: Axes, more: Mapping[str, Any] | None = None) -> None:
    """Draw one legend for all panels below them: more handles by label, then those of `panel`."""
    if (figure := panel.get_figure(root=True)) is not None:
        own, labels = panel.get_legend_handles_labels()
        more = more or {}
        ncols = 4 if _columns(figure) > 1 or sheet_in_use().width_in >= WIDTH_IN else 2
        figure.legend(
            [*more.values(), *own],
            [*more, *labels],
            loc="outside lower center",
            ncols=ncols,
            fontsize=9,
            frameon=False,
            handlelength=3.0,
            markerscale=2.0,
        )


def phase_legend(panel: Axes, names: Iterable[str]) -> None:
    """Draw one legend for all panels below them, with the phases of requests in `names`."""
    drawn = set(names)
    for name, colour in PHASES.items():
        if name in drawn:
            panel.fill_between([], [], color=colour, label=name)
    if drawn:
        shared_legend(panel)


def nothing(panel: Axes, text: str) -> None:
    """Write in an empty panel why it is empty."""
    panel.text(
        0.5, 0.5, text, transform=panel.transAxes, ha="center", va="center", fontsize=9, color=GREY
    )


def logarithmic(panel: Axes, axis: str) -> None:
    """Make the axis "x" or "y" logarithmic, with plain numbers at its ticks.

    Call it after everything is drawn, since ticks depend on the ends of the axis.
    """
    (panel.set_xscale if axis == "x" else panel.set_yscale)("log")
    ticks = panel.xaxis if axis == "x" else panel.yaxis
    low, high = panel.get_xlim() if axis == "x" else panel.get_ylim()
    ticks.set_major_locator(
        LogLocator(subs=(1.0, 2.0, 5.0) if high < 50.0 * low else (1.0,), numticks=8)
    )
    ticks.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}".replace(",", " ")))
    ticks.set_minor_formatter(NullFormatter())


def round_percent(panel: Axes, highest: float, full: float) -> None:
    """End the y axis of shares [%] at a round number, so that low shares do not look high.

    Parameters
    ----------
    panel
        Axes of shares.
    highest
        Highest share that is drawn [%].
    full
        End of the axis if the highest share is above half [%].
    """
    ends = (end for end in (1.0, 10.0, 25.0, 50.0) if highest <= 0.95 * end)
    panel.set_ylim(top=next(ends, full))


def slo_limits(results: Sequence[Results], latency: str) -> Iterator[float]:
    """Yield the different limits that the runs' SLOs set for ttft, tpot or e2el, ascending [s]."""
    limits = {getattr(run.scenario.slo, f"{latency}_s") for run in results}
    yield from sorted(limit for limit in limits if limit is not None)


def latency_unit(*values_s: Array) -> tuple[float, str]:
    """Return units per second, and the unit: ms, or s if a value is above 10 s.

    >>> latency_unit(np.array([0.5])), latency_unit(np.array([11.0]))
    ((1000.0, 'ms'), (1.0, 's'))
    """
    largest_s = max((float(np.max(values)) for values in values_s if len(values)), default=0.0)
    return (1.0, "s") if largest_s > 10.0 else (1e3, "ms")


def duration(value_s: float) -> str:
    """Return a time with three significant digits and a unit.

    >>> duration(0.0123), duration(0.5), duration(12.34), duration(75.0)
    ('12.3 ms', '500 ms', '12.3 s', '75 s')
    """
    if value_s < 0.9995:
        return f"{1e3 * value_s:.3g} ms"
    return f"{value_s:.3g} s" if value_s < 999.5 else f"{value_s:.0f} s"


def percent(share: float) -> str:
    """Return a share in percent; only exact 1 and 0 give 100 % and 0 %.

    >>> percent(1.0), percent(0.9996), percent(0.974), percent(0.0)
    ('100 %', '99.9 %', '97 %', '0 %')
    """
    if 0.01 <= share <= 0.99 or share in (0.0, 1.0):
        return f"{100 * share:.0f} %"
    return f"{min(max(floor(1000 * share) / 10, 0.1), 99.9):.1f} %"
