"""Traces of runs in which replicas fail and scale."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
from pytest import approx

from cluster_sim.export import trace
from tests.changing_clusters import failure_and_scaling
from tests.perfetto import read


def test_states_are_slices_of_their_replica_and_faults_stand_on_the_cluster(tmp_path: Path) -> None:
    results = failure_and_scaling()
    drawn = read(trace.write(results.save(tmp_path / "run"), tmp_path / "x"))
    end_ns = round(1e9 * results.info.simulated_s)
    by_replica = {
        number: [
            one for one in drawn.of("state") if drawn.path(one.track) == f"Replicas/gpus/{number}/state"
        ]
        for number in range(3)
    }  # fmt: skip
    assert [one.name for one in by_replica[0]] == ["ready", "lost", "loading", "ready"]
    assert [one.name for one in by_replica[2]] == [
        "ready", "draining", "off", "starting", "loading", "ready",
    ]  # fmt: skip
    assert by_replica[0][1].args["cause"] == "node_failure"
    for slices in by_replica.values():
        assert sum(one.end_ns - one.at_ns for one in slices) == end_ns
    cluster = [one for one in drawn.of("event") if drawn.path(one.track) == "Cluster"]
    assert [(one.name, one.at_ns, one.args["where"]) for one in cluster] == [
        ("node failure", 10_000_000_000, "gpus/0"),
        ("scaled down", 15_000_000_000, "gpus"),
        ("repaired", 20_000_000_000, "gpus/0"),
        ("scaled up", 40_000_000_000, "gpus"),
    ]
    joules = 0.0
    for number in range(3):
        values = drawn.counter(f"Replicas/gpus/{number}/power")
        joules += sum(
            watts * (until_ns - at_ns) / 1e9 for (at_ns, watts), (until_ns, _) in pairwise(values)
        )
    assert joules == approx(float(np.sum(results.devices["energy_j"].to_numpy())), rel=1e-6)
