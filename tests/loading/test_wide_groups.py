"""Groups of devices over nodes, and numbers of experts that do not divide."""

from __future__ import annotations

from typing import Any

import pytest
from pytest import approx

from cluster_sim.deployment.fleet import resolve
from cluster_sim.loading.checks.scenario import faults_of
from cluster_sim.schema import under
from tests.scenarios import unchecked_scenario


def faults(node: str = "dgx-h200", nodes: int = 18, engine: Any = "vllm", **plan: Any) -> list[str]:
    scenario = wide(node, nodes, engine, **plan)
    return [f"{under(trail)}{text}" for trail, text in faults_of(scenario)]


def wide(node: str = "dgx-h200", nodes: int = 18, engine: Any = "vllm", **plan: Any) -> Any:
    replica = {"weights": "fp8", "kv_cache": "fp8", "engine": engine} | plan
    pool = {
        "name": "p", "node": node, "nodes": nodes, "replicas": 1, "replica": replica,
        "batching": {"max_batched_tokens": 2048, "max_sequences": 64}, "kv": {"memory_fraction": 0.9},
    }  # fmt: skip
    return unchecked_scenario(model="deepseek-r1", cluster={"pools": [pool]})


@pytest.mark.parametrize("devices", [16, 24, 32, 144])
def test_a_group_fills_its_nodes(devices: int) -> None:
    # 256 and 32 experts divide into 16, 24, 32, 48, 72, 96 and 144 groups
    plan = {"data_parallel": devices, "expert_parallel": devices, "redundant_experts": 32}
    assert faults(**plan) == []


def test_a_group_that_leaves_devices_of_its_nodes_is_refused() -> None:
    (text,) = faults(data_parallel=12, expert_parallel=4)
    assert text == (
        "cluster.pools[0].replica.data_parallel: got groups of 12 devices; a group over several nodes fills them, and DGX H200 has 8 devices; expected 8 or 16 devices, tensor_parallel x data_parallel"
    )


def test_engines_that_need_equal_groups_are_told_how_many_copies_do() -> None:
    plan = {"data_parallel": 48, "expert_parallel": 48}
    assert faults(**plan) == []  # vLLM gives the first 16 ranks one expert more
    (text,) = faults(engine="sglang", **plan)
    assert text.endswith(
        "got 48; SGLang 0.5 needs as many experts in each group, and DeepSeek-R1 has 256; expected a divisor of them, or redundant_experts: 32"
    )
    assert faults(engine="sglang", redundant_experts=32, **plan) == []


def test_an_engine_with_changed_keys_groups_experts_like_its_profile() -> None:
    plan = {"data_parallel": 48, "expert_parallel": 48}
    assert faults(engine={"like": "vllm", "stream_interval": 2}, **plan) == []
    (text,) = faults(engine={"like": "sglang", "stream_interval": 2}, **plan)
    assert "got 48; SGLang 0.5 needs as many experts in each group" in text


def test_the_fullest_device_holds_its_experts_and_its_copy_of_all_else() -> None:
    """Per device 58 layers of 6 of 256 experts with 3 x 7,168 x 2,048 weights of one byte."""
    expert_bytes = 58 * 3 * 7168 * 2048
    plan = {"data_parallel": 48, "expert_parallel": 48}
    uneven, even = (
        resolve(wide(**plan, **more)).deployments[0].placement.weight_bytes
        for more in ({}, {"redundant_experts": 32})
    )
    alone = resolve(wide(data_parallel=32, expert_parallel=32)).deployments[0].placement
    assert uneven == even == approx(alone.weight_bytes - 2 * expert_bytes)


def test_a_rack_is_one_domain() -> None:
    deployment = resolve(wide("gb200-nvl72", 1, data_parallel=72, expert_parallel=72)).deployments[
        0
    ]
    assert deployment.target.group_network.nodes == 1
    over = resolve(wide("gb200-nvl72", 2, data_parallel=144, expert_parallel=144)).deployments[0]
    assert over.target.group_network.nodes == 2


def test_a_reserve_that_grows_with_attention_ranks_is_named_with_the_share_to_set() -> None:
    pool = {
        "name": "p", "node": "dgx-h100", "nodes": 4,
        "replica": {"data_parallel": 32, "expert_parallel": 32, "weights": "fp8", "engine": "sglang"},
    }  # fmt: skip
    scenario = unchecked_scenario(model="deepseek-r1", cluster={"pools": [pool]})
    (text,) = (f"{under(trail)}{text}" for trail, text in faults_of(scenario))
    assert text.startswith("cluster.pools[0].kv: no KV cache is left: SGLang 0.5 reserves")
    assert "for graphs of 32 attention ranks" in text
    assert "expected memory_fraction of at least 0.4" in text
    kept = scenario_with_share(pool, 0.85)
    assert resolve(kept).deployments[0].kv_tokens > 100_000


def scenario_with_share(pool: dict[str, Any], share: float) -> Any:
    pools = [pool | {"kv": {"memory_fraction": share}}]
    return unchecked_scenario(model="deepseek-r1", cluster={"pools": pools})
