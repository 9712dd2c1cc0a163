"""New requests wait until every attention data-parallel rank has one, on cases that a pencil settles."""

from __future__ import annotations

from typing import Any

import pytest

from cluster_sim.physics.limited_view import causal_pairs
from cluster_sim.physics.step_work import StepWork
from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.spec import KVCacheSpec
from cluster_sim.serving.scheduler import Continuous, Scheduler, SchedulerLimits
from cluster_sim.serving.scheduler.speculative import Drafting
from cluster_sim.serving.speculation import Speculation
from cluster_sim.workload.random_streams import numbered
from tests.serving.test_scheduler import TIMES, run

PROMPT = 10  # tokens


def of_ranks(*ranks: StepWork) -> float:
    """Length of a step of ranks with this work [s]."""
    names = ("batch", "growth", "context", "prompt_tokens", "sampled", "pairs")
    sums = {name: sum(getattr(rank, name) for rank in ranks) for name in names}
    return TIMES.ramp(StepWork(**sums, ranks=ranks)).first_s


def prefill_s() -> float:
    """Length of the step in which two ranks prefill a prompt each [s]."""
    pairs = causal_pairs(PROMPT, 0)
    return of_ranks(*[StepWork(prompt_tokens=PROMPT, sampled=1, pairs=pairs)] * 2)


def decode_s(steps: int) -> float:
    """Length of the first decode steps of two ranks with a sequence each [s]."""
    return sum(
        of_ranks(*[StepWork(batch=1, growth=1, context=PROMPT + step, sampled=1)] * 2)
        for step in range(1, steps + 1)
    )


def balanced(ranks: int = 2, drafts: int = 0, **policy: Any) -> Scheduler:
    limits = SchedulerLimits(20, 2_000, 4096, data_parallel=ranks)
    drafting = None
    if drafts:  # all drafts are rejected
        drafting = Drafting(
            Speculation(draft_tokens=drafts, acceptance=0.0, draft_cost=0.1),
            numbered(1, "speculation"),
        )
    batching = Continuous.model_validate(policy)
    return batching.scheduler(limits, KVCacheSpec(10_000, 10), drafting=drafting)


def admitted_s(others: list[Request], **policy: Any) -> float:
    """Return when a request is admitted that comes in the first decode step of two others.

    It would be admitted after one step without a rule.
    """
    late = Request(9, prefill_s() + 1e-5, 10, 5)
    first = [Request(number, 0.0, 10, 60) for number in range(2)]
    run([*first, late, *others], balanced(**policy))
    return late.admitted_s - prefill_s()


@pytest.mark.parametrize("timeout", [5, 20])
def test_a_lone_request_waits_for_the_last_of_so_many_steps(timeout: int) -> None:
    """Its prefill is in the timeout-th step after that of the others."""
    waited_s = admitted_s([], attention_dp_timeout_iterations=timeout)
    assert waited_s == pytest.approx(decode_s(timeout - 1), rel=1e-12)


def test_the_count_of_steps_runs_on_while_nobody_waits() -> None:
    """With eight steps, prompts start in the 8th, 16th and 24th step; one that comes in the tenth
    waits for the 16th.
    """
    late = Request(9, prefill_s() + decode_s(9) + 1e-5, 10, 5)
    run(
        [*(Request(number, 0.0, 10, 60) for number in range(2)), late],
        balanced(attention_dp_timeout_iterations=8),
    )
    assert late.admitted_s == pytest.approx(prefill_s() + decode_s(15), rel=1e-12)


def test_requests_start_together_once_every_rank_has_one() -> None:
    others = [Request(10, prefill_s() + 2e-5, 10, 5)]
    waited_s = admitted_s(others, attention_dp_timeout_iterations=50)
    assert waited_s == pytest.approx(decode_s(1), rel=1e-12)
    assert {other.admitted_s - prefill_s() for other in others} == {waited_s}


def test_they_wait_for_further_steps_if_asked_to() -> None:
    others = [Request(10, prefill_s() + 2e-5, 10, 5)]
    policy = {"attention_dp_timeout_iterations": 50, "attention_dp_batching_wait_iterations": 4}
    assert admitted_s(others, **policy) == pytest.approx(decode_s(5), rel=1e-12)


@pytest.mark.parametrize("ranks", [1, 3])
def test_nobody_waits_with_one_rank_or_while_a_rank_decodes_nothing(ranks: int) -> None:
    assert admitted_s([], ranks=ranks, attention_dp_timeout_iterations=50) == admitted_s(
        [], ranks=ranks
    )


@pytest.mark.parametrize(("ranks", "is_held"), [(2, True), (3, False), (8, False)])
def test_drafts_are_no_further_ranks_that_decode(ranks: int, *, is_held: bool) -> None:
    """Two requests decode on two ranks, though a step has 2 (1 + 3) = 8 tokens."""
    plain_s, balanced_s = (
        admitted_s([], ranks=ranks, drafts=3, attention_dp_timeout_iterations=timeout)
        for timeout in (0, 50)
    )
    assert (balanced_s > plain_s) is is_held
