"""Runs of SGLang have the settings of InferenceX's scripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.validation.rows import pool_of

DEEPSEEK = {
    "dataset": "inferencex_api",
    "hardware": "B200",
    "model": "DeepSeek-R1-0528",
    "precision": "fp8",
    "parallelism": "TP8",
    "n_devices": "8",
    "framework": "sglang 0.5.12",
    "concurrency_or_rate": "concurrency=4",
    "isl": "1024",
    "osl": "1024",
}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        # polls after 10 steps below 16 clients, after 30 from there on
        ({"parallelism": "TP8", "n_devices": "8"}, (128, 32_768, 10, 0.82)),
        ({"concurrency_or_rate": "concurrency=16"}, (128, 32_768, 30, 0.82)),
        ({"precision": "fp4", "hardware": "B300"}, (256, 16_384, 10, 0.85)),
        ({"hardware": "H200", "isl": "8192", "osl": "1024"}, (256, 32_768, 1, 0.82)),
        ({"hardware": "MI300X"}, (2_048, 131_072, 1, 0.8)),
        ({"model": "Qwen3.5-397B-A17B", "precision": "fp4"}, (128, 32_768, 30, 0.85)),
        # drafts: on AMD in fp4 the script leaves the number of sequences to SGLang
        ({"spec_decoding": "mtp"}, (512, 16_384, 10, 0.82)),
        (
            {"spec_decoding": "mtp", "hardware": "MI355X", "precision": "fp4"},
            (48, 196_608, 1, 0.8),
        ),
        # its script is not known
        ({"model": "Llama-3.1-8B-Instruct"}, (2_048, 16_384, 1, None)),
    ],
)
def test_scripts_set_sequences_chunks_polls_and_memory(
    tmp_path: Path, row: dict[str, str], expected: tuple[int, int, int, float | None]
) -> None:
    pool = pool_of(tmp_path, DEEPSEEK | row)
    rules = pool.batching.prefill_first or pool.engine.prefill_first
    assert rules is not None
    assert pool.engine.async_scheduling
    assert expected == (
        pool.max_sequences,
        pool.max_batched_tokens,
        rules.receive_interval,
        pool.kv.memory_fraction,
    )


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"hardware": "MI300X", "date": "2025-12-12"}, ("bf16", 196_608, "SGLang 2025-09")),
        ({"hardware": "MI325X", "date": "2026-01-23"}, ("fp8", 131_072, "SGLang 0.5")),
        ({"hardware": "MI355X", "date": "2026-02-27"}, ("bf16", 196_608, "SGLang 0.5")),
        ({"hardware": "MI355X", "date": "2026-05-03"}, ("fp8", 196_608, "SGLang 0.5")),
        ({"hardware": "MI355X", "precision": "fp4", "date": "2025-12-12"}, ("fp8", 196_608, "SGLang 2025-09")),
        ({"hardware": "B200", "date": "2025-12-12"}, ("fp8", 32_768, "SGLang 0.5")),
    ],
)  # fmt: skip
def test_on_amd_the_date_gives_kv_cache_chunk_and_release(
    tmp_path: Path, row: dict[str, str], expected: tuple[str, int, str]
) -> None:
    pool = pool_of(tmp_path, DEEPSEEK | {"framework": "sglang"} | row)
    assert expected == (pool.replica.kv_cache, pool.max_batched_tokens, pool.engine.name)
