"""A stretch in closed form is the sum of its steps, and both are what a token-by-token engine does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.physics.wafer import WaferSteps
from cluster_sim.request import Request
from cluster_sim.serving.batching import ContinuousBatch
from cluster_sim.serving.routing import Routing
from tests.machines import small_gpu, tiny_model
from tests.oracles import Job, Limits, gpu_step_s, serve_token_by_token
from tests.serving import serve

SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

ROUTERS = [member() for member in Routing.__origin__.__args__]  # type: ignore[attr-defined]
ROUTERS += [member.model_validate({"staleness": "20 ms"}) for member in Routing.__origin__.__args__ if "staleness_s" in member.model_fields]  # type: ignore[attr-defined]

jobs = st.lists(
    st.tuples(st.floats(0.0, 0.05), st.integers(1, 150), st.integers(1, 60)),  # gap [s], prompt, output
    min_size=1,
    max_size=14,
)
limits = st.fixed_dictionaries({
    "blocks": st.integers(4, 60),
    "block_tokens": st.integers(1, 16),
    "max_sequences": st.integers(1, 8),
    "budget": st.integers(8, 200),
    "chunked": st.booleans(),
    "window": st.sampled_from([0, 0, 5, 40]),
})  # fmt: skip


def make_batch(limit: dict[str, Any]) -> ContinuousBatch:
    return ContinuousBatch(
        limit["blocks"] * limit["block_tokens"], limit["block_tokens"], limit["max_sequences"], limit["budget"], limit["chunked"], 4096, limit["window"]
    )  # fmt: skip


def make_requests(gaps: list[tuple[float, int, int]], limit: dict[str, Any]) -> list[Request]:
    """Requests that fit the room, arrivals ascending."""
    now_s, requests = 0.0, []
    for number, (gap_s, prompt, output) in enumerate(gaps):
        now_s += gap_s
        requests.append(Request(number, now_s, prompt, output))
    longest = make_batch(limit).longest
    return [request for request in requests if request.footprint <= longest]


def model_of(limit: dict[str, Any]) -> Any:
    return tiny_model(window={"tokens": limit["window"], "layers": 1}) if limit["window"] else tiny_model()


@SETTINGS
@given(jobs, limits, st.integers(1, 2), st.sampled_from([1, 2]))
def test_a_token_by_token_engine_gives_the_same_times(gaps: list[tuple[float, int, int]], limit: dict[str, Any], tensor: int, bytes_: int) -> None:
    model, device = model_of(limit), small_gpu()
    weights, rate, eta = ("bf16", 1e9, 0.5) if bytes_ == 2 else ("fp8", 2e9, 0.4)
    requests = make_requests(gaps, limit)
    plain = [Job(request.arrival_s, request.prompt_tokens, request.output_tokens) for request in requests]
    step_s = gpu_step_s(model, device, tensor, float(bytes_), 2.0, eta, rate)
    serve_token_by_token(plain, Limits(limit["blocks"], limit["block_tokens"], limit["max_sequences"], limit["budget"], limit["chunked"]), step_s)
    for stepping in (False, True):
        again = make_requests(gaps, limit)
        serve(again, GpuSteps(model, device, tensor, 1, weights, "bf16", "none"), lambda: make_batch(limit), stepping)  # type: ignore[arg-type]
        for request, job in zip(again, plain, strict=True):
            assert request.first_token_s == pytest.approx(job.first_s, rel=1e-9)
            assert request.finish_s == pytest.approx(job.finish_s, rel=1e-9)


@SETTINGS
@given(
    jobs,
    limits,
    st.sampled_from(ROUTERS),
    st.integers(1, 3),
    st.sampled_from([0.0, 1e-5, 3e-3]),
    st.sampled_from(["gpu", "stages", "wafer"]),
)
def test_stretch_and_step_agree_on_every_first_token_and_finish(
    gaps: list[tuple[float, int, int]], limit: dict[str, Any], policy: Any, replicas: int, latency_s: float, machine: str
) -> None:
    times = step_times(machine, limit)
    seen = []
    for stepping in (False, True):
        requests = make_requests(gaps, limit)
        batches = [make_batch(limit) for _ in range(replicas)]
        recorder = serve(requests, times, iter(batches).__next__, stepping, replicas, policy, latency_s)
        assert recorder.inside == 0
        assert all(batch.pending_tokens == batch.pending_prompt == 0 for batch in batches)
        seen.append(requests)
    for stretched, stepped in zip(*seen, strict=True):
        assert stretched.replica == stepped.replica
        assert stretched.preemptions == stepped.preemptions
        assert stretched.admitted_s == pytest.approx(stepped.admitted_s, rel=1e-9)
        assert stretched.first_token_s == pytest.approx(stepped.first_token_s, rel=1e-9)
        assert stretched.finish_s == pytest.approx(stepped.finish_s, rel=1e-9)


def step_times(machine: str, limit: dict[str, Any]) -> Any:
    if machine == "wafer":
        return WaferSteps(model_of(limit), small_wafer(), 2)
    return GpuSteps(model_of(limit), small_gpu(), 1, 2 if machine == "stages" else 1, "bf16", "bf16", "none")


def small_wafer() -> Any:
    """A wafer on which latency, the slowest station and arithmetic each bind somewhere in these workloads."""
    from cluster_sim.hardware import Device

    return Device.model_validate({
        "name": "small wafer",
        "memory": {"capacity": "1 GB", "bandwidth": "1 TB/s"},
        "peak": {"bf16": "0.4 GFLOP/s"},
        "wafer": {
            "columns": 20, "rows": 30, "clock": "1 MHz", "weight_fill": 0.8, "memory_fill": 0.95, "core": "100 us",
            "collectives": 2.0, "token": "300 us", "wafer_hop": "50 us", "compute": 0.4,
        },
    })  # fmt: skip
