"""Steps, stretches and a token-by-token engine agree for every kind of layers, alone and mixed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster_sim.llm.model import Model
from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.physics.limited_view import LimitedView
from cluster_sim.physics.replica_layout import ReplicaLayout
from cluster_sim.physics.wafer import WaferSteps
from cluster_sim.physics.wafer_regions import WaferPlan
from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.spec import KVCacheSpec
from cluster_sim.serving.scheduler import Continuous, Scheduler, SchedulerLimits
from tests.laws.test_stretches_equal_steps import bounds_of
from tests.layer_oracle import FFN, HIDDEN, KINDS, VOCABULARY, step_s_of
from tests.machines import device as device_of
from tests.machines import small_gpu
from tests.oracles import jobs_of, serve_token_by_token
from tests.serve import serve

MIXED = {
    "full and window": [("full", 1), ("window", 3)],
    "gated and delta net": [("gated", 1), ("gated_delta_net", 3)],
    "latent and kda": [("latent", 1), ("kda", 3)],
    "full and both mambas": [("full", 1), ("mamba2", 2), ("mamba", 1)],
    "sparse and followers": [("latent", 1), ("sparse latent", 1), ("follower", 2)],
    "full and chunked and lightning": [("full", 1), ("chunked", 2), ("lightning", 1)],
    "compressed and sparse and window": [("compressed", 2), ("sparse", 1), ("window", 1)],
}
MODELS: dict[str, list[tuple[str, int]]] = {name: [(name, 2)] for name in KINDS if name != "cross"}
MODELS |= MIXED

jobs = st.lists(
    st.tuples(st.floats(0.0, 0.05), st.integers(1, 150), st.integers(1, 60)),
    min_size=1,
    max_size=10,
)
limits = st.fixed_dictionaries({
    "blocks": st.integers(4, 60),
    "block_tokens": st.integers(1, 16),
    "max_sequences": st.integers(1, 8),
    "budget": st.integers(8, 200),
    "chunked": st.booleans(),
})  # fmt: skip


def model_of(layers: list[tuple[str, int]], *more: tuple[str, int]) -> Model:
    every = [*layers, *more]
    return Model.model_validate(
        {
            "name": "tiny", "layers": sum(count for _, count in every), "hidden": HIDDEN, "ffn": FFN, "vocabulary": VOCABULARY,
            "max_context": 4096, "attention_layers": [KINDS[name] | {"layers": count} for name, count in every],
        }
    )  # fmt: skip


def scheduler_of(model: Model, limit: dict[str, Any]) -> Scheduler:
    block_tokens = limit["block_tokens"]
    return Continuous().scheduler(
        SchedulerLimits(
            max_sequences=limit["max_sequences"],
            max_batched_tokens=limit["budget"],
            max_context=4096,
            chunked_prefill=limit["chunked"],
            view=LimitedView.of(model),
        ),
        KVCacheSpec(limit["blocks"] * block_tokens, block_tokens),
    )


def requests_of(gaps: list[tuple[float, int, int]], longest: int) -> list[Request]:
    now_s, requests = 0.0, []
    for number, (gap_s, prompt, output) in enumerate(gaps):
        now_s += gap_s
        requests.append(Request(number, now_s, prompt, output))
    return [request for request in requests if request.footprint <= longest]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in MIXED else pytest.mark.slow) for name in MODELS]
)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(jobs, limits, st.sampled_from([1, 2]))
def test_a_token_by_token_engine_gives_the_same_times(
    name: str, gaps: list[tuple[float, int, int]], limit: dict[str, Any], tensor: int
) -> None:
    """Keys are read one by one there, under KV pressure, with chunks and preemption."""
    model, gpu = model_of(MODELS[name]), small_gpu()
    longest = scheduler_of(model, limit).longest
    plain = jobs_of(requests_of(gaps, longest))
    serve_token_by_token(plain, bounds_of(limit), step_s_of(MODELS[name], gpu, tensor))
    for stepping in (False, True):
        again = requests_of(gaps, longest)
        times = GpuSteps(model, gpu, ReplicaLayout(tensor_parallel=tensor))
        serve(again, times, lambda: scheduler_of(model, limit), stepping)
        for request, job in zip(again, plain, strict=True):
            assert request.first_token_s == pytest.approx(job.first_s, rel=1e-9)
            assert request.finish_s == pytest.approx(job.finish_s, rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("machine", ["h200-sxm", "wse-3"])
@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(jobs, limits)
def test_stretch_and_step_agree_on_measured_devices(
    machine: str, name: str, gaps: list[tuple[float, int, int]], limit: dict[str, Any]
) -> None:
    """The kernels of one are fits, and the other is a pipeline."""
    model = model_of(MODELS[name])
    times = (
        WaferSteps(model, device_of(machine), WaferPlan(1, sequences=limit["max_sequences"]))
        if machine == "wse-3"
        else GpuSteps(model, device_of(machine), ReplicaLayout(engine="vllm"))
    )
    seen = []
    for stepping in (False, True):
        requests = requests_of(gaps, scheduler_of(model, limit).longest)
        serve(requests, times, lambda: scheduler_of(model, limit), stepping)
        seen.append(requests)
    for stretched, stepped in zip(*seen, strict=True):
        assert stretched.first_token_s == pytest.approx(stepped.first_token_s, rel=1e-9)
        assert stretched.finish_s == pytest.approx(stepped.finish_s, rel=1e-9)


def test_layers_that_attend_to_images_alone_take_no_time() -> None:
    """Served with text, a model with them takes as long as one without."""
    full, gpu = [("full", 2)], small_gpu()
    with_images = model_of(full, ("cross", 2)).model_copy(update={"dense": None, "layers": 4})
    idle = Model.model_validate(
        with_images.model_dump(by_alias=True, exclude_none=True)
        | {"dense": [{"layers": 2, "ffn": FFN}, {"layers": 2, "ffn": FFN, "is_idle": True}]}
    )
    requests = [[Request(0, 0.0, 100, 20)] for _ in range(2)]
    for model, one in zip((model_of(full), idle), requests, strict=True):
        limit = {
            "blocks": 50,
            "block_tokens": 16,
            "max_sequences": 4,
            "budget": 64,
            "chunked": True,
        }
        serve(one, GpuSteps(model, gpu), lambda m=model, x=limit: scheduler_of(m, x), False)
    assert requests[0][0].finish_s == pytest.approx(requests[1][0].finish_s, rel=1e-9)
    assert idle.total_parameters > model_of(full).total_parameters


@pytest.mark.parametrize("name", [name for name in KINDS if name != "cross"])
def test_a_layer_is_multiplied_with_its_parameters(name: str) -> None:
    """Products on one device hold all weights but convolutions, steps and the like: below 2 %."""
    (kind,) = model_of([(name, 2)]).attention
    products = sum(shape.outputs * shape.inputs for shape in kind.products(HIDDEN, 1))
    assert products <= kind.parameters(HIDDEN) <= products + 6 * 1024
