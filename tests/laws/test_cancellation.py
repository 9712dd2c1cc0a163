"""Requests whose clients leave: they go when the step in progress has ended and leave nothing behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isnan, nan
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.request import Request
from cluster_sim.serving.scheduler import Scheduler
from cluster_sim.serving.scheduler.interruptible_batch import InterruptibleBatch
from cluster_sim.sim.cancellation import Cancellation
from tests.laws import test_disaggregation as disaggregation
from tests.laws import test_loss as loss
from tests.laws import test_prefix_caching as texts
from tests.laws import test_stretches_equal_steps as plain
from tests.machines import small_gpu
from tests.oracles import gpu_step_s, jobs_of, serve_token_by_token
from tests.serve import serve

SETTINGS = settings(
    parent=plain.SETTINGS,
    max_examples=60,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
)
patience_s = st.lists(
    st.one_of(st.none(), st.floats(1e-4, 0.3)), min_size=14, max_size=14
)  # of each client; None: it waits for its answer


def leaving_s(requests: Sequence[Request], patience_s: list[float | None]) -> dict[Request, float]:
    """When the clients of some requests leave."""
    return {
        request: request.arrival_s + wait_s
        for request, wait_s in zip(requests, patience_s, strict=False)
        if wait_s is not None
    }


def lose_the_same(
    make_requests: Callable[[], Sequence[Request]],
    make_scheduler: Callable[[], Scheduler],
    limit: dict[str, Any],
    patience_s: list[float | None],
) -> None:
    """A token-by-token engine answers the same requests at the same times, and loses the others."""
    model, device = plain.model_of(limit), small_gpu()
    jobs = jobs_of(make_requests())
    for job, wait_s in zip(jobs, patience_s, strict=False):
        if wait_s is not None:
            job.cancel_s = job.arrival_s + wait_s
    step_s = gpu_step_s(model, device, 1, 2.0, 2.0, 0.5, 1e9)
    serve_token_by_token(jobs, plain.bounds_of(limit), step_s)
    for stepping in (False, True):
        requests = make_requests()
        recorder = serve(
            requests,
            GpuSteps(model, device),
            make_scheduler,
            stepping,
            prepares_ahead=limit.get("late", False),
            cancel_s=leaving_s(requests, patience_s),
        )
        assert recorder.left == len(requests)
        for request, job in zip(requests, jobs, strict=True):
            first_s, finish_s = (
                nan if at_s >= job.cancel_s else at_s for at_s in (job.first_s, job.finish_s)
            )
            assert request.first_token_s == pytest.approx(first_s, rel=1e-9, nan_ok=True)
            assert request.finish_s == pytest.approx(finish_s, rel=1e-9, nan_ok=True)
            assert (request.number in recorder.cancelled) is isnan(request.finish_s)
            if isnan(request.finish_s):
                assert request.generated == job.made


@pytest.mark.slow
@SETTINGS
@given(plain.jobs, plain.limits, patience_s)
def test_a_token_by_token_engine_loses_the_same_requests(
    gaps: list[tuple[float, int, int]], limit: dict[str, Any], patience_s: list[float | None]
) -> None:
    lose_the_same(
        lambda: plain.make_requests(gaps, limit),
        lambda: plain.make_scheduler(limit),
        limit,
        patience_s,
    )


@pytest.mark.slow
@SETTINGS
@given(texts.jobs, texts.limits, patience_s)
def test_what_they_have_read_is_found_as_if_they_had_finished(
    jobs: Any, limit: dict[str, Any], patience_s: list[float | None]
) -> None:
    lose_the_same(
        lambda: texts.make_requests(jobs, limit), lambda: texts.audited(limit), limit, patience_s
    )


@pytest.mark.slow
@settings(parent=SETTINGS, max_examples=100)
@given(plain.jobs, plain.limits, plain.features, patience_s, st.sampled_from([0.0, 3e-3]))
def test_stretch_and_step_lose_the_same_requests_and_nothing_stays_taken(
    gaps: list[tuple[float, int, int]],
    limit: dict[str, Any],
    feature: dict[str, Any],
    patience_s: list[float | None],
    latency_s: float,
) -> None:
    seen = []
    for stepping in (False, True):
        requests = plain.make_requests_with(gaps, plain.make_scheduler_with(limit, feature))
        schedulers = [
            plain.audited(
                plain.make_scheduler_with(limit, feature), limit["blocks"], feature["swap_blocks"]
            )
            for _ in range(2)
        ]
        recorder = serve(
            requests,
            GpuSteps(plain.model_of(limit), small_gpu()),
            iter(schedulers).__next__,
            stepping,
            replicas=2,
            latency_s=latency_s,
            prepares_ahead=limit["late"],
            cancel_s=leaving_s(requests, patience_s),
        )
        assert recorder.inside == 0
        for scheduler in schedulers:
            is_as_new(scheduler, feature["swap_blocks"])
        seen.append((requests, recorder))
    (stretched, one), (stepped, other) = seen
    assert one.cancelled.keys() == other.cancelled.keys()
    for request, again in zip(stretched, stepped, strict=True):
        for name in ("admitted_s", "first_token_s", "finish_s"):
            assert getattr(request, name) == pytest.approx(
                getattr(again, name), rel=1e-9, nan_ok=True
            )
        if request.number in one.cancelled:
            assert request.generated == again.generated
            assert one.cancelled[request.number] == pytest.approx(other.cancelled[again.number])


def is_as_new(scheduler: Scheduler, on_host: int) -> None:
    """The scheduler has no requests, and all of its blocks are free."""
    assert scheduler.pending_tokens == scheduler.pending_prompt_tokens == scheduler.queued == 0
    assert len(scheduler.running) == scheduler.blocks_taken() == 0
    assert scheduler.schedule(1e9, 1).steps == 0
    if isinstance(scheduler, InterruptibleBatch):
        assert scheduler._partial is None and not scheduler._resuming
        assert scheduler._kv.swap.free_blocks == on_host
        assert scheduler._kv.extra_blocks == 0
        assert scheduler._decoding.counted == scheduler._decoding.blocks.sequences == 0


leaves = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 13)), min_size=1, max_size=14)
"""Number of events since the departure before, and which client leaves."""


@pytest.mark.slow
@settings(parent=SETTINGS, max_examples=100)
@given(
    plain.jobs, plain.limits, plain.features, disaggregation.links, leaves, st.booleans(), st.data()
)
def test_who_leaves_between_two_replicas_does_not_come_back(
    gaps: list[tuple[float, int, int]],
    limit: dict[str, Any],
    feature: dict[str, Any],
    link: dict[str, Any],
    leaves: list[tuple[int, int]],
    stepping: bool,
    data: st.DataObject,
) -> None:
    """Whatever is lost meanwhile: each request ends once, and blocks are those that are in use."""
    cluster = disaggregation.make_cluster(limit, feature, link, stepping=stepping)
    lost = data.draw(st.one_of(st.just([]), loss.losses))
    longest = min(replica.longest for replica in cluster.everyone)
    requests = [
        request
        for request in plain.make_requests_with(
            gaps, disaggregation.decode_scheduler(limit, feature)
        )
        if request.footprint <= longest
    ]
    cancellation = Cancellation(
        cluster.env, cluster.router, cluster.everyone, cluster.transfers, cluster.recorder
    )
    left: dict[Request, bool] = {}
    to_leave = list(leaves)
    wait = to_leave[0][0] if to_leave else 0

    def maybe_leave() -> None:
        nonlocal wait
        wait -= 1
        while to_leave and wait <= 0:
            _, which = to_leave.pop(0)
            wait += to_leave[0][0] if to_leave else 0
            here = cluster.recorder.requests
            if here and (request := here[which % len(here)]) not in left:
                left[request] = cancellation.cancel(request)
                assert not cancellation.cancel(request)

    loss.run_with_losses(cluster, requests, lost, maybe_leave)
    recorder = cluster.recorder
    disaggregation.nothing_is_left(cluster)
    assert not cluster.transfers._ending._ending
    assert recorder.inside == 0
    assert recorder.cancelled.keys() == {
        request.number for request, was_here in left.items() if was_here
    }
    kinds = [(what, number) for _, what, _, number, _ in recorder.events]
    for request in requests:
        ends = [
            request.number in recorder.cancelled,
            request.number in recorder.failed or request.number in recorder.rejected,
            not isnan(request.finish_s),
        ]
        assert sum(ends) == 1
        if request.number in recorder.cancelled:
            own = [what for what, number in kinds if number == request.number]
            assert own[-1] == "cancelled" and own.count("cancelled") == 1
