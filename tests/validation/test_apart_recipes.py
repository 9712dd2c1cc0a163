"""Settings of pools apart, from the recipes that InferenceX ran."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pytest import approx

from cluster_sim.results.metrics.finished import finished
from cluster_sim.sim.simulate import simulate
from cluster_sim.validation import predict
from cluster_sim.validation.apart_recipes import recipe_of
from cluster_sim.validation.setup import scenario_of
from tests.validation.rows import one_of

APART = {
    "dataset": "inferencex_api",
    "model": "DeepSeek-R1-0528",
    "framework": "dynamo-trt",
    "date": "2026-02-03",
    "precision": "fp4",
    "hardware": "GB200",
    "n_devices": "24",
    "parallelism": "PD: 2 x DEP4 prefill + 1 x DEP16 decode",
    "isl": "1024",
    "osl": "1024",
    "concurrency_or_rate": "concurrency=4301",
    "notes": "",
}


def test_slots_of_a_pool_that_decodes_are_the_recipes_batch_and_clients_are_a_few_more(
    tmp_path: Path,
) -> None:
    # ctx2_gen1_dep16_batch256: 4,301 clients for 16 x 256 slots
    prefill, decode = scenario_of(one_of(tmp_path, APART)).cluster.pools
    assert decode.max_sequences == 16 * 256
    assert (prefill.max_sequences, prefill.max_batched_tokens) == (4 * 16, 4 * 16_384)


@pytest.mark.parametrize(
    ("layout", "clients", "batch"),
    [
        ("1 x DEP2 prefill + 1 x DEP32 decode", 1024, 32),
        ("1 x DEP8 prefill + 2 x DEP16 decode", 8192, 256),
        ("1 x DEP4 prefill + 4 x TP8 EP8 decode", 4, 1),
        ("1 x DEP4 prefill + 4 x TP8 EP8 decode", 24, 4),
        ("1 x DEP4 prefill + 4 x TP8 EP8 decode", 84, 16),
        ("7 x DEP4 prefill + 1 x DEP8 decode", 2151, 256),
    ],
)
def test_batches_of_other_recipes_follow_the_same_rule(
    tmp_path: Path, layout: str, clients: int, batch: int
) -> None:
    row = {
        "parallelism": f"PD: {layout}",
        "concurrency_or_rate": f"concurrency={clients}",
        "hardware": "GB300",
        "precision": "fp8",
    }
    run = one_of(tmp_path, APART | row)
    assert recipe_of(run, "decode").batching["max_sequences"] == batch


def test_ranks_of_sglang_share_the_chunk_of_their_group(tmp_path: Path) -> None:
    row = {
        "framework": "dynamo-sglang 0.5.8.post1",
        "hardware": "B200",
        "precision": "fp8",
        "parallelism": "PD: 2 x DEP8 prefill + 5 x DEP8 decode",
    }
    short = one_of(tmp_path, APART | row)
    assert recipe_of(short, "prefill").batching["max_batched_tokens"] == 32_768 // 8
    long = replace(short, isl=8192.0)
    assert recipe_of(long, "prefill").batching["max_batched_tokens"] == 131_072 // 8


def test_clients_of_pools_apart_see_the_first_token_when_the_kv_cache_has_arrived(
    tmp_path: Path,
) -> None:
    row = {
        "model": "Llama-3.3-70B-Instruct",
        "parallelism": "PD: 1 x TP4 prefill + 1 x TP4 decode",
        "concurrency_or_rate": "concurrency=4",
        "osl": "64",
        "metric": "ttft",
        "value": "90",
    }
    run = one_of(tmp_path, APART | row)
    done = finished(simulate(scenario_of(run)))
    seen_s = done.first_token_s + done.hand_over_wait_s + done.kv_transfer_s
    assert (done.kv_transfer_s > 0.0).all()
    values = predict(run).values
    assert values["ttft_ms"] == approx(1e3 * (seen_s - done.arrival_s).mean())
    gaps = (done.finish_s - seen_s) / (done.output_tokens - 1)
    assert values["tpot_ms"] == approx(1e3 * gaps.mean())


def test_workers_of_dynamo_get_requests_in_turn_even_if_they_are_full(tmp_path: Path) -> None:
    scenario = scenario_of(one_of(tmp_path, APART))
    assert scenario.cluster.disaggregation is not None
    assert scenario.cluster.disaggregation.policy == "fixed_turns"
    assert scenario.cluster.router.policy == "round_robin"
