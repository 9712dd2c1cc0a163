"""Scenarios of measured runs."""

from __future__ import annotations

import re
from math import ceil
from typing import Any

from cluster_sim.calibration.measured_models import model_keys
from cluster_sim.deployment.fleet import resolve
from cluster_sim.errors import Fault, ScenarioError
from cluster_sim.loading.checks.scenario import faults_of
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import Document, catalog_names, describe, under
from cluster_sim.validation import mlperf
from cluster_sim.validation.layouts import Group
from cluster_sim.validation.measured import MeasuredRun
from cluster_sim.validation.names import NODES, PRECISIONS, model_name, node_devices
from cluster_sim.validation.stated_settings import (
    stated_batching,
    stated_kv_cache,
    stated_memory_fraction,
)
from cluster_sim.validation.vllm_recipes import recipe_of
from cluster_sim.validation.workloads import workload_of

_TABLE_GRAPHS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 384, 512, 1024, 2048, 4096, 8192)
"""Batch sizes of the CUDA graphs in TensorRT-LLM's throughput tables, from their configuration
(perf-overview.md)."""
_BATCH_WAIT = {"batch_wait_timeout_iterations": 20, "batch_wait_max_tokens_ratio": 0.5}
"""Batch waiting in InferenceMAX's scripts for Llama 70B on TensorRT-LLM.

The scripts delay new requests by at most 20 steps if prompts and answers have 1,024 tokens and there
are fewer than eight devices. The ratio of the token limit is an estimate; it is hardly ever reached,
and TTFT is equal for 0.5 and 1. Source: benchmarks/70b_*.sh of SemiAnalysisAI/InferenceX."""


def scenario_of(measured: MeasuredRun) -> Scenario:
    """Return the scenario of a measured run.

    `workload_of` gives the workload. For queued requests only the KV cache capacity limits the
    batch, up to 8,192 sequences, for which trtllm-bench records CUDA graphs. The KV cache has fp8,
    or bf16 if the weights have bf16. MLPerf runs have NVIDIA's limits, see `mlperf.limits`.

    Parameters
    ----------
    measured
        Measured run.

    Raises
    ------
    ScenarioError
        The model does not fit on the hardware.
    """
    model, engine = model_name(measured.model), measured.release.profile
    is_extra = model in catalog_names("measured_models")
    decode = _pool(measured, model, measured.group)
    pools = [decode | {"name": "pool"}]
    if measured.prefill is not None:
        decode["replica"]["role"] = "decode"
        prefill = _pool(measured, model, measured.prefill)
        prefill["replica"]["role"] = "prefill"
        pools = [prefill | {"name": "prefill"}, decode | {"name": "decode"}]
    data = {
        "name": re.sub(r"[^A-Za-z0-9_.-]+", "-", measured.name),
        "seed": 1,
        "drain": "1000 h",
        "model": model_keys(model) if is_extra else model,
        "workload": workload_of(measured, model),
        "cluster": {"pools": pools},
    }
    scenario = describe(Scenario, Document(data, measured.name))
    if engine.startswith("trtllm"):
        scenario = describe(
            Scenario, Document(_as_tensorrt_llm(data, scenario, measured), measured.name)
        )
    if faults := [
        Fault(measured.name, f"{under(trail)}{text}") for trail, text in faults_of(scenario)
    ]:
        raise ScenarioError(faults)
    return scenario


def _pool(measured: MeasuredRun, model: str, group: Group) -> dict[str, Any]:
    """Return the keys of the pool that holds one group's replicas, without its name."""
    fraction = stated_memory_fraction(measured) or recipe_of(measured).memory_fraction
    per_node = node_devices(measured.hardware) // group.devices
    nodes = measured.wafers or (ceil(group.replicas / per_node) if per_node else 1)
    return {
        "node": NODES.get(measured.hardware, measured.hardware),
        "nodes": nodes,
        "replicas": group.replicas,
        "replica": _replica(measured, group),
        "batching": _limits(measured, model),
        "kv": {"prefix_caching": measured.load == "sessions"}
        | ({} if fraction is None else {"memory_fraction": fraction}),
    }


def _as_tensorrt_llm(
    data: dict[str, Any], scenario: Scenario, measured: MeasuredRun
) -> dict[str, Any]:
    """Return `data` with memory and admission of TensorRT-LLM.

    TensorRT-LLM gives the KV cache 0.9 of the memory that is free after the weights are loaded; the
    engine profile takes 0.9 of all memory. It admits a request only if the KV cache can hold the
    whole answer, so it never preempts. For requests of one length this limits their number.
    """
    for number, pool in enumerate(scenario.cluster.pools):
        placement = resolve(scenario).deployments[number].placement
        capacity = pool.node.device.memory.capacity_bytes
        settings = data["cluster"]["pools"][number]
        if measured.dataset == "trtllm_perf_overview":
            settings["replica"]["engine"] = pool.replica.engine.model_dump(
                mode="json", by_alias=True
            ) | {"graph_batches": list(_TABLE_GRAPHS)}
        taken = placement.weight_bytes + pool.replica.engine.reserved_bytes
        settings["kv"] = {"memory_fraction": 0.9 + 0.1 * min(taken / capacity, 1.0)}
    if measured.load == "queued" and not measured.dataset.startswith("mlperf"):
        changed = describe(Scenario, Document(data, measured.name))
        kv_cache = resolve(changed).deployments[0].kv_cache
        held = kv_cache.whole_sequences(ceil(measured.isl + measured.osl))
        batching = data["cluster"]["pools"][0]["batching"]
        batching["max_sequences"] = min(max(held, 1), batching["max_sequences"])
    return data


def _replica(measured: MeasuredRun, group: Group) -> dict[str, Any]:
    """Return the keys of a replica: precision, engine, wafers or parallelism, and speculation.

    Multi-token prediction computes one layer and the output head per drafted token. The draft models
    of public APIs are not published. A model with a fifth of the layers, such as 1B for 70B, takes a
    fifth of the time on wafers, where the time of a layer does not depend on its width.
    """
    precision = PRECISIONS[measured.precision]
    plan: dict[str, Any] = {
        "weights": precision,
        "kv_cache": stated_kv_cache(measured)
        or recipe_of(measured).kv_cache
        or ("bf16" if precision == "bf16" else "fp8"),
        "engine": _engine(measured),
    }
    if measured.hardware == "CS-3":
        plan |= {"wafers": measured.wafers}
    else:
        plan |= {
            name: getattr(group, name)
            for name in ("tensor_parallel", "data_parallel", "expert_parallel")
        }
    if measured.speculation is not None:
        drafted, length = measured.speculation
        drafting = {"draft_cost": 0.2} if measured.hardware == "CS-3" else {"mtp_layers": 1}
        plan["speculation"] = {"draft_tokens": drafted, "acceptance_length": length} | drafting
    return plan


def _engine(measured: MeasuredRun) -> str | dict[str, Any]:
    """Return the engine profile of a run, with the changes of its script."""
    profile, changes = measured.release.profile, recipe_of(measured).engine
    return {"like": profile, **changes} if changes else profile


def _limits(measured: MeasuredRun, model: str) -> dict[str, Any]:
    """Return the batching limits that differ from the engine profile."""
    known, stated = mlperf.limits(measured, model), stated_batching(measured)
    if known is not None:
        return known
    if measured.load == "queued":
        return {"max_sequences": 8192, "max_batched_tokens": 16384} | stated
    if not measured.release.profile.startswith("trtllm"):
        return recipe_of(measured).batching | stated
    waits = (
        measured.dataset == "inferencemax_silicon"
        and model == "llama-3.3-70b"
        and measured.tensor_parallel < 8
        and measured.isl == measured.osl
    )
    return {"max_batched_tokens": 16384, **(_BATCH_WAIT if waits else {})} | stated
