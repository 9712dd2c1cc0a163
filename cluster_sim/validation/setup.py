"""A measured run as a scenario."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import ceil, exp, log, sqrt
from typing import Any

import numpy as np

from cluster_sim.deployment.fleet import resolve
from cluster_sim.errors import Fault, ScenarioError
from cluster_sim.loading.checks.scenario import faults_of
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import Document, describe, under
from cluster_sim.validation.measured import INLINE, MODELS, NODES, PRECISIONS, MeasuredRun

# Shares of requests (the keys) whose prompt or answer is not longer: the MLPerf data sets. The
# answers are those of the
# reference implementation; both are scaled to the mean lengths that the row gives. Source:
# mlperf-data/summaries of
# openshift-psap/performance-dashboard@71007029fb5b (Apache-2.0). The 8B run stops every answer at
# the same length.
_AT = (0.0, 0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)
_MLPERF_PROMPTS = {
    "llama-2-70b": (48, 73, 109, 152, 266, 519, 614, 791, 1021),
    "llama-3.1-405b": (476, 2783, 5996, 10112, 12281, 14156, 15831, 18956, 19988),
    "llama-3.1-8b": (79, 327, 544, 784, 1109, 1479, 1750, 2118, 2540),
}
_MLPERF_ANSWERS = {
    "llama-2-70b": (3, 15, 84, 190, 303, 449, 563, 779, 1016),
    "llama-3.1-405b": (3, 210, 436, 753, 855, 974, 1048, 1174, 1830),
}
# (max_sequences, max_batched_tokens) of NVIDIA's 8 x B200 submission, v5.1: closed/NVIDIA/configs.
# Other submitters of the
# same machine mostly copy them.
_MLPERF_LIMITS = {
    "llama-2-70b": {"Offline": (2048, 3584), "Server": (2048, 3584), "Interactive": (768, 768)},
    "llama-3.1-405b": {"Offline": (128, 1536), "Server": (256, 2048), "Interactive": (256, 1536)},
    "llama-3.1-8b": {
        "Offline": (6000, 12000),
        "Server": (6000, 12000),
        "Interactive": (6000, 12000),
    },
    "deepseek-r1": {"Offline": (512, 8192), "Server": (512, 8192), "Interactive": (512, 8192)},
}
# CUDA graphs of TensorRT-LLM's throughput tables: the batch sizes of the configuration that they
# were run with (perf-overview.md).
_TABLE_GRAPHS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 384, 512, 1024, 2048, 4096, 8192)
# Of the conversations of the multi-turn sweep: see `_conversations`.
_QUESTION, _ANSWER = 245.0, 620.0
_QUESTION_SIGMA, _ANSWER_VARIANCE = (
    sqrt(log(1.0 + (1609.18 / 295.58) ** 2)),
    log(1.0 + (410.91 / 441.34) ** 2),
)
# InferenceMAX's scripts for Llama 70B on TensorRT-LLM hold new requests back where prompts and
# answers are 1,024 tokens and devices
# fewer than eight: for 20 steps at most. The share of the token limit is not known here, and with
# one such request at a time
# hardly ever reached: TTFT is the same for 0.5 and 1. (benchmarks/70b_*.sh of
# SemiAnalysisAI/InferenceX; the ratio is an estimate)
_BATCH_WAIT = {"batch_wait_timeout_iterations": 20, "batch_wait_max_tokens_ratio": 0.5}
_MOST_REQUESTS = 100_000
"""No run is simulated with more: MLPerf's go on for 10 min (Offline) or 40 min (Server) at up to a
thousand requests a second."""


def scenario_of(measured: MeasuredRun) -> Scenario:
    """`measured` as a scenario.

    Clients: a closed loop of 10 requests a client. Sessions: conversations one after another, see
    `_conversations`.
    Queued: everything at time zero, at most `_MOST_REQUESTS` of them, in batches limited by KV room
    alone, up to the 8,192 for which trtllm-bench records CUDA graphs. Poisson: 40 min of arrivals,
    at most `_MOST_REQUESTS`. The KV cache is fp8, bf16 where the weights are. MLPerf: NVIDIA's
    limits, see `_MLPERF_LIMITS`. Raises ScenarioError where it does not fit.
    """
    model, node = (
        MODELS.get(measured.model, measured.model),
        NODES.get(measured.hardware, measured.hardware),
    )
    framework = measured.framework.lower()
    engine = next(
        (name for name in ("vllm", "sglang", "cerebras") if framework.startswith(name)), "trtllm"
    )
    if measured.at_launch:
        engine = "cerebras-2024-08"
    if measured.dataset == "b200_lowlatency":  # from a year before the other runs
        engine = "trtllm-2025-05"
    data = {
        "name": re.sub(r"[^A-Za-z0-9_.-]+", "-", measured.name),
        "seed": 1,
        "drain": "1000 h",
        "model": INLINE.get(model, model),
        "workload": _workload(measured, model),
        "cluster": {
            "pools": [
                {
                    "name": "pool",
                    "node": node,
                    "nodes": measured.wafers or 1,
                    "replicas": measured.replicas,
                    "replica": _replica(measured, engine),
                    "batching": _limits(measured, model, engine),
                    "kv": {"prefix_caching": measured.load == "sessions"},
                }
            ]
        },
    }
    scenario = describe(Scenario, Document(data, measured.name))
    if engine.startswith("trtllm"):
        scenario = describe(
            Scenario, Document(_as_tensorrt_llm(data, scenario, measured), measured.name)
        )
    if faults := [
        Fault(measured.name, f"{under(trail)}{what}") for trail, what in faults_of(scenario)
    ]:
        raise ScenarioError(faults)
    return scenario


def _as_tensorrt_llm(
    data: dict[str, Any], scenario: Scenario, measured: MeasuredRun
) -> dict[str, Any]:
    """`data` with memory and admission as TensorRT-LLM has them.

    It gives the KV cache 0.9 of what is free once the weights are loaded, where the engine's
    profile means 0.9 of all memory; and it admits a request only when its whole answer will fit, so
    that none is preempted: for requests of one length that is a limit on how many are there at
    once.
    """
    pool = scenario.cluster.pools[0]
    placement, capacity = (
        resolve(scenario).deployments[0].placement,
        pool.node.device.memory.capacity_bytes,
    )
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
        room = resolve(changed).deployments[0].kv_tokens
        blocks = ceil((measured.isl + measured.osl) / pool.block_tokens)
        settings["batching"]["max_sequences"] = min(
            max(room // (blocks * pool.block_tokens), 1), settings["batching"]["max_sequences"]
        )
    return data


def _replica(measured: MeasuredRun, engine: str) -> dict[str, Any]:
    """The plan of one copy: wafers, or devices and how they share; and what drafts.

    Multi-token prediction passes one layer and the output head for each drafted token. What drafts
    behind an API is not published: a model with a fifth of the layers, such as 1B beside 70B, takes
    a fifth of the time on wafers, where layers take theirs whatever their width.
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


def _workload(measured: MeasuredRun, model: str) -> dict[str, Any]:
    if measured.load == "sessions":
        return {"sessions": _conversations(measured)}
    prompts, answers = _lengths(measured, model)
    return {"arrivals": _arrivals(measured), "prompt_tokens": prompts, "output_tokens": answers}


def _conversations(measured: MeasuredRun) -> dict[str, Any]:
    """The conversations of the multi-turn sweep, the same in every run, one after another by each
    of its clients.

    What its rows say together: 250 tokens of a prompt are not found in the cache whatever the
    number of clients, half a block of them lost to whole blocks; answers have 610 tokens with 16
    clients; and mean prompts fall from 2,105 with 16 clients as they do where all begin with their
    first turn and end after some 6,600 requests together. Then a prompt, k - 1 times a question and
    an answer and one question more, is of the turn k = 3.2 in the mean, and there are 5.4 turns.
    Each client asks again as soon as it is
    answered: rate times latency is the number of clients in every row. Lengths spread as in
    WildChat, from which the conversations
    are: 295.6 +- 1609 tokens of people and 441 +- 411 of answers (Zhao et al., arXiv 2405.01470,
    table 1), log-normal; half of the variance of the logarithm of answers lies between
    conversations (estimate).
    """
    half = sqrt(_ANSWER_VARIANCE / 2.0)
    asked, answered = (
        {"distribution": "lognormal", "median": mean * exp(-0.5 * sigma**2), "sigma": sigma}
        for mean, sigma in ((_QUESTION, _QUESTION_SIGMA), (_ANSWER, half))
    )
    return {
        "concurrency": int(measured.amount),
        "requests": 6600,
        "turns": {"median": 5.85, "sigma": 0.1, "max": 10},
        "first_tokens": asked,
        "user_tokens": asked,
        "output_tokens": answered,
        "output_sigma": half,
        "user_gap": "0 s",
    }


def _arrivals(measured: MeasuredRun) -> dict[str, Any]:
    if measured.load == "clients":
        return {
            "process": "closed_loop",
            "concurrency": int(measured.amount),
            "requests": 10 * int(measured.amount),
        }
    if measured.load == "poisson":
        return {
            "process": "poisson",
            "rate": f"{measured.amount:g} /s",
            "requests": min(round(2400.0 * measured.amount), _MOST_REQUESTS),
        }
    return {
        "process": "at_once",
        "requests": 1
        if measured.load == "none"
        else min(round(measured.amount) or _MOST_REQUESTS, _MOST_REQUESTS),
    }


def _lengths(measured: MeasuredRun, model: str) -> tuple[Any, Any]:
    """Distributions of prompts and answers: as nominal, spread as InferenceMAX does, or as in the
    MLPerf data sets.
    """
    if measured.dataset.startswith("mlperf") and model in _MLPERF_PROMPTS:
        answers = _MLPERF_ANSWERS.get(model)
        return _scaled(_MLPERF_PROMPTS[model], measured.isl), _scaled(
            answers, measured.osl
        ) if answers else round(measured.osl)
    if measured.spread:
        spread = [
            {"distribution": "uniform", "low": round(0.8 * nominal), "high": round(nominal)}
            for nominal in (measured.isl, measured.osl)
        ]
        return spread[0], spread[1]
    return round(measured.isl), round(measured.osl)


def _scaled(lengths: Sequence[float], mean: float) -> dict[str, Any]:
    factor = mean / float(np.trapezoid(lengths, _AT))
    return {
        "distribution": "empirical",
        "quantiles": {
            at: max(factor * length, 1.0) for at, length in zip(_AT, lengths, strict=True)
        },
    }


def _limits(measured: MeasuredRun, model: str, engine: str) -> dict[str, float]:
    """Batching limits that differ from the engine's profile."""
    if measured.dataset.startswith("mlperf") and model in _MLPERF_LIMITS:
        scenario = next(
            (name for name in ("Interactive", "Server") if f"|{name}" in measured.split_key),
            "Offline",
        )
        sequences, tokens = _MLPERF_LIMITS[model][scenario]
        return {"max_sequences": sequences, "max_batched_tokens": tokens}
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
