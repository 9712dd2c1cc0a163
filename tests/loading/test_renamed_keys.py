"""Old names of keys keep working, with a warning that names the line and the new name."""

from __future__ import annotations

import warnings
from pathlib import Path

import jsonschema
import pytest

import cluster_sim
from cluster_sim.errors import ScenarioError
from cluster_sim.loading.files import load_variants, open_scenarios
from cluster_sim.results.stored_run import about_run
from cluster_sim.scenario.renamed_keys import NEW_NAMES, NEW_NAMES_IN_FILES
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import RenamedKeyWarning, parse_yaml, with_new_names
from tests.commands import call
from tests.json_schemas import schema, uses_schema

pytestmark = pytest.mark.usefixtures("empty_folder")

TEXT = """\
name: x
duration: 1 s
model: llama-3.1-8b
workload:
  arrivals: {process: poisson, rate: 1 /s}
  prompt_tokens: 100
  output_tokens: 10
cluster:
  pools:
    - {name: p, node: dgx-b200, replica: {tensor_parallel: 8, role: prefill}}
    - {name: d, node: dgx-b200, replica: {tensor_parallel: 8, role: decode}}
  hand_over: {kv_transfer: whole}
"""
KEY = "cluster.hand_over: this key is deprecated; write cluster.disaggregation"


def transfer(scenario: Scenario) -> str:
    assert scenario.cluster.disaggregation is not None
    return scenario.cluster.disaggregation.kv_transfer


def told(text: str) -> list[str]:
    """The warnings about a file of this text, whose KV is transferred as a whole."""
    Path("x.yaml").write_text(text)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        scenario = cluster_sim.load_scenario("x.yaml")
    assert transfer(scenario) == "whole"
    return [str(one.message) for one in caught]


def test_the_old_name_works_with_a_warning_and_the_new_one_without():
    assert told(TEXT) == [f"x.yaml:12: {KEY}"]
    assert told(TEXT.replace("hand_over", "disaggregation")) == []


@pytest.mark.filterwarnings("ignore::cluster_sim.schema.RenamedKeyWarning")
def test_a_scenario_is_written_out_with_the_new_name():
    told(TEXT)
    text = cluster_sim.load_scenario("x.yaml").as_yaml()
    assert "hand_over" not in text
    assert told(text) == []


@pytest.mark.filterwarnings("ignore::cluster_sim.schema.RenamedKeyWarning")
def test_both_names_in_one_file_are_refused():
    both = TEXT + "  disaggregation: {kv_transfer: layers}\n"
    with pytest.raises(ScenarioError) as refused:
        told(both)
    assert str(refused.value) == (
        "x.yaml:12: cluster.hand_over: got both this key and its new name 'disaggregation'; expected 'disaggregation' alone"
    )


@pytest.mark.filterwarnings("ignore::cluster_sim.schema.RenamedKeyWarning")
def test_variants_and_values_from_outside_may_use_either_name():
    variants = "variants:\n  old: {cluster: {hand_over: {kv_transfer: layers}}}\n  new: {cluster: {disaggregation: {kv_transfer: off}}}\n"
    Path("x.yaml").write_text(TEXT + variants)
    assert list(map(transfer, load_variants("x.yaml"))) == ["layers", "off"]
    for name in ("hand_over", "disaggregation"):
        sets = [f"cluster.{name}.kv_transfer=off"]
        assert transfer(load_variants("x.yaml", ["old"], sets)[0]) == "off"
        values = {f"cluster.{name}.kv_transfer": "whole"}
        assert transfer(open_scenarios("x.yaml").scenario("old", values)) == "whole"
        assert transfer(cluster_sim.load_scenario("x.yaml", "new", values)) == "whole"


def test_a_fault_under_an_old_name_keeps_its_line():
    with pytest.raises(ScenarioError) as refused:
        told(TEXT.replace("whole", "hole"))
    assert str(refused.value).startswith(
        "x.yaml:12: cluster.disaggregation.kv_transfer: got 'hole'"
    )


def test_the_search_for_the_smallest_cluster_has_a_new_name_too():
    Path("x.yaml").write_text(
        TEXT.replace("hand_over", "disaggregation") + "capacity: {rate: 5 /s, most_nodes: 3}\n"
    )
    with pytest.warns(RenamedKeyWarning, match=r"capacity\.most_nodes.*write capacity\.max_nodes"):
        file = open_scenarios("x.yaml")
    assert file.capacity is not None
    assert file.capacity.max_nodes == 3


@pytest.mark.slow
def test_run_folders_of_earlier_versions_are_read_without_a_warning(
    capsys: pytest.CaptureFixture[str],
):
    Path("x.yaml").write_text(TEXT.replace("hand_over", "disaggregation"))
    assert call(capsys, "run", "x.yaml", "--out", "runs")[0] == 0
    stored = Path("runs/scenario.yaml")
    stored.write_text(stored.read_text().replace("disaggregation:", "hand_over:"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        scenario, _ = about_run(Path("runs"))
    assert transfer(scenario) == "whole"
    assert [one.category for one in caught if one.category is RenamedKeyWarning] == []


def test_a_command_prints_the_warning_once(capsys: pytest.CaptureFixture[str]):
    Path("x.yaml").write_text(TEXT)
    code, _, err = call(capsys, "check", "x.yaml")
    assert (code, err) == (0, f"warning: x.yaml:12: {KEY}\n")


def test_a_pattern_with_a_star_finds_keys_in_lists_and_mappings():
    document = parse_yaml("a:\n  - {x: 1}\n  - {x: 2, z: 3}\n", "f")
    new = with_new_names(document, {("a", "*", "x"): "y"}, is_quiet=True)
    assert new.data == {"a": [{"y": 1}, {"y": 2, "z": 3}]}
    assert new.place(("a", 1, "y")) == "f:3"
    assert document.data["a"][0] == {"x": 1}


@pytest.mark.slow
@uses_schema
def test_every_old_name_is_one_that_descriptions_do_not_have_and_that_the_schema_marks():
    validator = jsonschema.Draft202012Validator(schema())
    assert schema()["properties"]["cluster"]["properties"]["hand_over"]["deprecated"]
    assert validator.is_valid(parse_yaml(TEXT, "x").data)
    assert set(NEW_NAMES) < set(NEW_NAMES_IN_FILES)
    for trail, name in NEW_NAMES.items():
        assert trail[-1] != name
