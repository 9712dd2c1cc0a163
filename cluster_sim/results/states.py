"""States of replicas over a run: when each was on, ready or lost, and when each node was on.

A replica is off, starting, loading, asleep, ready, draining or lost; columns.STATES defines these
states. A node is on while any of its replicas is not off. A node without a replica is always on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cluster_sim.deployment.device_power import IdlePower
from cluster_sim.physics.power import idle_at_clock_w
from cluster_sim.results.columns import CLOCK_COLUMNS
from cluster_sim.results.event_rows import of_kinds
from cluster_sim.results.step_function import StepFunction, constant, total

if TYPE_CHECKING:
    from cluster_sim.deployment.deployment import Deployment
    from cluster_sim.deployment.fleet import Fleet
    from cluster_sim.hardware.power_and_cooling import Power
    from cluster_sim.results.run_data import RunData

OFF, READY, LOST = "off", "ready", "lost"
RECLAIMED = "reclaimed"
"""State of a replica that is off because its spot node was reclaimed."""
SHUT_DOWN = "shut down"
"""State of a replica that is lost because heat shut its devices down: they draw no power."""
NOT_ON = (OFF, RECLAIMED)
"""States in which a replica is off."""
WITHOUT_POWER = (*NOT_ON, SHUT_DOWN)
"""States in which the devices of a replica draw no power."""
WORKING = (READY, "draining")
"""States in which the devices of a replica can run steps."""
ON = ("starting", "loading", "asleep", *WORKING, LOST, SHUT_DOWN)
"""States in which a replica is on: it occupies its nodes and costs money."""

StateChange = tuple[float, int, str]
"""Change of a replica's state: time [s], number of the replica, state from then on."""

ClockChange = tuple[float, int, float]
"""Change of a clock lock: time [s], number of the replica, highest clock from then on."""


class Course(NamedTuple):
    """States of one replica, `states[i]` from `from_s[i]` until `from_s[i + 1]`."""

    from_s: tuple[float, ...]
    states: tuple[str, ...]

    def is_in(self, states: Collection[str]) -> StepFunction:
        """Return 1 while the replica is in one of some states, else 0."""
        return StepFunction(
            np.array(self.from_s), np.array([float(state in states) for state in self.states])
        )


_ALWAYS_READY = Course((0.0,), (READY,))


class States:
    """States of all replicas over a run."""

    def __init__(
        self,
        fleet: Fleet,
        changes: Iterable[StateChange],
        end_s: float,
        clocks: Iterable[ClockChange] = (),
    ) -> None:
        """Read the changes of state and of clock locks, in order of time.

        Parameters
        ----------
        fleet
            Replicas of the run.
        changes
            Changes of state. A replica is ready until its first change.
        end_s
            End of the run [s].
        clocks
            Changes of clock locks. A replica has no lock until its first change.
        """
        self.fleet, self.end_s = fleet, end_s
        self._locks: dict[int, list[tuple[float, float]]] = {}
        for at_s, number, clock in clocks:
            self._locks.setdefault(number, []).append((at_s, clock))
        rows: dict[int, list[tuple[float, str]]] = {}
        for at_s, number, state in changes:
            rows.setdefault(number, [(0.0, READY)]).append((at_s, state))
        self._courses = {
            number: Course(*zip(*course, strict=True)) for number, course in rows.items()
        }

    @property
    def are_constant(self) -> bool:
        """Whether all replicas are ready over the whole run."""
        return not self._courses

    @cached_property
    def scale(self) -> bool:
        """Whether a replica is off at some time of the run."""
        return any(
            self.seconds([number], NOT_ON) > 0.0 or course.states[-1] in NOT_ON
            for number, course in self._courses.items()
        )

    def course(self, number: int) -> Course:
        """Return the states of one replica."""
        return self._courses.get(number, _ALWAYS_READY)

    def seconds(self, numbers: Iterable[int], states: Collection[str]) -> float:
        """Return the time that some replicas spend in some states, summed over replicas [s]."""
        return sum(
            self.course(number).is_in(states).integral(self.end_s)
            if number in self._courses
            else self.end_s * (READY in states)
            for number in numbers
        )

    def count(self, numbers: Iterable[int], states: Collection[str]) -> StepFunction:
        """Return the number of some replicas that are in some states, over time."""
        changing = [number for number in numbers if number in self._courses]
        steady = sum(number not in self._courses for number in numbers) * (READY in states)
        parts = [self.course(number).is_in(states) for number in changing]
        return total([constant(steady), *parts])

    @cached_property
    def _scaled_pools(self) -> set[str]:
        """Names of the pools that scale."""
        return {each.name for each in self.fleet.deployments if each.pool.autoscale is not None}

    @cached_property
    def _holders(self) -> dict[str, list[int]]:
        """Numbers of the replicas on each node that has one, by name of the node."""
        holders: dict[str, list[int]] = {}
        for replica in self.fleet.replicas:
            for node in replica.nodes:
                holders.setdefault(f"{replica.deployment.name}/{node}", []).append(replica.number)
        return holders

    def node_on(self, name: str) -> StepFunction:
        """Return 1 while a node is on, else 0; `name` is that of the node, such as `gpus/0`.

        A node without a replica is always on, but in a pool that scales nobody starts it.
        """
        holders = self._holders.get(name, [])
        if not holders:
            return constant(float(name.rpartition("/")[0] not in self._scaled_pools))
        if any(number not in self._courses for number in holders):
            return constant(1.0)
        replicas = self.count(holders, ON)
        return StepFunction(replicas.from_s, np.minimum(replicas.values, 1.0))

    def nodes_on(self, deployment: Deployment) -> list[StepFunction]:
        """Return 1 while a node of a deployment is on, else 0, for each of its nodes."""
        if self.are_constant and deployment.name not in self._scaled_pools:
            return [constant(1.0)] * deployment.pool.nodes
        return [self.node_on(f"{deployment.name}/{node}") for node in range(deployment.pool.nodes)]

    def mean_nodes_on(self, deployment: Deployment) -> float:
        """Return the mean number of a deployment's nodes that are on."""
        is_steady = self.are_constant and deployment.name not in self._scaled_pools
        if is_steady or not self.end_s:
            return deployment.pool.nodes
        return sum(node.integral(self.end_s) for node in self.nodes_on(deployment)) / self.end_s

    def has_locks(self, number: int) -> bool:
        """Return whether the clock of a replica is locked at some time of the run."""
        return number in self._locks

    def idle_power(self, number: int, power: Power) -> IdlePower:
        """Return the power of a device of a replica while it runs no step."""
        return idle_course(power, self.course(number), self._locks.get(number, ()))


def idle_course(
    power: Power, course: Course, locks: Sequence[tuple[float, float]] = ()
) -> IdlePower:
    """Return the power of a device while its replica runs no step.

    Parameters
    ----------
    power
        Power model of the device.
    course
        States of the replica.
    locks
        Changes of the lock of its clock: time [s], and highest clock from then on, as a share of
        the highest. The clock is not locked before the first change.
    """
    watts = np.array([idle_w(power, state) for state in course.states])
    if not locks:
        return IdlePower(np.array(course.from_s), watts)
    changed_s, clocks = (np.array(column) for column in zip((0.0, 1.0), *locks, strict=True))
    at_s = np.unique(np.concatenate([course.from_s, changed_s]))
    state = np.searchsorted(course.from_s, at_s, side="right") - 1
    clock = clocks[np.searchsorted(changed_s, at_s, side="right") - 1]
    is_loaded = np.array([name in WORKING for name in course.states])[state]
    return IdlePower(at_s, np.where(is_loaded, idle_at_clock_w(power, clock), watts[state]))


def idle_w(power: Power, state: str) -> float:
    """Return the power of a device that runs no step, by the state of its replica [W].

    A device that holds no model draws its idle power, and nothing while it is off or shut down.
    """
    if state in WORKING:
        return power.loaded_idle_w
    return 0.0 if state in WITHOUT_POWER else power.idle_w


def states_of(run: RunData) -> States:
    """Return the states of all replicas over a run.

    Run folders of earlier versions have no table of states. There a replica that heat shut down is
    lost from then on.
    """
    table = run.states
    if table.num_rows:
        rows = table.to_pylist()
        changes = [
            (row["at_s"], row["replica"], state_for(row["state"], row["cause"])) for row in rows
        ]
        return States(run.fleet, changes, run.info.simulated_s, _clocks(run))
    down = of_kinds(run.events, ("shutdown",)).to_pylist() if run.events.num_rows else []
    changes = [(row["at_s"], row["replica"], LOST) for row in down]
    return States(run.fleet, changes, run.info.simulated_s, _clocks(run))


def _clocks(run: RunData) -> Iterable[ClockChange]:
    """Return the changes of clock locks of a run; none for a run of an earlier version."""
    if not run.clocks.num_rows:
        return ()
    return zip(*(run.clocks[name].to_pylist() for name in CLOCK_COLUMNS), strict=True)


def state_for(state: str, cause: str) -> str:
    """Return the state of a row of the table, apart for some causes.

    Spot nodes that were reclaimed are off, and devices that heat shut down are lost.
    """
    if state == OFF and cause == "spot_reclaim":
        return RECLAIMED
    return SHUT_DOWN if state == LOST and cause == "shutdown" else state


def mean_nodes(run: RunData) -> dict[str, float]:
    """Return the mean number of nodes that are on over a run, by name of the pool."""
    states = states_of(run)
    return {each.name: states.mean_nodes_on(each) for each in run.fleet.deployments}
