"""The charts of a page as plain data: few enough points to be looked at, whatever the run, for the
script of the page to draw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from cluster_sim.figures import style
from cluster_sim.figures.itl_histogram import bins
from cluster_sim.figures.latency_ccdf import tail
from cluster_sim.figures.latency_panels import latencies
from cluster_sim.figures.over_time import time_unit
from cluster_sim.figures.phase_breakdown import grouped
from cluster_sim.figures.ttft_over_time import thinned
from cluster_sim.figures.ttft_tpot_scatter import rank_correlation
from cluster_sim.results import energy, metrics
from cluster_sim.results.metrics.finished import Finished
from cluster_sim.results.metrics.gaps import Gaps
from cluster_sim.results.metrics.timeline import Timeline
from cluster_sim.results.results import Results

Array = npt.NDArray[Any]

_MOST_POINTS = 6000
"""Of a cloud, all runs together."""
_MOST_CURVE = 240
"""Of a curve of latencies, each run."""
_LEAST = 1e-4
_TIME = "time"


@dataclass(frozen=True)
class Series:
    """One run's line, or cloud, in a chart."""

    label: str
    run: int
    """Whose it is: it is shown and hidden with that run."""
    colour: str
    values: list[float | None]
    kind: str = "line"
    """line, steps, points or area: an area lies on the one before it."""
    dash: list[float] = field(default_factory=list)
    x: list[float | None] | None = None
    """Where it has places of its own."""
    width: float = 1.8


@dataclass(frozen=True)
class Limit:
    """A line across a chart, such as an objective."""

    axis: str
    at: float
    label: str


@dataclass(frozen=True)
class Chart:
    """What the script of the page draws; numbers have five digits."""

    title: str
    """What is found in it."""
    x_label: str
    y_label: str
    series: list[Series]
    x: list[float | None] | None = None
    """Common to all series that have none of their own, ascending."""
    x_log: bool = False
    y_log: bool = False
    y_max: float | None = None
    limits: list[Limit] = field(default_factory=list)
    sync: str = ""
    """Charts of one name are zoomed together."""
    run: int | None = None
    """Of a chart of one run alone: it is shown and hidden with it."""


@dataclass(frozen=True)
class Group:
    """Charts under one heading."""

    id: str
    heading: str
    text: str
    charts: list[Chart]


@dataclass(frozen=True)
class Line:
    """Something that a page shows and hides: a run, or a line of a sweep."""

    number: int
    label: str
    colour: str
    dash: list[float]


def line(number: int, place: int, label: str) -> Line:
    """In the look of this place."""
    colour, dash = style.look(place)
    return Line(number, label, colour, list(dash[1]) if isinstance(dash, tuple) else [])


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
        """The fields of summary.json."""
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
        """Between tokens."""
        return metrics.itl(self.results)

    def series(self, values: Array, kind: str = "line", label: str = "", **more: Any) -> Series:
        """In this run's look."""
        return Series(
            label or self.label,
            self.number,
            more.pop("colour", self.colour),
            plain(values),
            kind,
            self.dash,
            **more,
        )


def views(results: Sequence[Results]) -> list[View]:
    """The runs in the order given, each with the label, colour and dash that it has in figures."""
    return [
        View(
            place,
            one.label,
            one.colour,
            list(one.dash[1]) if isinstance(one.dash, tuple) else [],
            one.results,
        )
        for place, one in enumerate(style.variants(results))
    ]


def groups(shown: Sequence[View]) -> list[Group]:
    """All charts of these runs, heading by heading; what a run knows nothing of is left out."""
    found = [
        Group(
            "latency",
            "Latency",
            "Share of requests answered within a time, and of those that take longer, down to one in ten thousand.",
            _latency(shown),
        ),
        Group(
            "over-time",
            "Over time",
            "Means over equal bins of simulated time, warm-up included. Charts are zoomed together.",
            _over_time(shown),
        ),
        Group(
            "requests",
            "Requests",
            "Each point is a request; of very many some are drawn, the slowest always.",
            _requests(shown),
        ),
        Group(
            "goodput",
            "Goodput",
            "Requests within the SLO; those that were rejected or not finished are never within it.",
            _goodput(shown),
        ),
        Group(
            "tokens",
            "Gaps between tokens",
            "Counted exactly, from the runs of like steps.",
            _tokens(shown),
        ),
        Group(
            "phases",
            "Where the time goes",
            "Mean time by phase, of requests from the quickest to the slowest.",
            _phases(shown),
        ),
    ]
    return [group for group in found if group.charts]


def as_data(charts: Sequence[Chart]) -> list[dict[str, Any]]:
    """For JSON."""
    return [asdict(chart) for chart in charts]


def plain(values: Array) -> list[float | None]:
    """Numbers of five digits; None for what is not known.

    >>> plain(np.array([0.123456789, 2.0, np.nan]))
    [0.12346, 2, None]
    """
    return [
        None if not np.isfinite(value) else _short(value)
        for value in np.asarray(values, dtype=float).tolist()
    ]


def _short(value: float) -> float:
    number = float(f"{value:.5g}")
    return int(number) if number == int(number) and abs(number) < 1e15 else number


def _latency(shown: Sequence[View]) -> list[Chart]:
    found = []
    for which, name in (("ttft", "TTFT"), ("tpot", "TPOT"), ("e2el", "E2E latency")):
        columns = [latencies(view.results, which) for view in shown]
        scale, unit = style.latency_unit(*(values_s for values_s, _ in columns))
        drawn = [
            tail(values_s, everyone, _LEAST)[0] for values_s, everyone in columns if len(values_s)
        ]
        if not drawn:
            continue
        x_s = np.unique(
            np.concatenate(
                [times_s[:: max(len(times_s) // _MOST_CURVE, 1)] for times_s in drawn]
                + [times_s[-1:] for times_s in drawn]
            )
        )
        x_s = x_s[x_s > 0.0]
        within = [
            np.searchsorted(values_s, x_s, side="right") / max(everyone, 1)
            for values_s, everyone in columns
        ]
        limits = [
            Limit("x", scale * limit_s, f"SLO {style.duration(limit_s)}")
            for limit_s in style.slo_limits([view.results for view in shown], which)
        ]
        said = [
            f"{view.label} {style.duration(float(np.percentile(values_s, 99)))}"
            for view, (values_s, _) in zip(shown, columns, strict=True)
            if len(values_s)
        ]
        x, label = plain(scale * x_s), f"{name} [{unit}]"
        answered = [
            view.series(100.0 * share, "steps") for view, share in zip(shown, within, strict=True)
        ]
        longer = [
            view.series(np.where(share < 1.0, 1.0 - share, np.nan), "steps")
            for view, share in zip(shown, within, strict=True)
        ]
        found.append(
            Chart(
                f"{name}, p99: {', '.join(said)}",
                label,
                "answered within [%]",
                answered,
                x,
                x_log=True,
                y_max=100.0,
                limits=limits,
            )
        )
        found.append(
            Chart(
                f"{name}: requests that take longer",
                label,
                "take longer [share]",
                longer,
                x,
                x_log=True,
                y_log=True,
                limits=limits,
            )
        )
    return found


def _over_time(shown: Sequence[View]) -> list[Chart]:
    lines = [view.line for view in shown]
    second, unit = time_unit(lines)
    label = f"simulated time [{unit}]"

    def over(
        name: str,
        y_label: str,
        column: Callable[[Timeline], Array],
        scale: float = 1.0,
        say: Callable[[float], str] = lambda value: f"{value:.3g}",
    ) -> Chart:
        most = ", ".join(f"{view.label} {say(float(np.max(column(view.line))))}" for view in shown)
        drawn = [
            view.series(scale * column(view.line), "steps", x=_bins(view, second)) for view in shown
        ]
        return Chart(f"{name}, most in a bin: {most}", label, y_label, drawn, sync=_TIME)

    def share(value: float) -> str:
        return style.percent(min(value, 1.0))

    charts = [
        over("Arrivals", "arrivals [1/s]", lambda line: line.arrival_per_s),
        over("Waiting", "waiting [requests]", lambda line: line.waiting),
        over("Running", "running [requests]", lambda line: line.running),
        over(
            "KV room used, fullest replica",
            "KV room used [%]",
            lambda line: line.kv_fraction_max,
            100.0,
            share,
        ),
        over(
            "Memory bandwidth",
            "bandwidth used [%]",
            lambda line: line.bandwidth_utilisation,
            100.0,
            share,
        ),
        over("Compute", "compute used [%]", lambda line: line.compute_utilisation, 100.0, share),
    ]
    return charts + list(_power(shown, second, label))


def _bins(view: View, second: float) -> list[float | None]:
    """Where the bins of a run begin: a step goes on from there."""
    return plain((view.line.time_s - view.line.bin_s / 2) / second)


def _power(shown: Sequence[View], second: float, label: str) -> Iterator[Chart]:
    drawn, said = [], []
    for view in shown:
        if nodes := energy.nodes(view.results):
            every = energy.together(nodes)
            edges_s = np.append(
                view.line.time_s - view.line.bin_s / 2, view.line.time_s[-1] + view.line.bin_s / 2
            )
            so_far_j = np.append(0.0, np.cumsum(every.watts * np.diff(every.time_s)))
            drawn.append(
                view.series(
                    np.diff(np.interp(edges_s, every.time_s, so_far_j)) / view.line.bin_s / 1e3,
                    "steps",
                    x=_bins(view, second),
                )
            )
            said.append(f"{view.label} {every.energy_j / 3.6e6:.3g} kWh")
    if drawn:
        yield Chart(
            f"Power of the nodes: {', '.join(said)}", label, "power [kW]", drawn, sync=_TIME
        )


def _requests(shown: Sequence[View]) -> list[Chart]:
    answered = [view for view in shown if len(view.done.arrival_s)]
    if not answered:
        return []
    second, unit = time_unit([view.line for view in shown])
    scale, of = style.latency_unit(*(view.done.ttft_s for view in answered))
    most = max(_MOST_POINTS // len(answered), 100)
    late, pairs, said = [], [], []
    for view in answered:
        done = view.done
        kept = thinned(done.ttft_s, most)
        kept = kept[np.argsort(done.arrival_s[kept], kind="stable")]
        late.append(
            view.series(scale * done.ttft_s[kept], "points", x=plain(done.arrival_s[kept] / second))
        )
        several = np.flatnonzero((done.output_tokens > 1) & (done.tpot_s > 0.0))
        if len(several) > 2:
            chosen = several[thinned(done.ttft_s[several], most)]
            chosen = chosen[np.argsort(done.tpot_s[chosen], kind="stable")]
            pairs.append(
                view.series(1e3 * done.ttft_s[chosen], "points", x=plain(1e3 * done.tpot_s[chosen]))
            )
            said.append(
                f"{view.label} {rank_correlation(done.tpot_s[several], done.ttft_s[several]):.2f}"
            )
    limits = {
        which: list(style.slo_limits([view.results for view in shown], which))
        for which in ("ttft", "tpot")
    }
    longest = ", ".join(
        f"{view.label} {style.duration(float(np.max(view.done.ttft_s)))}" for view in answered
    )
    charts = [
        Chart(
            f"Longest wait for a first token: {longest}", f"arrival, simulated time [{unit}]", f"TTFT [{of}]", late, y_log=True,
            limits=[Limit("y", scale * limit_s, f"SLO {style.duration(limit_s)}") for limit_s in limits["ttft"]],
        )
    ]  # fmt: skip
    if pairs:
        both = [
            Limit("x", 1e3 * limit_s, f"SLO {style.duration(limit_s)}")
            for limit_s in limits["tpot"]
        ]
        both += [
            Limit("y", 1e3 * limit_s, f"SLO {style.duration(limit_s)}")
            for limit_s in limits["ttft"]
        ]
        title = f"Late first tokens and slow answers, rank correlation: {', '.join(said)}"
        charts.append(
            Chart(title, "TPOT [ms]", "TTFT [ms]", pairs, x_log=True, y_log=True, limits=both)
        )
    return charts


def _goodput(shown: Sequence[View]) -> list[Chart]:
    judged = [
        (view, factors)
        for view in shown
        if (factors := metrics.strictness(view.results)) is not None and len(factors)
    ]
    if not judged:
        return []
    at = np.geomspace(0.1, 10.0, 200)
    strict = [
        view.series(100.0 * np.searchsorted(np.sort(factors), at, side="right") / len(factors))
        for view, factors in judged
    ]
    within = ", ".join(
        f"{view.label} {style.percent(float(np.mean(factors <= 1.0)))}" for view, factors in judged
    )
    second, unit = time_unit([view.line for view in shown])
    last_s = max(float(np.max(view.results.requests["arrival_s"].to_numpy())) for view, _ in judged)
    edges_s = np.linspace(0.0, last_s * (1 + 1e-9) or 1.0, 101)
    good = []
    for view, factors in judged:
        arrival_s = view.results.requests["arrival_s"].to_numpy()[
            view.results.requests["counted"].to_numpy()
        ]
        good.append(
            view.series(
                np.histogram(arrival_s[factors <= 1.0], edges_s)[0] / (edges_s[1] - edges_s[0]),
                "steps",
            )
        )
    rates = ", ".join(f"{view.label} {view.summary['request_goodput']:.3g}/s" for view, _ in judged)
    return [
        Chart(
            f"Requests within the SLO, by their arrival: {rates}",
            f"arrival, simulated time [{unit}]", "good requests [1/s]", good, plain(edges_s[:-1] / second), sync=_TIME,
        ),
        Chart(
            f"Within the SLO were all of its limits multiplied by a factor; by 1: {within}", "factor on all limits [-]", "within the SLO [%]", strict,
            plain(at), x_log=True, y_max=100.0, limits=[Limit("x", 1.0, "as written")],
        ),
    ]  # fmt: skip


def _tokens(shown: Sequence[View]) -> list[Chart]:
    told = [view for view in shown if view.gaps.count]
    edges_s = bins([view.gaps for view in told])
    if edges_s is None:
        return []
    so_far = {view.number: view.gaps.up_to(edges_s) / view.gaps.count for view in told}
    said = ", ".join(
        f"{view.label} {style.duration(view.summary['p99_itl_ms'] / 1e3)}"
        for view in told
        if "p99_itl_ms" in view.summary
    )
    each = [view.series(100.0 * np.diff(so_far[view.number]), "steps") for view in told]
    longer = [
        view.series(np.where(so_far[view.number] < 1.0, 1.0 - so_far[view.number], np.nan), "steps")
        for view in told
    ]
    return [
        Chart(
            f"Gap between two tokens, p99: {said}",
            "inter-token latency [ms]",
            "share of gaps [%]",
            each,
            plain(1e3 * edges_s[:-1]),
            x_log=True,
        ),
        Chart(
            "Gaps that are longer",
            "inter-token latency [ms]",
            "longer gaps [share]",
            longer,
            plain(1e3 * edges_s),
            x_log=True,
            y_log=True,
        ),
    ]


def _phases(shown: Sequence[View]) -> list[Chart]:
    charts = []
    for view in shown:
        phases = metrics.phases(view.results)
        if not len(phases["queue"]):
            continue
        at, stack = grouped(phases, 50)
        whole = sum(float(np.sum(length_s)) for length_s in phases.values()) or 1.0
        present = [(name, mean_s) for name, mean_s in stack.items() if np.any(mean_s > 0.0)]
        said = ", ".join(
            f"{name} {style.percent(float(np.sum(phases[name])) / whole)}" for name, _ in present
        )
        areas = [
            Series(name, view.number, style.PHASES[name], plain(mean_s), "area")
            for name, mean_s in present
        ]
        title = f"{view.label}: {said}"
        charts.append(
            Chart(
                title,
                "requests by E2E latency, the slowest right [%]",
                "time [s]",
                areas,
                plain(at),
                run=view.number,
            )
        )
    return charts
