"""How long a replica takes to load its weights, by hand from sizes and bandwidths."""

from __future__ import annotations

from typing import Any

import pytest
from pytest import approx

from cluster_sim.deployment.fleet import resolve
from cluster_sim.deployment.weight_loading import OBJECT_STORE_BYTES_PER_S, WeightStore
from cluster_sim.loading.checks.scenario import faults_of
from tests.scenarios import make_scenario, unchecked_scenario

WEIGHTS_GB = 141.1
"""Weights of Llama 3.3 70B in bf16 [GB]."""


def on(node: str, **replica: Any) -> dict[str, Any]:
    """Keys of a scenario with one pool of one node and one replica of Llama 3.3 70B."""
    pool = {"name": "p", "node": node, "replicas": 1, "replica": {"weights": "bf16"} | replica}
    return {"model": "llama-3.3-70b", "cluster": {"pools": [pool]}}


@pytest.mark.parametrize(
    ("node", "devices", "store", "seconds"),
    [
        ("dgx-b200", 8, "host", WEIGHTS_GB / 8 / 64),  # PCIe 5 x16 for each GPU
        ("dgx-b200", 8, "disk", WEIGHTS_GB / 56),  # eight GPUs share 56 GB/s
        ("dgx-b200", 4, "disk", WEIGHTS_GB / 56),  # a replica alone has the disks to itself
        ("dgx-b200", 8, "network", WEIGHTS_GB / 5),
        ("gb200-nvl72", 4, "disk", WEIGHTS_GB / 28),  # a tray of four GPUs has its own drives
        ("gb200-nvl72", 4, "network", WEIGHTS_GB / 2 / 5),  # a Grace serves two of the four GPUs
    ],
)
def test_the_slowest_link_on_the_way_of_weights_sets_the_time(
    node: str, devices: int, store: str, seconds: float
) -> None:
    scenario = make_scenario(**on(node, tensor_parallel=devices, weights_at=store))
    assert resolve(scenario).deployments[0].load_s == approx(seconds, rel=0.01)


def test_an_object_store_sends_130_gb_in_26_s() -> None:
    """ServerlessLLM, section 2."""
    assert WeightStore(64e9, OBJECT_STORE_BYTES_PER_S, 8).time_s(130e9 / 8, 8) == approx(26.0)


def test_a_given_bandwidth_replaces_that_of_the_store() -> None:
    scenario = make_scenario(**on("dgx-b200", tensor_parallel=8, load_bandwidth="1 GB/s"))
    assert resolve(scenario).deployments[0].load_s == approx(WEIGHTS_GB / 8, rel=0.01)


@pytest.mark.parametrize(
    ("node", "replica", "fault"),
    [
        ("hgx-b300", {"tensor_parallel": 8, "weights_at": "disk"}, "no link between host and nvme"),
        ("cs-3", {"engine": "cerebras", "weights_at": "network"}, "wafers load their weights"),
        (
            "dgx-b200",
            {"tensor_parallel": 8, "weights_at": "disk", "load_bandwidth": "1 GB/s"},
            "expected one of them",
        ),
    ],
)
def test_a_store_that_a_node_does_not_have_is_refused(
    node: str, replica: dict[str, Any], fault: str
) -> None:
    keys = on(node, **replica)
    keys["cluster"]["pools"][0] |= {"nodes": 4 if node == "cs-3" else 1}
    found = [text for _, text in faults_of(unchecked_scenario(**keys))]
    assert any(fault in text for text in found), found
