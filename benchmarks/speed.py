"""Measure the requests simulated per second of wall time, for three sizes on one core.

    python benchmarks/speed.py [--router least_requests] [--runs 3] [--against CHECKOUT]

The scenario is Llama 3.3 70B on DGX B200 with tensor parallelism 8, Poisson arrivals at about 70 % of
the highest rate, 512 prompt and 256 output tokens. The time is that of `simulate` including its
tables. The output also has this time in bare SimPy timeouts per request, which hardly depends on the
machine, and the peak memory of the process.

With `--against`, this checkout and another checkout run each size alternately, each in a new process.
The output has the ratios of their CPU times; a ratio below 1 means that this checkout is faster.
"""

from __future__ import annotations

import argparse
import gc
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

WORKS = ((1_000, 1), (10_000, 4), (100_000, 4))
RATE_PER_REPLICA = 30.8
"""Arrival rate per replica [requests/s]: 70 % of the highest rate by `cluster-sim explain`."""


def scenario_text(requests: int, replicas: int, router: str = "least_requests") -> str:
    """Return the text of the scenario file of one size."""
    return f"""# How fast is the simulator?
name: speed
seed: 1
model: llama-3.3-70b
workload:
  arrivals: {{process: poisson, rate: {RATE_PER_REPLICA * replicas} /s, requests: {requests}}}
  prompt_tokens: 512
  output_tokens: 256
cluster:
  pools:
    - name: b200
      node: dgx-b200
      nodes: {replicas}
      replica: {{tensor_parallel: 8, weights: fp8, kv_cache: fp8, engine: vllm}}
  router: {{policy: {router}}}
"""


def bare_timeout_s(count: int = 300_000) -> float:
    """Return the time of one timeout in a SimPy process that does nothing else [s]."""
    import simpy

    env = simpy.Environment()

    def sleeper() -> Generator[simpy.Event, None, None]:
        while True:
            yield env.timeout(1)

    env.process(sleeper())
    began = time.perf_counter()
    env.run(until=count)
    return (time.perf_counter() - began) / count


def measure(requests: int, replicas: int, router: str) -> None:
    """Simulate one size in this process; print wall time [s], timeouts per request, MB and more."""
    import cluster_sim

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speed.yaml"
        path.write_text(scenario_text(requests, replicas, router))
        scenario = cluster_sim.load_scenario(path)
    # fill the caches, as in a sweep
    cluster_sim.simulate(scenario.model_copy(update={"workload": scenario.workload}))
    timeout_s = bare_timeout_s()
    # without this, garbage of earlier work could be collected during the measurement
    gc.collect()
    began, began_cpu = time.perf_counter(), time.process_time()
    results = cluster_sim.simulate(scenario)
    took_s, cpu_s = time.perf_counter() - began, time.process_time() - began_cpu
    stretches = results.stretches.num_rows
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        took_s,
        took_s / requests / timeout_s,
        megabytes,
        stretches / requests,
        results.summary()["p99_ttft_ms"],
        cpu_s,
    )


def cpu_s(checkout: Path, work: tuple[int, int], router: str) -> float:
    """Return the CPU time of one size, simulated by the package of a checkout [s]."""
    once = ["--router", router, "--once", *map(str, work)]
    done = subprocess.run(
        [sys.executable, __file__, *once],
        env=os.environ | {"PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.split()[-1])


def against(other: Path, router: str, runs: int) -> None:
    """Run this checkout and another checkout alternately; print the ratios of their CPU times."""
    this = Path(__file__).resolve().parents[1]
    print(f"{'requests':>9} {'replicas':>9} {'median ratio':>13} {'min / min':>14}  ratios")
    for work in WORKS:
        pairs = [(cpu_s(this, work, router), cpu_s(other, work, router)) for _ in range(runs)]
        ratios = [new_s / old_s for new_s, old_s in pairs]
        least = min(new_s for new_s, _ in pairs) / min(old_s for _, old_s in pairs)
        print(
            f"{work[0]:>9,} {work[1]:>9} {statistics.median(ratios):>13.3f} {least:>14.3f}  "
            + " ".join(f"{ratio:.3f}" for ratio in ratios)
        )


def main() -> None:
    """Run each size several times, each time in a new process, and print medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--router", default="least_requests", help="use this routing policy")
    parser.add_argument("--runs", type=int, default=3, help="run each size this many times")
    parser.add_argument(
        "--against", type=Path, metavar="CHECKOUT", help="compare with this checkout"
    )
    parser.add_argument(
        "--once", nargs=2, type=int, metavar=("REQUESTS", "REPLICAS"), help=argparse.SUPPRESS
    )
    arguments = parser.parse_args()
    if arguments.once:
        measure(*arguments.once, arguments.router)
        return
    if arguments.against:
        against(arguments.against.resolve(), arguments.router, arguments.runs)
        return
    print(
        f"{'requests':>9} {'replicas':>9} {'requests/s':>11} {'timeouts/request':>17} "
        f"{'peak MB':>8} {'stretches/request':>18}"
    )
    for requests, replicas in WORKS:
        once = ["--router", arguments.router, "--once", str(requests), str(replicas)]
        command = [sys.executable, __file__, *once]
        runs = []
        for _ in range(arguments.runs):
            run = subprocess.run(command, check=True, capture_output=True, text=True)
            runs.append([float(figure) for figure in run.stdout.split()])
        took_s, timeouts, megabytes, stretches, *_ = (
            statistics.median(column) for column in zip(*runs, strict=True)
        )
        print(
            f"{requests:>9,} {replicas:>9} {requests / took_s:>11,.0f} {timeouts:>17.1f} "
            f"{megabytes:>8.0f} {stretches:>18.2f}"
        )


if __name__ == "__main__":
    main()
