"""The table of requests."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from cluster_sim.deployment.fleet import resolve
from cluster_sim.results.contention import lost_s
from cluster_sim.results.recorder import Recorder
from cluster_sim.results.request_values import request_values
from cluster_sim.results.tables.arrow import column, seconds
from cluster_sim.results.tables.token_times import token_times_s
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.typing import Array
from cluster_sim.workload.random_streams import stream


def requests_table(
    scenario: Scenario,
    recorder: Recorder,
    latencies_s: Array,
    stretches: pa.Table,
) -> pa.Table:
    """Return one row per request that arrived in the cluster, see columns.REQUESTS.

    With clients these are the attempts.

    Parameters
    ----------
    latencies_s
        Latency of answers from each replica to the front door, by number [s].
    stretches
        Table of stretches of the same run.
    """
    table = _recorded(scenario, recorder, latencies_s)
    columns_of = {
        name: stretches[name].to_numpy()
        for name in ("replica", "began_s", "ended_s", "bus_s", "link_s")
    }
    contention = lost_s(recorder.requests, columns_of, recorder.transfers)
    for name, times_s in contention._asdict().items():
        table = table.append_column(name, seconds(times_s))
    if scenario.workload.reasoning_share is not None:
        table = _with_reasoning(scenario, table, recorder, stretches, latencies_s)
    return table


def _recorded(scenario: Scenario, recorder: Recorder, latencies_s: Array) -> pa.Table:
    """Return the columns that follow from the requests alone."""
    requests, classes = recorder.requests, scenario.workload.classes
    replica, prefill_replica = (
        request_values(requests, name, np.int32) for name in ("replica", "prefill_replica")
    )
    # the last entry is for replica -1: a request without a replica
    answer_s = np.append(latencies_s, 0.0)
    finish_latency_s = answer_s[replica]
    first_latency_s = answer_s[np.where(prefill_replica < 0, replica, prefill_replica)]
    names = [pool.name for pool in scenario.cluster.pools]
    pool_of = [names.index(spec.deployment.name) for spec in resolve(scenario).replicas]
    first_s = request_values(requests, "first_token_s") + first_latency_s
    # Tokens of one answer arrive in order, even if the path from the decode replica is shorter.
    finish_s = np.maximum(request_values(requests, "finish_s") + finish_latency_s, first_s)
    pool = np.array([*pool_of, 0], dtype=np.int8)[replica]
    class_number = request_values(requests, "class_number", np.int16)
    class_names = [traffic_class.name for traffic_class in classes] or [""]
    without_class = np.full(len(requests), not classes)

    def whole(name: str, kind: Any = np.int64) -> pa.Array:
        return column(request_values(requests, name, kind))

    def between(start: str, end: str) -> pa.Array:
        return seconds(
            request_values(requests, end, float) - request_values(requests, start, float)
        )

    return pa.table({
        "request": whole("number"),
        "status": _statuses(recorder),
        "counted": whole("counted", bool),
        "class": pa.DictionaryArray.from_arrays(column(class_number, without_class), class_names),
        "pool": pa.DictionaryArray.from_arrays(column(pool, replica < 0), names),
        "replica": column(replica, replica < 0),
        "prefill_replica": column(prefill_replica, prefill_replica < 0),
        "prompt_tokens": whole("prompt_tokens"),
        "output_tokens": whole("output_tokens"),
        "prefix_hit_tokens": whole("prefix_hit_tokens"),
        "fetched_tokens": whole("fetched_tokens"),
        "preemptions": whole("preemptions", np.int32),
        "arrival_s": whole("arrival_s", float),
        "admitted_s": seconds(request_values(requests, "admitted_s")),
        "first_token_s": seconds(first_s),
        "hand_over_wait_s": between("read_s", "sending_s"),
        "kv_transfer_s": between("sending_s", "landed_s"),
        "finish_s": seconds(finish_s),
    })  # fmt: skip


_STATUSES = ["rejected", "unfinished", "finished"]


def _statuses(recorder: Recorder) -> pa.DictionaryArray:
    """Return the column of statuses; its dictionary lists rarer statuses only if they occur."""
    unfinished = np.isnan(request_values(recorder.requests, "finish_s"))
    rejected = np.array(
        [request.number in recorder.rejected for request in recorder.requests], dtype=bool
    )
    status = np.where(rejected, 0, np.where(unfinished, 1, 2)).astype(np.int8)
    names, other = [*_STATUSES], dict.fromkeys(recorder.failed, "failed") | recorder.given_up
    for name in dict.fromkeys(other.values()):
        status[[other.get(request.number) == name for request in recorder.requests]] = len(names)
        names.append(name)
    return pa.DictionaryArray.from_arrays(column(status), names)


def _with_reasoning(
    scenario: Scenario,
    table: pa.Table,
    recorder: Recorder,
    stretches: pa.Table,
    latencies_s: Array,
) -> pa.Table:
    """Return `table` with the reasoning tokens of each request.

    A second column has the time at which the first token after reasoning is at the front door.
    """
    share, requests = scenario.workload.reasoning_share, recorder.requests
    assert share is not None
    # all attempts of a request have the same answer
    firsts = [each.first for each in recorder.originals] or requests
    reasoning = share.tokens(
        stream(scenario.seed, "reasoning_share"), request_values(firsts, "output_tokens", np.int64)
    )
    if recorder.originals:
        reasoning = reasoning[request_values(requests, "original", np.int64)]
    finished = [
        row
        for row, request in enumerate(requests)
        # the answer of a user who leaves may end within its reasoning
        if request.finish_s == request.finish_s and reasoning[row] < request.output_tokens
    ]
    seen_s = np.full(len(requests), np.nan)
    seen_s[finished] = token_times_s(
        [requests[row] for row in finished], reasoning[finished] + 1, stretches, recorder.events
    )
    seen_s[finished] += latencies_s[[requests[row].replica for row in finished]]
    return table.append_column("reasoning_tokens", column(reasoning)).append_column(
        "first_output_token_s", seconds(seen_s)
    )
