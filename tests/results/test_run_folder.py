"""Run folders: what was written is read back, and what a folder lacks is said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import cluster_sim
from cluster_sim.results.run_info import MissingFact, RunInfo

FACTS = RunInfo(wall_s=0.5, events=12, simulated_s=3.25)


@pytest.mark.parametrize(
    "info",
    [
        FACTS,
        replace(FACTS, notes=("2 rows are left out",), sessions=0, question="How fast?"),
    ],
)
def test_facts_are_read_back_from_a_manifest(info: RunInfo) -> None:
    manifest = json.loads(json.dumps(info.manifest()))
    assert RunInfo.from_manifest(manifest, "manifest.json") == info


def test_a_manifest_has_no_facts_that_a_run_lacks() -> None:
    assert list(FACTS.manifest()) == ["wall_s", "events", "simulated_s"]


def test_a_fact_that_every_run_has_is_missed(tmp_path: Path, scenario: Path) -> None:
    folder = cluster_sim.simulate(cluster_sim.load_scenario(scenario, "b200")).save(
        tmp_path / "run"
    )
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["simulated_s"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(MissingFact, match="has no 'simulated_s'"):
        cluster_sim.load_results(folder)
