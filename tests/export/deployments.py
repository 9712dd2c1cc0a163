"""Draws deployments on GPUs of the catalog: layouts, formats, limits, drafts, roles, engines' own keys.

`draw(random, engine)` gives what a scenario file holds. Not every draw fits: `scenario_of` says so.
"""

from __future__ import annotations

from random import Random
from typing import Any

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.deployment.fleet import resolve
from cluster_sim.errors import ScenarioError
from cluster_sim.loading.checks.scenario import faults_of
from cluster_sim.physics.step_work import StepWork
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import Document, describe

Section = dict[str, Any]

ENGINES = {
    "vllm": ["vllm-0.22", "vllm-0.10", "vllm-0.15", "vllm-0.28"],
    "sglang": ["sglang-0.5", "sglang-0.4"],
    "trtllm": ["trtllm-1.2", "trtllm-1.0"],
}
DENSE = ["llama-3.1-8b", "llama-3.3-70b"]
OF_EXPERTS = ["qwen3-30b", "gpt-oss-120b", "deepseek-r1"]


def draw(random: Random, target: str) -> Section:
    """Draw one scenario whose pools run on an engine of this target."""
    model = random.choice(DENSE + OF_EXPERTS)
    roles = random.choice([["both"], ["both", "both"], ["prefill", "decode"]])
    pools = [_pool(random, target, model, role) for role in roles]
    cluster: Section = {"pools": pools}
    if _maybe(random):
        cluster["router"] = {"policy": random.choice(["round_robin", "random", "least_work", "power_of_two"])}  # fmt: skip
    if roles != ["both"] and roles[0] == "prefill" and _maybe(random):
        cluster["disaggregation"] = {"policy": "round_robin", "kv_transfer": "whole"}
    if _maybe(random, 0.2):
        cluster["admission"] = {"policy": "queue_limit", "max_waiting": 9}
    return {
        "name": "drawn",
        "duration": "10 s",
        "model": model if _maybe(random, 0.8) else {"like": model, "max_context": 20_000},
        "workload": {
            "arrivals": {"process": "poisson", "rate": "2 /s"},
            "prompt_tokens": 100,
            "output_tokens": 20,
        },
        "cluster": cluster,
    }


def _pool(random: Random, target: str, model: str, role: str) -> Section:
    experts = model in OF_EXPERTS
    tensor = random.choice([1, 2, 4, 8])
    data = random.choice([1, 8 // tensor]) if experts else 1
    replica: Section = {
        "tensor_parallel": tensor,
        "data_parallel": data,
        "pipeline_parallel": random.choice([1, 1, 1, 2]),
        "expert_parallel": random.choice([1, tensor * data, 2]) if experts else 1,
        "kv_cache": random.choice(["bf16", "fp8"]),
        "engine": _engine(random, target),
        "role": role,
    }
    if _maybe(random):
        replica["weights"] = random.choice(["bf16", "fp8", "fp4"])
    if role != "prefill" and _maybe(random, 0.3):
        replica["speculation"] = _drafts(random)
    pool: Section = {
        "name": f"{role}-{random.randint(0, 9)}",
        "node": random.choice(["dgx-h100", "dgx-h200", "dgx-b200"]),
        "nodes": random.choice([1, 2, 4]),
        "replica": replica,
    }
    if _maybe(random, 0.3):
        pool["replicas"] = 1
    if _maybe(random, 0.1):
        pool["power_limit"] = "600 W"
    if batching := _batching(random, target):
        pool["batching"] = batching
    if kv := _kv(random, target):
        pool["kv"] = kv
    return pool


def _engine(random: Random, target: str) -> Any:
    name = random.choice(ENGINES[target])
    if _maybe(random, 0.6):
        return name
    changes: list[Section] = [
        {"stream_interval": 4},
        {"async_scheduling": False},
        {"detokenisation": "2 ms"},
        {"graph_mode": "none"},
        {"graph_mode": "full_decode_only"},
        {"graph_sizes": {"sizes": [1, 2, 4, 8, 16, 64], "ranges": []}},
        {"max_sequences": 96},
        {"memory_fraction": 0.8},
    ]
    return {"like": name} | random.choice(changes)


def _drafts(random: Random) -> Section:
    kept: Section = random.choice([{"acceptance": 0.6}, {"acceptance_length": 2.1}])
    cost: Section = random.choice([{}, {"mtp_layers": 1}, {"draft_cost": 0.1}])
    return {"draft_tokens": random.randint(2, 4), **kept, **cost}


def _batching(random: Random, target: str) -> Section:
    batching: Section = {}
    if _maybe(random, 0.05):
        return {"policy": "static", "max_sequences": 16}
    if _maybe(random):
        batching["max_sequences"] = random.choice([16, 128, 300])
    if _maybe(random):
        batching["max_batched_tokens"] = random.choice([4096, 8192, 10_000])
    if _maybe(random, 0.2):
        batching["order"] = random.choice(["priority", "shortest_first"])
    if _maybe(random, 0.1):
        batching["chunked_prefill"] = False
    if target == "trtllm" and _maybe(random, 0.4):
        batching |= random.choice(
            [
                {"batch_wait_timeout_iterations": 20, "batch_wait_max_tokens_ratio": 0.5},
                {
                    "attention_dp_timeout_iterations": 50,
                    "attention_dp_batching_wait_iterations": 10,
                },
                {"capacity_scheduler_policy": "max_utilization"},
            ]
        )
    elif target == "vllm" and _maybe(random, 0.2):
        policies = ["first_chunk", "full_isl", "max_utilization"]
        batching["capacity_scheduler_policy"] = random.choice(policies)
    elif target == "sglang" and _maybe(random, 0.4):
        batching["prefill_first"] = random.choice(
            [
                {"mixed_chunks": True, "conservativeness": 0.3},
                {"ignore_eos": True, "max_prefill_tokens": 4096},
                {"schedule_policy": "lpm", "receive_interval": 10},
            ]
        )
    return batching


def _kv(random: Random, target: str) -> Section:
    kv: Section = {}
    if _maybe(random):
        kv["prefix_caching"] = True
        if _maybe(random, 0.3):
            kv["offload"] = [{"tier": "host", "capacity": "64 GB", "bandwidth": "50 GB/s"}]
    if _maybe(random, 0.3):
        kv["memory_fraction"] = random.choice([0.85, 0.7])
    if _maybe(random, 0.3):
        kv["block_tokens"] = random.choice([16, 32, 64])
    if _maybe(random, 0.1) and target != "sglang":
        kv["watermark"] = 0.02
    return kv


def _maybe(random: Random, chance: float = 0.5) -> bool:
    return random.random() < chance


def scenario_of(keys: Section) -> Scenario | None:
    """Return the scenario of drawn keys; None if it does not fit."""
    try:
        scenario = describe(Scenario, Document(keys, "drawn"))
        return None if list(faults_of(scenario)) else scenario
    except ScenarioError:
        return None


_LIMITS = ("max_sequences", "max_batched_tokens", "chunked_prefill")
_KV = ("block_tokens", "memory_fraction", "watermark")
_RULES = (
    "attention_dp_batching_wait_iterations",
    "attention_dp_timeout_iterations",
    "batch_wait_timeout_iterations",
    "batch_wait_max_tokens_ratio",
    "capacity_scheduler_policy",
    "prefill_first",
)
_GRAPHS = ("graph_mode", "graph_sizes", "prefill_graph_sizes")
_TEXTS = ("name", "releases", "fitted_on", "by_device")


def whole(deployment: Deployment) -> Section:
    """Everything of a deployment that a run depends on, with the engine's values filled in."""
    pool = deployment.pool
    engine, plan = pool.engine, pool.replica
    chosen = pool.batching.with_defaults(engine)
    work = StepWork(batch=4, counted=4, context=4000.0, sampled=4)
    ranks = plan.data_parallel
    drafts = plan.speculation.draft_tokens if plan.speculation else 0
    limits = (pool.max_sequences // ranks, pool.max_batched_tokens // ranks, drafts)
    return {
        "pool": pool.model_dump(include={"name", "node", "nodes", "prices", "power_limit_w"}),
        "replicas": deployment.replica_count,
        "plan": plan.model_dump(exclude={"engine", "weights"}),
        "weights": deployment.weights,
        "engine": engine.model_dump(exclude={*_LIMITS, *_KV, *_RULES, *_GRAPHS, *_TEXTS}),
        "release": engine.profile,
        "limits": (*limits, pool.chunked_prefill),
        "graphs": None if engine.graph_mode is None else engine.graphs(_step_limits(limits)),
        "batching": chosen.model_dump(exclude={*_LIMITS}),
        "kv": pool.kv.model_dump(exclude={*_KV}),
        "memory": (deployment.kv_cache, deployment.placement),
        "step": deployment.step_times.ramp(work).first_s,
        "model": deployment.model.model_dump(exclude={"name", "notes"}),
    }


def _step_limits(limits: tuple[int, int, int]) -> Any:
    from cluster_sim.serving.graphs import StepLimits

    return StepLimits(*limits)


def wholes(scenario: Scenario) -> list[Section]:
    return [whole(deployment) for deployment in resolve(scenario).deployments]
