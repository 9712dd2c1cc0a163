"""How devices protect themselves from heat: clocks fall and rise, memory is refreshed more often,
and what grows too hot is lost.

A governor watches the devices of nodes that share replicas. What they have drawn is in the rows of
their stretches, so their temperatures now are known in closed form; and however hard they may work,
it is known how soon a limit could be reached at the earliest. It sleeps that long, a control period
at least, and not at all while nobody works. Devices that could reach no limit even if all of them
drew their most for ever have none.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import ceil, inf
from typing import Any, NamedTuple

import numpy as np
from simpy import Environment, Event

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.deployment.fleet import Fleet
from cluster_sim.deployment.step_work import stretch_work, work_of
from cluster_sim.deployment.thermal_groups import (
    Conditions,
    Drawn,
    Spot,
    drawn,
    empty,
    warmed,
)
from cluster_sim.hardware.power_and_cooling import Power
from cluster_sim.physics.power import step_w
from cluster_sim.physics.thermal import DIE, MEMORY, Heat, bandwidth_left
from cluster_sim.results.columns import STRETCH_COLUMNS
from cluster_sim.results.recorder import Recorder
from cluster_sim.sim.alarm import Alarm
from cluster_sim.sim.power_cap import clock_steps
from cluster_sim.sim.replica import Replica
from cluster_sim.typing import Array

_AT_K = 1e-6
"""A temperature is at its limit from so little below it on."""
_PERIOD_S, _RISE_S, _HYSTERESIS_K = 0.05, 0.1, 3.0  # of devices whose file has no governor
_AT_S = 1e-9
"""The same for a time that is due."""
_DOUBLINGS = 18
Threshold = tuple[int, float]
"""Place in a state, temperature."""
_REASONS = ("", "sw_thermal_slowdown", "hw_thermal_slowdown", "lost")
_WORKING, _SOFTWARE, _HARDWARE, _LOST = range(4)


class Step(NamedTuple):
    """The engine step that a replica is in, which is always finished."""

    ended_s: float
    watts: Array
    """Of one device, an array of one."""
    memory_w: Array


class Meter:
    """What the devices of watched replicas draw, step by step, from the rows that are recorded and
    from the stretch under way.
    """

    def __init__(
        self, fleet: Fleet, recorder: Recorder, replicas: Sequence[Replica], watched: set[int]
    ) -> None:
        self._recorder, self._replicas, self._specs = recorder, replicas, fleet.replicas
        self._rows: dict[int, list[Array]] = {number: [] for number in watched}
        self._step: dict[int, Step] = {}  # under way when they were last asked about
        self._read = 0  # bytes of the recorder

    def drawn(self, number: int, since_s: float, now_s: float) -> Drawn:
        """By each device of the replica with this number since it was last asked about."""
        step = self._step.get(number)
        if step is not None and now_s <= step.ended_s and not self._replicas[number].down:
            return Drawn(np.array([since_s, now_s]), step.watts, step.memory_w)
        self._sort_new_rows()
        under_way = self._replicas[number].under_way()
        rows = np.concatenate(
            [
                np.zeros((0, len(STRETCH_COLUMNS))),
                *self._rows[number],
                np.frombuffer(under_way).reshape(-1, len(STRETCH_COLUMNS)),
            ]
        )
        self._rows[number] = []
        if self._replicas[number].down:
            return empty(self._power(number), since_s, now_s)
        found, ended_s = _by_step(self._specs[number].deployment, rows, since_s, now_s)
        if under_way:
            # the last piece but one is the last step, after it comes what is drawn between steps
            self._step[number] = Step(ended_s, found.watts[-2:-1], found.memory_w[-2:-1])
        return found

    def _power(self, number: int) -> Power:
        power = self._specs[number].deployment.device.power
        assert power is not None
        return power

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


def _by_step(
    deployment: Deployment, rows: Array, since_s: float, now_s: float
) -> tuple[Drawn, float]:
    """What one device draws in each step of these stretches, so that it does not matter how steps
    were gathered into stretches.

    And when the last of them ends."""
    power = deployment.device.power
    assert power is not None
    columns = dict(zip(STRETCH_COLUMNS, rows.T, strict=True))
    steps = columns["steps"].astype(np.int64)
    work = work_of(deployment, stretch_work(columns), columns["steps"])
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
    late = began_s + seconds > since_s
    found = drawn(
        power,
        began_s[late],
        (began_s + seconds)[late],
        watts[late],
        (moved / seconds)[late],
        since_s,
        now_s,
    )
    return found, float(began_s[-1] + seconds[-1]) if len(seconds) else since_s


@dataclass
class Guard:
    """How the devices of one spot protect themselves; pure but for what it remembers of itself."""

    spot: Spot
    state: Array
    """Temperatures."""
    steps_down: int = 0
    """By which software has lowered the clock."""
    slowing: bool = False
    """From the operating limit until it has cooled by the hysteresis."""
    halved: bool = False
    """By hardware, from the slowdown limit on."""
    lost: bool = False
    refresh: float = 1.0
    """Share of the memory's bandwidth that refreshing leaves."""
    changed_s: float = -inf
    """When the clock was last changed by a step."""
    halved_s: float = -inf
    _said: tuple[float, float, str] = (1.0, 1.0, "")
    _fading: dict[float, Array] = field(default_factory=dict)
    """By flow: what is left of a state's distance from the steady one after each of the times that
    are looked ahead."""

    def __post_init__(self) -> None:
        device = self.spot.pool.node.device
        self._limits, self._governor, self._refreshes = (
            device.limits,
            device.governor,
            device.refresh,
        )
        self._step, self._floor = clock_steps(self._governor)
        self.name = self.spot.devices()[0]
        self._most_down = int((1.0 - self._floor) / self._step + 1e-9)
        governor = self._governor
        self.fall_s, self.rise_s, self.band_k = (
            (governor.fall_period_s, governor.rise_period_s, governor.hysteresis_kelvin)
            if governor is not None
            else (_PERIOD_S, _RISE_S, _HYSTERESIS_K)
        )

    @property
    def clock(self) -> float:
        """Share of the highest that is left of it."""
        factor = (
            self._governor.slowdown_factor if self.halved and self._governor is not None else 1.0
        )
        return factor * (1.0 - self.steps_down * self._step)

    @property
    def reason(self) -> str:
        """Why it is less, as NVML calls it; empty where it is not."""
        return _REASONS[
            _LOST
            if self.lost
            else _HARDWARE
            if self.halved
            else _SOFTWARE
            if self.steps_down
            else _WORKING
        ]

    def _over_k(self, below_k: float = 0.0) -> float:
        """How far it is above the nearest of its operating limits, less `below_k`."""
        assert self._limits is not None
        over_k = float(self.state[DIE]) - self._limits.operating_c
        if self._limits.memory_c is not None and len(self.state) > 3:
            over_k = max(over_k, float(self.state[MEMORY]) - self._limits.memory_c)
        return over_k + below_k

    def act(self, now_s: float) -> None:
        """Do what its temperatures call for."""
        if self.lost:
            return
        if self._limits is not None:
            self._act_on_limits(now_s)
        if self._refreshes is not None and len(self.state) > 3:
            memory_c = float(self.state[MEMORY])
            # warmer at once, cooler only after the hysteresis
            least, most = (
                bandwidth_left(self._refreshes, memory_c + self.band_k - _AT_K),
                bandwidth_left(self._refreshes, memory_c + _AT_K),
            )
            self.refresh = min(max(self.refresh, least), most)

    def _act_on_limits(self, now_s: float) -> None:
        assert self._limits is not None
        die_c, over_k = float(self.state[DIE]) + _AT_K, self._over_k() + _AT_K
        if die_c >= self._limits.shutdown_c:
            self.lost = True
            return
        if self._governor is None:
            return
        cooled = self._over_k(self.band_k) <= _AT_K
        if die_c >= self._limits.slowdown_c:
            if not self.halved:
                self.halved, self.halved_s = True, now_s
        elif (
            self.halved
            and cooled
            and now_s + _AT_S >= self.halved_s + self._governor.slowdown_hold_s
        ):
            self.halved = False
        if over_k >= 0.0:
            self.slowing = True
            if now_s + _AT_S >= self.changed_s + self.fall_s:
                self._change(max(ceil(over_k - 2.0 * _AT_K), 1), now_s)
        elif cooled:
            self.slowing = False
        if not self.slowing and self.steps_down and now_s + _AT_S >= self.changed_s + self.rise_s:
            self._change(-1, now_s)

    def _change(self, steps: int, now_s: float) -> None:
        down = min(max(self.steps_down + steps, 0), self._most_down)
        if down != self.steps_down:
            self.steps_down, self.changed_s = down, now_s

    def safe_s(self, now_s: float) -> float:
        """How long it has nothing to do for certain, whatever its devices and those in front of
        them run; the control period at least.
        """
        if self.lost:
            return inf
        due_s = min(self.spot.next_change_s(now_s) - now_s, self._timers_s(now_s))
        around = self.spot.conditions(now_s)
        above, below = self._thresholds()
        if due_s > self.fall_s and above:
            due_s = min(
                due_s,
                self._until_s(around, self.spot.greatest(around), partial(_any, thresholds=above)),
            )
        for group in below:
            if due_s > self.fall_s:
                due_s = min(
                    due_s,
                    self._until_s(
                        around, [self.spot.least(around)], partial(_none, thresholds=group)
                    ),
                )
        return max(due_s, self.fall_s)

    def _timers_s(self, now_s: float) -> float:
        """Until the next change that needs no other temperature than that of now."""
        due_s = inf
        if self._limits is not None and self._governor is not None:
            if self._over_k() + _AT_K >= 0.0 and self.steps_down < self._most_down:
                due_s = self.changed_s + self.fall_s - now_s
            elif not self.slowing and self.steps_down:
                due_s = self.changed_s + self.rise_s - now_s
            if self.halved and self._over_k(self.band_k) <= _AT_K:
                due_s = min(due_s, self.halved_s + self._governor.slowdown_hold_s - now_s)
        return due_s

    def _thresholds(self) -> tuple[list[Threshold], list[list[Threshold]]]:
        """Those of which a rise to any would mean something to do, and groups of which a fall below
        all of one would.
        """
        above, below = list[Threshold](), list[list[Threshold]]()
        limits, refreshes, has_memory = self._limits, self._refreshes, len(self.state) > 3
        if limits is not None:
            above.append((DIE, limits.shutdown_c))
            if self._governor is not None:
                operating = [(DIE, limits.operating_c)] + (
                    [(MEMORY, limits.memory_c)]
                    if has_memory and limits.memory_c is not None
                    else []
                )
                if self.steps_down < self._most_down:
                    above += operating
                if not self.halved:
                    above.append((DIE, limits.slowdown_c))
                if self.slowing or self.halved:
                    below.append([(place, limit_c - self.band_k) for place, limit_c in operating])
        if refreshes is not None and has_memory:
            if self.refresh == 1.0:
                above.append((MEMORY, refreshes.double_c))
            elif self.refresh > refreshes.quadruple_share:
                above.append((MEMORY, refreshes.quadruple_c))
            if self.refresh < 1.0:
                from_c = (
                    refreshes.double_c
                    if self.refresh > refreshes.quadruple_share
                    else refreshes.quadruple_c
                )
                below.append([(MEMORY, from_c - self.band_k)])
        return above, below

    def _until_s(
        self, around: Conditions, heats: Sequence[Heat], happens: Callable[[Array], Array]
    ) -> float:
        """The longest of a period, two, four and so on after which it has not happened yet under
        any of `heats`; inf where it never does.
        """
        network, times_s = (
            self.spot.network(around.flow),
            np.ldexp(self.fall_s, np.arange(_DOUBLINGS)),
        )
        if (fading := self._fading.get(around.flow)) is None:
            fading = self._fading[around.flow] = network.fading(times_s)
        first = _DOUBLINGS
        for heat in heats:
            steady = network.steady(heat)
            happened = happens(steady + fading @ (self.state - steady))
            if happened.any():
                first = min(first, int(happened.argmax()))
        return inf if first == _DOUBLINGS else float(times_s[max(first - 1, 0)])

    def said(self) -> tuple[float, float, str] | None:
        """(clock, refresh, reason) where it is other than when this was last asked."""
        now = (self.clock, self.refresh, self.reason)
        if now == self._said:
            return None
        self._said = now
        return now


def _any(states: Array, thresholds: Sequence[Threshold]) -> Array:
    """Of each state, whether it is at any of the thresholds."""
    reached: Array = np.any(
        [states[:, place] >= limit_c - _AT_K for place, limit_c in thresholds], axis=0
    )
    return reached


def _none(states: Array, thresholds: Sequence[Threshold]) -> Array:
    """Of each state, whether it is below all of the thresholds."""
    return ~_any(states, thresholds)


class Governor:
    """The process that watches the spots of nodes that share replicas."""

    def __init__(
        self,
        env: Environment,
        spots: Sequence[tuple[int, Spot]],
        meter: Meter,
        replicas: Sequence[Replica],
        recorder: Recorder,
    ) -> None:
        self._env, self._meter, self._recorder = env, meter, recorder
        self._guards = [(number, Guard(spot, spot.start())) for number, spot in spots]
        numbers = {
            number
            for _, spot in spots
            for number in (spot.replica, spot.upstream)
            if number is not None
        }
        self._replicas = {number: replicas[number] for number in sorted(numbers)}
        self._now_s = self._next_s = 0.0
        self._alarm, self._asleep = Alarm(env), False
        for replica in self._replicas.values():
            replica.on_busy = self._wake
        env.process(self._run())

    def _wake(self) -> None:
        """One of its replicas has something to do again."""
        if self._asleep:
            self._asleep = False
            self._alarm.sooner(max(self._next_s - self._env.now, 0.0))

    def _run(self) -> Generator[Event, Any, None]:
        while True:
            # what fell due while nobody worked happens now, at the times at which it did
            while self._next_s <= self._env.now:
                self._settle(self._next_s)
            self._asleep = not any(replica.requests for replica in self._replicas.values())
            yield (
                self._alarm.when_called()
                if self._asleep
                else self._alarm.after(self._next_s - self._env.now)
            )

    def _settle(self, now_s: float) -> None:
        """Temperatures as of `now_s`, what follows from them, and when to look again."""
        self._warm(now_s)
        for number, guard in self._guards:
            guard.act(now_s)
            self._recorder.die_c[guard.name] = float(guard.state[DIE])
            if (said := guard.said()) is not None:
                self._recorder.throttles.append((now_s, number, *said))
        for number, replica in self._replicas.items():
            mine = [guard for _, guard in self._guards if guard.spot.replica == number]
            if not replica.down:
                replica.set_warmth(
                    min(guard.clock for guard in mine), min(guard.refresh for guard in mine)
                )
                if any(guard.lost for guard in mine):
                    self._recorder.events.append(
                        (
                            now_s,
                            "shutdown",
                            number,
                            -1,
                            max(float(guard.state[DIE]) for guard in mine),
                        )
                    )
                    replica.fail()
        self._next_s = now_s + min(guard.safe_s(now_s) for _, guard in self._guards)

    def _warm(self, now_s: float) -> None:
        """The devices' temperatures at `now_s`, from those at the last time."""
        if now_s > self._now_s:
            by_replica = {
                number: self._meter.drawn(number, self._now_s, now_s) for number in self._replicas
            }
            for _, guard in self._guards:
                spot = guard.spot
                nobody = empty(spot.power, self._now_s, now_s)
                own, front = (
                    nobody if number is None else by_replica[number]
                    for number in (spot.replica, spot.upstream)
                )
                guard.state = warmed(spot, guard.state, own, front if spot.is_behind else None)
        self._now_s = now_s


def governors(
    env: Environment,
    fleet: Fleet,
    spots: Sequence[Spot],
    replicas: Sequence[Replica],
    recorder: Recorder,
) -> list[Governor]:
    """One for each group of nodes that share replicas, where any of their devices could ever reach
    a limit.
    """
    groups: list[tuple[set[str], set[int]]] = []
    for spot in spots:
        nodes, numbers = (
            {spot.node},
            {number for number in (spot.replica, spot.upstream) if number is not None},
        )
        apart = []
        for group in groups:
            if group[0] & nodes or group[1] & numbers:
                nodes, numbers = nodes | group[0], numbers | group[1]
            else:
                apart.append(group)
        groups = [*apart, (nodes, numbers)]
    could = {spot.node for spot in spots if spot.replica is not None and spot.could_reach_a_limit()}
    watched = [(nodes, numbers) for nodes, numbers in groups if nodes & could]
    meter = Meter(
        fleet, recorder, replicas, {number for _, numbers in watched for number in numbers}
    )
    return [
        Governor(
            env,
            [(place, spot) for place, spot in enumerate(spots) if spot.node in nodes],
            meter,
            replicas,
            recorder,
        )
        for nodes, _ in watched
    ]
