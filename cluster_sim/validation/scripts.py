"""Settings that InferenceMAX's scripts give vLLM and that tables of measurements do not state.

Source: benchmarks/gptoss_fp4_{h100,h200,b200}.sh, 70b_fp8_{h100,h200}_slurm.sh and
70b_fp4_b200_docker.sh of SemiAnalysisAI/InferenceX. The runs on H200 of June 2026 by others state
the same ones (nebius_h200), and the memory that these servers printed is that of 16-bit KV caches.
"""

from __future__ import annotations

from typing import Any

from cluster_sim.validation.measured import MeasuredRun
from cluster_sim.validation.names import model_name

_DATASETS = ("inferencemax_silicon", "inferencex_snapshot", "nebius_h200")
_HOPPER = ("H100", "H200")
_LARGEST_GRAPH = 2048
"""Largest CUDA graph of the runs of gpt-oss [tokens]."""


def script_engine(measured: MeasuredRun) -> Any:
    """Return the engine of a run: the profile of its release, with the graphs of the script.

    For gpt-oss the scripts capture graphs of up to 2,048 tokens whatever the number of sequences
    is, so prompts of 1,024 tokens run in piecewise graphs.
    """
    profile = measured.release.profile
    if not _is_gpt_oss(measured) or profile == "vllm-0.10":
        return profile
    sizes = {
        "ranges": [
            {"first": 8, "last": 248, "step": 8},
            {"first": 256, "last": _LARGEST_GRAPH, "step": 16},
        ],
        "largest": _LARGEST_GRAPH,
        "per_sequence": None,
    }
    return {"like": profile, "graph_sizes": {"value": sizes}}


def script_kv_cache(measured: MeasuredRun) -> str | None:
    """Return the precision of the KV cache that scripts set; None without such a script.

    gpt-oss on Hopper keeps 16 bit, the default.
    """
    return "bf16" if _is_gpt_oss(measured) and measured.hardware in _HOPPER else None


def script_limits(measured: MeasuredRun) -> dict[str, Any]:
    """Return the batching limits that scripts set: on Hopper as many sequences as clients."""
    if not _is_vllm(measured) or measured.load != "clients":
        return {}
    on_hopper = measured.hardware in _HOPPER
    return {"max_sequences": int(measured.amount) if on_hopper else 512}


def _is_vllm(measured: MeasuredRun) -> bool:
    return measured.dataset in _DATASETS and measured.release.profile.startswith("vllm")


def _is_gpt_oss(measured: MeasuredRun) -> bool:
    return _is_vllm(measured) and model_name(measured.model).startswith("gpt-oss")
