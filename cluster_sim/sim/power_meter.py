"""PowerMeter: power of the devices of replicas so far, step by step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.deployment.device_power import (
    DrawnPower,
    IdlePower,
    PoweredSteps,
    power_of_steps,
)
from cluster_sim.deployment.fleet import ReplicaSpec
from cluster_sim.results.columns import STRETCH_COLUMNS
from cluster_sim.results.recorder import Recorder
from cluster_sim.results.states import READY, Course, idle_course, state_for
from cluster_sim.sim.powered_steps import powered_steps, steps_by_replica, with_pauses
from cluster_sim.typing import Array

_NO_STEPS = PoweredSteps(np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0))


Value = TypeVar("Value")


class MeteredReplica(Protocol):
    """Interface of a replica to the power meter."""

    def under_way(self) -> bytes:
        """Return the row of the stretch in progress; empty if there is none."""
        ...


class _StepUnderWay(NamedTuple):
    """Engine step in progress of a replica, which always runs to its end."""

    ended_s: float
    watts: Array
    """Power of one device [W], an array with one element."""
    memory_w: Array
    """Power of the device's memory [W]."""


class PowerMeter:
    """Power of the devices of watched replicas, step by step.

    It is computed from the recorded rows and from the stretch in progress.
    """

    def __init__(
        self,
        specs: Sequence[ReplicaSpec],
        replicas: Sequence[MeteredReplica],
        watched: set[int],
        recorder: Recorder,
    ) -> None:
        self._specs, self._replicas, self._recorder = specs, replicas, recorder
        self._rows: dict[int, list[bytes]] = {number: [] for number in watched}
        self._step: dict[int, _StepUnderWay] = {}  # step in progress at the last reading
        self._read = 0  # number of bytes read from the recorder
        self._states: dict[int, list[tuple[float, str]]] = {}  # changes since the last reading
        self._locks: dict[int, list[tuple[float, float]]] = {}  # the same for clock locks
        self._states_read = self._locks_read = 0

    def read(self, numbers: Iterable[int], since_s: float, now_s: float) -> dict[int, DrawnPower]:
        """Return the power of each device of replicas since their last reading, at `since_s`.

        NOTE: the replicas of a deployment are read together. For eight of them that takes a fifth
        of the time, since a few steps each are little work for arrays.
        """
        self._sort_new_states()
        self._sort_new_rows()
        drawn: dict[int, DrawnPower] = {}
        others: dict[Deployment, list[int]] = {}
        for number in numbers:
            step = self._step.get(number)
            if step is not None and now_s <= step.ended_s:
                drawn[number] = DrawnPower(np.array([since_s, now_s]), step.watts, step.memory_w)
            else:
                others.setdefault(self._specs[number].deployment, []).append(number)
        for deployment, together in others.items():
            drawn |= self._read_together(deployment, together, since_s, now_s)
        return drawn

    def _read_together(
        self, deployment: Deployment, numbers: Sequence[int], since_s: float, now_s: float
    ) -> dict[int, DrawnPower]:
        """Return the power of each device of some replicas of one deployment."""
        under_way = [self._replicas[number].under_way() for number in numbers]
        rows = [
            row
            for number, last in zip(numbers, under_way, strict=True)
            for row in (*self._rows[number], last)
        ]
        table = np.frombuffer(b"".join(rows)).reshape(-1, len(STRETCH_COLUMNS))
        by_replica = steps_by_replica(*powered_steps(deployment, table, since_s))
        drawn = {}
        for number, last in zip(numbers, under_way, strict=True):
            self._rows[number] = []
            own = by_replica.get(number, _NO_STEPS)
            idle = self._idle_power(number, since_s)
            power = deployment.device.power
            assert power is not None
            drawn[number] = (
                with_pauses(power, own, since_s, now_s)
                if idle is None
                else power_of_steps(power, own, since_s, now_s, idle)
            )
            if last:
                self._step[number] = _StepUnderWay(
                    float(own.ended_s[-1]),
                    drawn[number].watts[-2:-1],
                    drawn[number].memory_w[-2:-1],
                )
        return drawn

    def _sort_new_states(self) -> None:
        """Sort changes of state and of clock locks by replica.

        A step in progress is void after a change of state.
        """
        for row in self._recorder.states[self._states_read :]:
            if row.replica in self._rows:
                self._states.setdefault(row.replica, []).append(
                    (row.at_s, state_for(row.state, row.cause))
                )
                self._step.pop(row.replica, None)
        self._states_read = len(self._recorder.states)
        for at_s, number, clock in self._recorder.clocks[self._locks_read :]:
            if number in self._rows:
                self._locks.setdefault(number, []).append((at_s, clock))
        self._locks_read = len(self._recorder.clocks)

    def _idle_power(self, number: int, since_s: float) -> IdlePower | None:
        """Return the power of a device between steps from `since_s` on; None if it never changes.

        Older changes are forgotten.
        """
        if number not in self._states and number not in self._locks:
            return None
        power = self._specs[number].deployment.device.power
        assert power is not None
        states = self._states[number] = _since(self._states.get(number, ()), since_s)
        locks = self._locks[number] = _since(self._locks.get(number, ()), since_s)
        before = () if states and states[0][0] == 0.0 else ((0.0, READY),)
        course = Course(*zip(*before, *states, strict=True))
        from_s, watts = idle_course(power, course, locks)
        # a replica that drains may be in the middle of a step
        changes = np.append(True, np.diff(watts) != 0.0)
        return IdlePower(from_s[changes], watts[changes])

    def _sort_new_rows(self) -> None:
        """Sort the rows of ended stretches by replica."""
        if self._read == len(self._recorder.stretches):
            return
        rows = np.frombuffer(bytes(self._recorder.stretches[self._read :])).reshape(
            -1, len(STRETCH_COLUMNS)
        )
        self._read = len(self._recorder.stretches)
        for row, number in zip(rows, rows[:, 0].astype(int).tolist(), strict=True):
            if number in self._rows:
                self._rows[number].append(row.tobytes())


def _since(changes: Sequence[tuple[float, Value]], since_s: float) -> list[tuple[float, Value]]:
    """Return the changes after a time, and before them the last earlier one, from time 0 on."""
    old = [value for at_s, value in changes if at_s <= since_s]
    return [*((0.0, value) for value in old[-1:]), *(row for row in changes if row[0] > since_s)]
