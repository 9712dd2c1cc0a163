"""Settings of TensorRT-LLM in public runs: trtllm-bench's limits, and recipes of InferenceX.

The tables of measurements do not state them. They come from the tool and from the scripts that made
the runs.
"""

from __future__ import annotations

from math import ceil
from typing import Any

from cluster_sim.hardware.device import Device
from cluster_sim.llm.layers.heads import HeadLayers
from cluster_sim.llm.model import Model
from cluster_sim.validation.measured import MeasuredRun
from cluster_sim.validation.recipe import Recipe

BENCH_FRACTION = 0.9
"""Share of free memory for the KV cache in TensorRT-LLM's throughput tables, the tool's default.
Some of the runs had up to 0.95 (perf-overview.md); the tables do not state which."""
_TABLE_GRAPHS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 384, 512, 1024, 2048, 4096, 8192)
"""Batch sizes of CUDA graphs in the throughput tables, from their configuration (perf-overview.md).
The tool's maximum batch is captured in place of larger sizes."""
_MAX_REQUESTS, _MAX_TOKENS = 4096, 32768
_WEIGHT_BYTES = {"fp8": 1.0, "fp4": 0.5}
_SHORT = (1024, 1024)
"""Lengths of prompts and answers of the runs with batch waiting [tokens]."""


def recipe_of(measured: MeasuredRun, model: Model, device: Device) -> Recipe:
    """Return the settings of a run of TensorRT-LLM.

    Parameters
    ----------
    measured
        Measured run.
    model, device
        Model and device of the run.

    Source
    ------
    benchmarks/ of SemiAnalysisAI/InferenceX: `70b_*_trt_*.sh` @24ea7def, `gptoss_fp4_*_trt*.sh`
    @0d8d7d1c, `single_node/dsr1_*_trt.sh` @34bc7c40.
    """
    if measured.dataset == "trtllm_perf_overview":
        return _of_tables(measured, model, device)
    is_known = measured.dataset.startswith(("inferencemax", "inferencex"))
    if not is_known or not measured.framework.startswith("trtllm"):
        return Recipe({}, {"max_batched_tokens": 16384})
    if any(kind.is_latent for kind in model.attention):
        return _of_deepseek(measured)
    if model.experts is not None:
        limit = {} if measured.hardware == "B200" else {"max_sequences": int(measured.amount)}
        return Recipe(_graphs(measured.amount), {"max_batched_tokens": 20000} | limit, 0.85)
    batching: dict[str, Any] = {"max_batched_tokens": 16384}
    if _is_short(measured) and measured.tensor_parallel < 8:
        batching |= _wait(20, 0.9)
    return Recipe(_graphs(1024), batching)


def _of_tables(measured: MeasuredRun, model: Model, device: Device) -> Recipe:
    """Return the settings of a run of TensorRT-LLM's throughput tables.

    The tool takes latent attention for plain heads, and would choose far too small a batch. Such
    runs had limits of their own, which the tables do not state: only the KV cache limits them here.
    """
    limits = (8192, 16384)
    if not any(kind.is_latent for kind in model.attention):
        requests = bench_requests(measured, model, device)
        limits = bench_limits(requests, measured.isl, measured.osl)
    return Recipe(
        {"graph_sizes": {"sizes": list(_TABLE_GRAPHS), "ranges": []}},
        dict(zip(("max_sequences", "max_batched_tokens"), limits, strict=True)),
        BENCH_FRACTION,
    )


def _of_deepseek(measured: MeasuredRun) -> Recipe:
    """Return the settings of a run of DeepSeek-R1 by InferenceX.

    The scripts of 2025 limited a step to one prompt beside all clients. Those of 2026 have at least
    8,192 tokens, and graphs for as many sequences as there are clients.
    """
    if measured.drafts is not None:
        return _of_drafts(measured, measured.drafts.tokens)
    clients, is_b200 = measured.amount, measured.hardware == "B200"
    is_new = measured.release.profile != "trtllm-1.0"
    tokens = 64 * int((clients + measured.isl + 127) // 64)
    tokens = max(tokens, 8192) if is_new else tokens
    batching: dict[str, Any] = {
        "max_sequences": min(tokens, 2048),
        "max_batched_tokens": tokens,
    }
    largest = 128.0 if measured.hardware == "H200" else 256.0
    if is_b200 and is_new:
        largest = clients
        if measured.precision == "fp4" and measured.data_parallel > 1:
            largest = max(clients // 4, 4)
    if measured.data_parallel > 1:
        batching["attention_dp_timeout_iterations"] = 60
    elif is_b200 and is_new and _is_short(measured) and clients >= 64:
        batching |= _wait(40, 0.8) if measured.precision == "fp8" else {}
    engine = _graphs(largest)
    if is_b200 and is_new and _has_pieces(measured):
        engine |= {"graph_mode": "full_and_piecewise", "prefill_graph_sizes": _pieces(tokens)}
    return Recipe(engine, batching, _free_share(measured, is_new=is_new))


def _of_drafts(measured: MeasuredRun, drafts: int) -> Recipe:
    """Return the settings of a run of DeepSeek-R1 with drafts by InferenceX.

    A step takes one prompt beside the tokens of all sequences. Source: `single_node/
    dsr1_{fp4,fp8}_b200_trt_mtp.sh` @6a2e4f5f, `dsr1_fp8_h200_trt_mtp.sh` @34bc7c40.
    """
    clients, is_b200 = int(measured.amount), measured.hardware == "B200"
    is_apart = measured.data_parallel > 1
    ranks = (4 if measured.precision == "fp4" else 8) if is_apart else 1
    sequences = clients if clients < ranks else clients // ranks
    tokens = 64 * int(((drafts + 1) * sequences + measured.isl + 127) // 64)
    batching: dict[str, Any] = {"max_sequences": sequences, "max_batched_tokens": tokens}
    if is_apart:
        batching["attention_dp_timeout_iterations"] = 60
    engine = _graphs(sequences if is_b200 else 128)
    if is_b200 and _drafts_have_pieces(measured):
        engine |= {"graph_mode": "full_and_piecewise", "prefill_graph_sizes": _pieces(tokens)}
    fraction = (0.7 if is_apart and measured.precision == "fp8" else 0.8) if is_b200 else 0.75
    return Recipe(engine, batching, fraction)


def _drafts_have_pieces(measured: MeasuredRun) -> bool:
    """Return whether a run with drafts on B200 has piecewise graphs for steps with a prompt."""
    clients, is_apart = measured.amount, measured.data_parallel > 1
    if measured.precision == "fp4":
        is_some = clients in (32, 64) or (clients == 128 and not is_apart)
        return is_some if _is_short(measured) else measured.osl == 8192 and clients == 64
    few = {(1024, 1024): 4, (1024, 8192): 8, (8192, 1024): 16}
    return not is_apart and clients > few.get((int(measured.isl), int(measured.osl)), 0)


def _free_share(measured: MeasuredRun, *, is_new: bool) -> float:
    """Return the share of free memory for the KV cache of a run of DeepSeek-R1."""
    if measured.hardware == "H200":
        return 0.75
    if measured.precision == "fp4":
        return 0.8 if is_new else 0.9
    if is_new and measured.osl == 8192 and measured.amount >= 256:
        return 0.7
    is_tight = is_new and measured.isl == 8192 and measured.tensor_parallel == 4
    return 0.75 if is_tight else 0.8


def _has_pieces(measured: MeasuredRun) -> bool:
    """Return whether a run of 2026 on B200 has piecewise graphs for steps with a prompt."""
    clients = measured.amount
    if measured.precision == "fp4":
        is_wide = measured.tensor_parallel == measured.expert_parallel == 8
        return _is_short(measured) and is_wide
    if measured.osl == 8192:
        return 128 <= clients < 256
    return clients >= 64


def _pieces(tokens: int) -> dict[str, Any]:
    """Return the sizes of piecewise graphs [tokens]."""
    ranges = [{"first": 256, "last": tokens, "step": 256}]
    return {"sizes": [1, 2, 4, 8, 16, 32, 64, 128, tokens], "ranges": ranges}


def _is_short(measured: MeasuredRun) -> bool:
    return (measured.isl, measured.osl) == _SHORT


def _wait(steps: int, ratio: float) -> dict[str, Any]:
    return {"batch_wait_timeout_iterations": steps, "batch_wait_max_tokens_ratio": ratio}


def _graphs(largest: float) -> dict[str, Any]:
    """Return padded graphs up to a largest batch, which is captured as well."""
    return {"graph_sizes": {"largest": int(largest)}}


def bench_limits(requests: float, prompt: float, output: float, ranks: int = 1) -> tuple[int, int]:
    """Return the maximum batch and the maximum tokens per step that trtllm-bench chooses.

    The batch is rounded up to 32, 128 or 256 requests. Without chunked prefill a step must also
    hold one whole prompt beside a full batch.

    Parameters
    ----------
    requests
        Number of requests that the KV cache holds by the tool's estimate.
    prompt, output
        Mean lengths of prompts and answers [tokens].
    ranks
        Number of pipeline stages.

    Returns
    -------
    tuple of int
        max_batch_size and max_num_tokens.

    Source
    ------
    TensorRT-LLM 1.0, `tensorrt_llm/bench/build/tuning.py` finetune_setting, and
    `bench/benchmark/utils/general.py` get_settings.

    Examples
    --------
    300 requests are rounded up to 384; a step has 384 x 2 tokens, but at least 2,048:

    >>> bench_limits(300.0, 128, 128)
    (384, 2048)
    """
    batch = min(requests, _MAX_REQUESTS) / ranks
    tokens = min(batch * (1.0 + prompt / output), _MAX_TOKENS)
    unit = 32 if batch < 256 else 128 if batch < 1024 else 256
    largest = max(64, _up(batch, unit))
    if tokens < 4096:
        step = max(2048, _up(tokens, 256))
    else:
        step = _up(tokens, 512 if tokens < 8192 else 1024)
    return largest, max(step, ceil(prompt) + largest)


def _up(value: float, unit: int) -> int:
    return unit * ceil(value / unit)


def bench_requests(measured: MeasuredRun, model: Model, device: Device) -> float:
    """Return the number of requests that the KV cache holds by trtllm-bench's estimate.

    The tool counts all parameters in the precision of the weights, keys and values in fp8, and at
    least one head per device (`tuning.py` calc_engine_setting).

    Parameters
    ----------
    measured
        Measured run.
    model, device
        Model with plain attention, and device of the run.
    """
    kinds = [kind for kind in model.attention if isinstance(kind, HeadLayers)]
    heads = max(measured.tensor_parallel, kinds[0].kv_heads)
    element = 2.0 if measured.precision in ("bf16", "fp16") else 1.0
    layers = sum(kind.layers for kind in kinds)
    token_bytes = 2.0 * layers * heads * kinds[0].head_dim * element
    weights = model.total_parameters * _WEIGHT_BYTES.get(measured.precision, 2.0)
    free = device.memory.capacity_bytes * measured.group.devices - weights
    return max(free, 0.0) * BENCH_FRACTION / (token_bytes * (measured.isl + measured.osl))
