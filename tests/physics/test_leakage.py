"""Leakage: the line against the curve, the network against a general solver, and the balance of heat."""

from __future__ import annotations

from math import exp

import numpy as np
import pytest
from pytest import approx

from cluster_sim.hardware.node import Node
from cluster_sim.physics.cooling import with_flow
from cluster_sim.physics.leakage import Leak, coldest_c, leak_of, stable
from cluster_sim.physics.thermal import DIE, Heat
from cluster_sim.physics.thermal_networks import runs_away, thermal_network
from cluster_sim.schema import catalog_entry
from tests.physics.test_thermal import derivative

NODES = ("dgx-b200", "dgx-h100", "gb200-nvl72", "cs-3")


def node_and_leak(name: str) -> tuple[Node, Leak]:
    node = Node.model_validate(catalog_entry("nodes", name))
    assert node.cooling is not None and node.device.power is not None
    return node, leak_of(node.device.power, node.cooling)


def test_the_line_is_near_the_curve_where_devices_work() -> None:
    """Both are for 150 W at 60 degC, between 45 and 87 degC."""
    curve_w = 150.0 * (exp((87 - 60) / 70) - exp((45 - 60) / 70))
    leak = Leak(150.0 / 70.0, 22.0, 0.036, 0.02)
    line_w = leak.watts(87.0, 500.0, 0.0) - leak.watts(45.0, 500.0, 0.0)
    assert line_w == approx(curve_w, rel=0.11)


@pytest.mark.parametrize("name", NODES)
def test_a_board_in_coolant_of_the_reference_draws_what_its_constants_say(name: str) -> None:
    node, leak = node_and_leak(name)
    assert node.cooling is not None
    memory_w = 0.0 if node.cooling.memory_j_per_k is None else 90.0
    given = Heat(600.0, memory_w, leak.inlet_c)
    leaking, without = (
        thermal_network(node.cooling, each).steady(given) for each in (leak, Leak())
    )
    assert leaking == approx(without, rel=1e-12)
    assert leak.watts(leaking[DIE], given.die_w, given.memory_w) == approx(0.0, abs=1e-9)


def test_a_rear_b200_draws_what_four_boards_were_measured_to_draw_more() -> None:
    """Front boards 731 W at 48.5 degC, rear boards 762 W at 60.5 degC (TensorRT-LLM issue 5391)."""
    node, leak = node_and_leak("dgx-b200")
    assert node.cooling is not None
    preheated = Heat(731.0 - 150.0, 150.0, 22.0 + 0.016 * 731.0)
    die_c = float(thermal_network(node.cooling, leak).steady(preheated)[DIE])
    assert leak.watts(die_c, preheated.die_w, preheated.memory_w) == approx(31.0, rel=0.2)


@pytest.mark.parametrize("name", NODES)
@pytest.mark.parametrize("flow", [1.0, 0.4])
def test_heat_in_and_leakage_are_stored_or_removed(name: str, flow: float) -> None:
    node, leak = node_and_leak(name)
    assert node.cooling is not None
    solved, rng = thermal_network(with_flow(node.cooling, flow), leak), np.random.default_rng(6)
    state = start = np.full(4 if solved.has_memory else 3, 30.0)
    came_j = removed_j = leaked_j = 0.0
    for _ in range(20):
        given = Heat(rng.uniform(0.0, 800.0), rng.uniform(0.0, 200.0), rng.uniform(18.0, 40.0))
        elapsed_s = rng.uniform(0.0, 60.0)
        came_j += (given.die_w + given.memory_w) * elapsed_s
        removed_j += solved.removed_j(state, given, elapsed_s)
        later = solved.after(state, given, elapsed_s)
        leaked_j += solved.leaked_j(state, later, given, elapsed_s)
        state = later
    assert np.all(solved.rates < 0.0) and abs(leaked_j) > 1e-4 * came_j
    stored_j = solved.stored_j(state) - solved.stored_j(start)
    assert came_j + leaked_j == approx(stored_j + removed_j, rel=1e-9)


@pytest.mark.parametrize("name", NODES)
def test_leakage_over_time_is_what_a_general_solver_finds(name: str) -> None:
    """The solver has the leakage of every moment; the network's coolant has that of the steady state."""
    from scipy.integrate import solve_ivp

    node, leak = node_and_leak(name)
    assert node.cooling is not None
    solved = thermal_network(node.cooling, leak)
    given = Heat(700.0, 100.0 if solved.has_memory else 0.0, 38.0)
    state = thermal_network(node.cooling).steady(Heat(100.0, 45.0, 22.0))

    def heated(_: float, now: np.ndarray) -> np.ndarray:
        extra_w = float(leak.watts(now[DIE], given.die_w, given.memory_w))
        rates = derivative(solved, now, given)
        rates[DIE] += extra_w / node.cooling.die_j_per_k  # type: ignore[union-attr]
        rates[-1] += node.cooling.coolant_rise_k_per_w * extra_w / node.cooling.coolant_lag_s  # type: ignore[union-attr]
        return rates

    times_s = np.linspace(0.0, 400.0, 401)
    slow = solve_ivp(
        heated, (0.0, 400.0), state, method="LSODA", rtol=1e-10, atol=1e-10, t_eval=times_s
    ).y.T
    lengths_s, ones = np.diff(times_s), np.ones(400)
    powers = (given.die_w * ones, given.memory_w * ones, given.inlet_c * ones)
    states = solved.trajectory(state, times_s, *powers)
    assert np.max(np.abs(states - slow)) < 0.5
    assert states[-1] == approx(slow[-1], abs=1e-3)
    leaks_w = solved.leaks_w(states, lengths_s, *powers)
    slow_w = leak.watts(slow[:, DIE], given.die_w, given.memory_w)
    assert float(leaks_w[-1]) == approx(float(slow_w[-1]), rel=1e-4)
    in_all_j = solved.leaked_j(state, states[-1], given, 400.0)
    assert float(np.sum(leaks_w * lengths_s)) == approx(in_all_j, rel=1e-9)


def test_a_die_that_leaks_more_than_its_cooling_removes_runs_away() -> None:
    node, leak = node_and_leak("dgx-b200")
    assert node.cooling is not None
    through_k_per_w = 0.0125 + 0.0195 + 0.004
    assert leak.w_per_k * through_k_per_w == approx(0.077, abs=0.002)
    assert not runs_away(node.cooling, leak)
    assert not runs_away(node.cooling, leak._replace(w_per_k=0.95 / through_k_per_w))
    assert runs_away(node.cooling, leak._replace(w_per_k=1.2 / through_k_per_w))


def test_a_thousandth_of_the_air_shuts_a_device_down_and_no_temperature_is_infinite() -> None:
    node, leak = node_and_leak("dgx-b200")
    assert node.cooling is not None and node.device.power is not None
    still = with_flow(node.cooling, 0.001)
    assert runs_away(still, leak) and not runs_away(still, stable(leak, still))
    assert stable(leak, node.cooling) == leak
    idle_w = node.device.power.idle_w
    steady = thermal_network(still, stable(leak, still)).steady(Heat(idle_w - 45.0, 45.0, 22.0))
    assert 95.0 < steady[DIE] < 1e5


@pytest.mark.parametrize("flow", [1.0, 0.5])
def test_an_idle_device_in_its_coldest_coolant_draws_no_power(flow: float) -> None:
    """Nothing heats it, so that its die is as cold as the coolant, at any flow."""
    node, leak = node_and_leak("dgx-b200")
    assert node.cooling is not None and node.device.power is not None
    idle_w = node.device.power.idle_w
    coolant_c = coldest_c(leak, idle_w)
    steady = thermal_network(with_flow(node.cooling, flow), leak).steady(
        Heat(idle_w, 0.0, coolant_c)
    )
    assert float(steady[DIE]) == approx(coolant_c, abs=1e-6)
    assert float(leak.watts(steady[DIE], idle_w, 0.0)) == approx(-idle_w, rel=1e-6)
