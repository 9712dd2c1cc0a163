"""Charts of a page about runs, with a limited number of points for runs of any size."""

from __future__ import annotations

from collections.abc import Sequence

from cluster_sim.report.charts.attempts import attempt_charts
from cluster_sim.report.charts.chart import Chart, ChartGroup, Line, Series, as_data, line, plain
from cluster_sim.report.charts.goodput import goodput_charts
from cluster_sim.report.charts.latency import latency_charts
from cluster_sim.report.charts.over_time import over_time_charts
from cluster_sim.report.charts.phases import phase_charts
from cluster_sim.report.charts.requests import request_charts
from cluster_sim.report.charts.tokens import token_charts
from cluster_sim.report.charts.view import View, views

__all__ = [
    "Chart",
    "ChartGroup",
    "Line",
    "Series",
    "View",
    "as_data",
    "groups",
    "line",
    "plain",
    "views",
]


def groups(shown: Sequence[View]) -> list[ChartGroup]:
    """Return all charts of some runs, by heading; headings without charts are omitted."""
    every = [
        ChartGroup(
            "latency",
            "Latency",
            "Share of requests within a time, and share of requests that take longer, down to one "
            "in ten thousand.",
            latency_charts(shown),
        ),
        ChartGroup(
            "over-time",
            "Over time",
            "Means over equal bins of simulated time, including the warm-up; all runs have the "
            "same bins. All charts zoom together.",
            over_time_charts(shown),
        ),
        ChartGroup(
            "attempts",
            "Attempts of clients",
            "Attempts that clients send and that the cluster admits, answers that are of use, and work "
            "that is done in vain. Retries make more attempts than requests.",
            attempt_charts(shown),
        ),
        ChartGroup(
            "requests",
            "Requests",
            "Each point is a request. With very many requests a part is drawn, including the "
            "slowest.",
            request_charts(shown),
        ),
        ChartGroup(
            "goodput",
            "Goodput",
            "Requests within the SLO. Requests that were rejected or did not finish are never "
            "within the SLO.",
            goodput_charts(shown),
        ),
        ChartGroup(
            "tokens",
            "Inter-token latency",
            "Gaps between the tokens of each request. All gaps are counted exactly.",
            token_charts(shown),
        ),
        ChartGroup(
            "phases",
            "Phases of requests",
            "Mean time per phase, for requests in the order of end-to-end latency.",
            phase_charts(shown),
        ),
    ]
    return [group for group in every if group.charts]
