"""Heat: the closed form against a general solver, crossings, and what was observed on real boards."""

from __future__ import annotations

import numpy as np
import pytest
from pytest import approx

from cluster_sim.hardware.node import Node
from cluster_sim.hardware.power_and_cooling import Cooling
from cluster_sim.physics.cooling import bandwidth_left, inlet_c, upstream, with_flow
from cluster_sim.physics.exponential_sums import roots
from cluster_sim.physics.power import memory_w
from cluster_sim.physics.thermal import DIE, MEMORY, Heat, ThermalNetwork
from cluster_sim.physics.thermal_networks import thermal_network
from cluster_sim.schema import catalog_entry

NODES = ("dgx-b200", "dgx-h100", "gb200-nvl72", "cs-3")


def node(name: str) -> Node:
    return Node.model_validate(catalog_entry("nodes", name))


def cooling(name: str) -> Cooling:
    found = node(name).cooling
    assert found is not None
    return found


def heat(
    name: str, watts: float, bandwidth: float, supply_c: float, upstream_w: float = 0.0
) -> Heat:
    """Heat of a board that draws `watts` with a share `bandwidth` of its memory bus in use."""
    device = node(name).device
    assert device.power is not None
    memory = float(memory_w(device.power, bandwidth * device.memory.bandwidth_bytes_per_s))
    return Heat(watts - memory, memory, inlet_c(cooling(name), supply_c, upstream_w))


def derivative(solved: ThermalNetwork, state: np.ndarray, given: Heat) -> np.ndarray:
    """The differential equations as the module states them, written out again."""
    c = solved.cooling
    sink, coolant = state[-2], state[-1]
    to_coolant = (sink - coolant) / c.sink_to_coolant_k_per_w
    from_die = (state[DIE] - sink) / c.die_to_sink_k_per_w
    total_w = given.die_w + given.memory_w
    later = (given.inlet_c + c.coolant_rise_k_per_w * total_w - coolant) / c.coolant_lag_s
    if c.memory_j_per_k is None:
        return np.array(
            [(total_w - from_die) / c.die_j_per_k, (from_die - to_coolant) / c.sink_j_per_k, later]
        )
    assert c.memory_to_sink_k_per_w is not None and c.die_to_memory_k_per_w is not None
    from_memory, across = (
        (state[MEMORY] - sink) / c.memory_to_sink_k_per_w,
        (state[DIE] - state[MEMORY]) / c.die_to_memory_k_per_w,
    )
    die = (given.die_w - from_die - across) / c.die_j_per_k
    memory = (given.memory_w - from_memory + across) / c.memory_j_per_k
    return np.array([die, memory, (from_die + from_memory - to_coolant) / c.sink_j_per_k, later])


@pytest.mark.parametrize("name", NODES)
def test_the_closed_form_is_what_a_general_solver_finds_on_random_histories(name: str) -> None:
    from scipy.integrate import solve_ivp

    rng, most_w = np.random.default_rng(5), 15000.0 if name == "cs-3" else 900.0
    solved = thermal_network(with_flow(cooling(name), 0.6))
    size = 4 if solved.has_memory else 3
    state = slow = np.full(size, 25.0)
    for _ in range(12):
        total, inlet, elapsed_s = (
            rng.uniform(0.0, most_w),
            rng.uniform(18.0, 45.0),
            rng.uniform(0.05, 40.0),
        )
        memory = 0.2 * total if solved.has_memory else 0.0
        given = Heat(total - memory, memory, inlet)
        state = solved.after(state, given, elapsed_s)
        slow = solve_ivp(
            lambda _, y, given=given: derivative(solved, y, given),
            (0.0, elapsed_s),
            slow,
            method="LSODA",
            rtol=1e-11,
            atol=1e-11,
        ).y[:, -1]
        assert np.max(np.abs(state - slow)) < 1e-6


@pytest.mark.parametrize("name", NODES)
def test_a_whole_history_at_once_is_the_closed_form_piece_by_piece(name: str) -> None:
    """Short pieces and long ones, over far more time constants than an exponential can grow for."""
    solved, rng = thermal_network(cooling(name)), np.random.default_rng(7)
    lengths_s = np.concatenate(
        [rng.uniform(0.001, 0.1, 300), rng.uniform(1.0, 50.0, 60), [5000.0, 0.02, 900.0]]
    )
    edges_s = 1000.0 + np.append(0.0, np.cumsum(lengths_s))
    die_w, memory_w, inlet = (
        rng.uniform(0.0, 800.0, len(lengths_s)),
        rng.uniform(0.0, 100.0, len(lengths_s)),
        rng.uniform(15.0, 45.0, len(lengths_s)),
    )
    state = np.full(4 if solved.has_memory else 3, 30.0)
    states = solved.trajectory(state, edges_s, die_w, memory_w, inlet)
    for place, length_s in enumerate(lengths_s):
        state = solved.after(state, Heat(die_w[place], memory_w[place], inlet[place]), length_s)
        assert states[place + 1] == approx(state, abs=1e-8)


def test_half_of_the_water_throttles_a_rack_at_45_degrees_and_not_a_wafer_at_20() -> None:
    """Sum by hand: 1190 W through 0.01 + 0.013·1.301 + 2·0.0055 K/W is 45.1 K above the supply; the
    whole network is a little less.
    """
    rack, wafer = (
        thermal_network(with_flow(cooling(name), 0.5)).steady for name in ("gb200-nvl72", "cs-3")
    )
    limits = node("gb200-nvl72").device.limits
    assert limits is not None
    assert limits.operating_c < rack(heat("gb200-nvl72", 1190.0, 0.3, 45.0))[DIE] < 90.5
    assert wafer(Heat(18500.0, 0.0, 20.0))[DIE] == approx(
        20.0 + 18500.0 * (0.0007 + 0.00075 * 1.301 + 2 * 0.00045), abs=0.1
    )


@pytest.mark.parametrize("name", NODES)
def test_heat_in_is_heat_stored_and_heat_removed(name: str) -> None:
    solved, rng = thermal_network(cooling(name)), np.random.default_rng(6)
    state = start = np.full(4 if solved.has_memory else 3, 30.0)
    came_j = removed_j = 0.0
    for _ in range(20):
        given = Heat(rng.uniform(0.0, 800.0), rng.uniform(0.0, 200.0), rng.uniform(18.0, 40.0))
        elapsed_s = rng.uniform(0.0, 60.0)
        came_j += (given.die_w + given.memory_w) * elapsed_s
        removed_j += solved.removed_j(state, given, elapsed_s)
        state = solved.after(state, given, elapsed_s)
    assert came_j == approx(solved.stored_j(state) - solved.stored_j(start) + removed_j, rel=1e-9)


@pytest.mark.parametrize("name", NODES)
@pytest.mark.parametrize("place", [DIE, -2])
def test_a_crossing_is_where_a_fine_walk_first_sees_it(name: str, place: int) -> None:
    """Random starts and loads, so that some temperatures rise, fall, overshoot, and never come
    there.
    """
    solved, rng, seen = thermal_network(cooling(name)), np.random.default_rng(8), 0
    size = 4 if solved.has_memory else 3
    for _ in range(25):
        state, given = (
            rng.uniform(20.0, 95.0, size),
            Heat(rng.uniform(0.0, 900.0), rng.uniform(0.0, 150.0), rng.uniform(15.0, 50.0)),
        )
        limit_c = rng.uniform(25.0, 90.0)
        at_s = solved.crossing_s(state, given, place, limit_c)
        grid_s = np.concatenate([np.linspace(0.0, 2.0, 2001), np.linspace(2.0, 300.0, 3001)[1:]])
        fades = solved.modes[place] * (solved.weights @ (state - solved.steady(given)))
        over = (
            solved.steady(given)[place] + np.exp(np.outer(grid_s, solved.rates)) @ fades - limit_c
        )
        changes = np.flatnonzero(np.sign(over[1:]) != np.sign(over[:-1]))
        if len(changes):
            low_s, high_s = grid_s[changes[0]], grid_s[changes[0] + 1]
            assert low_s - 1e-9 <= at_s <= high_s + 1e-9
            early, late = (
                solved.after(state, given, at_s + off)[place] - limit_c for off in (-1e-6, 1e-6)
            )
            assert at_s < 2e-6 or early * late <= 0.0  # it changes sides within 1e-6 s
            seen += 1
        else:
            assert at_s > 0.0 and (
                at_s == float("inf")
                or at_s > 300.0
                or abs(solved.after(state, given, at_s)[place] - limit_c) < 1e-6
            )
    assert seen > 5


def test_a_temperature_that_starts_at_its_limit_crosses_it_when_it_comes_back() -> None:
    solved = thermal_network(cooling("dgx-b200"))
    warm, cold = solved.steady(Heat(800.0, 150.0, 25.0)), Heat(100.0, 45.0, 25.0)
    assert solved.crossing_s(warm, Heat(900.0, 150.0, 25.0), DIE, float(warm[DIE])) == float("inf")
    assert solved.crossing_s(warm, cold, DIE, float(warm[DIE]) - 3.0) > 0.0


def test_sums_of_exponentials_have_the_zeros_of_the_polynomial_they_are() -> None:
    """(1 - x)(1 - 2x)(1 - 4x)(1 - 8x) with x = exp(-t) is zero at t = 0, ln 2, ln 4 and ln 8."""
    polynomial = np.poly1d([1.0])
    for factor in (1.0, 2.0, 4.0, 8.0):
        polynomial *= np.poly1d([-factor, 1.0])
    amplitudes = polynomial.coeffs[::-1]
    assert roots(amplitudes.tolist(), [-float(k) for k in range(5)], 20.0)[-3:] == approx(
        [np.log(2), np.log(4), np.log(8)], rel=1e-9
    )


# Published: 25 and 66 s, 18 and 52 s, and with liquid 4 to 6 and 12 to 15 s.
@pytest.mark.parametrize(
    ("name", "full_w", "published_s"),
    [
        ("dgx-b200", 1000.0, ((25.0, 25.0), (66.0, 66.0))),
        ("dgx-h100", 700.0, ((18.0, 18.0), (52.0, 52.0))),
        ("gb200-nvl72", 1190.0, ((4.0, 6.0), (12.0, 15.0))),
        ("cs-3", 18500.0, ((4.0, 6.0), (12.0, 15.0))),
    ],
)
def test_a_step_of_power_warms_the_die_as_fast_as_published_within_a_tenth(
    name: str, full_w: float, published_s: tuple[tuple[float, float], ...]
) -> None:
    """15 to 100 % of power and of bandwidth; 63 and 90 % of the way."""
    solved, after = thermal_network(cooling(name)), heat(name, full_w, 1.0, 25.0)
    cold, warm = solved.steady(heat(name, 0.15 * full_w, 0.15, 25.0)), solved.steady(after)
    for share, (least_s, most_s) in zip((0.63, 0.9), published_s, strict=True):
        reached_s = solved.crossing_s(
            cold, after, DIE, float(cold[DIE] + share * (warm[DIE] - cold[DIE]))
        )
        assert 0.9 * least_s <= reached_s <= 1.1 * most_s


# Eight B200 in one server: 747 to 766 W a board at 48 degC in front and 60 in the rear, idle 136 to
# 141 W at 25 to 31; inlet 22 assumed.
@pytest.mark.parametrize(
    ("watts", "bandwidth", "upstream_w", "die_c", "within_k"),
    [(748.0, 0.5, 0.0, 48.0, 2.5), (758.0, 0.5, 758.0, 60.0, 2.5), (139.0, 0.0, 0.0, 28.0, 3.0)],
)
def test_a_b200_is_as_warm_as_it_was_seen(
    watts: float, bandwidth: float, upstream_w: float, die_c: float, within_k: float
) -> None:
    steady = thermal_network(cooling("dgx-b200")).steady(
        heat("dgx-b200", watts, bandwidth, 22.0, upstream_w)
    )
    assert steady[DIE] == approx(die_c, abs=within_k)


def test_only_the_rear_row_of_an_air_cooled_h100_in_warm_air_reaches_its_limits() -> None:
    limits = node("dgx-h100").device.limits
    assert limits is not None
    steady = thermal_network(cooling("dgx-h100")).steady
    front, rear, cool = (
        steady(heat("dgx-h100", 700.0, 0.3, supply_c, upstream_w))
        for supply_c, upstream_w in ((35.0, 0.0), (35.0, 700.0), (25.0, 700.0))
    )
    assert front[DIE] < limits.operating_c < rear[DIE]
    assert rear[MEMORY] > 85.0  # where it is refreshed twice as often
    assert cool[DIE] < limits.operating_c


def test_a_liquid_cooled_rack_and_a_wafer_stay_far_below_their_limits() -> None:
    rack, wafer = (thermal_network(cooling(name)).steady for name in ("gb200-nvl72", "cs-3"))
    assert rack(heat("gb200-nvl72", 1190.0, 0.3, 45.0))[DIE] == approx(78.0, abs=2.0)
    assert wafer(Heat(18500.0, 0.0, 20.0))[DIE] == approx(55.0, abs=2.0)


def test_the_second_four_of_eight_stand_behind_the_first_and_none_in_a_rack() -> None:
    assert [upstream(cooling("dgx-h100"), place) for place in range(8)] == [None] * 4 + [0, 1, 2, 3]
    assert upstream(cooling("gb200-nvl72"), 70) is None


def test_warm_memory_refreshes_itself_more_often() -> None:
    refresh = node("dgx-h100").device.refresh
    assert refresh is not None
    assert [bandwidth_left(refresh, memory_c) for memory_c in (84.9, 85.0, 94.9, 95.0)] == [
        1.0,
        0.97,
        0.97,
        0.91,
    ]
