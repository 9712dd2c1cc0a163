"""Print what chance does to results: of a textbook's queue by formula, and of the program by seeds.

    python benchmarks/chance.py [--requests 4000] [--seeds 20]

Waits of neighbouring requests are alike, so a long run holds less information than its number of
requests suggests. The first table has the standard error of the mean wait in the M/M/1 queue, by
formula and by Lindley's recursion. The other tables scatter results of the program over seeds: by
load, by burstiness of the arrivals, and of the difference between two variants on equal traffic.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from cpu_time import scenario_of

import cluster_sim

Array = npt.NDArray[np.float64]

LOADS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98)
"""Loads of the queue: service time per time between arrivals."""
CUSTOMERS, RUNS = 60_000, 400
PRECISION = 0.05
"""Relative standard error for which the needed number of customers is printed."""

METRICS = ("mean_ttft_ms", "p99_ttft_ms", "median_tpot_ms", "p99_tpot_ms")
HIGHEST = 18.7
"""Highest rate of the scenario below by `cluster-sim explain` [requests/s]."""
SCENARIO = """# How much do results scatter?
name: chance
seed: {seed}
warmup: 30 s
model: llama-3.3-70b
workload:
  arrivals: {{{arrivals}, rate: {rate:.3f} /s, requests: {requests}}}
  prompt_tokens: {{distribution: lognormal, median: 1000, p99: 6000, max: 8000}}
  output_tokens: {{distribution: lognormal, median: 250, p99: 1200, max: 2000}}
cluster:
  pools:
    - name: h200
      node: dgx-h200
      replica: {{tensor_parallel: {tensor}, weights: bf16, kv_cache: bf16, engine: vllm}}
"""


# The queue


def variance_constant(load: float) -> float:
    """Return the asymptotic variance of the mean wait in M/M/1 times the number of customers.

        load (2 + 5 load - 4 load^2 + load^3) / (1 - load)^4

    The unit is the square of the mean service time. Source: Daley, Journal of the Australian
    Mathematical Society 8, 1968; Whitt, Management Science 35(11), 1989.
    """
    return load * (2 + 5 * load - 4 * load**2 + load**3) / (1 - load) ** 4


def mean_wait(load: float) -> float:
    """Return the mean wait in M/M/1, in units of the mean service time."""
    return load / (1 - load)


def relative_error(load: float, customers: int) -> float:
    """Return the relative standard error of the mean wait of so many customers."""
    return float((variance_constant(load) / customers) ** 0.5) / mean_wait(load)


def customers_for(load: float, precision: float) -> float:
    """Return the number of customers whose mean wait has a relative standard error."""
    return variance_constant(load) / (precision * mean_wait(load)) ** 2


def p99_wait(load: float) -> float:
    """Return the 99th percentile of the wait in M/M/1, in units of the mean service time."""
    return float(np.log(load / 0.01)) / (1 - load)


def waits(load: float, customers: int, random: np.random.Generator) -> Array:
    """Return the waits of successive customers of an M/M/1 queue in its steady state.

    Lindley's recursion W' = max(0, W + service - gap) is solved by running minima.
    """
    steps = random.exponential(1.0, customers) - random.exponential(1.0 / load, customers)
    is_busy = random.random() < load
    first = random.exponential(1.0 / (1.0 - load)) if is_busy else 0.0
    walk = first + np.cumsum(np.concatenate([[0.0], steps[:-1]]))
    result: Array = walk - np.minimum(np.minimum.accumulate(walk), 0.0)
    return result


class QueueErrors(NamedTuple):
    """Relative root-mean-square errors of one run of a queue."""

    mean: float
    """Error of the mean wait."""
    p99: float
    """Error of the 99th percentile."""
    if_independent: float
    """Error of the mean wait of as many independent customers."""


def queue_errors(load: float, customers: int, runs: int) -> QueueErrors:
    """Return the errors of the waits of simulated customers against the exact values."""
    random, exact = np.random.default_rng(1), mean_wait(load)
    means, tails = np.empty(runs), np.empty(runs)
    for run in range(runs):
        wait = waits(load, customers, random)
        means[run], tails[run] = wait.mean(), np.quantile(wait, 0.99)
    of_one = (load * (2 - load)) ** 0.5 / (1 - load)  # standard deviation of one wait
    return QueueErrors(
        float(np.mean((means / exact - 1.0) ** 2)) ** 0.5,
        float(np.mean((tails / p99_wait(load) - 1.0) ** 2)) ** 0.5,
        of_one / exact / customers**0.5,
    )


# The program


class Setting(NamedTuple):
    """Traffic and layout of some runs."""

    load: float
    """Rate as a share of HIGHEST."""
    requests: int
    """Number of requests."""
    arrivals: str = "process: poisson"
    """Keys of the arrivals."""
    tensor: int = 2
    """Number of devices per replica."""

    def over_seeds(self, seeds: int) -> dict[str, Array]:
        """Return each metric of runs with the seeds 1, 2, …"""
        keys = self._asdict() | {"rate": self.load * HIGHEST}
        texts = [SCENARIO.format(seed=seed, **keys) for seed in range(1, seeds + 1)]
        runs = [cluster_sim.simulate(scenario_of(text)).summary() for text in texts]
        return {name: np.array([run[name] for run in runs]) for name in METRICS}


def print_scatter(title: str, metrics: Mapping[str, Array]) -> None:
    """Print mean and relative standard deviation of each metric."""
    cells = (
        f"{np.mean(values):9.1f} {np.std(values, ddof=1) / np.mean(values):6.1%}"
        for values in metrics.values()
    )
    print(f"{title:>30}", *cells)


def print_queue() -> None:
    """Print the errors of the textbook's queue."""
    print(f"M/M/1, relative standard error with {CUSTOMERS:,} customers; simulated: {RUNS} runs")
    print("  load  formula simulated p99 wait if independent  customers for 5 %")
    for load in LOADS:
        errors, formula = queue_errors(load, CUSTOMERS, RUNS), relative_error(load, CUSTOMERS)
        print(
            f"{load:6.0%} {formula:8.1%} {errors.mean:9.1%} {errors.p99:8.1%} "
            f"{errors.if_independent:14.2%} {customers_for(load, PRECISION):18,.0f}"
        )


def print_program(requests: int, seeds: int) -> None:
    """Print the scatter of the program's results over seeds."""
    print(f"\n{seeds} seeds, mean and scatter of one run: {', '.join(METRICS)}")
    known = {}
    lengths = (requests // 4, requests, 4 * requests)
    for load, counts in ((0.5, lengths), (0.7, lengths[1:2]), (0.9, lengths)):
        for count in counts:
            setting = Setting(load, count)
            known[setting] = setting.over_seeds(seeds)
            print_scatter(f"load {load:.0%}, {count:,} requests", known[setting])
    for cv in (0.5, 2, 4):
        bursty = Setting(0.7, requests, f"process: gamma, cv: {cv}")
        print_scatter(f"load 70%, CV {cv}", bursty.over_seeds(seeds))
    print("\ntwo layouts at 50 % load: mean difference, scatter with equal and with other seeds")
    first, second = (
        known[Setting(0.5, requests)],
        Setting(0.5, requests, tensor=4).over_seeds(seeds),
    )
    for name, one in first.items():
        other = second[name]
        paired = float(np.std(other - one, ddof=1))
        apart = float(np.hypot(np.std(one, ddof=1), np.std(other, ddof=1)))
        print(
            f"{name:>16} {np.mean(other - one):9.2f} {paired:8.2f} {apart:8.2f}"
            f"  fewer runs: {(apart / paired) ** 2:.1f}"
        )


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--seeds", type=int, default=20)
    options = parser.parse_args()
    print_queue()
    print_program(options.requests, options.seeds)


if __name__ == "__main__":
    main()
