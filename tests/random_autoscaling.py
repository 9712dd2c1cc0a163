"""Draws autoscaling for pools of random scenarios; the plainest choices come first."""

from __future__ import annotations

from math import prod
from random import Random
from typing import Any

Section = dict[str, Any]


def let_scale(random: Random, scenario: Section, devices: dict[str, int], second_s: float) -> None:
    """Draw autoscaling for some pools of a scenario.

    devices: number of devices per node, by name of the pool. second_s: unit of the times [s].
    """
    for pool in scenario["cluster"]["pools"]:
        plan = pool["replica"]
        kinds = ("tensor_parallel", "pipeline_parallel", "data_parallel")
        each = plan.get("wafers") or prod(plan.get(kind, 1) for kind in kinds)
        most = min(pool["nodes"] * devices[pool["name"]] // each, 8)
        if random.random() < 0.7 or not most:
            continue
        pool.pop("replicas", None)
        plan.setdefault("load_bandwidth", "50 GB/s" if second_s == 1.0 else "1 MB/s")
        pool["autoscale"] = _autoscale(random, most, second_s)
        scenario.pop("sample", None)


def _autoscale(random: Random, most: int, second_s: float) -> Section:
    def seconds(*choices: float) -> str:
        return f"{random.choice(choices) * second_s:g} s"

    metric: Section = random.choice([
        {"metric": "queue"}, {"metric": "queue", "target": 1}, {"metric": "kv_cache", "target": 0.3},
        {"metric": "running", "target": 0.5}, {"metric": "ttft", "target": seconds(0.5, 0.01)},
    ])  # fmt: skip
    least = random.randint(0, most)
    drawn: Section = metric | {
        "min": least,
        "max": most,
        "period": seconds(1, 3, 0.3),
        "provision": seconds(2, 0),
        "stabilisation": seconds(0, 5),
        "readiness_delay": seconds(0, 2),
        "cooldown": seconds(2, 0),
        "drain": random.choice([True, False]),
    }
    if random.random() > 0.6:
        drawn["initial"] = random.randint(least, most)
    if random.random() > 0.7:
        drawn["warm_pool"] = random.choice([1, 2])
    if random.random() > 0.7:
        drawn["up"] = {"policies": [{"replicas": 1, "period": seconds(4)}]}
        drawn["stabilisation_up"] = seconds(2, 0)
    if random.random() > 0.7:
        times = {"from": seconds(2), "to": seconds(5), "every": seconds(8)}
        drawn["schedule"] = [times | {"min": most}]
    return drawn
