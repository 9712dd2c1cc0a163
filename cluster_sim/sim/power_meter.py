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
from cluster_sim.results.recorder import Recorder, StateRow
from cluster_sim.results.states import idle_w
from cluster_sim.typing import Array


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
        self._rows: dict[int, list[Array]] = {number: [] for number in watched}
        self._step: dict[int, _StepUnderWay] = {}  # step in progress at the last reading
        self._read = 0  # number of bytes read from the recorder
        self._states: dict[int, list[StateRow]] = {}  # changes since the last reading
        self._states_read = 0

    def read(self, number: int, since_s: float, now_s: float) -> DrawnPower:
        """Return the power of each device of a replica since the last reading, at `since_s`."""
        replica, deployment = self._replicas[number], self._specs[number].deployment
        self._sort_new_states()
        step = self._step.get(number)
        if step is not None and now_s <= step.ended_s:
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
        drawn = _drawn_in(deployment, steps, (since_s, now_s), self._idle_power(number, since_s))
        if under_way:
            # the second-last piece is the last step; the last piece is the power between steps
            self._step[number] = _StepUnderWay(
                float(steps.ended_s[-1]), drawn.watts[-2:-1], drawn.memory_w[-2:-1]
            )
        return drawn

    def _sort_new_states(self) -> None:
        """Sort changes of state by replica; a step in progress is void after a change."""
        for row in self._recorder.states[self._states_read :]:
            if row.replica in self._rows:
                self._states.setdefault(row.replica, []).append(row)
                self._step.pop(row.replica, None)
        self._states_read = len(self._recorder.states)

    def _idle_power(self, number: int, since_s: float) -> IdlePower | None:
        """Return the power of a device between steps from `since_s` on; None if it never changes.

        Older changes are forgotten.
        """
        if (rows := self._states.get(number)) is None:
            return None
        power = self._specs[number].deployment.device.power
        assert power is not None
        old = [row for row in rows if row.at_s <= since_s]
        rows = self._states[number] = [*old[-1:], *(row for row in rows if row.at_s > since_s)]
        at_s = [row.at_s for row in rows]
        watts = [idle_w(power, row.state) for row in rows]
        if old:
            at_s[0] = 0.0
        else:
            at_s, watts = [0.0, *at_s], [power.loaded_idle_w, *watts]
        # a replica that drains may be in the middle of a step
        changes = np.append(True, np.diff(watts) != 0.0)
        return IdlePower(np.array(at_s)[changes], np.array(watts)[changes])

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
    deployment: Deployment,
    steps: PoweredSteps,
    span_s: tuple[float, float],
    idle: IdlePower | None,
) -> DrawnPower:
    """Return the power of one device in a span of time that ends with these steps.

    Parameters
    ----------
    deployment
        Deployment of the device.
    steps
        Steps of its replica.
    span_s
        Beginning and end of the span [s].
    idle
        Power of the device between steps; None if it holds its model in the whole run.
    """
    power, (since_s, now_s) = deployment.device.power, span_s
    assert power is not None
    late = steps.ended_s > since_s
    in_span = PoweredSteps(*(column[late] for column in steps))
    return power_of_steps(power, in_span, since_s, now_s, idle)
