"""First scenarios: layouts that fit, texts that read back, results of benchmark clients."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cluster_sim.errors import ScenarioError
from cluster_sim.loading.files import load_scenario, load_variants
from cluster_sim.schema import CATALOG, catalog_names, parse_yaml
from cluster_sim.schema.yaml_files import parse_value
from cluster_sim.starters import OPTIONS, answers_of, first_scenario, recorded
from cluster_sim.starters.flow_text import flow_text

pytestmark = pytest.mark.usefixtures("empty_folder")

SMALL = {"prompt-tokens": "100", "output-tokens": "20"}
PLAIN = {
    "model_id": "meta-llama/Llama-3.1-8B-Instruct",
    "num_prompts": 200,
    "request_rate": "inf",
    "burstiness": 1.0,
    "max_concurrency": 16,
    "duration": 10.0,
    "completed": 200,
    "request_throughput": 20.0,
    "total_input_tokens": 20_000,
    "total_output_tokens": 4_000,
}


def options(**texts: str) -> dict[str, str | None]:
    return SMALL | {name.replace("_", "-"): text for name, text in texts.items()}


def saved(folder: Path, document: object, name: str = "result.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(document))
    return path


def test_weights_of_141_gb_take_two_h200_of_141_gb_and_four_h100_of_80_gb_beside_kv() -> None:
    # 141 GB of weights are more than one H200 and leave 5 GB of two H100, less than the reserves.
    for node, ranks in (("dgx-h200", 2), ("dgx-b200", 1)):
        layout = first_scenario(answers_of(options(node=node)), "first.yaml").layout
        assert layout.replica["tensor_parallel"] == ranks
        assert layout.pool.replicas == 8 // ranks


def test_a_wafer_of_44_gb_is_taken_as_often_as_the_weights_need() -> None:
    # 141 GB of weights in bf16 on wafers of 44 GB: four, and half as much in fp8: two.
    four = first_scenario(answers_of(options(node="cs-3")), "first.yaml")
    assert (four.layout.nodes, four.layout.replica["wafers"]) == (4, 4)
    two = first_scenario(answers_of(options(node="cs-3", nodes="2")), "first.yaml")
    assert two.layout.replica["weights"] == "fp8"
    assert any("the weights are in fp8" in note for note in two.notes)
    assert "they do not fit on these nodes as published" in " ".join(two.text.split("\n      # "))


def test_a_model_larger_than_a_node_is_spread_over_as_few_nodes_as_hold_it() -> None:
    # 812 GB of weights on nodes of 640 GB
    layout = first_scenario(
        answers_of(options(model="llama-3.1-405b", node="dgx-h100")), "a.yaml"
    ).layout
    assert layout.nodes == 2
    assert layout.replica["tensor_parallel"] * layout.replica["pipeline_parallel"] == 16


def test_a_faster_token_takes_a_larger_group() -> None:
    # Two H200 read 141 GB in 14.7 ms at 4.8 TB/s each, four in half of that.
    slow = first_scenario(answers_of(options(tpot="50 ms")), "first.yaml").layout
    fast = first_scenario(answers_of(options(tpot="13 ms")), "first.yaml").layout
    assert slow.shortfall is None
    assert fast.shortfall is None
    assert slow.replica["tensor_parallel"] == 2
    assert fast.replica["tensor_parallel"] > 2


def test_traffic_beyond_every_layout_is_written_with_what_is_too_small() -> None:
    first = first_scenario(answers_of(options(rate="5000 /s")), "first.yaml")
    assert first.layout.shortfall is not None
    assert any("may be too small: its highest rate is" in note for note in first.notes)
    assert "no layout that fits is large enough" in " ".join(first.text.split("\n      # "))


def test_the_commented_variants_are_right_when_their_comment_signs_are_removed() -> None:
    first = first_scenario(answers_of(options()), "first.yaml")
    head, mark, variants = first.text.partition("# variants:\n")
    plain = re.sub(r"(?m)^# ", "", mark + variants)
    Path("first.yaml").write_text(head + plain)
    tp = [one.cluster.pools[0].replica.tensor_parallel for one in load_variants("first.yaml")]
    assert tp == [2, 4, 8]


def test_lines_of_comment_have_at_most_100_columns() -> None:
    text = first_scenario(
        answers_of(options(burst="20 /s for 1 min every 10 min")), "first.yaml"
    ).text
    assert all(len(line) <= 100 for line in text.splitlines() if line.lstrip().startswith("# "))


def test_a_burst_comes_again_and_the_run_holds_two_of_them() -> None:
    first = first_scenario(answers_of(options(burst="20 /s for 1 min every 10 min")), "first.yaml")
    scenario = first.layout.scenario
    assert scenario.duration_s == 1200.0
    assert "bursts: [{at: 5 min, rate: 20 /s, lasts: 1 min, every: 10 min}]" in first.text
    as_mapping = answers_of(options(burst="{rate: 20 /s, lasts: 1 min, every: 10 min}"))
    assert as_mapping.values["burst"] == {"rate": "20 /s", "lasts": "1 min", "every": "10 min"}


@pytest.mark.parametrize("text", ["20 /s", "20 for 1 min", "0 /s for 1 min", "1 /s for 0 s", "{rate: 1 /s}", "{rate: 1 /s, lasts: 1 s, often: 1 s}"])  # fmt: skip
def test_what_is_no_burst_is_refused(text: str) -> None:
    with pytest.raises(ScenarioError, match=r"^--burst: "):
        OPTIONS["burst"].value(text)


def test_a_short_context_shortens_the_default_lengths() -> None:
    first = first_scenario(answers_of({"model": "llama-2-70b"}), "first.yaml")
    workload = first.layout.scenario.workload
    assert workload.prompt_tokens is not None
    assert workload.output_tokens is not None
    assert (workload.prompt_tokens.longest or 0) + (workload.output_tokens.longest or 0) <= 4096


@pytest.mark.slow
@pytest.mark.parametrize("node", catalog_names("nodes"))
def test_every_node_of_the_catalog_gives_a_scenario_that_reads_back(node: str) -> None:
    Path("first.yaml").write_text(first_scenario(answers_of(options(node=node)), "first.yaml").text)
    assert load_scenario("first.yaml").cluster.pools[0].replica.engine.name


def test_a_path_is_found_from_the_folder_of_the_scenario(tmp_path: Path) -> None:
    Path("model.yaml").write_text((CATALOG / "models" / "llama-3.1-8b.yaml").read_text())
    Path("other").mkdir()
    text = first_scenario(answers_of(options(model="model.yaml")), "other/first.yaml").text
    assert f"model: {tmp_path}/model.yaml" in text
    assert "serve Llama 3.1 8B at" in " ".join(text.split("\n# "))


def test_a_name_on_a_hub_is_the_catalogs_entry_with_the_precision_that_it_gives() -> None:
    answers = answers_of(options(model="nvidia/Llama-3.3-70B-Instruct-FP8"))
    assert (answers.values["model"], answers.weights) == ("llama-3.3-70b", "fp8")
    assert first_scenario(answers, "a.yaml").layout.replica == {"tensor_parallel": 1, "engine": "vllm", "weights": "fp8"}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "arrivals"),
    [
        ({}, {"process": "closed_loop", "concurrency": 16, "requests": 200}),
        ({"max_concurrency": None}, {"process": "at_once", "requests": 200}),
        ({"request_rate": 4.0, "max_concurrency": None}, {"process": "poisson", "rate": "4 /s", "requests": 200}),
        # burstiness is the shape of the gaps: 1 / cv²
        ({"request_rate": 4.0, "max_concurrency": None, "burstiness": 0.25}, {"process": "gamma", "rate": "4 /s", "cv": 2.0, "requests": 200}),
    ],
)  # fmt: skip
def test_the_load_of_vllm_is_what_its_options_were(
    changes: dict[str, Any], arrivals: dict[str, Any], tmp_path: Path
) -> None:
    result = recorded(saved(tmp_path, PLAIN | changes))
    assert result.arrivals == arrivals
    assert result.values == {"model": "llama-3.1-8b", "prompt-tokens": 100, "output-tokens": 20}
    assert result.is_comparable
    text = first_scenario(answers_of({}, result), "first.yaml").text
    assert "TODO: the result gives only mean lengths" in text
    assert "TODO: your objectives" in text
    assert f"arrivals: {flow_text(arrivals)}" in text


def test_a_detailed_result_of_vllm_gives_quantiles_without_failed_requests(tmp_path: Path) -> None:
    lists = {"input_lens": [*range(1, 201)], "output_lens": [0, *[20] * 199]}
    values = recorded(saved(tmp_path, PLAIN | lists)).values
    assert values["output-tokens"] == 20
    quantiles = values["prompt-tokens"]["quantiles"]
    assert (quantiles[0.0], quantiles[0.5], quantiles[1.0]) == (1, 100, 200)


def test_a_model_that_the_catalog_does_not_know_is_left_to_do(tmp_path: Path) -> None:
    result = recorded(saved(tmp_path, PLAIN | {"model_id": "example/unknown"}))
    first = first_scenario(answers_of({}, result), "first.yaml")
    assert "TODO: the result names the model 'example/unknown'" in " ".join(
        first.text.split("\n# ")
    )
    assert any("example/unknown" in note for note in first.notes)


def test_an_option_stands_in_place_of_what_the_result_says(tmp_path: Path) -> None:
    result = recorded(saved(tmp_path, PLAIN))
    first = first_scenario(
        answers_of({"rate": "3 /s", "model": "llama-3.3-70b"}, result), "first.yaml"
    )
    scenario = first.layout.scenario
    assert scenario.model.name == "Llama 3.3 70B"
    assert "arrivals: {process: poisson, rate: 3 /s}" in first.text
    assert "not that of the result" in first.text
    with pytest.raises(ScenarioError, match="--burst: the result has a load"):
        answers_of({"burst": "3 /s for 1 min"}, result)


def test_several_results_in_a_file_are_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "all.json"
    path.write_text("\n".join(json.dumps(PLAIN) for _ in range(3)))
    with pytest.raises(ScenarioError, match="holds 3 results"):
        recorded(path)


def test_aiperf_gives_percentiles_of_lengths_and_its_configuration_the_load(tmp_path: Path) -> None:
    lengths = {"unit": "tokens", "avg": 100.0, "min": 50, "max": 400, "p50": 90.0, "p99": 350.0}
    summary = {
        "request_latency": {"unit": "ms", "avg": 1.0},
        "request_count": {"unit": "requests", "avg": 64.0},
        "input_sequence_length": lengths,
        "output_sequence_length": lengths | {"min": 100, "max": 100},
        "input_config": {
            "endpoint": {"model_names": ["openai/gpt-oss-120b"]},
            "loadgen": {"concurrency": 8, "request_count": 64},
        },
    }
    result = recorded(saved(tmp_path, summary))
    assert result.arrivals == {"process": "closed_loop", "concurrency": 8, "requests": 64}
    assert result.values["model"] == "gpt-oss-120b"
    assert result.values["output-tokens"] == 100
    assert result.values["prompt-tokens"]["quantiles"] == {0.0: 50, 0.5: 90, 0.99: 350, 1.0: 400}


def test_requests_of_inference_perf_are_replayed(tmp_path: Path) -> None:
    rows = [
        {"start_time": 5.0 + at, "end_time": 9.0 + at, "info": {"input_tokens": 100, "output_tokens": 20}, "error": None}
        for at in range(3)
    ]  # fmt: skip
    result = recorded(saved(tmp_path, rows))
    assert result.replays
    assert not result.is_comparable
    answers = answers_of({"model": "llama-3.1-8b"}, result)
    text = first_scenario(answers, "first.yaml").text
    Path("first.yaml").write_text(text)
    trace = load_scenario("first.yaml").workload.trace
    assert trace is not None
    assert [row[:3] for row in trace.rows()] == [(0.0, 100, 20), (1.0, 100, 20), (2.0, 100, 20)]
    with pytest.raises(ScenarioError, match="--rate: the requests of the result are sent again"):
        answers_of({"rate": "1 /s"}, result)


def test_guidellm_gives_its_strategy(tmp_path: Path) -> None:
    request = {"info": {"timings": {"request_start": 1.0, "request_end": 2.0}}, "prompt_tokens": 100, "output_tokens": 20}  # fmt: skip
    report = {
        "benchmarks": [
            {
                "config": {
                    "strategy": {"type_": "concurrent", "streams": 4},
                    "backend": {"model": "Qwen/Qwen3-30B-A3B"},
                },
                "requests": {"successful": [request] * 6, "errored": [], "incomplete": []},
            }
        ]
    }
    result = recorded(saved(tmp_path, report))
    assert result.arrivals == {"process": "closed_loop", "concurrency": 4, "requests": 6}
    assert result.values == {"model": "qwen3-30b", "prompt-tokens": 100, "output-tokens": 20}


def test_a_report_of_guidellm_without_a_list_of_requests_is_refused(tmp_path: Path) -> None:
    report = {"benchmarks": [{"requests": {"successful": 0.5}}]}
    with pytest.raises(ScenarioError, match="has no list of requests"):
        recorded(saved(tmp_path, report))


def test_a_file_of_another_kind_and_a_missing_one_are_the_inputs_fault(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="no such file"):
        recorded(tmp_path / "none.json")
    with pytest.raises(ScenarioError):
        recorded(saved(tmp_path, {"a": 1}))
    with pytest.raises(ScenarioError, match="is a folder"):
        recorded(tmp_path)


@pytest.mark.parametrize("value", ["plain", "2 /s", "a, b", "on", "12", "1e3", "#x", "a: b", "it's", "", " a", "日本", "12:30:45", {"a b": [1, 2.5, True, None]}, "- x", "x #y"])  # fmt: skip
def test_flow_text_reads_back_as_it_was(value: Any) -> None:
    assert parse_value(flow_text(value), "test") == value
    assert parse_yaml(f"{{a: {flow_text(value)}}}", "test").data["a"] == value


def pool_of(text: str) -> dict[str, Any]:
    Path("first.yaml").write_text(text)
    pool: dict[str, Any] = parse_yaml(text, "first.yaml").data["cluster"]["pools"][0]
    return pool


@pytest.mark.parametrize(
    ("model", "weights"), [("llama-3.1-8b", "bf16"), ("meta-llama/Llama-3.1-8B-Instruct-FP8", "fp8")]
)  # fmt: skip
def test_the_formats_of_weights_and_kv_cache_are_written(model: str, weights: str) -> None:
    text = first_scenario(answers_of(options(model=model)), "first.yaml").text
    assert pool_of(text)["replica"] == {"tensor_parallel": 1, "weights": weights, "kv_cache": "bf16", "engine": "vllm"}  # fmt: skip
    plan = load_scenario("first.yaml").cluster.pools[0].replica
    assert (plan.weights, plan.kv_cache) == (weights, "bf16")


def test_a_result_of_one_server_is_one_replica_of_the_smallest_layout(tmp_path: Path) -> None:
    result = recorded(saved(tmp_path, PLAIN))
    first = first_scenario(answers_of({"node": "dgx-h100"}, result), "first.yaml")
    assert (first.layout.pool.replicas, first.layout.replica["tensor_parallel"]) == (1, 1)
    assert pool_of(first.text)["replicas"] == 1
    text = " ".join(first.text.split("\n      # "))
    assert "check tensor_parallel, replicas and engine" in text
    assert "7 devices stay idle, but the whole node is paid for" in text
    assert any("costs are those of the whole node" in note for note in first.notes)


def test_the_numbers_of_replicas_and_ranks_may_be_given(tmp_path: Path) -> None:
    result = recorded(saved(tmp_path, PLAIN))
    given = {"node": "dgx-h100", "replicas": "2", "tensor-parallel": "4"}
    pool = pool_of(first_scenario(answers_of(given, result), "first.yaml").text)
    assert (pool["nodes"], pool["replicas"], pool["replica"]["tensor_parallel"]) == (1, 2, 4)
    # 20 replicas of one device take three nodes of eight
    many = first_scenario(answers_of(options(model="llama-3.1-8b", replicas="20")), "first.yaml")
    assert (many.layout.nodes, many.layout.pool.replicas) == (3, 20)
    wafers = first_scenario(answers_of(options(node="cs-3", replicas="2")), "first.yaml").layout
    assert (wafers.nodes, wafers.replica["wafers"]) == (8, 4)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"tensor_parallel": "3"}, "^--tensor-parallel: got 3; expected a divisor of the 8 devices"),
        ({"tensor_parallel": "16"}, "^--tensor-parallel: got 16"),
        ({"tensor_parallel": "2", "node": "cs-3"}, "^--tensor-parallel: wafers have no ranks"),
        ({"replicas": "9", "nodes": "1"}, "^--nodes: 1 node holds 8 devices; expected at least"),
    ],
)  # fmt: skip
def test_numbers_that_do_not_fit_are_the_options_fault(
    given: dict[str, str], expected: str
) -> None:
    with pytest.raises(ScenarioError, match=expected):
        first_scenario(answers_of(options(model="llama-3.1-8b") | options(**given)), "first.yaml")


def test_a_table_whose_columns_can_be_guessed_is_replayed_whole(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("timestamp,input_len,output_len\n0.5,100,20\n3.0,200,30\n700.5,50,10\n")
    first = first_scenario(answers_of({"model": "llama-3.1-8b"}, recorded(path)), "first.yaml")
    assert "duration" not in parse_yaml(first.text, "first.yaml").data
    assert "TODO: `columns` were guessed" in first.text
    assert any("timestamp for arrival" in note for note in first.notes)
    assert "replicas" not in pool_of(first.text)
    trace = load_scenario("first.yaml").workload.trace
    assert trace is not None
    assert [row[:3] for row in trace.rows()] == [(0.0, 100, 20), (2.5, 200, 30), (700.0, 50, 10)]


def test_a_table_is_replayed_with_the_columns_that_are_named(tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    path.write_text("when;in tok;reply\n500;100;20\n3000;200;30\n")
    columns = {"arrival": "when", "prompt": "in tok", "output": "reply"}
    run = recorded(path, {"columns": columns, "time_unit": "ms"})
    first = first_scenario(answers_of({"model": "llama-3.1-8b"}, run), "first.yaml")
    assert "check them" not in first.text
    Path("first.yaml").write_text(first.text)
    assert not any("guessed" in note or "one server" in note for note in first.notes)
    trace = load_scenario("first.yaml").workload.trace
    assert trace is not None
    assert [row[:3] for row in trace.rows()] == [(0.0, 100, 20), (2.5, 200, 30)]


def test_a_table_whose_columns_cannot_be_guessed_names_columns(tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    path.write_text("when,in tok,reply\n0.5,100,20\n")
    with pytest.raises(ScenarioError, match="Name the columns: --columns arrival=NAME"):
        recorded(path)
    path.write_text("timestamp,arrival_time,input_len,output_len\n0.5,1,100,20\n")
    with pytest.raises(ScenarioError, match="may both be the arrival"):
        recorded(path)
