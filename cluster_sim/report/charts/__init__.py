"""The charts of a page: few enough points to be looked at, whatever the run."""

from __future__ import annotations

from collections.abc import Sequence

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
    """Return all charts of these runs, heading by heading; what no run knows of is left out."""
    every = [
        ChartGroup(
            "latency",
            "Latency",
            "Share of requests answered within a time, and of those that take longer, down to one "
            "in ten thousand.",
            latency_charts(shown),
        ),
        ChartGroup(
            "over-time",
            "Over time",
            "Means over equal bins of simulated time, warm-up included. Charts are zoomed "
            "together.",
            over_time_charts(shown),
        ),
        ChartGroup(
            "requests",
            "Requests",
            "Each point is a request; of very many some are drawn, the slowest always.",
            request_charts(shown),
        ),
        ChartGroup(
            "goodput",
            "Goodput",
            "Requests within the SLO; those that were rejected or not finished are never within "
            "it.",
            goodput_charts(shown),
        ),
        ChartGroup(
            "tokens",
            "Gaps between tokens",
            "Counted exactly, from the runs of like steps.",
            token_charts(shown),
        ),
        ChartGroup(
            "phases",
            "Where the time goes",
            "Mean time by phase, of requests from the quickest to the slowest.",
            phase_charts(shown),
        ),
    ]
    return [group for group in every if group.charts]
