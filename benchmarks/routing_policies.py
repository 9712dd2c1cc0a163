"""Measure the time per request of routing policies for 100, 1,000 and 10,000 replicas.

    python benchmarks/routing_policies.py [--replicas 100 1000 10000] [--per-replica 10] [--runs 2]

Each replica is a DGX B200 with Llama 3.3 70B at about 70 % of its highest rate. Half of the prompt is
one of 50 system prompts per 100 replicas, so that `prefix_affinity` has prefixes to find. The time is
the CPU time of a run without reading the scenario, wiring and tables, divided by its requests. Each
run is a new process, and the lowest time counts. The output compares the times with those of
round_robin, which looks at no load, and the growth with the number of replicas with its growth.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from math import inf
from pathlib import Path

POLICIES = ("round_robin", "least_requests", "least_work", "prefix_affinity")
RATE_PER_REPLICA = 30.8
"""Arrival rate per replica [requests/s], as in benchmarks/speed.py."""


def scenario_text(policy: str, replicas: int, requests: int) -> str:
    """Return the text of the scenario file of one run."""
    return f"""# How long does a choice take?
name: routing
seed: 1
model: llama-3.3-70b
workload:
  arrivals: {{process: poisson, rate: {RATE_PER_REPLICA * replicas} /s, requests: {requests}}}
  prompt_tokens: 256
  output_tokens: 256
  shared_prefix: {{tokens: 256, groups: {max(replicas // 2, 1)}}}
cluster:
  pools:
    - name: b200
      node: dgx-b200
      nodes: {replicas}
      replica: {{tensor_parallel: 8, weights: fp8, kv_cache: fp8, engine: vllm}}
      kv: {{prefix_caching: true}}
  router: {{policy: {policy}}}
"""


def measure(policy: str, replicas: int, requests: int) -> None:
    """Run one policy in this process; print the CPU time per request [us]."""
    import cluster_sim
    from cluster_sim.deployment.fleet import resolve
    from cluster_sim.sim.build import build
    from cluster_sim.sim.limits import NO_LIMITS
    from cluster_sim.sim.run import Onlookers, no_cycle_collection, run

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "routing.yaml"
        path.write_text(scenario_text(policy, replicas, requests))
        scenario = cluster_sim.load_scenario(path)
    simulation = build(scenario, resolve(scenario))
    with no_cycle_collection():
        began_s = time.process_time()
        run(simulation, Onlookers(None, None), NO_LIMITS)
        print((time.process_time() - began_s) / requests * 1e6)


def per_request_us(replicas: int, requests: int, runs: int) -> dict[str, float]:
    """Return the lowest CPU time per request of some runs of each policy [us].

    The policies take turns, since the speed of a shared machine varies.
    """
    lowest = dict.fromkeys(POLICIES, inf)
    for _ in range(runs):
        for policy in POLICIES:
            once = [sys.executable, __file__, "--once", policy, str(replicas), str(requests)]
            done = subprocess.run(once, check=True, capture_output=True, text=True)
            lowest[policy] = min(lowest[policy], float(done.stdout))
    return lowest


def main() -> None:
    """Run each policy with each number of replicas, and print times and growth."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--replicas", type=int, nargs="+", default=[100, 1000, 10_000], help="use these numbers"
    )
    parser.add_argument("--per-replica", type=int, default=10, help="send so many requests to each")
    parser.add_argument("--runs", type=int, default=2, help="run each size this many times")
    parser.add_argument("--once", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.once:
        policy, *numbers = arguments.once
        measure(policy, *map(int, numbers))
        return
    sizes = arguments.replicas
    print("policy, us per request (times round_robin), growth (over that of round_robin)")
    print(f"{'replicas':>16}" + "".join(f"{size:>26,}" for size in sizes))
    of_sizes = [
        per_request_us(size, size * arguments.per_replica, arguments.runs) for size in sizes
    ]
    usual = [lowest["round_robin"] for lowest in of_sizes]
    for policy in POLICIES:
        times = [lowest[policy] for lowest in of_sizes]
        cells = []
        for place, (own, other) in enumerate(zip(times, usual, strict=True)):
            cell = f"{own:.1f} ({own / other:.2f})"
            if place:
                growth, others = own / times[place - 1], other / usual[place - 1]
                cell += f" {growth:.2f} ({growth / others:.2f})"
            cells.append(f"{cell:>26}")
        print(f"{policy:>16}" + "".join(cells))


if __name__ == "__main__":
    main()
