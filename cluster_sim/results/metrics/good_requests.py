"""Requests that the SLO judges, and those that meet it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from cluster_sim.results.metrics.finished import Finished, class_numbers, counted, finished

if TYPE_CHECKING:
    from cluster_sim.results.run_data import RunData
    from cluster_sim.typing import Array


def is_judged(run: RunData, pool: str | None = None, class_: str | None = None) -> Array:
    """Return whether the SLO judges each request: those that count, without some cancelled ones.

    A request that its user cancelled says nothing about the cluster, unless it had already missed
    the limit on TTFT of its class: then it counts like a request that did not finish.

    Parameters
    ----------
    run
        Tables of a run.
    pool
        Name of a pool. Default: all pools.
    class_
        Name of a class of traffic. Default: all classes.

    Returns
    -------
    Array
        Truths of shape (requests,).
    """
    is_counted, table = counted(run, pool, class_), run.requests
    if "ended_s" not in table.column_names:  # without clients nobody cancels
        return is_counted
    cancelled = table["status"].to_numpy() == "cancelled"
    arrival_s, first_s, ended_s = (
        table[name].to_numpy() for name in ("arrival_s", "first_token_s", "ended_s")
    )
    waited_s = np.where(np.isnan(first_s), ended_s, first_s) - arrival_s
    has_missed = np.zeros(len(cancelled), dtype=bool)
    class_number = class_numbers(run)
    for number, slo in enumerate(run.scenario.slos):
        if slo.ttft_s is not None:
            has_missed |= (waited_s > slo.ttft_s) & (class_number == number)
    judged: Array = is_counted & ~(cancelled & ~has_missed)
    return judged


def within_slo(run: RunData, done: Finished) -> Array | None:
    """Return whether each finished request meets every objective of its class.

    A request of a class without objectives counts as good.

    Parameters
    ----------
    run
        Tables of a run.
    done
        Finished requests of that run.

    Returns
    -------
    Array or None
        Truths, one per request of `done`; None if no class has objectives.
    """
    if not _has_objectives(run):
        return None
    good = np.ones(len(done.arrival_s), dtype=bool)
    for selected, values_s, limit_s in _objectives(run, done):
        good &= ~selected | (values_s <= limit_s)
    return good


def strictness(run: RunData) -> Array | None:
    """Return the smallest factor on its objectives at which each request would meet them.

    A request with a factor of at most 1 is good. The factor is infinite for a request that did not
    finish, and 0 for a request of a class without objectives.

    Returns
    -------
    Array or None
        Factors, one per request that the SLO judges (`is_judged`); None if no class has objectives.
    """
    if not _has_objectives(run):
        return None
    done = finished(run)
    needed = np.zeros(len(done.arrival_s))
    for selected, values_s, limit_s in _objectives(run, done):
        needed[selected] = np.maximum(needed[selected], values_s[selected] / limit_s)
    is_counted, status = run.requests["counted"].to_numpy(), run.requests["status"].to_numpy()
    factors = np.full(len(status), np.inf)
    factors[is_counted & (status == "finished")] = needed
    of_judged: Array = factors[is_judged(run)]
    return of_judged


def _has_objectives(run: RunData) -> bool:
    """Return whether any class has an objective."""
    return any(slo.limits_s for slo in run.scenario.slos)


def _objectives(run: RunData, done: Finished) -> Iterator[tuple[Array, Array, float]]:
    """Yield the requests that each objective applies to, their latencies [s], and its limit [s]."""
    for number, slo in enumerate(run.scenario.slos):
        selected = done.class_number == number
        values_s = {"ttft": done.ttft_s, "tpot": done.tpot_s, "e2el": done.e2el_s}
        for latency, limit_s in slo.limits_s.items():
            yield selected, values_s[latency], limit_s
