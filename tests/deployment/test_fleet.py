"""The fleet of a scenario: deployments, the table of replicas, and where they stand."""

from __future__ import annotations

import gc
import weakref

import pytest

import cluster_sim
from cluster_sim.deployment import fleet as fleets
from cluster_sim.deployment.deployment import Deployment
from cluster_sim.deployment.fleet import Fleet, resolve
from cluster_sim.deployment.schedulers import build_scheduler
from tests.machines import engine, tiny_model
from tests.scenarios import make_pool, make_scenario


def test_replicas_are_numbered_through_the_pools_in_the_order_of_the_file() -> None:
    pools = [
        make_pool("a", devices=4, nodes=2, replica={"tensor_parallel": 2, "engine": engine()}),
        make_pool("b", nodes=3, replicas=2),
    ]
    fleet = resolve(make_scenario(cluster={"pools": pools}))
    assert [replica.number for replica in fleet.replicas] == [0, 1, 2, 3, 4, 5]
    assert [replica.label for replica in fleet.replicas] == [
        "a/0",
        "a/1",
        "a/2",
        "a/3",
        "b/0",
        "b/1",
    ]
    assert [list(fleet.numbers(name)) for name in "abc"] == [[0, 1, 2, 3], [4, 5], []]
    assert [fleet.deployment(name).replica_count for name in "ab"] == [4, 2]


def test_a_replica_stands_on_the_next_devices_of_its_pool() -> None:
    plan = {"tensor_parallel": 1, "pipeline_parallel": 2, "engine": engine()}
    pool = make_pool("a", devices=3, nodes=2, replica=plan)
    first, second, third = resolve(make_scenario(cluster={"pools": [pool]})).replicas
    assert first.devices == ("a/0/device0", "a/0/device1")
    assert second.devices == ("a/0/device2", "a/1/device0")
    assert (second.nodes, third.nodes) == (range(2), range(1, 2))
    assert third.server == "a/1/device1"


def test_the_same_scenario_has_the_same_fleet_and_a_copy_has_its_own() -> None:
    scenario = make_scenario()
    assert resolve(scenario) is resolve(scenario)
    assert resolve(scenario.model_copy()) is not resolve(scenario)
    assert cluster_sim.simulate(scenario).fleet is resolve(scenario)


def test_a_fleet_lives_as_long_as_its_scenario() -> None:
    scenario = make_scenario()
    fleet = weakref.ref(resolve(scenario))
    key = id(scenario)
    assert key in fleets._FLEETS
    del scenario
    gc.collect()
    assert fleet() is None and key not in fleets._FLEETS


def test_deployments_of_one_cluster_may_serve_different_models() -> None:
    scenario = make_scenario(cluster={"pools": [make_pool("a"), make_pool("b")]})
    pools = scenario.cluster.pools
    deep = tiny_model(layers=4)
    fleet = Fleet(
        (Deployment(pools[0], scenario.model), Deployment(pools[1], deep)), scenario.cluster
    )
    shallow, other = (replica.deployment for replica in fleet.replicas)
    assert other.kv_bytes(100) == pytest.approx(2 * shallow.kv_bytes(100))
    assert other.kv_tokens < shallow.kv_tokens
    assert build_scheduler(other).longest == deep.max_context - 1
