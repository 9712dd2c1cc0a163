"""Draws tiny scenarios at random: machines that are full within a second and too hot within two.

`tiny_scenario(random, folder)` gives what a scenario file holds. Every choice comes from `random`, the
plainest first, so that a seed fixes the scenario and Hypothesis can shrink it. Replicas of every
role are lost while requests wait, are prefilled, are sent and decode; batches and KV caches are
full; prompts and answers are one token long; runs end before their warm-up or in mid-transfer.
"""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

from tests import random_engines
from tests.machines import (
    COOLING,
    GOVERNOR,
    LIMITS,
    POWER,
    REFRESH,
    SMALL_GPU,
    TIERS,
    TINY_MODEL,
    WAFER,
    engine,
    node,
)
from tests.random_autoscaling import let_scale
from tests.random_experts import (
    DEEPEP,
    NCCL,
    NVLINK,
    Experts,
    exchange_experts,
    load_experts,
    share_tier,
)
from tests.random_failures import let_fail, links_fail

Section = dict[str, Any]

SWITCH = {
    "between": ["device", "switch"],
    "kind": "nvlink",
    "bandwidth": "2 GB/s",
    "latency": "1 us",
}
"""Link of each device to the switch of its scale-up domain."""
_START = {"start": "9 us", "link_bandwidth": "0.4 GB/s"}
_WAY = {"start": "20 us", "processor_bandwidth": "50 MB/s", "link_bandwidth": "0.3 GB/s"}
_FUSED = {"start": "10 us", "bandwidth": "0.6 GB/s", "compute": "0.4 GFLOP/s", "knee": 2}
EXPERT_FITS: Section = {
    "collectives": dict.fromkeys(("all_gather", "reduce_scatter", "all_to_all"), _START),
    "exchanges": {kind: {"dispatch": _WAY, "combine": _WAY} for kind in (*DEEPEP, *NVLINK)},
    "kernels": {"fused_experts": {"bf16": _FUSED | {"link_bandwidth": "0.3 GB/s", "devices": 8}}},
}
"""What the file of a device has for the exchange of experts."""
HOT: Section = {"power": POWER, "governor": GOVERNOR, "limits": LIMITS, "refresh": REFRESH}
DURATIONS = (2.0, 0.5, 6.0, 0.05)


def tiny_scenario(random: Random, folder: Path) -> Section:
    """Draw one scenario: what its file holds. A trace that it replays is written into `folder`."""
    duration_s = random.choice(DURATIONS)
    pools = _pools(random)
    scenario: Section = {
        "name": "tiny",
        "seed": random.randint(0, 99),
        "duration": f"{duration_s:g} s",
        "drain": random.choice(["60 s", "60 s", "1 s", "0 s"]),
        "model": dict(TINY_MODEL),
        "workload": _workload(random, folder),
        "cluster": {"pools": pools, "router": _router(random, pools)},
    }
    process = scenario["workload"].get("arrivals", {}).get("process")
    if process != "at_once" and _maybe(random, 0.3):
        scenario["warmup"] = f"{random.choice([0.2, 0.9]) * duration_s:g} s"
    if _maybe(random, 0.4):
        slo = {"ttft": random.choice(["50 ms", "5 ms"]), "tpot": "2 ms"}
        scenario["slo"] = slo | random.choice([{}, {"percentile": 90}, {"e2el": "100 ms"}])
    if _maybe(random, 0.3):
        scenario["cluster"]["admission"] = _admission(random, "slo" in scenario)
    if any(pool["replica"].get("role") == "decode" for pool in pools) and _maybe(random, 0.7):
        scenario["cluster"]["disaggregation"] = {
            "policy": random.choice(["least_kv", "least_requests", "round_robin", "fixed_turns"]),
            "kv_transfer": random.choice(["layers", "whole", "off"]),
        }
    if _maybe(random, 0.6):
        scenario["site"] = _site(random, pools)
    if _maybe(random, 0.1):
        scenario["stepping"] = "step"
    if _maybe(random, 0.4):
        scenario["model"] |= _layers(random)
        kinds = {layers["kind"] for layers in scenario["model"]["attention_layers"]}
        chooses = any("indexer" in layers for layers in scenario["model"]["attention_layers"])
        for pool in pools:  # not with layers that have states or chunks, or choose keys
            if kinds - {"full", "window"} or chooses:
                pool["replica"].pop("speculation", None)
    elif _maybe(random, 0.3):
        for pool in pools:
            if "wafers" not in pool["replica"] and "speculation" not in pool["replica"]:
                _choose_backend(random, pool)
    if _maybe(random, 0.3):
        let_scale(random, scenario, {pool["name"]: pool["node"]["devices"] for pool in pools}, 0.1)
    if _maybe(random, 0.35):
        scenario["workload"]["clients"] = _clients(random)
    if _maybe(random, 0.4):
        let_fail(random, scenario, {pool["name"]: pool["node"]["devices"] for pool in pools}, 0.1)
    if _maybe(random, 0.2):
        scenario["cluster"]["contention"] = "none"
    # The newest keys are drawn last, so that what older seeds draw before them stays as it was.
    gpus = [pool for pool in pools if "wafers" not in pool["replica"]]
    if _maybe(random, 0.35):
        scenario["model"]["experts"] = {"count": random.choice([8, 6]), "top_k": 2, "ffn": 16}
        for pool in gpus:
            _spread_experts(random, pool, scenario["model"]["experts"]["count"], folder)
    if _maybe(random, 0.3) and "attention_layers" not in scenario["model"]:
        share_tier(random, scenario, gpus, random.choice(["1 MB", "60 kB"]))
    if _maybe(random, 0.25):
        for pool in gpus:
            pool["domain"] = "rack"
            pool["node"]["links"].append(SWITCH)
            pool["node"]["domain_devices"] = 64
    for pool in pools if links_fail(scenario) else ():
        (door,) = pool["node"]["network"]["links"]
        ends = [["front_door", "spine"], ["spine", "node"]]
        pool["node"]["network"]["links"] = [door | {"between": between} for between in ends]
    return scenario


def _spread_experts(random: Random, pool: Section, count: int, folder: Path) -> None:
    """Let a pool's replicas have attention ranks with groups of experts, some over nodes."""
    plan, on = pool["replica"], pool["node"]
    on["device"] = on["device"] | {key: on["device"].get(key, {}) | more for key, more in EXPERT_FITS.items()}  # fmt: skip
    data = random.choice([2, 1, 4])
    group = data * plan.get("tensor_parallel", 1)
    plan["data_parallel"] = data
    plan["expert_parallel"] = random.choice([group, 1, group, min(group, 2)])
    pool["nodes"] *= data  # the replicas stay as many
    if count % plan["expert_parallel"] or _maybe(random, 0.5):
        plan["engine"]["name"] = "vLLM"  # which gives some groups one expert more
    experts = Experts(count, on["devices"], (*DEEPEP, *NCCL, *NVLINK), has_fused=True)
    if _maybe(random, 0.6):
        load_experts(random, plan, experts, folder)
    exchange_experts(random, plan, experts)
    if "overlap" in plan:
        plan["engine"].setdefault("two_batch_from", {"decode_tokens": 2, "prompt_tokens": 2})
    batching = pool.setdefault("batching", {})
    if batching.get("policy") != "static" and _maybe(random, 0.6):
        batching["load_balance_method"] = random.choice(random_engines.RANK_RULES)
        if plan.get("role") == "both" and _maybe(random, 0.3):
            batching["attention_dp_timeout_iterations"] = 6
            batching["attention_dp_batching_wait_iterations"] = random.choice([0, 2])
    random_engines.without_contradictions(pool)


def _choose_backend(random: Random, pool: Section) -> None:
    """Let decode attention run on kernels whose time depends on the longest sequence."""
    blocks = {"thread_blocks": random.choice([8, 2, 100]), "least_keys": random.choice([16, 1])}
    rates = {"start": "50 us", "key": "10 us", "bandwidth": random.choice(["200 MB/s", "5 MB/s"])}
    pool["node"]["device"] |= {"kernels": {"block_generation": {"bf16_other": blocks | rates}}}
    pool["replica"]["engine"]["attention_backend"] = "other"


def _layers(random: Random) -> Section:
    """Layers of two kinds, one of which does not see the whole context, or keeps a state."""
    heads: Section = {"heads": 4, "kv_heads": 2, "head_dim": 16}
    tokens = random.choice([20, 40, 64])
    full: Section = {"kind": "full", "layers": 1, **heads}
    kinds: list[list[Section]] = [
        [full, {"kind": "window", "layers": 1, "tokens": tokens, **heads}],
        [full, {"kind": "chunked", "layers": 1, "tokens": tokens, **heads}],
        [full, {"kind": "gated_delta_net", "layers": 1, "key_heads": 2, "value_heads": 2, "key_dim": 8, "value_dim": 8}],
        [full | {"indexer": {"top_k": tokens, "heads": 2, "head_dim": 8}, "layers": 2}],
        [
            full,
            {"kind": "window", "layers": 4, "tokens": tokens, **heads | {"kv_heads": 4}},
            {"kind": "mamba2", "layers": 2, "heads": 4, "head_dim": 8, "state": 16},
        ],
    ]  # fmt: skip
    layers = random.choice(kinds)
    count = sum(kind["layers"] for kind in layers)
    return {"attention_layers": layers, "layers": count}


def _maybe(random: Random, chance: float) -> bool:
    """Whether a thing is there that mostly is not; the lowest draw says no."""
    return random.random() >= 1.0 - chance


# Machines


def _pools(random: Random) -> list[Section]:
    roles = random.choice([
        ["both"], ["both", "both"], ["prefill", "decode"], ["prefill", "decode", "decode"],
        ["prefill", "prefill", "decode"], ["decode", "prefill", "both"],
    ])  # fmt: skip
    return [_pool(random, f"p{number}", role) for number, role in enumerate(roles)]


def _pool(random: Random, name: str, role: str) -> Section:
    is_wafer = _maybe(random, 0.15)
    devices = 1 if is_wafer else random.choice([1, 2])
    memory = random.choice(["10 MB", "400 kB", "310 kB"])
    gpu = SMALL_GPU | HOT | {"memory": {"capacity": memory, "bandwidth": "1 GB/s"}}
    on: Section = node(WAFER if is_wafer else gpu, devices)
    if not is_wafer:
        on["cooling"] = COOLING
        wire = random.choice([("1 GB/s", "0 s"), ("1 MB/s", "1 ms"), ("100 MB/s", "20 us")])
        on["network"]["links"][0] |= {"bandwidth": wire[0], "latency": wire[1]}
    limits = {
        "max_sequences": random.choice([8, 1, 3, 64]),
        "max_batched_tokens": random.choice([512, 256, 128]),
        "chunked_prefill": True,
        "block_tokens": random.choice([16, 1, 4]),
    }
    if not is_wafer and _maybe(random, 0.3):
        limits |= _graphs(random)
    if _maybe(random, 0.3):
        limits |= random_engines.streams(random)
    if _maybe(random, 0.3):
        limits["async_scheduling"] = True
    replica: Section = {"engine": engine(**limits), "role": role}
    if is_wafer:
        replica["wafers"] = 1
    elif devices == 2 and _maybe(random, 0.4):
        replica["tensor_parallel"] = 2
    pool: Section = {"name": name, "node": on, "nodes": random.choice([1, 2]), "replica": replica}
    kv, batching = _kv(random), _batching(random, role)
    if batching.get("policy") != "static":
        if kv:
            pool["kv"] = kv
        if role != "prefill" and _maybe(random, 0.2):
            replica["speculation"] = _speculation(random)
            if not is_wafer and _maybe(random, 0.3):
                host = {"async_drafts": False, "draft_step": "1 ms", "draft_sequence": "50 us"}
                replica["engine"] |= host
    if batching:
        pool["batching"] = batching
    random_engines.without_contradictions(pool)
    if _maybe(random, 0.1):
        replica |= {"start": "cold", "load_bandwidth": "1 MB/s"}
    if not is_wafer and _maybe(random, 0.1):
        pool["power_limit"] = "300 W"
    return pool


def _speculation(random: Random) -> Section:
    """How many tokens are drafted and kept, at which context, and what drafts cost."""
    kept: Section = random.choice([
        {"acceptance": 0.6}, {"acceptance": 0.0}, {"acceptance_length": 2},
        {"acceptance_by_position": [0.7, 0.3, 0.2]},
    ])  # fmt: skip
    if _maybe(random, 0.3):
        kept["acceptance_by_context"] = [
            {"context": 10, "first": 0.8},
            {"context": 200, "first": 0.3},
        ]
    cost: Section = random.choice([{}, {"draft_cost": 0.1}, {"mtp_layers": 1}])
    return {"draft_tokens": random.randint(2, 3), **kept, **cost}


def _graphs(random: Random) -> Section:
    """CUDA graphs in a mode, and memory rules."""
    drawn = random_engines.graphs(random, ([1, 2, 4, 8], [3], [1, 16, 64, 256]), "8 kB")
    drawn["memory_base"] = random.choice(["all", "free"])
    if _maybe(random, 0.3):
        drawn["by_device"] = [{"min_memory": "350 kB", "max_sequences": 5}, {"largest_graph": 8}]
    return drawn


def _kv(random: Random) -> Section:
    kv: Section = {}
    if _maybe(random, 0.5):
        kv["prefix_caching"] = True
        if _maybe(random, 0.5):
            kv["offload"] = TIERS[: random.randint(1, 2)]
    if _maybe(random, 0.3):
        kv |= {"preemption": "swap", "swap_space": random.choice(["20 kB", "1 MB"])}
        kv["swap_bandwidth"] = random.choice(["100 MB/s", "1 MB/s"])
    if _maybe(random, 0.2):
        kv["watermark"] = random.choice([0.05, 0.3])
    return kv


def _batching(random: Random, role: str) -> Section:
    if role == "both" and _maybe(random, 0.15):
        return {"policy": "static", "max_sequences": random.choice([4, 16])}
    batching: Section = {}
    if _maybe(random, 0.3):
        batching["order"] = random.choice(["priority", "shortest_first"])
    if _maybe(random, 0.2):
        batching |= {"batch_wait_timeout_iterations": 20, "batch_wait_max_tokens_ratio": 0.5}
    if _maybe(random, 0.15):
        batching |= {"chunked_prefill": False, "max_batched_tokens": 512}
    if _maybe(random, 0.4):
        policies = ["full_isl", "guaranteed_no_evict", "max_utilization"]
        batching["capacity_scheduler_policy"] = random.choice(policies)
    if role == "both" and _maybe(random, 0.25):
        batching["prefill_first"] = random.choice(
            [{}, {"mixed_chunks": True}, {"ignore_eos": True}, {"receive_interval": 4}]
        )
    return batching


def _router(random: Random, pools: list[Section]) -> Section:
    policies = ["round_robin", "least_requests", "random", "least_work", "power_of_two"]
    router: Section = {"policy": random.choice([*policies, "prefix_affinity"])}
    if router["policy"] not in ("round_robin", "random") and _maybe(random, 0.4):
        router["staleness"] = random.choice(["40 ms", "1 s"])
    entries = [pool for pool in pools if pool["replica"].get("role") != "decode"]
    if router["policy"] == "prefix_affinity" and all(
        pool.get("kv", {}).get("prefix_caching") for pool in entries
    ):
        router |= random.choice([{}, {"knows": "kv_events", "delay": "20 ms"}])
    if _maybe(random, 0.15):
        return _by_rules(random, router, pools)
    return router


def _by_rules(random: Random, within: Section, pools: list[Section]) -> Section:
    """Draw rules from the length of a prompt to pools that take requests."""
    names = [pool["name"] for pool in pools if pool.get("replica", {}).get("role") != "decode"]
    long = {"when": {"prompt_tokens": {"min": random.choice([60, 500])}}, "to": names[-1]}
    rest: list[Section] = random.choice([[{"to": names}], []])
    return {"policy": "rules", "rules": [long, *rest], "within": within}


def _admission(random: Random, has_slo: bool) -> Section:
    policy = random.choice(["queue_limit", "token_bucket", "predicted_ttft", "accept_all"])
    if policy == "queue_limit":
        per = random.choice(["replica", "cluster"])
        return {"policy": policy, "max_waiting": random.choice([9, 1]), "per": per}
    if policy == "token_bucket":
        return {"policy": policy, "rate": "60 /s", "burst": 20, "counts": "requests"}
    if policy == "predicted_ttft" and not has_slo:
        return {"policy": policy, "limit": "50 ms"}
    return {"policy": policy}


# Traffic


def _workload(random: Random, folder: Path) -> Section:
    kind = random.choice(["drawn"] * 5 + ["sessions"] * 2 + ["trace"])
    if kind == "trace":
        if _maybe(random, 0.5):
            return {"trace": {"path": str(_conversations(random, folder))}}
        return {"trace": {"path": str(_trace(random, folder)), "format": "azure"}}
    if kind == "sessions":
        workload = {"sessions": _sessions(random)}
    else:
        workload = {
            "arrivals": _arrivals(random),
            "prompt_tokens": _lengths(random, (60, 1, 200)),
            "output_tokens": _lengths(random, (20, 1, 2, 120)),
        }
    if _maybe(random, 0.25):
        workload["max_output_tokens"] = random.choice([340, 5000])
    if _maybe(random, 0.2):
        workload["shared_prefix"] = {"tokens": 50, "groups": random.choice([1, 3, 20])}
    if _maybe(random, 0.2):
        urgent: Section = {"name": "urgent", "share": 0.3, "slo": {"ttft": "20 ms"}}
        workload["classes"] = [urgent, {"name": "other", "share": 0.7, "priority": 5}]
    if _maybe(random, 0.1):
        workload["reasoning_share"] = random.choice([0.5, 0.0])
    return workload


def _clients(random: Random) -> Section:
    """Clients that give up, retry, hedge and leave within the time of a few steps."""
    drawn = {"distribution": "exponential", "mean": "30 ms"}
    timeouts: list[Section] = [
        {"ttft": "20 ms"},
        {},
        {"e2el": "60 ms"},
        {"ttft": drawn, "e2el": "0.2 s"},
    ]
    clients: Section = {
        "timeout": random.choice(timeouts),
        "retries": random.choice([2, 0, 1]),
        "backoff": {"first": random.choice(["10 ms", "0 s", "1 s"])},
    }
    if _maybe(random, 0.4):
        tokens = {"policy": "tokens", "max_tokens": 4, "token_ratio": 0.5}
        in_flight = {"policy": "in_flight", "share": 0.2, "min_retries": 1}
        clients["retry_budget"] = random.choice([0.2, tokens, in_flight])
    if _maybe(random, 0.3):
        clients["hedge_after"] = random.choice(["15 ms", "1 ms"])
    if _maybe(random, 0.3):
        clients["server_aborts"] = False
    elif _maybe(random, 0.4):
        clients["cancel"] = random.choice([0.3, 1.0])
    return clients


def _trace(random: Random, folder: Path) -> Path:
    """Write a recorded trace: some requests come at one time, some have nothing to read or answer."""
    rows = ["TIMESTAMP,ContextTokens,GeneratedTokens"]
    at_ms = 0
    for number in range(random.choice([40, 1, 3, 120])):
        at_ms += random.choice([10, 0, 1, 200])
        tokens = random.choice([60, 1, 0, 200]), random.choice([20, 1, 2, 0])
        if number == 0:
            tokens = 60, 20
        time = f"2024-01-01 00:00:{at_ms // 1000 % 60:02}.{at_ms % 1000:03}"
        rows.append(f"{time},{tokens[0]},{tokens[1]}")
    path = folder / "trace.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def _conversations(random: Random, folder: Path) -> Path:
    """Write a trace whose turns follow answers: of Bailian, BurstGPT, or AIPerf with delays."""
    if _maybe(random, 0.3):
        return _burstgpt(random, folder)
    rows: list[Section] = []
    at_ms, is_bailian = 0, _maybe(random, 0.5)
    for number in range(random.choice([20, 1, 60])):
        at_ms += random.choice([10, 0, 1, 200])
        prompt, output = random.choice([60, 1, 200]), random.choice([20, 1, 2])
        row: Section = {"input_length": prompt, "output_length": output}
        if is_bailian:
            parent = random.choice([-1, random.randrange(number + 1) - 1])
            row |= {"chat_id": number, "parent_chat_id": parent, "timestamp": at_ms / 1000}
            row["hash_ids"] = [random.choice([0, number]) * 100 + at for at in range(-(-prompt // 16))]  # fmt: skip
        elif number and _maybe(random, 0.6):
            row |= {"session_id": rows[-1]["session_id"], "delay": random.choice([0, 5, 300])}
        else:
            row |= {"session_id": str(number), "timestamp": at_ms}
        rows.append(row)
    path = folder / "conversations.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _burstgpt(random: Random, folder: Path) -> Path:
    """Write a table of requests of some sessions, with the time that each answer took."""
    rows = ["Session ID,Elapsed time,Timestamp,Request tokens,Response tokens"]
    at_ms = 0
    for number in range(random.choice([20, 1, 60])):
        at_ms += random.choice([10, 0, 1, 200])
        took_s = random.choice([0.05, 0, 1])
        prompt, output = (
            random.choice([60, 1, 200]),
            random.choice([20, 1, 2, 0] if number else [1]),
        )
        rows.append(f"{random.randrange(8)},{took_s},{at_ms / 1000},{prompt},{output}")
    path = folder / "burstgpt.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def _arrivals(random: Random) -> Section:
    process = random.choice(
        ["poisson", "at_once", "closed_loop", "burst", "gamma", "mmpp", "on_off"]
    )
    rate = random.choice(["60 /s", "5 /s", "200 /s"])
    burst = {"at": "0.3 s", "lasts": "0.2 s", "rate": "400 /s"}
    every = {"every": "0.5 s"} if _maybe(random, 0.5) else {}
    own: Section = {
        "poisson": {"rate": rate},
        "at_once": {"requests": random.choice([30, 1, 200])},
        "closed_loop": {
            "concurrency": random.choice([8, 1, 40]),
            "think_time": random.choice(["20 ms", "0 s", "1 s"]),
        },
        "burst": {"rate": rate, "bursts": [burst], **every},
        "gamma": {"rate": rate, "cv": 4},
        "mmpp": {"states": [{"rate": "0 /s", "mean_dwell": "100 ms"}, {"rate": rate, "mean_dwell": "200 ms"}]},
        "on_off": {"on": "300 ms", "off": "300 ms", "burst_rate": rate},
    }  # fmt: skip
    arrivals = {"process": process, **own[process]}
    if process != "at_once" and _maybe(random, 0.15):
        arrivals["requests"] = random.choice([20, 1])
    return arrivals


def _lengths(random: Random, choices: tuple[int, ...]) -> Any:
    kind = random.choice(["bare", "uniform", "lognormal"])
    middle = random.choice(choices)
    if kind == "uniform":
        return {"distribution": "uniform", "low": 1, "high": 2 * middle}
    if kind == "lognormal":
        return {
            "distribution": "lognormal",
            "median": middle,
            "sigma": 0.9,
            "max": min(8 * middle, 340),
        }
    return middle


def _sessions(random: Random) -> Section:
    sessions: Section = {
        "concurrency": random.choice([4, 1, 30]),
        "turns": {"median": 2, "sigma": 0.6, "max": 6},
        "shared_tokens": random.choice([0, 20]),
        "first_tokens": _lengths(random, (20, 1)),
        "user_tokens": _lengths(random, (10, 1)),
        "output_tokens": _lengths(random, (10, 1)),
        "user_gap": random.choice(["100 ms", "0 s", "2 s"]),
        "window_tokens": 300,
    }
    if _maybe(random, 0.3):
        del sessions["concurrency"]
        sessions["arrivals"] = {"process": "poisson", "rate": "20 /s"}
    return sessions


# Site


def _site(random: Random, pools: list[Section]) -> Section:
    """Draw a site whose fans fail for some of the nodes, mostly so that those are lost."""
    site: Section = {"inlet": random.choice(["25 degC", "5 degC", "35 degC", "45 degC"])}
    if _maybe(random, 0.3):
        site |= {"pue": random.choice([1.25, 1.0]), "electricity": "0.07 USD/kWh"}
    if _maybe(random, 0.2):
        site["row_power_cap"] = f"{sum(pool['nodes'] for pool in pools) * 40_000} W"
    events = []
    for _ in range(random.choice([1, 0, 2])):
        event: Section = {
            "at": random.choice(["0.3 s", "0 s", "1 s"]),
            "lasts": random.choice(["600 s", "1 s"]),
        }
        gpus = [pool for pool in pools if "cooling" in pool["node"]]
        if not gpus or _maybe(random, 0.2):
            event |= {"what": "inlet_rise", "rise": random.choice(["80 K", "10 K"])}
        else:
            pool = random.choice(gpus)
            event |= {"what": "fan_failure", "factor": random.choice([0.02, 0.001, 0.3])}
            event["where"] = random.choice([f"{pool['name']}/0", pool["name"]])
        events.append(event)
    if events:
        site["events"] = events
    return site
