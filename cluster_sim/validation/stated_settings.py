"""Engine settings of measured runs that the set-up has, as keys of a pool."""

from __future__ import annotations

import re
from typing import Any

from cluster_sim.validation.measured import MeasuredRun

_KV_CACHE = re.compile(r"\b(bf16|fp8)(?: latent)? KV\b")
_WAIT = re.compile(r"batch_wait_timeout_iters=(\d+)")
_SEQUENCES = re.compile(r"max_num_seqs (\d+)")
_WAIT_RATIO = 0.5
"""Share of the token limit from which batches no longer wait (estimate). It is hardly ever reached,
and TTFT is equal for 0.5 and 1."""


def stated_kv_cache(measured: MeasuredRun) -> str | None:
    """Return the precision of the KV cache that a run states; None if it states none."""
    match = _KV_CACHE.search(measured.notes)
    return match[1] if match else None


def stated_batching(measured: MeasuredRun) -> dict[str, Any]:
    """Return the batching limits that a run states.

    They are the maximum number of sequences, which some benchmarks set to the number of clients,
    the maximum number of tokens per step, and the number of steps for which batches wait.
    """
    limits: dict[str, Any] = {}
    if "max_num_seqs = concurrency" in measured.notes:
        limits["max_sequences"] = int(measured.amount)
    elif match := _SEQUENCES.search(measured.notes):
        limits["max_sequences"] = int(match[1])
    if match := _WAIT.search(measured.notes):
        limits |= {
            "batch_wait_timeout_iterations": int(match[1]),
            "batch_wait_max_tokens_ratio": _WAIT_RATIO,
        }
    if tokens := _flag(measured, "chunked_prefill_size"):
        limits["max_batched_tokens"] = int(tokens)
    return limits


def stated_memory_fraction(measured: MeasuredRun) -> float | None:
    """Return the share of memory that the engine was given; None if it is not stated."""
    fraction = _flag(measured, "mem_fraction_static")
    return float(fraction) if fraction else None


def _flag(measured: MeasuredRun, name: str) -> str | None:
    return next((flag.value for flag in measured.settings if flag.setting == name), None)
