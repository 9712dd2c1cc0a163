"""A measured run as a scenario."""

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
from cluster_sim.validation.measured import MeasuredRun
from cluster_sim.validation.names import NODES, PRECISIONS, model_name
from cluster_sim.validation.workloads import workload_of

_TABLE_GRAPHS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 384, 512, 1024, 2048, 4096, 8192)
"""Batch sizes of CUDA graphs of TensorRT-LLM's throughput tables, from the configuration that they
were run with (perf-overview.md)."""
_BATCH_WAIT = {"batch_wait_timeout_iterations": 20, "batch_wait_max_tokens_ratio": 0.5}
"""Batch waiting of InferenceMAX's scripts for Llama 70B on TensorRT-LLM.

They hold new requests back where prompts and answers are 1,024 tokens and devices fewer than eight:
for 20 steps at most. The share of the token limit is not known here, and with one such request at a
time hardly ever reached: TTFT is the same for 0.5 and 1. (benchmarks/70b_*.sh of
SemiAnalysisAI/InferenceX; the ratio is an estimate)"""


def scenario_of(measured: MeasuredRun) -> Scenario:
    """Return `measured` as a scenario.

    The workload is that of `workload_of`. Queued requests run in batches that KV cache capacity
    alone limits, up to the 8,192 for which trtllm-bench records CUDA graphs. The KV cache is fp8,
    bf16 where the weights are. MLPerf has NVIDIA's limits, see `mlperf.limits`.

    Raises
    ------
    ScenarioError
        The run does not fit its machine.
    """
    model, engine = model_name(measured.model), _engine(measured)
    is_extra = model in catalog_names("measured_models")
    pool = {
        "name": "pool",
        "node": NODES.get(measured.hardware, measured.hardware),
        "nodes": measured.wafers or 1,
        "replicas": measured.replicas,
        "replica": _replica(measured, engine),
        "batching": _limits(measured, model, engine),
        "kv": {"prefix_caching": measured.load == "sessions"},
    }
    data = {
        "name": re.sub(r"[^A-Za-z0-9_.-]+", "-", measured.name),
        "seed": 1,
        "drain": "1000 h",
        "model": model_keys(model) if is_extra else model,
        "workload": workload_of(measured, model),
        "cluster": {"pools": [pool]},
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


def _engine(measured: MeasuredRun) -> str:
    """Return the engine profile of a run."""
    if measured.dataset == "b200_lowlatency":  # from a year before the other runs
        return "trtllm-2025-05"
    if measured.at_launch:
        return "cerebras-2024-08"
    framework = measured.framework.lower()
    return next(
        (name for name in ("vllm", "sglang", "cerebras") if framework.startswith(name)), "trtllm"
    )


def _as_tensorrt_llm(
    data: dict[str, Any], scenario: Scenario, measured: MeasuredRun
) -> dict[str, Any]:
    """Return `data` with memory and admission of TensorRT-LLM.

    It gives the KV cache 0.9 of the memory that is free once the weights are loaded, where the
    engine's profile means 0.9 of all memory. It admits a request only when its whole answer will
    fit, so that none is preempted: for requests of one length that is a limit on their number.
    """
    pool = scenario.cluster.pools[0]
    placement = resolve(scenario).deployments[0].placement
    capacity = pool.node.device.memory.capacity_bytes
    settings = data["cluster"]["pools"][0]
    if measured.dataset == "trtllm_perf_overview":
        settings["replica"]["engine"] = pool.replica.engine.model_dump(
            mode="json", by_alias=True
        ) | {"graph_batches": list(_TABLE_GRAPHS)}
    settings["kv"] = {
        "memory_fraction": 0.9
        + 0.1 * min((placement.weight_bytes + pool.replica.engine.reserved_bytes) / capacity, 1.0)
    }
    if measured.load == "queued" and not measured.dataset.startswith("mlperf"):
        changed = describe(Scenario, Document(data, measured.name))
        kv_cache = resolve(changed).deployments[0].kv_cache
        held = kv_cache.whole_sequences(ceil(measured.isl + measured.osl))
        settings["batching"]["max_sequences"] = min(
            max(held, 1),
            settings["batching"]["max_sequences"],
        )
    return data


def _replica(measured: MeasuredRun, engine: str) -> dict[str, Any]:
    """Return the plan of one replica: wafers, or devices and how they share; and speculation.

    Multi-token prediction passes one layer and the output head for each drafted token. The drafting
    model behind an API is not published: one with a fifth of the layers, such as 1B beside 70B,
    takes a fifth of the time on wafers, where a layer's time does not depend on its width.
    """
    precision = PRECISIONS[measured.precision]
    plan: dict[str, Any] = {
        "weights": precision,
        "kv_cache": "bf16" if precision == "bf16" else "fp8",
        "engine": engine,
    }
    if measured.hardware == "CS-3":
        plan |= {"wafers": measured.wafers}
    else:
        plan |= {
            name: getattr(measured, name)
            for name in ("tensor_parallel", "data_parallel", "expert_parallel")
        }
    if measured.speculation is not None:
        drafted, length = measured.speculation
        drafting = {"draft_cost": 0.2} if measured.hardware == "CS-3" else {"mtp_layers": 1}
        plan["speculation"] = {"draft_tokens": drafted, "acceptance_length": length} | drafting
    return plan


def _limits(measured: MeasuredRun, model: str, engine: str) -> dict[str, float]:
    """Return batching limits that differ from the engine's profile."""
    known = mlperf.limits(measured, model)
    if known is not None:
        return known
    if measured.load == "queued":
        return {"max_sequences": 8192, "max_batched_tokens": 16384}
    if not engine.startswith("trtllm"):
        return {}
    waits = (
        measured.dataset == "inferencemax_silicon"
        and model == "llama-3.3-70b"
        and measured.tensor_parallel < 8
        and measured.isl == measured.osl
    )
    return {"max_batched_tokens": 16384, **(_BATCH_WAIT if waits else {})}
