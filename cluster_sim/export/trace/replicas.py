"""Tracks of replicas: stretches of engine steps, events, and counters."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from cluster_sim.deployment.fleet import ReplicaSpec
from cluster_sim.export.perfetto import TraceEvent, TraceWriter
from cluster_sim.export.trace.changes import IdleChange, StateChange
from cluster_sim.export.trace.tables import RunTables, ns

STRETCHES = ("decode", "prefill", "decode + prefill")
"""Names of stretches of engine steps."""
_KV_ARRIVED = "KV arrived"
"""Name of the event at the end of a KV transfer, which is `handed_over` in the table of events."""
EVENTS = ("admitted", "finished", "preempted", "resumed", _KV_ARRIVED, "rejected")
"""Names of events."""
STRETCH_FIGURES = (
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
"""Columns of a stretch that are arguments of its slice."""
_SAME_NS = 2
"""Maximum time between two stretches that follow each other without a pause [ns]."""


class ReplicaTracks:
    """Tracks of one replica."""

    def __init__(
        self,
        out: TraceWriter,
        group: int,
        spec: ReplicaSpec,
        idle: Sequence[IdleChange] = (),
    ) -> None:
        """Add the tracks of a replica below a group, with the counters of an idle replica.

        Parameters
        ----------
        out
            Trace that is written.
        group
            Number of the track above.
        spec
            Replica.
        idle
            Changes of the power of a device that runs no step, in order of time.
        """
        deployment = spec.deployment
        device, power = deployment.device, deployment.device.power
        self.spec = spec
        self._out = out
        self._until_ns = 0
        self._queued = 0
        self._kv_capacity = deployment.placement.kv_tokens
        self._idle_w = (
            None if power is None else power.loaded_idle_w * deployment.devices_per_replica
        )
        about = f"{deployment.devices_per_replica} x {device.name}"
        self.steps = out.track(spec.label, group, spec.number, about)
        self.passing = out.track("requests", self.steps, 0)
        counters = {
            "queue": "requests",
            "sequences": "",
            "KV cache": "%",
            "memory bandwidth": "GB/s",
        }
        if self._idle_w is not None:
            counters["power"] = "W"
        self._counters = {
            name: out.counter(name, unit, self.steps, rank)
            for rank, (name, unit) in enumerate(counters.items(), start=1)
        }
        self._changes = deque(idle)
        self._rest()

    def queue(self, at_ns: int, change: int) -> None:
        """Change the counter of the queue by the requests that join or leave it."""
        self._queued += change
        self._out.value(self._counters["queue"], at_ns, self._queued)

    def stretch(self, row: dict[str, Any]) -> None:
        """Write a stretch of engine steps."""
        began_ns, ended_ns = ns(row["began_s"]), ns(row["ended_s"])
        if began_ns - self._until_ns > _SAME_NS:
            self._rest()
        else:
            began_ns = self._until_ns
        self._idle_until(began_ns)
        ended_ns = max(ended_ns, began_ns)
        self._until_ns = ended_ns
        figures = {name: row[name] for name in STRETCH_FIGURES}
        self._out.begin(self.steps, began_ns, TraceEvent(_kind(row), "stretch", figures))
        self._out.end(self.steps, ended_ns)
        length_s = row["ended_s"] - row["began_s"]
        values = {
            "sequences": row["running"],
            "KV cache": 100.0 * row["kv_tokens"] / self._kv_capacity,
        }
        if length_s > 0.0:
            values["memory bandwidth"] = 1e-9 * row["bytes"] / length_s
            if row["energy_j"] is not None:
                values["power"] = row["energy_j"] / length_s
        for name, value in values.items():
            self._out.value(self._counters[name], began_ns, value)

    def close(self, end_ns: int) -> None:
        """Write the idle time from the last stretch until the end of the run."""
        self._rest()
        self._idle_until(end_ns)
        if self._idle_w is not None:  # so that the last value has a length
            self._out.value(self._counters["power"], max(end_ns, self._until_ns), self._idle_w)

    def _idle_until(self, at_ns: int) -> None:
        """Write the power of the idle devices at each of its changes up to a time [ns]."""
        while self._changes and self._changes[0].at_ns <= at_ns:
            change = self._changes.popleft()
            if self._idle_w is not None:
                self._idle_w = change.watts * self.spec.deployment.devices_per_replica
                self._out.value(
                    self._counters["power"], max(change.at_ns, self._until_ns), self._idle_w
                )

    def _rest(self) -> None:
        """Set the counters to those of an idle replica, from the end of the last stretch on.

        The counter of the KV cache of a prefill replica is kept, since the cache may still have KV
        that waits for a decode replica.
        """
        values = {"sequences": 0.0, "memory bandwidth": 0.0}
        values |= {} if self._idle_w is None else {"power": self._idle_w}
        values |= {} if self.spec.role == "prefill" else {"KV cache": 0.0}
        for name, value in values.items():
            self._out.value(self._counters[name], self._until_ns, value)


def write_stretches(tables: RunTables, replicas: Sequence[ReplicaTracks], end_ns: int) -> None:
    """Write the stretches of all replicas."""
    for row in tables.rows("stretches"):
        replicas[row["replica"]].stretch(row)
    for replica in replicas:
        replica.close(end_ns)


def write_states(
    changes: Mapping[int, Sequence[StateChange]],
    replicas: Sequence[ReplicaTracks],
    out: TraceWriter,
    end_ns: int,
) -> None:
    """Write a slice for each state of the replicas that change their states.

    Parameters
    ----------
    changes
        Changes of state by number of the replica.
    replicas
        Tracks of the replicas, by number.
    out
        Trace that is written.
    end_ns
        Time at which the run ends [ns].
    """
    for number, of_replica in changes.items():
        track = out.track("state", replicas[number].steps, 9)
        whole = [StateChange(0, "ready", ""), *of_replica, StateChange(end_ns, "", "")]
        for change, following in pairwise(whole):
            if following.at_ns > change.at_ns:
                args = {"cause": change.cause or None}
                out.begin(track, change.at_ns, TraceEvent(change.state, "state", args))
                out.end(track, following.at_ns)


def write_events(tables: RunTables, replicas: Sequence[ReplicaTracks], out: TraceWriter) -> None:
    """Write the events of requests at their replicas or the front door, and those of the cluster.

    Faults, repairs and scaling are events of the cluster.
    """
    front_door = cluster = 0
    for row in tables.rows("events"):
        what = _KV_ARRIVED if row["what"] == "handed_over" else row["what"].replace("_", " ")
        args = {"request": row["request"], "value": row["value"], "reason": row["reason"]}
        if row["replica"] >= 0 and not row["where"]:
            replica, passes = replicas[row["replica"]], what == _KV_ARRIVED
            track = replica.passing if passes else replica.steps
            flow = row["request"] + 1 if passes else 0
            out.instant(track, ns(row["at_s"]), TraceEvent(what, "event", args, flow))
        elif row["where"]:
            cluster = cluster or out.track("Cluster", rank=4)
            args = {"value": row["value"], "where": row["where"]}
            out.instant(cluster, ns(row["at_s"]), TraceEvent(what, "event", args))
        else:
            front_door = front_door or out.track("Front door", rank=4)
            out.instant(front_door, ns(row["at_s"]), TraceEvent(what, "event", args))


def _kind(row: dict[str, Any]) -> str:
    if not row["prompt_tokens"]:
        return "decode"
    return "decode + prefill" if row["batch"] else "prefill"
