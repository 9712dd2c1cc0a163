"""Runs of vLLM have the settings of InferenceMAX's scripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster_sim.deployment.engine_memory import captured_graphs
from tests.validation.rows import pool_of


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        # B200: 512 sequences, and no graphs of steps with a prompt for Llama
        ({"hardware": "B200"}, (512, 512, False, 0.9)),
        ({"hardware": "B200", "model": "gpt-oss-120b"}, (512, 512, True, 0.9)),
        # Hopper: as many sequences as clients; graphs up to twice as many tokens for Llama
        ({"hardware": "H200", "precision": "fp8"}, (4, 4, True, 0.9)),
        ({"hardware": "H100", "model": "gpt-oss-120b"}, (4, 4, True, 0.9)),
        # on AMD as many sequences as clients for Llama, and the engine's own number for gpt-oss
        ({"hardware": "MI300X", "precision": "fp8"}, (4, 4, True, 0.94)),
        ({"hardware": "MI300X", "model": "gpt-oss-120b"}, (1024, 512, True, 0.95)),
    ],
)
def test_scripts_set_sequences_graphs_and_memory(
    tmp_path: Path,
    row: dict[str, str],
    expected: tuple[int, int, bool, float],
) -> None:
    row = {"framework": "vllm 0.15.1", "concurrency_or_rate": "concurrency=4", **row}
    pool = pool_of(tmp_path, row)
    graphs = captured_graphs(pool)
    assert graphs is not None
    assert expected == (
        pool.max_sequences,
        max(graphs.decode_sequences),
        bool(graphs.piece_tokens),
        pool.kv.memory_fraction,
    )


def test_graphs_of_gpt_oss_hold_prompts_of_2048_tokens(tmp_path: Path) -> None:
    row = {"framework": "vllm 0.15.1", "hardware": "H200", "model": "gpt-oss-120b"}
    pool = pool_of(tmp_path, row)
    graphs = captured_graphs(pool)
    assert graphs is not None
    assert max(graphs.piece_tokens) == 2048


def test_amd_ran_as_many_sequences_as_requests_in_steps_of_131072_tokens(tmp_path: Path) -> None:
    row = {
        "dataset": "amd_mi300x_vllm",
        "hardware": "MI300X",
        "precision": "fp8",
        "metric": "output_throughput_total",
        "unit": "tok/s",
        "framework": "vllm 0.10.2",
        "concurrency_or_rate": "offline, all 1500 requests queued",
    }
    pool = pool_of(tmp_path, row)
    assert (pool.max_sequences, pool.max_batched_tokens) == (1500, 131_072)


@pytest.mark.parametrize(
    ("hardware", "dataset", "expected"),
    [
        ("H200", "inferencemax_silicon", "bf16"),
        ("H100", "another_table", "bf16"),
        ("B200", "inferencemax_silicon", "fp8"),
    ],
)
def test_gpt_oss_on_hopper_keeps_its_cache_in_16_bit(
    tmp_path: Path, hardware: str, dataset: str, expected: str
) -> None:
    """vLLM's default is the format of the activations; the script for B200 sets fp8."""
    row = {"hardware": hardware, "model": "gpt-oss-120b", "dataset": dataset, "precision": "fp4"}
    row |= {"framework": "vllm 0.22.0", "concurrency_or_rate": "concurrency=4"}
    assert pool_of(tmp_path, row).replica.kv_cache == expected
