"""Latencies and utilisation, computed from the tables of a run."""

from cluster_sim.results.metrics.finished import Finished, finished
from cluster_sim.results.metrics.gaps import Gaps, itl
from cluster_sim.results.metrics.good_requests import is_judged, strictness, within_slo
from cluster_sim.results.metrics.phases import phases
from cluster_sim.results.metrics.timeline import Timeline, common_bin_s, timeline, timelines

__all__ = [
    "Finished",
    "Gaps",
    "Timeline",
    "common_bin_s",
    "finished",
    "is_judged",
    "itl",
    "phases",
    "strictness",
    "timeline",
    "timelines",
    "within_slo",
]
