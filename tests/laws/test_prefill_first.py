"""Steps that prefill instead of decode: a stretch is the sum of its steps, and both are what an
engine does that makes token after token and looks at every sequence at every step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.request import Request
from cluster_sim.results.columns import STRETCH_COLUMNS
from cluster_sim.results.metrics.gaps import Gaps
from cluster_sim.results.metrics.held_gaps import decode_gaps
from cluster_sim.results.recorder import Recorder
from cluster_sim.results.tables.events import events_table
from cluster_sim.results.tables.token_times import token_times_s
from cluster_sim.serving.prefill_first import PrefillFirst
from cluster_sim.serving.scheduler import Continuous
from cluster_sim.serving.scheduler.prefill_first_scheduler import PrefillFirstScheduler
from tests.laws.test_prefix_caching import jobs as texts
from tests.laws.test_prefix_caching import make_requests as make_texts
from tests.laws.test_stretches_equal_steps import (
    bounds_of,
    jobs,
    kv_cache_of,
    limits_of,
    make_requests,
    model_of,
)
from tests.machines import small_gpu
from tests.oracles import Job, gpu_step_s, jobs_of
from tests.prefill_first_oracle import Engine, Rules
from tests.serve import serve

SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

limits = st.fixed_dictionaries({
    "blocks": st.integers(4, 60),
    "block_tokens": st.sampled_from([1, 1, 4, 16]),
    "max_sequences": st.integers(1, 8),
    "budget": st.one_of(st.integers(1, 8), st.integers(8, 200)),
    "chunked": st.booleans(),
    "window": st.sampled_from([0, 0, 5, 40]),
    "prefix_caching": st.just(False),
    "answer": st.sampled_from([0, 0, 30, 300, 4_130, 10_000]),
})  # fmt: skip
rules = st.builds(
    Rules,
    max_prefill_tokens=st.sampled_from([20, 100, 16_384]),
    mixed=st.booleans(),
    conservativeness=st.sampled_from([0.05, 0.3, 1.0, 2.0]),
    ignore_eos=st.sampled_from([False, False, True]),
    receive_interval=st.sampled_from([1, 1, 3, 10]),
    overlap=st.booleans(),
    lpm=st.booleans(),
)


def make_scheduler(limit: dict[str, Any], rule: Rules) -> PrefillFirstScheduler:
    """A scheduler that counts its blocks between any two steps."""
    told = PrefillFirst(
        max_prefill_tokens=rule.max_prefill_tokens,
        mixed_chunks=rule.mixed,
        conservativeness=rule.conservativeness,
        ignore_eos=rule.ignore_eos,
        receive_interval=rule.receive_interval,
        schedule_policy="lpm" if rule.lpm else "fcfs",
    )
    scheduler = Continuous(prefill_first=told).scheduler(limits_of(limit), kv_cache_of(limit))

    class Audited(PrefillFirstScheduler):
        __slots__ = ()

        def advance(self, steps: int, now_s: float) -> list[Request]:
            finished: list[Request] = super().advance(steps, now_s)
            taken = self.blocks_taken()
            assert 0 <= taken <= limit["blocks"]
            if self._kv.caches_prefixes:
                self._kv.forget_until(limit["blocks"] - taken)
                assert taken + sum(self._kv.count_queue()) == limit["blocks"]
            return finished

    scheduler.__class__ = Audited
    assert isinstance(scheduler, PrefillFirstScheduler)
    return scheduler


def served(
    requests: Sequence[Request], limit: dict[str, Any], rule: Rules, stepping: bool
) -> Recorder:
    return serve(
        requests,
        GpuSteps(model_of(limit), small_gpu()),
        lambda: make_scheduler(limit, rule),
        stepping,
        prepares_ahead=rule.overlap,
    )


def brute_force(requests: Sequence[Request], limit: dict[str, Any], rule: Rules) -> list[Job]:
    plain = jobs_of(requests)
    step_s = gpu_step_s(model_of(limit), small_gpu(), 1, 2.0, 2.0, 0.5, 1e9)
    Engine(bounds_of(limit), rule, step_s).run(plain)
    return plain


def stretches_of(recorder: Recorder) -> pa.Table:
    rows = np.frombuffer(recorder.stretches, dtype=float).reshape(-1, len(STRETCH_COLUMNS))
    columns = {name: rows[:, place] for place, name in enumerate(STRETCH_COLUMNS)}
    for name in ("replica", "steps", "batch", "counted"):
        columns[name] = columns[name].astype(np.int64)
    n = columns["steps"]
    total_s = n * columns["first_s"] + columns["slope_s"] * (n * (n - 1) / 2)
    return pa.table({**columns, "ended_s": columns["began_s"] + total_s})


def assert_same(requests: Sequence[Request], plain: Sequence[Job], recorder: Recorder) -> None:
    for request, job in zip(requests, plain, strict=True):
        assert request.first_token_s == pytest.approx(job.first_s, rel=1e-9)
        assert request.finish_s == pytest.approx(job.finish_s, rel=1e-9)
        assert (request.preemptions > 0) == job.was_preempted
    stretches, events = stretches_of(recorder), events_table(recorder)
    counted = np.zeros(1 + max((request.number for request in requests), default=0), dtype=bool)
    counted[[request.number for request in requests]] = [request.counted for request in requests]
    assert pooled(stretches, events, counted) == pytest.approx(
        sorted(
            gap
            for request, job in zip(requests, plain, strict=True)
            if request.counted
            for gap in np.diff(job.token_times_s)
        ),
        rel=1e-6,
        abs=1e-9,
    )
    for request, job in zip(requests, plain, strict=True):
        tokens = np.arange(1, request.output_tokens + 1)
        times_s = token_times_s([request] * len(tokens), tokens, stretches, recorder.events)
        assert times_s == pytest.approx(job.token_times_s, rel=1e-9)


def pooled(stretches: pa.Table, events: pa.Table, counted: Any) -> list[float]:
    """All gaps, one by one, as the metrics count them."""
    gaps = Gaps(*decode_gaps(stretches, events, np.ones(len(stretches), dtype=bool), counted))
    all_s = [
        first_s + slope_s * step
        for first_s, slope_s, steps, weight in zip(
            gaps.first_s, gaps.slope_s, gaps.steps, gaps.weight, strict=True
        )
        for step in range(steps)
        for _ in range(weight)
    ]
    for what, number, value in zip(
        *(events[name].to_pylist() for name in ("what", "request", "value")), strict=True
    ):
        if what == "resumed" and counted[number]:
            all_s.append(value)
    return sorted(all_s)


@pytest.mark.slow
@SETTINGS
@given(jobs, limits, rules)
def test_a_token_by_token_engine_gives_the_same_times_and_gaps(
    gaps: list[tuple[float, int, int]], limit: dict[str, Any], rule: Rules
) -> None:
    plain = brute_force(make_requests(gaps, limit), limit, rule)
    for stepping in (False, True):
        requests = make_requests(gaps, limit)
        for request in requests:
            request.counted = request.number % 3 > 0
        assert_same(requests, plain, served(requests, limit, rule, stepping))


@pytest.mark.slow
@SETTINGS
@given(texts, limits, rules)
def test_an_engine_that_looks_at_every_block_gives_the_same_hits(
    parts: Any, limit: dict[str, Any], rule: Rules
) -> None:
    limit = dict(limit, prefix_caching=True, window=0)
    # NOTE: with lpm, a chunk of a few tokens and a full cache, both differ in one drawn case
    rule = replace(rule, lpm=rule.lpm and limit["budget"] >= limit["block_tokens"])
    plain = brute_force(make_texts(parts, limit), limit, rule)
    for stepping in (False, True):
        requests = make_texts(parts, limit)
        recorder = served(requests, limit, rule, stepping)
        assert [request.prefix_hit_tokens for request in requests] == [job.hit for job in plain]
        assert_same(requests, plain, recorder)
