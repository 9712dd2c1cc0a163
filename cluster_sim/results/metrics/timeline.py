"""Course of a run over simulated time, in equal bins."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from cluster_sim.results.metrics.departures import left_s
from cluster_sim.results.metrics.machines import machines_over
from cluster_sim.results.metrics.waiting import waiting_after_loss

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cluster_sim.results.run_data import RunData
    from cluster_sim.typing import Array


@dataclass(frozen=True)
class Timeline:
    """Course of a run over simulated time; arrays have one value per bin, warm-up included."""

    bin_s: float
    """Width of a bin [s]."""
    time_s: Array
    """Centres of the bins [s]."""
    arrival_per_s: Array
    """Rate of arriving requests of clients in the bin, rejected requests included [1/s]."""
    waiting: Array
    """Number of requests that have arrived and are not yet in an engine step, and of those that lost
    their replica and wait for the next token: the exact mean over the bin. Rejected requests never
    wait."""
    running: Array
    """Number of requests admitted that have neither finished nor been lost, preempted requests
    included: the exact mean over the bin."""
    kv_fraction: Array
    """KV cache usage, from 0 to 1: the mean over the bin and over replicas that are ready or
    draining."""
    kv_fraction_max: Array
    """KV cache usage of the fullest replica in the bin, from 0 to 1."""
    kv_fractions: Array
    """KV cache usage of each replica, from 0 to 1, of shape (replicas, bins)."""
    compute_utilisation: Array
    """FLOP in the bin over the maximum at the peak rate of the devices of replicas that are ready or
    draining, from 0 to 1."""
    bandwidth_utilisation: Array
    """Bytes moved in the bin over the maximum at the memory bandwidth of these devices."""
    replicas_on: Array
    """Number of replicas that are not off: the exact mean over the bin."""
    replicas_ready: Array
    """Number of replicas that accept requests: the exact mean over the bin."""


def timelines(runs: Sequence[RunData], points: int = 300) -> list[Timeline]:
    """Return the courses of runs in bins of one width, each from time 0 until its last event.

    Parameters
    ----------
    runs
        Runs that are shown together.
    points
        Number of bins of the longest run.
    """
    bin_s = common_bin_s(runs, points)
    return [timeline(run, points, bin_s) for run in runs]


def common_bin_s(runs: Sequence[RunData], points: int = 300) -> float:
    """Return the width of bins [s] of which `points` cover the longest of some runs."""
    return max(map(_end_s, runs)) / points


def _end_s(run: RunData) -> float:
    """Return the time of the last event of a run [s]; 1 s if no time passes."""
    columns = (run.requests["arrival_s"], run.requests["finish_s"], run.stretches["ended_s"])
    ends_s = [
        float(np.nanmax(times_s))
        for column in columns
        if not np.isnan(times_s := column.to_numpy()).all()
    ]
    return max([run.info.simulated_s, *ends_s]) or 1.0


def timeline(run: RunData, points: int = 300, bin_s: float | None = None) -> Timeline:
    """Return the course of a run in equal bins, from time 0 until the last event.

    The work of a stretch is spread evenly over its time, so sums over the bins equal the sums of
    the table. For a run in which no time passes, the bins cover one second in total.

    Parameters
    ----------
    run
        Tables of a run.
    points
        Number of bins.
    bin_s
        Width of a bin in place of `points` [s]; the last bin then ends at or after the last event.

    Examples
    --------
    >>> import cluster_sim
    >>> few = {"workload.arrivals.concurrency": 2, "workload.arrivals.requests": 4}
    >>> scenario = cluster_sim.load_scenario("example:chat_closed_loop", "b200", few)
    >>> course = timeline(cluster_sim.simulate(scenario), points=10)
    >>> round(float(np.sum(course.arrival_per_s) * course.bin_s))
    4
    """
    table = run.served
    arrival_s, admitted_s = (table[name].to_numpy() for name in ("arrival_s", "admitted_s"))
    last_s = _end_s(run)
    if bin_s is not None:
        # rounding must not add a bin, nor end the last one before the last event
        points = max(ceil(last_s / bin_s * (1.0 - 1e-12)), 1)
        last_s = max(last_s, points * bin_s * (1.0 - 1e-12))
    edges_s = np.linspace(0.0, last_s, points + 1)
    bin_s = float(edges_s[-1]) / points
    served = table["status"].to_numpy() != "rejected"
    ends_s, is_admitted = left_s(run), ~np.isnan(admitted_s)
    arrived, admitted, left, gave_up = (
        _mean_so_far(times_s[~np.isnan(times_s)], edges_s)
        for times_s in (
            arrival_s[served],
            admitted_s,
            ends_s[is_admitted],
            ends_s[served & ~is_admitted],
        )
    )
    machines, again = machines_over(run, edges_s), waiting_after_loss(run).means(edges_s)
    return Timeline(
        bin_s=bin_s,
        time_s=0.5 * (edges_s[1:] + edges_s[:-1]),
        arrival_per_s=np.histogram(run.requests["arrival_s"].to_numpy(), edges_s)[0] / bin_s,
        # rounding may make a difference of equal sums slightly negative
        waiting=np.maximum(arrived - admitted - gave_up, 0.0) + again,
        running=np.maximum(admitted - left - again, 0.0),
        kv_fraction_max=np.max(machines.kv_fractions, axis=0),
        **machines._asdict(),
    )


def _mean_so_far(times_s: Array, edges_s: Array) -> Array:
    """Return the number of `times_s` that have passed, as the exact mean over each bin."""
    bins, bin_s = len(edges_s) - 1, edges_s[-1] / (len(edges_s) - 1)
    place = np.clip(np.searchsorted(edges_s, times_s, side="right") - 1, 0, bins - 1)
    inside = np.bincount(place, minlength=bins)
    # times in earlier bins count fully, times in this bin for the part of the bin after them, and
    # times after the last bin not at all: a step that the end of a run cut off began there
    after_s = np.maximum(edges_s[place + 1] - times_s, 0.0)
    mean: Array = (
        np.cumsum(inside) - inside + np.bincount(place, weights=after_s / bin_s, minlength=bins)
    )
    return mean
