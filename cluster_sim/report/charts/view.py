"""Views: the runs of a page with the data of their charts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cluster_sim.errors import visible
from cluster_sim.figures import style
from cluster_sim.report.charts.chart import Limit, Series, dashes, plain
from cluster_sim.results import metrics
from cluster_sim.results.bursts import InBursts, in_bursts
from cluster_sim.results.metrics import Finished, Gaps, Timeline
from cluster_sim.results.results import Results
from cluster_sim.results.unanswered import Reason, unanswered
from cluster_sim.typing import Array


@dataclass(frozen=True)
class View:
    """Run of a page, with the data of its charts; each is computed once."""

    number: int
    """Number that identifies the run in the page."""
    label: str
    """Label of the run."""
    colour: str
    """Colour of the run's lines."""
    dash: list[float]
    """Lengths of the dash of the run's lines; empty for solid lines."""
    results: Results
    """Results of the run."""
    bin_s: float
    """Width of the bins of all runs of the page [s]."""

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Fields of summary.json."""
        return self.results.summary()

    @cached_property
    def line(self) -> Timeline:
        """Timeline of the run."""
        return metrics.timeline(self.results, bin_s=self.bin_s)

    @cached_property
    def done(self) -> Finished:
        """Counted requests that finished."""
        return metrics.finished(self.results)

    @cached_property
    def gaps(self) -> Gaps:
        """Gaps between the tokens of requests."""
        return metrics.itl(self.results)

    @cached_property
    def bursts(self) -> InBursts | None:
        """Requests that arrive in bursts; None if the arrivals have no bursts."""
        return in_bursts(self.results)

    @cached_property
    def unanswered(self) -> tuple[Reason, ...]:
        """Reasons why requests got no answer."""
        return unanswered(self.results)

    def bins(self, second: float) -> list[float | None]:
        """Return the starts of the timeline's bins; second: seconds per unit of the axis."""
        return plain((self.line.time_s - self.line.bin_s / 2) / second)

    def series(
        self, values: Array, kind: str = "line", x: list[float | None] | None = None
    ) -> Series:
        """Return a series of values with the run's label, colour and dash."""
        return Series(self.label, self.number, self.colour, plain(values), kind, self.dash, x=x)


def views(results: Sequence[Results]) -> list[View]:
    """Return the views of runs, in the order given, with labels and colours as in figures."""
    bin_s = metrics.common_bin_s(results) if results else 1.0
    return [
        View(
            place,
            visible(variant.label.removeprefix(style.UNHIDDEN)),
            variant.colour,
            dashes(variant.dash),
            variant.results,
            bin_s,
        )
        for place, variant in enumerate(style.variants(results))
    ]


def limits(shown: Sequence[View], latency: str, axis: str, scale: float) -> Iterable[Limit]:
    """Yield the SLO's limits of a latency as lines across an axis.

    Parameters
    ----------
    shown
        Runs of the page.
    latency
        Kind of latency: ttft, tpot or e2el.
    axis
        Axis of the latency: x or y.
    scale
        Units of the axis per second.
    """
    for limit_s in style.slo_limits([view.results for view in shown], latency):
        yield Limit(axis, scale * limit_s, f"SLO {style.duration(limit_s)}")
