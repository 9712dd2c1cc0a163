"""What a million output tokens cost, by what the money is spent on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cluster_sim.economics import ownership as money
from cluster_sim.figures import study_table as study
from cluster_sim.figures import style
from cluster_sim.figures.style import Variant
from cluster_sim.results.results import Results

# What the parts of a summary's `usd_per_hour_parts` are drawn as, from the bottom up.
_BANDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "rental or contract": ("#F0E442", ("rental", "contract")),
    "machines and spares": ("#0072B2", ("machines", "spares")),
    "networking and storage": ("#56B4E9", ("networking", "storage")),
    "facility": ("#009E73", ("facility",)),
    "cost of capital": ("#CC79A7", ("cost_of_capital",)),
    "licences, support, mark-up, porting": ("#D55E00", money.OF_THE_STACK),
    "staff": (style.GREY, ("staffing",)),
    "electricity": ("#E69F00", ("electricity",)),
}


def blank(results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """Dollars on the left, shares of them on the right."""
    return style.blank([4.6], columns=2)


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """A bar for each run, stacked; whiskers from the 5th to the 95th percentile of what its prices
    may make of it.
    """
    shown = style.variants(results)
    priced = [
        (place, one, summary)
        for place, one in enumerate(shown)
        if "usd_per_million_output_tokens" in (summary := one.results.summary())
    ]
    dollars, shares = axes
    for panel in axes:
        panel.set_xticks(
            range(len(shown)),
            [_tick(one) for one in shown],
            rotation=0 if len(shown) < 3 else 30,
            ha="center" if len(shown) < 3 else "right",
        )
        panel.set_xlim(-0.6, len(shown) - 0.4)
        panel.grid(False, axis="x")
        style.label(panel, x="run, with its output [tokens/s]")
    drawn = {
        part
        for _, _, summary in priced
        for part, usd in summary["usd_per_hour_parts"].items()
        if usd
    }
    for name, (colour, parts) in _BANDS.items():
        if not drawn & set(parts):
            continue
        for panel, scale in ((dollars, _per_million), (shares, _percent)):
            bands = [
                (place, *_band(summary, parts, scale(summary))) for place, _, summary in priced
            ]
            places, bottoms, heights = zip(*bands, strict=True)
            panel.bar(places, heights, 0.6, bottom=bottoms, color=colour, label=name)
    for place, _, summary in priced:
        value, low, high = (
            summary[f"{end}usd_per_million_output_tokens"] for end in ("", "p5_", "p95_")
        )
        dollars.errorbar(
            [place],
            [value],
            [[max(value - low, 0.0)], [max(high - value, 0.0)]],
            color="#000000",
            linewidth=1.2,
            capsize=5.0,
        )
        dollars.annotate(
            f"{study.number(value)}",
            (place, value),
            (9.0, 3.0),
            textcoords="offset points",
            fontsize=8,
        )
    style.label(dollars, y="cost [USD per million output tokens]")
    style.label(shares, y="share of it [%]")
    style.title(dollars, "whiskers: 5th to 95th percentile of prices")
    style.title(shares, "the same in shares")
    for place, one in enumerate(shown):
        if all(place != known for known, _, _ in priced):
            for panel in axes:
                panel.text(
                    place,
                    0.02,
                    _why_not(one),
                    transform=panel.get_xaxis_transform(),
                    rotation=90,
                    ha="center",
                    va="bottom",
                    fontsize=8,
                    color=style.GREY,
                )
    if priced:
        style.shared_legend(dollars)
    if (figure := dollars.get_figure(root=True)) is not None:
        style.headline(figure, _finding([(one.label, summary) for _, one, summary in priced]))


def _tick(one: Variant) -> str:
    return f"{one.label}\n{study.number(one.results.summary()['output_throughput'])}"


def _per_million(summary: dict[str, Any]) -> float:
    """By which dollars an hour become dollars for a million output tokens."""
    return float(summary["usd_per_million_output_tokens"] / summary["usd_per_hour"])


def _percent(summary: dict[str, Any]) -> float:
    return float(100.0 / summary["usd_per_hour"])


def _band(summary: dict[str, Any], parts: Sequence[str], scale: float) -> tuple[float, float]:
    """(bottom, height) of one band of a bar."""
    usd = summary["usd_per_hour_parts"]
    names = list(_BANDS.values())
    before = [
        part
        for _, ones in names[: [ones for _, ones in names].index(tuple(parts))]
        for part in ones
    ]
    return scale * sum(usd.get(part, 0.0) for part in before), scale * sum(
        usd.get(part, 0.0) for part in parts
    )


def _why_not(one: Variant) -> str:
    summary = one.results.summary()
    return (
        "its nodes have no prices"
        if summary["completed"] and "usd_per_hour" not in summary
        else "no request finished"
    )


def _finding(priced: list[tuple[str, dict[str, Any]]]) -> str:
    if not priced:
        return "Nothing here has a cost per token"
    ranked = sorted(priced, key=lambda one: float(one[1]["usd_per_million_output_tokens"]))
    text = f"A million output tokens cost {_said(*ranked[0])}"
    return text if len(ranked) == 1 else f"{text}; {_said(*ranked[-1])}"


def _said(label: str, summary: dict[str, Any]) -> str:
    usd = summary["usd_per_hour_parts"]
    name, parts = max(
        ((name, parts) for name, (_, parts) in _BANDS.items()),
        key=lambda band: sum(usd.get(part, 0.0) for part in band[1]),
    )
    share = sum(usd.get(part, 0.0) for part in parts) / summary["usd_per_hour"]
    return f"{study.number(summary['usd_per_million_output_tokens'])} USD on {label} ({style.percent(share)} {name})"
