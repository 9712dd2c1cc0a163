"""Compare the speed of cluster-sim with other simulators that pip can install, in a table.

    python benchmarks/peers.py

All simulators simulate Llama 70B on nodes of 8 GPUs: one replica per node with tensor parallelism
8, Poisson arrivals at about 70 % of the capacity of the simulated replicas, 512 prompt and 256
output tokens per request; 1,000 requests on one replica, and 10,000 requests on four replicas. The
other simulators have no B200 and simulate H100. The load is relative to each simulator's capacity.

This script imports no other simulator. Each simulator has a virtual environment (in a temporary
folder, or in ``--venvs DIR``), in which a small driver runs that prints one JSON line. If a
simulator cannot be installed or run, the table has the reason, and the script continues.

Details of the drivers, which matter for the interpretation of the numbers:

* ``sched-sim``: its preset of H100 and Llama-3-70B has one GPU, so the driver multiplies memory,
  bandwidth and FLOP/s by 8. It has no router. Four replicas are four simulations in one process,
  one after the other; requests of one arrival stream are distributed round-robin.
* ``vidur`` (Microsoft / Georgia Tech): it reads profiled operator times from Hugging Face, which
  this script does not download. The driver fills the prediction tables from a roofline formula. The
  event loop, schedulers, table look-ups and metrics are those of Vidur, so its speed is meaningful;
  its latencies are not. The driver omits training of predictors and writing of result files. The
  construction of the tables counts as start-up. Two modules for reports (wandb, plotly_express) are
  replaced by empty modules. Routing is round-robin, since the least-outstanding policy counts only
  queued requests and loads the four replicas unevenly. Poisson gaps are limited to three times the
  mean, so Vidur simulates a rate that is 5 % higher.

"wall s" is the time of the simulation including arrivals, without the start of the process. "with
start-up" includes the start of the interpreter and imports. Both are medians over the repeats.
"range" is the lowest and highest requests/s. Each run is one process in which numerical libraries
use one thread. "decodes/step" is the mean number of tokens that one simulated step of a replica
generates. The simulators predict different speeds of a node, so batches differ at equal load.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CASES = ((1_000, 1), (10_000, 4))  # (requests, replicas)
PROMPT_TOKENS, OUTPUT_TOKENS = 512, 256
LOAD = 0.7

OURS_DRIVER = r"""
import json, sys, time
from cluster_sim import load_scenario, simulate
scenario = load_scenario(sys.argv[1])
wall, cpu = time.perf_counter(), time.process_time()
result = simulate(scenario)
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
steps = sum(result.stretches["steps"].to_pylist())
completed = result.summary()["completed"]
print(json.dumps({"wall_s": wall, "cpu_s": cpu, "completed": completed, "steps": steps}))
"""

# Arguments of both drivers: requests, replicas, arrivals per second, prompt tokens, output tokens.
SCHED_SIM_DRIVER = r"""
import json, random, sys, time
from sched_sim.core.event_engine import Simulator
from sched_sim.core.request import Request, RequestState
from sched_sim.hardware.presets import get_hardware_profile
from sched_sim.schedulers.factory import create_scheduler

count, replicas, rate = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
prompt, output = int(sys.argv[4]), int(sys.argv[5])
gpu = get_hardware_profile("h100")
node = gpu.model_copy(update={
    "name": "8 x H100", "vram_gb": 8 * gpu.vram_gb,
    "memory_bandwidth_gb_s": 8 * gpu.memory_bandwidth_gb_s,
    "fp16_tflops": 8 * gpu.fp16_tflops,
})
wall, cpu = time.perf_counter(), time.process_time()
rng = random.Random(1)
now, shares = 0.0, [[] for _ in range(replicas)]
for index in range(count):
    now += rng.expovariate(rate)
    shares[index % replicas].append(Request(
        request_id=f"req_{index}", arrived_at=now,
        prompt_tokens=prompt, output_tokens=output))
end, steps = 0.0, 0
for share in shares:
    simulator = Simulator(node, create_scheduler("chunked", node, token_budget=512))
    simulator.submit_workload(share)
    end = max(end, simulator.run().simulation_duration_s)
    steps += len(simulator.iteration_records)
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
done = sum(r.state == RequestState.COMPLETED for share in shares for r in share)
print(json.dumps({"wall_s": wall, "cpu_s": cpu, "completed": done, "simulated_s": end,
                  "steps": steps}))
"""

VIDUR_DRIVER = r"""
import json, logging, sys, tempfile, time, types
sys.modules["wandb"] = types.SimpleNamespace(run=None)
sys.modules["plotly_express"] = types.SimpleNamespace()
logging.disable(logging.INFO)
from vidur.config.config import (
    ClusterConfig, FixedRequestLengthGeneratorConfig, MetricsConfig,
    PoissonRequestIntervalGeneratorConfig, RandomForrestExecutionTimePredictorConfig,
    ReplicaConfig, RoundRobinGlobalSchedulerConfig, SarathiSchedulerConfig,
    SimulationConfig, SyntheticRequestGeneratorConfig)
from vidur.entities import Batch
from vidur.execution_time_predictor.sklearn_execution_time_predictor import (
    SklearnExecutionTimePredictor)
from vidur.simulator import Simulator
from vidur.utils.random import set_seeds

count, replicas, rate = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
prompt, output = int(sys.argv[4]), int(sys.argv[5])

# Milliseconds per layer on one of 8 H100: a bf16 layer's eighth is 219 MB to read
# (80 % of 3.35 TB/s) and 0.219 GFLOP a token (55 % of 989 TFLOP/s).
CHUNK, BATCH, CONTEXT, GRAIN = 512, 256, 4096, 256
def dense(tokens, share):
    return share * max(0.082, 0.219e9 * tokens / (0.55 * 989e12) * 1e3)
tables = {name: {(n,): dense(n, share) for n in range(1, CONTEXT + 1)} for name, share in
          (("attn_pre_proj", .12), ("attn_post_proj", .06),
           ("mlp_up_proj", .55), ("mlp_down_proj", .27))}
for name in ("mlp_act", "attn_rope", "attn_kv_cache_save", "input_layernorm",
             "post_attention_layernorm", "add"):
    tables[name] = {(n,): 0.002 + 2e-6 * n for n in range(1, CONTEXT + 1)}
tables["all_reduce"] = {(n,): 0.01 + n * 16384 / 450e9 * 1e3 for n in range(1, CONTEXT + 1)}
tables["attn_decode"] = {(b, kv): 0.005 + b * kv * 512 / (0.8 * 3.35e12) * 1e3
                         for b in range(1, BATCH + 1) for kv in range(0, CONTEXT + 1, GRAIN)}
tables["attn_prefill"] = {(kv, c): 0.005 + 4 * 1024 * c * kv / (0.4 * 989e12) * 1e3
                          for kv in range(0, CONTEXT + 1, GRAIN) for c in range(32, CHUNK + 1, 32)}
SklearnExecutionTimePredictor._load_predictions_from_hf = lambda self: tables
Simulator._write_output = lambda self: None

with tempfile.TemporaryDirectory() as folder:
    config = SimulationConfig(
        seed=1,
        cluster_config=ClusterConfig(
            num_replicas=replicas,
            replica_config=ReplicaConfig(
                model_name="meta-llama/Llama-3-70B", num_pipeline_stages=1,
                tensor_parallel_size=8, device="h100", network_device="h100_dgx"),
            global_scheduler_config=RoundRobinGlobalSchedulerConfig(),
            replica_scheduler_config=SarathiSchedulerConfig(
                batch_size_cap=BATCH, chunk_size=CHUNK)),
        request_generator_config=SyntheticRequestGeneratorConfig(
            seed=1, num_requests=count,
            length_generator_config=FixedRequestLengthGeneratorConfig(
                prefill_tokens=prompt, decode_tokens=output),
            interval_generator_config=PoissonRequestIntervalGeneratorConfig(qps=rate)),
        execution_time_predictor_config=RandomForrestExecutionTimePredictorConfig(
            cache_dir=folder + "/cache", prediction_max_tokens_per_request=CONTEXT,
            prediction_max_prefill_chunk_size=CHUNK, prediction_max_batch_size=BATCH),
        metrics_config=MetricsConfig(enable_chrome_trace=False, store_plots=False,
                                     output_dir=folder + "/out"))
    wall, cpu = time.perf_counter(), time.process_time()
    set_seeds(config.seed)
    simulator = Simulator(config)
    requests = [event._request for _, event in simulator._event_queue]
    simulator.run()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
done = sum(r.completed for r in requests)
steps = Batch.generate_id()  # ids count from 0
print(json.dumps({"wall_s": wall, "cpu_s": cpu, "completed": done, "simulated_s": simulator._time,
                  "steps": steps}))
"""


@dataclass(frozen=True)
class Peer:
    """Another simulator: its packages, its driver, and the capacity of a simulated replica.

    ``capacity`` is the throughput of one replica [requests per simulated second], measured with
    ``--capacity`` (all requests arrive at time 0). The benchmark offers LOAD times the capacity.
    """

    name: str
    installs: tuple[tuple[str, ...], ...]
    driver: str
    capacity: float
    note: str


PEERS = (
    Peer("sched-sim 0.2.1", (("sched-sim==0.2.1",),), SCHED_SIM_DRIVER, 39.4, "H100 x 8, bf16"),
    Peer(
        "vidur 0.0.26",
        # Without the declared dependencies: dashboards and trackers (streamlit, wandb,
        # kaleido, ...) that a simulation does not need.
        (
            ("--no-deps", "vidur==0.0.26"),
            ("numpy", "pandas", "scikit-learn", "fasteners", "huggingface_hub", "ddsketch"),
        ),
        VIDUR_DRIVER,
        22.5,
        "H100 x 8, bf16; roofline replaces its profiles",
    ),
)


class Failed(Exception):
    """Failure of a step; its text is the reason in the table, on one line."""


@dataclass
class Row:
    """Row of the table."""

    simulator: str
    requests: int
    replicas: int
    note: str
    results: list[dict[str, float]] = field(default_factory=list)  # one per repeat


def last_line(text: str) -> str:
    """Return the last line of a text that is not empty."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no output"


def call(
    command: list[str], limit: float, env: dict[str, str] | None = None, cwd: str | None = None
) -> tuple[str, float]:
    """Run a command to its end; return its standard output and its wall time [s]."""
    start = time.perf_counter()
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=limit, env=env, cwd=cwd, check=False
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"stopped after the limit of {limit:g} s") from None
    except OSError as error:
        raise Failed(str(error)) from None
    if done.returncode != 0:
        raise Failed(last_line(done.stderr or done.stdout)[:160])
    return done.stdout, time.perf_counter() - start


def one_thread() -> dict[str, str]:
    """Return the environment variables of a driver: numerical libraries use one thread."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    return {**os.environ, **dict.fromkeys(names, "1"), "HF_HUB_OFFLINE": "1"}


def run_driver(
    python: str, driver: str, arguments: list[str], limit: float, env: dict[str, str], cwd: str
) -> dict[str, float]:
    """Run a driver; return the values of its last line and the wall time of its process [s]."""
    output, process_s = call([python, "-c", driver, *arguments], limit, env, cwd)
    try:
        return {"process_s": process_s, **json.loads(last_line(output))}
    except json.JSONDecodeError:
        raise Failed(f"got no JSON line: {last_line(output)[:120]}") from None


def prepare(peer: Peer, folder: Path, limit: float) -> str:
    """Create a simulator's virtual environment unless it exists; return its interpreter."""
    home = folder / peer.name.replace(" ", "-")
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    ready = home / "installed"  # written last, so an incomplete installation is repeated
    if not ready.exists():
        call([sys.executable, "-m", "venv", "--clear", str(home)], limit)
        for arguments in peer.installs:
            call(
                [
                    str(python),
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                    *arguments,
                ],
                limit,
            )
        ready.touch()
    return str(python)


def run_ours(requests: int, replicas: int, repeats: int, limit: float, folder: str) -> Row:
    """Simulate one case with cluster-sim, in a child process."""
    row = Row("cluster-sim", requests, replicas, "B200 x 8, fp8")
    try:
        from speed import scenario_text  # benchmarks/speed.py, in the folder of this file

        path = Path(folder) / f"speed-{requests}-{replicas}.yaml"
        path.write_text(scenario_text(requests, replicas), encoding="utf-8")
        env = one_thread()
        env["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), env.get("PYTHONPATH"))))
        for _ in range(repeats):
            row.results.append(
                run_driver(sys.executable, OURS_DRIVER, [str(path)], limit, env, folder)
            )
        if (completed := int(row.results[-1]["completed"])) != requests:
            row.note = f"completed only {completed:,}; {row.note}"
    except (Failed, ImportError, OSError) as error:
        row.note = f"not run: {error}"
    return row


def run_peer(
    peer: Peer,
    python: str,
    requests: int,
    replicas: int,
    rate: float,
    repeats: int,
    limit: float,
    folder: str,
) -> Row:
    """Simulate one case with another simulator, in its virtual environment."""
    row = Row(peer.name, requests, replicas, peer.note)
    arguments = [str(value) for value in (requests, replicas, rate, PROMPT_TOKENS, OUTPUT_TOKENS)]
    env = one_thread()
    env.pop("PYTHONPATH", None)
    try:
        for _ in range(repeats):
            row.results.append(run_driver(python, peer.driver, arguments, limit, env, folder))
        completed = int(row.results[-1]["completed"])
        if completed != requests:
            row.note = f"completed only {completed:,}; {row.note}"
    except Failed as error:
        row.note = f"not run: {error}"
    return row


def table(rows: list[Row]) -> str:
    """Return the rows as a Markdown table with aligned columns."""
    heads = [
        "simulator",
        "requests",
        "replicas",
        "wall s",
        "CPU s",
        "requests/s",
        "range",
        "with start-up",
        "decodes/step",
        "notes",
    ]
    lines = [heads]
    for row in rows:
        cells = [row.simulator, f"{row.requests:,}", str(row.replicas)]
        if row.results:
            wall, cpu, process = (
                statistics.median(result[key] for result in row.results)
                for key in ("wall_s", "cpu_s", "process_s")
            )
            done = row.results[-1].get("completed", row.requests)
            speeds = sorted(done / result["wall_s"] for result in row.results)
            steps = row.results[-1].get("steps")
            cells += [
                f"{wall:.2f}",
                f"{cpu:.2f}",
                f"{done / wall:,.0f}",
                f"{speeds[0]:,.0f}-{speeds[-1]:,.0f}",
                f"{done / process:,.0f}",
                f"{done * OUTPUT_TOKENS / steps:.0f}" if steps else "-",
            ]
        else:
            cells += ["-"] * 6
        lines.append([*cells, row.note])
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| "
        + " | ".join(
            cell.rjust(width) if 0 < column < len(heads) - 1 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        + " |"
        for line in lines
    )


def parse_arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(
        description="Compare the speed of cluster-sim with other simulators of the package index."
    )
    parser.add_argument(
        "--venvs",
        type=Path,
        metavar="DIR",
        help="keep virtual environments in this folder (default: a temporary folder)",
    )
    parser.add_argument(
        "--limit",
        type=float,
        default=300.0,
        metavar="SECONDS",
        help="stop a run after this time [s] (default: 300)",
    )
    parser.add_argument(
        "--install-limit",
        type=float,
        default=900.0,
        metavar="SECONDS",
        help="stop an installation step after this time [s] (default: 900)",
    )
    parser.add_argument(
        "--only",
        action="append",
        metavar="NAME",
        help="run only simulators whose name starts with this (repeatable)",
    )
    parser.add_argument(
        "--repeats",
        type=int,
        default=3,
        metavar="N",
        help="run each simulator N times per case (default: 3)",
    )
    parser.add_argument(
        "--capacity",
        action="store_true",
        help="print the throughput of one replica with 2,000 requests at time 0",
    )
    return parser.parse_args()


def main() -> int:
    """Run every simulator on every case and print the table."""
    options = parse_arguments()
    prefixes = tuple(options.only or ("",))
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="peers-") as folder:
        venvs = (options.venvs or Path(folder)).resolve()
        venvs.mkdir(parents=True, exist_ok=True)
        if "cluster-sim".startswith(prefixes) and not options.capacity:
            for requests, replicas in CASES:
                rows.append(run_ours(requests, replicas, options.repeats, options.limit, folder))
        for peer in (peer for peer in PEERS if peer.name.startswith(prefixes)):
            try:
                python = prepare(peer, venvs, options.install_limit)
            except Failed as error:
                rows += [
                    Row(peer.name, requests, replicas, f"not installed: {error}")
                    for requests, replicas in CASES
                ]
                continue
            if options.capacity:
                row = run_peer(peer, python, 2_000, 1, 1e4, 1, options.limit, folder)
                if not row.results:
                    print(f"{peer.name}: {row.note}")
                else:
                    capacity = row.results[0]["completed"] / row.results[0]["simulated_s"]
                    print(f"{peer.name}: {capacity:.1f} requests per simulated second")
                continue
            for requests, replicas in CASES:
                rate = LOAD * peer.capacity * replicas
                rows.append(
                    run_peer(
                        peer,
                        python,
                        requests,
                        replicas,
                        rate,
                        options.repeats,
                        options.limit,
                        folder,
                    )
                )
    if rows:
        print(
            f"Python {sys.version.split()[0]}, {PROMPT_TOKENS} prompt and {OUTPUT_TOKENS} "
            f"output tokens, one process and thread per run, {options.repeats} repeats; "
            "requests/s are completed requests per second of wall time.\n"
        )
        print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
