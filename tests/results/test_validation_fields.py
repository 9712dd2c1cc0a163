"""The summary of a run says whether measured runs are like it."""

from __future__ import annotations

import cluster_sim
from cluster_sim.deployment.validated_cases import validation_of


def test_the_summary_names_status_and_nearest_case() -> None:
    few = {"workload.arrivals.concurrency": 2, "workload.arrivals.requests": 4}
    results = cluster_sim.simulate(
        cluster_sim.load_scenario("example:chat_closed_loop", "b200", few)
    )
    validation = results.summary()["validation"]
    assert validation == validation_of(results.fleet).fields()
    assert validation["status"] in ("validated", "near", "outside")
