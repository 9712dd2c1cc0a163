"""Keys of a plan about experts: what is read, and what is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cluster_sim.errors import ScenarioError
from cluster_sim.loading.checks.scenario import faults_of
from cluster_sim.physics.expert_load import EVEN
from cluster_sim.scenario.pool import Pool
from cluster_sim.schema import Document, describe
from tests.machines import TINY_MODEL, engine
from tests.scenarios import make_pool, unchecked_scenario

MIXTURE = TINY_MODEL | {"experts": {"count": 6, "top_k": 2, "ffn": 32}}
EVEN_SPLIT = {"data_parallel": 2, "expert_parallel": 2}


def pool(**plan: Any) -> Pool:
    return describe(Pool, Document(make_pool(replica={"engine": engine()} | plan), "test"))


def faults(model: dict[str, Any] = MIXTURE, **plan: Any) -> list[str]:
    """The faults of a pool of two GPUs with these keys of the plan, with their keys."""
    pools = [make_pool(devices=2, replica={"engine": engine()} | plan)]
    scenario = unchecked_scenario(model=model, cluster={"pools": pools})
    ours = ("redundant_experts", "expert_load", "overlap")
    return [
        f"{'.'.join(map(str, trail[4:]))}: {text}"
        for trail, text in faults_of(scenario)
        if set(trail) & set(ours)
    ]


def test_experts_are_even_unless_a_file_says_otherwise() -> None:
    assert pool().replica.expert_load.load is EVEN
    assert pool(expert_load="even").replica == pool().replica
    assert pool(expert_load={"sigma": 0}).replica.expert_load.load is EVEN
    assert pool(expert_load={"sigma": 1.05}).replica.expert_load.load is not EVEN


def test_a_trace_beside_the_scenario_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("layer_id,expert_id,count\n0,0,3\n0,1,1\n")
    assert pool(expert_load={"path": "t.csv"}).replica.expert_load.counts == ((3, 1),)


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("evn", "expected even, or a mapping such as `{sigma: 1.05}`"),
        (1.05, "expected even, or a mapping such as `{sigma: 1.05}`"),
        ({"sigma": 1.05, "path": "pyproject.toml"}, "expected either 'sigma' or 'path'"),
        ({"path": "nowhere.csv"}, "no file 'nowhere.csv'"),
        ({"drift": 0.1}, "got drift of even experts"),
        ({"sigma": -1}, "at least 0"),
    ],
)
def test_a_load_that_cannot_be_read_is_refused(value: Any, fault: str) -> None:
    with pytest.raises(ScenarioError, match="expert_load") as caught:
        pool(expert_load=value)
    assert fault in str(caught.value)


def test_keys_of_experts_fit_a_model_with_experts() -> None:
    load = {"sigma": 1.05, "drift": 0.1}
    assert faults(**EVEN_SPLIT, redundant_experts=2, expert_load=load) == []


def overlapped(node: str = "dgx-h100", **keys: Any) -> list[str]:
    """The faults of a pool with DeepSeek-R1 on eight devices and two batches."""
    plan = {"data_parallel": 8, "expert_parallel": 8, "weights": "fp8", "overlap": "two_batch"}
    pools = [{"name": "a", "node": node, "replica": plan | keys}]
    scenario = unchecked_scenario(model="deepseek-r1", cluster={"pools": pools})
    return [text for trail, text in faults_of(scenario) if "overlap" in trail]


DEEPEP = {"prefill": "deepep_normal", "decode": "deepep_low_latency"}


def test_two_batches_run_with_engines_and_exchanges_that_have_them() -> None:
    assert overlapped(engine={"like": "sglang", "expert_exchange": DEEPEP}) == []
    assert overlapped(engine={"like": "vllm", "expert_exchange": DEEPEP}) == []


@pytest.mark.parametrize(
    ("engine_keys", "fault"),
    [
        ("sglang", "got two_batch; engines overlap kernels that send tokens to their experts, and prefill runs fastest_collective"),
        ({"like": "trtllm", "expert_exchange": DEEPEP}, "has no such overlap; expected none, an engine that has it, such as vllm or sglang"),
    ],
)  # fmt: skip
def test_two_batches_that_no_engine_runs_are_refused(engine_keys: Any, fault: str) -> None:
    (found,) = overlapped(engine=engine_keys)
    assert fault in found


def test_sizes_of_two_batches_need_two_batches() -> None:
    keys = {"like": "vllm", "two_batch_from": {"decode_tokens": 64, "prompt_tokens": 1024}}
    pools = [{"name": "a", "node": "dgx-h100", "replica": {"engine": keys, "tensor_parallel": 8}}]
    scenario = unchecked_scenario(model="llama-3.1-8b", cluster={"pools": pools})
    assert [text for trail, text in faults_of(scenario) if trail[-1] == "two_batch_from"] == [
        "got rules without two batches; expected `overlap: two_batch` beside the engine, or none"
    ]
    assert describe(Pool, Document(pools[0], "test")).replica.engine.two_batch_from is not None


@pytest.mark.parametrize(
    ("plan", "fault"),
    [
        ({"redundant_experts": 2}, "got 2; tiny has no experts; expected no redundant_experts"),
        ({"expert_load": {"sigma": 1}}, "got uneven experts; tiny has no experts"),
        ({"overlap": "two_batch"}, "got two_batch; tiny has no experts; expected no overlap"),
    ],
)
def test_a_model_without_experts_has_no_keys_of_experts(plan: dict[str, Any], fault: str) -> None:
    (found,) = faults(TINY_MODEL, **plan)
    assert fault in found


@pytest.mark.parametrize(
    ("plan", "fault"),
    [
        (
            {"tensor_parallel": 2, "redundant_experts": 2},
            "redundant_experts: got 2; with expert_parallel 1 all devices share every expert; expected expert_parallel above 1, or 0",
        ),
        (
            EVEN_SPLIT | {"redundant_experts": 3},
            "redundant_experts: got 3; 6 experts and 3 copies do not divide into 2 groups of equal size; expected a number such as 2 or 4",
        ),
        (
            EVEN_SPLIT | {"expert_load": {"sigma": 1, "drift": 0.1}},
            "expert_load.drift: got 0.1, which is the change since redundant experts were placed; expected redundant_experts beside it, or no drift",
        ),
        (
            {"tensor_parallel": 2, "expert_parallel": 2, "overlap": "two_batch"},
            "overlap: got two_batch; one rank of attention has no exchange of experts that a second half of the batch could hide; expected none, or data_parallel above 1",
        ),
    ],
)
def test_keys_without_effect_are_refused_with_a_remedy(plan: dict[str, Any], fault: str) -> None:
    assert faults(**plan) == [fault]


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ("0,0,1\n0,6,1\n", "got a trace of 7 experts; expected at most the 6 of tiny"),
        (
            "".join(f"{layer},{expert},1\n" for layer in range(99) for expert in range(3)),
            "got a trace with tokens in 99 layers; tiny has",
        ),
        ("0,0,1\n0,1,1\n1,5,9\n", "got tokens of 1 expert in layer 1 of those with tokens"),
    ],
)
def test_a_trace_fits_the_experts_of_the_model(rows: str, fault: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("layer_id,expert_id,count\n" + rows)
    (found,) = faults(**EVEN_SPLIT, expert_load={"path": str(path)})
    assert fault in found


def test_a_list_of_counts_has_one_for_every_expert_of_the_model(tmp_path: Path) -> None:
    """Three of the six experts would be without tokens if the trace of another model were taken."""
    path = tmp_path / "t.json"
    path.write_text("[[1, 1, 1]]")
    (found,) = faults(**EVEN_SPLIT, expert_load={"path": str(path)})
    assert (
        "got a trace of 3 experts in a layer; tiny has 6; expected a trace of this model" in found
    )
    path.write_text("[[1, 1, 1, 0, 0, 0]]")
    assert not faults(**EVEN_SPLIT, expert_load={"path": str(path)})
