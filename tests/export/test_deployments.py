"""A deployment written as serve arguments or a manifest is the same deployment when it is read."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from cluster_sim import load_scenario
from cluster_sim.deployment.fleet import resolve
from cluster_sim.errors import ScenarioError
from cluster_sim.export.deploy import TARGETS, emitted, kubernetes, read_deployment, shell
from cluster_sim.export.deploy.facts import facts
from cluster_sim.export.deploy.left_over import pool_of
from cluster_sim.llm.model_names import known_model
from cluster_sim.loading.files import load_variants
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import CATALOG, parse_yaml
from cluster_sim.starters import OPTIONS, answers_of, first_scenario, recorded
from tests.export.deployments import draw, scenario_of, wholes

SCENARIOS = Path(__file__).resolve().parents[2] / "scenarios"


def read_back(text: str, folder: Path) -> Scenario:
    """The scenario that `init --from` writes of a text."""
    source, made = folder / "deployed.sh", folder / "back.yaml"
    source.write_text(text)
    first = first_scenario(answers_of(dict.fromkeys(OPTIONS), recorded(source)), made)
    made.write_text(first.text)
    return load_scenario(made)


def drawn(target: str, count: int, seed: int = 0) -> list[Scenario]:
    random = Random(f"{target} {seed}")
    engine = target if target in ("vllm", "sglang", "trtllm") else None
    found: list[Scenario] = []
    while len(found) < count:
        name = engine or random.choice(TARGETS[target].engines)
        if (scenario := scenario_of(draw(random, name))) is not None:
            found.append(scenario)
    return found


@pytest.mark.parametrize("target", TARGETS)
def test_drawn_deployments_come_back_the_same(target: str, tmp_path: Path) -> None:
    for scenario in drawn(target, 3):
        text = emitted(scenario, target).text
        back = read_back(text, tmp_path)
        assert wholes(back) == wholes(scenario), text
        assert back.cluster.router == scenario.cluster.router
        assert back.cluster.disaggregation == scenario.cluster.disaggregation
        assert back.cluster.admission == scenario.cluster.admission


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
def test_many_drawn_deployments_come_back_the_same(target: str, seed: int, tmp_path: Path) -> None:
    for scenario in drawn(target, 60, seed):
        text = emitted(scenario, target).text
        assert wholes(read_back(text, tmp_path)) == wholes(scenario), text


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_what_no_comment_names_is_in_the_arguments(target: str) -> None:
    for scenario in drawn(target, 12, seed=9):
        made = emitted(scenario, target)
        bare = "\n".join(line for line in made.text.splitlines() if not line.startswith("#   "))
        read = read_deployment(bare, "bare")
        assert read is not None
        for number, deployment in enumerate(resolve(scenario).deployments):
            own = facts(deployment)
            place = {key: own[key] for key in ("name", "node", "nodes", "replicas")}
            engine = own["replica.engine"]
            stated = {**read.pools[number], **place, "replica.engine": engine}
            other = type(deployment)(pool_of(stated), deployment.model, deployment.network)
            for key, value in facts(other).items():
                if key.startswith("replica.speculation.") or key not in own:
                    continue  # acceptance is assumed; static batching has few keys
                if f"cluster.pools[{number}].{key}" not in made.left:
                    assert value == own.get(key), (key, made.text)


@pytest.mark.slow
def test_scenarios_of_the_package_come_back_the_same(tmp_path: Path) -> None:
    count = 0
    for path in sorted(SCENARIOS.glob("*.yaml")):
        try:
            scenarios = load_variants(path)
        except ScenarioError:  # a claims file, or a trace that is absent
            continue
        for scenario in scenarios:
            for target in TARGETS:
                try:
                    text = emitted(scenario, target).text
                except ScenarioError:  # wafers, or another engine
                    continue
                assert wholes(read_back(text, tmp_path)) == wholes(scenario), text
                count += 1
    assert count > 80


# Options


def table() -> dict[str, set[str]]:
    """Options of `engine_options.csv` by engine."""
    found: dict[str, set[str]] = {}
    with (CATALOG / "engine_options.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["engine"], set()).add(row["option"])
    return found


def written(text: str) -> set[str]:
    """Options of the servers in a text, as the table names them; those of YAML with their section."""
    found: set[str] = set()
    if kubernetes.is_manifest(text):
        return {arg.replace("--no-", "--") for arg in arguments(text) if arg.startswith("--")}
    commands, files = shell.commands(text, "text")
    for words in commands:
        found |= {word.replace("--no-", "--") for word in words if word.startswith("--")}
    for content in files.values():
        for key, value in parse_yaml(content, "file").data.items():
            inner = [f"{key}.{name}" for name in value] if isinstance(value, dict) else [key]
            found |= set(inner) - {"cuda_graph_config"}  # null turns graphs off
    return found


def arguments(text: str) -> Iterator[str]:
    """Arguments of all servers of a manifest, of leaders and workers."""
    for document in kubernetes.documents(text, "text"):
        for container in containers(document):
            yield from container.get("args", [])


def containers(part: Any) -> Iterator[dict[str, Any]]:
    """All containers in a part of a manifest."""
    if isinstance(part, dict):
        yield from part.get("containers", [])
        for inner in part.values():
            yield from containers(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from containers(inner)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["vllm", "sglang", "trtllm"])
def test_every_option_is_in_the_table_and_the_table_has_no_others(engine: str) -> None:
    found: set[str] = set()
    for scenario in [*drawn(engine, 60), *drawn(engine, 60, seed=1), *special(engine)]:
        found |= written(emitted(scenario, engine).text)
        if engine != "trtllm":
            found |= written(emitted(scenario, "llm-d").text)
    newer = {"scheduler_config.waiting_queue_policy"}  # since 1.3, later than all profiles
    assert found == table()[engine] - newer


def test_options_of_dynamo_are_in_the_tables() -> None:
    rows = table()
    known = rows["dynamo"] | rows["vllm"] | rows["sglang"] | rows["trtllm"]
    for engine in ("vllm", "sglang", "trtllm"):
        for scenario in drawn(engine, 2, seed=4):
            assert written(emitted(scenario, "dynamo").text) <= known


def special(engine: str) -> list[Scenario]:
    """Scenarios with what is drawn rarely or never: drafters, draft models, newer queue orders."""
    name = {"vllm": "vllm-0.28", "sglang": "sglang-0.5", "trtllm": "trtllm-1.2"}[engine]
    chosen: list[dict[str, Any]] = [
        {"speculation": {"draft_tokens": 3, "acceptance": 0.7, "draft_model": "llama-3.1-8b"}},
        {"speculation": {"draft_tokens": 3, "drafter": "eagle3-llama-3.3-70b"}},
        {"engine": {"like": name, "graph_sizes": {"sizes": [1, 8], "ranges": []}}},
        {"engine": "sglang-0.4", "kv_cache": "fp8"} if engine == "sglang" else {},
    ]
    graphs = {"graph_mode": "full_decode_only", "graph_sizes": {"sizes": [1, 8], "ranges": []}}
    if engine == "sglang":
        chosen.append({"engine": {"like": "sglang-0.4", **graphs}})
    scenarios = [wide(engine)]
    for keys in chosen:
        plan = {"tensor_parallel": 8, "weights": "fp8", "engine": name} | keys
        pool: dict[str, Any] = {"name": "p", "node": "dgx-h200", "replica": plan}
        pool["batching"] = {"order": "priority"}
        if engine == "vllm":
            pool["kv"] = {"watermark": 0.01}
        scenarios.append(scenario_with(pool))
    return scenarios


def scenario_with(pool: dict[str, Any], model: Any = "llama-3.3-70b") -> Scenario:
    made = scenario_of(draw(Random(0), "vllm") | {"model": model, "cluster": {"pools": [pool]}})
    assert made is not None
    return made


def test_hub_names_are_those_of_their_entries() -> None:
    with (CATALOG / "hub_names.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        known = known_model(row["hub_name"])
        assert known is not None
        assert (known.name, known.weights or "") == (row["model"], row["weights"])


def test_ranks_of_sglang_share_its_chunk_and_its_running_requests() -> None:
    """Eight ranks of 64 requests and 2,048 tokens: SGLang divides both options by the ranks."""
    plan = {"data_parallel": 8, "engine": "sglang-0.5", "kv_cache": "fp8"}
    batching = {"max_sequences": 64, "max_batched_tokens": 2048}
    pool = {"name": "p", "node": "dgx-b200", "replica": plan, "batching": batching}
    text = emitted(scenario_with(pool, "deepseek-r1"), "sglang").text
    for option in (
        "--tp-size 8", "--dp-size 8", "--enable-dp-attention", "--max-running-requests 512", "--chunked-prefill-size 16384",
    ):  # fmt: skip
        assert f"    {option}" in text


def test_ranks_of_tensorrt_llm_have_limits_of_their_own() -> None:
    plan = {"data_parallel": 8, "expert_parallel": 8, "engine": "trtllm-1.2", "kv_cache": "fp8"}
    batching = {"max_sequences": 64, "max_batched_tokens": 2048}
    pool = {"name": "p", "node": "dgx-b200", "replica": plan, "batching": batching}
    text = emitted(scenario_with(pool, "deepseek-r1"), "trtllm").text
    for line in (
        "tensor_parallel_size: 8", "moe_expert_parallel_size: 8", "enable_attention_dp: true", "max_batch_size: 64", "max_num_tokens: 2048",
    ):  # fmt: skip
        assert f"\n{line}\n" in text


def test_layouts_that_an_engine_cannot_state_are_named() -> None:
    """vLLM has experts on all devices of a stage or on none; TensorRT-LLM no ranks of two devices."""
    plan = {"tensor_parallel": 4, "data_parallel": 2, "expert_parallel": 2, "kv_cache": "fp8"}
    pool = {"name": "p", "node": "dgx-b200", "replica": plan | {"engine": "vllm"}}
    assert "cluster.pools[0].replica.expert_parallel" in emitted(scenario_with(pool, "deepseek-r1"), "vllm").lost  # fmt: skip
    pool = {"name": "p", "node": "dgx-b200", "replica": plan | {"engine": "trtllm"}}
    lost = emitted(scenario_with(pool, "deepseek-r1"), "trtllm").lost
    for key in ("tensor_parallel", "data_parallel"):
        assert f"cluster.pools[0].replica.{key}" in lost


def test_options_of_later_releases_are_left_out_and_named() -> None:
    """vLLM 0.22 has no --watermark; 0.25 has."""
    pool = {"name": "p", "node": "dgx-h200", "kv": {"watermark": 0.01}}
    plan = {"tensor_parallel": 8}
    old = scenario_with(pool | {"replica": plan | {"engine": "vllm-0.22"}})
    new = scenario_with(pool | {"replica": plan | {"engine": "vllm-0.28"}})
    assert "--watermark" not in emitted(old, "vllm").text
    assert "cluster.pools[0].kv.watermark" in emitted(old, "vllm").lost
    assert "--watermark 0.01" in emitted(new, "vllm").text
    assert "cluster.pools[0].kv.watermark" not in emitted(new, "vllm").lost


def test_wafers_and_other_engines_are_refused_by_name() -> None:
    with pytest.raises(ScenarioError, match="pool 'cs3' has wafers"):
        emitted(load_scenario("example:burst_70b", "cs3"), "vllm")
    with pytest.raises(ScenarioError, match="runs TensorRT-LLM, and vllm starts vLLM; expected --emit trtllm"):  # fmt: skip
        emitted(load_scenario("example:burst_70b", "b200"), "vllm")
    with pytest.raises(ScenarioError, match="did you mean 'vllm'"):
        emitted(load_scenario("example:burst_70b", "b200"), "vlm")


# Experts


WIDE = {
    "vllm": {"expert_exchange": "deepep_low_latency", "two_batch_from": {"decode_tokens": 64, "prompt_tokens": 1024}},
    "sglang": {"expert_exchange": {"prefill": "deepep_normal", "decode": "deepep_low_latency"}},
    "trtllm": {},
}  # fmt: skip
OPTIONS_OF_EXPERTS = {
    "vllm": ["--all2all-backend deepep_low_latency", "--enable-eplb", '{"num_redundant_experts": 32}', "--enable-dbo", "--dbo-decode-token-threshold 64"],
    "sglang": ["--moe-a2a-backend deepep", "--deepep-mode auto", "--ep-num-redundant-experts 32", "--enable-two-batch-overlap"],
    "trtllm": ["num_slots: 288"],
}  # fmt: skip


def wide(target: str) -> Scenario:
    """A deployment with redundant experts, two batches in a step and an exchange of experts."""
    replica: dict[str, Any] = {
        "data_parallel": 8,
        "expert_parallel": 8,
        "weights": "fp8",
        "engine": {"like": target, **WIDE[target]},
        "expert_load": {"sigma": 1.05},
        "redundant_experts": 32,
        "overlap": "none" if target == "trtllm" else "two_batch",
    }
    pools = [{"name": "a", "node": "dgx-h200", "replicas": 1, "replica": replica}]
    scenario = scenario_of(
        draw(Random(1), target) | {"model": "deepseek-r1", "cluster": {"pools": pools}}
    )
    assert scenario is not None
    return scenario


@pytest.mark.parametrize("target", WIDE)
def test_keys_of_experts_come_back_from_their_options(target: str, tmp_path: Path) -> None:
    scenario = wide(target)
    made = emitted(scenario, target)
    for option in OPTIONS_OF_EXPERTS[target]:
        assert option in made.text
    carried = {"redundant_experts", "overlap", "engine.expert_exchange", "engine.two_batch_from"}
    assert not {f"cluster.pools[0].replica.{key}" for key in carried} & set(made.left)
    assert wholes(read_back(made.text, tmp_path)) == wholes(scenario), made.text


# Commands that others wrote


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (
            "CUDA_VISIBLE_DEVICES=0,1 vllm serve meta-llama/Llama-3.3-70B-Instruct -tp 2 --quantization=fp8 --kv_cache_dtype fp8 --enforce-eager --port 8000 &",
            {"replica.tensor_parallel": 2, "replica.weights": "fp8", "replica.kv_cache": "fp8", "replica.engine.graph_mode": "none", "kv.prefix_caching": True},
        ),
        (
            "vllm serve openai/gpt-oss-20b --max-model-len auto --max-num-batched-tokens 16K --max-num-seqs 1k",
            {"batching.max_batched_tokens": 16384, "batching.max_sequences": 1000},
        ),
        (
            "python3 -m sglang.launch_server --model-path openai/gpt-oss-120b --tp 8 --dp-size 4 --enable-dp-attention --ep 8",
            {"replica.tensor_parallel": 2, "replica.data_parallel": 4, "replica.expert_parallel": 8, "kv.prefix_caching": True},
        ),
        (
            "python -m sglang.launch_server --model openai/gpt-oss-120b --tensor-parallel-size 8 --attn-dp-size 8 --chunked-prefill-size 16384",
            {"replica.tensor_parallel": 1, "replica.data_parallel": 8, "batching.max_batched_tokens": 2048},
        ),
        (
            "cat > c.yaml <<EOF\nenable_attention_dp: true\ncuda_graph_config: {enable_padding: true}\nEOF\ntrtllm-serve serve openai/gpt-oss-20b --tp_size 4 --ep_size 4 --max_batch_size 32 --extra_llm_api_options=c.yaml",
            {"replica.data_parallel": 4, "replica.tensor_parallel": 1, "replica.expert_parallel": 4, "batching.max_sequences": 32, "batching.chunked_prefill": False},
        ),
        (
            "vllm serve deepseek-ai/DeepSeek-R1 -dp 16 --enable-expert-parallel --all2all-backend deepep_low_latency --enable-eplb --eplb-config.num_redundant_experts 32 --eplb-config.window_size=500 --enable-dbo --dbo-decode-token-threshold 64",
            {"replica.redundant_experts": 32, "replica.overlap": "two_batch", "replica.engine.expert_exchange": "deepep_low_latency", "replica.engine.two_batch_from": {"decode_tokens": 64, "prompt_tokens": 512}},
        ),
        (
            "vllm serve deepseek-ai/DeepSeek-R1 -dp 16 --enable-expert-parallel --enable-eplb --num-redundant-experts 16",
            {"replica.redundant_experts": 16, "replica.overlap": None},
        ),
        (
            "python -m sglang.launch_server --model deepseek-ai/DeepSeek-R1 --tp 32 --dp-size 32 --enable-dp-attention --ep 32 --moe-a2a-backend deepep --deepep-mode normal --enable-two-batch-overlap --enable-eplb --ep-num-redundant-experts 32",
            {"replica.redundant_experts": 32, "replica.overlap": "two_batch", "replica.engine.expert_exchange": {"prefill": "deepep_normal", "decode": "deepep_normal"}},
        ),
        (
            "cat > c.yaml <<EOF\nenable_attention_dp: true\nmoe_config: {backend: WIDEEP, load_balancer: {num_slots: 288, layer_updates_per_iter: 1}}\nEOF\ntrtllm-serve serve deepseek-ai/DeepSeek-R1 --tp_size 36 --ep_size 36 --extra_llm_api_options=c.yaml",
            {"replica.redundant_experts": 32, "replica.data_parallel": 36},
        ),
    ],
)  # fmt: skip
def test_commands_that_people_wrote_are_read(text: str, keys: dict[str, Any]) -> None:
    read = read_deployment(text, "serve.sh")
    assert read is not None
    [pool] = read.pools
    assert {key: pool.get(key) for key in keys} == keys


GUIDE = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: decode
spec:
  replicas: 2
  template:
    metadata: {labels: {llm-d.ai/role: decode}}
    spec:
      containers:
        - name: modelserver
          command: ["vllm", "serve"]
          args:
            - "openai/gpt-oss-120b"
            - "--tensor-parallel-size=4"
            - "--kv-transfer-config"
            - '{"kv_connector":"NixlConnector", "kv_role":"kv_both"}'
---
apiVersion: v1
kind: Service
metadata: {name: router}
"""
GRAPH = """\
apiVersion: nvidia.com/v1alpha1
kind: DynamoGraphDeployment
metadata: {name: g}
spec:
  services:
    Frontend: {componentType: frontend, replicas: 1, extraPodSpec: {mainContainer: {image: a}}}
    prefill:
      componentType: worker
      subComponentType: prefill
      replicas: 3
      extraPodSpec:
        mainContainer:
          command: [python3, -m, dynamo.sglang]
          args: [--model-path, openai/gpt-oss-120b, --tp-size, "4", --disaggregation-mode, prefill]
"""


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (GUIDE, {"name": "decode", "replicas": 2, "replica.role": "decode", "replica.tensor_parallel": 4}),
        (GRAPH, {"name": "prefill", "replicas": 3, "replica.role": "prefill", "replica.tensor_parallel": 4, "replica.engine": "sglang"}),
    ],
)  # fmt: skip
def test_manifests_that_people_wrote_are_read(text: str, keys: dict[str, Any]) -> None:
    read = read_deployment(text, "graph.yaml")
    assert read is not None
    [pool] = read.pools
    assert read.model == "gpt-oss-120b"
    assert {key: pool.get(key) for key in keys} == keys


def test_dynamo_states_the_policies_that_its_router_has() -> None:
    keys = draw(Random(0), "vllm") | {"model": "llama-3.3-70b"}
    pool = {"name": "p", "node": "dgx-h200", "replica": {"tensor_parallel": 8}}
    for policy, mode in (("power_of_two", "power-of-two"), ("prefix_affinity", None)):
        cluster = {"pools": [pool], "router": {"policy": policy}}
        scenario = scenario_of(keys | {"cluster": cluster})
        assert scenario is not None
        made = emitted(scenario, "dynamo")
        assert ("DYN_ROUTER_MODE" in made.text) == (mode is not None)
        assert ("cluster.router" in made.left) == (mode is None)
        assert mode is None or mode in made.text


def test_a_replica_on_two_nodes_is_a_group_of_two_pods() -> None:
    plan = {"tensor_parallel": 8, "pipeline_parallel": 2}
    pool = {"name": "A_b", "node": "dgx-h200", "nodes": 4, "replica": plan}
    [group] = kubernetes.documents(emitted(scenario_with(pool), "llm-d").text, "text")
    assert group["kind"] == "LeaderWorkerSet"
    assert group["metadata"]["name"] == "a-b"
    assert group["spec"]["replicas"] == 2
    assert group["spec"]["leaderWorkerTemplate"]["size"] == 2
    leader, worker = containers(group)
    for container in (leader, worker):
        assert container["resources"] == {"limits": {"nvidia.com/gpu": "8"}}
    assert set(worker["args"]) - set(leader["args"]) == {"--headless"}


def test_options_that_are_not_read_are_named(tmp_path: Path) -> None:
    read = read_deployment("vllm serve m --lora-modules a=b --tensor-parallel-size 2", "s.sh")
    assert read is not None
    assert any("--lora-modules" in note for note in read.notes)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("vllm serve m --tensor-parallel-size two", "--tensor-parallel-size: got 'two'; expected a whole number"),
        ("vllm serve m --speculative-config '[1'", "speculative-config"),
        ("trtllm-serve m --extra_llm_api_options a.yaml", "names the file a.yaml"),
        ("vllm serve 'm", "is no shell script"),
    ],
)  # fmt: skip
def test_faulty_arguments_are_named(text: str, fault: str) -> None:
    with pytest.raises(ScenarioError, match=fault):
        read_deployment(text, "s.sh")


def test_a_router_that_asks_for_classes_is_named_as_omitted() -> None:
    (scenario, *_) = load_variants(SCENARIOS / "power_row.yaml")
    text = emitted(scenario, "vllm").text
    assert "# Omitted: cluster.router, which routes by the classes of the workload." in text
    assert "cluster.router:" not in text
