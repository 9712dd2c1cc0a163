"""Times of tokens where a replica is lost before it has ended a step."""

from __future__ import annotations

from typing import Any

import cluster_sim
from cluster_sim.results.streaming.token_times import TokenTimes
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import Document, describe
from tests.laws import whole_run
from tests.machines import SMALL_GPU, TINY_MODEL, engine, node


def _run(**changes: Any) -> cluster_sim.Results:
    """Run one request on one replica that prefills and two that decode."""
    pools = [
        {"name": role, "node": node(SMALL_GPU), "nodes": nodes, "replica": {"engine": engine(), "role": role}}
        for role, nodes in (("prefill", 1), ("decode", 2))
    ]  # fmt: skip
    keys: dict[str, Any] = {
        "name": "lost",
        "model": TINY_MODEL,
        "workload": {
            "arrivals": {"process": "at_once", "requests": 1},
            "prompt_tokens": 50,
            "output_tokens": 9,
        },
        "cluster": {"pools": pools},
    }
    return cluster_sim.simulate(describe(Scenario, Document(keys | changes, "test")))


def test_tokens_have_times_though_a_decode_replica_was_lost_in_its_first_step() -> None:
    """The lost replica has ended no step; the other one gives the tokens after the first."""
    first = next(row for row in _run().stretches.to_pylist() if row["replica"] > 0)
    lost, other = first["replica"], 3 - first["replica"]
    at_s = first["began_s"] + 1e-5
    event = {"at": f"{at_s} s", "what": "node_failure", "where": f"decode/{lost - 1}"}
    results = _run(site={"events": [event]})
    assert results.requests["replica"].to_pylist() == [other]
    assert set(results.stretches["replica"].to_pylist()) == {0, other}
    whole_run.every_law_holds(results)
    assert len(TokenTimes(results).gaps_s(0)) == 8
