"""Runs of TensorRT-LLM have the settings of the tool or the script that made them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster_sim.schema import catalog_entry
from cluster_sim.serving.engine import Engine
from cluster_sim.serving.graphs import StepLimits
from cluster_sim.serving.scheduler import Continuous
from cluster_sim.validation.trtllm_recipes import bench_limits
from tests.validation.rows import OFFLINE, pool_of

DEEPSEEK = {
    "model": "DeepSeek-R1",
    "framework": "trtllm 1.2.0rc6.post2",
    "parallelism": "TP8",
    "n_devices": "8.0",
    "isl": "1024.0",
    "osl": "1024.0",
    "concurrency_or_rate": "concurrency=64",
    "precision": "fp8",
}


def batching_of(tmp_path: Path, row: dict[str, str]) -> Continuous:
    batching = pool_of(tmp_path, row).batching
    assert isinstance(batching, Continuous)
    return batching


@pytest.mark.parametrize(
    ("requests", "lengths", "limits"),
    [
        (10.0, (128, 128), (64, 2048)),  # at least 64 requests and 2,048 tokens
        (84.0, (20000, 2000), (96, 20096)),  # a step holds a whole prompt beside a full batch
        (300.0, (128, 128), (384, 2048)),  # units of 128 below 1,024 requests
        (1500.0, (1000, 1000), (1536, 3072)),  # units of 256 above
        (9000.0, (2048, 128), (4096, 32768)),  # at most 4,096 requests and 32,768 tokens
    ],
)
def test_the_bench_tool_rounds_its_limits_up(
    requests: float, lengths: tuple[int, int], limits: tuple[int, int]
) -> None:
    assert bench_limits(requests, *lengths) == limits


def test_graphs_of_the_tables_end_at_the_maximum_batch_of_the_tool(tmp_path: Path) -> None:
    pool = pool_of(tmp_path, OFFLINE | {"isl": "20000.0", "osl": "2000.0"})
    sizes = pool.engine.graph_sizes
    assert sizes is not None
    limits = StepLimits(pool.max_sequences, pool.max_batched_tokens)
    assert sizes.captured(limits)[-1] == pool.max_sequences


@pytest.mark.parametrize(
    ("row", "steps"),
    [
        ({}, 20),
        ({"parallelism": "TP8", "n_devices": "8.0"}, None),
        ({"isl": "8192.0"}, None),
        ({"model": "gpt-oss-120b"}, None),
        ({"framework": "vllm"}, None),
        (DEEPSEEK, 40),
        (DEEPSEEK | {"concurrency_or_rate": "concurrency=32"}, None),
        (DEEPSEEK | {"osl": "8192.0"}, None),
        (DEEPSEEK | {"precision": "fp4"}, None),
        (DEEPSEEK | {"framework": "trtllm 1.1.0rc2.post2"}, None),
        (DEEPSEEK | {"hardware": "H200"}, None),
    ],
)
def test_requests_are_held_back_where_the_script_of_the_run_said_so(
    tmp_path: Path, row: dict[str, str], steps: int | None
) -> None:
    batching = batching_of(
        tmp_path, {"framework": "trtllm 1.0", "isl": "1024.0", "osl": "1024.0"} | row
    )
    assert batching.batch_wait_timeout_iterations == steps


def test_scripts_of_2025_limit_a_step_to_one_prompt(tmp_path: Path) -> None:
    """64 x 19 tokens hold 64 clients and 1,024 tokens, and no second prompt of at least 820."""
    old = batching_of(tmp_path, DEEPSEEK | {"framework": "trtllm 1.1.0rc2.post2"})
    new = batching_of(tmp_path, DEEPSEEK)
    assert (old.max_batched_tokens, new.max_batched_tokens) == (1152, 8192)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        # 64 sequences with four tokens each, a prompt, and 127 more rounded down to 64
        ({}, (3, 64, 1_344)),
        # eight ranks of 32 sequences, each with two tokens
        (
            {"parallelism": "DEP8", "concurrency_or_rate": "concurrency=256"},
            (1, 8 * 32, 8 * 1_152),
        ),
    ],
)
def test_scripts_with_drafts_limit_a_step_to_one_prompt(
    tmp_path: Path, row: dict[str, str], expected: tuple[int, int, int]
) -> None:
    pool = pool_of(tmp_path, DEEPSEEK | {"spec_decoding": "mtp"} | row)
    assert pool.replica.speculation is not None
    drafts = pool.replica.speculation.draft_tokens
    assert (drafts, pool.max_sequences, pool.max_batched_tokens) == expected


def test_ranks_of_attention_data_parallelism_are_balanced(tmp_path: Path) -> None:
    ranks = batching_of(tmp_path, DEEPSEEK | {"parallelism": "DEP8"})
    assert ranks.attention_dp_timeout_iterations == 60
    assert batching_of(tmp_path, DEEPSEEK).attention_dp_timeout_iterations is None


def test_graphs_are_captured_for_as_many_sequences_as_there_are_clients(tmp_path: Path) -> None:
    engine = pool_of(tmp_path, DEEPSEEK).engine
    assert engine.graph_sizes is not None and engine.graph_sizes.largest == 64
    assert engine.graph_mode == "full_and_piecewise"
    few = pool_of(tmp_path, DEEPSEEK | {"concurrency_or_rate": "concurrency=16"}).engine
    assert few.graph_mode == "full_decode_only"


@pytest.mark.parametrize("profile", ["trtllm-1.0", "trtllm-1.2"])
def test_the_profiles_differ_from_vllm_as_the_engines_do(profile: str) -> None:
    engine = Engine.model_validate(catalog_entry("engines", profile))
    assert engine.capacity_scheduler_policy == "guaranteed_no_evict"
    assert (engine.memory_base, engine.memory_fraction) == ("free", 0.9)
    assert (engine.stream_interval, engine.attention_dp_timeout_iterations) == (1, 0)
    plan = engine.graphs(StepLimits(300, 8192))
    # a full batch is captured itself, and a step with a prompt runs outside of graphs
    assert plan is not None and plan.decode_sequences[-3:] == (128, 256, 300)
    assert not plan.piece_tokens and not plan.step_tokens
