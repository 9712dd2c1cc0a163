"""Pools that share a scale-up domain reach each other over its switch."""

from __future__ import annotations

from typing import Any

import pytest

import cluster_sim
from cluster_sim.deployment.fleet import build_topology, kv_group_path, resolve
from cluster_sim.loading.checks.scenario import faults_of
from cluster_sim.scenario.cluster import Cluster
from cluster_sim.topology import FRONT_DOOR
from tests.scenarios import make_pool, make_scenario, unchecked_scenario

EXPERTS = {"weights": "fp8", "engine": "sglang-0.5"}


def rack(role: str, replicas: int, data: int, **changes: Any) -> dict[str, Any]:
    """Replicas of `data` attention ranks in a rack of 72 GPUs."""
    plan = EXPERTS | {"role": role, "data_parallel": data, "expert_parallel": data}
    return {"name": role, "node": "gb200-nvl72", "replicas": replicas, "replica": plan} | changes


def part(role: str, devices: int, machine: str) -> dict[str, Any]:
    """A pool whose replica fills its node, a part of domain x."""
    node = {"like": machine, "devices": devices}
    if machine != "dgx-h200":
        node["places"] = {"host": devices // 2, "nic": devices, "dram": devices // 2, "nvme": 1}
    role = "prefill" if role == "a" else "decode"
    plan = EXPERTS | {"role": role, "data_parallel": devices, "expert_parallel": devices}
    redundant = -256 % devices
    return {
        "name": role, "node": node, "replicas": 1, "domain": "x", "kv": {"memory_fraction": 0.9},
        "replica": plan | ({"redundant_experts": redundant} if redundant else {}),
    }  # fmt: skip


def two_pools(**changes: Any) -> dict[str, Any]:
    pools = [rack("prefill", 2, 8, **changes), rack("decode", 1, 32, **changes)]
    return {"model": "deepseek-r1", "cluster": {"pools": pools}}


@pytest.mark.parametrize(
    ("domain", "kinds", "bytes_per_s"),
    [
        # a port of 400 Gb/s of each GPU, at 92 %
        ({}, {"pcie", "infiniband-ndr"}, 46e9),
        ({"domain": "rack0"}, {"nvlink5"}, 900e9),
    ],
)
def test_groups_of_one_domain_send_over_nvlink_and_others_over_their_nics(
    domain: dict[str, str], kinds: set[str], bytes_per_s: float
) -> None:
    fleet = resolve(make_scenario(**two_pools(**domain)))
    prefill, _, decode = fleet.replicas
    path = kv_group_path(fleet.topology, prefill, decode)
    assert {fleet.topology.kind(edge) for edge in path.route.edges} == kinds
    assert path.bytes_per_s == pytest.approx(bytes_per_s)
    assert (path.route.latency_s == pytest.approx(1.5e-6)) is bool(domain)


def test_requests_still_enter_over_the_network() -> None:
    pools = [
        {"name": name, "node": "gb200-nvl72", "domain": "rack0"} for name in ("prefill", "decode")
    ]
    topology = build_topology(Cluster.model_validate({"pools": pools}))
    kinds = {topology.kind(edge) for edge in topology.route(FRONT_DOOR, "prefill/0/device3").edges}
    assert "nvlink5" not in kinds
    assert not any("domain" in place for link in topology.network_links() for place in link)


def test_transfers_within_a_domain_load_no_nic() -> None:
    workload = {
        "arrivals": {"process": "at_once", "requests": 8}, "prompt_tokens": 500, "output_tokens": 3,
    }  # fmt: skip
    scenario = make_scenario(workload=workload, **two_pools(domain="rack0"))
    rows = cluster_sim.simulate(scenario).links.to_pylist()
    sent = {row["kind"] for row in rows if row["kv_bytes"]}
    assert sent == {"nvlink5", "memory"}
    moved = 8 * 500 * 61 * (512 + 64) * 2  # layers, latent vector and rotary key in two bytes
    assert sum(r["kv_bytes"] for r in rows if r["to"] == "decode/0/switch" or r["from"] == "decode/0/switch") == pytest.approx(2 * moved)  # fmt: skip


@pytest.mark.parametrize(
    ("cluster", "message"),
    [
        (
            {"pools": [make_pool("a", domain="x")]},
            "got 'x'; test node has no switch that joins its devices; expected no domain",
        ),
        (
            two_pools(domain="x")["cluster"]
            | {"pools": [rack("prefill", 9, 8, domain="x"), rack("decode", 1, 32, domain="x")]},
            "got replicas of 104 devices in domain 'x' (prefill: 72, decode: 32); expected at most the 72",
        ),
        (
            {"pools": [part("a", 40, "gb200-nvl72"), part("b", 40, "gb200-nvl72")]},
            "got nodes of 80 devices in domain 'x'; a scale-up domain of such nodes has 72",
        ),
        (
            {"pools": [part("a", 8, "dgx-h200"), part("b", 8, "dgx-h200")]},
            "got nodes of 16 devices in domain 'x'; a scale-up domain of such nodes has 8",
        ),
        (
            {"pools": [part("a", 8, "gb200-nvl72"), part("b", 8, "gb300-nvl72")]},
            "got 'x' for nodes with NVIDIA GB200 and NVIDIA GB300; expected the same device",
        ),
    ],
)
def test_domains_that_cannot_be_are_refused(cluster: dict[str, Any], message: str) -> None:
    model = {"model": "deepseek-r1"} if len(cluster["pools"]) > 1 else {}
    faults = [text for _, text in faults_of(unchecked_scenario(cluster=cluster, **model))]
    assert len(faults) == 1 and message in faults[0]


def test_a_rack_that_is_counted_twice_is_reported() -> None:
    warnings = [*make_scenario(**two_pools(domain="rack0")).warnings()]
    assert any("has 72 devices, and the nodes of its pools" in text for text in warnings)


def test_a_domain_of_one_pool_is_reported_with_the_name_that_was_meant() -> None:
    pools = [rack("prefill", 2, 8, domain="rack"), rack("decode", 1, 32, domain="rakc")]
    scenario = make_scenario(model="deepseek-r1", cluster={"pools": pools})
    texts = [text for text in scenario.warnings() if "changes nothing" in text]
    assert texts == [
        "domain 'rack' of pool 'prefill' has no other pool, so that it changes nothing; did you mean 'rakc'?",
        "domain 'rakc' of pool 'decode' has no other pool, so that it changes nothing; did you mean 'rack'?",
    ]
