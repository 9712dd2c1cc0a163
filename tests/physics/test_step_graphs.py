"""Steps in CUDA graphs, in pieces, and eager: lengths by mental arithmetic."""

from __future__ import annotations

import pytest

from cluster_sim.llm.model import Model
from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.physics.replica_layout import GraphPlan, ReplicaLayout
from cluster_sim.physics.step_graphs import launch_costs
from cluster_sim.physics.step_work import StepWork
from cluster_sim.schema import catalog_entry
from tests.machines import SMALL_GPU, device, model, small_gpu, tiny_model

HOST = SMALL_GPU["overheads"]["default"] | {"eager_layer": "0 s", "piecewise_layer": "0 s"}
BOTH = GraphPlan(decode_sequences=(1, 2, 4), piece_tokens=(1, 2, 4, 8))


def times(graphs: GraphPlan | None, **changes: str) -> GpuSteps:
    gpu = small_gpu(overheads={"default": HOST | {"piece": "30 us"} | changes})
    return GpuSteps(tiny_model(), gpu, ReplicaLayout(graphs=graphs))


def mixed(tokens: int) -> StepWork:
    """Two sequences decode, and the rest of the tokens are the start of a prompt."""
    chunk = tokens - 2
    pairs = chunk * (chunk + 1) // 2
    return StepWork(batch=2, growth=2, context=40, prompt_tokens=chunk, sampled=2, pairs=pairs)


def decode(batch: int) -> StepWork:
    return StepWork(batch=batch, growth=batch, context=20 * batch, sampled=batch)


def test_a_small_mixed_step_is_padded_and_its_two_layers_start_attention_and_a_graph() -> None:
    """Five tokens run as eight; each of the two layers takes 30 us longer."""
    eager, pieces = times(None), times(BOTH)
    padding_s = eager.tokens_s(8, 8) - eager.tokens_s(5, 5)
    assert pieces.ramp(mixed(5)).first_s == pytest.approx(
        eager.ramp(mixed(5)).first_s + padding_s + 2 * 30e-6, rel=1e-12
    )


def test_a_mixed_step_of_a_captured_size_is_not_padded() -> None:
    assert times(BOTH).ramp(mixed(8)).first_s == pytest.approx(
        times(None).ramp(mixed(8)).first_s + 2 * 30e-6, rel=1e-12
    )


def test_the_host_limits_a_step_in_pieces_and_more_so_an_eager_one() -> None:
    """100 us of the host and two layers of 0.5 s in pieces, of 2 s eager."""
    steps = times(BOTH, piecewise_layer="500 ms", eager_layer="2 s")
    assert steps.ramp(mixed(8)).first_s == pytest.approx(1.0001)
    assert steps.ramp(mixed(9)).first_s == pytest.approx(4.0001)


def test_an_engine_compiled_in_pieces_has_an_eager_time_of_its_own() -> None:
    """Two layers of 0.3 s where pieces are captured, of 2 s where decode steps alone are."""
    own = {"eager_layer": "2 s", "eager_split_layer": "300 ms"}
    assert times(BOTH, **own).ramp(mixed(9)).first_s == pytest.approx(0.6001)
    decode_only = GraphPlan(BOTH.decode_sequences)
    assert times(decode_only, **own).ramp(mixed(9)).first_s == pytest.approx(4.0001)


def test_the_host_needs_more_time_for_layers_with_experts() -> None:
    """58 of the 61 layers of DeepSeek-R1 have experts: 61 x 1 ms + 58 x 2 ms, beside the host's 100 us."""
    gpu = small_gpu(
        overheads={"default": HOST | {"eager_layer": "1 ms", "eager_expert_layer": "2 ms"}}
    )
    deepseek = Model.model_validate(catalog_entry("models", "deepseek-r1"))
    assert launch_costs(deepseek, gpu, ReplicaLayout()).eager_s == pytest.approx(0.1771)


def test_a_step_above_the_largest_size_is_eager_whether_it_decodes_or_not() -> None:
    steps = times(BOTH, eager_layer="2 s")
    assert steps.ramp(decode(9)).first_s == pytest.approx(4.0001)
    assert times(None, eager_layer="2 s").ramp(decode(9)).first_s < 1.0


def test_decoding_without_a_whole_graph_runs_in_pieces() -> None:
    """Five sequences exceed the graphs of decode steps; the pieces have eight tokens."""
    plain, steps = times(None), times(BOTH)
    padding_s = plain.tokens_s(8, 8) - plain.tokens_s(5, 5)
    assert steps.ramp(decode(5)).first_s == pytest.approx(
        plain.ramp(decode(5)).first_s + padding_s + 2 * 30e-6, rel=1e-12
    )
    whole = times(BOTH).ramp(decode(3)).first_s - times(None).ramp(decode(3)).first_s
    assert whole == pytest.approx(plain.tokens_s(4, 4) - plain.tokens_s(3, 3), rel=1e-9)


def test_without_padding_only_exact_sizes_are_graphs() -> None:
    steps = times(GraphPlan((1, 2, 4), padding=False), eager_layer="2 s")
    plain = times(None)
    assert steps.ramp(decode(4)) == plain.ramp(decode(4))
    assert steps.ramp(decode(3)).first_s == pytest.approx(4.0001)


def test_drafts_are_checked_in_the_graph_of_their_sequences() -> None:
    """Three sequences of four tokens run as four sequences: 16 tokens."""
    plain, steps = times(None), times(GraphPlan((1, 2, 4)))
    padding_s = plain.tokens_s(16, 16) - plain.tokens_s(12, 12)
    assert steps.verify(decode(3), 4).first_s == pytest.approx(
        plain.verify(decode(3), 4).first_s + padding_s, rel=1e-12
    )


def test_a_floor_ends_when_the_keys_of_a_step_take_longer() -> None:
    """The stretch is no longer valid in the step in which its own length exceeds the floor."""
    free, held = times(GraphPlan()), times(GraphPlan(), eager_layer="1.2 ms")
    floor_s = 1e-4 + 2 * 1.2e-3
    plain = free.ramp(decode(1))
    assert plain.first_s < floor_s
    ramp = held.ramp(decode(1))
    assert ramp.first_s == pytest.approx(floor_s)
    assert plain.first_s + (ramp.valid_steps - 1) * plain.slope_s <= floor_s * (1 + 1e-12)
    assert plain.first_s + ramp.valid_steps * plain.slope_s > floor_s


def test_launches_that_were_not_measured_are_estimated_from_those_that_were() -> None:
    """A quarter of the eager layer; and what overlap hides of a product's and attention's start."""
    b200, llama = device("b200-sxm"), model("llama-3.3-70b")
    overhead, kernels = b200.overhead("vLLM"), b200.kernels
    assert kernels is not None
    layout = ReplicaLayout(weights="fp8", kv_cache="fp8", engine="vLLM")
    costs = launch_costs(llama, b200, layout)
    starts_s = kernels.gemm["fp8_vllm"].launch_s + kernels.generation["fp8"].start_s
    assert costs.pieces_s == pytest.approx(overhead.step_s + 80 * overhead.eager_layer_s / 4)
    assert costs.added_s == pytest.approx(80 * overhead.launch_overlap * starts_s)
    assert costs.pieces_s < costs.eager_s / 3
