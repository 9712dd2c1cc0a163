"""Layouts of measured runs become pools."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest import approx

from cluster_sim.deployment.fleet import resolve
from cluster_sim.validation import predict, scenario_of
from tests.validation.rows import one_of

DEEPSEEK = {
    "model": "DeepSeek-R1-0528",
    "framework": "sglang 0.5.12",
    "precision": "fp4",
    "parallelism": "PD: 5 x DEP4 prefill + 1 x TP8 EP8 decode",
    "n_devices": "28",
}


def test_pools_apart_have_roles_and_as_many_nodes_as_their_groups_need(tmp_path: Path) -> None:
    run = one_of(tmp_path, DEEPSEEK)
    assert (run.layout, run.devices) == ("5xTP1DP4EP4+1xTP8EP8", 28)
    prefill, decode = scenario_of(run).cluster.pools
    assert (prefill.replica.role, prefill.replicas, prefill.nodes) == ("prefill", 5, 3)
    assert (prefill.replica.data_parallel, prefill.replica.expert_parallel) == (4, 4)
    assert (decode.replica.role, decode.replicas, decode.nodes) == ("decode", 1, 1)
    assert (decode.replica.tensor_parallel, decode.replica.expert_parallel) == (8, 8)


def test_pools_apart_that_run_tensorrt_llm_each_give_a_share_of_what_their_weights_leave(
    tmp_path: Path,
) -> None:
    scenario = scenario_of(one_of(tmp_path, DEEPSEEK | {"framework": "dynamo-trt"}))
    placements = [deployment.placement for deployment in resolve(scenario).deployments]
    # the recipe's shares of free memory for prefill, and for decode without ranks
    for pool, placement, share in zip(scenario.cluster.pools, placements, (0.6, 0.9), strict=True):
        engine, capacity = pool.engine, pool.node.device.memory.capacity_bytes
        reserved = engine.reserved_bytes + engine.reserved_group_bytes
        free = capacity - placement.weight_bytes - reserved
        assert placement.kv_bytes == approx(share * free, abs=1e9)
    # four devices hold more of the weights each than eight do
    assert placements[0].kv_bytes < placements[1].kv_bytes


def test_a_wide_group_takes_whole_nodes_unless_one_rack_is_a_node(tmp_path: Path) -> None:
    wide = DEEPSEEK | {"parallelism": "PD: 1 x DEP4 prefill + 2 x DEP16 decode"}
    _, decode = scenario_of(one_of(tmp_path, wide)).cluster.pools
    assert (decode.node.devices, decode.replicas, decode.nodes) == (8, 2, 4)
    _, decode = scenario_of(one_of(tmp_path, wide | {"hardware": "GB200"})).cluster.pools
    assert (decode.node.devices, decode.replicas, decode.nodes) == (72, 2, 1)


def test_the_time_of_one_batch_is_compared_as_its_throughput(tmp_path: Path) -> None:
    run = one_of(
        tmp_path,
        {
            "concurrency_or_rate": "batch=16",
            "metric": "e2e_latency",
            "unit": "s",
            "value": "4",
            "notes": "",
        },
    )
    assert run.values == {"output_per_s": approx(16 * 512 / 4)}
    assert (run.load, run.amount) == ("queued", 16)


def test_percentiles_of_a_run_are_predicted_in_order(tmp_path: Path) -> None:
    rows = [{"metric": f"ttft{text}", "value": "90"} for text in ("", "_p50", "_p90", "_p99")]
    run = one_of(tmp_path, *rows)
    assert set(run.values) == {"ttft_ms", "ttft_p50_ms", "ttft_p90_ms", "ttft_p99_ms"}
    values = predict(run).values
    for metric in ("ttft", "tpot"):
        p50, p90, p99 = (values[f"{metric}_p{share}_ms"] for share in (50, 90, 99))
        assert 0.0 < p50 <= p90 <= p99


@pytest.mark.parametrize(
    ("unit", "value", "gb"), [("GiB", "88.77", 88.77 * 1.073741824), ("GB", "33.32", 33.32)]
)
def test_memory_for_the_kv_cache_is_compared_per_device(
    tmp_path: Path, unit: str, value: str, gb: float
) -> None:
    row = {"concurrency_or_rate": "", "metric": "kv_cache_memory_per_gpu"}
    run = one_of(tmp_path, row | {"unit": unit, "value": value})
    assert run.values == {"kv_gb": approx(gb)}
