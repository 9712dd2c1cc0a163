"""Routing by temperature and placement by row: what they choose, and that devices stay cooler."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from pytest import approx

import cluster_sim
from cluster_sim.deployment.fleet import resolve
from cluster_sim.loading.checks.scenario import faults_of
from cluster_sim.request import Request
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import Document, describe
from cluster_sim.serving.load import ReportedLoad
from cluster_sim.serving.routing import RoutingSetting, Thermal
from cluster_sim.workload.random_streams import stream
from tests.laws import whole_run
from tests.machines import COOLING, GOVERNOR, LIMITS, POWER, SMALL_GPU, TINY_MODEL, engine, node

GPU = SMALL_GPU | {"power": POWER, "governor": GOVERNOR, "limits": LIMITS}


def machine(devices: int, front: int) -> dict[str, Any]:
    """A node of GPUs in two rows."""
    return node(GPU, devices) | {"cooling": COOLING | {"front": front}}


def scenario(pool: dict[str, Any], **changes: Any) -> Scenario:
    """A tiny model on a node with one GPU in front of another, in air of 20 °C."""
    plain = {"name": "p", "node": machine(2, 1), "replica": {"engine": engine()}}
    cluster = {"pools": [plain | pool]} | changes.pop("cluster", {})
    keys: dict[str, Any] = {
        "name": "rows",
        "seed": 2,
        "model": TINY_MODEL,
        "duration": "10 s",
        "workload": {
            "arrivals": {"process": "poisson", "rate": "32 /s"},
            "prompt_tokens": {"distribution": "uniform", "low": 50, "high": 200},
            "output_tokens": {"distribution": "uniform", "low": 20, "high": 60},
        },
        "site": {"inlet": "24 degC"},
        "cluster": cluster,
    }
    return describe(Scenario, Document(keys | changes, "test"))


class Slacks:
    """Replica 0 is 2 K below its limits and replica 1 is cool."""

    def slack_kelvin(self, number: int) -> float:
        return (2.0, 30.0)[number]


@pytest.mark.parametrize(
    ("requests", "chosen"),
    # a slack of 2 K of 8 K leaves a quarter: (requests + 1) x 4 against requests + 1
    [((0, 0), 1), ((0, 2), 1), ((0, 3), 0), ((0, 4), 0), ((1, 6), 1), ((1, 7), 0)],
)
def test_a_warm_replica_gets_a_share_of_requests_by_its_slack(
    requests: tuple[int, int], chosen: int
) -> None:
    policy = Thermal.model_validate({"margin": "8 K", "least": 0.1})
    picker = policy.picker(stream(1, "routing"), RoutingSetting(slacks=Slacks()))
    loads = [
        ReportedLoad(number, count, 0, count, 0, 0, 0.0) for number, count in enumerate(requests)
    ]
    assert picker.pick(Request(0, 0.0, 10, 10), loads) == chosen


def served(results: cluster_sim.Results) -> list[int]:
    """Requests by replica."""
    counts = Counter(results.requests["replica"].to_pylist())
    return [counts[number] for number in (0, 1)]


ROUTERS = {
    "plain": {"policy": "least_requests"},
    "thermal": {"policy": "thermal", "margin": "6 K", "least": 0.25},
}


def test_the_rear_replica_gets_fewer_requests() -> None:
    plain, thermal = (
        cluster_sim.simulate(scenario({}, cluster={"router": router}))
        for router in ROUTERS.values()
    )
    assert served(thermal)[1] < 0.95 * served(plain)[1]


def test_stretches_equal_steps_when_temperatures_route() -> None:
    runs = [
        cluster_sim.simulate(
            scenario({}, cluster={"router": ROUTERS["thermal"]}, stepping=stepping)
        )
        for stepping in ("stretch", "step")
    ]
    ends = [run.requests["finish_s"].to_numpy() for run in runs]
    assert ends[0] == approx(ends[1], rel=1e-9)


def places(pool: dict[str, Any]) -> list[str]:
    return [" ".join(spec.devices) for spec in resolve(scenario(pool)).replicas]


def test_front_rows_of_all_nodes_are_filled_before_rear_rows() -> None:
    two = {"engine": engine(), "tensor_parallel": 2}
    pool = {"node": machine(8, 4), "nodes": 2, "replicas": 6, "replica": two}
    assert places(pool | {"placement": "rear_last"}) == [
        "p/0/device0 p/0/device1",
        "p/0/device2 p/0/device3",
        "p/1/device0 p/1/device1",
        "p/1/device2 p/1/device3",
        "p/0/device4 p/0/device5",
        "p/0/device6 p/0/device7",
    ]
    assert places(pool)[2] == "p/0/device4 p/0/device5"


def test_two_replicas_in_front_are_cooler_than_one_behind_the_other() -> None:
    pool = {"node": machine(4, 2), "replicas": 2}
    behind = {"node": machine(2, 1), "replicas": 2}
    site = {"inlet": "24 degC", "thermal_protection": False}
    runs = [
        cluster_sim.simulate(scenario(each, site=site))
        for each in (behind, pool | {"placement": "rear_last"})
    ]
    hottest = [run.summary()["max_die_c"] for run in runs]
    # The rear device breathes air that the one in front has warmed by 0.02 K/W, at 400 W 8 K.
    assert 4.0 < hottest[0] - hottest[1] < 8.0
    assert runs[0].requests.equals(runs[1].requests)


def test_the_energy_of_nodes_is_that_of_their_devices_in_any_placement() -> None:
    pool = {"node": machine(4, 2), "nodes": 2, "replicas": 4}
    for placement in ("in_order", "rear_last"):
        results = cluster_sim.simulate(scenario(pool | {"placement": placement}))
        devices = results.devices
        empty_j = 4 * 50.0 * results.summary()["simulated_s"]  # four devices without a model
        assert results.summary()["energy_kwh"] * 3.6e6 == approx(
            sum(devices["energy_j"].to_pylist()) + empty_j, rel=1e-9
        )


def faults(scene: Scenario) -> str:
    return " ".join(text for _, text in faults_of(scene))


def test_placement_and_routing_that_cannot_be_are_refused_by_name() -> None:
    rear = {"placement": "rear_last"}
    assert "no device of test node stands behind another" in faults(
        scenario(rear | {"node": node(GPU, 2)})
    )
    wide = rear | {"replica": {"engine": engine(), "tensor_parallel": 2}}
    assert "does not fit into a row of 1" in faults(scenario(wide))
    two = {"node": machine(6, 3), "replica": {"engine": engine(), "tensor_parallel": 2}}
    assert not faults(scenario(rear | two | {"replicas": 2}))
    assert "but rows of 3 hold 2" in faults(scenario(rear | two | {"replicas": 3}))
    router = {"router": {"policy": "thermal"}}
    assert "expected site.inlet" in faults(scenario({}, cluster=router, site=None))


@pytest.mark.slow
def test_the_laws_hold_for_scaled_rows_with_clocks_by_phase_and_temperatures_that_route() -> None:
    scaling = {"metric": "running", "target": 2, "min": 1, "max": 6, "period": "500 ms"}
    times = {"provision": "200 ms", "readiness_delay": "0 s", "stabilisation": "1 s"}
    pool = {
        "node": machine(4, 2),
        "nodes": 2,
        "placement": "rear_last",
        "autoscale": scaling | times,
        "frequency": {"policy": "by_phase", "prefill": "1 GHz", "decode": "505 MHz"},
    }
    scene = scenario(pool, cluster={"router": {"policy": "thermal"}}, duration="5 s")
    assert not faults(scene)
    results, stepped = (
        cluster_sim.simulate(scene.model_copy(update={"stepping": stepping}))
        for stepping in ("stretch", "step")
    )
    whole_run.every_law_holds(results)
    whole_run.a_stretch_is_its_steps(results, stepped)
