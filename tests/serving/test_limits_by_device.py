"""Limits that an engine chooses by the device, and those that a file gives."""

from __future__ import annotations

from typing import Any

import pytest

from cluster_sim.deployment.engine_memory import captured_graphs
from cluster_sim.errors import ScenarioError
from cluster_sim.scenario.pool import Pool
from cluster_sim.schema import Document, catalog_data, catalog_names, describe, second_names
from cluster_sim.serving.engine import Engine
from tests.scenarios import make_scenario


def pool(engine: Any, node: str, **more: Any) -> Pool:
    keys = {"name": "a", "node": node, "replica": {"tensor_parallel": 2, "engine": engine}}
    return describe(Pool, Document(keys | more, "test"))


@pytest.mark.parametrize(
    ("engine", "node", "limits"),
    [
        # vLLM's defaults of a server (engine/arg_utils.py)
        ("vllm-0.10", "dgx-h200", (1024, 8192)),
        ("vllm-0.10", "dgx-a100", (256, 2048)),
        ("vllm-0.22", "dgx-b200", (1024, 8192)),
        ("vllm-0.28", "dgx-b200", (1024, 16384)),
        ("vllm-0.28", "dgx-h200", (1024, 8192)),
        # what a file gives, by `like` or in the batching of the pool
        ({"like": "vllm-0.10", "max_sequences": 512}, "dgx-h200", (512, 8192)),
        ({"like": "vllm", "max_batched_tokens": 4096}, "dgx-b200", (1024, 4096)),
    ],
)
def test_limits_are_the_files_or_those_of_the_device(
    engine: Any, node: str, limits: tuple[int, int]
) -> None:
    found = pool(engine, node)
    assert (found.max_sequences, found.max_batched_tokens) == limits


def test_the_batching_of_a_pool_comes_first() -> None:
    own = pool({"like": "vllm", "max_sequences": 512}, "dgx-b200", batching={"max_sequences": 64})
    assert own.max_sequences == 64


@pytest.mark.parametrize(("node", "largest"), [("dgx-b200", 1024), ("dgx-h200", 512)])
def test_graphs_end_where_the_device_says_unless_the_file_says(node: str, largest: int) -> None:
    graphs = captured_graphs(pool("vllm-0.28", node))
    own = captured_graphs(pool({"like": "vllm-0.28", "graph_sizes": {"largest": 768}}, node))
    assert graphs is not None
    assert own is not None
    assert (graphs.piece_tokens[-1], own.piece_tokens[-1]) == (largest, 768)


def test_an_engine_without_a_limit_for_every_device_is_refused() -> None:
    rows = {"by_device": [{"devices": ["A100"], "max_sequences": 256}], "max_sequences": None}
    with pytest.raises(ScenarioError, match="got no max_sequences; expected it in the engine"):
        pool({"like": "compiled", **rows}, "dgx-a100")


@pytest.mark.parametrize("name", sorted({*catalog_names("engines")} - {*second_names("engines")}))
def test_no_profile_gives_a_limit_twice(name: str) -> None:
    """A limit of the engine would hide what its rows choose by the device."""
    keys = catalog_data("engines", name)
    rows = keys.get("by_device", {}).get("value", [])
    chosen = {key for row in rows for key in row if key in Engine.model_fields}
    assert not chosen & keys.keys()
    if any("largest_graph" in row for row in rows):
        assert "largest" not in keys["graph_sizes"]["value"]


@pytest.mark.parametrize(("plan", "largest"), [((4, 1), 512), ((1, 4), 512), ((2, 1), 256)])
def test_ranks_count_as_devices_of_a_stage(plan: tuple[int, int], largest: int) -> None:
    """SGLang captures up to 512 sequences from four devices on, TP4 or DP4, on an H200."""
    replica = {"tensor_parallel": plan[0], "data_parallel": plan[1], "engine": "sglang-0.5"}
    sizes = pool("sglang-0.5", "dgx-h200", replica=replica).engine.graph_sizes
    assert sizes is not None
    assert sizes.largest == largest


@pytest.mark.parametrize(("chunk", "is_said"), [(None, True), (2048, False)])
def test_a_chunk_that_sglang_would_divide_is_said(chunk: int | None, *, is_said: bool) -> None:
    replica = {"data_parallel": 8, "weights": "fp8", "engine": "sglang-0.5"}
    batching = {} if chunk is None else {"max_batched_tokens": chunk}
    keys = {"name": "a", "node": "dgx-b200", "replica": replica, "batching": batching}
    scenario = make_scenario(model="deepseek-r1", cluster={"pools": [keys]})
    said = [text for text in scenario.warnings() if "divides its chunk by the ranks" in text]
    assert bool(said) is is_said
    assert not is_said or "each of 8 ranks takes chunks of 16,384 tokens" in said[0]
