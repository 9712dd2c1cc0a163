"""Attention back ends whose time depends on the longest sequence: stretch, step, token by token."""

from __future__ import annotations

from math import log
from typing import Any

import pytest
from hypothesis import given

from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.physics.replica_layout import ReplicaLayout
from cluster_sim.serving.scheduler import SchedulerLimits
from tests.laws.test_stretches_equal_steps import (
    SETTINGS,
    batching_of,
    bounds_of,
    jobs,
    kv_cache_of,
    limits,
    limits_of,
    make_requests,
)
from tests.machines import SMALL_GPU, small_gpu, tiny_model
from tests.oracles import gpu_step_s, jobs_of, serve_token_by_token
from tests.serve import serve

FIT = {
    "start": "100 us", "key": "20 us", "bandwidth": "100 MB/s", "thread_blocks": 12,
    "least_keys": 16,
}  # fmt: skip
DRAWN = (
    "blocks", "block_tokens", "max_sequences", "budget", "chunked", "shares", "policy", "stages",
)  # fmt: skip
KEY_S, BANDWIDTH, SLOTS, LEAST = 20e-6, 1e8, 12, 16


def blocks_s(contexts: list[int], heads: int, key_bytes: int) -> float:
    """Time of one layer from the list of contexts."""
    batch, keys = len(contexts), sum(contexts)
    mean, parts = keys / batch, SLOTS // heads
    part: float = max(contexts)
    if batch < parts:
        part = min(part, max(-mean * log(1 - batch / parts), LEAST))
    wait = max(keys * heads / SLOTS - mean, 0.0)
    return 100e-6 + max(KEY_S * (part + wait), keys * heads * key_bytes / BANDWIDTH)


@pytest.mark.slow
@SETTINGS
@given(jobs, limits)
def test_a_token_by_token_engine_finds_the_longest_sequence_too(
    gaps: list[tuple[float, int, int]], limit: dict[str, Any]
) -> None:
    limit = {name: limit[name] for name in DRAWN} | {"window": 0}
    # without a minimum length of eager steps, so that attention adds to the rest of a step
    model, device = (
        tiny_model(),
        small_gpu(
            kernels={"block_generation": {"bf16_other": FIT}},
            overheads={"default": SMALL_GPU["overheads"]["default"] | {"eager_layer": "0 s"}},
        ),
    )
    assert device.efficiency is not None
    eta = device.efficiency.model_copy(update={"kv_bandwidth": 1e30})
    rest_s = gpu_step_s(model, device.model_copy(update={"efficiency": eta}), 1, 2.0, 2.0, 0.5, 1e9)

    def step_s(contexts: list[int], prompts: list[tuple[int, int]], sampled: int) -> float:
        attention_s = 0.0
        if contexts:
            attention_s = model.layers * blocks_s(contexts, model.kv_heads, 2 * model.head_dim * 2)
        return rest_s(contexts, prompts, sampled) + attention_s

    bounds: SchedulerLimits = limits_of(limit)
    bounds = SchedulerLimits(
        **{name: getattr(bounds, name) for name in bounds.__slots__} | {"counts_longest": True}
    )
    plain = jobs_of(make_requests(gaps, limit))
    serve_token_by_token(plain, bounds_of(limit), step_s)
    times = GpuSteps(model, device, ReplicaLayout(attention_backend="other"))
    for stepping in (False, True):
        again = make_requests(gaps, limit)
        serve(
            again,
            times,
            lambda: batching_of(limit).scheduler(bounds, kv_cache_of(limit)),  # type: ignore[arg-type]
            stepping,
        )
        for request, job in zip(again, plain, strict=True):
            assert request.first_token_s == pytest.approx(job.first_s, rel=1e-9)
            assert request.finish_s == pytest.approx(job.finish_s, rel=1e-9)
