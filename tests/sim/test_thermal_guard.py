"""The guard of hot devices in a closed loop: its clock gives the power, and that the temperatures."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from pytest import approx

import cluster_sim
from cluster_sim.deployment.climate import Climate
from cluster_sim.deployment.device_power import DrawnPower
from cluster_sim.deployment.thermal_groups import COOLANT, ThermalGroup
from cluster_sim.hardware.governor import GovernorSpec
from cluster_sim.hardware.node import Node
from cluster_sim.physics.power import voltage
from cluster_sim.physics.thermal import DIE, MEMORY, Heat
from cluster_sim.scenario.site import Inlet
from cluster_sim.schema import RenamedKeyWarning, catalog_entry
from cluster_sim.sim.thermal_guard import ThermalGuard
from tests.machines import COOLING, GOVERNOR, LIMITS, POWER, REFRESH, SMALL_GPU, node

DEVICE = SMALL_GPU | {"power": POWER, "governor": GOVERNOR, "limits": LIMITS, "refresh": REFRESH}
"""A board whose die follows its power within 0.04 s, and whose sink does within 0.6 s."""


class Looked(NamedTuple):
    """Temperatures at a look, and the clock after it."""

    at_s: float
    state: Any
    clock: float
    steps: int


def a_group(device: dict[str, Any] = DEVICE, inlet: str = "25 degC") -> ThermalGroup:
    return group_on(Node.model_validate(node(device) | {"cooling": COOLING}), inlet)


def group_on(machine: Node, inlet: str, *, behind: bool = False) -> ThermalGroup:
    path = Path(__file__).parents[2] / "scenarios" / "kv_swap.yaml"
    pool = cluster_sim.load_scenario(path, variant="recompute").cluster.pools[0]
    pool = pool.model_copy(update={"node": machine})
    front = 0 if behind else None
    return ThermalGroup(pool, "p/0", (0,), 0, behind, front, Climate(Inlet(mean=inlet)))


def constant(watts: float, memory_w: float, since_s: float, until_s: float) -> DrawnPower:
    return DrawnPower(np.array([since_s, until_s]), np.array([watts]), np.array([memory_w]))


def drive(
    guard: ThermalGuard,
    watts_at: Callable[[float, float], float],
    until_s: float,
    memory_w: float = 40.0,
) -> list[Looked]:
    """Let a guard look at its device until a time; the device draws `watts_at(clock, time)`."""
    now_s, course = 0.0, []
    while now_s < until_s:
        guard.plan(now_s)
        next_s = min(guard.looks_s, now_s + 1.0)
        own = constant(watts_at(guard.clock, now_s), memory_w, now_s, next_s)
        front = constant(800.0, 40.0, now_s, next_s) if guard.group.is_behind else None
        guard.warm(own, front)
        guard.act(next_s)
        now_s = next_s
        course.append(Looked(now_s, guard.state, guard.clock, guard.software.steps_down))
    return course


def of_small_board(clock: float, _: float) -> float:
    """150 W whatever it runs, and 250 W that follow f V²."""
    return 150.0 + 250.0 * clock * float(voltage(clock)) ** 2


def held(course: list[Looked], place: int, since_s: float) -> tuple[float, float, int]:
    """Lowest and highest temperature from a time on, and the number of clocks in use."""
    late = [look for look in course if look.at_s >= since_s]
    at_c = [float(look.state[place]) for look in late]
    return min(at_c), max(at_c), len({look.steps for look in late})


def test_under_steady_load_the_die_ends_at_its_limit_with_neighbouring_clocks() -> None:
    """Without a governor: 25 + 400 W · (0.03 + 0.01 + 0.02 · 0.9) K/W, 48 to 49 degC; 5 K more at 30."""
    guard = ThermalGuard(group := a_group(inlet="32 degC"), group.start())
    course = drive(guard, of_small_board, 12.0)
    coolest, hottest, clocks = held(course, DIE, 6.0)
    assert 49.8 < coolest <= hottest < 50.2
    assert clocks <= 2
    # it falls to its clock once: no look finds it more than a step above an earlier one
    steps = [look.steps for look in course]
    assert all(later >= max(steps[: at + 1]) - 1 for at, later in enumerate(steps))


@pytest.mark.parametrize(
    ("name", "inlet", "place"), [("dgx-b200", "46 degC", DIE), ("dgx-h100", "40 degC", MEMORY)]
)
def test_a_board_of_the_catalog_holds_its_limit_within_a_kelvin_through_a_burst(
    name: str, inlet: str, place: int
) -> None:
    """Two minutes at the power limit in the rear row, after a time of half of its power.

    The die of a B200 is the first at its limit; on an H100 it is the memory in the end.
    """
    machine = Node.model_validate(catalog_entry("nodes", name))
    group = group_on(machine, inlet, behind=True)
    power, limits = group.power, machine.device.limits
    assert limits is not None

    def burst(clock: float, at_s: float) -> float:
        full_w = power.limit_w if 20.0 <= at_s < 140.0 else 0.5 * power.limit_w
        return power.busy_w + (full_w - power.busy_w) * clock * float(voltage(clock)) ** 2

    course = drive(ThermalGuard(group, group.start()), burst, 200.0, 80.0)
    in_burst = [look for look in course if 20.0 < look.at_s <= 140.0]
    limit_c = {DIE: limits.operating_c, MEMORY: limits.memory_c}[place]
    assert limit_c is not None
    reached_s = next(look.at_s for look in in_burst if look.state[place] >= limit_c - 0.5)
    coolest, hottest, _ = held(in_burst, place, reached_s + 2.0)
    assert limit_c - 1.0 < coolest <= hottest < limit_c + 1.0
    assert max(float(look.state[DIE]) for look in course) < limits.operating_c + 1.0
    assert min(look.clock for look in in_burst) < 0.95
    assert held(in_burst, place, 120.0)[2] <= 2
    assert course[-1].clock == 1.0


def test_hot_memory_and_a_hot_coolant_lower_the_clock_of_the_cores() -> None:
    memory = DEVICE | {
        "limits": LIMITS | {"operating": "75 degC", "slowdown": "78 degC", "memory": "46 degC"}
    }
    coolant = DEVICE | {
        "limits": LIMITS | {"operating": "75 degC", "slowdown": "78 degC", "coolant": "35 degC"}
    }
    for device, place, limit_c in ((memory, MEMORY, 46.0), (coolant, COOLANT, 35.0)):
        guard = ThermalGuard(group := a_group(device, "32 degC"), group.start())
        course = drive(guard, of_small_board, 18.0)
        coolest, hottest, clocks = held(course, place, 15.0)
        assert limit_c - 0.5 < coolest <= hottest < limit_c + 0.5
        assert clocks <= 2 and guard.clock < 1.0
        assert guard.reason == "sw_thermal_slowdown"


def test_hardware_halves_the_clock_when_the_die_crosses_its_limit_not_at_the_next_decision() -> (
    None
):
    """Software that decides every 10 s sleeps while the die crosses 60 degC."""
    slow = GOVERNOR | {"thermal_period": "10 s", "slowdown_period": "1 ms"}
    guard = ThermalGuard(group := a_group(DEVICE | {"governor": slow}, "45 degC"), group.start())
    network = group.network(1.0)
    crossing_s = network.crossing_s(guard.state, Heat(360.0, 40.0, 45.0), DIE, 60.0)
    course = drive(guard, lambda clock, _: 400.0 if clock == 1.0 else 200.0, 0.6)
    halved_s = next(look.at_s for look in course if look.clock == approx(0.5))
    assert crossing_s <= halved_s <= crossing_s + 0.001
    assert guard.reason in ("hw_thermal_slowdown", "")


def test_hardware_holds_its_slowdown_and_ends_it_below_the_operating_limit() -> None:
    guard = ThermalGuard(a_group(), np.array([60.0, 20.0, 30.0, 25.0]))
    guard.act(0.0)
    assert guard.clock == approx(0.5)
    for at_s, die_c, is_halved in ((0.1, 40.0, True), (0.2, 50.5, True), (0.21, 49.9, False)):
        guard.state[DIE] = die_c
        guard.act(at_s)
        assert guard.hardware.is_slow == is_halved


def test_memory_is_refreshed_less_only_after_it_has_cooled_by_the_hysteresis() -> None:
    guard, shares = ThermalGuard(a_group(), np.array([30.0, 20.0, 30.0, 25.0])), []
    for memory_c in (44.9, 45.0, 43.0, 41.9, 65.0, 62.5, 61.9, 30.0):
        guard.state[MEMORY] = memory_c
        guard.act(0.0)
        shares.append(guard.refresh)
    assert shares == [1.0, 0.9, 0.9, 1.0, 0.7, 0.7, 0.9, 1.0]


def test_a_guard_looks_again_before_any_limit_could_have_been_reached() -> None:
    """Software begins to look a quarter of its response of 0.1 s before the limit, at least."""
    guard = ThermalGuard(a_group(), np.array([30.0, 30.0, 30.0, 25.0]))
    guard.plan(0.0)
    next_s = guard.looks_s
    greatest = guard.group.greatest(guard.group.climate.conditions(0.0))[0]
    soon, late = (
        guard.group.network(1.0).after(guard.state, greatest, elapsed_s)
        for elapsed_s in (next_s, 2.0 * next_s + 0.1)
    )
    assert soon[DIE] < 50.0 and soon[MEMORY] < 45.0
    assert late[DIE] >= 50.0 or late[MEMORY] >= 45.0


def test_a_cool_device_is_not_looked_at_at_all() -> None:
    guard = ThermalGuard(group := a_group(inlet="5 degC"), group.start())
    guard.plan(0.0)
    assert guard.looks_s == np.inf


def test_the_old_name_of_the_period_works_with_a_warning() -> None:
    old = {key: value for key, value in GOVERNOR.items() if key != "thermal_period"}
    with pytest.warns(RenamedKeyWarning, match="write governor.thermal_period"):
        spec = GovernorSpec.model_validate(old | {"fall_period": "50 ms", "rise_period": "100 ms"})
    assert spec.thermal_period_s == 0.05 and spec.rise_period_s == 0.1


def test_a_rise_period_limits_the_steps_up() -> None:
    governor = GOVERNOR | {"rise_period": "200 ms"}
    guard = ThermalGuard(
        group := a_group(DEVICE | {"governor": governor}, "32 degC"), group.start()
    )
    course = drive(
        guard, lambda clock, at_s: of_small_board(clock, 0.0) if at_s < 5.0 else 100.0, 8.0
    )
    lowest = max(look.steps for look in course)
    rises_s = [
        later.at_s
        for look, later in pairwise(course)
        if later.steps < look.steps and later.at_s > 5.0
    ]
    assert lowest > 4 and len(rises_s) >= lowest - 1
    assert np.diff(rises_s).min() >= 0.2 - 1e-9


def test_a_limit_is_foreseen_however_short_the_period_of_the_hardware() -> None:
    """The steady state of the greatest heat is above the limit, and it is reached within seconds."""
    short = DEVICE | {"governor": GOVERNOR | {"slowdown_period": "1 ns"}}
    guard = ThermalGuard(group := a_group(short), group.start())
    guard.plan(0.0)
    assert guard.looks_s < 10.0
