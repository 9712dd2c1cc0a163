"""Measure the simulator's speed on 128 nodes of eight H100 with wide groups of experts.

    python benchmarks/wide_groups.py [--seconds 60] [--rate 300] [--runs 3]

DeepSeek-R1 is prefilled by 16 groups of 16 devices and decoded by 24 groups of 32, with log-normal
expert popularity, redundant experts and two batches per step. Every group spans nodes, and the KV
cache of each request crosses the network from its attention rank to that of its decode group. The
output is the number of finished requests, and of requests per CPU second, which shall be 500 or
more.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from cpu_time import measured, scenario_of

if TYPE_CHECKING:
    from cluster_sim import Scenario

SCENARIO = """# How fast is a simulation of wide groups?
name: wide-groups
seed: 1
model: deepseek-r1
duration: {seconds} s
drain: 10 min
workload:
  arrivals: {{process: poisson, rate: {rate} /s}}
  prompt_tokens: {{distribution: lognormal, median: 1500, p99: 8000, max: 16000}}
  output_tokens: {{distribution: lognormal, median: 300, p99: 2000, max: 4000}}
cluster:
  pools:
    - name: prefill
      node: dgx-h100
      nodes: 32
      replica: {{data_parallel: 16, expert_parallel: 16, {plan}, role: prefill}}
      kv: {{memory_fraction: 0.87}}
    - name: decode
      node: dgx-h100
      nodes: 96
      replica: {{data_parallel: 32, expert_parallel: 32, {plan}, role: decode}}
      kv: {{memory_fraction: 0.87}}
  disaggregation: {{policy: least_kv, kv_transfer: whole}}
  router: {{policy: least_work}}
"""
PLAN = (
    "weights: fp8, engine: sglang, redundant_experts: 32, expert_load: {sigma: 1.05}, "
    "overlap: two_batch"
)


def scenario(seconds: int, rate: int) -> Scenario:
    """Return the scenario of the benchmark."""
    return scenario_of(SCENARIO.format(seconds=seconds, rate=rate, plan=PLAN))


def main() -> None:
    """Print the requests per CPU second."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=60, help="simulated time [s]")
    parser.add_argument("--rate", type=int, default=300, help="arrivals per second")
    parser.add_argument("--runs", type=int, default=3, help="number of runs; the fastest counts")
    options = parser.parse_args()
    wide = scenario(options.seconds, options.rate)
    cpu_s, results = min((measured(wide) for _ in range(options.runs)), key=lambda run: run[0])
    done = results.requests["status"].to_pylist().count("finished")
    print(f"{done:,} requests in {cpu_s:.1f} CPU seconds: {done / cpu_s:,.0f} per CPU second")


if __name__ == "__main__":
    main()
