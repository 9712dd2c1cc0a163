"""Measure what a power cap costs: CPU time of runs with a cap, and of the same runs without.

    python benchmarks/power_cap.py [--requests 3000] [--runs 3]

The scenario is that of `benchmarks/speed.py`: Llama 3.3 70B on one DGX B200. Both kinds of run take
turns in one process, and the lowest CPU time of each counts. The output has the ratio of both.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from cpu_time import measured, scenario_of

if TYPE_CHECKING:
    from cluster_sim import Scenario

SCENARIO = """# What does a power cap cost?
name: power-cap
seed: 1
model: llama-3.3-70b
workload:
  arrivals: {{process: poisson, rate: {rate} /s, requests: {requests}}}
  prompt_tokens: 512
  output_tokens: 256
cluster:
  pools:
    - name: b200
      node: dgx-b200
      power_limit: {limit}
      replica: {{tensor_parallel: 8, weights: fp8, kv_cache: fp8, engine: vllm}}
"""
LIMITS = ("1 kW", "500 W", "400 W", "350 W", "300 W")
"""Power limits of each device; the first one is the device's own."""


def scenario_with(limit: str, requests: int, rate: float) -> Scenario:
    """Return the scenario with a power limit of each device."""
    return scenario_of(SCENARIO.format(limit=limit, requests=requests, rate=rate))


def main() -> None:
    """Print CPU time, throughput, clock and number of stretches for each limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--rate", type=float, default=20.0)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    scenarios = [scenario_with(limit, options.requests, options.rate) for limit in LIMITS]
    runs = [[measured(scenario) for scenario in scenarios] for _ in range(options.runs + 1)][1:]
    free_s = min(row[0][0] for row in runs)
    print(
        f"{'limit':>8} {'CPU s':>7} {'ratio':>6} {'requests/s':>11} {'stretches':>10} {'lowest clock':>13}"
    )
    for place, limit in enumerate(LIMITS):
        cpu_s, results = min((row[place] for row in runs), key=lambda run: run[0])
        clock = results.summary().get("lowest_clock_fraction", 1.0)
        print(
            f"{limit:>8} {cpu_s:7.2f} {cpu_s / free_s:6.2f} {options.requests / cpu_s:11,.0f}"
            f" {results.stretches.num_rows:10,} {clock:13.2f}"
        )


if __name__ == "__main__":
    main()
