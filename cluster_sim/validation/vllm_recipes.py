"""Settings of vLLM in InferenceMAX's scripts, which the table of measurements does not state.

Source: benchmarks/70b_*.sh and benchmarks/gptoss_*.sh of SemiAnalysisAI/InferenceX, from October
2025 to February 2026. All of them give vLLM 0.9 of the memory, on AMD 0.95 for gpt-oss, and 8,192
tokens per step, which is the engine's default on these devices. For Llama on AMD they give 0.94 and
131,072 tokens (benchmarks/70b_fp8_mi300x_docker.sh and its kin). The same step, 0.9 of the memory,
and as many sequences as there are requests are AMD's own settings for Llama 3.1 405B
(scripts/vllm/config.csv of ROCm/MAD).
"""

from __future__ import annotations

import re
from typing import Any

from cluster_sim.hardware.precision import Precision
from cluster_sim.validation.measured import MeasuredRun
from cluster_sim.validation.names import model_name
from cluster_sim.validation.recipe import Recipe

_CONVERSATIONS = "ifx_llama70b_fp4_b200_multiturn"
"""Data set of conversations. Its script gives the engine as many batch slots as there are clients,
asynchronous scheduling and CUDA graphs of decode steps alone
(SemiAnalysisAI/InferenceX@2582608b105a, experimental/multiturn/vllm_benchmark/scripts/sweep_experiment.sh)."""
_FEWEST_CLIENTS = 16
"""Number of clients of the servers whose capacity the table gives beside no load."""
_DATASETS = ("inferencemax_silicon", "inferencex_snapshot", "nebius_h200")
_PIECES = re.compile(r"piecewise graphs up to (\d+) tokens")
_HOPPER = ("H100", "H200")
_AMD = "MI"
"""Start of the names of AMD's devices."""
_AMD_STEP_TOKENS = 131_072


def recipe_of(measured: MeasuredRun) -> Recipe:
    """Return the settings of a run of vLLM, as its script has them.

    gpt-oss ran with graphs up to 2,048 tokens. On Hopper its KV cache has 16 bit, vLLM's default,
    in every data set, which agrees with the memory that such servers printed (nebius_h200). Llama
    ran on B200 without graphs of steps with a prompt. Runs on these devices had asynchronous
    scheduling before it was the default. On Hopper, and for Llama on AMD, the maximum number of
    sequences was the number of clients, on B200 512.

    Parameters
    ----------
    measured
        Run of vLLM.
    """
    if measured.dataset == "amd_mi300x_vllm":
        limits = {"max_sequences": int(measured.amount), "max_batched_tokens": _AMD_STEP_TOKENS}
        return Recipe({}, limits, 0.9)
    if measured.dataset == _CONVERSATIONS:
        clients = int(measured.amount) or _FEWEST_CLIENTS
        slots = {"max_sequences": clients, "max_batched_tokens": 8192}
        engine = {"graph_mode": "full_decode_only", "async_scheduling": True}
        return Recipe(engine, slots, 0.9)
    if not measured.release.profile.startswith("vllm"):
        return Recipe()
    model, engine = model_name(measured.model), dict[str, Any]()
    is_16_bit = model == "gpt-oss-120b" and measured.hardware in _HOPPER
    kv_cache: Precision | None = "bf16" if is_16_bit else None
    if measured.dataset not in _DATASETS:
        return Recipe(kv_cache=kv_cache)
    if measured.hardware.startswith(_AMD):
        return _on_amd(model, int(measured.amount))
    if model == "gpt-oss-120b" and measured.hardware.startswith(("H", "B")):
        engine = _graphs(2048)
    elif model == "llama-3.3-70b" and measured.hardware == "B200":
        engine = {"graph_mode": "full_decode_only"}
    if match := _PIECES.search(measured.notes):
        engine = _graphs(int(match[1]))
    clients = int(measured.amount) if measured.hardware in _HOPPER and measured.amount else 512
    engine |= {"async_scheduling": True}
    return Recipe(engine, {"max_sequences": clients}, 0.9, kv_cache)


def _graphs(largest: int) -> dict[str, Any]:
    """Return graphs up to this size, whatever the number of sequences is."""
    return {"graph_sizes": {"largest": largest, "per_sequence": None}}


def _on_amd(model: str, clients: int) -> Recipe:
    """Return the settings on AMD, where gpt-oss kept vLLM's own limits."""
    if model == "gpt-oss-120b":
        return Recipe({}, {}, 0.95)
    if model != "llama-3.3-70b":
        return Recipe({}, {}, 0.9)
    limits = {"max_sequences": clients or 512, "max_batched_tokens": _AMD_STEP_TOKENS}
    return Recipe({}, limits, 0.94)
