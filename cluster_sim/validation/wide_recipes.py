"""Settings of groups of devices that decode or prefill alone, as engines run wide groups.

Their rows state a layout and a load, and no more. SGLang's settings are those of its instructions
for wide groups (sgl-project/sglang issue 6017; on GB200 recipes/gb200-fp8 of
NVIDIA/srt-slurm@eb889c08), vLLM's those of its recipes
(docs/serving/expert_parallel_deployment.md), TensorRT-LLM's those of examples/wide_ep.
"""

from __future__ import annotations

from typing import Any

from cluster_sim.hardware.precision import Precision
from cluster_sim.llm.model import Model
from cluster_sim.validation.measured import MeasuredRun
from cluster_sim.validation.recipe import Recipe

ALONE = ("decode", "prefill")
"""Loads of groups that do one thing alone."""
_SIGMA = 1.05
"""Spread of the popularity of experts: the logarithm's standard deviation, with which four
published statistics of DeepSeek-R1 are met (physics.expert_popularity)."""
_REDUNDANT = 32
"""Number of redundant experts in all of these settings, if the group divides the slots."""
_WIDE_DEVICES = 16
"""Number of devices from which a group has redundant experts and exchanges of its own."""
_STEP_TOKENS = 16_384
"""Tokens of a step that prefills, per rank: --chunked-prefill-size 524288 for 32 ranks."""
_STATIC = {True: 0.846, False: 0.82}
"""Share of memory for weights and KV cache that SGLang gets (--mem-fraction-static), on Hopper and
on other devices."""
_HOPPER = ("H100", "H200", "H800")


def recipe_of(measured: MeasuredRun, model: Model) -> Recipe:
    """Return the settings of a group alone.

    Two batches overlap on Hopper, where exchanges leave the node. The KV cache has 16 bit there
    with SGLang and vLLM, their default.

    Parameters
    ----------
    measured
        Run of a group alone.
    model
        Model of the run.
    """
    group, is_hopper = measured.group, measured.hardware in _HOPPER
    plan: dict[str, Any] = {}
    if model.experts is not None and group.data_parallel > 1:
        plan["expert_load"] = {"sigma": _SIGMA}
        if group.devices >= _WIDE_DEVICES:
            plan["redundant_experts"] = redundant(model.experts.count, group.expert_parallel)
            if is_hopper:
                plan["overlap"] = "two_batch"
    batching: dict[str, Any] = {"max_batched_tokens": _STEP_TOKENS}
    if measured.load == "decode":
        per_rank = round(measured.amount * group.devices / group.data_parallel) or 1024
        batching["max_sequences"] = per_rank
    is_16_bit = is_hopper and not measured.release.profile.startswith("trtllm")
    kv_cache: Precision = "bf16" if is_16_bit else "fp8"
    is_sglang = measured.release.profile.startswith("sglang")
    return Recipe({}, batching, _STATIC[is_hopper] if is_sglang else None, kv_cache, plan)


def redundant(experts: int, groups: int) -> int:
    """Return the number of redundant experts with which all groups hold as many: 32, or more.

    >>> redundant(256, 72), redundant(256, 64)
    (32, 64)
    """
    return next(
        extra for extra in range(_REDUNDANT, _REDUNDANT + groups) if (experts + extra) % groups == 0
    )
