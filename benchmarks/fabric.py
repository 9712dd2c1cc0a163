"""Measure the speed of simulations in which hundreds of KV transfers share a fabric.

    python -m benchmarks.fabric [--nodes 128] [--seconds 20] [--link "46 GB/s"] [--transfer layers]

Half of the nodes prefill with one replica per GPU. The other half decode with one replica of eight
GPUs per node. The network has rail-optimised leaves and spines. The KV cache is sent layer by layer,
so about every prefill in progress has a transfer in progress, over eight ECMP paths. The output has
requests per second of wall time, simulated and wall time, bare SimPy timeouts per request (see
speed.py), and the mean number of transfers in progress.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

import cluster_sim
from benchmarks.speed import bare_timeout_s

SCENARIO = """
name: fabric
seed: 1
duration: {seconds} s
model: llama-3.3-70b
workload:
  arrivals: {{process: poisson, rate: {rate} /s}}
  prompt_tokens: {{distribution: lognormal, median: 1500, p99: 6000, max: 6000}}
  output_tokens: {{distribution: lognormal, median: 60, p99: 200, max: 400}}
cluster:
  pools:
    - name: prefill
      node: dgx-b200
      nodes: {half}
      replica: {{tensor_parallel: 1, weights: fp8, kv_cache: fp8, engine: vllm, role: prefill}}
    - name: decode
      node: dgx-b200
      nodes: {half}
      replica: {{tensor_parallel: 8, weights: fp8, kv_cache: fp8, engine: vllm, role: decode}}
  router: {{policy: round_robin}}
  disaggregation: {{kv_transfer: {transfer}, policy: round_robin}}
  network:
    name: narrow
    fabric:
      shape: rail_optimised
      kind: infiniband
      radix: 64
      bandwidth: {link}
      latency: 1 us
      switch_latency: 0.2 us
    links: []
"""


def main() -> None:
    """Simulate once and print the speed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=int, default=128, help="simulate this number of nodes")
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="simulate arrivals of this time"
    )
    parser.add_argument(
        "--rate", type=float, default=30.0, help="set the rate per prefill node [requests/s]"
    )
    parser.add_argument("--link", default="46 GB/s", help="set the bandwidth of a link")
    parser.add_argument(
        "--transfer", default="layers", help="set kv_transfer: layers, whole or off"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fabric.yaml"
        half = given.nodes // 2
        path.write_text(
            SCENARIO.format(
                seconds=given.seconds,
                rate=given.rate * half,
                half=half,
                link=given.link,
                transfer=given.transfer,
            )
        )
        scenario = cluster_sim.load_scenario(path)
    began, worked = time.perf_counter(), time.process_time()
    results = cluster_sim.simulate(scenario)
    took_s, worked_s = time.perf_counter() - began, time.process_time() - worked
    began_s, ended_s = (results.transfers[name].to_numpy() for name in ("began_s", "ended_s"))
    inside = (began_s < given.seconds) & (ended_s > given.seconds / 2)
    under_way = np.sum(
        np.minimum(ended_s, given.seconds)[inside] - np.maximum(began_s, given.seconds / 2)[inside]
    ) / (given.seconds / 2)
    requests = results.requests.num_rows
    print(
        f"{given.nodes} nodes, {requests:,} requests in {results.info.simulated_s:,.1f} s "
        f"simulated and {took_s:,.1f} s of wall time"
    )
    print(
        f"{requests / took_s:,.0f} requests per second of wall time, "
        f"{requests / worked_s:,.0f} per second of processor time"
    )
    print(
        f"{took_s / requests / bare_timeout_s():,.0f} bare timeouts per request; "
        f"{under_way:,.0f} transfers in progress, mean of the second half"
    )


if __name__ == "__main__":
    main()
