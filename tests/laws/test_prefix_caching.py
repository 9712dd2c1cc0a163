"""Prefix caching does what an engine does that looks at every block, and no block is ever lost."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.request import Request
from cluster_sim.serving.reservation import CapacitySchedulerPolicy
from cluster_sim.serving.scheduler.continuous_scheduler import ContinuousScheduler
from tests.laws.test_stretches_equal_steps import bounds_of, make_scheduler, model_of
from tests.machines import small_gpu
from tests.oracles import gpu_step_s, jobs_of, serve_token_by_token
from tests.serve import serve

SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# Texts that share their beginnings: a trunk, branches of it, and conversations in which a turn
# begins with the turn before.
prompts = st.one_of(
    st.tuples(st.just("branch"), st.integers(1, 40), st.integers(0, 2), st.integers(0, 3)),
    st.tuples(st.just("turn"), st.integers(1, 40), st.integers(0, 9), st.just(0)),
    st.tuples(st.just("again"), st.just(0), st.integers(0, 9), st.just(0)),
)
jobs = st.lists(
    st.tuples(st.floats(0.0, 0.05), prompts, st.integers(1, 40)), min_size=2, max_size=14
)
limits = st.fixed_dictionaries({
    "blocks": st.integers(6, 60),
    "block_tokens": st.integers(1, 16),
    "max_sequences": st.integers(1, 8),
    "budget": st.integers(8, 200),
    "chunked": st.booleans(),
    "window": st.sampled_from([0, 0, 5]),
    "prefix_caching": st.just(True),
    "policy": st.sampled_from(["first_chunk", *get_args(CapacitySchedulerPolicy)]),
    "stages": st.integers(1, 2),
    "answer": st.sampled_from([0, 0, 30, 300]),
    "watermark": st.sampled_from([0.0, 0.0, 0.2]),
})  # fmt: skip


def make_requests(
    texts: list[tuple[float, tuple[str, int, int, int], int]], limit: dict[str, Any]
) -> list[Request]:
    """Requests that fit the room. Turns follow on any earlier request, whether it has been answered
    or not.
    """
    now_s, requests = 0.0, list[Request]()
    for number, (gap_s, (kind, own, which, depth), output) in enumerate(texts):
        now_s += gap_s
        before = requests[which % len(requests)] if requests else None
        pieces: tuple[tuple[int, int], ...] = tuple(
            (level if level < 1 else 10 * which + level, 7 + 6 * level) for level in range(depth)
        )
        if kind != "branch" and before is not None:
            pieces = before.pieces
            if kind == "turn":
                assert before.output_piece is not None
                pieces += ((before.output_piece, before.output_tokens),)
        if own and own % 3:
            pieces += ((1000 + number, own),)
            prompt = sum(tokens for _, tokens in pieces)
        else:  # the rest has no name
            prompt = sum(tokens for _, tokens in pieces) + own
            if kind == "turn" or not prompt:
                prompt += 1
        covered = prompt == sum(tokens for _, tokens in pieces)
        requests.append(
            Request(number, now_s, prompt, output, True, pieces, 2000 + number if covered else None)
        )
        requests[-1].output_limit = limit.get("answer", 0)
        if (
            not covered
        ):  # so that turns may follow on it: its answer has a name that nobody will find
            requests[-1].output_piece = 3000 + number
    longest = make_scheduler(limit).longest
    return [request for request in requests if request.footprint <= longest]


def audited(limit: dict[str, Any]) -> ContinuousScheduler:
    """A scheduler that counts its blocks between any two steps."""

    class Audited(ContinuousScheduler):
        __slots__ = ()

        def advance(self, steps: int, now_s: float) -> list[Request]:
            finished = super().advance(steps, now_s)
            taken = self.blocks_taken()
            self._kv.forget_until(limit["blocks"] - taken)
            assert taken + sum(self._kv.count_queue()) == limit["blocks"]
            assert self._kv._prefix is not None
            for piece in self._kv._prefix._pieces.values():
                assert piece.cached - piece.held == sum(run.blocks for run in piece.free) >= 0
                assert len(piece.copying) < max(sum(piece.users.values()), 1)
            return finished

    scheduler = make_scheduler(limit)
    scheduler.__class__ = Audited
    return scheduler


@pytest.mark.slow
@SETTINGS
@given(jobs, limits)
def test_an_engine_that_looks_at_every_block_gives_the_same_times_and_hits(
    texts: Any, limit: dict[str, Any]
) -> None:
    model, device = model_of(limit), small_gpu()
    requests = make_requests(texts, limit)
    plain = jobs_of(requests)
    serve_token_by_token(plain, bounds_of(limit), gpu_step_s(model, device, 1, 2.0, 2.0, 0.5, 1e9))
    for stepping in (False, True):
        again = make_requests(texts, limit)
        serve(
            again,
            GpuSteps(model, device),
            lambda: audited(limit),
            stepping,
        )
        for request, job in zip(again, plain, strict=True):
            assert request.prefix_hit_tokens == job.hit
            assert request.first_token_s == pytest.approx(job.first_s, rel=1e-9)
            assert request.finish_s == pytest.approx(job.finish_s, rel=1e-9)
