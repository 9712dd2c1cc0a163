"""Load that clients offer, that they send and that the cluster serves, over simulated time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from cluster_sim.results.metrics.departures import left_s
from cluster_sim.results.metrics.finished import finished
from cluster_sim.results.metrics.good_requests import within_slo
from cluster_sim.results.metrics.timeline import common_bin_s

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cluster_sim.results.run_data import RunData
    from cluster_sim.typing import Array


@dataclass(frozen=True)
class Load:
    """Rates over simulated time; arrays have one value per bin, warm-up included."""

    edges_s: Array
    """Edges of the bins [s]."""
    offered_per_s: Array
    """Rate of requests of clients, by their arrival [1/s]."""
    sent_per_s: Array
    """Rate of attempts, by the time at which they were sent [1/s]."""
    admitted_per_s: Array
    """Rate of attempts that are admitted to a batch [1/s]."""
    good_per_s: Array
    """Rate of whole answers within the SLO, by their end; without an SLO, of all answers [1/s]."""
    wasted_share: Array
    """Share of the output tokens of attempts that leave in the bin that were generated in vain; NaN
    without any token."""


def loads(runs: Sequence[RunData], points: int = 120) -> list[Load]:
    """Return the loads of runs in bins of one width, each from time 0 until its last event.

    Parameters
    ----------
    runs
        Runs that are shown together.
    points
        Number of bins of the longest run.

    Examples
    --------
    >>> import cluster_sim
    >>> few = {"workload.arrivals.concurrency": 2, "workload.arrivals.requests": 4}
    >>> scenario = cluster_sim.load_scenario("example:chat_closed_loop", "b200", few)
    >>> (each,) = loads([cluster_sim.simulate(scenario)], points=10)
    >>> round(float(np.sum(each.sent_per_s * np.diff(each.edges_s))))
    4
    """
    bin_s = common_bin_s(runs, points)
    return [load(run, bin_s) for run in runs]


def load(run: RunData, bin_s: float) -> Load:
    """Return the load of a run from time 0 until its last event.

    Parameters
    ----------
    run
        Tables of a run.
    bin_s
        Width of the bins [s].
    """
    served = run.served
    ends_s = left_s(run)
    last_s = np.nanmax([run.info.simulated_s, *_longest_s(run)])
    edges_s = bin_s * np.arange(max(int(np.ceil(last_s / bin_s * (1.0 - 1e-12))), 1) + 1)
    edges_s[-1] = max(edges_s[-1], last_s)

    def per_s(times_s: Array) -> Array:
        counts: Array = np.histogram(times_s[~np.isnan(times_s)], edges_s)[0] / bin_s
        return counts

    return Load(
        edges_s,
        per_s(run.requests["arrival_s"].to_numpy()),
        per_s(served["arrival_s"].to_numpy()),
        per_s(served["admitted_s"].to_numpy()),
        per_s(_good_s(run)),
        _wasted_share(run, ends_s, edges_s),
    )


def _longest_s(run: RunData) -> list[float]:
    """Return the last arrival and the last end of a row of `served` [s]; NaN if there is none."""
    times_s = (run.served["arrival_s"].to_numpy(), left_s(run))
    return [float(np.nanmax(each)) if not np.isnan(each).all() else np.nan for each in times_s]


def _good_s(run: RunData) -> Array:
    """Return the time of each answer within the SLO, warm-up included [s]."""
    place = run.requests.column_names.index("counted")
    every = pa.repeat(pa.scalar(value=True), run.requests.num_rows)
    whole = replace(run, requests=run.requests.set_column(place, "counted", every))
    done = finished(whole)
    good = within_slo(whole, done)
    return done.finish_s if good is None else done.finish_s[good]


def _wasted_share(run: RunData, ends_s: Array, edges_s: Array) -> Array:
    """Return the share of output tokens that were generated in vain, per bin."""
    has_left = ~np.isnan(ends_s)
    status = run.served["status"].to_numpy()
    used = np.where(status == "finished", run.served["output_tokens"].to_numpy(), 0)
    wasted = np.zeros(len(used))
    if run.attempts.num_rows:
        wasted = run.attempts["wasted_tokens"].to_numpy()
        used = np.where(run.attempts["outcome"].to_numpy() == "answered", used, 0)
    of_bin = [
        np.histogram(ends_s[has_left], edges_s, weights=tokens[has_left].astype(float))[0]
        for tokens in (wasted, used)
    ]
    total = of_bin[0] + of_bin[1]
    share: Array = np.divide(of_bin[0], total, out=np.full(len(total), np.nan), where=total > 0.0)
    return share
