"""metrics.timeline: bins whose values follow from mental arithmetic, and sums that are the sums of
the tables.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from cluster_sim.deployment.fleet import resolve
from cluster_sim.loading.files import load_scenario
from cluster_sim.results.metrics.timeline import timeline, timelines
from cluster_sim.results.results import Results
from cluster_sim.results.run_info import RunInfo
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.sim.simulate import simulate

SCENARIO = """
name: small
seed: 3
duration: 30 s
model: llama-3.1-8b
workload:
  arrivals: {process: poisson, rate: 20 /s}
  prompt_tokens: 1000
  output_tokens: {distribution: uniform, low: 1, high: 300}
cluster:
  pools:
    - {name: gpus, node: dgx-h100, replicas: 2, replica: {tensor_parallel: 1}}
"""


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    path: Path = tmp_path_factory.mktemp("scenarios") / "small.yaml"
    path.write_text(SCENARIO)
    return load_scenario(path)


def requests(*rows: tuple[str, float, float | None, float | None]) -> pa.Table:
    """Rows of (status, arrival, admitted, finish)."""
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    times = {
        name: pa.array(column, pa.float64())
        for name, column in zip(("arrival_s", "admitted_s", "finish_s"), columns[1:], strict=True)
    }
    return pa.table({"status": pa.array(columns[0], pa.string()).dictionary_encode()} | times)


def stretches(**columns: Any) -> pa.Table:
    """Stretches with these columns; what is left out is 0, and steps are 1."""
    rows = len(columns.get("replica", ()))
    names = ("replica", "steps", "batch", "prompt_tokens", "kv_tokens")
    table = {
        name: pa.array(columns.get(name, [int(name == "steps")] * rows), pa.int64())
        for name in names
    }
    table["growth"] = pa.array(columns.get("batch", [0] * rows), pa.float64())
    return pa.table(
        table
        | {
            name: pa.array(columns.get(name, [0.0] * rows), pa.float64())
            for name in ("began_s", "ended_s", "flop", "bytes")
        }
    )


def run(scenario: Scenario, requests: pa.Table, stretches: pa.Table, simulated_s: float) -> Results:
    empty = pa.table({})
    return Results(scenario, requests, stretches, empty, empty, empty, RunInfo(0.0, 0, simulated_s))


def peaks(scenario: Scenario) -> tuple[float, float]:
    """FLOP/s and bytes/s of the two GPUs that hold a replica."""
    device = scenario.cluster.pools[0].node.device
    return 2 * device.peak.of("bf16")[1], 2 * device.memory.bandwidth_bytes_per_s


def test_one_request_waits_in_the_first_two_bins_and_runs_in_the_next_three(
    scenario: Scenario,
) -> None:
    line = timeline(
        run(scenario, requests(("finished", 0.0, 2.0, 5.0)), stretches(), 10.0), points=10
    )
    assert line.bin_s == 1.0
    assert line.time_s.tolist() == pytest.approx([0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5])
    assert line.arrival_per_s.tolist() == [1] + [0] * 9
    assert line.waiting.tolist() == pytest.approx([1, 1, 0, 0, 0, 0, 0, 0, 0, 0])
    assert line.running.tolist() == pytest.approx([0, 0, 1, 1, 1, 0, 0, 0, 0, 0])


def test_a_part_of_a_bin_counts_as_that_part(scenario: Scenario) -> None:
    line = timeline(
        run(scenario, requests(("finished", 0.25, 1.5, 3.9)), stretches(), 4.0), points=4
    )
    assert line.waiting.tolist() == pytest.approx([0.75, 0.5, 0, 0])
    assert line.running.tolist() == pytest.approx([0, 0.5, 1, 0.9])


def test_who_is_still_inside_waits_or_runs_to_the_end_and_the_rejected_never_wait(
    scenario: Scenario,
) -> None:
    rows = (
        ("rejected", 0.5, None, None),
        ("unfinished", 1.0, None, None),
        ("unfinished", 1.0, 2.0, None),
    )
    line = timeline(run(scenario, requests(*rows), stretches(), 4.0), points=4)
    assert (line.arrival_per_s * line.bin_s).tolist() == [1, 2, 0, 0]
    assert line.waiting.tolist() == pytest.approx([0, 2, 1, 1])
    assert line.running.tolist() == pytest.approx([0, 0, 1, 1])


def test_a_lost_request_waits_or_runs_until_it_is_lost(scenario: Scenario) -> None:
    rows = (("failed", 0.0, None, None), ("failed", 0.0, 1.0, None))
    lost = pa.table({"what": ["failed", "failed"], "request": [0, 1], "at_s": [2.0, 3.0]})
    results = replace(run(scenario, requests(*rows), stretches(), 4.0), events=lost)
    line = timeline(results, points=4)
    assert line.waiting.tolist() == pytest.approx([2, 1, 0, 0])
    assert line.running.tolist() == pytest.approx([0, 1, 1, 0])


def test_work_is_spread_evenly_over_its_stretch(scenario: Scenario) -> None:
    flop_per_s, bytes_per_s = peaks(scenario)
    table = stretches(
        replica=[0, 0],
        began_s=[1.0, 6.5],
        ended_s=[3.0, 7.0],
        flop=[flop_per_s, 0.0],
        bytes=[0.0, 0.25 * bytes_per_s],
    )
    line = timeline(run(scenario, requests(), table, 8.0), points=8)
    assert line.compute_utilisation.tolist() == pytest.approx([0, 0.5, 0.5, 0, 0, 0, 0, 0])
    assert line.bandwidth_utilisation.tolist() == pytest.approx([0, 0, 0, 0, 0, 0, 0.25, 0])


def test_the_cache_grows_along_a_stretch_and_is_empty_when_nothing_runs(scenario: Scenario) -> None:
    room = resolve(scenario).deployments[0].placement.kv_tokens
    # one sequence of half the room grows by 1 a step, over 2 s, to the whole room
    table = stretches(
        replica=[0],
        began_s=[1.0],
        ended_s=[3.0],
        kv_tokens=[room // 2],
        batch=[1],
        steps=[room // 2],
    )
    line = timeline(run(scenario, requests(), table, 4.0), points=4)
    assert line.kv_fraction_max.tolist() == pytest.approx([0, 0.625, 0.875, 0], rel=1e-4)
    assert line.kv_fraction.tolist() == pytest.approx(
        [0, 0.3125, 0.4375, 0], rel=1e-4
    )  # the other of two replicas is empty


def test_the_fullest_replica_may_be_another_in_each_bin(scenario: Scenario) -> None:
    room = resolve(scenario).deployments[0].placement.kv_tokens
    table = stretches(
        replica=[1, 0], began_s=[0.0, 1.0], ended_s=[1.0, 2.0], kv_tokens=[room, room // 4]
    )
    line = timeline(run(scenario, requests(), table, 2.0), points=2)
    assert line.kv_fraction_max.tolist() == pytest.approx([1, 0.25], rel=1e-4)
    assert line.kv_fraction.tolist() == pytest.approx([0.5, 0.125], rel=1e-4)


def test_sums_over_the_bins_are_those_of_the_tables(scenario: Scenario) -> None:
    results = simulate(scenario)
    table = results.requests
    line = timeline(results, points=77)
    flop_per_s, bytes_per_s = peaks(scenario)
    assert np.sum(line.arrival_per_s) * line.bin_s == pytest.approx(len(table))
    assert np.sum(line.compute_utilisation) * line.bin_s * flop_per_s == pytest.approx(
        np.sum(results.stretches["flop"].to_numpy())
    )
    assert np.sum(line.bandwidth_utilisation) * line.bin_s * bytes_per_s == pytest.approx(
        np.sum(results.stretches["bytes"].to_numpy())
    )
    # the area under the queue is the time that all requests spent in it, and likewise for those
    # that run
    arrival_s, admitted_s, finish_s = (
        table[name].to_numpy() for name in ("arrival_s", "admitted_s", "finish_s")
    )
    assert np.sum(line.waiting) * line.bin_s == pytest.approx(np.sum(admitted_s - arrival_s))
    assert np.sum(line.running) * line.bin_s == pytest.approx(np.sum(finish_s - admitted_s))
    assert np.mean(line.compute_utilisation) == pytest.approx(
        results.summary()["compute_utilisation"]
    )
    assert np.mean(line.bandwidth_utilisation) == pytest.approx(
        results.summary()["bandwidth_utilisation"]
    )
    assert np.all(line.kv_fraction_max >= line.kv_fraction)
    assert np.max(line.kv_fraction_max) <= results.summary()["kv_peak_fraction"]


def test_stepping_does_not_change_the_picture(scenario: Scenario) -> None:
    line, stepped = (
        timeline(simulate(one), points=20)
        for one in (scenario, scenario.model_copy(update={"stepping": "step"}))
    )
    for name in ("waiting", "running", "kv_fraction", "kv_fraction_max"):
        assert getattr(line, name) == pytest.approx(getattr(stepped, name), rel=1e-3, abs=1e-4), (
            name
        )
    for name in ("compute_utilisation", "bandwidth_utilisation"):
        assert getattr(line, name) == pytest.approx(getattr(stepped, name), rel=0.02), name


def test_a_run_without_requests_is_flat(scenario: Scenario) -> None:
    line = timeline(run(scenario, requests(), stretches(), 0.0), points=5)
    for name in (
        "arrival_per_s",
        "waiting",
        "running",
        "kv_fraction",
        "kv_fraction_max",
        "compute_utilisation",
        "bandwidth_utilisation",
    ):
        assert getattr(line, name).tolist() == [0] * 5, name


def test_the_only_request_at_time_zero_arrives_in_the_first_bin(scenario: Scenario) -> None:
    line = timeline(
        run(scenario, requests(("rejected", 0.0, None, None)), stretches(), 0.0), points=4
    )
    assert (line.arrival_per_s * line.bin_s).tolist() == [1, 0, 0, 0]


def test_a_hundred_thousand_requests_take_well_under_a_second(scenario: Scenario) -> None:
    rng = np.random.default_rng(1)
    arrival_s = np.sort(rng.uniform(0.0, 1e4, 100_000))
    table = pa.table({
        "status": pa.DictionaryArray.from_arrays(np.zeros(100_000, dtype=np.int8), ["finished"]),
        "arrival_s": arrival_s, "admitted_s": arrival_s + 1.0, "finish_s": arrival_s + 5.0,
    })  # fmt: skip
    began_s = np.linspace(0.0, 1e4, 150_000)
    ended_s = began_s + 0.05
    ones = np.ones(300_000)
    work = stretches(
        replica=np.tile([0, 1], 150_000),
        began_s=np.repeat(began_s, 2),
        ended_s=np.repeat(ended_s, 2),
        flop=ones,
        bytes=ones,
        kv_tokens=ones,
        batch=ones,
    )
    began = time.perf_counter()
    line = timeline(run(scenario, table, work, 1.1e4))
    assert time.perf_counter() - began < 1.0
    assert np.sum(line.running) * line.bin_s == pytest.approx(400_000)


def test_runs_that_are_shown_together_have_bins_of_one_width(scenario: Scenario) -> None:
    rows = requests(("finished", 0.0, 1.0, 2.0), ("finished", 2.5, 2.5, 3.0))
    short, long = timelines(
        [run(scenario, rows, stretches(), 3.0), run(scenario, rows, stretches(), 10.0)], points=5
    )
    assert (short.bin_s, long.bin_s) == pytest.approx((2.0, 2.0))
    # the bins of 2 s cover the short run with a second to spare
    assert short.time_s.tolist() == pytest.approx([1.0, 3.0])
    assert short.arrival_per_s.tolist() == pytest.approx([0.5, 0.5])
    assert long.arrival_per_s.tolist() == pytest.approx([0.5, 0.5, 0.0, 0.0, 0.0])


def test_no_arrival_is_lost_at_the_end_of_the_last_bin(scenario: Scenario) -> None:
    rng = np.random.default_rng(1)
    for end_s in rng.uniform(1e-3, 1e4, 100).tolist():
        rows = requests(("finished", end_s, end_s, end_s))
        (line,) = timelines([run(scenario, rows, stretches(), end_s)], points=37)
        assert len(line.time_s) == 37
        assert round(float(np.sum(line.arrival_per_s) * line.bin_s)) == 1
