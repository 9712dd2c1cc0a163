"""PowerMeter: power of the devices of replicas so far, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.deployment.device_power import (
    DrawnPower,
    IdlePower,
    PoweredSteps,
    power_of_steps,
)
from cluster_sim.deployment.fleet import ReplicaSpec
from cluster_sim.deployment.stretch_work import stretch_counts, work_of
from cluster_sim.physics.step_power import step_w
from cluster_sim.results.columns import STRETCH_COLUMNS
from cluster_sim.results.recorder import Recorder
from cluster_sim.results.states import idle_w
from cluster_sim.typing import Array


class MeteredReplica(Protocol):
    """Interface of a replica to the power meter."""

    @property
    def down(self) -> bool:
        """Whether the devices do not work."""
        ...

    @property
    def incarnation(self) -> int:
        """Number of times that the devices were lost or switched off."""
        ...

    def under_way(self) -> bytes:
        """Return the row of the stretch in progress; empty if there is none."""
        ...


class _StepUnderWay(NamedTuple):
    """Engine step in progress of a replica, which runs to its end unless the devices are lost."""

    incarnation: int
    """Number of times that the devices had been lost before the step."""
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
        self._rows: dict[int, list[Array]] = {number: [] for number in watched}
        self._step: dict[int, _StepUnderWay] = {}  # step in progress at the last reading
        self._read = self._read_states = 0  # numbers of bytes and of changes that were read
        self._idle: dict[int, list[tuple[float, float]]] = {}
        """Power between steps from each change of a replica's state on: time [s] and power [W]."""

    def read(self, number: int, since_s: float, now_s: float) -> DrawnPower:
        """Return the power of each device of a replica since the last reading, at `since_s`."""
        replica, deployment = self._replicas[number], self._specs[number].deployment
        step = self._step.get(number)
        is_working = not replica.down
        if (
            step is not None
            and is_working
            and now_s <= step.ended_s
            and step.incarnation == replica.incarnation
        ):
            return DrawnPower(np.array([since_s, now_s]), step.watts, step.memory_w)
        self._sort_new_rows()
        under_way = replica.under_way()
        rows = np.concatenate(
            [
                np.zeros((0, len(STRETCH_COLUMNS))),
                *self._rows[number],
                np.frombuffer(under_way).reshape(-1, len(STRETCH_COLUMNS)),
            ]
        )
        self._rows[number] = []
        steps = _powered_steps(deployment, rows)
        drawn = _drawn_in(deployment, steps, (since_s, now_s), self._idle_power(number))
        if under_way:
            # the second-last piece is the last step; the last piece is the power between steps
            self._step[number] = _StepUnderWay(
                replica.incarnation,
                float(steps.ended_s[-1]),
                drawn.watts[-2:-1],
                drawn.memory_w[-2:-1],
            )
        return drawn

    def _idle_power(self, number: int) -> IdlePower | None:
        """Return the power of a device between steps; None if it always holds its model."""
        new = self._recorder.states[self._read_states :]
        self._read_states += len(new)
        for row in new:
            if row.replica in self._rows:
                of_device = self._specs[row.replica].deployment.device.power
                assert of_device is not None
                pieces = self._idle.setdefault(row.replica, [(0.0, of_device.loaded_idle_w)])
                pieces.append((row.at_s, idle_w(of_device, row.state)))
        if number not in self._idle:
            return None
        from_s, watts = zip(*self._idle[number], strict=True)
        return IdlePower(np.array(from_s), np.array(watts))

    def _sort_new_rows(self) -> None:
        if self._read == len(self._recorder.stretches):
            return
        rows = np.frombuffer(bytes(self._recorder.stretches[self._read :])).reshape(
            -1, len(STRETCH_COLUMNS)
        )
        self._read = len(self._recorder.stretches)
        for number in np.unique(rows[:, 0]).astype(int).tolist():
            if number in self._rows:
                self._rows[number].append(rows[rows[:, 0] == number])


def _powered_steps(deployment: Deployment, rows: Array) -> PoweredSteps:
    """Return the power of one device in each step of these stretches.

    The result does not depend on the grouping of steps into stretches.
    """
    power = deployment.device.power
    assert power is not None
    columns = dict(zip(STRETCH_COLUMNS, rows.T, strict=True))
    steps = columns["steps"].astype(np.int64)
    work = work_of(deployment, stretch_counts(columns), columns["steps"])
    row = np.repeat(np.arange(len(steps)), steps)
    step = np.arange(len(row)) - np.repeat(np.cumsum(steps) - steps, steps)
    first_s, slope_s = columns["first_s"][row], columns["slope_s"][row]
    seconds = first_s + step * slope_s
    began_s = columns["began_s"][row] + step * first_s + slope_s * (step * (step - 1) * 0.5)
    moved, arithmetic_j = (
        np.broadcast_to(first, steps.shape)[row] + step * np.broadcast_to(slope, steps.shape)[row]
        for first, slope in (work.moved, work.arithmetic_j)
    )
    watts = step_w(power, seconds, moved, arithmetic_j, columns["clock"][row])
    return PoweredSteps(began_s, began_s + seconds, watts, moved / seconds)


def _drawn_in(
    deployment: Deployment, steps: PoweredSteps, span_s: tuple[float, float], idle: IdlePower | None
) -> DrawnPower:
    """Return the power of one device in a span of time [s] that ends with these steps.

    `idle` is the power between steps; None if the device always holds its model.
    """
    power = deployment.device.power
    assert power is not None
    late = steps.ended_s > span_s[0]
    return power_of_steps(
        power, PoweredSteps(*(column[late] for column in steps)), *span_s, idle=idle
    )
