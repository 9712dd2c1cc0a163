"""Faults of a run: when each happened, when the cluster had recovered, and what work was lost."""

from __future__ import annotations

from collections.abc import Collection
from math import inf
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cluster_sim.results.event_rows import of_kinds
from cluster_sim.results.metrics.waiting import waiting
from cluster_sim.results.states import READY, states_of
from cluster_sim.results.step_function import StepFunction
from cluster_sim.typing import Array

if TYPE_CHECKING:
    from cluster_sim.results.run_data import RunData

FAULTS = (
    "node_failure",
    "device_failure",
    "link_failure",
    "link_degraded",
    "spot_reclaim",
    "shutdown",
)
"""Kinds of events that are faults."""
WINDOW_S = 30.0
"""Time over which the number of waiting requests is averaged before and after a fault [s]."""
_ALL_DOWN = "all_down"
"""Reason of a refused request for which no replica was ready."""
_TIMED_OUT = "timed_out"
"""Kind of event with which a client gives an attempt up."""
_LOSSES = ("retried", "failed")
"""Kinds of events with which a request loses its replica."""


class FaultRow(NamedTuple):
    """One fault of a run."""

    at_s: float
    what: str
    """Kind of event, one of FAULTS."""
    where: str
    """Node, device, link or replica."""

    @property
    def pool(self) -> str:
        """Name of the pool that the fault hits, if it hits a node, a device or a replica."""
        return self.where.partition("/")[0]


def faults_of(run: RunData) -> list[FaultRow]:
    """Return the faults of a run in order of time; one that takes several replicas is one fault."""
    labels = {spec.number: spec.label for spec in run.fleet.replicas}
    rows = (
        FaultRow(row["at_s"], row["what"], row["where"] or labels.get(row["replica"], ""))
        for row in of_kinds(run.events, FAULTS).to_pylist()
    )
    return sorted(dict.fromkeys(rows))


def times_to_recover_s(run: RunData) -> list[float]:
    """Return the time that the cluster takes to recover from each fault [s].

    It is the time from the fault until the start of the first half minute in which, on average, no
    more requests wait than in the half minute before the fault, plus one per replica. Requests wait
    for the end of the engine step in progress even in a cluster that keeps up with its load. While
    requests are turned away or time out because no replica is ready, few wait: the cluster has not
    recovered before the end of such an outage. The time is infinite if the run ends before.
    """
    faults_s = np.array([fault.at_s for fault in faults_of(run)])
    if not len(faults_s):
        return []
    number, lengths_s = waiting(run), np.minimum(faults_s, WINDOW_S)
    before = number.so_far(faults_s) - number.so_far(faults_s - lengths_s)
    limits = before / np.where(lengths_s > 0.0, lengths_s, 1.0) + len(run.fleet.replicas)
    windows = _windows(number, _turns_away(run), faults_s)
    return [
        windows.recovered_s(fault_s, limit) - fault_s
        for fault_s, limit in zip(faults_s.tolist(), limits.tolist(), strict=True)
    ]


class _Windows(NamedTuple):
    """Windows with the mean number of waiting requests, which is linear between their starts."""

    starts_s: Array
    """Starts of the windows in ascending order [s]."""
    means: Array
    """Mean number of waiting requests; infinite where requests are turned away at the start."""

    def recovered_s(self, fault_s: float, limit: float) -> float:
        """Return the start of the first window from a fault on with a mean up to `limit` [s]."""
        begin = int(np.searchsorted(self.starts_s, fault_s))
        first, means = self._first_up_to(limit, begin), self.means
        if first is None:
            return inf
        if first == begin or means[first - 1] == inf:
            return float(self.starts_s[first])
        (early, late), (high, low) = (
            self.starts_s[first - 1 : first + 1],
            means[first - 1 : first + 1],
        )
        return float(early + (late - early) * (high - limit) / (high - low))

    def _first_up_to(self, limit: float, begin: int) -> int | None:
        """Return the first window from `begin` on with a mean up to `limit`; most are near."""
        count = 64
        while begin < len(self.means):
            is_low = self.means[begin : begin + count] <= limit
            if np.any(is_low):
                return begin + int(np.argmax(is_low))
            begin, count = begin + count, 2 * count
        return None


def _windows(number: StepFunction, turns_away: StepFunction, faults_s: Array) -> _Windows:
    """Return the windows that begin or end at a change, or begin with a fault.

    Parameters
    ----------
    number
        Number of waiting requests over time.
    turns_away
        Whether requests are turned away over time: 1 or 0.
    faults_s
        Times of the faults in ascending order [s].
    """
    changes_s = [number.from_s, number.from_s - WINDOW_S, turns_away.from_s]
    starts_s = np.unique(np.concatenate([faults_s, *changes_s]))
    starts_s = starts_s[starts_s >= faults_s[0]]
    means = (number.so_far(starts_s + WINDOW_S) - number.so_far(starts_s)) / WINDOW_S
    return _Windows(starts_s, np.where(turns_away.at(starts_s) > 0.0, inf, means))


def outage(run: RunData, pool: str | None = None) -> StepFunction:
    """Return over time whether a role has no ready replica: 1 or 0.

    Parameters
    ----------
    run
        Tables of a run.
    pool
        Name of the pool whose replicas count; None: those of all pools.
    """
    roles: dict[str, list[int]] = {}
    for spec in run.fleet.replicas:
        if pool in (None, spec.deployment.name):
            roles.setdefault(spec.role, []).append(spec.number)
    states = states_of(run)
    ready = [states.count(numbers, (READY,)) for numbers in roles.values()]
    knots_s = np.unique(np.concatenate([count.from_s for count in ready]))
    is_out = np.any([count.at(knots_s) == 0.0 for count in ready], axis=0)
    changes = np.append(True, np.diff(is_out))
    return StepFunction(knots_s[changes], is_out[changes].astype(float))


def _turns_away(run: RunData) -> StepFunction:
    """Return over time whether an outage rejects requests or makes them time out: 1 or 0."""
    out = outage(run)
    refused = of_kinds(run.events, ("rejected", "failed", _TIMED_OUT))
    if "reason" not in refused.column_names:  # the tables of a run before there were reasons
        return StepFunction(out.from_s, np.zeros(len(out.values)))
    reasons = np.array(refused["reason"].to_pylist(), dtype=object)
    timed_out = np.array(refused["what"].to_pylist(), dtype=object) == _TIMED_OUT
    at_s = np.sort(refused["at_s"].to_numpy()[(reasons == _ALL_DOWN) | timed_out])
    refusals = np.diff(np.append(np.searchsorted(at_s, out.from_s), len(at_s)))
    return StepFunction(out.from_s, out.values * (refusals > 0))


class LostWork(NamedTuple):
    """Work of replicas that was lost with them."""

    requests_retried: int
    """Number of requests of which an attempt lost its replica and was sent to another one."""
    tokens: int
    """Tokens of prompts and answers that had been processed."""


def lost_work(run: RunData, replicas: Collection[int]) -> LostWork:
    """Return the work that was lost with some replicas.

    The tokens are those whose KV cache was lost after the first token of the answer: they are
    processed again elsewhere, or are of no use. A prompt that was not processed completely does not
    count, nor does KV cache that a preemption had dropped before.

    Parameters
    ----------
    run
        Tables of a run.
    replicas
        Numbers of the replicas.
    """
    tokens, retried, without_kv = 0, set[int](), set[int]()
    if not of_kinds(run.events, _LOSSES).num_rows:
        return LostWork(0, 0)
    table = run.served
    prompts = table["prompt_tokens"].to_numpy()
    is_attempts = "original" in table.column_names
    requests = table["original"].to_numpy() if is_attempts else np.arange(len(prompts))
    for row in of_kinds(run.events, (*_LOSSES, "preempted", "resumed")).to_pylist():
        what, number, value = row["what"], row["request"], row["value"]
        if what in _LOSSES and row["replica"] in replicas:
            if what == "retried":
                retried.add(int(requests[number]))
            if value and number not in without_kv:
                tokens += int(prompts[number] + value) - 1
        (without_kv.discard if what == "resumed" else without_kv.add)(number)
    return LostWork(len(retried), tokens)
