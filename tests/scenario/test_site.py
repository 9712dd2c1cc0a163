"""What a site may say, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

import cluster_sim
from cluster_sim.errors import ScenarioError

FILE = """
name: site
duration: 10 s
model: llama-3.1-8b
workload: {arrivals: {process: poisson, rate: 1 /s}, prompt_tokens: 100, output_tokens: 10}
cluster: {pools: [{name: a, node: dgx-h100, nodes: 2}]}
site: SITE
"""


@pytest.mark.parametrize(
    ("site", "wanted"),
    [
        ("{inlet: 25}", "25 has no unit; expected a temperature such as '25 degC'"),
        (
            "{inlet: {mean: 25 degC, points: [[0 s, 20 degC]]}}",
            "expected a temperature such as '25 degC', a 'mean' with a 'swing', or 'points'",
        ),
        (
            "{inlet: {points: [[1 s, 20 degC], [1 s, 30 degC]]}}",
            "expected the times of 'points' in ascending order",
        ),
        (
            "{inlet: {swing: 3 K, points: [[1 s, 20 degC]]}}",
            "'points' replace 'swing'; expected only one of them",
        ),
        # 2 · (8 · 121.7 W + 2200 W + 870 W · (973.6/5600)²) = 6400 W
        (
            "{rack_power_cap: 4 kW}",
            "site.rack_power_cap: got a cap 2400 W below the idle power of its nodes; expected a higher cap",
        ),
        # 105 W at 60 degC grow by 1.5 W/K: 22 - 71.8/1.5 + 0.064 · 71.8 = -21.3
        (
            "{inlet: -30 degC}",
            "got -30 degC, in which the line of the leakage of NVIDIA H100 SXM takes away all of its idle power of 71.8 W; expected more than -21.3 degC",
        ),
        (
            "{events: [{at: 1 s, lasts: 1 s, what: fan_failure, where: b, factor: 0.5}]}",
            "site.events[0].where: got 'b'; expected one of a, a/0, a/1",
        ),
        (
            "{events: [{at: 1 s, lasts: 1 s, what: pump_failure, factor: 0.5}]}",
            "pump_failure affects no node, since none is cooled by liquid; expected fan_failure",
        ),
        (
            "{events: [{at: 1 s, lasts: 1 s, what: fan_failure}]}",
            "fan_failure needs 'factor', such as 'factor: 0.5'",
        ),
        (
            "{events: [{at: 1 s, lasts: 1 s, what: inlet_rise, factor: 0.5, rise: 3 K}]}",
            "inlet_rise needs 'rise', such as 'rise: 8 K', and no 'factor'",
        ),
    ],
)
def test_a_site_that_cannot_be_is_said_to_be_wrong_and_why(
    site: str, wanted: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(FILE.replace("SITE", site))
    with pytest.raises(ScenarioError) as caught:
        cluster_sim.load_scenario(path)
    assert wanted in str(caught.value)
    assert "x.yaml:7: site" in str(caught.value)


def test_a_pool_s_limit_below_what_its_devices_draw_whatever_they_run_is_refused(
    tmp_path: Path,
) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(
        FILE.replace("SITE", "{}").replace("nodes: 2}", "nodes: 2, power_limit: 100 W}")
    )
    with pytest.raises(
        ScenarioError,
        match="got 100 W; expected more than the 129 W that NVIDIA H100 SXM always draws under load",
    ):
        cluster_sim.load_scenario(path)


def test_what_was_written_out_reads_back_the_same(tmp_path: Path) -> None:
    site = "{inlet: {mean: 25 degC, swing: 4 K}, events: [{at: 1 s, lasts: 1 s, what: inlet_rise, where: a/1, rise: 3 K}], row_power_cap: 16 kW}"
    path = tmp_path / "x.yaml"
    path.write_text(FILE.replace("SITE", site))
    scenario = cluster_sim.load_scenario(path)
    path.write_text(scenario.as_yaml())
    assert cluster_sim.load_scenario(path).site == scenario.site


@pytest.mark.parametrize(
    ("site", "wanted"),
    [
        (
            "{events: [{at: 1 s, what: node_failure}]}",
            "node_failure needs 'where', such as 'where: b200/0'",
        ),
        (
            "{events: [{at: 1 s, what: node_failure, where: a/0, factor: 0.5}]}",
            "node_failure needs 'where', such as 'where: b200/0', and no 'factor'",
        ),
        (
            "{events: [{at: 1 s, what: fan_failure, factor: 0.5}]}",
            "fan_failure needs 'lasts', such as 'lasts: 5 min'",
        ),
        (
            "{events: [{at: 1 s, what: fan_failure}]}",
            "fan_failure needs 'lasts' and 'factor', such as 'lasts: 5 min, factor: 0.5'",
        ),
        (
            "{events: [{at: 1 s, what: link_degraded, where: a/0/nic0}]}",
            "link_degraded needs 'factor', such as 'factor: 0.5'",
        ),
        (
            "{events: [{at: 1 s, what: node_failure, where: a/0, notice: 1 min}]}",
            "and no 'notice'",
        ),
        (
            "{events: [{at: 1 s, what: node_failure, where: a/2}]}",
            "site.events[0].where: got 'a/2'; did you mean",
        ),
        (
            "{events: [{at: 1 s, what: device_failure, where: a/1/device8}]}",
            "site.events[0].where: got 'a/1/device8'; did you mean",
        ),
        (
            "{events: [{at: 1 s, what: link_failure, where: a/1/device9}]}",
            "got 'a/1/device9'; did you mean 'a/1/device7'?",
        ),
        (
            "{failures: {}}",
            "expected 'node', 'device' or 'link' such as 'node: default', or 'path'",
        ),
        (
            "{failures: {node: {mtbf: 100}}}",
            "100 has no unit; expected a time such as '20 min'",
        ),
        (
            "{failures: {node: {mtbf: 100 h, repair: 6}}}",
            "6 has no unit; expected a time such as '20 min'",
        ),
        (
            "{failures: {node: default, gaps: normal}}",
            "expected one of clustered, exponential, weibull",
        ),
        ("{failures: meta-lama3}", "no failure rates 'meta-lama3' in the catalog; did you mean"),
        ("{failures: {path: nowhere.csv}}", "no file 'nowhere.csv'; expected a file of faults"),
    ],
)
def test_failures_that_cannot_be_are_refused_and_why(
    site: str, wanted: str, tmp_path: Path
) -> None:
    test_a_site_that_cannot_be_is_said_to_be_wrong_and_why(site, wanted, tmp_path)


def test_nodes_without_a_known_failure_rate_need_one(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(
        FILE.replace("SITE", "{failures: {node: default}}").replace("dgx-h100", "tpu-v6e-8")
    )
    with pytest.raises(
        ScenarioError, match=r"no failure rate of a node is known for .* of pool 'a'"
    ):
        cluster_sim.load_scenario(path)


@pytest.mark.parametrize(
    ("node", "failures", "wanted"),
    [
        # 419 faults in 54 days of 2,048 nodes: one in 264 days of a node
        ("dgx-h100", "{node: default}", "DGX H100: one failure per node in 6330 h and repairs of"),
        ("dgx-h100", "{node: {repair: 6 h}}", "DGX H100: one failure per node in 6330 h are those"),
        # nine times as many devices fail nine times as often
        ("gb200-nvl72", "{node: default}", "one failure per node in 704 h"),
        ("gb200-nvl72", "{node: default}", "no rate of these nodes is published"),
        ("dgx-h100", "{device: default}", "one failure per device in 88800 h"),
        ("dgx-h100", "{node: {mtbf: 9 h, repair: 1 h}}", ""),
    ],
)
def test_a_default_rate_says_whose_it_is(
    node: str, failures: str, wanted: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(FILE.replace("SITE", f"{{failures: {failures}}}").replace("dgx-h100", node))
    warnings = [
        text for text in cluster_sim.load_scenario(path).warnings() if "one failure per" in text
    ]
    assert bool(wanted) == bool(warnings)
    assert wanted in "".join(warnings)


def test_the_rates_of_an_entry_say_whose_they_are(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(FILE.replace("SITE", "{failures: cs-3-estimate}"))
    said = list(cluster_sim.load_scenario(path).warnings())
    assert "site.failures: the rates are those of Cerebras CS-3, an estimate" in said


def test_failures_that_were_written_out_read_back_the_same(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    for site in (
        "{failures: infinite-hbd}",
        "{failures: {like: meta-rsc1, gaps: {process: weibull, shape: 0.8}}}",
        "{failures: {node: default, link: {mtbf: 9 h, repair: 1 h}}, events: [{at: 1 s, what: spot_reclaim, where: a}]}",
    ):
        path.write_text(FILE.replace("SITE", site))
        scenario = cluster_sim.load_scenario(path)
        path.write_text(scenario.as_yaml())
        assert cluster_sim.load_scenario(path).site == scenario.site


def test_a_resolved_scenario_with_a_schedule_of_the_inlet_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(FILE.replace("SITE", "{inlet: {points: [[0 s, 20 degC], [5 s, 30 degC]]}}"))
    scenario = cluster_sim.load_scenario(path)
    (tmp_path / "resolved.yaml").write_text(scenario.as_yaml())
    assert cluster_sim.load_scenario(tmp_path / "resolved.yaml").site == scenario.site
