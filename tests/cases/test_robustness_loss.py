"""Runs around a loss of replicas that once hung, lost requests or kept KV cache for nothing."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from cluster_sim.deployment.fleet import resolve
from cluster_sim.loading.files import load_variants
from cluster_sim.results.results import Results
from cluster_sim.sim.build import build
from cluster_sim.sim.run import run
from cluster_sim.sim.simulate import gather
from tests.cases import robustness_case

LOSSES = [
    "fan-dgx-h100-0.05.yaml",
    "hang-hand-over-1.yaml",
    "closed-loop-all-down.yaml",
    "deadlock-head-of-queue-fits-lost-decoders.yaml",
    "all-decode-lost-closed-loop.yaml",
    "all-prefill-lost.yaml",
    "promised-room-stays-taken.yaml",
    "fan-dgx-b200-0.001.yaml",
    "energy-after-shutdown.yaml",
]


def ended(name: str) -> Results:
    """The run of a case file, whose replicas hold nothing at its end."""
    (scenario,) = load_variants(robustness_case(name))[:1]
    simulation = build(scenario, resolve(scenario))
    end = run(simulation)
    assert end.stopped is None
    assert simulation.recorder.inside == 0
    for replica in simulation.replicas:
        assert replica._scheduler.blocks_taken() == 0
        assert replica.down or replica.requests == replica._scheduler.pending_tokens == 0
    return gather(simulation, end, 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("name", LOSSES)
def test_a_run_that_loses_replicas_ends_with_every_request_accounted_for(name: str) -> None:
    results = ended(name)
    events, summary = results.events.to_pylist(), results.summary()
    what = Counter(row["what"] for row in events)
    assert what["shutdown"] >= 1
    assert summary["completed"] + summary["failed"] + summary["rejected"] == int(
        np.sum(results.requests["counted"].to_numpy())
    )
    status = Counter(results.requests["status"].to_pylist())
    assert (status["failed"], status["unfinished"]) == (what["failed"], 0)
    assert all(row["reason"] for row in events if row["what"] in ("failed", "rejected"))
    down_s = {row["replica"]: row["at_s"] for row in events if row["what"] == "shutdown"}
    back_s = {row["replica"]: row["at_s"] for row in events if row["what"] == "repaired"}
    for transfer in results.transfers.to_pylist():
        for end in ("from_replica", "to_replica"):
            is_before = transfer["ended_s"] <= down_s.get(transfer[end], np.inf)
            assert is_before or transfer["began_s"] >= back_s.get(transfer[end], np.inf)
    devices_j = np.sum(results.devices["energy_j"].to_numpy())
    summary_j = summary["energy_kwh"] * 3.6e6 / (results.scenario.site.pue or 1.0)
    assert max(down_s.values()) <= results.info.simulated_s
    if name == "energy-after-shutdown.yaml":  # its node draws nothing but its devices do
        assert devices_j == pytest.approx(summary_j, rel=1e-9)


def test_clients_of_a_cluster_that_is_lost_back_off_and_the_run_ends() -> None:
    """64 clients fail once, and are refused after 1, 2, 4, ... s of back-off until the minute is over."""
    results = ended("closed-loop-all-down.yaml")
    events = results.events.to_pylist()
    refused = Counter(row["what"] for row in events)["rejected"]
    lost_s = max(row["at_s"] for row in events if row["what"] == "shutdown")
    tries = sum(lost_s + 2.0**number - 1.0 < 60.0 for number in range(1, 7))
    assert refused == 64 * tries
