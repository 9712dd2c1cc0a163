"""Views: the runs of a page, and what its charts look at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cluster_sim.errors import visible
from cluster_sim.figures import style
from cluster_sim.report.charts.chart import Limit, Series, dashes, plain
from cluster_sim.results import metrics
from cluster_sim.results.metrics import Finished, Gaps, Timeline
from cluster_sim.results.results import Results
from cluster_sim.typing import Array


@dataclass(frozen=True)
class View:
    """One run and what the charts look at, each worked out once."""

    number: int
    label: str
    colour: str
    dash: list[float]
    results: Results

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Fields of summary.json."""
        return self.results.summary()

    @cached_property
    def line(self) -> Timeline:
        """The run over time."""
        return metrics.timeline(self.results)

    @cached_property
    def done(self) -> Finished:
        """Finished requests that count."""
        return metrics.finished(self.results)

    @cached_property
    def gaps(self) -> Gaps:
        """Gaps between tokens."""
        return metrics.itl(self.results)

    def bins(self, second: float) -> list[float | None]:
        """Return where the bins of the run over time begin: a step goes on from there."""
        return plain((self.line.time_s - self.line.bin_s / 2) / second)

    def series(
        self, values: Array, kind: str = "line", x: list[float | None] | None = None
    ) -> Series:
        """Return values in this run's look."""
        return Series(self.label, self.number, self.colour, plain(values), kind, self.dash, x=x)


def views(results: Sequence[Results]) -> list[View]:
    """Return the runs in the order given, each with its label, colour and dash in figures."""
    return [
        View(
            place,
            visible(variant.label.removeprefix(style.UNHIDDEN)),
            variant.colour,
            dashes(variant.dash),
            variant.results,
        )
        for place, variant in enumerate(style.variants(results))
    ]


def limits(shown: Sequence[View], latency: str, axis: str, scale: float) -> Iterable[Limit]:
    """Yield the objectives for a latency as lines across an axis; scale: its units per second."""
    for limit_s in style.slo_limits([view.results for view in shown], latency):
        yield Limit(axis, scale * limit_s, f"SLO {style.duration(limit_s)}")
