"""Draws whole scenarios at random: small ones, of every kind of traffic, machine and service.

`random_scenario(random)` gives what a scenario file holds. Every choice comes from `random`, so
that a seed fixes the scenario and Hypothesis can shrink it: of each choice the plainest comes
first. Nothing is imported from the simulator, so that this file draws the same for every version
of it. A few of the scenarios are refused by the loader; what it says then is a result too.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod
from random import Random
from typing import Any

from tests import random_engines
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
from tests.random_failures import let_fail

Section = dict[str, Any]


@dataclass(frozen=True)
class Model:
    """What has to be known of a model to draw plans that mostly fit."""

    gigabytes: tuple[float, float, float]
    """Of its weights in bf16, fp8 and fp4."""
    kv_kilobytes: float
    """A token, in bf16."""
    heads: int
    kv_heads: int
    wafers: int
    """CS-3 that hold its weights."""
    max_context: int = 131_072
    experts: int = 0
    is_latent: bool = False
    has_window: bool = False


@dataclass(frozen=True)
class Machine:
    """The same of a node."""

    devices: int
    gigabytes: float
    """Of memory for weights, a device."""
    precisions: int = 2
    """Of bf16, fp8 and fp4, how many it computes in."""
    watts: tuple[float, float, float] | None = None
    """What the node draws idle and at most, and a device at most; None where nobody says."""
    failure: str = ""
    """What may happen to its cooling."""
    prices: tuple[str, ...] = ()
    engines: tuple[str, ...] = ("vllm", "trtllm", "sglang", "trtllm-2025-05")
    networks: tuple[str, ...] = ("ndr-rail", "ndr-fat-tree", "ndr-rail-optimised", "xdr-fat-tree")


MODELS = {
    "llama-3.1-8b": Model((16.1, 9.1, 6.1), 131.1, 32, 8, 1),
    "llama-3.3-70b": Model((141.2, 72.7, 42.8), 327.7, 64, 8, 4),
    "gpt-oss-120b": Model((233.6, 119, 65.2), 36.9, 64, 8, 7, experts=128, has_window=True),
    "mixtral-8x7b": Model((93.5, 47, 26.7), 131.1, 32, 8, 3, 32_768, experts=8),
    "llama-2-70b": Model((138, 69.6, 39.6), 327.7, 64, 8, 4, 4096),
    "deepseek-r1": Model((1343, 673, 397), 70.3, 128, 128, 58, experts=256, is_latent=True),
    "qwen3-235b": Model((470.2, 236.4, 134.1), 192.5, 64, 4, 14, 40_960, experts=128),
    "mistral-large-2": Model((245.3, 123.5, 70.2), 360.4, 96, 8, 7),
    "llama-3.1-405b": Model((811.8, 410.1, 234.4), 516.1, 128, 8, 22),
    "kimi-k2": Model((2053, 1029, 581), 70.3, 64, 64, 61, experts=384, is_latent=True),
    "qwen3-coder-480b": Model((960.4, 482.1, 272.9), 254, 96, 8, 31, experts=160),
}

AMD = ("vllm", "sglang")
WAFER = ("cerebras", "cerebras-2024-08")
ROCE = ("roce-400g", "roce-fat-tree", "roce-rail-optimised")
XDR = ("xdr-rail", "xdr-fat-tree", "xdr-rail-optimised")
COMPILED: dict[str, Any] = {
    "engines": ("compiled", "vllm"),
    "networks": ("roce-400g", "roce-fat-tree", "ethernet-100g"),
}
H100 = (3230, 8670, 700)
GPUS = {
    "dgx-h100": Machine(8, 85.5, 2, H100, "fan_failure", ("dgx-h100-owned", "h100-rented")),
    "dgx-b200": Machine(8, 192.2, 3, (4300, 12_155, 1000), "fan_failure", ("b200-rented",)),
    "dgx-h200": Machine(8, 150.7, 2, H100, "fan_failure", ("dgx-h200-owned", "h200-rented")),
    "dgx-a100": Machine(8, 85.9, 1, (1780, 5525, 400), "fan_failure", networks=ROCE),
    "gb200-nvl72": Machine(72, 198.6, 3, (31_840, 120_000, 1200), "pump_failure", networks=XDR),
}
OTHERS = {
    "mi300x-8": Machine(8, 192, 2, (4200, 9070, 750), "", ("mi300x-rented",), AMD, ROCE),
    "mi325x-8": Machine(8, 256, 2, (4200, 11_070, 1000), "", ("mi325x-rented",), AMD, ROCE),
    "mi355x-8": Machine(8, 288, 3, (5000, 15_355, 1400), "", ("mi355x-rented",), AMD, ROCE),
    "hgx-b300": Machine(8, 288.4, 3, (4300, 12_955, 1100), "", ("b300-rented",), networks=XDR),
    "rubin-nvl72": Machine(72, 288, 3, (44_800, 209_600, 1800), networks=XDR),
    "tpu-v5e-8": Machine(8, 16, **COMPILED),
    "tpu-v6e-8": Machine(8, 32, **COMPILED),
    "tpu-v7-8": Machine(8, 206, **COMPILED),
    "hybrid-sram-hbm-64": Machine(64, 1.9, 3, **COMPILED),
    "groq-rack": Machine(72, 0.23, **COMPILED),
}
CONTRACT = ("cs-3-contract", "cs-3-list", "cs-3-materials")
WAFERS = {
    "cs-3": Machine(1, 44, 1, (16_000, 23_000, 18_400), "pump_failure", CONTRACT, WAFER),
    "cs-2": Machine(1, 40, 1, engines=("cerebras",)),
}
MACHINES = GPUS | OTHERS | WAFERS
EXCHANGES = {
    "dgx-a100": NCCL,
    **dict.fromkeys(("dgx-h100", "dgx-h200", "dgx-b200"), (*NCCL, *DEEPEP)),
    "hgx-b300": DEEPEP,
    "gb200-nvl72": (*NCCL, *DEEPEP, *NVLINK),
}
"""Exchanges of experts for which the devices of a node have figures."""
PRECISIONS = ("bf16", "fp8", "fp4")
LONGEST_PRESETS = {
    "azure-code": 9400,
    "servegen-multimodal": 6800,
    "azure-conversation": 15_100,
    "burstgpt": 13_500,
    "servegen-reasoning": 75_300,
    "mooncake": 128_200,
}
"""Tokens of the longest request, by workload of the catalog."""


def random_scenario(random: Random) -> Section:
    """Draw one scenario: what its file holds."""
    model = random.choice(list(MODELS))
    cluster = _cluster(random, model)
    most = _most_tokens(model, cluster)
    scenario: Section = {
        "name": "random",
        "seed": random.randint(0, 99),
        "duration": _seconds(random, 10, 20, 40, 60),
        "drain": _seconds(random, 600, 600, 60, 5),
        "model": model,
        "workload": _workload(random, most),
        "cluster": cluster,
    }
    if _maybe(random, 0.4):
        _crowd(random, scenario, min(most, 4000))
    starts = scenario["workload"].get("arrivals", {})
    if starts.get("process") != "at_once" and _maybe(random, 0.4):
        scenario["warmup"] = _seconds(random, 1, 5)
    if _maybe(random, 0.6):
        scenario["slo"] = _slo(random)
    if _maybe(random, 0.3):
        cluster["admission"] = _admission(random, scenario)
    if _maybe(random, 0.5):
        scenario["site"] = _site(random, cluster["pools"])
    if _maybe(random, 0.12):
        scenario["stepping"] = "step"
    if _maybe(random, 0.3):
        _sample(random, scenario)
    if _maybe(random, 0.25):
        pools = cluster["pools"]
        let_scale(random, scenario, {x["name"]: MACHINES[x["node"]].devices for x in pools}, 1.0)
    if _maybe(random, 0.3):
        scenario["workload"]["clients"] = _clients(random)
    if _maybe(random, 0.3):
        pools = cluster["pools"]
        let_fail(random, scenario, {x["name"]: MACHINES[x["node"]].devices for x in pools}, 1.0)
    # The newest keys are drawn last, so that what older seeds draw before them stays as it was.
    for pool in cluster["pools"]:
        if MODELS[model].experts and pool["node"] not in WAFERS:
            _spread_experts(random, pool, model)
            if pool["replica"].get("data_parallel", 1) > 8:  # serves many requests in a short time
                scenario["duration"] = "10 s"
    if _maybe(random, 0.15) and not MODELS[model].has_window:
        share_tier(random, scenario, _gpu_pools(cluster), random.choice(["500 GB", "20 GB"]))
    if _maybe(random, 0.4) and "sample" not in scenario:
        _join(_gpu_pools(cluster))
    return scenario


def _gpu_pools(cluster: Section) -> list[Section]:
    return [pool for pool in cluster["pools"] if pool["node"] not in WAFERS]


def _maybe(random: Random, chance: float) -> bool:
    """Whether a thing is there that mostly is not; the lowest draw says no."""
    return random.random() >= 1.0 - chance


def _seconds(random: Random, *choices: float) -> str:
    return f"{random.choice(choices):g} s"


# Traffic


def _workload(random: Random, most: int) -> Section:
    """Draw what arrives, in requests of no more than about `most` tokens."""
    kind = random.choice(["drawn"] * 5 + ["sessions"] * 2 + ["session preset"] + ["preset"] * 2)
    if kind == "sessions" or (kind == "session preset" and most < LONGEST_PRESETS["mooncake"]):
        workload: Section = {"sessions": _sessions(random, min(most, 12_000))}
    elif kind == "session preset":
        workload = {"sessions": _session_preset(random)}
    elif kind == "preset" and most > LONGEST_PRESETS["servegen-multimodal"]:
        workload = _preset(random, most)
    else:
        workload = _drawn(random, min(most, 12_000))
    if _maybe(random, 0.25):
        drawn_shares = {"quantiles": {0: 0.1, 0.5: 0.7, 1: 0.9}}
        workload["reasoning_share"] = random.choice([0.5, 0.0, 0.95, drawn_shares])
    if _maybe(random, 0.2):
        workload["max_output_tokens"] = random.choice([20_000, 80_000])
    if _maybe(random, 0.25):
        groups = random.choice([1, 3, 20])
        workload["shared_prefix"] = {"tokens": random.choice([64, 500]), "groups": groups}
    if "length_correlation" not in workload and "preset" not in workload and _maybe(random, 0.25):
        own = min(most, 12_000) if "arrivals" in workload else 0
        workload["classes"] = _classes(random, own)
    return workload


def _clients(random: Random) -> Section:
    """Draw clients that give up, retry and leave; a budget of whole fleets is refused in samples."""
    if _maybe(random, 0.3):
        return {"preset": random.choice(["openai", "anthropic"])}
    clients: Section = {
        "timeout": {"ttft": _seconds(random, 2, 0.5, 10), "e2el": _seconds(random, 30, 5)},
        "retries": random.choice([2, 0, 5]),
    }
    if _maybe(random, 0.4):
        share: Section = {"policy": "share", "share": 0.1, "reserve": "2 /s"}
        clients["retry_budget"] = random.choice([0.2, share])
    if _maybe(random, 0.3):
        clients["server_aborts"] = False
    elif _maybe(random, 0.4):
        clients["cancel"] = random.choice([0.02, 0.5])
    return clients


def _drawn(random: Random, most: int) -> Section:
    """Draw a process of arrivals with lengths."""
    drawn: Section = {
        "arrivals": _arrivals(random),
        "prompt_tokens": _lengths(random, most // 2),
        "output_tokens": _lengths(random, most // 4),
    }
    if _maybe(random, 0.25):
        drawn["length_correlation"] = random.choice([0.5, -0.5, 1.0])
    return drawn


def _preset(random: Random, most: int) -> Section:
    """Draw traffic of the catalog that has room, at a rate at which something happens."""
    names = [name for name, longest in LONGEST_PRESETS.items() if longest <= most]
    name = random.choice(names or list(LONGEST_PRESETS))
    preset: Section = {"preset": name}
    if name == "burstgpt":
        preset["arrivals"] = {"states": [_state("2 /s", 5), _state("9 /s", 3)]}
    elif name.startswith("servegen"):
        preset["arrivals"] = {"rate": _rate(random)}
    elif name == "azure-code":
        preset["arrivals"] = {"off": "5 s", "off_max": "9 s", "burst_rate": _rate(random)}
    return preset


def _state(rate: str, dwell_s: float) -> Section:
    return {"rate": rate, "mean_dwell": f"{dwell_s:g} s"}


def _rate(random: Random) -> str:
    return f"{random.choice([4, 1, 10, 25, 80])} /s"


def _arrivals(random: Random, is_of_sessions: bool = False) -> Section:
    """Draw a process of arrivals; sessions come more rarely, and never in a closed loop."""
    processes = ["poisson", "at_once", "gamma", "weibull", "on_off", "mmpp", "clients", "diurnal"]
    process = random.choice([*processes, "burst", *([] if is_of_sessions else ["closed_loop"] * 2)])
    rate = f"{random.choice([0.5, 2])} /s" if is_of_sessions else _rate(random)
    arrivals: Section = {"process": process, **_of_process(random, process, rate)}
    if process == "at_once" or _maybe(random, 0.2):
        arrivals["requests"] = random.choice([40, 4, 200])
    if process not in ("at_once", "closed_loop") and _maybe(random, 0.15):
        arrivals["rate_curve"] = _rate_curve(random)
    return arrivals


def _of_process(random: Random, process: str, rate: str) -> Section:
    """Draw the keys that one process has of its own."""
    if process == "at_once":
        return {}
    if process in ("gamma", "weibull"):
        return {"rate": rate, "cv": random.choice([0.5, 2, 5])}
    if process == "on_off":
        return _on_off(random, rate)
    if process == "mmpp":
        states = [_state(rate, 5), _state("0 /s", 2), _state("30 /s", 1)]
        return {"states": states[: random.randint(1, 3)], "cv": random.choice([1, 0.4, 3])}
    if process == "clients":
        gaps = random.choice(["gamma", "weibull"])
        clients = [{"share": 3, "cv": random.choice([1, 4]), "gaps": gaps}]
        return {"rate": rate, "clients": [*clients, {"share": 1, "count": random.randint(1, 9)}]}
    if process == "diurnal":
        return _diurnal(random, rate)
    if process == "burst":
        burst = {"at": "2 s", "lasts": _seconds(random, 3, 15), "rate": _rate(random)}
        return {"rate": rate, "bursts": [burst, {**burst, "at": "6 s"}][: random.randint(1, 2)]}
    if process == "closed_loop":
        think = _seconds(random, 0, 0.5, 2)
        return {"concurrency": random.choice([4, 1, 16, 64]), "think_time": think}
    return {"rate": rate}


def _on_off(random: Random, rate: str) -> Section:
    if _maybe(random, 0.3):
        return {"preset": "azure-code", "off": "5 s", "off_max": "9 s"}
    keys: Section = {"on": _seconds(random, 8, 2), "off": _seconds(random, 2, 6)}
    if _maybe(random, 0.5):
        keys |= {"on_shape": 2, "off_sigma": 0.4, "off_max": "8 s", "gap_shape": 0.5}
        keys["burst_rate_sigma"] = random.choice([0, 0.6])
    return {**keys, "burst_rate": rate}


def _diurnal(random: Random, rate: str) -> Section:
    if _maybe(random, 0.5):
        points = [["0 s", rate], ["5 s", "12 /s"], ["15 s", "1 /s"]]
        return {"points": points, **({"period": "20 s"} if _maybe(random, 0.5) else {})}
    return {"rate": rate, **_clock(random)}


def _clock(random: Random) -> Section:
    day = random.choice(["monday", "saturday"])
    hours = {"peak_hour": random.choice([14, 9]), "begins_hour": random.choice([12, 23])}
    return {"peak_to_mean": random.choice([1.5, 3]), "weekend": 0.5, "begins_day": day, **hours}


def _rate_curve(random: Random) -> Section:
    if _maybe(random, 0.3):
        return _clock(random)
    curve: Section = {"points": [["0 s", 1], ["8 s", random.choice([2, 0.2])]]}
    return curve | ({"period": "12 s"} if _maybe(random, 0.5) else {})


def _lengths(random: Random, most: int) -> Any:
    """Draw a distribution of lengths up to `most`."""
    kinds = ["fixed", "bare", "uniform", "lognormal", "lognormal", "zipf", "empirical", "mixture"]
    kind = random.choice(kinds)
    if kind != "mixture":
        return _pure_lengths(random, kind, most)
    parts = [
        {"weight": random.choice([1, 3]), "lengths": _pure_lengths(random, "lognormal", most)},
        {"weight": 1, "lengths": _pure_lengths(random, random.choice(["bare", "uniform"]), most)},
    ]
    return {"distribution": "mixture", "parts": parts, "max": most}


def _pure_lengths(random: Random, kind: str, most: int) -> Any:
    """Draw one distribution that is no mixture."""
    middle = min(random.choice([100, 10, 400, 1500]), max(most // 2, 1))
    if kind == "fixed":
        return {"distribution": "fixed", "tokens": middle}
    if kind == "uniform":
        return {"distribution": "uniform", "low": max(middle // 4, 1), "high": 2 * middle}
    if kind == "lognormal":
        spread = {"sigma": 0.7} if _maybe(random, 0.5) else {"p99": 5 * middle}
        cut = {} if _maybe(random, 0.1) else {"max": most}
        return {"distribution": kind, "median": middle, **spread, **cut}
    if kind == "zipf":
        return {"distribution": "zipf", "exponent": random.choice([1.1, 0.4]), "max": 2 * middle}
    if kind == "empirical":
        quantiles = {0: 1, 0.5: middle, 0.9: 1.5 * middle, 1: 2 * middle}
        return {"distribution": "empirical", "quantiles": quantiles, "max": most}
    return middle


def _classes(random: Random, most: int) -> list[Section]:
    """Draw classes of traffic, some with lengths of their own where `most` is not zero."""
    classes: list[Section] = []
    for number, share in enumerate(random.choice([[0.75, 0.25], [0.5, 0.25, 0.25]])):
        one: Section = {"name": f"class{number}", "share": share}
        one["priority"] = random.choice([0, 1, 10, -2])
        if _maybe(random, 0.5):
            one["slo"] = _slo(random)
        if most and _maybe(random, 0.4):
            one["prompt_tokens"] = _lengths(random, most // 2)
        if most and _maybe(random, 0.4):
            one["output_tokens"] = _lengths(random, most // 4)
        classes.append(one)
    return classes


def _slo(random: Random) -> Section:
    slo: Section = {"ttft": random.choice(["500 ms", "2 s", "50 ms"])}
    if _maybe(random, 0.5):
        slo["tpot"] = random.choice(["25 ms", "5 ms", "100 ms"])
    if _maybe(random, 0.3):
        slo["e2el"] = random.choice(["20 s", "3 s"])
    if slo["ttft"] != "500 ms":  # not drawn, so that what is drawn after it stays as it was
        slo["percentile"] = {"2 s": 97.5, "50 ms": 90}[slo["ttft"]]
    return slo


def _sessions(random: Random, most: int) -> Section:
    """Draw conversations of people, with tools or without."""
    turns = {"median": random.choice([2, 5]), "sigma": 0.6, "max": 12}
    sessions: Section = {
        **_starts(random),
        "turns": turns,
        "shared_tokens": random.choice([0, 100, 700]),
        "first_tokens": _lengths(random, most // 8),
        "user_tokens": _lengths(random, most // 16),
        "output_tokens": _lengths(random, most // 16),
        "user_gap": _gap(random),
    }
    if _maybe(random, 0.5):
        sessions["tool_steps"] = {"none": 0.4, "median": 2, "sigma": 0.5, "max": 5}
        sessions["tool_tokens"] = _lengths(random, most // 16)
        sessions["tool_gap"] = _gap(random)
    if _maybe(random, 0.3):
        sessions["output_sigma"] = 0.4
    if not _maybe(random, 0.2):
        sessions["window_tokens"] = most
    if _maybe(random, 0.3):
        to = _lengths(random, most // 8)
        sessions["compaction"] = {"above_tokens": most // 3, "to_tokens": to}
    return sessions


def _starts(random: Random) -> Section:
    """Draw when sessions begin, and how many requests there are of them."""
    starts: Section = {"concurrency": random.choice([3, 1, 12, 40])}
    if _maybe(random, 0.4):
        starts = {"arrivals": _arrivals(random, is_of_sessions=True)}
    if _maybe(random, 0.3):
        starts["requests"] = random.choice([50, 5])
    return starts


def _gap(random: Random) -> Any:
    """Draw the time between an answer and the next request."""
    kind = random.choice(["bare", "fixed", "lognormal", "spans"])
    if kind == "bare":
        return _seconds(random, 1, 0)
    if kind == "fixed":
        return {"distribution": "fixed", "gap": _seconds(random, 2, 0.1)}
    if kind == "lognormal":
        return {"distribution": "lognormal", "median": "1 s", "sigma": 1, "max": "10 s"}
    short, tail = {"low": "20 ms", "high": "1 s"}, {"low": "1 s", "mean": "3 s"}
    spans = [{"weight": 3, **short}, {"weight": 1, **tail}]
    return {"distribution": "spans", "spans": spans, "max": "9 s"}


def _session_preset(random: Random) -> Section:
    """Draw agents of the catalog."""
    concurrency = random.choice([3, 12, 40])
    preset: Section = {"preset": "codex-spark", "concurrency": concurrency, "user_gap": "2 s"}
    if _maybe(random, 0.4):
        preset |= {"preset": "coding-agent", "window_tokens": 120_000}
        preset["compaction"] = {"above_tokens": 60_000, "to_tokens": 9000}
    return preset


def _crowd(random: Random, scenario: Section, most: int) -> None:
    """Let so many come that batches and KV room are full: to one replica of each pool."""
    scenario["duration"] = _seconds(random, 40, 60)
    for pool in scenario["cluster"]["pools"]:
        pool["replicas"] = 1
        if pool["batching"]["policy"] == "continuous" and _maybe(random, 0.7):
            pool["batching"] |= {"max_sequences": 256, "max_batched_tokens": 16_384}
    workload = scenario["workload"]
    if "sessions" in workload:
        workload["sessions"].pop("arrivals", None)
        workload["sessions"] |= {"concurrency": random.choice([100, 30]), "user_gap": "0.1 s"}
        for pool in scenario["cluster"]["pools"]:
            if pool["batching"]["policy"] == "continuous" and _maybe(random, 0.8):
                pool["kv"] |= {"prefix_caching": True, "offload": _tiers(random, pool)}
        return
    process = random.choice(["poisson", "at_once", "closed_loop", "burst"])
    burst = {"at": "3 s", "lasts": "5 s", "rate": "90 /s"}
    how_many: Section = {
        "poisson": {"rate": random.choice(["40 /s", "90 /s"])},
        "at_once": {"requests": random.choice([300, 900])},
        "closed_loop": {"concurrency": random.choice([100, 300]), "think_time": "0 s"},
        "burst": {"rate": "8 /s", "bursts": [burst]},
    }
    workload["arrivals"] = {"process": process, **how_many[process]}
    middle = random.choice([most // 6, most // 3])
    for key, longest in (("prompt_tokens", most // 2), ("output_tokens", most // 4)):
        spread = {"median": min(middle, longest), "sigma": 0.5, "max": longest}
        workload[key] = {"distribution": "lognormal", **spread}


# Machines


def _cluster(random: Random, model: str) -> Section:
    """Draw pools that serve `model`, apart or together, and a router."""
    kind = random.choice(["one"] * 4 + ["wafers"] * 2 + ["two", "three"] + ["apart"] * 2)
    if kind == "apart":
        pools = _pools_apart(random, model)
    elif kind == "wafers":
        pools = [_wafer_pool(random, model, "wafers")]
    else:
        names = ["first", "second", "third"][: {"one": 1, "two": 2}.get(kind, 3)]
        pools = [_pool(random, model, name) for name in names]
    cluster: Section = {"pools": pools, "router": _router(random, pools)}
    if kind == "apart" and _maybe(random, 0.7):
        policy = random.choice(["least_kv", "least_requests", "round_robin"])
        transfer = random.choice(["layers", "whole", "off"])
        cluster["disaggregation"] = {"policy": policy, "kv_transfer": transfer}
    if _maybe(random, 0.3):
        cluster["network"] = _network(random, MACHINES[pools[0]["node"]])
    return cluster


def _pool(random: Random, model: str, name: str) -> Section:
    """Draw a pool of any machine, most often of well-known GPUs."""
    kind = random.choice(["gpu"] * 5 + ["other"] * 2 + ["wafer"])
    if kind == "wafer":
        return _wafer_pool(random, model, name)
    return _gpu_pool(random, model, name, list(GPUS if kind == "gpu" else OTHERS))


def _pools_apart(random: Random, model: str) -> list[Section]:
    """Draw pools that read prompts and pools that decode; the KV that moves has one precision."""
    names = ["prefill", "decode", "more"][: random.choice([2, 2, 3])]
    pools: list[Section] = []
    for name in names:
        pool = _pool(random, model, name)
        pool["replica"]["role"] = random.choice(["prefill", "decode", "both"])
        if name != "more":
            pool["replica"]["role"] = name
        if pool.get("batching", {}).get("policy") == "static":
            pool["batching"] = {"policy": "continuous"}
        if pool["replica"]["role"] == "prefill":
            pool["replica"].pop("speculation", None)
        pool["replica"]["kv_cache"] = pools[0]["replica"]["kv_cache"] if pools else "bf16"
        random_engines.without_contradictions(pool)
        pools.append(pool)
    return pools


def _gpu_pool(random: Random, model: str, name: str, nodes: list[str]) -> Section:
    """Draw a pool of nodes whose devices share a replica's weights by parallelism."""
    node = random.choice([node for node in nodes if _all_plans(MODELS[model], MACHINES[node])])
    machine = MACHINES[node]
    plans = _all_plans(MODELS[model], machine)
    weights = random.choice(list(plans))
    tensor, pipeline, data = random.choice(plans[weights])
    each = tensor * pipeline * data
    count = max(ceil(each / machine.devices), random.choice([1, 2]))
    replica: Section = {
        "tensor_parallel": tensor,
        "pipeline_parallel": pipeline,
        "weights": weights,
        "kv_cache": random.choice(PRECISIONS[: min(machine.precisions, 2)]),
        "engine": random_engines.random_engine(random, machine.engines, has_graphs=True),
    }
    if data > 1:
        replica["data_parallel"] = data
    if MODELS[model].experts and _maybe(random, 0.5):
        replica["expert_parallel"] = min(random.choice([tensor * data, 2, 8]), tensor * data)
    pool: Section = {"name": name, "node": node, "nodes": count, "replica": replica}
    most_replicas = count * machine.devices // each
    if count * machine.devices % each or most_replicas > 8 or _maybe(random, 0.3):
        pool["replicas"] = min(random.choice([1, 2, 4]), most_replicas)
    _add_options(random, pool, model)
    if node in GPUS and data == 1 and _maybe(random, 0.6):
        pool["kv"]["memory_fraction"] = _tight(random, MODELS[model], replica, machine)
    return pool


def _all_plans(model: Model, machine: Machine) -> dict[str, list[tuple[int, int, int]]]:
    """By precision of the weights: tensor, pipeline and data parallelism over which they fit."""
    named = zip(PRECISIONS[: machine.precisions], model.gigabytes, strict=False)
    plans = {weights: _plans(model, machine, gigabytes) for weights, gigabytes in named}
    return {weights: fitting for weights, fitting in plans.items() if fitting}


def _plans(model: Model, machine: Machine, gigabytes: float) -> list[tuple[int, int, int]]:
    """The eight plans with the fewest devices over which weights of so many gigabytes fit."""
    heads = model.kv_heads
    plans = [
        (tensor, pipeline, data)
        for tensor in (1, 2, 4, 8)
        if model.is_latent or heads % tensor == 0 or tensor % heads == 0
        for pipeline in (1, 2, 4, 8)
        for data in ((1, 2, 4, 8) if model.experts else (1,))
        if tensor * data <= machine.devices
    ]
    least = gigabytes / (0.75 * machine.gigabytes)
    fitting = [plan for plan in plans if prod(plan) >= least * (1.2 if plan[2] > 1 else 1.0)]
    return sorted(fitting, key=prod)[:8]


def _tight(random: Random, model: Model, replica: Section, machine: Machine) -> float:
    """Draw a share of the memory that leaves KV room for some thousand tokens."""
    lanes = replica["tensor_parallel"] * replica["pipeline_parallel"]
    each = lanes * replica.get("data_parallel", 1)
    own = model.gigabytes[PRECISIONS.index(replica["weights"])] / each + 2.65
    heads = replica["pipeline_parallel"] if model.is_latent else lanes
    room = random.choice([8000, 20_000, 3000]) * model.kv_kilobytes / 1e6 / heads
    return min(round((1.01 * own + room) / machine.gigabytes, 4), 0.95)


def _spread_experts(random: Random, pool: Section, model: str) -> None:
    """Draw groups over nodes, and how experts are loaded and exchanged."""
    machine, plan = MACHINES[pool["node"]], pool["replica"]
    is_fused = pool["node"] == "dgx-b200" and model == "gpt-oss-120b" and "autoscale" not in pool
    if is_fused:  # the only kernel of the catalog that runs experts with their exchange
        plan |= {"weights": "fp4", "tensor_parallel": 1, "pipeline_parallel": 1}
        plan |= {"data_parallel": 8, "expert_parallel": 8}
        pool["nodes"] = pool["replicas"] = pool.get("replicas", 1)
    elif machine.devices == 8 and _maybe(random, 0.3):
        _widen(random, pool, MODELS[model])
    elif _maybe(random, 0.5):
        plan["expert_parallel"] = plan["tensor_parallel"] * plan.get("data_parallel", 1)
    engine = plan["engine"]
    experts = Experts(
        MODELS[model].experts, machine.devices, EXCHANGES.get(pool["node"], ()),
        engine["like"] if isinstance(engine, dict) else engine, has_fused=is_fused,
    )  # fmt: skip
    load_experts(random, plan, experts, None)
    exchange_experts(random, plan, experts)
    random_engines.without_contradictions(pool)


def _widen(random: Random, pool: Section, model: Model) -> None:
    """Let a replica's ranks fill several nodes, where its weights are small enough for them."""
    machine, plan = MACHINES[pool["node"]], pool["replica"]
    gigabytes = model.gigabytes[PRECISIONS.index(plan["weights"])]
    least = 1.5 * gigabytes / (0.75 * machine.gigabytes)
    if not (groups := [group for group in (16, 24, 32) if group >= least]):
        return
    group = random.choice(groups)
    replicas = pool.get("autoscale", {}).get("max") or pool.get("replicas") or 1
    plan |= {"tensor_parallel": 1, "pipeline_parallel": 1, "data_parallel": group}
    plan["expert_parallel"] = random.choice([group, 8])
    pool["nodes"] = replicas * group // machine.devices
    pool["kv"]["memory_fraction"] = 0.87


def _join(pools: list[Section]) -> None:
    """Let pools of equal nodes be parts of one scale-up domain that is large enough."""
    pools = [pool for pool in pools if pool["node"] in GPUS and "autoscale" not in pool]
    plans = [pool["replica"] for pool in pools]
    used = sum(
        plan["tensor_parallel"] * plan["pipeline_parallel"] * plan.get("data_parallel", 1)
        for plan in plans
    )
    kinds = {pool["node"] for pool in pools}
    if len(pools) > 1 and len(kinds) == 1 and used <= MACHINES[kinds.pop()].devices:
        for pool in pools:
            pool |= {"domain": "rack", "replicas": 1}


def _wafer_pool(random: Random, model: str, name: str) -> Section:
    """Draw a pool of wafers, which hold the weights or have them streamed."""
    node = random.choice(["cs-3", "cs-3", "cs-3", "cs-2"])
    needed = MODELS[model].wafers + random.choice([0, 1])
    if node == "cs-2":
        needed = ceil(1.3 * needed)
    engine = random_engines.random_engine(random, MACHINES[node].engines, has_graphs=False)
    replica: Section = {"engine": engine, "weights": "bf16"}
    if _maybe(random, 0.2):
        needed = ceil(MODELS[model].wafers / 4) + random.choice([0, 3])
        replica["weights_from"] = "memoryx"
    replica["wafers"] = needed
    if _maybe(random, 0.2):
        replica["layout"] = "whole"
    if _maybe(random, 0.1):
        replica |= {"reserved_rows": 20, "defective_cores": random.choice([0.01, 0.0])}
    replica["kv_cache"] = random.choice(["bf16", "fp8"])
    pool: Section = {"name": name, "node": node, "nodes": needed, "replica": replica}
    if _maybe(random, 0.3):
        pool |= {"nodes": 2 * needed + 1, "replicas": 2}
    _add_options(random, pool, model)
    return pool


def _add_options(random: Random, pool: Section, model: str) -> None:
    """Draw how a pool serves: batching, KV, speculation, start, price and limit of power."""
    machine, replica = MACHINES[pool["node"]], pool["replica"]
    pool["batching"] = _batching(random)
    is_static = pool["batching"]["policy"] == "static"
    pool["kv"] = _kv(random, pool)
    if not is_static and _maybe(random, 0.25):
        replica["speculation"] = _speculation(random, model)
    if not is_static:
        own = replica["engine"]
        rules = random_engines.scheduler(random)
        (own if isinstance(own, dict) and _maybe(random, 0.5) else pool["batching"]).update(rules)
    random_engines.without_contradictions(pool)
    if _maybe(random, 0.15):
        replica["start"] = "cold"
        replica["load_bandwidth"] = random.choice(["50 GB/s", "10 GB/s"])
    if _maybe(random, 0.3):
        pool["prices"] = _prices(random, machine)
    if machine.watts and _maybe(random, 0.15):
        pool["power_limit"] = f"{random.choice([0.9, 0.7]) * machine.watts[2]:g} W"


def _batching(random: Random) -> Section:
    """Draw how requests share steps; limits that go together are drawn together."""
    kind = random.choice(["default", "small", "small", "static"])
    sequences, tokens = random.choice([(256, 8192), (32, 2048), (8, 512), (4, 256)])
    if kind == "static":
        return {"policy": "static", "max_sequences": sequences}
    batching: Section = {"policy": "continuous"}
    if kind == "small":
        batching |= {"max_sequences": sequences, "max_batched_tokens": tokens}
    if _maybe(random, 0.3):
        batching["order"] = "priority"
    if _maybe(random, 0.2):
        sequences = batching.get("max_sequences", 128)
        whole = {"max_sequences": sequences, "max_batched_tokens": 16_384}
        batching |= {"chunked_prefill": False, **whole}
    if _maybe(random, 0.2):
        batching["batch_wait_timeout_iterations"] = random.choice([8, 40])
        batching["batch_wait_max_tokens_ratio"] = random.choice([0.05, 0.5])
        batching["attention_dp_timeout_iterations"] = 12  # with several ranks alone
        batching["attention_dp_batching_wait_iterations"] = 2
    rules = random_engines.RANK_RULES
    batching["load_balance_method"] = rules[sequences % len(rules)]
    return batching


def _kv(random: Random, pool: Section) -> Section:
    """Draw the keys of a KV cache; without prefix caching where batches are static."""
    kv: Section = {}
    is_static = pool["batching"]["policy"] == "static"
    if _maybe(random, 0.3):
        kv["block_tokens"] = random.choice([16, 1, 64])
    if is_static:
        return kv
    if _maybe(random, 0.2):
        kv["watermark"] = random.choice([0.0, 0.05, 0.3])
    if _maybe(random, 0.4):
        kv |= {"preemption": "swap", "swap_space": random.choice(["4 GiB", "64 GiB", "0.2 GB"])}
        if _maybe(random, 0.4):
            kv["swap_bandwidth"] = random.choice(["50 GB/s", "1 GB/s"])
    if not _maybe(random, 0.5):
        return kv
    kv["prefix_caching"] = True
    if _maybe(random, 0.5):
        kv["offload"] = _tiers(random, pool)
    return kv


def _tiers(random: Random, pool: Section) -> list[Section]:
    """Draw one tier or two behind the devices."""
    behind = {"tier": "nvme", "capacity": "2 TB", "bandwidth": "12 GB/s"}
    first = "memoryx" if pool["node"] in WAFERS and _maybe(random, 0.5) else "host"
    tier = {"tier": first, "capacity": random.choice(["50 GB", "2 GB"]), "bandwidth": "55 GB/s"}
    return [tier, behind][: random.randint(1, 2)]


def _speculation(random: Random, model: str) -> Section:
    """Draw how many tokens are drafted, how many are kept, and what drafting costs."""
    kept = {"acceptance": random.choice([0.7, 0.0, 1.0])}
    if _maybe(random, 0.5):
        kept = {"acceptance_length": random.choice([1.5, 1.0])}
    ways: list[Section] = [{}, {"draft_cost": 0.05}, {"mtp_layers": 1}]
    if model.startswith("llama"):
        ways.append({"draft_model": "llama-3.1-8b"})
    return {"draft_tokens": random.randint(1, 3), **kept, **random.choice(ways)}


def _prices(random: Random, machine: Machine) -> Any:
    """Draw what a node costs: an offer of the catalog, or one that is written."""
    rental = {"value": "2.90 USD/h", "range": ["1 USD/h", "6 USD/h"]}
    written = {"basis": "rented", "name": "a guess", "year": 2026, "rental": rental}
    return random.choice([*machine.prices, written])


def _network(random: Random, machine: Machine) -> Any:
    """Draw how the front door reaches the nodes."""
    names = list(machine.networks)
    choice = random.choice([*names, "links", "fabric"])
    if choice == "links":
        wire = {"kind": "ethernet", "bandwidth": random.choice(["50 GB/s", "1 GB/s"])}
        wire["latency"] = random.choice(["2 us", "5 ms"])
        ends = [["front_door", "spine"], ["spine", "node"]]
        return {"links": [{"between": between, **wire} for between in ends]}
    if choice == "fabric":
        shape = random.choice(["fat_tree", "rail_optimised"])
        fabric = {"shape": shape, "kind": "roce", "radix": 32, "bandwidth": "40 GB/s"}
        slow = {"latency": "1 us", "switch_latency": "300 ns", "oversubscription": 2}
        return {"fabric": fabric | slow}
    return choice


def _router(random: Random, pools: list[Section]) -> Section:
    """Draw which replica a request goes to, by fresh news or by old."""
    policies = ["least_requests", "round_robin", "random", "least_work", "power_of_two"]
    policy = random.choice([*policies, "prefix_affinity"])
    router: Section = {"policy": policy}
    if policy not in ("round_robin", "random") and _maybe(random, 0.3):
        router["staleness"] = _seconds(random, 0.5, 3)
    if policy == "prefix_affinity" and _maybe(random, 0.5):
        router |= {"cache_threshold": 0.1, "balance_abs": 2, "balance_rel": 1.2}
        router["remembered_tokens"] = random.choice([1_000_000, 5000])
    if _maybe(random, 0.1):
        return _by_rules(random, router, pools)
    return router


def _by_rules(random: Random, within: Section, pools: list[Section]) -> Section:
    """Draw rules from the length of a prompt to pools that take requests."""
    names = [pool["name"] for pool in pools if pool.get("replica", {}).get("role") != "decode"]
    long = {"when": {"prompt_tokens": {"min": random.choice([60, 500])}}, "to": names[-1]}
    rest: list[Section] = random.choice([[{"to": names}], []])
    return {"policy": "rules", "rules": [long, *rest], "within": within}


def _admission(random: Random, scenario: Section) -> Section:
    """Draw who is turned away; clients that are must think before they ask again."""
    arrivals = scenario["workload"].get("arrivals", {})
    if arrivals.get("process") == "closed_loop":
        arrivals["think_time"] = "0.5 s"
    policy = random.choice(["queue_limit", "token_bucket", "predicted_ttft", "accept_all"])
    if policy == "queue_limit":
        per = random.choice(["replica", "cluster"])
        return {"policy": policy, "max_waiting": random.choice([10, 1]), "per": per}
    if policy == "token_bucket":
        slow, by_tokens = {"rate": "0.2 /s", "burst": 2}, {"rate": "2000 /s", "burst": 5000}
        by_requests = {"rate": "3 /s", "burst": 10, "counts": "requests"}
        return {
            "policy": policy,
            **random.choice([by_requests, by_tokens | {"counts": "tokens"}, slow]),
        }
    if policy == "predicted_ttft" and ("slo" not in scenario or _maybe(random, 0.5)):
        return {"policy": policy, "limit": _seconds(random, 1, 0.1)}
    return {"policy": policy}


# Site


def _site(random: Random, pools: list[Section]) -> Section:
    """Draw where the cluster stands, what it may draw, and what goes wrong."""
    site: Section = {}
    if _maybe(random, 0.8):
        site["inlet"] = _inlet(random)
    if _maybe(random, 0.4):
        site |= {"pue": random.choice([1.25, 1.0]), "electricity": "0.07 USD/kWh"}
        site["carbon_intensity"] = "380 g/kWh"
    if _maybe(random, 0.3):
        site |= _power_caps(random, pools)
    if _maybe(random, 0.5):
        site["events"] = [_event(random, pools) for _ in range(random.randint(1, 2))]
    return site | _room(site, pools)


def _room(site: Section, pools: list[Section]) -> Section:
    """Draw a cooling plant in a weather, prices by the hour, and devices without protection.

    They have a random stream of their own, so that the other parts of a scenario do not depend on
    them.
    """
    random = Random(repr((site, [pool["node"] for pool in pools])))
    room: Section = {}
    if _maybe(random, 0.2):
        room["electricity"] = {"mean": "0.07 USD/kWh", "swing": "0.02 USD/kWh"}
        room["carbon_intensity"] = {"mean": "380 g/kWh", "swing": "90 g/kWh", "peak_hour": 3}
    known = all(MACHINES[pool["node"]].watts for pool in pools)
    if known and "pue" not in site and _maybe(random, 0.3):
        kinds = ["chiller", "air_cooled_chiller", "dry_cooler", "tower"]
        cooling = {"kind": random.choice(kinds)}
        room |= {"cooling": cooling, "weather": random.choice(["greensboro", "sand-point"])}
        if "inlet" not in site:
            cooling["supply"] = "9 degC"
    inlet = site.get("inlet")
    if not (isinstance(inlet, dict) and "begins_hour" in inlet):
        room["begins"] = random.choice(["07-18 15:59", "01-01 23:59"])
    if _maybe(random, 0.15):
        room["thermal_protection"] = False
    return room


def _inlet(random: Random) -> Any:
    """Draw the temperature of air or water, from cool to much too warm."""
    kind = random.choice(["bare", "swing", "points"])
    warmth = random.choice([25, 60, 18, 40, 50, 70])
    if kind == "bare":
        return f"{warmth} degC"
    if kind == "swing":
        hours = {"peak_hour": 15, "begins_hour": random.choice([15, 3])}
        return {"mean": f"{warmth} degC", "swing": "5 K", **hours}
    at_first, later = f"{warmth} degC", f"{warmth + 8} degC"
    return {"points": [["0 s", at_first], ["10 s", later], ["30 s", "25 degC"]]}


def _power_caps(random: Random, pools: list[Section]) -> Section:
    """Draw caps between what all nodes draw idle and the most that they draw."""
    polca = {"policy": "polca", "low_priority": [pools[0]["name"]], "delay": "1 s"}
    policies = ["proportional", "priority", "lend", {"policy": "lend_by_priority"}, polca]
    caps: Section = {"power_sharing": random.choice(policies)}
    machines = [MACHINES[pool["node"]] for pool in pools for _ in range(pool["nodes"])]
    share = random.choice([0.7, 0.4, 0.9])
    least_and_most = [machine.watts[:2] if machine.watts else (0.0, 1e4) for machine in machines]
    each = [least + share * (most - least) for least, most in least_and_most]
    if _maybe(random, 0.5):
        return caps | {"rack_nodes": 1, "rack_power_cap": f"{max(each):.0f} W"}
    return caps | {"row_power_cap": f"{sum(each):.0f} W"}


def _event(random: Random, pools: list[Section]) -> Section:
    """Draw something that goes wrong with the cooling of a pool, of a node or of all."""
    pool = random.choice(pools)
    event: Section = {"at": _seconds(random, 5, 1), "lasts": _seconds(random, 40, 10)}
    place = random.choice(["everywhere", "pool", "node"])
    if place != "everywhere":
        event["where"] = pool["name"] if place == "pool" else f"{pool['name']}/0"
    failure = MACHINES[pool["node"]].failure
    if not failure or _maybe(random, 0.4):
        return event | {"what": "inlet_rise", "rise": random.choice(["5 K", "15 K"])}
    return event | {"what": failure, "factor": random.choice([0.7, 0.5, 0.3])}


def _sample(random: Random, scenario: Section) -> None:
    """Make it the sample of a larger cluster, where its traffic and its limits may be sampled."""
    process = scenario["workload"].get("arrivals", {}).get("process")
    site = scenario.get("site", {})
    sampled = process in ("poisson", "diurnal", "burst", "closed_loop")
    if not sampled or "admission" in scenario["cluster"] or {"events", "rack_nodes"} & site.keys():
        return
    one_in = random.choice([2, 4])
    scenario["sample"] = f"1/{one_in}"
    for key in ("concurrency", "requests"):
        if key in scenario["workload"]["arrivals"]:
            scenario["workload"]["arrivals"][key] *= one_in
    for pool in scenario["cluster"]["pools"]:
        for key in ("nodes", "replicas"):
            if key in pool:
                pool[key] *= one_in


def _most_tokens(model: str, cluster: Section) -> int:
    """Of a request that every pool most likely has room for."""
    pools = cluster["pools"]
    if any("memory_fraction" in pool["kv"] for pool in pools):
        return 1600
    reads_whole = any(pool["batching"].get("chunked_prefill") is False for pool in pools)
    is_roomy = all(pool["node"] not in ("groq-rack", "tpu-v5e-8", "cs-2") for pool in pools)
    if reads_whole or not is_roomy:
        return min(12_000, MODELS[model].max_context - 600)
    return MODELS[model].max_context - 600
