"""A scheduler that reserves blocks to completion never pauses, whatever the scenario is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from cluster_sim import ScenarioError, load_scenario
from cluster_sim.results.results import Results
from cluster_sim.sim.simulate import simulate
from tests import random_engines
from tests.laws import whole_run
from tests.random_scenarios import random_scenario
from tests.tiny_scenarios import tiny_scenario


def with_policy(section: dict[str, Any], policy: str) -> dict[str, Any]:
    """The scenario with this policy in all pools with continuous batching."""
    section = json.loads(json.dumps(section))
    for pool in section["cluster"]["pools"]:
        batching, replica = pool.setdefault("batching", {}), pool["replica"]
        if batching.get("policy") == "static":
            continue
        batching["capacity_scheduler_policy"] = policy
        batching.pop("prefill_first", None)  # which has a rule of its own
        own = replica["engine"]
        replica["engine"] = {**(own if isinstance(own, dict) else {"like": own})}
        replica["engine"] |= {"prefill_first": None}
        random_engines.without_contradictions(pool)
    return section


def runs(sections: Iterator[dict[str, Any]], policy: str, folder: Path) -> Iterator[Results]:
    """Runs of those scenarios that are not refused."""
    path = folder / "scenario.yaml"
    for section in sections:
        path.write_text(json.dumps(with_policy(section, policy)))
        try:
            scenario = load_scenario(path)
        except ScenarioError:
            continue
        yield simulate(scenario)


def preemptions(results: Results) -> int:
    return sum(what == "preempted" for what in results.events["what"].to_pylist())


def none_preempts(sections: Iterator[dict[str, Any]], folder: Path) -> None:
    """200 of the scenarios run, and none of them preempts. Every fourth is checked against all
    laws.
    """
    count = 0
    for results in runs(sections, "guaranteed_no_evict", folder):
        if count % 4 == 0:
            whole_run.every_law_holds(results)
        assert preemptions(results) == 0, results.scenario.name
        count += 1
        if count == 200:
            return
    pytest.fail(f"only {count} scenarios ran")


@pytest.mark.slow
def test_to_completion_none_of_200_tiny_scenarios_preempts(tmp_path: Path) -> None:
    none_preempts((tiny_scenario(Random(seed), tmp_path) for seed in range(400)), tmp_path)


@pytest.mark.slow
def test_some_of_these_scenarios_preempt_where_a_first_chunk_is_enough(tmp_path: Path) -> None:
    sections = (tiny_scenario(Random(seed), tmp_path) for seed in range(200))
    assert any(preemptions(results) for results in runs(sections, "first_chunk", tmp_path))


@pytest.mark.slow
@pytest.mark.long
def test_to_completion_none_of_200_scenarios_of_the_catalog_preempts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    none_preempts((random_scenario(Random(seed)) for seed in range(300)), tmp_path)
