"""Examples that say what a plan found: their variants are of its space, and run as they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import cluster_sim
from cluster_sim.loading.files import open_scenarios
from cluster_sim.studies.planning.space import deployments

SCENARIOS = Path(__file__).resolve().parents[2] / "scenarios"
EXAMPLES = ("burst_70b", "hetero_prefill_decode")
CASES = [(name, variant) for name in EXAMPLES for variant in ("b200", "cs3", "split")]
ROW = r"(?m)^#\s+{variant}\s.*?([\d.]+) ms\s+([\d.]+) ms\s+([\d.]+) %"
"""Row of a variant in the comment at the top: TTFT p99, TPOT p99 and requests within both."""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "variant"), CASES)
def test_a_variant_of_an_example_is_one_of_the_deployments_that_its_plan_compares(
    name: str, variant: str
) -> None:
    file = open_scenarios(SCENARIOS / f"{name}.yaml")
    assert file.plan is not None
    written = file.scenario(variant).cluster
    clusters = [
        each.scenario.cluster
        for each in deployments(file, file.plan, variant)
        if each.scenario is not None
    ]
    assert written in clusters
    assert len(clusters) > 1


@pytest.mark.parametrize("page", ["README.md", "docs/best_machines.md"])
@pytest.mark.parametrize("variant", ["b200", "cs3", "split"])
def test_the_pages_about_the_main_example_have_the_figures_of_its_comment(
    page: str, variant: str
) -> None:
    row = re.search(ROW.format(variant=variant), (SCENARIOS / "burst_70b.yaml").read_text())
    assert row is not None
    ttft_ms, tpot_ms, within_percent = row.groups()
    text = (SCENARIOS.parent / page).read_text()
    for figure in (f"{ttft_ms} ms", f"{tpot_ms} ms", f"{within_percent} %"):
        assert f"| {figure} |" in text


@pytest.mark.slow
@pytest.mark.parametrize(("name", "variant"), CASES)
def test_a_variant_of_an_example_runs_as_the_comment_at_the_top_says(
    name: str, variant: str
) -> None:
    path = SCENARIOS / f"{name}.yaml"
    row = re.search(ROW.format(variant=variant), path.read_text())
    assert row is not None
    ttft_ms, tpot_ms, within_percent = map(float, row.groups())
    summary = cluster_sim.simulate(cluster_sim.load_scenario(path, variant)).summary()
    assert summary["p99_ttft_ms"] == pytest.approx(ttft_ms, abs=0.5)
    assert summary["p99_tpot_ms"] == pytest.approx(tpot_ms, abs=0.05)
    assert 100 * summary["slo_attainment"] == pytest.approx(within_percent, abs=0.05)
