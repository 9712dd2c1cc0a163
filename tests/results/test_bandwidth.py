"""What took the bandwidth: bytes over bins are those of the tables, and steps wait for memories no
longer than they run.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pytest import approx

import cluster_sim
from cluster_sim import figures
from cluster_sim.results import bandwidth
from cluster_sim.results.memory_bound import saturated_fraction

SCENARIO = """
name: apart
duration: 10 s
model: llama-3.1-8b
workload:
  arrivals: {process: poisson, rate: 8 /s}
  prompt_tokens: 2000
  output_tokens: {distribution: uniform, low: 2, high: 100}
cluster:
  pools:
    - {name: read, node: dgx-h100, replicas: 2, replica: {tensor_parallel: 2, role: prefill}}
    - {name: write, node: dgx-h100, replicas: 1, replica: {tensor_parallel: 2, role: decode}}
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> cluster_sim.Results:
    path = tmp_path_factory.mktemp("scenarios") / "apart.yaml"
    path.write_text(SCENARIO)
    return cluster_sim.simulate(cluster_sim.load_scenario(path))


def test_bytes_over_bins_are_those_of_the_tables(results: cluster_sim.Results) -> None:
    edges_s, (read, write) = bandwidth.over_time(results, 50)
    bin_s = edges_s[1] - edges_s[0]
    moved = float(np.sum(results.transfers["bytes"].to_numpy()))
    assert moved == approx(
        131072 * float(np.sum(results.requests["prompt_tokens"].to_numpy()))
    )  # 32 layers, key and value of 8 x 128, 2 B
    for pool, devices, kind, replicas in ((read, 4, "KV out", (0, 1)), (write, 2, "KV in", (2,))):
        assert devices * bin_s * np.sum(pool.memory.by_kind[kind]) == approx(moved)
        assert devices * bin_s * np.sum(pool.links[0].by_kind[kind]) == approx(moved)
        mine = np.isin(results.stretches["replica"].to_numpy(), replicas)
        assert devices * bin_s * np.sum(pool.memory.by_kind["steps"]) == approx(
            float(np.sum(results.stretches["bytes"].to_numpy()[mine]))
        )
        for share in (pool.saturated, pool.compute, pool.kv_fraction):
            assert np.all((share >= 0.0) & (share <= 1.0 + 1e-9))


def test_decoding_waits_for_memories_and_reading_prompts_does_not(
    results: cluster_sim.Results,
) -> None:
    assert saturated_fraction(results, "write") > 0.5 > 0.2 > saturated_fraction(results, "read")


def test_parts_of_a_latency_add_up_to_it(results: cluster_sim.Results) -> None:
    summary = results.summary()
    moving = (
        summary["mean_hand_over_wait_ms"] + summary["mean_kv_transfer_ms"]
    )  # of which contention is a part
    steps = summary["mean_compute_ms"] + summary["mean_bus_ms"]
    assert summary["mean_e2el_ms"] == approx(summary["mean_queue_ms"] + moving + steps, rel=1e-3)
    assert summary["mean_bus_ms"] > 0


def test_the_figure_names_what_took_the_bandwidth(results: cluster_sim.Results) -> None:
    figure = figures.draw("bandwidth", results)
    labels = {text for panel in figure.axes for text in panel.get_legend_handles_labels()[1]}
    assert {"steps", "KV in", "KV out", "collectives", "time limited by memory"} <= labels


@pytest.mark.slow
def test_a_run_folder_of_an_earlier_version_has_no_transfers(
    results: cluster_sim.Results, tmp_path: Path
) -> None:
    folder = results.save(tmp_path / "run")
    assert cluster_sim.load_results(folder).transfers.num_rows == results.transfers.num_rows > 0
    (folder / "transfers.parquet").unlink()
    assert cluster_sim.load_results(folder).transfers.num_rows == 0


def test_without_transfers_nothing_is_shared(results: cluster_sim.Results, tmp_path: Path) -> None:
    path = tmp_path / "off.yaml"
    path.write_text(SCENARIO + "  disaggregation: {kv_transfer: off}\n")
    off = cluster_sim.simulate(cluster_sim.load_scenario(path))
    assert off.transfers.num_rows == 0 and "mean_bus_ms" not in off.summary()
    assert (
        set(off.stretches["memory_share"].to_pylist())
        == {1.0}
        != set(results.stretches["memory_share"].to_pylist())
    )
    assert off.summary()["mean_itl_ms"] < results.summary()["mean_itl_ms"]
