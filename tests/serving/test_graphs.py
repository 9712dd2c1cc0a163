"""Captured sizes of CUDA graphs and their memory, as engines print or document them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from cluster_sim.physics.replica_layout import GraphPlan
from cluster_sim.serving.engine import Engine
from cluster_sim.serving.graphs import GraphMemory, GraphSizes, StepLimits, graph_plan
from cluster_sim.serving.memory_rules import ServedPlan, StaticReserve
from tests.machines import device, engine

VLLM: dict[str, Any] = {
    "sizes": [1, 2, 4],
    "ranges": [
        {"first": 8, "last": 248, "step": 8},
        {"first": 256, "last": 2048, "step": 16},
    ],
}
TRTLLM: dict[str, Any] = {
    "unit": "sequences",
    "sizes": [1, 2, 4, 128, 256, 512, 1024, 2048],
    "ranges": [{"first": 8, "last": 120, "step": 8}],
}


def rule(sizes: dict[str, Any], **changes: Any) -> GraphSizes:
    return GraphSizes.model_validate(sizes | changes)


def test_vllm_captures_the_graphs_that_a_server_printed() -> None:
    """gpt-oss on H200, vLLM 0.22.1, largest size 2,048: 147 piecewise graphs, and 11 of decode
    steps with 64 sequences, 3 with 4."""
    sizes = rule(VLLM, largest=2048)
    for sequences, whole in ((64, 11), (4, 3)):
        plan = graph_plan("full_and_piecewise", sizes, None, StepLimits(sequences, 8192))
        assert len(plan.piece_tokens) == 147
        assert len(plan.decode_sequences) == whole


def test_vllm_captures_the_default_sizes_that_servers_printed() -> None:
    """Logs of vLLM 0.19 to 0.22: PIECEWISE=51 (largest=512), FULL=35 (largest=256), and so on."""
    sizes = rule(VLLM, largest=512, per_sequence=2)
    for sequences, printed in (
        (256, (51, 512, 35, 256)),
        (128, (35, 256, 19, 128)),
        (32, (11, 64, 7, 32)),
        (8, (5, 16, 4, 8)),
    ):
        plan = graph_plan("full_and_piecewise", sizes, None, StepLimits(sequences, 2048))
        pieces, whole = plan.piece_tokens, plan.decode_sequences
        assert (len(pieces), pieces[-1], len(whole), whole[-1]) == printed


def test_vllm_captures_two_tokens_per_sequence_and_at_most_512() -> None:
    for sequences, largest in ((60, 120), (256, 512), (1024, 512)):
        plan = graph_plan(
            "full_and_piecewise",
            rule(VLLM, largest=512, per_sequence=2),
            None,
            StepLimits(sequences, 8192),
        )
        assert plan.piece_tokens[-1] == largest
        # 60 is no size: 57 to 60 sequences run in pieces
        assert plan.decode_sequences[-1] == {60: 56, 256: 256, 1024: 512}[sequences]


def test_newer_vllm_captures_the_full_batch_as_well() -> None:
    """60 sequences decode as a whole graph of 60, and 120 tokens in pieces stay the largest."""
    sizes = rule(VLLM, per_sequence=2, captures_full_batch=True)
    plan = graph_plan("full_and_piecewise", sizes, None, StepLimits(60, 8192))
    assert plan.decode_sequences[-2:] == (56, 60)
    assert plan.piece_tokens[-1] == 120


def test_drafts_count_in_sizes_that_are_whole_sequences() -> None:
    """Three drafts: 8 sequences of 4 tokens, twice as many are 64; in multiples of 4."""
    plan = graph_plan("full_and_piecewise", rule(VLLM, per_sequence=2), None, StepLimits(8, 99, 3))
    assert plan.piece_tokens == (4, 8, 16, 24, 32, 40, 48, 56, 64)
    assert plan.decode_sequences == (1, 2, 4, 6, 8)
    older = rule(VLLM, per_sequence=2, counts_drafts=False)
    assert graph_plan("piecewise", older, None, StepLimits(8, 99, 3)).piece_tokens == (
        1,
        2,
        4,
        8,
        16,
    )


def test_no_size_exceeds_the_tokens_of_a_step() -> None:
    assert rule(VLLM).captured(StepLimits(256, 20)) == (1, 2, 4, 8, 16)


def test_tensorrt_llm_captures_its_maximum_batch_in_place_of_larger_sizes() -> None:
    """A batch of 130 runs as 160, which is the maximum, and not as 256."""
    sizes = rule(TRTLLM, captures_limit=True).captured(StepLimits(160, 8192))
    assert sizes[-2:] == (128, 160)
    assert rule(TRTLLM).captured(StepLimits(160, 8192))[-1] == 128
    # 8,192 tokens are 2,048 sequences with three drafts
    assert rule(TRTLLM, captures_limit=True).captured(StepLimits(4096, 8192, 3))[-1] == 2048
    assert rule(TRTLLM, captures_limit=True).captured(StepLimits(4096, 4000, 3))[-1] == 1000


def test_modes_choose_the_kinds_of_graphs() -> None:
    sizes, limits = GraphSizes(sizes=(1, 2, 4, 8)), StepLimits(4, 8)
    all_sizes, whole = (1, 2, 4, 8), (1, 2, 4)
    assert graph_plan("none", sizes, None, limits) == GraphPlan()
    assert graph_plan("piecewise", sizes, None, limits) == GraphPlan((), (), all_sizes)
    assert graph_plan("full", sizes, None, limits) == GraphPlan((), all_sizes, ())
    assert graph_plan("full_decode_only", sizes, None, limits) == GraphPlan(whole, (), ())
    both = GraphPlan(whole, (), all_sizes)
    assert graph_plan("full_and_piecewise", sizes, None, limits) == both


def test_prefill_may_have_sizes_of_its_own() -> None:
    prefill = GraphSizes(sizes=(64, 8192))
    plan = graph_plan("full_and_piecewise", rule(TRTLLM), prefill, StepLimits(4, 8192))
    assert plan == GraphPlan((1, 2, 4), (), (64, 8192))


def test_graphs_take_the_first_capture_and_each_further_one() -> None:
    """147 + 11 graphs: 156 further ones of at least 1 MiB."""
    sizes = rule(VLLM, largest=2048)
    plan = graph_plan("full_and_piecewise", sizes, None, StepLimits(64, 8192))
    memory = GraphMemory.model_validate({"first": "500 MiB", "further": "10 kB"})
    assert memory.reserve_bytes(plan) == (500 + 156) * 2**20
    assert memory.reserve_bytes(GraphPlan()) == 0.0


SGLANG: dict[str, Any] = {
    "fixed": "512 MiB", "per_step_token": "1.5 MiB", "min_step_tokens": 2048, "per_graph_sequence": "2 MiB", "per_device": "128 MiB",
    "per_rank_sequence": "3 MiB", "large_graph_sequences": 300, "per_large_sequence": "1.5 MiB", "latent": "1.5 GiB",
    "at_least": "10 GiB", "at_least_from": "60 GB",
}  # fmt: skip


def test_the_reserve_of_sglang_grows_with_chunk_graphs_and_devices() -> None:
    """B200, 8 devices: 512 + 1.5 x 16,384 + 2 x 512 + 128 x 8 = 27,136 MiB."""
    reserve, memory = StaticReserve.model_validate(SGLANG), 192.27e9
    plan = ServedPlan(step_tokens=16_384, graph_sequences=512, devices=8)
    assert reserve.reserve_bytes(memory, plan) / 2**20 == 27_136
    assert reserve.fraction(memory, plan) == pytest.approx(1 - 27_136 * 2**20 / 192.27e9)
    latent = plan._replace(is_latent=True)
    assert reserve.reserve_bytes(memory, latent) / 2**20 == 27_136 + 1_536
    # 8 ranks of one device: 128 instead of 1,024, and 4.5 x 512 x 8
    ranks = plan._replace(devices=1, data_parallel=8)
    assert reserve.reserve_bytes(memory, ranks) / 2**20 == 27_136 - 896 + 18_432


def test_the_reserve_of_sglang_is_at_least_10_gib_on_large_devices() -> None:
    reserve = StaticReserve.model_validate(SGLANG)
    plan = ServedPlan(step_tokens=1024, graph_sequences=256, devices=1)  # 512 + 3,072 + 512 + 128
    assert reserve.reserve_bytes(80e9, plan) == 10 * 2**30
    assert reserve.reserve_bytes(48e9, plan) / 2**20 == 4_224


DEFAULTS: dict[str, Any] = {
    "max_sequences": None,
    "max_batched_tokens": None,
    "graph_mode": "full_and_piecewise",
    "graph_sizes": VLLM | {"largest": None},
    "by_device": [
        {"devices": ["A100"], "max_sequences": 256, "max_batched_tokens": 2048},
        {"devices": ["B200", "B300"], "largest_graph": 1024},
        {"min_memory": "160 GiB", "max_sequences": 1024, "max_batched_tokens": 16384},
        {"min_memory": "70 GiB", "max_sequences": 1024, "max_batched_tokens": 8192},
        {"max_sequences": 256, "max_batched_tokens": 2048, "largest_graph": 512},
    ],
}  # fmt: skip


def test_an_engine_chooses_its_limits_by_the_device() -> None:
    """vLLM 0.28: B200 has 179 GiB, H200 131 GiB, and A100 is excluded by name."""
    profile = Engine.model_validate(engine(**DEFAULTS))
    for name, limits in (
        ("b200-sxm", (1024, 16_384, 1024)),
        ("h200-sxm", (1024, 8192, 512)),
        ("a100-sxm", (256, 2048, 512)),
        ("mi300x", (1024, 16_384, 512)),
    ):
        chosen = profile.on(device(name), 1)
        assert chosen.graph_sizes is not None
        found = (chosen.max_sequences, chosen.max_batched_tokens, chosen.graph_sizes.largest)
        assert found == limits


def test_a_row_may_ask_for_tensor_parallelism() -> None:
    rows = [{"min_tensor_parallel": 4, "memory_fraction": 0.81}, {"memory_fraction": 0.88}]
    profile = Engine.model_validate(engine(by_device=rows, memory_fraction=None))
    h100 = device("h100-sxm")
    assert [profile.on(h100, ranks).memory_fraction for ranks in (1, 4, 8)] == [0.88, 0.81, 0.81]


def test_a_mode_needs_its_sizes() -> None:
    with pytest.raises(ValidationError, match="expected `graph_sizes`"):
        Engine.model_validate(engine(graph_mode="full"))
    with pytest.raises(ValidationError, match="expected `prefill_graph_sizes`"):
        Engine.model_validate(engine(graph_mode="piecewise", graph_sizes=TRTLLM))
