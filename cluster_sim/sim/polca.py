"""PolcaManager: clock locks at thresholds of a row's power, and a power brake above its cap.

Source: POLCA (Patel et al., Characterizing Power Management Opportunities for LLMs in the Cloud,
ASPLOS 2024).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any, NamedTuple

from simpy import Event

from cluster_sim.deployment.fleet import Fleet, ReplicaSpec
from cluster_sim.deployment.power_caps import CappedNodes
from cluster_sim.results.recorder import Recorder
from cluster_sim.scenario.power_sharing import Polca
from cluster_sim.sim.clock import CountingEnvironment
from cluster_sim.sim.node_readings import NodeReadings
from cluster_sim.sim.replica import Replica

_BRAKE = "power_brake"
_A100_MHZ = 1410.0
"""Highest clock of the A100, to which POLCA's clocks are relative [MHz]."""
_NONE, _LOW, _LOWEST, _ALL = range(4)
"""Steps of the policy: no lock, low clock and lowest clock of low priority, all pools."""


class ClockPlan(NamedTuple):
    """Clocks of one replica at each step of the policy, as shares of the highest clock."""

    replica: Replica[Any]
    node: int
    """Number of the replica's first node among all nodes."""
    shares: tuple[float, float, float, float]
    """Clocks at the four steps."""
    brake: float
    """Clock under the power brake."""


def clock_plans(polca: Polca, fleet: Fleet, replicas: Sequence[Replica[Any]]) -> list[ClockPlan]:
    """Return the clocks of every replica."""
    plans = []
    for spec, replica in zip(fleet.replicas, replicas, strict=True):
        share = partial(_share, spec)
        low, lowest = share(polca.low_clock_hz, 1275.0), share(polca.lowest_clock_hz, 1110.0)
        high = share(polca.high_clock_hz, 1305.0)
        is_low = spec.deployment.name in polca.low_priority
        shares = (1.0, low, lowest, lowest) if is_low else (1.0, 1.0, 1.0, high)
        node = fleet.first_nodes[spec.deployment.name] + spec.nodes[0]
        plans.append(ClockPlan(replica, node, shares, share(polca.brake_clock_hz, 288.0)))
    return plans


def _share(spec: ReplicaSpec, clock_hz: float | None, default_mhz: float) -> float:
    """Return a clock as a share of the device's highest clock.

    The default is that of the A100 relative to its highest clock.
    """
    if clock_hz is None:
        return default_mhz / _A100_MHZ
    governor = spec.deployment.device.governor
    assert governor is not None  # checks/site.py
    return min(clock_hz / governor.clock_hz, 1.0)


class _Row:
    """State of the policy for one rack or row."""

    def __init__(self, group: CappedNodes, plans: Sequence[ClockPlan]) -> None:
        self.group = group
        self.plans = [plan for plan in plans if plan.node in group.nodes]
        self.step = _NONE
        """Step that was commanded last."""
        self.due_s = 0.0
        """Time at which the last command takes effect [s]."""
        self.brakes = False
        """Whether the power brake was commanded."""

    def next_step(self, polca: Polca, share: float, now_s: float) -> int:
        """Return the step for a reading of the row's power, as a share of its cap."""
        if share > polca.t2:
            if self.step < _LOWEST:
                return _LOWEST
            return _ALL if now_s >= self.due_s else self.step
        if share > polca.t1 and self.step < _LOW:
            return _LOW
        if share < polca.t1 - polca.release:
            return _NONE
        if share < polca.t2 - polca.release:
            return min(self.step, _LOW)
        return self.step


class PolcaManager:
    """Process that reads the power of racks and rows, and locks clocks by POLCA's rules."""

    def __init__(  # noqa: PLR0913 - wires one process to its parts
        self,
        env: CountingEnvironment,
        polca: Polca,
        groups: Sequence[CappedNodes],
        plans: Sequence[ClockPlan],
        readings: NodeReadings,
        recorder: Recorder,
    ) -> None:
        self._env, self._polca, self._readings, self._recorder = env, polca, readings, recorder
        self._rows = [_Row(group, plans) for group in groups]
        env.process(self._run())

    def _run(self) -> Generator[Event, Any, None]:
        while True:
            yield self._env.pause(self._polca.period_s)
            if self._env.is_over:
                return
            watts = [reading.watts for reading in self._readings.read(self._env.now)]
            for row in self._rows:
                row_w = sum(watts[place] for place in row.group.nodes)
                self._act(row, row_w / row.group.cap.at_w(self._env.now))

    def _act(self, row: _Row, share: float) -> None:
        """Command what a reading asks for: the power over the cap of a rack or row.

        Locks of a rack and of the row hold side by side, so that neither releases the other's.
        """
        polca, now_s, env = self._polca, self._env.now, self._env
        if (step := row.next_step(polca, share, now_s)) != row.step:
            row.step, row.due_s = step, now_s + polca.delay_s
            clocks = [(plan.replica, plan.shares[step]) for plan in row.plans]
            env.pause(polca.delay_s).callbacks.append(_locking(row.group.key, clocks))
        brakes = share > 1.0 or (row.brakes and share >= polca.t1 - polca.release)
        if brakes != row.brakes:
            row.brakes = brakes
            clocks = [(plan.replica, plan.brake if brakes else 1.0) for plan in row.plans]
            env.pause(polca.brake_delay_s).callbacks.append(
                _locking(f"{_BRAKE}:{row.group.key}", clocks)
            )
            if brakes:
                self._recorder.events.append((now_s, _BRAKE, -1, -1, share))


def _locking(cause: str, clocks: Sequence[tuple[Replica[Any], float]]) -> Callable[[Event], None]:
    """Return a callback that locks the clocks of replicas."""

    def take_effect(_: Event) -> None:
        for replica, share in clocks:
            replica.lock_clock(cause, share)

    return take_effect
