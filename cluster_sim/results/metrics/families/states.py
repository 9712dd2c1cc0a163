"""States of replicas: availability, failures and what they cost, and scaling; warm-up included.

Metrics are absent from runs in which they cannot differ: without a change of state, without a
fault, or without a replica that was off.
"""

from __future__ import annotations

from math import inf

import numpy as np

from cluster_sim.results.faults import (
    FaultRow,
    LostWork,
    faults_of,
    lost_work,
    outage,
    times_to_recover_s,
)
from cluster_sim.results.metrics.metric import MACHINES, Metric, Row, Scope
from cluster_sim.results.metrics.selection import Selection
from cluster_sim.results.states import ON, READY, RECLAIMED
from cluster_sim.results.step_function import StepFunction


def _availability(selection: Selection) -> float | None:
    states, numbers = selection.states, selection.replicas
    wanted = [state for state in (*ON, RECLAIMED) if state != "asleep"]
    if states.are_constant or not (wanted_s := states.seconds(numbers, wanted)):
        return None
    return states.seconds(numbers, (READY,)) / wanted_s


def _outage_s(selection: Selection) -> float | None:
    """Return the time in which a role of the selected pools has no ready replica [s]."""
    states = selection.states
    if states.are_constant:
        return None
    return outage(selection.run, selection.pool).integral(states.end_s)


def _on(selection: Selection) -> StepFunction | None:
    """Return the number of replicas that are on, or None if none is ever off."""
    states = selection.states
    return states.count(selection.replicas, ON) if states.scale else None


def _mean_replicas(selection: Selection) -> float | None:
    count, end_s = selection.once(_on), selection.states.end_s
    return None if count is None or not end_s else count.integral(end_s) / end_s


def _max_replicas(selection: Selection) -> int | None:
    count = selection.once(_on)
    if count is None:
        return None
    lengths_s = count.lengths_s(selection.states.end_s)
    return round(float(np.max(count.values[lengths_s > 0.0], initial=0.0)))


def _node_hours(selection: Selection) -> float | None:
    states = selection.states
    if not states.scale:
        return None
    return sum(
        node.integral(states.end_s) / 3600.0
        for deployment in selection.deployments
        for node in states.nodes_on(deployment)
    )


def _faults(whole: Selection) -> list[FaultRow]:
    return faults_of(whole.run)


def _failures(selection: Selection) -> int | None:
    faults = selection.whole.once(_faults)
    count = sum(selection.pool in (None, fault.pool) for fault in faults)
    return count or None


def _recoveries_s(whole: Selection) -> list[float]:
    return times_to_recover_s(whole.run) if whole.once(_faults) else []


def _time_to_recover_s(whole: Selection) -> float | None:
    worst_s = max(whole.once(_recoveries_s), default=inf)
    return None if worst_s == inf else worst_s


def _unrecovered(whole: Selection) -> int | None:
    return whole.once(_recoveries_s).count(inf) or None


def _lost_work(selection: Selection) -> LostWork:
    return lost_work(selection.run, set(selection.replicas))


METRICS = (
    Metric(
        "availability",
        "share",
        "Share of the time in which replicas were ready, of the time in which they were neither off nor "
        "asleep, summed over replicas. Time in which a spot node is reclaimed counts as not ready. "
        "Absent if all replicas were ready during the whole run.",
        _availability,
        scope=MACHINES,
        row=Row(411, "availability of replicas", ".3%"),
    ),
    Metric(
        "outage_s",
        "s",
        "Time in which no replica was ready to accept requests, or none of the prefill or decode "
        "replicas; absent if all replicas were ready during the whole run.",
        _outage_s,
        scope=MACHINES,
        label="no replica ready [s]",
        row=Row(412, "no replica ready [s]", ",.1f"),
    ),
    Metric(
        "failures",
        "",
        "Number of faults of nodes, devices and links, reclaims of spot nodes and shutdowns by heat; "
        "absent if there was none.",
        _failures,
        scope=MACHINES,
        is_extensive=True,
        row=Row(413, "failures", ",.0f"),
    ),
    Metric(
        "time_to_recover_s",
        "s",
        "Time from a fault until the start of the first half minute in which, on average, no more "
        "requests wait than in the half minute before the fault, plus one per replica; the longest of "
        "all faults; absent without faults, and if the run ends before.",
        _time_to_recover_s,
        scope=Scope.RUN,
        label="time to recover, longest [s]",
        row=Row(414, "time until the queue recovers, longest [s]", ",.1f"),
    ),
    Metric(
        "unrecovered_failures",
        "",
        "Number of faults after which more requests waited than before until the run ended; absent if "
        "there was none.",
        _unrecovered,
        scope=Scope.RUN,
        is_extensive=True,
        row=Row(415, "failures not recovered from", ",.0f"),
    ),
    Metric(
        "requests_retried",
        "",
        "Number of requests that lost their replica and were sent to another one; absent if there was none.",
        lambda selection: selection.once(_lost_work).requests_retried or None,
        scope=MACHINES,
        is_extensive=True,
        row=Row(416, "requests retried after a loss", ",.0f"),
    ),
    Metric(
        "lost_tokens",
        "tokens",
        "Number of tokens of prompts and answers whose KV cache was lost with a replica after the first "
        "token of the answer; absent if there was none.",
        lambda selection: selection.once(_lost_work).tokens or None,
        scope=MACHINES,
        is_extensive=True,
        label="work lost [tokens]",
        row=Row(417, "work lost with replicas [tokens]", ",.0f"),
    ),
    Metric(
        "mean_replicas",
        "",
        "Mean number of replicas that were on; absent if none was ever off.",
        _mean_replicas,
        scope=MACHINES,
        is_extensive=True,
        label="replicas on, mean",
        row=Row(418, "replicas on, mean", ",.2f"),
    ),
    Metric(
        "max_replicas",
        "",
        "Largest number of replicas that were on; absent if none was ever off.",
        _max_replicas,
        scope=MACHINES,
        is_extensive=True,
        label="replicas on, maximum",
        row=Row(419, "replicas on, maximum", ",.0f"),
    ),
    Metric(
        "node_hours",
        "h",
        "Time in which nodes were on, summed over nodes; absent if no replica was ever off.",
        _node_hours,
        scope=MACHINES,
        is_extensive=True,
        label="time of nodes [node-hours]",
    ),
)
