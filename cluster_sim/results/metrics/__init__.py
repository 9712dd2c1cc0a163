"""Latencies and utilisation, computed from the tables of a run."""

from cluster_sim.results.metrics.finished import Finished, finished, strictness, within_slo
from cluster_sim.results.metrics.gaps import Gaps, itl
from cluster_sim.results.metrics.phases import phases
from cluster_sim.results.metrics.timeline import Timeline, common_bin_s, timeline, timelines

__all__ = [
    "Finished",
    "Gaps",
    "Timeline",
    "common_bin_s",
    "finished",
    "itl",
    "phases",
    "strictness",
    "timeline",
    "timelines",
    "within_slo",
]
