"""Quality of `cluster-sim plan` on a space of 2,000 deployments.

The winner is simulated again at full length, and compared with the best of random deployments that
meet the SLO. Usage: python benchmarks/plan_search.py [--wanted goodput] [--random 200]
"""

from __future__ import annotations

import argparse
import json
import time
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import cluster_sim
from cluster_sim.loading.files import open_scenarios
from cluster_sim.results.cost import planned_usd_per_hour
from cluster_sim.results.metrics import verdict
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.studies.grid import point
from cluster_sim.studies.plan import plan
from cluster_sim.studies.workers import called

SPACE = """
name: plan-search
seed: 5
duration: 10 min
warmup: 30 s
model: llama-3.3-70b
workload:
  arrivals: {process: on_off, preset: azure-code, burst_rate: 60 /s}
  prompt_tokens: {distribution: lognormal, median: 1469, p99: 7436, max: 7437}
  output_tokens: {distribution: lognormal, median: 220, p99: 1200}
slo: {ttft: 500 ms, tpot: 25 ms, percentile: 95}
cluster:
  pools:
    - {name: b200, node: dgx-b200, replica: {weights: fp4, kv_cache: fp8}}
plan:
  for: WANTED
  vary:
    pools.b200.nodes: [1, 2, 3, 4, 6]
    pools.b200.replica.tensor_parallel: [1, 2, 4, 8]
    pools.b200.replica.engine: [vllm, trtllm]
    pools.b200.replica.kv_cache: [bf16, fp8]
    pools.b200.batching.max_sequences: [16, 32, 64, 128, 256]
    pools.b200.batching.max_batched_tokens: [2048, 4096, 8192, 16384, 32768]
"""


def judged(scenario: Scenario, wanted: str) -> tuple[bool, float]:
    """Return whether a deployment meets the SLO at full length, and its value to minimise."""
    results = cluster_sim.simulate(scenario)
    is_met = verdict.judged([results], verdict.objectives(scenario)).is_met
    if wanted == "usd_per_hour":
        return is_met, planned_usd_per_hour(scenario) or inf
    summary = results.summary()
    value = summary["mean_power_w"] if wanted == "power" else -summary["request_goodput"]
    return is_met, float(value)


def best_of_random(path: Path, number: int, seed: int, wanted: str) -> tuple[int, float]:
    """Return how many random deployments meet the SLO, and the best value of these."""
    file = open_scenarios(path)
    assert file.plan is not None
    rng, work = np.random.default_rng(seed), []
    vary = file.plan.vary
    while len(work) < number:
        values: dict[str, Any] = {
            f"cluster.{key}": listed[int(rng.integers(len(listed)))] for key, listed in vary.items()
        }
        scenario = point(file, values).scenario
        if scenario is not None:
            work.append((str(len(work)), (judged, (scenario, wanted))))
    found = [outcome for _, outcome in called(work, 2, None)]
    met = [value for is_met, value in found if is_met]
    return len(met), min(met, default=inf)


def main() -> None:
    """Search, simulate random deployments, and print both as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--wanted", default="usd_per_hour", choices=("usd_per_hour", "power", "goodput")
    )
    parser.add_argument("--random", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "space.yaml"
        path.write_text(SPACE.replace("WANTED", asked.wanted))
        start_s = time.perf_counter()
        (chosen,) = plan(path, workers=2).chosen
        wall_s = time.perf_counter() - start_s
        assert chosen.winner is not None
        is_met, value = judged(chosen.winner.scenario, asked.wanted)
        number, best = best_of_random(path, asked.random, asked.seed, asked.wanted)
    print(
        json.dumps(
            {
                "deployments": chosen.total,
                "simulated": len(chosen.simulated),
                "full_runs": round(chosen.spent, 1),
                "wall_s": round(wall_s, 1),
                "winner": dict(chosen.winner.values),
                "winner_meets_slo": is_met,
                "winner_value": value,
                "random_that_meet_slo": number,
                "best_random_value": best,
                "worse_by": value / best - 1.0 if best > 0 else 1.0 - value / best,
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
