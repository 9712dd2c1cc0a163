"""Steps in every mode of CUDA graphs are those of a token-by-token engine."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster_sim.hardware.device import Device
from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.physics.replica_layout import ReplicaLayout
from cluster_sim.serving.graphs import GraphMode, GraphSizes, StepLimits, graph_plan
from tests.laws.test_stretches_equal_steps import (
    SETTINGS,
    bounds_of,
    jobs,
    limits,
    make_requests,
    make_scheduler,
    model_of,
)
from tests.machines import SMALL_GPU, small_gpu
from tests.oracles import StepSize, gpu_step_s, jobs_of, serve_token_by_token
from tests.serve import serve

HOST = SMALL_GPU["overheads"]["default"] | {"piecewise_layer": "250 us", "piece": "15 us"}
LAYERS = 2


def size_in_graphs(
    mode: str, sizes: list[int], max_sequences: int, device: Device, *, padding: bool
) -> StepSize:
    """The rules of a step, by looking at every size: whole graph, pieces, or eager."""
    host = device.overheads["default"]

    def next_size(count: int, largest: float) -> int | None:
        fitting = [size for size in sizes if count <= size <= largest]
        if not fitting or not (padding or count in fitting):
            return None
        return min(fitting)

    def size_of(sequences: int, tokens: int, has_prompts: bool) -> tuple[int, float, float]:
        eager = tokens, 0.0, host.step_s + LAYERS * host.eager_layer_s
        if mode == "none":
            return eager
        whole = None
        if mode == "full":
            whole = next_size(tokens, 1e9)
        elif mode.startswith("full_") and not has_prompts:
            whole = next_size(sequences, max_sequences)
        if whole is not None:
            return whole, 0.0, 0.0
        pieces = next_size(tokens, 1e9) if mode in ("piecewise", "full_and_piecewise") else None
        if pieces is None:
            return eager
        assert host.piece_s is not None
        assert host.piecewise_layer_s is not None
        return pieces, LAYERS * host.piece_s, host.step_s + LAYERS * host.piecewise_layer_s

    return size_of


@pytest.mark.slow
@SETTINGS
@given(
    jobs,
    limits,
    st.sampled_from(get_args(GraphMode)),
    st.lists(st.integers(1, 64), min_size=1, max_size=6, unique=True),
    st.booleans(),
)
def test_steps_in_graphs_are_those_of_a_token_by_token_engine(
    gaps: list[tuple[float, int, int]],
    limit: dict[str, Any],
    mode: GraphMode,
    sizes: list[int],
    padding: bool,
) -> None:
    limit = limit | {"answer": 0, "watermark": 0.0, "late": False}
    model, device = model_of(limit), small_gpu(overheads={"default": HOST})
    rule = GraphSizes(sizes=tuple(sizes), padding=padding)
    bounds = StepLimits(limit["max_sequences"], limit["budget"])
    captured = [size for size in sizes if size <= limit["budget"]]
    plain = jobs_of(make_requests(gaps, limit))
    size_of = size_in_graphs(mode, captured, limit["max_sequences"], device, padding=padding)
    step_s = gpu_step_s(model, device, 1, 2.0, 2.0, 0.5, 1e9, size_of)
    serve_token_by_token(plain, bounds_of(limit), step_s)
    times = GpuSteps(model, device, ReplicaLayout(graphs=graph_plan(mode, rule, None, bounds)))
    for stepping in (False, True):
        requests = make_requests(gaps, limit)
        serve(requests, times, lambda: make_scheduler(limit), stepping)  # type: ignore[arg-type]
        for request, job in zip(requests, plain, strict=True):
            assert request.first_token_s == pytest.approx(job.first_s, rel=1e-9)
            assert request.finish_s == pytest.approx(job.finish_s, rel=1e-9)
