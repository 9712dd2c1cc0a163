"""Entries `{like: NAME, key: value}` in scenario files and in files that these name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import cluster_sim
from cluster_sim.deployment.fleet import resolve
from cluster_sim.errors import ScenarioError
from cluster_sim.loading.files import open_scenarios
from cluster_sim.report.provenance import used
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import yaml_text
from cluster_sim.studies.uncertain_figures import uncertain_figures
from tests.json_schemas import schema, uses_schema

pytestmark = pytest.mark.usefixtures("empty_folder")

BASE = """\
name: x
duration: 10 s
model: llama-3.1-8b
workload:
  arrivals: {process: poisson, rate: 1 /s}
  prompt_tokens: 100
  output_tokens: 10
cluster:
  pools:
    - name: a
      replica: {tensor_parallel: 8}
      node:
"""
HALF = "{capacity: 96.135 GB}"  # half of the 192.27 GB of a B200


def with_node(*lines: str, rest: str = "") -> Path:
    """A scenario file whose node is written on these lines, the first of which is line 13."""
    path = Path("x.yaml")
    path.write_text(BASE + "".join(f"        {line}\n" for line in lines) + rest)
    return path


def load(*lines: str, rest: str = "", **options: Any) -> Scenario:
    return cluster_sim.load_scenario(with_node(*lines, rest=rest), **options)


def faults(*lines: str, rest: str = "", **options: Any) -> list[str]:
    with pytest.raises(ScenarioError) as told:
        load(*lines, rest=rest, **options)
    return str(told.value).splitlines()


def kv_tokens(scenario: Scenario) -> int:
    (deployment,) = resolve(scenario).deployments
    return deployment.kv_tokens


def test_a_node_with_half_the_memory_has_room_for_as_many_fewer_tokens():
    """vLLM uses 0.92 of the memory, and a token of Llama 3.1 8B takes 131,072 B on eight devices."""
    whole = kv_tokens(load("like: dgx-b200"))
    half = kv_tokens(load("like: dgx-b200", f"device: {{memory: {HALF}}}"))
    assert whole - half == pytest.approx(0.92 * 96.135e9 / (131_072 / 8), abs=32)


def test_an_entry_that_is_like_another_in_everything_is_the_other():
    alike, named = load("like: dgx-b200"), load("{like: dgx-b200}")
    pool = cluster_sim.load_scenario(with_node(), overrides={"cluster.pools[0].node": "dgx-b200"})
    assert alike == named == pool


def test_mappings_are_merged_lists_replaced_and_nulls_take_keys_away():
    node = load("like: dgx-b200", "cooling: null", "power: {base: 1 kW}").cluster.pools[0].node
    plain = load("like: dgx-b200").cluster.pools[0].node
    assert plain.cooling is not None
    assert node.cooling is None
    assert node.power is not None
    assert plain.power is not None
    assert (node.power.base_w, node.power.most_w) == (1000.0, plain.power.most_w)
    (link,) = (
        load(
            "like: dgx-b200",
            "network: {like: ndr-rail, links: [{between: [front_door, node], kind: k, bandwidth: 1 GB/s, latency: 1 us}]}",
        )
        .cluster.pools[0]
        .node.network.links
    )
    assert link.bandwidth_bytes_per_s == 1e9


def test_every_kind_of_entry_may_be_like_another():
    scenario = load(
        "like: dgx-b200",
        "device: {like: h200-sxm, peak: {bf16: 1 PFLOP/s}}",
        "prices: {like: b200-rented, rental: 3 USD/h}",
        rest="      prices: {like: h200-rented, rental: 2 USD/h}\n"
        "  network: {like: ndr-rail, name: ours}\n",
        overrides={
            "model": {"like": "llama-3.3-70b", "layers": 40},
            "cluster.pools[0].replica.engine": {"like": "vllm", "max_sequences": 64},
        },
    )
    pool = scenario.cluster.pools[0]
    assert scenario.model.layers == 40
    assert pool.replica.engine.max_sequences == 64
    assert pool.node.device.peak.bf16_flop_per_s == 1e15
    assert (pool.prices.rental_usd_per_hour.value, pool.node.prices.rental_usd_per_hour.value) == (
        2.0,
        3.0,
    )


def test_names_say_what_an_entry_is_like():
    pool = load("like: dgx-b200", "name: half", f"device: {{memory: {HALF}}}").cluster.pools[0]
    assert pool.node.name == "half (like DGX B200)"
    assert pool.node.device.name == "like NVIDIA B200 SXM"


def test_an_engine_that_is_like_another_has_its_overheads_on_each_device():
    engine = {"like": "trtllm", "name": "ours", "max_sequences": 64}
    ours, plain = (
        load("like: dgx-b200", overrides={"cluster.pools[0].replica.engine": choice})
        for choice in (engine, "trtllm")
    )
    (deployment,), (other,) = resolve(ours).deployments, resolve(plain).deployments
    assert ours.cluster.pools[0].replica.engine.name == "ours (like TensorRT-LLM 1.2)"
    assert deployment.request_overhead_s == other.request_overhead_s != 0.0


def test_a_scenario_that_is_written_out_reads_back_as_the_same():
    scenario = load("like: dgx-b200", "cooling: null", f"device: {{memory: {HALF}}}")
    Path("again.yaml").write_text(scenario.as_yaml())
    again = cluster_sim.load_scenario("again.yaml")
    assert again == scenario
    assert again.as_yaml() == scenario.as_yaml()


def test_files_may_be_like_files_and_paths_in_them_start_from_their_own_folder():
    Path("parts/deep").mkdir(parents=True)
    Path("parts/node.yaml").write_text(
        "like: deep/base.yaml\ndevices: 4\nplaces: {pcie: 4, nic: 4}\n"
    )
    Path("parts/deep/base.yaml").write_text(
        "like: dgx-b200\nname: base\ndevice: {like: gpu.yaml}\n"
    )
    Path("parts/deep/gpu.yaml").write_text(
        "like: b200-sxm\nmemory: {capacity: {value: 96.135 GB, source: a ruler}}\n"
    )
    scenario = load(
        "like: parts/node.yaml", overrides={"cluster.pools[0].replica.tensor_parallel": 4}
    )
    node = scenario.cluster.pools[0].node
    assert (node.devices, node.device.memory.capacity_bytes) == (4, 96.135e9)
    assert node.name == "like base (like DGX B200)"
    assert load("like: parts/deep/base.yaml").cluster.pools[0].node.devices == 8


def test_a_model_may_be_like_a_configuration_of_hugging_face():
    config = {
        "model_type": "llama",
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "intermediate_size": 14336,
        "vocab_size": 128256,
        "tie_word_embeddings": False,
        "max_position_embeddings": 8192,
    }
    Path("config.json").write_text(json.dumps(config))
    changed = {"model": {"like": "config.json", "layers": 16}}
    assert load("like: dgx-b200", overrides=changed).model.layers == 16
    sets = {"model.like": "config.json", "model.layers": 8}
    assert load("like: dgx-b200", overrides=sets).model.layers == 8


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (("like: dgx-b20",), "x.yaml:13: cluster.pools[0].node.like: no node 'dgx-b20' in the catalog; did you mean 'dgx-b200'?"),
        (("like: [a]",), "x.yaml:13: cluster.pools[0].node.like: got a list; expected a name in the catalog or a path"),
        (("like: dgx-b200", "devises: 4"), "x.yaml:14: cluster.pools[0].node: unknown key 'devises'; did you mean 'devices'?"),
        (("like: d.yaml",), "x.yaml:12: cluster.pools[0].node: 'device' is missing"),
        (("like: dgx-b200", "devices: null"), "x.yaml:12: cluster.pools[0].node: 'devices' is missing"),
        (("like: dgx-b200", "device:", "  memory:", "    capacities: 9 GB"), "x.yaml:16: cluster.pools[0].node.device.memory: unknown key 'capacities'; did you mean 'capacity'?"),
        (("like: dgx-b200", "device:", "  like: b20-sxm"), "x.yaml:15: cluster.pools[0].node.device.like: no device 'b20-sxm' in the catalog; did you mean 'b200-sxm'?"),
        (("like: dgx-b200", "prices: {like: b200-rented, rentl: 3 USD/h}"), "x.yaml:14: cluster.pools[0].node.prices: unknown key 'rentl'; did you mean 'rental'?"),
        (("like: a.yaml",), "b.yaml:1: like: a.yaml -> b.yaml -> a.yaml is a cycle; expected a file that is not like itself"),
        (("like: c.yaml",), "c.yaml:3: cluster.pools[0].node: unknown key 'devicess'; did you mean 'devices'?"),
    ],
)  # fmt: skip
def test_faults_name_the_line_on_which_they_are_written(
    lines: tuple[str, ...], told: str, tmp_path: Path
):
    Path("a.yaml").write_text("# one\nlike: b.yaml\n")
    Path("b.yaml").write_text("like: a.yaml\ndevices: 4\n")
    Path("d.yaml").write_text("like: dgx-b200\ndevice: null\n")
    Path("c.yaml").write_text("like: dgx-b200\ndevices: 8\ndevicess: 3\n")
    (message,) = faults(*lines)
    assert message.removeprefix(f"{tmp_path}/") == told


def test_a_wrong_value_names_its_line():
    (message,) = faults("like: dgx-b200", "device:", "  memory:", "    capacity: 9 apples")
    assert message.startswith(
        "x.yaml:16: cluster.pools[0].node.device.memory.capacity: unknown unit 'apples'"
    )


def test_like_is_refused_where_no_entry_is_named():
    (cluster,) = faults("like: dgx-b200", rest="  like: y\n")
    assert cluster == (
        "x.yaml:14: cluster: unknown key 'like'; expected it in a mapping for model, draft_model, node, device, engine, drafter, network, prices, materials, token_prices, failures, weather"
    )
    (workload,) = faults("like: dgx-b200", overrides={"workload.like": "azure-code"})
    assert workload.endswith(
        "workload: unknown key 'like'; expected 'preset: NAME' beside the other keys"
    )


def test_variants_change_single_keys_of_what_an_entry_is_like():
    half = f"{{cluster: {{pools: [{{name: a, replica: {{tensor_parallel: 8}}, node: {{like: dgx-b200, device: {{memory: {HALF}}}}}}}]}}}}"
    rest = f"variants:\n  half: {half}\n  short: {{model: {{layers: 16, max_context: null}}}}\n"
    text = with_node("like: dgx-b200", rest=rest).read_text()
    model = "model: {like: llama-3.1-8b, vocabulary: 1000}"
    Path("x.yaml").write_text(text.replace("model: llama-3.1-8b", model))
    scenario = cluster_sim.load_scenario("x.yaml", variant="half")
    assert scenario.cluster.pools[0].node.device.memory.capacity_bytes == 96.135e9
    with pytest.raises(ScenarioError, match=r"x\.yaml:16: model: 'max_context' is missing"):
        cluster_sim.load_scenario("x.yaml", variant="short")
    Path("x.yaml").write_text(
        text.replace("model: llama-3.1-8b", model).replace(", max_context: null", "")
    )
    short = cluster_sim.load_scenario("x.yaml", variant="short").model
    assert (short.layers, short.vocabulary) == (16, 1000)


def test_values_set_from_outside_may_be_like_an_entry_and_reach_into_one():
    def node(*sets: str) -> Any:
        scenario = open_scenarios(with_node("like: dgx-b200", "cooling: null"), sets).scenario()
        return scenario.cluster.pools[0].node

    key = "cluster.pools[0].node"
    assert node(f"{key}={{like: dgx-h200, cooling: null}}").device.name == "NVIDIA H200 SXM"
    assert node(f"{key}.like=dgx-h200").device.name == "NVIDIA H200 SXM"
    assert node(f"{key}=dgx-h100", f"{key}.like=dgx-h200").name == "DGX H200"
    assert node(f"{key}.device.memory.capacity=96.135 GB").device.memory.capacity_bytes == 96.135e9
    assert node(f"{key}.device.memory.capacity=96.135 GB").cooling is None
    assert node(f"{key}.links[0].bandwidth=1 TB/s").links[0].bandwidth_bytes_per_s == 1e12
    assert node(f"{key}.power=null").power is None
    assert node(f"{key}.name=ours").name == "ours (like DGX B200)"
    assert node(f"{key}=dgx-h200", f"{key}.like=dgx-b200", f"{key}.power=null").name == (
        "like DGX B200"
    )
    assert node(f"{key}=dgx-b200", f"{key}.like=dgx-b200", f"{key}.cooling=null").cooling is None


def test_axes_of_sweeps_reach_into_an_entry():
    file = open_scenarios(with_node("like: dgx-b200", "cooling: null"))
    key = "cluster.pools[0].node"
    swept = file.scenario(
        values={
            key: {"like": "dgx-h200", "cooling": None},
            f"{key}.device.memory.capacity": "1 TB",
        }
    )
    node = swept.cluster.pools[0].node
    assert (node.name, node.device.memory.capacity_bytes) == ("like DGX H200", 1e12)


def test_figures_of_an_entry_stay_uncertain_but_for_those_that_are_replaced():
    file = open_scenarios(
        with_node("like: dgx-b200", "power: {base: 1 kW}", f"device: {{memory: {HALF}}}")
    )
    names = {figure.name for figure in uncertain_figures(file, None, ("low", "high"), 0.1)}
    assert "b200-sxm: memory.bandwidth" in names
    assert "b200-sxm: memory.capacity" not in names
    assert "dgx-b200: power.base" not in names
    assert "dgx-b200: links[0].latency" in names


def test_the_report_lists_the_figures_of_an_entry_and_marks_those_that_are_replaced():
    scenario = load("like: dgx-b200", "name: half", f"device: {{memory: {HALF}}}")
    figures = {(one.entry, one.path): one for one in used({"run": scenario})}
    assert figures["b200-sxm", "memory.capacity"].changed == ("run",)
    assert figures["b200-sxm", "memory.bandwidth"].changed == ()
    assert figures["dgx-b200", "devices"].runs == ("run",)


@pytest.mark.slow
@uses_schema
def test_the_schema_for_editors_knows_like():
    validator = jsonschema.Draft202012Validator(schema())

    def accepts(node: str) -> bool:
        text = with_node(node).read_text()
        return bool(validator.is_valid(cluster_sim.schema.parse_yaml(text, "x").data))

    assert accepts("{like: dgx-b200, devices: 4, device: {memory: {capacity: 9 GB}}}")
    assert accepts("dgx-b200")
    assert not accepts("{like: dgx-b200, devises: 4}")
    assert not accepts("{devices: 4}")


def test_yaml_of_plain_values_keeps_like():
    assert yaml_text({"node": {"like": "dgx-b200"}}) == "node:\n  like: dgx-b200\n"
