"""Draws how an engine schedules, captures graphs, takes memory and streams, for random scenarios.

As in `random_scenarios.py` nothing is imported from the simulator, every choice comes from `random`
and the plainest comes first.
"""

from __future__ import annotations

from random import Random
from typing import Any

Section = dict[str, Any]

POLICIES = ("first_chunk", "full_isl", "guaranteed_no_evict", "max_utilization")
RANK_RULES = (
    "round_robin", "total_requests", "total_tokens", "waiting_and_running", "active_tokens",
)  # fmt: skip
GRAPH_MODES = ("full_and_piecewise", "none", "piecewise", "full", "full_decode_only")


def chance(random: Random, share: float) -> bool:
    """Whether a thing is there that mostly is not; the lowest draw says no."""
    return random.random() >= 1.0 - share


def random_engine(random: Random, names: tuple[str, ...], has_graphs: bool) -> Any:
    """Draw the name of a profile, or a mapping that changes one."""
    name = random.choice(names)
    if not chance(random, 0.5):
        return name
    engine: Section = {"like": name}
    if has_graphs and chance(random, 0.5):
        engine |= graphs(random, ([1, 2, 4, 8, 16, 32, 64], [8], [1, 128, 512, 2048]), "1 GB")
    memory_base = random.choice(["free", "all"]) if chance(random, 0.3) else None
    if has_graphs and memory_base:
        engine["memory_base"] = memory_base
    if has_graphs and chance(random, 0.2):
        engine["static_reserve"] = {"fixed": "4 GB", "per_step_token": "0.5 MB"}
    if chance(random, 0.3):
        rows = [{"min_memory": "100 GB", "max_sequences": 200}, {"max_batched_tokens": 4096}]
        every = {"max_sequences": 128, "max_batched_tokens": 8192}
        engine["by_device"] = [*rows[: random.randint(1, 2)], every]
    if chance(random, 0.4):
        engine["async_scheduling"] = True
    engine |= streams(random)
    return engine


def graphs(random: Random, sizes: tuple[list[int], ...], first: str) -> Section:
    """Draw CUDA graphs in a mode, with their memory."""
    return {
        "graph_mode": random.choice(GRAPH_MODES),
        "graph_sizes": {
            "unit": "tokens",
            "sizes": random.choice(sizes),
            "per_sequence": random.choice([2, 1]),
            "padding": random.random() < 0.7,
        },
        "graph_memory": {"first": random.choice(["0 B", first])},
    }


def streams(random: Random) -> Section:
    """Draw how clients get the tokens of an answer."""
    drawn: Section = {}
    if chance(random, 0.4):
        drawn["stream_interval"] = random.choice([2, 10, 100])
        drawn["stream_rule"] = random.choice(["unsent", "tokens", "steps"])
    if chance(random, 0.15):
        drawn["first_chunk_delay"] = random.choice([3, 20])
    if chance(random, 0.15):
        drawn["detokenisation"] = random.choice(["1 ms", "30 ms"])
    return drawn


def scheduler(random: Random) -> Section:
    """Draw the rules of admission, for the engine or for the batching of a pool."""
    if not chance(random, 0.6):
        return {}
    kind = random.choice([*POLICIES, "prefill_first"])
    if kind != "prefill_first":
        return {"capacity_scheduler_policy": kind}
    rules: list[Section] = [
        {}, {"mixed_chunks": True}, {"ignore_eos": True},
        {"conservativeness": 0.3, "max_prefill_tokens": 2048}, {"receive_interval": 8},
    ]  # fmt: skip
    return {"prefill_first": random.choice(rules)}


def without_contradictions(pool: Section) -> None:
    """Remove what the scheduler of a pool ignores, which the loader refuses."""
    batching, kv = pool.get("batching", {}), pool.get("kv", {})
    engine = pool["replica"].get("engine", {})
    own = engine if isinstance(engine, dict) else {}
    role = pool["replica"].get("role", "both")
    if role != "both":
        batching.pop("prefill_first", None)
    if role == "prefill":
        for key in _WITH_VLLM:
            batching.pop(key, None)
    name = str(own.get("like", engine))
    policy = batching.get("capacity_scheduler_policy") or own.get("capacity_scheduler_policy")
    if policy is None and name.startswith("trtllm"):
        policy = "guaranteed_no_evict"
    of_engine = own.get("prefill_first", {} if name.startswith("sglang") else None)
    prefills = "prefill_first" in batching or of_engine is not None
    is_first = role == "both" and prefills and batching.get("policy") != "static"
    if is_first:
        for section in (batching, own):
            for key in _WITH_VLLM:
                section.pop(key, None)
    if is_first or role == "prefill" or policy == "guaranteed_no_evict":
        for key in ("preemption", "swap_space", "swap_bandwidth"):
            kv.pop(key, None)
    if is_first or policy == "guaranteed_no_evict":
        kv.pop("watermark", None)
    if role == "decode" or batching.get("policy") == "static":
        own.pop("async_scheduling", None)
    if role == "prefill":
        for key in _OF_ANSWERS:
            own.pop(key, None)
    if pool["replica"].get("data_parallel", 1) == 1:
        batching.pop("load_balance_method", None)
    if pool["replica"].get("data_parallel", 1) == 1 or is_first:
        for key in _OF_RANKS:
            batching.pop(key, None)
    elif "attention_dp_timeout_iterations" in batching:
        for key in _WITH_VLLM[1:]:
            batching.pop(key, None)


_OF_ANSWERS = ("stream_interval", "stream_rule", "first_chunk_delay", "detokenisation")
"""Keys of the path of answers, which pools of the role decode have."""
_OF_RANKS = ("attention_dp_timeout_iterations", "attention_dp_batching_wait_iterations")
_WITH_VLLM = (
    "capacity_scheduler_policy", "batch_wait_timeout_iterations", "batch_wait_max_tokens_ratio",
)  # fmt: skip
"""Keys that steps which prefill instead of decode do not have."""
