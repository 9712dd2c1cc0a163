"""Measure what heat costs the simulator: CPU time of a throttling DGX B200 and of a cool one.

    python benchmarks/near_the_limit.py [--minutes 10] [--runs 3]

The load is Llama 3.3 70B with a burst that lasts most of the run. The air of the hot node has 35 or
42 degC and its fans reach 60 % of their flow, so that the rear row throttles; the air of the cool
node has 5 degC. Both take turns in one process, and the lowest CPU time of each counts. The output has
the ratio of both, which shall be below 4.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, NamedTuple

from cpu_time import measured, scenario_of

if TYPE_CHECKING:
    from cluster_sim import Scenario

SCENARIO = """# What does heat cost the simulator?
name: near-the-limit
seed: 1
model: llama-3.3-70b
duration: {minutes} min
drain: 1 min
workload:
  arrivals: {{process: burst, rate: 4 /s, bursts: [{{at: 30 s, lasts: 1 h, rate: {rate} /s}}]}}
  prompt_tokens: {{distribution: lognormal, median: 1469, p99: 7436, max: 7437}}
  output_tokens: {{distribution: lognormal, median: 220, p99: 1200}}
cluster:
  pools:
    - name: b200
      node: dgx-b200
      replica: {{tensor_parallel: {parallel}, weights: {weights}, kv_cache: fp8, engine: trtllm}}
      batching: {{max_sequences: {slots}, max_batched_tokens: {chunk}}}
  router: {{policy: least_work}}
site: {site}
"""
FANS = "events: [{at: 0 s, lasts: 1 day, what: fan_failure, factor: 0.6}]"
COOL = "{inlet: 5 degC}"


class Layout(NamedTuple):
    """Replicas of a node, their load, and the air of the hot node."""

    parallel: int
    """GPUs per replica."""
    weights: str
    slots: int
    """Sequences in a batch."""
    chunk: int
    """Tokens in a batch."""
    rate: int
    """Arrival rate of the burst [requests/s]."""
    air_c: int
    """Temperature of the air of the hot node [degC]."""

    @property
    def hot(self) -> str:
        """Site of the hot node."""
        return f"{{inlet: {self.air_c} degC, {FANS}}}"


LAYOUTS = (
    Layout(parallel=1, weights="fp4", slots=256, chunk=1024, rate=56, air_c=35),
    Layout(parallel=8, weights="bf16", slots=1024, chunk=16384, rate=60, air_c=42),
)
"""Eight replicas of one GPU, and one replica of eight GPUs."""


def scenario_at(site: str, layout: Layout, minutes: float) -> Scenario:
    """Return the scenario with a site."""
    return scenario_of(SCENARIO.format(site=site, minutes=minutes, **layout._asdict()))


def main() -> None:
    """Print CPU time, ratio, heat and clock of the hot and the cool node."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    print(
        f"{'GPUs per replica':>16} {'site':>5} {'CPU s':>7} {'ratio':>6} {'hottest die':>12} "
        f"{'lowest clock':>13} {'throttled':>10}"
    )
    for layout in LAYOUTS:
        scenarios = [scenario_at(site, layout, options.minutes) for site in (COOL, layout.hot)]
        runs = [[measured(scenario) for scenario in scenarios] for _ in range(options.runs + 1)]
        cool, hot = (min(column, key=lambda run: run[0]) for column in zip(*runs[1:], strict=True))
        for name, (cpu_s, results) in (("cool", cool), ("hot", hot)):
            summary = results.summary()
            print(
                f"{layout.parallel:>16} {name:>5} {cpu_s:7.2f} {cpu_s / cool[0]:6.2f}"
                f" {summary['max_die_c']:9.1f} °C {summary['lowest_clock_fraction']:13.2f}"
                f" {summary['throttled_fraction']:10.0%}"
            )


if __name__ == "__main__":
    main()
