"""Draws how experts are spread, loaded and exchanged, and tiers that replicas share.

As in `random_scenarios.py` nothing is imported from the simulator, every choice comes from `random`
and the plainest comes first.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from tests.random_engines import chance
from tests.random_failures import links_fail

Section = dict[str, Any]

DEEPEP = ("deepep_low_latency", "deepep_normal")
NCCL = ("nccl_all_to_all",)
NVLINK = ("nvlink_one_sided", "nvlink_two_sided")


@dataclass(frozen=True)
class Experts:
    """What has to be known of a model and a node to draw plans that mostly fit."""

    count: int
    """Number of experts in a layer."""
    per_node: int
    """Number of devices of a node."""
    kinds: tuple[str, ...] = ()
    """Exchanges beside all-gather and reduce-scatter for which the device has figures."""
    engine: str = "vllm"
    """Profile of the engine: only vllm has groups of unequal size without further copies."""
    has_fused: bool = False
    """Whether one kernel of the device may run experts and exchange."""


def load_experts(random: Random, plan: Section, experts: Experts, folder: Path | None) -> None:
    """Draw popularity and copies of experts; a routing trace is written into `folder`."""
    loads: list[Any] = [{"sigma": 1.05}, "even", {"sigma": 0.3}]
    load = random.choice([*loads, "trace"] if folder else loads)
    if folder and load == "trace":
        load = {"path": _routing(random, experts, folder)}
    plan["expert_load"] = load
    groups = plan.get("expert_parallel", 1)
    is_uneven = experts.count % groups > 0 and experts.engine != "vllm"
    if groups > 1 and (is_uneven or chance(random, 0.4)):
        copies = -experts.count % groups + groups * random.choice([1, 2, 0])
        if copies:
            plan["redundant_experts"] = copies
            if load != "even" and chance(random, 0.3):
                plan["expert_load"] = load | {"drift": random.choice([0.0, 0.5])}


def _routing(random: Random, experts: Experts, folder: Path) -> str:
    """Write a routing trace of two layers, in which some experts get no tokens."""
    rows = ["layer_id,expert_id,count"]
    for layer in range(2):
        for expert in range(experts.count):
            count = random.choice([100, 1, 10, 0] if expert > 2 else [100, 1, 10])
            rows.append(f"{layer},{expert},{count}")
    path = folder / f"routing{experts.count}.csv"
    path.write_text("\n".join(rows) + "\n")
    return str(path)


def exchange_experts(random: Random, plan: Section, experts: Experts) -> None:
    """Draw the exchange of experts between attention ranks, and what runs beside it."""
    data = plan.get("data_parallel", 1)
    if data == 1:
        return
    devices = data * plan.get("tensor_parallel", 1)
    in_one_node = devices <= experts.per_node
    own = _own(plan)
    are_whole = plan.get("expert_parallel", 1) == devices
    if are_whole and data == devices and in_one_node and experts.has_fused and chance(random, 0.6):
        own["fused_experts"] = True
        return
    kinds = ["fastest_collective", "all_gather_reduce_scatter"]
    if in_one_node:
        kinds += [kind for kind in experts.kinds if kind in NCCL or (are_whole and kind in NVLINK)]
    phases = {"prefill": "deepep_normal", "decode": "deepep_low_latency"}
    if are_whole and set(DEEPEP) <= set(experts.kinds) and chance(random, 0.6):
        own["expert_exchange"] = random.choice([phases, *DEEPEP])
        if experts.engine in ("vllm", "sglang") and chance(random, 0.6):
            plan["overlap"] = "two_batch"
            if chance(random, 0.5):
                own["two_batch_from"] = {"decode_tokens": 3, "prompt_tokens": 40}
    elif chance(random, 0.5):
        own["expert_exchange"] = random.choice(kinds)


def _own(plan: Section) -> Section:
    """The engine of a plan as a mapping, to which keys may be added."""
    if not isinstance(plan["engine"], dict):
        plan["engine"] = {"like": plan["engine"]}
    own: Section = plan["engine"]
    return own


def share_tier(random: Random, scenario: Section, pools: list[Section], size: str) -> None:
    """Let these pools keep evicted blocks in a tier that their replicas share.

    None is drawn where links fail, beside which it is refused.
    """
    sharing = [pool for pool in pools if _can_share(pool)]
    if not sharing or links_fail(scenario):
        return
    tier: Section = {"tier": "store", "capacity": size, "bandwidth": random.choice(["10 GB/s", "5 MB/s"])}  # fmt: skip
    if chance(random, 0.4):
        tier |= {"store_bandwidth": "20 MB/s", "latency": "2 ms"}
    layouts = {_layout(pool) for pool in sharing}
    tier["shared"] = random.choice(["pool", *(["cluster"] if len(layouts) == 1 else [])])
    for pool in sharing:
        kv = pool.setdefault("kv", {})
        kv |= {"prefix_caching": True, "offload": [*kv.get("offload", [])[:1], tier]}


def _can_share(pool: Section) -> bool:
    is_static = pool.get("batching", {}).get("policy") == "static"
    return not is_static and pool["replica"].get("role") != "decode"


def _layout(pool: Section) -> str:
    """Keys of a pool on which the content of its blocks depends."""
    plan, kv = pool["replica"], pool.get("kv", {})
    keys = ("tensor_parallel", "pipeline_parallel", "kv_cache")
    own = plan["engine"].get("block_tokens") if isinstance(plan["engine"], dict) else plan["engine"]
    return str([*(plan.get(key) for key in keys), kv.get("block_tokens", own)])
