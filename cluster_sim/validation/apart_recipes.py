"""Settings of runs with pools apart for prefill and decode, from the published recipes.

Source: the recipes that InferenceX ran by srt-slurm, recipes/** and gb200/** of
ishandhanani/srt-slurm@9604fe3e (TensorRT-LLM in fp4) and @6951981c (SGLang), recipes/gb200-fp8 of
NVIDIA/srt-slurm@eb889c08, recipes/trtllm/gb300-fp8 @5f23377f. Each is for one layout and one number
of clients; the rules below are what they have in common. All of them have a KV cache in fp8 and no
prefix cache.
"""

from __future__ import annotations

from typing import Any

from cluster_sim.serving.disaggregation import Role
from cluster_sim.validation.layouts import Group
from cluster_sim.validation.measured import MeasuredRun
from cluster_sim.validation.recipe import Recipe

_LONG = 8192
"""Length of prompts from which a step takes two prompts per rank [tokens]."""
_STEP_TOKENS = 16_384
"""Tokens of a step that prefills, per rank."""
_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 192, 256, 384, 512, 768, 1024)
"""Values of `max_batch_size` of pools that decode, per rank."""
_RACKS = ("GB200", "GB300")
_FP4_BATCH = 32
"""Smallest value of it for groups without ranks in fp4, and for all groups in fp8 on B200."""


def is_apart(measured: MeasuredRun) -> bool:
    """Return whether a run has pools apart whose recipes are published."""
    return measured.prefill is not None and measured.framework.startswith("dynamo")


def recipe_of(measured: MeasuredRun, role: Role) -> Recipe:
    """Return the settings of the pool that prefills or decodes in a run.

    Parameters
    ----------
    measured
        Run of TensorRT-LLM or SGLang with Dynamo.
    role
        Phase of the pool.
    """
    group = measured.prefill if role == "prefill" else measured.group
    assert group is not None
    if measured.framework.startswith("dynamo-trt"):
        return _trtllm_prefill(measured) if role == "prefill" else _trtllm_decode(measured, group)
    return _sglang(measured, role, group)


def _trtllm_prefill(measured: MeasuredRun) -> Recipe:
    """Return the settings of TensorRT-LLM's pool that prefills: eager, without overlap."""
    prompts = 2 if measured.isl >= _LONG else 16
    batching: dict[str, Any] = {"max_sequences": prompts, "max_batched_tokens": _STEP_TOKENS}
    fraction = 0.6 if measured.precision == "fp4" else 0.3
    return Recipe({"async_scheduling": False}, batching, fraction)


def _trtllm_decode(measured: MeasuredRun, group: Group) -> Recipe:
    """Return the settings of TensorRT-LLM's pool that decodes, with graphs up to its batch.

    Batch slots are those of the next smaller batch, so that 5 to 50 % more clients than slots wait
    (ctx1_gen4_tep8_batch4_eplb0_mtp0_24, ctx2_gen1_dep16_batch256_eplb256_mtp0 with 4,301 clients).
    Groups without ranks in fp4 keep one batch for all numbers of clients, and those on B200 in fp8
    have more slots than clients. In fp8 on GB300 the recipes force two-sided exchanges
    (TRTLLM_FORCE_COMM_METHOD).
    """
    clients = measured.amount / (group.replicas * group.data_parallel)
    is_ample = measured.precision == "fp8" and measured.hardware == "B200"
    if is_ample:
        batch = next((size for size in _BATCHES if size >= clients), _BATCHES[-1])
    else:
        batch = max((size for size in _BATCHES if size <= clients), default=1)
    if is_ample or (measured.precision == "fp4" and group.data_parallel == 1):
        batch = max(batch, _FP4_BATCH)
    graphs: dict[str, Any] = {"graph_sizes": {"largest": batch}}
    fraction = 0.8 if group.data_parallel > 1 else 0.9
    if measured.precision == "fp8" and measured.hardware == "GB300" and group.data_parallel > 1:
        graphs["expert_exchange"] = "nvlink_two_sided"
    return Recipe(graphs, {"max_sequences": batch, "max_batched_tokens": batch}, fraction)


def _sglang(measured: MeasuredRun, role: Role, group: Group) -> Recipe:
    """Return the settings of SGLang's pools.

    Chunks are given for the whole group, and each rank takes its share. On B200 in fp8 the recipes
    for short prompts kept the chunk of a group without ranks. In fp8 on racks, experts are reached
    by DeepEP, and 32 of them are redundant.
    """
    chunk = _STEP_TOKENS
    is_fp8 = measured.precision == "fp8"
    if is_fp8 and measured.hardware == "B200":
        total = 131_072 if measured.isl >= _LONG and group.data_parallel > 1 else 32_768
        chunk = total // group.data_parallel
    elif group.data_parallel == 1:
        chunk = 32_768
    batching = {"max_sequences": 1024, "max_batched_tokens": chunk}
    fraction = 0.8 if role == "prefill" else 0.82
    if not (is_fp8 and measured.hardware in _RACKS and group.data_parallel > 1):
        return Recipe({}, batching, fraction)
    kind = "deepep_normal" if role == "prefill" else "deepep_low_latency"
    plan = {"redundant_experts": 32}
    return Recipe({"expert_exchange": kind}, batching, fraction, plan=plan)
