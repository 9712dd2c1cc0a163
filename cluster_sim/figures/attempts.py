"""Load that clients offer and send, what the cluster admits, and what of it is of use, over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cluster_sim.figures import style
from cluster_sim.figures.over_time import TimeUnit, lay_time_axis, mark_warmup, unit_up_to
from cluster_sim.figures.style import Variant
from cluster_sim.results.metrics.load import Load, loads
from cluster_sim.results.results import Results
from cluster_sim.typing import Array

_OFFERED = "#aaaaaa"


@dataclass(frozen=True)
class _Drawn:
    """Runs that are drawn, with their loads."""

    shown: Sequence[Variant]
    of_runs: Sequence[Load]
    unit: TimeUnit

    def lines(self, panel: Axes, column: Callable[[Load], Array], scale: float = 1.0) -> None:
        """Draw a column of every run's load as a line."""
        for variant, load in zip(self.shown, self.of_runs, strict=True):
            centres_s = 0.5 * (load.edges_s[1:] + load.edges_s[:-1])
            variant.line(
                panel,
                centres_s / self.unit.second,
                scale * column(load),
                linewidth=1.4,
                drawstyle="steps-mid",
                label=variant.label,
            )

    def offered(self, panel: Axes) -> None:
        """Draw the offered load of the first run as a grey area, behind the lines."""
        load = self.of_runs[0]
        panel.stairs(
            load.offered_per_s,
            load.edges_s / self.unit.second,
            fill=True,
            color=_OFFERED,
            linewidth=0.8,
            label="offered",
        )

    def listed(self, text: Callable[[Variant, Load], str]) -> str:
        """Return one text with a part about each run."""
        return ", ".join(
            f"{variant.label} {text(variant, load)}"
            for variant, load in zip(self.shown, self.of_runs, strict=True)
        )


def blank(_results: Sequence[Results]) -> tuple[Figure, list[Axes]]:
    """Return the figure and four panels over one time axis."""
    return style.blank([1.9, 1.6, 1.9, 1.4], share_x=True)


def draw(results: Sequence[Results], axes: Sequence[Axes]) -> None:
    """Draw rates over simulated time, with the offered load of the first run in grey.

    The panels show attempts that clients send, attempts that are admitted to a batch, answers
    within the SLO (goodput; without an SLO, all answers), and the share of output tokens that are
    generated in vain, of those of attempts that end in a bin.
    """
    shown, of_runs = style.variants(results), loads(results)
    last_s = max(float(load.edges_s[-1]) for load in of_runs)
    drawn = _Drawn(shown, of_runs, unit_up_to(last_s))
    sent, admitted, good, wasted = axes
    mark_warmup(axes, shown, drawn.unit.second)
    for panel in (sent, admitted, good):
        drawn.offered(panel)
    drawn.lines(sent, lambda load: load.sent_per_s)
    drawn.lines(admitted, lambda load: load.admitted_per_s)
    drawn.lines(good, lambda load: load.good_per_s)
    drawn.lines(wasted, lambda load: load.wasted_share, 100.0)
    if not any(run.summary()["completed"] for run in results):
        style.nothing(good, "no request finished")
    _write_titles(drawn, axes)
    for panel in (sent, admitted, good):
        style.label(panel, y="rate [1/s]")
        panel.set_ylim(bottom=0.0)
    style.label(wasted, x=f"simulated time [{drawn.unit.name}]", y="wasted [%]")
    wasted.set_ylim(0.0, 102.0)
    lay_time_axis(axes, last_s, drawn.unit.second)
    style.shared_legend(sent)
    style.headline(sent, f"Requests answered {_within(results)}: {_finding(shown)}")


def _write_titles(drawn: _Drawn, axes: Sequence[Axes]) -> None:
    """Write the titles of the panels, with totals of each run."""
    sent, admitted, good, wasted = axes
    requests = drawn.shown[0].results.requests.num_rows
    style.title(
        sent,
        f"Attempts sent, of {requests:,} requests: "
        + drawn.listed(lambda variant, _: f"{variant.results.served.num_rows:,}"),
    )
    style.title(
        admitted,
        "Attempts admitted to a batch: "
        + drawn.listed(lambda _, load: f"{_total(load.admitted_per_s, load):,.0f}"),
    )
    results = [variant.results for variant in drawn.shown]
    style.title(
        good,
        f"Goodput, whole answers {_within(results)}: "
        + drawn.listed(lambda _, load: f"{_total(load.good_per_s, load):,.0f}"),
    )
    style.title(
        wasted,
        "Output tokens generated in vain: " + drawn.listed(lambda variant, _: _waste(variant)),
    )


def _within(results: Sequence[Results]) -> str:
    has_slo = all("slo_attainment" in run.summary() for run in results)
    return "within the SLO" if has_slo else "in full"


def _total(per_s: Array, load: Load) -> float:
    """Return the number of events in all bins."""
    return float(np.sum(per_s)) * float(load.edges_s[1] - load.edges_s[0])


def _waste(variant: Variant) -> str:
    return style.percent(variant.results.summary().get("wasted_share", 0.0))


def _finding(shown: Sequence[Variant]) -> str:
    """Return the share of requests with an answer, of each run."""
    texts = []
    for variant in shown:
        summary = variant.results.summary()
        everyone = summary["completed"] + summary["failed"] + summary["rejected"]
        share = summary.get("slo_attainment", summary["completed"] / max(everyone, 1))
        amplification = summary.get("attempts_per_request", 1.0)
        texts.append(
            f"{variant.label} {style.percent(share)} ({amplification:.2f} attempts per request)"
        )
    return "; ".join(texts)
