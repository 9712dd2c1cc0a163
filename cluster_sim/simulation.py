"""Scenario -> Results: sets the processes up, lets time pass, gathers the tables."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from simpy import Environment, Event

from cluster_sim.physics.transformer import step_flop, step_kv_bytes, step_weight_bytes
from cluster_sim.request import Request
from cluster_sim.results import EVENT_COLUMNS, STRETCH_COLUMNS, Results
from cluster_sim.scenario import Pool, Scenario
from cluster_sim.sim.recorder import Recorder
from cluster_sim.sim.replica import Replica
from cluster_sim.sim.router import Router
from cluster_sim.sim.source import Clients, timetable
from cluster_sim.topology import FRONT_DOOR, Path, Topology
from cluster_sim.workload.arrivals import ClosedLoop
from cluster_sim.workload.traffic import drawn, lengths, replayed

Progress = Callable[[float, int], None]
"""Told the simulated seconds and the requests that have left, about ten times a second of wall time."""

_REPORT_EVERY_S = 0.1


def simulate(scenario: Scenario, progress: Progress | None = None) -> Results:
    """Run `scenario` to its end.

    Raises ScenarioError where a trace turns out to be malformed on the way.
    """
    began = time.perf_counter()
    env, recorder = Environment(), Recorder()
    topology = scenario.cluster.topology()
    replicas: list[Replica] = []
    paths: list[Path] = []
    until_s = scenario.duration_s if scenario.duration_s is not None else float("inf")

    answered: Callable[[Request], None] | None = None  # in an open loop no client waits
    clients = None
    latencies_s: list[float] = []
    if isinstance(arrivals := scenario.workload.arrivals, ClosedLoop) and scenario.workload.trace is None:
        pairs = _lengths(scenario)
        clients = Clients(
            env, pairs, arrivals.concurrency, arrivals.think_time_s, arrivals.requests, until_s, scenario.warmup_s,
            lambda request: latencies_s[request.replica] if request.replica >= 0 else 0.0,
        )  # fmt: skip
        answered = clients.answered
    for pool in scenario.cluster.pools:
        step_times = pool.step_times(scenario.model)
        for number in range(pool.replica_count(scenario.model)):
            batch = pool.batch(scenario.model)
            replicas.append(Replica(env, len(replicas), batch, step_times, recorder, scenario.stepping == "step", answered))
            paths.append(_path(topology, pool, number * pool.devices_a_replica(scenario.model)))
    latencies_s += [path.latency_s for path in paths]
    router = Router(env, scenario.cluster.router, replicas, latencies_s, recorder, answered)
    if clients is not None:
        clients.route = router.route
    else:
        env.process(timetable(env, _requests(scenario, until_s), router.route))
    beats = _run(env, recorder, until_s + scenario.drain_s, progress)
    for replica in replicas:
        replica.stop(env.now)
    wall_s = time.perf_counter() - began
    # SimPy numbers events as they are scheduled; the next number is how many there were.
    return _results(scenario, recorder, topology, paths, {"wall_s": wall_s, "events": next(env._eid) - beats})


def _path(topology: Topology, pool: Pool, device: int) -> Path:
    """From the front door to a replica's first device; the scenario's check has made sure that there is one."""
    path = topology.path(FRONT_DOOR, f"{pool.name}/{device // pool.node.devices}/device{device % pool.node.devices}")
    assert path is not None
    return path


def _lengths(scenario: Scenario) -> Iterator[tuple[int, int]]:
    workload = scenario.workload
    assert workload.prompt_tokens is not None and workload.output_tokens is not None
    return lengths(workload.prompt_tokens, workload.output_tokens, scenario.seed)


def _requests(scenario: Scenario, until_s: float) -> Iterator[Request]:
    workload = scenario.workload
    if workload.trace is not None:
        return replayed(workload.trace, until_s, scenario.warmup_s)
    assert workload.prompt_tokens is not None and workload.output_tokens is not None
    assert workload.arrivals is not None and not isinstance(workload.arrivals, ClosedLoop)
    return drawn(workload.arrivals, workload.prompt_tokens, workload.output_tokens, scenario.seed, until_s, scenario.warmup_s)


@contextmanager
def _no_cycle_collection() -> Iterator[None]:
    """The loop makes no reference cycles but millions of rows, which the collector would look through again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _run(env: Environment, recorder: Recorder, end_s: float, progress: Progress | None) -> int:
    """Let time pass until nothing is left to happen, or until `end_s`. Returns how many events were there for progress alone."""
    beats = 0

    def heartbeat() -> Generator[Event, Any, None]:
        """Reports about every `_REPORT_EVERY_S` of wall time: simulated sleeps that grow or shrink with how long they take."""
        nonlocal beats
        assert progress is not None
        sleep_s, last = 1e-3, time.perf_counter()
        while env.peek() != float("inf"):
            beats += 1
            yield env.timeout(sleep_s)
            now = time.perf_counter()
            sleep_s *= min(max(_REPORT_EVERY_S / max(now - last, 1e-6), 0.5), 2.0)
            last = now
            progress(env.now, recorder.left)

    if progress is not None:
        env.process(heartbeat())
    with _no_cycle_collection():
        env.run(until=end_s if end_s != float("inf") else None)
    return beats


def _results(scenario: Scenario, recorder: Recorder, topology: Topology, paths: list[Path], info: dict[str, Any]) -> Results:
    pool_of = [pool for pool in scenario.cluster.pools for _ in range(pool.replica_count(scenario.model))]
    everyone = recorder.requests
    requests = _requests_table(scenario, everyone, recorder, pool_of, np.array([path.latency_s for path in paths]))
    stretches = _stretches_table(scenario, recorder, pool_of)
    columns = list(zip(*recorder.events, strict=True)) or [()] * len(EVENT_COLUMNS)
    types = (pa.float64(), pa.string(), pa.int32(), pa.int64(), pa.float64())
    events = pa.table({name: pa.array(column, kind) for name, column, kind in zip(EVENT_COLUMNS, columns, types, strict=True)})
    last_s = float(np.max(stretches["ended_s"].to_numpy())) if len(stretches) else 0.0
    info["simulated_s"] = max(last_s, everyone[-1].arrival_s if everyone else 0.0)
    devices = _devices_table(scenario, stretches, info["simulated_s"])
    links = _links_table(topology, paths, requests)
    return Results(scenario, requests, stretches, devices, links, events, info)


def _requests_table(scenario: Scenario, everyone: list[Request], recorder: Recorder, pool_of: list[Pool], latency_s: np.ndarray) -> pa.Table:
    replica = np.array([request.replica for request in everyone], dtype=np.int32)
    way_s = np.append(latency_s, 0.0)[replica]  # the answer's way back; -1, no replica, takes the last
    finish_s = np.array([request.finish_s for request in everyone], dtype=float) + way_s
    rejected = np.array([request.number in recorder.rejected for request in everyone], dtype=bool)
    status = np.where(rejected, 0, np.where(np.isnan(finish_s), 1, 2)).astype(np.int8)
    names = [pool.name for pool in scenario.cluster.pools]
    pool = np.array([names.index(pool.name) for pool in pool_of] + [0], dtype=np.int8)[replica]

    def seconds(values: Any) -> pa.Array:
        """A column of times; NaN, for what has not come, is null."""
        column = np.asarray(values, dtype=float)
        return _nullable(column, np.isnan(column))

    return pa.table({
        "request": np.array([request.number for request in everyone], dtype=np.int64),
        "status": pa.DictionaryArray.from_arrays(status, ["rejected", "unfinished", "finished"]),
        "counted": np.array([request.counted for request in everyone], dtype=bool),
        "pool": pa.DictionaryArray.from_arrays(_nullable(pool, replica < 0), names),
        "replica": _nullable(replica, replica < 0),
        "prompt_tokens": np.array([request.prompt_tokens for request in everyone], dtype=np.int64),
        "output_tokens": np.array([request.output_tokens for request in everyone], dtype=np.int64),
        "preemptions": np.array([request.preemptions for request in everyone], dtype=np.int32),
        "arrival_s": np.array([request.arrival_s for request in everyone], dtype=float),
        "admitted_s": seconds([request.admitted_s for request in everyone]),
        "first_token_s": seconds([request.first_token_s for request in everyone] + way_s),
        "finish_s": seconds(finish_s),
    })  # fmt: skip


def _nullable(column: np.ndarray, missing: np.ndarray) -> pa.Array:
    """A column with nulls where `missing`. By hand, since Arrow's own `mask` imports numpy.ma, a tenth of a short run."""
    present = np.packbits(~missing, bitorder="little")
    return pa.Array.from_buffers(pa.from_numpy_dtype(column.dtype), len(column), [pa.py_buffer(present), pa.py_buffer(column)])


def _stretches_table(scenario: Scenario, recorder: Recorder, pool_of: list[Pool]) -> pa.Table:
    rows = np.frombuffer(recorder.stretches, dtype=float).reshape(-1, len(STRETCH_COLUMNS))
    seconds = ("began_s", "first_s", "slope_s")
    data = {name: rows[:, place].astype(float if name in seconds else np.int64) for place, name in enumerate(STRETCH_COLUMNS)}
    steps = data["steps"]
    data["ended_s"] = data["began_s"] + steps * data["first_s"] + data["slope_s"] * (steps * (steps - 1) * 0.5)
    data["flop"], data["bytes"] = np.zeros(len(steps)), np.zeros(len(steps))
    for pool in scenario.cluster.pools:
        mine = np.isin(data["replica"], [number for number, other in enumerate(pool_of) if other is pool]) if len(scenario.cluster.pools) > 1 else slice(None)
        flop, moved = _work(scenario, pool, {name: column[mine] for name, column in data.items()})
        data["flop"][mine], data["bytes"][mine] = flop, moved
    return pa.table(data)


def _work(scenario: Scenario, pool: Pool, rows: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """FLOP and bytes of each stretch over all devices of its replica; the middle of an arithmetic series is its mean."""
    model, plan = scenario.model, pool.replica
    later = (rows["steps"] - 1) / 2
    context = rows["context"] + later * rows["batch"]
    windowed = rows["windowed"] + later * rows["growing"]
    pairs = rows["pairs"] + later * rows["prompt_tokens"].astype(float) ** 2  # only a lone prompt's chunks follow each other
    tokens = rows["batch"] + rows["prompt_tokens"]
    flop = step_flop(model, tokens, rows["sampled"], context, windowed, pairs, rows["windowed_pairs"])
    weights = step_weight_bytes(model, pool.weights(model), tokens, weight_reuse=not pool.is_wafer)
    kv = step_kv_bytes(model, plan.kv_cache, 1 if pool.is_wafer else plan.tensor_parallel, tokens, context, windowed)
    return rows["steps"] * flop, rows["steps"] * (weights + kv)


def _devices_table(scenario: Scenario, stretches: pa.Table, simulated_s: float) -> pa.Table:
    """One row a device that holds a replica: what it did over the run, each replica's work split evenly over its devices."""
    replica = stretches["replica"].to_numpy()
    totals = {
        name: np.bincount(replica, weights=values)
        for name, values in (
            ("busy_s", stretches["ended_s"].to_numpy() - stretches["began_s"].to_numpy()),
            ("flop", stretches["flop"].to_numpy()),
            ("bytes", stretches["bytes"].to_numpy()),
        )
    }
    rows: dict[str, list[Any]] = {
        name: [] for name in ("device", "pool", "replica", "kind", "busy_s", "flop", "bytes", "compute_utilisation", "bandwidth_utilisation")
    }
    number = 0
    for pool in scenario.cluster.pools:
        device, each = pool.node.device, pool.devices_a_replica(scenario.model)
        _, peak = device.peak.of(pool.weights(scenario.model))
        for index in range(pool.replica_count(scenario.model)):
            share = {name: (float(total[number]) if number < len(total) else 0.0) for name, total in totals.items()}
            share["flop"], share["bytes"] = share["flop"] / each, share["bytes"] / each
            for place in range(index * each, (index + 1) * each):
                rows["device"].append(f"{pool.name}/{place // pool.node.devices}/device{place % pool.node.devices}")
                rows["pool"].append(pool.name)
                rows["replica"].append(number)
                rows["kind"].append(device.name)
                for name, value in share.items():
                    rows[name].append(value)
                rows["compute_utilisation"].append(share["flop"] / (peak * simulated_s) if simulated_s else 0.0)
                rows["bandwidth_utilisation"].append(share["bytes"] / (device.memory.bandwidth_bytes_per_s * simulated_s) if simulated_s else 0.0)
            number += 1
    return pa.table(rows)


def _links_table(topology: Topology, paths: list[Path], requests: pa.Table) -> pa.Table:
    """One row a link: what it is, and how many requests crossed it."""
    replica = requests["replica"].to_numpy().astype(float)  # null, a request that was rejected, is NaN
    served = np.bincount(replica[~np.isnan(replica)].astype(int), minlength=len(paths))
    crossed: dict[frozenset[str], int] = {}
    for path, count in zip(paths, served.tolist(), strict=True):
        for pair in pairwise(path.places):
            crossed[frozenset(pair)] = crossed.get(frozenset(pair), 0) + count
    rows: dict[str, list[Any]] = {name: [] for name in ("from", "to", "kind", "bandwidth_bytes_per_s", "latency_s", "requests")}
    for start, end, data in topology.graph.edges(data=True):
        link = data["link"]
        for name, value in zip(rows, (start, end, link.kind, link.bandwidth_bytes_per_s, link.latency_s, crossed.get(frozenset((start, end)), 0)), strict=True):
            rows[name].append(value)
    return pa.table(rows)
