"""Settings of vLLM in InferenceMAX's scripts, which the table of measurements does not state.

Source: benchmarks/70b_*.sh and benchmarks/gptoss_*.sh of SemiAnalysisAI/InferenceX, from October 2025
to February 2026. All of them give vLLM 0.9 of the memory, on AMD 0.95 for gpt-oss, and 8,192 tokens
per step, which is the engine's default on these devices.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from cluster_sim.validation.measured import MeasuredRun
from cluster_sim.validation.names import model_name

_DATASETS = ("inferencemax_silicon", "inferencex_snapshot", "nebius_h200")
_PIECES = re.compile(r"piecewise graphs up to (\d+) tokens")
_HOPPER = ("H100", "H200")


class Recipe(NamedTuple):
    """Settings of a run that differ from the engine profile."""

    engine: dict[str, Any]
    """Keys of the engine."""
    batching: dict[str, Any]
    """Keys of `batching`."""
    memory_fraction: float | None
    """Share of the memory that the engine uses; None if it is the profile's."""
    kv_cache: str | None = None
    """Precision of the KV cache; None if it follows that of the weights."""


def recipe_of(measured: MeasuredRun) -> Recipe:
    """Return the settings of a run of vLLM, as its script has them.

    gpt-oss ran with graphs up to 2,048 tokens, on Hopper with a KV cache in 16 bit, which agrees with
    the memory that such servers printed (nebius_h200). Llama ran on B200 without graphs of steps with
    a prompt. All runs had asynchronous scheduling, which was no default up to 0.13. On Hopper the maximum number of sequences was the number of clients, on B200 512.

    Parameters
    ----------
    measured
        Run of vLLM.
    """
    if measured.dataset not in _DATASETS or not measured.release.profile.startswith("vllm"):
        return Recipe({}, {}, None)
    model, engine = model_name(measured.model), dict[str, Any]()
    if model == "gpt-oss-120b" and measured.hardware.startswith(("H", "B")):
        engine = {"graph_sizes": {"largest": 2048, "per_sequence": None}}
    elif model == "llama-3.3-70b" and measured.hardware == "B200":
        engine = {"graph_mode": "full_decode_only"}
    if match := _PIECES.search(measured.notes):
        engine = {"graph_sizes": {"largest": int(match[1]), "per_sequence": None}}
    engine |= {"async_scheduling": True}
    clients = int(measured.amount) if measured.hardware in _HOPPER and measured.amount else 512
    is_amd_gpt_oss = model == "gpt-oss-120b" and measured.hardware.startswith("MI")
    batching = {} if is_amd_gpt_oss else {"max_sequences": clients}
    is_16_bit = model == "gpt-oss-120b" and measured.hardware in _HOPPER
    return Recipe(
        engine, batching, 0.95 if is_amd_gpt_oss else 0.9, "bf16" if is_16_bit else None
    )
