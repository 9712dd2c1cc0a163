"""Files become descriptions: places of values, merging, overriding, anchors, and back to text
again.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import cluster_sim
from cluster_sim import ScenarioError
from cluster_sim.errors import Fault, did_you_mean, shown
from cluster_sim.schema import (
    catalog_entry,
    find,
    looking_in,
    named,
    overridden,
    parse_yaml,
    path_text,
)

TEXT = """\
a: 1
b:
  c: [x, {d: 2}]
  e: text
"""


def test_each_value_knows_the_line_it_was_written_on():
    document = parse_yaml(TEXT, "f.yaml")
    assert document.data == {"a": 1, "b": {"c": ["x", {"d": 2}], "e": "text"}}
    assert document.place(("b", "e")) == "f.yaml:4"
    assert document.place(("b", "c", 1, "d")) == "f.yaml:3"
    assert document.place(("b", "nothing", "such")) == "f.yaml:2", (
        "what was not written is placed where its parent is"
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1), ("0x1F", 31), ("0o17", 15), ("-1_000", -1000), ("1e3", 1000.0), (".5", 0.5), ("-.inf", float("-inf")), ("true", True), ("False", False),
        ("~", None), ("", None), ("yes", "yes"), ("2024-01-01", "2024-01-01"), ("12:30:00", "12:30:00"), ("'5'", "5"), ("5 s", "5 s"), ("!!str 5", "5"), ("|\n  x\n", "x\n"),
    ],
)  # fmt: skip
def test_scalars_are_those_of_yaml_1_2_and_dates_stay_text(text: str, value: object):
    assert parse_yaml(f"a: {text}\n", "f").data["a"] == value


def test_merge_keys_bring_values_with_the_lines_they_were_written_on():
    document = parse_yaml(
        "base: &base\n  x: 1\n  y: 2\nother: &other {y: 8, z: 9}\nover:\n  y: 3\n  <<: [*base, *other]\n",
        "f",
    )
    assert document.data["over"] == {"x": 1, "y": 3, "z": 9}, (
        "what is written wins, then what is merged first"
    )
    assert [document.place(("over", key)) for key in "xyz"] == ["f:2", "f:6", "f:4"]


def test_an_anchor_may_be_used_twice():
    assert parse_yaml("a: &a {x: [1]}\nb: *a\n", "f").data == {"a": {"x": [1]}, "b": {"x": [1]}}


def test_merging_keeps_mappings_replaces_lists_takes_away_nulls_and_keeps_places():
    base, over = parse_yaml(TEXT, "f"), parse_yaml("b:\n  c: [y]\n  e: null\n\n  g: 1\n", "v")
    merged = base.merged(over)
    assert merged.data == {"a": 1, "b": {"c": ["y"], "g": 1}}
    assert [merged.place(trail) for trail in [("a",), ("b", "c", 0), ("b", "g")]] == [
        "f:1",
        "v:2",
        "v:5",
    ]
    assert base.data["b"]["e"] == "text", "the base is left as it was"


def test_overriding_replaces_one_value_and_leaves_the_document_as_it_was():
    document = parse_yaml(TEXT, "f")
    changed = overridden(document, "b.c[1].d", 5, "--set")
    assert changed.data["b"]["c"] == ["x", {"d": 5}]
    assert (changed.place(("b", "c", 1, "d")), changed.place(("b", "e"))) == ("--set", "f:4")
    assert document.data["b"]["c"] == ["x", {"d": 2}]
    assert overridden(document, "new.key", 5, "--set").data["new"] == {"key": 5}
    assert overridden(document, "b.c", None, "--set").data["b"] == {"e": "text"}


def test_overriding_below_a_name_of_the_catalog_starts_from_what_it_stands_for():
    document = parse_yaml("node: dgx-h100\n", "f")
    changed = overridden(document, "node.device.memory.capacity", "1 GB", "--set").data["node"]
    assert changed["devices"] == 8
    assert changed["device"]["memory"]["capacity"] == "1 GB"
    assert catalog_entry("devices", "h100-sxm")["memory"]["capacity"] == "85.5 GB", (
        "the catalog itself is left as it was"
    )


def test_trails_are_written_as_users_write_them():
    assert path_text(("cluster", "pools", 0, "node")) == "cluster.pools[0].node"
    assert path_text((0, "a")) == "[0].a"


def test_a_name_stands_for_the_catalog_before_a_file_and_a_mapping_for_itself(tmp_path: Path):
    (tmp_path / "dgx-h100").write_text("name: impostor\n")
    (tmp_path / "mine.yaml").write_text("name: {value: Mine, source: me}\n")
    with looking_in(tmp_path):
        assert named("nodes", "dgx-h100")["name"] == "DGX H100"
        assert named("nodes", "mine.yaml") == {"name": "Mine"}
        assert named("nodes", {"name": "x"}) == {"name": "x"}
        assert find("mine.yaml") == (tmp_path / "mine.yaml").resolve()
    assert find("x" * 5000) is None
    assert find("~no-such-user/x") is None
    assert find("\0") is None


def test_faults_of_one_file_stand_together_in_the_order_of_lines_and_once_each():
    error = ScenarioError(
        [
            Fault("b:10", "x"),
            Fault("a:3", "y"),
            Fault("b:9", "z"),
            Fault("b", "w"),
            Fault("b:10", "x"),
        ]
    )
    assert str(error) == "b: w\nb:9: z\nb:10: x\na:3: y"


def test_long_and_odd_values_are_shown_short():
    assert shown("x" * 100) == f"'{'x' * 60}…'"
    assert shown("a\n  b") == "'a b'"
    assert shown(10**5000) == "a huge number"
    assert did_you_mean("x" * 10**6, ["gamma"]) == "; expected gamma"


SCENARIO = """\
name: round
seed: 3
duration: 1 h
warmup: 100 ms
model: gpt-oss-120b
workload:
  arrivals: {process: on_off, preset: azure-code}
  prompt_tokens: {distribution: empirical, quantiles: {0: 3, 0.5: 1469, 0.99: 7436, 1: 7437}}
  output_tokens: {distribution: lognormal, median: 220, p99: 1200, max: 5000}
slo: {ttft: 0.1 s, tpot: 33.3 ms}
cluster:
  pools:
    - {name: gpu, node: dgx-h100, replica: {tensor_parallel: 8, engine: trtllm}, kv: {memory_fraction: 0.85}}
  router: {policy: least_work}
site: {inlet: 25 degC, pue: 1.25, electricity: 0.0685 USD/kWh, carbon_intensity: 380 g/kWh, rack_power_cap: 40 kW}
variants:
  gpu: {}
  wafer:
    model: llama-3.1-8b
    cluster: {pools: [{name: cs3, node: cs-3, nodes: 2, replica: {engine: cerebras}}]}
    workload: {arrivals: {process: burst, preset: null, rate: 0.1 /s, bursts: [{at: 1 min, lasts: 33 ms, rate: 7 /min}]}}
"""


def test_a_scenario_that_is_written_out_reads_back_as_the_same(tmp_path: Path):
    (tmp_path / "x.yaml").write_text(SCENARIO)
    for number, scenario in enumerate(cluster_sim.load_variants(tmp_path / "x.yaml")):
        (tmp_path / f"{number}.yaml").write_text(scenario.as_yaml())
        again = cluster_sim.load_scenario(tmp_path / f"{number}.yaml")
        assert again == scenario
        assert again.as_yaml() == scenario.as_yaml()


def test_one_variant_is_taken_without_being_named_and_several_are_not(tmp_path: Path):
    (tmp_path / "x.yaml").write_text(SCENARIO)
    with pytest.raises(ScenarioError) as told:
        cluster_sim.load_scenario(tmp_path / "x.yaml")
    assert str(told.value) == f"{tmp_path}/x.yaml:16: got no variant; expected one of gpu, wafer"
    scenario = cluster_sim.load_scenario(
        tmp_path / "x.yaml", variant="wafer", overrides={"cluster.pools[0].nodes": 3}, seed=9
    )
    assert (scenario.title, scenario.seed, scenario.cluster.pools[0].nodes) == ("round/wafer", 9, 3)


def test_an_override_that_is_wrong_is_told_under_its_key(tmp_path: Path):
    (tmp_path / "x.yaml").write_text(SCENARIO)
    with pytest.raises(ScenarioError) as told:
        cluster_sim.load_scenario(
            tmp_path / "x.yaml",
            variant="gpu",
            overrides={"cluster.pools[0].nodes": -1, "slo.ttft": "5 kg"},
            seed=-3,
        )
    assert str(told.value).splitlines() == [
        "--seed: seed: got -3; expected at least 0",
        "override slo.ttft: slo.ttft: 'kg' is a mass, not a time; expected a time such as '500 ms'",
        "override cluster.pools[0].nodes: cluster.pools[0].nodes: got -1; expected more than 0",
    ]
