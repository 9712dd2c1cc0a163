"""KV cache by the memory rules of engines, by mental arithmetic on devices of 10 GB."""

from __future__ import annotations

from typing import Any

import pytest

from cluster_sim.analysis.estimate import explain
from cluster_sim.cli.engine_rows import engine_rows
from cluster_sim.deployment.deployment import Deployment
from cluster_sim.deployment.engine_memory import captured_graphs, memory_use
from cluster_sim.deployment.fleet import resolve
from cluster_sim.physics.replica_layout import GraphPlan, ReplicaLayout
from cluster_sim.schema import catalog_names
from tests.machines import engine
from tests.scenarios import make_pool, make_scenario

GRAPHS: dict[str, Any] = {
    "graph_mode": "full_and_piecewise",
    "graph_sizes": {"sizes": [1, 2, 4, 8, 16], "per_sequence": 2},
}


def deployment(replica: dict[str, Any] | None = None, **keys: Any) -> Deployment:
    pool = make_pool(replica={"engine": engine(**keys)} | (replica or {}))
    return resolve(make_scenario(cluster={"pools": [pool]})).deployments[0]


def test_graphs_take_their_memory_from_the_kv_cache() -> None:
    """Four sequences: 3 decode graphs and 4 of pieces, so 100 MB and 5 further ones of 2 MB."""
    plain = deployment(max_sequences=4, memory_fraction=0.9).placement
    memory = {"first": "100 MB", "further": "2 MB"}
    graphs = deployment(max_sequences=4, memory_fraction=0.9, graph_memory=memory, **GRAPHS)
    assert graphs.placement.graph_bytes == pytest.approx(110e6)
    assert plain.kv_bytes - graphs.placement.kv_bytes == pytest.approx(110e6)
    eager = deployment(graph_memory=memory, graph_mode="none").placement
    assert eager.graph_bytes == 0.0


def test_a_share_of_the_free_memory_leaves_out_weights_and_reserves() -> None:
    placement = deployment(memory_fraction=0.9, memory_base="free", reserved="1 GB").placement
    free_bytes = 10e9 - placement.weight_bytes - 1e9
    assert placement.kv_bytes == pytest.approx(0.9 * free_bytes)


def test_a_draft_model_takes_its_share_of_the_free_memory() -> None:
    """The drafter's weights leave nine tenths of their size less for the KV cache."""
    drafts = {"draft_tokens": 1, "acceptance": 0.5, "draft_model": tiny()}
    alone = deployment(memory_fraction=0.9, memory_base="free").placement
    both = deployment({"speculation": drafts}, memory_fraction=0.9, memory_base="free").placement
    drafted_bytes = both.weight_bytes - alone.weight_bytes
    assert alone.kv_bytes - both.kv_bytes == pytest.approx(0.9 * drafted_bytes)


def tiny() -> dict[str, Any]:
    from tests.machines import TINY_MODEL

    return TINY_MODEL | {"name": "drafter", "layers": 1}


def test_a_static_reserve_leaves_the_rest_to_weights_and_kv_cache() -> None:
    """512 tokens per step at 1 MB, 64 sequences at 2 MB, 100 MB: 740 MB of 10 GB."""
    rule = {"fixed": "100 MB", "per_step_token": "1 MB", "per_graph_sequence": "2 MB"}
    sizes = {"unit": "sequences", "sizes": [32, 64, 128]}
    placement = deployment(
        static_reserve=rule, graph_mode="full_decode_only", graph_sizes=sizes
    ).placement
    assert placement.kv_bytes + placement.weight_bytes == pytest.approx(10e9 - 740e6)


@pytest.mark.parametrize("plan", [{"tensor_parallel": 8}, {"data_parallel": 8}])
def test_a_reserve_per_device_counts_those_of_all_ranks(plan: dict[str, Any]) -> None:
    """Eight devices at 5 GB and 1 GB reserve 41 GB of each device's memory, TP8 as well as DP8."""
    profile = {
        "like": "sglang-0.5",
        "static_reserve": {
            "fixed": "1 GB",
            "per_device": "5 GB",
            "per_step_token": "0 B",
            "min_step_tokens": 0,
            "per_graph_sequence": "0 B",
            "per_rank_sequence": "0 B",
            "per_large_sequence": "0 B",
            "latent": "0 B",
            "at_least": "0 B",
        },
    }
    replica = {"weights": "fp4", "engine": profile} | plan
    keys = {"name": "a", "node": "dgx-b200", "replica": replica}
    scenario = make_scenario(model="deepseek-r1", cluster={"pools": [keys]})
    (found,) = resolve(scenario).deployments
    memory_bytes = found.pool.node.device.memory.capacity_bytes
    fraction = memory_use(found.pool, found.model, ReplicaLayout(**plan), 8).fraction
    assert (1.0 - fraction) * memory_bytes == pytest.approx(41e9)


def static_and_continuous(keys: dict[str, Any], **of_pool: Any) -> list[Deployment]:
    pools = [
        make_pool(batching=batching, replica={"engine": engine(**keys)} | of_pool)
        for batching in ({"policy": "static"}, {})
    ]
    return [resolve(make_scenario(cluster={"pools": [pool]})).deployments[0] for pool in pools]


def test_static_batches_reserve_what_the_engine_does() -> None:
    """512 tokens at 1 MB and 100 MB, of 10 GB: the tokens of a static batch have no limit."""
    keys = {"static_reserve": {"fixed": "100 MB", "per_step_token": "1 MB"}}
    static, continuous = static_and_continuous(keys)
    kept = static.placement.kv_bytes + static.placement.weight_bytes
    assert kept == pytest.approx(10e9 - 612e6)
    assert continuous.placement.kv_bytes == static.placement.kv_bytes


def test_static_batches_sample_and_capture_what_the_engine_does() -> None:
    """64 x 256 logits of 1 kB, 512 hidden states of 64 values of 2 B; graphs of up to 512 tokens."""
    keys = {"reserved_activation": "0 B", "logit": "1 kB", "graph_mode": "piecewise"}
    keys |= {"graph_sizes": {"sizes": [256, 1024], "captures_limit": True}}
    static, continuous = static_and_continuous(keys)
    kept = static.placement.kv_bytes + static.placement.weight_bytes
    assert kept == pytest.approx(10e9 - 64 * 256 * 1e3 - 512 * 64 * 2)
    assert captured_graphs(static.pool) == GraphPlan(piece_tokens=(256, 512))
    assert continuous.placement == static.placement


@pytest.mark.parametrize("name", catalog_names("engines"))
def test_static_batches_fit_with_every_profile(name: str) -> None:
    """An 8B model in 16 bit leaves most of the 141 GB of an H200, and 44 GB of a wafer, free."""
    node = "cs-3" if name.startswith("cerebras") else "dgx-h200"
    plan = {"wafers": 1} if node == "cs-3" else {}
    pool = make_pool(node=node, batching={"policy": "static"}, replica={"engine": name} | plan)
    (found,) = resolve(make_scenario(model="llama-3.1-8b", cluster={"pools": [pool]})).deployments
    assert found.placement.kv_bytes > (15e9 if plan else 90e9)


def test_the_estimate_shows_limits_by_the_device_and_graphs() -> None:
    rows = [{"min_memory": "9 GB", "max_sequences": 4}, {"max_sequences": 64}]
    keys = {"by_device": rows, "max_sequences": None, **GRAPHS}
    pool = make_pool(replica={"engine": engine(**keys)})
    (estimate,) = explain(make_scenario(cluster={"pools": [pool]}))
    assert list(engine_rows([estimate.engine])) == [
        ("max_sequences", ["4"]),
        ("max_batched_tokens", ["512"]),
        ("CUDA graphs", ["full_and_piecewise"]),
        ("  of decode steps [sequences]", ["3 sizes up to 4"]),
        ("  of steps with a prompt [tokens]", ["4 sizes up to 8, piecewise"]),
    ]
    (plain,) = explain(make_scenario())
    assert not list(engine_rows([plain.engine]))
