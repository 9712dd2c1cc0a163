"""A run as a trace that Perfetto opens: what every replica, transfer and request did, and when."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cluster_sim.deployment.fleet import ReplicaSpec, resolve
from cluster_sim.errors import ScenarioError
from cluster_sim.export.network_latency import ways_s
from cluster_sim.export.perfetto import Writer
from cluster_sim.results.run_folder import about_run, read_json
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.topology import group_path

CATEGORIES = ("run", "stretch", "request", "phase", "transfer", "event")
"""By which SQL finds slices: `select … from slice where category = 'request'`."""

_PHASES = ("queue", "prefill", "wait for a decode replica", "KV transfer", "decode")
_STRETCHES = ("decode", "prefill", "decode + prefill")
_EVENTS = ("admitted", "finished", "preempted", "resumed", "handed over", "rejected")
_OF_STRETCH = (
    "steps",
    "batch",
    "prompt_tokens",
    "context",
    "kv_tokens",
    "waiting",
    "flop",
    "bytes",
    "energy_j",
)
_OF_REQUEST = (
    "status",
    "class",
    "pool",
    "prompt_tokens",
    "output_tokens",
    "prefix_hit_tokens",
    "preemptions",
    "ttft_ms",
    "e2el_ms",
)
_AT_A_TIME = 1 << 15  # rows of a table in memory
_SAME_NS = 2  # a stretch that begins so soon after the last follows it

_OF_DEVICE = {
    "die_c": ("die", "°C", 1.0),
    "memory_c": ("memory", "°C", 1.0),
    "clock": ("clock", "%", 100.0),
    "power_w": ("power", "W", 1.0),
}
"""Columns of the table of temperatures, and the counters they make: name, unit, factor."""


def write(folder: str | Path, path: str | Path) -> Path:
    """Write the run in `folder` as a Perfetto trace to `path`, whole or not at all; returns the
    path.

    A track for each replica (stretches of engine steps; preemptions), with counters of its
    sequences, queue, KV room, memory bandwidth and power; one for each way that KV takes from one
    replica to another; and for each request its phases, on as many lines as there were requests at
    one time, with an arrow from its arrival over its replicas to its finish. Slices carry their
    figures as arguments; times are of the simulated clock. Tables are read a piece at a time.
    Raises ScenarioError where there is no run, a table of it is missing, or `path` cannot be
    written.
    """
    folder, path = Path(folder), Path(path)
    scenario, about = about_run(folder)
    try:
        descriptor, making = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb", buffering=1 << 20) as file:
                _Trace(scenario, folder, about, read_json(folder / "summary.json"), file).write()
            os.chmod(making, 0o644)
            os.replace(making, path)
        finally:
            Path(making).unlink(missing_ok=True)
    except OSError as fault:
        raise ScenarioError.at(str(path), f"cannot be written: {fault.strerror}") from fault
    return path


@dataclass
class _Replica:
    """Tracks of one replica, and how far it has come."""

    spec: ReplicaSpec
    steps: int = 0
    inout: int = 0
    counters: dict[str, int] = field(default_factory=dict)
    until_ns: int = 0
    """The end of its last stretch."""
    queued: int = 0

    @property
    def idle_w(self) -> float | None:
        """What its devices draw while nothing runs."""
        deployment = self.spec.deployment
        power = deployment.device.power
        return None if power is None else power.loaded_idle_w * deployment.devices_per_replica


class _Trace:
    """The tables of one run on their way into a file."""

    def __init__(
        self,
        scenario: Scenario,
        folder: Path,
        about: dict[str, Any],
        summary: dict[str, Any],
        file: IO[bytes],
    ) -> None:
        self.scenario, self.folder = scenario, folder
        self.totals = {
            key: value
            for key, value in summary.items()
            if isinstance(value, (int, float)) and not isinstance(value, bool)
        }
        self.end_ns = _ns(about.get("simulated_s", 0.0))
        known = dict.fromkeys(
            [
                *CATEGORIES,
                *_PHASES,
                *_STRETCHES,
                *_EVENTS,
                "run",
                "KV",
                *_OF_STRETCH,
                *_OF_REQUEST,
                "request",
                "bytes",
                "value",
                "reason",
            ]
        )
        self.out = Writer(file, list(known | dict.fromkeys(self.totals)))
        self.ways = ways_s(scenario).tolist()
        self.topology = resolve(scenario).topology
        self.replicas = [_Replica(spec) for spec in resolve(scenario).replicas]

    def write(self) -> None:
        self._run()
        self._replica_tracks()
        self._requests()
        self._stretches()
        self._events()
        self._transfers()
        self._heat()

    def _run(self) -> None:
        """One slice over it all, with the totals of its summary."""
        track = self.out.track(
            self.scenario.title,
            rank=0,
            description=f"Simulated: {self.scenario.model.name}, seed {self.scenario.seed}",
        )
        self.out.begin(track, 0, "run", "run", self.totals)
        self.out.end(track, self.end_ns)

    # Requests

    def _requests(self) -> None:
        """Their phases, in order of arrival, and how many wait and run: what changes later lies on
        a heap until then.
        """
        out = self.out
        above = out.track("Requests", rank=1)
        waiting, running = (
            out.counter("waiting", "requests", above, 0),
            out.counter("running", "requests", above, 1),
        )
        lanes = _Lanes(out, above)
        ahead: list[
            tuple[int, bool, int]
        ] = []  # (time, whether it finishes or is admitted, replica whose queue it leaves)
        counts = {waiting: 0, running: 0}

        def told(at_ns: int, replica: int, wait: int, run: int) -> None:
            for track, change in ((waiting, wait), (running, run)):
                if change:
                    counts[track] += change
                    out.value(track, at_ns, counts[track])
            if wait and replica >= 0:
                self.replicas[replica].queued += wait
                out.value(
                    self.replicas[replica].counters["queue"], at_ns, self.replicas[replica].queued
                )

        def pass_until(at_ns: int | None) -> None:
            while ahead and (at_ns is None or ahead[0][0] <= at_ns):
                then_ns, finished, replica = heappop(ahead)
                told(then_ns, replica, 0 if finished else -1, -1 if finished else 1)

        for row in self._rows("requests"):
            if row["status"] == "rejected":
                continue
            arrived_ns = _ns(row["arrival_s"])
            pass_until(arrived_ns)
            entry = row["replica"] if row["prefill_replica"] is None else row["prefill_replica"]
            told(arrived_ns, -1 if entry is None else entry, 1, 0)
            if row["admitted_s"] is not None:
                heappush(ahead, (_ns(row["admitted_s"]), False, entry))
            if row["finish_s"] is not None:
                heappush(ahead, (_ns(row["finish_s"]), True, -1))
            self._request(row, lanes, entry)
        pass_until(None)

    def _request(self, row: dict[str, Any], lanes: _Lanes, entry: int | None) -> None:
        out, number = self.out, row["request"]
        arrived_ns, flow = _ns(row["arrival_s"]), number + 1
        end_ns = self.end_ns if row["finish_s"] is None else _ns(row["finish_s"])
        lane = lanes.free(arrived_ns, end_ns)
        args = {name: row[name] for name in _OF_REQUEST if row.get(name) not in (None, "")}
        for name, until in (("ttft_ms", "first_token_s"), ("e2el_ms", "finish_s")):
            if row[until] is not None:
                args[name] = 1e3 * (row[until] - row["arrival_s"])
        out.begin(lane, arrived_ns, f"request {number}", "request", args)
        began_ns = arrived_ns
        for phase, until_ns in zip(_PHASES, self._phases(row, end_ns), strict=True):
            if until_ns > began_ns or phase == "queue":
                out.begin(lane, began_ns, phase, "phase", {}, flow if phase == "queue" else 0)
                out.end(lane, until_ns)
            began_ns = until_ns
        out.end(lane, end_ns)
        if row["admitted_s"] is not None and entry is not None:
            out.instant(
                self.replicas[entry].inout,
                _ns(row["admitted_s"]),
                "admitted",
                "event",
                {"request": number},
                flow,
            )
        if row["finish_s"] is not None:
            at_ns = _ns(row["finish_s"] - self.ways[row["replica"]])
            out.instant(
                self.replicas[row["replica"]].inout,
                at_ns,
                "finished",
                "event",
                {"request": number},
                flow,
                last=True,
            )

    @staticmethod
    def _phases(row: dict[str, Any], end_ns: int) -> Iterator[int]:
        """Where each of its phases ends; those that it does not have end where they begin."""
        seen_s = row["first_token_s"]
        ends_s = [row["admitted_s"], seen_s, None, None]
        if seen_s is not None and row["hand_over_wait_s"] is not None:
            ends_s[2] = seen_s + row["hand_over_wait_s"]
            ends_s[3] = ends_s[2] + (row["kv_transfer_s"] or 0.0)
        at_ns = _ns(row["arrival_s"])
        cut = False
        for place, until_s in enumerate(ends_s):
            if until_s is None and place < 2:  # it had not come so far
                cut = True
            at_ns = (
                end_ns
                if cut
                else at_ns
                if until_s is None
                else max(min(_ns(until_s), end_ns), at_ns)
            )
            yield at_ns
        yield end_ns

    # Replicas

    def _replica_tracks(self) -> None:
        group = self.out.track("Replicas", rank=2)
        for number, replica in enumerate(self.replicas):
            deployment = replica.spec.deployment
            replica.steps = self.out.track(
                replica.spec.label,
                group,
                number,
                f"{deployment.devices_per_replica} x {deployment.device.name}",
            )
            replica.inout = self.out.track("requests", replica.steps, 0)
            replica.counters["queue"] = self.out.counter("queue", "requests", replica.steps, 1)
            wanted = [("sequences", ""), ("KV room", "%"), ("memory bandwidth", "GB/s")]
            wanted += [("power", "W")] if replica.idle_w is not None else []
            for place, (name, unit) in enumerate(wanted):
                replica.counters[name] = self.out.counter(name, unit, replica.steps, 2 + place)
            self._at_rest(replica)

    def _at_rest(self, replica: _Replica) -> None:
        """From the end of its last stretch on. What a replica holds for others that decode is not
        known then, so the counter stays.
        """
        values = {"sequences": 0.0, "memory bandwidth": 0.0}
        values |= {} if replica.idle_w is None else {"power": replica.idle_w}
        values |= {} if replica.spec.role == "prefill" else {"KV room": 0.0}
        for name, value in values.items():
            self.out.value(replica.counters[name], replica.until_ns, value)

    def _stretches(self) -> None:
        out = self.out
        for row in self._rows("stretches"):
            replica = self.replicas[row["replica"]]
            began_ns, ended_ns = _ns(row["began_s"]), _ns(row["ended_s"])
            if began_ns - replica.until_ns > _SAME_NS:
                self._at_rest(replica)
            else:
                began_ns = replica.until_ns
            ended_ns = max(ended_ns, began_ns)
            replica.until_ns = ended_ns
            out.begin(
                replica.steps,
                began_ns,
                _kind(row),
                "stretch",
                {name: row[name] for name in _OF_STRETCH},
            )
            out.end(replica.steps, ended_ns)
            length_s = row["ended_s"] - row["began_s"]
            values = {
                "sequences": row["running"],
                "KV room": 100.0 * row["kv_tokens"] / replica.spec.deployment.placement.kv_tokens,
            }
            if length_s > 0.0:
                values["memory bandwidth"] = 1e-9 * row["bytes"] / length_s
                if row["energy_j"] is not None:
                    values["power"] = row["energy_j"] / length_s
            for name, value in values.items():
                out.value(replica.counters[name], began_ns, value)
        for replica in self.replicas:
            self._at_rest(replica)
            if replica.idle_w is not None:  # so that the last value has a length
                out.value(
                    replica.counters["power"], max(self.end_ns, replica.until_ns), replica.idle_w
                )

    def _events(self) -> None:
        front_door = 0
        for row in self._rows("events"):
            what = row["what"].replace("_", " ")
            args = {"request": row["request"], "value": row["value"], "reason": row["reason"]}
            if row["replica"] >= 0:
                replica, passes = self.replicas[row["replica"]], what == "handed over"
                self.out.instant(
                    replica.inout if passes else replica.steps,
                    _ns(row["at_s"]),
                    what,
                    "event",
                    args,
                    row["request"] + 1 if passes else 0,
                )
            else:
                front_door = front_door or self.out.track("Front door", rank=4)
                self.out.instant(front_door, _ns(row["at_s"]), what, "event", args)

    # Devices

    def _heat(self) -> None:
        """Temperatures, clocks and power of devices, where the site's inlet is known; of devices
        that are equally warm one stands for all.
        """
        if not (self.folder / "thermal.parquet").is_file():  # of an earlier version
            return
        group, devices, counters = 0, dict[str, int](), dict[tuple[str, str], int]()
        for row in self._rows("thermal"):
            device = row["device"]
            if device not in devices:
                group = group or self.out.track("Devices", rank=5)
                devices[device] = self.out.track(device, group, len(devices))
            for place, (column, (name, unit, factor)) in enumerate(_OF_DEVICE.items()):
                if row[column] is not None:
                    if (device, name) not in counters:
                        counters[device, name] = self.out.counter(
                            name, unit, devices[device], place
                        )
                    self.out.value(counters[device, name], _ns(row["at_s"]), factor * row[column])

    # Links

    def _transfers(self) -> None:
        """KV on its way from one replica to another, and the links of their first devices' way;
        other lanes are like it.
        """
        sent: dict[tuple[int, int], list[tuple[int, int, int, float]]] = {}
        for row in self._rows(
            "requests",
            (
                "request",
                "replica",
                "prefill_replica",
                "first_token_s",
                "hand_over_wait_s",
                "kv_transfer_s",
                "prompt_tokens",
            ),
        ):
            if row["kv_transfer_s"] is not None:
                pair = row["prefill_replica"], row["replica"]
                began_s = row["first_token_s"] - self.ways[pair[0]] + row["hand_over_wait_s"]
                moved = self.replicas[pair[1]].spec.deployment.kv_bytes(row["prompt_tokens"])
                sent.setdefault(pair, []).append(
                    (_ns(began_s), _ns(began_s + row["kv_transfer_s"]), row["request"], moved)
                )
        if not sent:
            return
        group = self.out.track("Links", rank=3)
        loads: dict[tuple[str, str], list[tuple[int, float]]] = {}
        for (start, end), transfers in sorted(sent.items()):
            transfers.sort()
            source, target = self.replicas[start].spec, self.replicas[end].spec
            way = group_path(self.topology, source.rank_devices, target.rank_devices)
            lanes = _Lanes(
                self.out,
                self.out.track(f"{source.label} to {target.label}", group),
                "KV transfers",
            )
            width = max(len(source.rank_devices), len(target.rank_devices))
            for began_ns, ended_ns, request, moved in transfers:
                lane = lanes.free(began_ns, ended_ns)
                self.out.begin(
                    lane, began_ns, "KV", "transfer", {"request": request, "bytes": moved}
                )
                self.out.end(lane, ended_ns)
                if ended_ns > began_ns:
                    rate = moved / width / (ended_ns - began_ns)  # bytes a nanosecond are GB/s
                    for first, second in pairwise(way.route.places):
                        loads.setdefault((min(first, second), max(first, second)), []).extend(
                            [(began_ns, rate), (ended_ns, -rate)]
                        )
        for (first, second), changes in sorted(loads.items()):
            self._link(self.out.counter(f"{first} - {second}", "GB/s", group, 1), changes)

    def _link(self, track: int, changes: list[tuple[int, float]]) -> None:
        changes.sort()
        times_ns, rates = (
            np.array([at_ns for at_ns, _ in changes]),
            np.cumsum([change for _, change in changes]),
        )
        last = np.append(np.diff(times_ns) > 0, True)
        for at_ns, rate in zip(
            times_ns[last].tolist(), np.maximum(rates[last], 0.0).tolist(), strict=True
        ):
            self.out.value(track, at_ns, rate)

    # Tables

    def _table(self, name: str) -> pq.ParquetFile:
        path = self.folder / f"{name}.parquet"
        try:
            return pq.ParquetFile(path)
        except FileNotFoundError as fault:
            raise ScenarioError.at(
                str(self.folder), f"is no whole run folder: no {name}.parquet in it"
            ) from fault
        except (OSError, pa.ArrowInvalid) as fault:
            raise ScenarioError.at(str(path), f"cannot be read: {fault}") from fault

    def _rows(self, name: str, columns: tuple[str, ...] | None = None) -> Iterator[dict[str, Any]]:
        with self._table(name) as table:
            for batch in table.iter_batches(_AT_A_TIME, columns=columns):
                values = [column.to_pylist() for column in batch.columns]
                for row in zip(*values, strict=True):
                    yield dict(zip(batch.schema.names, row, strict=True))


class _Lanes:
    """Lines of one track, as many as there are slices at one time; Perfetto shows those of one name
    together.
    """

    def __init__(self, out: Writer, above: int, name: str = "requests") -> None:
        self._out, self._above, self._name = out, above, name
        self._taken: list[tuple[int, int]] = []
        self._free: list[int] = []

    def free(self, from_ns: int, until_ns: int) -> int:
        """One that is free from then on, and taken until then; asked for in the order of time."""
        while self._taken and self._taken[0][0] <= from_ns:
            heappush(self._free, heappop(self._taken)[1])
        lane = heappop(self._free) if self._free else self._out.track(self._name, self._above, 2)
        heappush(self._taken, (until_ns, lane))
        return lane


def _kind(row: dict[str, Any]) -> str:
    if not row["prompt_tokens"]:
        return "decode"
    return "decode + prefill" if row["batch"] else "prefill"


def _ns(time_s: float) -> int:
    return round(1e9 * time_s)
