"""Engine settings of measured runs that the set-up has, as keys of a pool."""

from __future__ import annotations

import re
from typing import Any

from cluster_sim.validation.measured import MeasuredRun

_KV_CACHE = re.compile(r"\b(bf16|fp8)(?: latent)? KV\b")
_UTILIZATION = re.compile(r"gpu_memory_utilization (\d\.\d+)")
_SEQUENCES = re.compile(r"max_num_seqs (\d+)")
_BACKENDS = {("attention-config.use_trtllm_attention", "0"): "flashinfer"}
"""Attention back ends by settings of runs."""


def stated_kv_cache(measured: MeasuredRun) -> str | None:
    """Return the precision of the KV cache that a run states; None if it states none."""
    if measured.load == "agents":
        return "bf16"  # no row states another than the engine's default
    match = _KV_CACHE.search(measured.notes)
    return match[1] if match else None


def stated_batching(measured: MeasuredRun) -> dict[str, Any]:
    """Return the batching limits that a run states.

    They are the maximum number of sequences, which some benchmarks set to the number of clients,
    and the maximum number of tokens per step. Batch waiting is not read from notes, which give one
    wait for all models of a data set: `trtllm_recipes` has that of each model's script.
    """
    limits: dict[str, Any] = {}
    if "max_num_seqs = concurrency" in measured.notes:
        limits["max_sequences"] = int(measured.amount)
    elif match := _SEQUENCES.search(measured.notes):
        limits["max_sequences"] = int(match[1])
    if tokens := _flag(measured, "chunked_prefill_size"):
        limits["max_batched_tokens"] = int(tokens)
    return limits


def stated_engine(measured: MeasuredRun) -> dict[str, Any]:
    """Return the keys of the engine in which a run differs from the profile of its release."""
    keys: dict[str, Any] = {}
    for setting in measured.settings:
        if backend := _BACKENDS.get((setting.setting, setting.value)):
            keys["attention_backend"] = backend
    return keys


def stated_memory_fraction(measured: MeasuredRun) -> float | None:
    """Return the share of memory that the engine was given; None if it is not stated."""
    if match := _UTILIZATION.search(measured.notes):
        return float(match[1])
    fraction = _flag(measured, "mem_fraction_static")
    return float(fraction) if fraction else None


def _flag(measured: MeasuredRun, name: str) -> str | None:
    return next((flag.value for flag in measured.settings if flag.setting == name), None)
