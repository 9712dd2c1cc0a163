"""Changes of the state of replicas, and of the power of devices that run no step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cluster_sim.deployment.fleet import Fleet
from cluster_sim.export.trace.tables import RunTables, ns
from cluster_sim.results.states import READY, Course, idle_course


class StateChange(NamedTuple):
    """Change of the state of a replica."""

    at_ns: int
    """Time of the change [ns]."""
    state: str
    """State from then on."""
    cause: str


class IdleChange(NamedTuple):
    """Change of the power of a device that runs no step."""

    at_ns: int
    """Time of the change [ns]."""
    watts: float
    """Power from then on [W]."""


def state_changes(tables: RunTables) -> dict[int, list[StateChange]]:
    """Return the changes of state of each replica that changes its state, by its number."""
    changes: dict[int, list[StateChange]] = {}
    for row in tables.rows("states") if tables.has("states") else ():
        change = StateChange(ns(row["at_s"]), row["state"], row["cause"])
        changes.setdefault(row["replica"], []).append(change)
    return changes


def idle_changes(
    tables: RunTables, fleet: Fleet, changes: Mapping[int, Sequence[StateChange]]
) -> dict[int, list[IdleChange]]:
    """Return the changes of the power of idle devices, by number of the replica.

    They are those of the states of replicas, and of clock locks.

    Parameters
    ----------
    tables
        Tables of the run.
    fleet
        Replicas of the run.
    changes
        Changes of state by number of the replica.
    """
    locks: dict[int, list[tuple[float, float]]] = {}
    for row in tables.rows("clocks") if tables.has("clocks") else ():
        locks.setdefault(row["replica"], []).append((row["at_s"], row["clock"]))
    idle: dict[int, list[IdleChange]] = {}
    for number in sorted({*changes, *locks}):
        power = fleet.replicas[number].deployment.device.power
        if power is not None:
            states = [(1e-9 * change.at_ns, change.state) for change in changes.get(number, ())]
            course = Course(*zip((0.0, READY), *states, strict=True))
            from_s, watts = idle_course(power, course, locks.get(number, ()))
            pieces = zip(from_s.tolist(), watts.tolist(), strict=True)
            idle[number] = [IdleChange(ns(at_s), each_w) for at_s, each_w in pieces][1:]
    return idle
