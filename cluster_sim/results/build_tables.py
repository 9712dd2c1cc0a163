"""Rows of a run that has ended -> the tables of its Results."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from cluster_sim.deployment.step_work import stretch_work, work_of
from cluster_sim.deployment.thermal_groups import Spot
from cluster_sim.physics.ramp import Ramp
from cluster_sim.physics.wafer import WaferSteps
from cluster_sim.request import Request
from cluster_sim.results.contention import lost_s as contended_s
from cluster_sim.results.recorder import EventRow, Recorder
from cluster_sim.results.results import EVENT_COLUMNS, STRETCH_COLUMNS, Results, transfers_table
from cluster_sim.results.thermal_table import with_temperatures
from cluster_sim.scenario.pool import Pool
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.topology import Edge, Route, Topology
from cluster_sim.typing import Number
from cluster_sim.workload.random_streams import stream

_SOME = ("energy_j", "station_occupancy")
"""Columns of stretches that some devices have nothing for."""


def gather(
    scenario: Scenario,
    recorder: Recorder,
    topology: Topology,
    paths: list[Route],
    info: dict[str, Any],
    spots: Sequence[Spot] = (),
) -> Results:
    """The results of a run that has ended: its rows as tables; `info` is completed."""
    pool_of = [
        pool for pool in scenario.cluster.pools for _ in range(pool.replica_count(scenario.model))
    ]
    everyone = recorder.requests
    latencies_s = np.array([path.latency_s for path in paths])
    requests = _requests_table(scenario, everyone, recorder, pool_of, latencies_s)
    stretches = _stretches_table(scenario, recorder, pool_of)
    columns_of = {
        name: stretches[name].to_numpy()
        for name in ("replica", "began_s", "ended_s", "bus_s", "link_s")
    }
    for name, seconds in zip(
        ("bus_s", "link_s", "kv_contention_s"),
        contended_s(everyone, columns_of, recorder.transfers),
        strict=True,
    ):
        requests = requests.append_column(name, _column(seconds, np.isnan(seconds)))
    if scenario.workload.reasoning_share is not None:
        requests = _with_reasoning(
            scenario, requests, everyone, stretches, recorder.events, latencies_s
        )
    columns = list(zip(*recorder.events, strict=True)) or [()] * len(EVENT_COLUMNS)
    types = (pa.float64(), pa.string(), pa.int32(), pa.int64(), pa.float64())
    events = pa.table(
        {
            name: pa.array(column, kind)
            for name, column, kind in zip(EVENT_COLUMNS, columns, types, strict=True)
        }
    )
    reasons = [
        recorder.rejected[number] if what == "rejected" else None
        for what, number in zip(columns[1], columns[3], strict=True)
    ]
    events = events.append_column("reason", pa.array(reasons, pa.string()))
    last_s = float(np.max(stretches["ended_s"].to_numpy())) if len(stretches) else 0.0
    info["simulated_s"] = max(last_s, everyone[-1].arrival_s if everyone else 0.0)
    down_s = {number: at_s for at_s, what, number, _, _ in recorder.events if what == "shutdown"}
    devices = _devices_table(scenario, stretches, info["simulated_s"], down_s)
    thermal, devices = with_temperatures(
        scenario, spots, devices, stretches, recorder.throttles, down_s, info["simulated_s"]
    )
    links = _links_table(topology, paths, requests, recorder, info["simulated_s"])
    return Results(
        scenario,
        requests,
        stretches,
        devices,
        links,
        events,
        info,
        transfers_table(recorder.transfers),
        thermal,
    )


def _requests_table(
    scenario: Scenario,
    everyone: list[Request],
    recorder: Recorder,
    pool_of: list[Pool],
    latency_s: np.ndarray,
) -> pa.Table:
    replica = np.array([request.replica for request in everyone], dtype=np.int32)
    prefill_replica = np.array([request.prefill_replica for request in everyone], dtype=np.int32)
    latencies_s = np.append(
        latency_s, 0.0
    )  # of the answer's way back; -1, no replica, takes the last
    way_s, first_way_s = (
        latencies_s[replica],
        latencies_s[np.where(prefill_replica < 0, replica, prefill_replica)],
    )
    unfinished = np.isnan([request.finish_s for request in everyone])
    rejected = np.array([request.number in recorder.rejected for request in everyone], dtype=bool)
    status = np.where(rejected, 0, np.where(unfinished, 1, 2)).astype(np.int8)
    names = [pool.name for pool in scenario.cluster.pools]
    pool = np.array([names.index(pool.name) for pool in pool_of] + [0], dtype=np.int8)[replica]

    classes = scenario.workload.classes
    class_number = np.array([request.class_number for request in everyone], dtype=np.int16)

    def whole(name: str, kind: Any = np.int64) -> pa.Array:
        return _column(np.array([getattr(request, name) for request in everyone], dtype=kind))

    def seconds(name: str, later_s: np.ndarray | float = 0.0, since: str | None = None) -> pa.Array:
        """A column of times; NaN, for what has not come, is null. since: what they are counted
        from.
        """
        times_s = np.array([getattr(request, name) for request in everyone], dtype=float) + later_s
        if since is not None:
            times_s = times_s - np.array(
                [getattr(request, since) for request in everyone], dtype=float
            )
        return _column(times_s, np.isnan(times_s))

    return pa.table({
        "request": whole("number"),
        "status": pa.DictionaryArray.from_arrays(_column(status), ["rejected", "unfinished", "finished"]),
        "counted": whole("counted", bool),
        "class": pa.DictionaryArray.from_arrays(_column(class_number, np.full(len(everyone), not classes)), [one.name for one in classes] or [""]),
        "pool": pa.DictionaryArray.from_arrays(_column(pool, replica < 0), names),
        "replica": _column(replica, replica < 0),
        "prefill_replica": _column(prefill_replica, prefill_replica < 0),
        "prompt_tokens": whole("prompt_tokens"),
        "output_tokens": whole("output_tokens"),
        "prefix_hit_tokens": whole("prefix_hit_tokens"),
        "fetched_tokens": whole("fetched_tokens"),
        "preemptions": whole("preemptions", np.int32),
        "arrival_s": whole("arrival_s", float),
        "admitted_s": seconds("admitted_s"),
        "first_token_s": seconds("first_token_s", first_way_s),
        "hand_over_wait_s": seconds("sending_s", since="read_s"),
        "kv_transfer_s": seconds("landed_s", since="sending_s"),
        "finish_s": seconds("finish_s", way_s),
    })  # fmt: skip


def _with_reasoning(
    scenario: Scenario,
    table: pa.Table,
    everyone: list[Request],
    stretches: pa.Table,
    events: list[EventRow],
    latency_s: np.ndarray,
) -> pa.Table:
    """`table` with the reasoning tokens of each request, and of those that finished when the first
    token after them was seen.
    """
    share = scenario.workload.reasoning_share
    assert share is not None
    reasoning = share.tokens(
        stream(scenario.seed, "reasoning_share"), table["output_tokens"].to_numpy()
    )
    finished = [row for row, request in enumerate(everyone) if request.finish_s == request.finish_s]
    seen_s = np.full(len(everyone), np.nan)
    seen_s[finished] = token_times_s(
        [everyone[row] for row in finished], reasoning[finished] + 1, stretches, events
    )
    seen_s[finished] += latency_s[[everyone[row].replica for row in finished]]
    return table.append_column("reasoning_tokens", _column(reasoning)).append_column(
        "first_output_token_s", _column(seen_s, np.isnan(seen_s))
    )


def token_times_s(
    requests: list[Request], token: np.ndarray, stretches: pa.Table, events: list[EventRow]
) -> np.ndarray:
    """When each of these finished requests' `token` was made, the first counted as 1, before its
    way back.

    From its first token, or the first after a preemption, until the next preemption or its end a
    request gets tokens evenly, step by step: one a step, or with speculation more.
    """
    preempted: dict[int, list[tuple[float, int, int, bool]]] = {}
    for at_s, what, replica_number, number, value in events:
        if what in ("preempted", "resumed", "retried"):
            preempted.setdefault(number, []).append(
                (at_s, int(value), replica_number, what == "resumed")
            )
    spans = [
        _span_of(request, int(wanted), preempted.get(request.number, ()))
        for request, wanted in zip(requests, token.tolist(), strict=True)
    ]
    from_s, from_token, to_s, to_token, of_replica = np.array(spans, dtype=float).reshape(-1, 5).T
    replica = of_replica.astype(np.int64)
    times_s = from_s.copy()
    column = {
        name: stretches[name].to_numpy()
        for name in ("replica", "began_s", "first_s", "slope_s", "steps", "ended_s")
    }
    for number in np.unique(replica).tolist():
        rows = np.nonzero(column["replica"] == number)[0]
        began_s, first_s, slope_s, steps, ended_s = (
            column[name][rows] for name in ("began_s", "first_s", "slope_s", "steps", "ended_s")
        )
        mine = np.nonzero((replica == number) & (token > from_token))[0]
        done = np.cumsum(steps)
        # spans begin and end with stretches; nearest, since the clock and the closed form differ by
        # a rounding
        middles_s = 0.5 * (ended_s[1:] + ended_s[:-1])
        start, end = (done[np.searchsorted(middles_s, at_s[mine])] for at_s in (from_s, to_s))
        wanted, made = token[mine] - from_token[mine], to_token[mine] - from_token[mine]
        step = start + np.ceil(wanted * (end - start) / made).astype(np.int64)
        row = np.searchsorted(done, step)
        inside = step - (done[row] - steps[row])
        times_s[mine] = began_s[row] + Ramp(first_s[row], slope_s[row]).total_s(inside)
    return times_s


def _span_of(
    request: Request, token: int, happened: Sequence[tuple[float, int, int, bool]]
) -> tuple[float, int, float, int, int]:
    """(from [s], token made then, to [s], token made by then, by which replica) of the span without
    preemption in which a token was made.
    """
    from_s, from_token, made = request.first_token_s, 1, 1
    for at_s, value, replica, resumed in happened:
        if at_s < request.first_token_s:
            continue
        if resumed:
            if token <= made:
                break
            from_s, from_token = at_s, made + 1
        elif value >= token:
            return from_s, from_token, at_s, value, replica
        else:
            made = value
    return from_s, from_token, request.finish_s, request.output_tokens, request.replica


def _column(values: np.ndarray, missing: np.ndarray | None = None) -> pa.Array:
    """A column of numbers or truths, with nulls where `missing`.

    From the bytes, since Arrow's own way from numpy imports numpy.ma, half the time of a short
    run's tables.
    """
    present = None if missing is None else pa.py_buffer(np.packbits(~missing, bitorder="little"))
    if values.dtype == bool:
        return pa.Array.from_buffers(
            pa.bool_(), len(values), [present, pa.py_buffer(np.packbits(values, bitorder="little"))]
        )
    return pa.Array.from_buffers(
        pa.from_numpy_dtype(values.dtype),
        len(values),
        [present, pa.py_buffer(np.ascontiguousarray(values))],
    )


def _stretches_table(scenario: Scenario, recorder: Recorder, pool_of: list[Pool]) -> pa.Table:
    rows = np.frombuffer(recorder.stretches, dtype=float).reshape(-1, len(STRETCH_COLUMNS))
    real = {
        "began_s",
        "first_s",
        "slope_s",
        "growth",
        "clock",
        "memory_share",
        "link_share",
        "bus_s",
        "link_s",
    }
    if any(pool.replica.speculation for pool in pool_of):  # sequences grow at rates of their own
        real |= {"context", "kv_tokens"}
    data = {
        name: rows[:, place].astype(float if name in real else np.int64)
        for place, name in enumerate(STRETCH_COLUMNS)
    }
    steps = data["steps"]
    data["ended_s"] = (
        data["began_s"] + steps * data["first_s"] + data["slope_s"] * (steps * (steps - 1) * 0.5)
    )
    for name in ("flop", "bytes", "energy_j", "station_occupancy"):
        data[name] = np.full(len(steps), np.nan if name in _SOME else 0.0)
    for pool in scenario.cluster.pools:
        mine = (
            np.isin(
                data["replica"], [number for number, other in enumerate(pool_of) if other is pool]
            )
            if len(scenario.cluster.pools) > 1
            else slice(None)
        )
        counts = {name: column[mine] for name, column in data.items()}
        work = work_of(scenario.model, pool, stretch_work(counts), counts["steps"])
        data["flop"][mine] = work.total(work.linear_flop) + work.total(work.attention_flop)
        data["bytes"][mine] = work.total(work.bytes)
        if pool.node.device.power is not None:
            data["energy_j"][mine] = work.energy_j(
                (counts["first_s"], counts["slope_s"]), counts["clock"]
            )
        if pool.is_wafer:
            data["station_occupancy"][mine] = _occupancy(scenario, pool, counts)
    return pa.table(
        {
            name: _column(column, np.isnan(column) if name in _SOME else None)
            for name, column in data.items()
        }
    )


def _occupancy(scenario: Scenario, pool: Pool, rows: dict[str, np.ndarray]) -> np.ndarray:
    """Of each stretch, the share of it in which the slowest station of its replica is at work; the
    rest of it are bubbles.

    At a lower clock all stations are slower, as the step is.
    """
    times = pool.step_times(scenario.model)
    assert isinstance(times, WaferSteps)
    each = 1 + (pool.replica.speculation.draft_tokens if pool.replica.speculation else 0)
    middle: Number = (rows["steps"] - 1) / 2
    work = stretch_work(rows)
    middle_work = replace(
        work,
        context=work.context + middle * work.growth,
        windowed=work.windowed + middle * work.growing,
        pairs=work.pairs + middle * work.pairs_growth,
    )
    busy_s = times.busy_s(middle_work, each) / rows["clock"]
    occupancy: np.ndarray = np.minimum(busy_s / (rows["first_s"] + middle * rows["slope_s"]), 1.0)
    return occupancy


def _devices_table(
    scenario: Scenario, stretches: pa.Table, simulated_s: float, down_s: dict[int, float]
) -> pa.Table:
    """One row a device that holds a replica: what it did over the run, each replica's work split
    evenly over its devices.
    """
    replica = stretches["replica"].to_numpy()
    totals = {
        name: np.bincount(replica, weights=values)
        for name, values in (
            ("busy_s", stretches["ended_s"].to_numpy() - stretches["began_s"].to_numpy()),
            ("flop", stretches["flop"].to_numpy()),
            ("bytes", stretches["bytes"].to_numpy()),
            ("energy_j", stretches["energy_j"].to_numpy()),
        )
    }
    rows: dict[str, list[Any]] = {
        name: []
        for name in (
            "device",
            "pool",
            "replica",
            "kind",
            "busy_s",
            "flop",
            "bytes",
            "energy_j",
            "mean_power_w",
            "compute_utilisation",
            "bandwidth_utilisation",
        )
    }
    number = 0
    for pool in scenario.cluster.pools:
        device, each = pool.node.device, pool.devices_a_replica(scenario.model)
        _, peak = device.peak.of(pool.weights(scenario.model))
        for index in range(pool.replica_count(scenario.model)):
            share: dict[str, Any] = {
                name: (float(total[number]) if number < len(total) else 0.0)
                for name, total in totals.items()
            }
            share = {
                name: total if name == "busy_s" else total / each for name, total in share.items()
            }
            if device.power is None:
                share["energy_j"] = None
            else:  # and with its model loaded it draws something while nothing runs
                gone_s = max(simulated_s - down_s.get(number, simulated_s), 0.0)
                share["energy_j"] += (
                    device.power.loaded_idle_w * (simulated_s - share["busy_s"] - gone_s)
                    + device.power.idle_w * gone_s
                )
            share["mean_power_w"] = (
                share["energy_j"] / simulated_s if device.power and simulated_s else None
            )
            for place in range(index * each, (index + 1) * each):
                rows["device"].append(
                    f"{pool.name}/{place // pool.node.devices}/device{place % pool.node.devices}"
                )
                rows["pool"].append(pool.name)
                rows["replica"].append(number)
                rows["kind"].append(device.name)
                for name, value in share.items():
                    rows[name].append(value)
                rows["compute_utilisation"].append(
                    share["flop"] / (peak * simulated_s) if simulated_s else 0.0
                )
                rows["bandwidth_utilisation"].append(
                    share["bytes"] / (device.bandwidth_bytes_per_s * simulated_s)
                    if simulated_s
                    else 0.0
                )
            number += 1
    columns = {
        name: pa.array(values, pa.float64())
        if name in ("energy_j", "mean_power_w")
        else pa.array(values)
        for name, values in rows.items()
    }
    return pa.table(columns)


def _over_links(recorder: Recorder) -> dict[str, dict[Edge, float]]:
    """Bytes of transfers that crossed each edge, by kind of traffic."""
    over: dict[str, dict[Edge, float]] = {"kv": {}}
    for (kind, lanes), moved in recorder.bytes_over.items():
        mine = over.setdefault(kind, {})
        for edge, part in lanes.edges.items():
            mine[edge] = mine.get(edge, 0.0) + part * moved
    return over


def _stands_for(recorder: Recorder, topology: Topology) -> dict[Edge, Hashable]:
    """By edge, whose fullness is known as that of another: those of a group of devices are alike
    for all that it sends or receives.
    """
    found: dict[Edge, Hashable] = {}
    seen: set[Hashable] = set()
    for _, lanes in recorder.bytes_over:
        if recorder.full_s and not seen.issuperset(lanes.ends):
            seen.update(lanes.ends)
            found |= lanes.stands_for(topology)
    return found


def _links_table(
    topology: Topology,
    paths: list[Route],
    requests: pa.Table,
    recorder: Recorder,
    simulated_s: float,
) -> pa.Table:
    """One row a link: what it is, how many requests crossed it on their way from the front door,
    and what transfers moved over it.

    Bytes are those of both directions. utilisation: what transfers moved over what could have been
    moved, in the busier direction where the two do not share; saturated_share: of the time, for how
    much transfers were held back by it.
    """
    entry = (
        requests["prefill_replica"].to_numpy().astype(float)
    )  # null, here one that was not handed over, is NaN
    replica = np.where(
        np.isnan(entry), requests["replica"].to_numpy().astype(float), entry
    )  # one that was rejected has neither
    served = np.bincount(replica[~np.isnan(replica)].astype(int), minlength=len(paths))
    crossed: dict[frozenset[str], int] = {}
    for path, count in zip(paths, served.tolist(), strict=True):
        for pair in pairwise(path.places):
            crossed[frozenset(pair)] = crossed.get(frozenset(pair), 0) + count
    over = _over_links(recorder)
    stands_for = _stands_for(recorder, topology)
    columns = (
        "from",
        "to",
        "kind",
        "bandwidth_bytes_per_s",
        "latency_s",
        "requests",
        *(f"{kind}_bytes" for kind in over),
        "utilisation",
        "saturated_share",
    )
    rows: dict[str, list[Any]] = {name: [] for name in columns}
    for start, end, data in topology.graph.edges(data=True):
        link = data["link"]
        both = (start, end), (end, start)
        moved = {kind: [by_edge.get(edge, 0.0) for edge in both] for kind, by_edge in over.items()}
        ways = [sum(way) for way in zip(*moved.values(), strict=True)]
        busiest = sum(ways) if link.duplex == "half" else max(ways)
        full_s = max(
            recorder.full_s.get(stands_for.get(edge, topology.resource(edge)), 0.0) for edge in both
        )
        row = (
            start, end, link.kind, link.bandwidth_bytes_per_s, link.latency_s, crossed.get(frozenset(both[0]), 0), *(sum(way) for way in moved.values()),
            busiest / (link.bandwidth_bytes_per_s * simulated_s) if simulated_s else 0.0, full_s / simulated_s if simulated_s else 0.0,
        )  # fmt: skip
        for name, value in zip(rows, row, strict=True):
            rows[name].append(value)
    return pa.table(rows)
