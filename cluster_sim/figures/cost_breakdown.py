"""Cost per million output tokens, by kind of expense."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cluster_sim.economics import ownership as money
from cluster_sim.figures import study_table as study
from cluster_sim.figures import style
from cluster_sim.figures.style import Variant
from cluster_sim.results.results import Results

_COST = "usd_per_million_output_tokens"


class _Band(NamedTuple):
    """Parts of a summary's `usd_per_hour_parts` that are drawn as one band."""

    name: str
    colour: str
    parts: tuple[str, ...]

    def usd_per_hour(self, summary: Mapping[str, Any]) -> float:
        """Return the cost of the band [USD/h]."""
        return float(sum(summary["usd_per_hour_parts"].get(part, 0.0) for part in self.parts))


_BANDS = (
    _Band("rental or contract", "#F0E442", ("rental", "contract")),
    _Band("nodes and spares", "#0072B2", ("machines", "spares")),
    _Band("networking and storage", "#56B4E9", ("networking", "storage")),
    _Band("facility", "#009E73", ("facility",)),
    _Band("cost of capital", "#CC79A7", ("cost_of_capital",)),
    _Band("licences, support, mark-up, porting", "#D55E00", money.OF_THE_STACK),
    _Band("staff", style.GREY, ("staffing",)),
    _Band("electricity", "#E69F00", ("electricity",)),
)
"""Bands from the bottom up."""


class _Bar(NamedTuple):
    """Bar of a run that has a cost per token."""

    place: int
    variant: Variant
    summary: Mapping[str, Any]


def blank(_results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """Return the figure and two panels: dollars on the left, shares on the right."""
    return style.blank([4.6], columns=2)


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """Draw a stacked bar for each run.

    Whiskers go from the 5th to the 95th percentile of the cost, given the ranges of prices.
    """
    shown = style.variants(results)
    bars = [
        _Bar(place, variant, summary)
        for place, variant in enumerate(shown)
        if _COST in (summary := variant.results.summary())
    ]
    for panel in axes:
        _lay_runs(panel, shown)
    dollars, shares = axes
    _draw_bands(dollars, bars, [bar.summary[_COST] / bar.summary["usd_per_hour"] for bar in bars])
    _draw_bands(shares, bars, [100.0 / bar.summary["usd_per_hour"] for bar in bars])
    _draw_whiskers(dollars, bars)
    style.label(dollars, y=study.label(_COST))
    style.label(shares, y="share of the cost [%]")
    style.title(dollars, "Cost; whiskers: 5th to 95th percentile of prices")
    style.title(shares, "Shares of the cost")
    for place, variant in enumerate(shown):
        if all(place != bar.place for bar in bars):
            for panel in axes:
                _draw_reason(panel, place, variant)
    if bars:
        style.shared_legend(dollars)
    style.headline(dollars, _finding(bars))


def _lay_runs(panel: Axes, shown: Sequence[Variant]) -> None:
    """Set one tick of the x axis per run."""
    is_crowded = len(shown) >= 3
    panel.set_xticks(
        range(len(shown)),
        [_tick(variant) for variant in shown],
        rotation=30 if is_crowded else 0,
        ha="right" if is_crowded else "center",
    )
    panel.set_xlim(-0.6, len(shown) - 0.4)
    panel.grid(visible=False, axis="x")
    style.label(panel, x="run, with its output rate [tokens/s]")


def _tick(variant: Variant) -> str:
    return f"{variant.label}\n{study.number(variant.results.summary()['output_throughput'])}"


def _draw_bands(panel: Axes, bars: Sequence[_Bar], scales: Sequence[float]) -> None:
    """Stack the bands of each run; scales: factors from USD/h to the unit of the panel."""
    spent = {part for bar in bars for part, usd in bar.summary["usd_per_hour_parts"].items() if usd}
    for number, band in enumerate(_BANDS):
        if spent & set(band.parts):
            below = [part for lower in _BANDS[:number] for part in lower.parts]
            panel.bar(
                [bar.place for bar in bars],
                [
                    scale * band.usd_per_hour(bar.summary)
                    for bar, scale in zip(bars, scales, strict=True)
                ],
                0.6,
                bottom=[
                    scale * sum(bar.summary["usd_per_hour_parts"].get(part, 0.0) for part in below)
                    for bar, scale in zip(bars, scales, strict=True)
                ],
                color=band.colour,
                label=band.name,
            )


def _draw_whiskers(panel: Axes, bars: Sequence[_Bar]) -> None:
    for bar in bars:
        value, low, high = (bar.summary[f"{end}{_COST}"] for end in ("", "p5_", "p95_"))
        panel.errorbar(
            [bar.place],
            [value],
            [[max(value - low, 0.0)], [max(high - value, 0.0)]],
            color="#000000",
            linewidth=1.2,
            capsize=5.0,
        )
        panel.annotate(
            f"{study.number(value)}",
            (bar.place, value),
            (9.0, 3.0),
            textcoords="offset points",
            fontsize=8,
        )


def _draw_reason(panel: Axes, place: int, variant: Variant) -> None:
    """Write at the position of a run why it has no bar."""
    summary = variant.results.summary()
    has_no_prices = summary["completed"] and "usd_per_hour" not in summary
    panel.text(
        place,
        0.02,
        "its nodes have no prices" if has_no_prices else "no request finished",
        transform=panel.get_xaxis_transform(),
        rotation=90,
        ha="center",
        va="bottom",
        fontsize=8,
        color=style.GREY,
    )


def _finding(bars: Sequence[_Bar]) -> str:
    if not bars:
        return "No run has a cost per token"
    ranked = sorted(bars, key=lambda bar: float(bar.summary[_COST]))
    text = f"A million output tokens cost {_text(ranked[0])}"
    return text if len(ranked) == 1 else f"{text}; {_text(ranked[-1])}"


def _text(bar: _Bar) -> str:
    """Return the cost of a run's tokens, and its largest band, as text."""
    largest = max(_BANDS, key=lambda band: band.usd_per_hour(bar.summary))
    share = style.percent(largest.usd_per_hour(bar.summary) / bar.summary["usd_per_hour"])
    usd = study.number(bar.summary[_COST])
    return f"{usd} USD on {bar.variant.label} ({share} {largest.name})"
