"""Devices that grow too warm: small machines that heat up within seconds, and the real ones at
their limits.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest import approx

import cluster_sim
from cluster_sim.deployment.climate import Climate
from cluster_sim.deployment.device_power import PoweredSteps, power_of_steps
from cluster_sim.deployment.fleet import resolve
from cluster_sim.deployment.temperatures import temperatures
from cluster_sim.deployment.thermal_groups import ThermalGroup, thermal_groups
from cluster_sim.hardware.node import Node
from cluster_sim.hardware.operating_point import OperatingPoint
from cluster_sim.physics.step_work import StepWork
from cluster_sim.physics.thermal import Heat
from cluster_sim.scenario.site import Inlet
from cluster_sim.scenario.site_events import SiteEvent
from cluster_sim.schema import catalog_entry
from tests.machines import (
    COOLING,
    GOVERNOR,
    LIMITS,
    POWER,
    REFRESH,
    SMALL_GPU,
    TINY_MODEL,
    engine,
    node,
)

DEVICE = SMALL_GPU | {"power": POWER, "governor": GOVERNOR, "limits": LIMITS, "refresh": REFRESH}
OVER_INLET_K = 400.0 * (
    0.02 + 0.03 + 0.01
)  # of a die in front, but for the memory's part of the heat


def scenario(
    tmp_path: Path, device: dict[str, Any] = DEVICE, devices: int = 2, **changes: Any
) -> cluster_sim.Scenario:
    """Two devices, one behind the other, each with a replica, and more work than they can do for
    eight seconds.
    """
    pool = {
        "name": "p",
        "node": node(device, devices) | {"cooling": COOLING},
        "replica": {"engine": engine()},
    } | changes.pop("pool", {})
    asked = {
        "name": "heat", "seed": 3, "model": TINY_MODEL, "duration": "8 s", "drain": "60 s",
        "workload": {"arrivals": {"process": "poisson", "rate": "40 /s"}, "prompt_tokens": 30, "output_tokens": 120},
        "cluster": {"pools": [pool], "router": {"policy": "least_work"}}, "site": {"inlet": "25 degC"},
    } | changes  # fmt: skip
    path = tmp_path / "heat.yaml"
    path.write_text(json.dumps(asked))
    return cluster_sim.load_scenario(path)


def run(tmp_path: Path, **changes: Any) -> cluster_sim.Results:
    return cluster_sim.simulate(scenario(tmp_path, **changes))


def device_rows(results: cluster_sim.Results) -> dict[str, dict[str, Any]]:
    return {row["device"]: row for row in results.devices.to_pylist()}


def test_only_the_rear_device_throttles_where_the_front_one_stays_below_its_limit(
    tmp_path: Path,
) -> None:
    results = run(tmp_path, site={"inlet": "24 degC"})
    front, rear = device_rows(results).values()
    assert front["max_die_c"] == approx(24.0 + OVER_INLET_K, abs=1.5)
    assert front["throttled_s"] == 0.0
    assert (
        LIMITS["operating"] == "50 degC" and 50.0 <= rear["max_die_c"] < 51.0
    )  # held at its limit
    assert rear["throttled_s"] > 0.5
    clocks = {
        number: set(
            results.stretches["clock"].to_numpy()[results.stretches["replica"].to_numpy() == number]
        )
        for number in (0, 1)
    }
    assert clocks[0] == {1.0}
    assert min(clocks[1]) == rear["lowest_clock"] < 1.0
    summary = results.summary()
    assert summary["max_die_c"] == rear["max_die_c"]
    assert summary["throttled_fraction"] == approx(
        rear["throttled_s"] / 2 / results.info.simulated_s
    )
    assert summary["lowest_clock_fraction"] == rear["lowest_clock"]
    assert set(results.thermal["reason"].to_pylist()) == {None, "sw_thermal_slowdown"}


def test_a_group_runs_at_its_slowest_member(tmp_path: Path) -> None:
    results = run(
        tmp_path,
        site={"inlet": "24 degC"},
        pool={"replica": {"engine": engine(), "tensor_parallel": 2}},
    )
    front, rear = device_rows(results).values()
    assert front["throttled_s"] == 0.0 < rear["throttled_s"]
    assert np.min(results.stretches["clock"].to_numpy()) == rear["lowest_clock"]


def test_where_no_limit_can_be_reached_heat_costs_no_event_and_changes_nothing(
    tmp_path: Path,
) -> None:
    cool, unknown = run(tmp_path, site={"inlet": "5 degC"}), run(tmp_path, site={})
    assert cool.info.events == unknown.info.events
    assert cool.requests.equals(unknown.requests)
    assert cool.summary()["max_die_c"] == approx(5.0 + OVER_INLET_K + 400.0 * 0.02, abs=1.5)
    assert "max_die_c" not in unknown.summary()
    assert unknown.thermal.num_rows == 0


def test_without_protection_temperatures_are_simulated_and_nothing_reacts(tmp_path: Path) -> None:
    hot = {"inlet": "45 degC", "thermal_protection": False}
    ghost, cool = run(tmp_path, site=hot), run(tmp_path, site={"inlet": "5 degC"})
    assert ghost.requests.equals(cool.requests)
    assert ghost.info.events == cool.info.events
    summary = ghost.summary()
    # both dies follow the inlet, 40 K above those of the cool run, past the limit of 50 degC
    assert summary["max_die_c"] == approx(cool.summary()["max_die_c"] + 40.0, abs=1e-6)
    assert summary["max_die_c"] > 60.0
    assert summary["throttled_fraction"] == 0.0 and summary["lowest_clock_fraction"] == 1.0
    assert set(ghost.thermal["reason"].to_pylist()) == {None}


def test_warm_memory_has_less_bandwidth_to_give(tmp_path: Path) -> None:
    results = run(tmp_path, site={"inlet": "24 degC"})
    shares = results.stretches["memory_share"].to_numpy()
    assert set(shares) == {1.0, 0.9}
    assert results.summary()["max_memory_c"] > 45.0


def test_hotter_air_throttles_more_and_makes_users_wait(tmp_path: Path) -> None:
    waits = []
    for inlet in ("10 degC", "34 degC"):
        summary = run(tmp_path, site={"inlet": inlet}).summary()
        waits.append((summary["throttled_fraction"], summary["p99_ttft_ms"]))
    assert waits == sorted(waits)
    assert waits[0][0] == 0.0
    assert waits[1][1] > 1.02 * waits[0][1]


WARM = {"inlet": "30 degC"}
UNSTEADY = {"inlet": {"points": [["0 s", "15 degC"], ["2 s", "45 degC"], ["5 s", "20 degC"]]}}
TIGHT = DEVICE | {"limits": LIMITS | {"slowdown": "50.2 degC"}}
"""A device on which hardware slows down too."""
HOT_COOLANT = DEVICE | {
    "limits": LIMITS | {"operating": "75 degC", "slowdown": "78 degC", "coolant": "33 degC"}
}
HOT_MEMORY = DEVICE | {
    "limits": LIMITS | {"operating": "75 degC", "slowdown": "78 degC", "memory": "48 degC"}
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("site", "device", "parallel"),
    [
        (WARM, DEVICE, 1),
        (UNSTEADY, DEVICE, 2),
        (UNSTEADY, TIGHT, 1),
        (WARM, TIGHT, 2),
        (WARM, HOT_COOLANT, 1),
        (WARM, HOT_MEMORY, 1),
    ],
    ids=["software", "unsteady", "hardware", "both", "coolant", "memory"],
)
def test_stretch_and_step_agree_with_throttling_on(
    tmp_path: Path, site: dict[str, Any], device: dict[str, Any], parallel: int
) -> None:
    replica = {"replica": {"engine": engine(), "tensor_parallel": parallel}}
    stretched, stepped = (
        run(tmp_path, site=site, device=device, pool=replica, stepping=stepping)
        for stepping in ("stretch", "step")
    )
    assert stretched.summary()["throttled_fraction"] > 0.02
    reasons = set(stretched.thermal["reason"].to_pylist())
    assert ("hw_thermal_slowdown" in reasons) == (device is TIGHT)
    assert set(stretched.stretches["memory_share"].to_numpy()) > {1.0}  # refreshed more often
    assert len(stepped.stretches) > 2 * len(stretched.stretches)
    for name in ("first_token_s", "finish_s"):
        assert stretched.requests[name].to_numpy() == approx(
            stepped.requests[name].to_numpy(), rel=1e-9
        )
    assert stretched.summary()["energy_kwh"] == approx(stepped.summary()["energy_kwh"], rel=1e-9)


def test_energy_of_stretches_is_the_integral_of_power_and_that_of_the_summary(
    tmp_path: Path,
) -> None:
    results = run(tmp_path, site={"inlet": "30 degC"})
    end_s, thermal = results.info.simulated_s, results.thermal
    busy_s = results.stretches["ended_s"].to_numpy() - results.stretches["began_s"].to_numpy()
    in_stretches_j = float(np.sum(results.stretches["energy_j"].to_numpy())) + 100.0 * (
        2 * end_s - float(np.sum(busy_s))
    )
    bins = thermal.num_rows // 2
    of_power_j = (
        float(np.sum(thermal["power_w"].to_numpy() * thermal["alike"].to_numpy())) * end_s / bins
    )
    assert of_power_j == approx(in_stretches_j, rel=1e-9)
    assert results.summary()["energy_kwh"] == approx(in_stretches_j / 3.6e6, rel=1e-9)


def test_heat_that_comes_is_stored_or_removed_over_a_whole_run_with_throttling(
    tmp_path: Path,
) -> None:
    results = run(tmp_path, site={"inlet": "30 degC"}, devices=1)
    (group,), stretches = thermal_groups(results.scenario), results.stretches
    began_s, ended_s, energy_j = (
        stretches[name].to_numpy() for name in ("began_s", "ended_s", "energy_j")
    )
    steps = PoweredSteps(began_s, ended_s, energy_j / (ended_s - began_s), 0.0 * began_s)
    own = power_of_steps(group.power, steps, 0.0, results.info.simulated_s)
    walked = temperatures(group, group.start(), own, None)
    network = group.network(1.0)
    lengths_s = np.diff(walked.edges_s)
    removed_j = sum(
        network.removed_j(state, Heat(w - 40.0, 40.0, 30.0), s)
        for state, w, s in zip(walked.states[:-1], walked.watts, lengths_s, strict=True)
    )
    stored_j = network.stored_j(walked.states[-1]) - network.stored_j(walked.states[0])
    assert device_rows(results)["p/0/device0"]["throttled_s"] > 0.0
    assert device_rows(results)["p/0/device0"]["energy_j"] == approx(stored_j + removed_j, rel=1e-9)


FAILURE = {"at": "1 s", "lasts": "1 h", "what": "fan_failure", "factor": 0.015}


@pytest.mark.parametrize(
    "plan",
    [
        {"replica": {"engine": engine()}},
        {"replica": {"engine": engine()}, "batching": {"policy": "static"}},
        {"replica": {"engine": engine()}, "kv": {"prefix_caching": True}},
        {
            "replica": {
                "engine": engine(),
                "speculation": {"draft_tokens": 2, "acceptance": 0.7, "draft_cost": 0.1},
            }
        },
    ],
    ids=["continuous", "static", "prefix_caching", "speculation"],
)
def test_requests_of_a_device_that_is_lost_are_finished_elsewhere(
    tmp_path: Path, plan: dict[str, Any]
) -> None:
    """Two nodes of one device; one loses its fans, and with its floor of the clock it still draws
    as much.
    """
    results = run(
        tmp_path, devices=1, pool=plan | {"nodes": 2}, site={"inlet": "25 degC", "events": [FAILURE | {"where": "p/0"}]}, drain="10 min",
    )  # fmt: skip
    summary = results.summary()
    assert summary["shutdowns"] == 1 and summary["retries"] >= 1
    assert summary["failed"] == 0 and summary["completed"] == results.requests.num_rows
    (down,) = (row for row in results.events.to_pylist() if row["what"] == "shutdown")
    assert down["value"] == approx(80.0, abs=0.6)
    table = results.stretches
    assert (
        np.max(table["ended_s"].to_numpy()[table["replica"].to_numpy() == 0]) <= down["at_s"] + 1e-9
    )
    retried = [row["request"] for row in results.events.to_pylist() if row["what"] == "retried"]
    served = dict(
        zip(
            results.requests["request"].to_pylist(),
            results.requests["replica"].to_pylist(),
            strict=True,
        )
    )
    assert {served[number] for number in retried} == {1}
    assert "lost" in results.thermal["reason"].to_pylist()
    lost, other = device_rows(results).values()
    assert lost["energy_j"] < other["energy_j"]


def test_a_device_that_shut_down_starts_again_when_it_is_cool(tmp_path: Path) -> None:
    """The fans of one of two nodes fail for three seconds.

    The die may run again at its operating limit of 50 degC less the hysteresis of 3 K.
    """
    back = FAILURE | {"where": "p/0", "lasts": "3 s"}
    stretches, steps = (
        run(
            tmp_path, devices=1, pool={"nodes": 2}, stepping=stepping, drain="10 min",
            site={"inlet": "25 degC", "events": [back]},
        )
        for stepping in ("stretch", "step")
    )  # fmt: skip
    down, ended = (
        row for row in stretches.events.to_pylist() if row["what"] in ("shutdown", "repaired")
    )
    assert ended["value"] == approx(ended["at_s"] - down["at_s"])
    die_c = {
        row["at_s"]: row["die_c"]
        for row in stretches.thermal.to_pylist()
        if row["device"] == "p/0/device0" and row["at_s"] < ended["at_s"]
    }
    assert die_c[max(die_c)] == approx(47.0, abs=2.0)
    states = [(row["replica"], row["state"]) for row in stretches.states.to_pylist()]
    assert states == [(0, "lost"), (0, "loading"), (0, "ready")]
    served = stretches.requests.to_pylist()
    assert 0 in {row["replica"] for row in served if row["arrival_s"] > ended["at_s"]}
    assert stretches.states.equals(steps.states)
    assert stretches.requests["finish_s"].to_numpy() == approx(
        steps.requests["finish_s"].to_numpy(), rel=1e-9
    )


def test_a_device_that_shut_down_draws_nothing_and_cools_to_its_inlet(tmp_path: Path) -> None:
    """It does not start again without fans: idle it would be too hot."""
    results = run(
        tmp_path, devices=1, pool={"nodes": 2}, drain="10 min",
        site={"inlet": "25 degC", "events": [FAILURE | {"where": "p/0"}]},
    )  # fmt: skip
    (down,) = (row for row in results.events.to_pylist() if row["what"] == "shutdown")
    after = [
        row
        for row in results.thermal.to_pylist()
        if row["device"] == "p/0/device0" and row["at_s"] > down["at_s"] + 1.0
    ]
    assert {row["power_w"] for row in after} == {0.0}
    dies_c = [row["die_c"] for row in after]
    assert dies_c == sorted(dies_c, reverse=True) and dies_c[-1] > 25.0
    assert set(results.states["state"].to_pylist()) == {"lost"}


def test_a_device_that_stays_hot_does_not_keep_the_run_alive(tmp_path: Path) -> None:
    results = run(
        tmp_path, devices=1, pool={"nodes": 2}, drain="10 min",
        site={"inlet": "60 degC", "events": [FAILURE | {"where": "p/0"}]},
    )  # fmt: skip
    assert [row["state"] for row in results.states.to_pylist()] == [
        "lost"
    ] * results.states.num_rows
    assert results.info.simulated_s < 200.0


def test_where_nobody_is_left_requests_fail_and_clients_go_on(tmp_path: Path) -> None:
    closed = {
        "arrivals": {"process": "closed_loop", "concurrency": 4, "think_time": "100 ms"},
        "prompt_tokens": 200,
        "output_tokens": 20,
    }
    results = run(
        tmp_path,
        devices=1,
        workload=closed,
        duration="60 s",
        site={"inlet": "25 degC", "events": [FAILURE]},
    )
    summary = results.summary()
    assert summary["failed"] >= 1 and summary["rejected"] >= 4
    assert (
        summary["completed"] + summary["failed"] + summary["rejected"] == results.requests.num_rows
    )
    assert "all_down" in results.events["reason"].to_pylist()


def test_a_failure_that_ends_is_over(tmp_path: Path) -> None:
    """With half of the air for three seconds of eight."""
    event = {"at": "2 s", "lasts": "3 s", "what": "fan_failure", "factor": 0.5, "where": "p"}
    rows = run(tmp_path, site={"inlet": "10 degC", "events": [event]}).thermal.to_pylist()
    die_c = {row["at_s"]: row["die_c"] for row in rows if row["device"] == "p/0/device1"}
    before, during, after = (
        max(die_c[at_s] for at_s in die_c if low <= at_s < high)
        for low, high in ((0.0, 2.0), (2.0, 5.0), (7.0, 8.0))
    )
    assert during > before + 4.0
    assert after < during - 4.0


def real(name: str, inlet: str, flow: float = 1.0) -> list[ThermalGroup]:
    """A catalog node with one device a replica."""
    event = (
        () if flow == 1.0 else (SiteEvent(at="0 s", lasts="1 h", what="pump_failure", factor=flow),)
    )
    pool = cluster_sim.load_scenario(
        Path(__file__).parents[2] / "scenarios" / "kv_swap.yaml", variant="recompute"
    ).cluster.pools[0]
    pool = pool.model_copy(update={"node": Node.model_validate(catalog_entry("nodes", name))})
    cooling = pool.node.cooling
    assert cooling is not None
    behind = (False,) if cooling.front is None else (False, True)
    return [
        ThermalGroup(
            pool, "p/0", (0,), 0, rear, 0 if rear else None, Climate(Inlet(mean=inlet), event)
        )
        for rear in behind
    ]


def test_a_healthy_liquid_cooled_rack_and_a_wafer_have_no_governor_and_half_the_coolant_changes_that() -> (
    None
):
    assert not any(group.could_reach_a_limit() for group in real("gb200-nvl72", "45 degC"))
    assert any(group.could_reach_a_limit() for group in real("gb200-nvl72", "45 degC", flow=0.5))
    assert not any(group.could_reach_a_limit() for group in real("cs-3", "20 degC"))
    assert not any(
        group.could_reach_a_limit() for group in real("cs-3", "20 degC", flow=0.5)
    )  # 18.4 kW: 67 degC
    assert any(group.could_reach_a_limit() for group in real("cs-3", "40 degC", flow=0.5))
    assert not any(group.could_reach_a_limit() for group in real("dgx-b200", "25 degC"))
    assert any(group.could_reach_a_limit() for group in real("dgx-h100", "35 degC"))


# RTX 3090: a fifth off the clock cost decoding 5 %, and computing goes as the clock.
@pytest.mark.parametrize("name", ["dgx-b200", "dgx-h100"])
def test_a_fifth_off_the_clock_costs_decoding_a_70b_under_6_percent_and_prefill_in_proportion(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / "clock.yaml"
    path.write_text(json.dumps({
        "name": "clock", "model": "llama-3.3-70b", "duration": "1 s",
        "workload": {"arrivals": {"process": "poisson", "rate": "1 /s"}, "prompt_tokens": 100, "output_tokens": 100},
        "cluster": {"pools": [{"name": "p", "node": name, "replica": {"tensor_parallel": 4, "weights": "bf16"}}]},
    }))  # fmt: skip
    given = cluster_sim.load_scenario(path)
    (deployment,) = resolve(given).deployments
    slow, whole = (
        deployment.times_at(pace) for pace in (OperatingPoint(clock=0.8), OperatingPoint())
    )
    decode, prefill = (
        [
            steps.ramp(StepWork(batch=64, growth=64, context=64 * 4000)).first_s
            for steps in (slow, whole)
        ],
        [
            steps.ramp(StepWork(prompt_tokens=8192, sampled=1, pairs=8192 * 4096)).first_s
            for steps in (slow, whole)
        ],
    )
    assert 1.0 < decode[0] / decode[1] < 1.06
    assert 1.15 < prefill[0] / prefill[1] < 1.26
