"""Steps that prefill instead of decode, with the rules of SGLang: answers from mental arithmetic."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.spec import KVCacheSpec
from cluster_sim.serving.prefill_first import PrefillFirst
from cluster_sim.serving.profiles import profiles
from cluster_sim.serving.scheduler import Continuous, Scheduler, SchedulerLimits
from cluster_sim.serving.scheduler.promised_tokens import NewTokenRatio, PromisedTokens


def make_scheduler(capacity: int = 1000, budget: int = 100, **rules: Any) -> Scheduler:
    """A scheduler with blocks of one token, as SGLang has."""
    limits = SchedulerLimits(max_sequences=8, max_batched_tokens=budget, max_context=4096)
    policy = Continuous.model_validate({"prefill_first": rules})
    return policy.scheduler(limits, KVCacheSpec(capacity, 1))


def step(scheduler: Scheduler, now_s: float) -> tuple[int, int]:
    """Run one step of a second from `now_s` on: (decoding sequences, prompt tokens) in it."""
    scheduler.schedule(now_s, 1)
    counts = scheduler.work.batch, scheduler.work.prompt_tokens
    scheduler.advance(1, now_s + 1.0)
    return counts


def add(scheduler: Scheduler, number: int, prompt: int, output: int) -> Request:
    request = Request(number, 0.0, prompt, output)
    scheduler.expect(request)
    scheduler.enqueue(request)
    return request


def test_a_step_with_a_prompt_gives_no_token_to_those_who_decode() -> None:
    scheduler = make_scheduler()
    first = add(scheduler, 0, 10, 5)
    assert [step(scheduler, 0.0), step(scheduler, 1.0)] == [(0, 10), (1, 0)]
    left = scheduler.pending_tokens
    add(scheduler, 1, 20, 5)
    assert step(scheduler, 2.0) == (0, 20)
    assert scheduler.pending_tokens == left + 25 - 21  # the prompt and its first token
    assert [step(scheduler, 3.0 + n) for n in range(3)] == [(2, 0)] * 3
    assert first.finish_s == 6.0  # a second later than alone


def test_decoding_sequences_join_mixed_chunks() -> None:
    scheduler = make_scheduler(mixed_chunks=True)
    add(scheduler, 0, 10, 5)
    step(scheduler, 0.0)
    add(scheduler, 1, 200, 5)
    # one of the 100 tokens of a step is the decoding sequence's
    assert [step(scheduler, 1.0 + n) for n in range(3)] == [(1, 99), (1, 99), (1, 2)]


def test_a_long_prompt_comes_in_chunks_before_anything_else() -> None:
    scheduler = make_scheduler()
    add(scheduler, 0, 10, 5)
    step(scheduler, 0.0)
    add(scheduler, 1, 250, 5)
    add(scheduler, 2, 30, 5)
    assert [step(scheduler, 1.0 + n) for n in range(4)] == [(0, 100), (0, 100), (0, 80), (3, 0)]


def test_a_second_prompt_that_reaches_max_prefill_tokens_waits() -> None:
    scheduler = make_scheduler(budget=1000, max_prefill_tokens=50)
    for number, prompt in enumerate((60, 20, 30, 10)):
        add(scheduler, number, prompt, 5)
    # 60 is above the limit, but the first; 20 + 30 reaches it, 30 + 10 does not
    assert [step(scheduler, float(n)) for n in range(4)] == [(0, 60), (0, 20), (0, 40), (4, 0)]


@pytest.mark.parametrize(
    ("answer", "ignore_eos", "is_admitted"), [(34, False, True), (35, False, False), (5, True, True), (21, True, False)]
)  # fmt: skip
def test_running_answers_are_reserved_in_part_and_new_ones_whole(
    answer: int, ignore_eos: bool, is_admitted: bool
) -> None:
    # 90 of 100 tokens are free, and 49 are left of the first answer: 0.7 of them are 34.3, which
    # leaves 55.7 for a prompt of 20, its answer and one more; with all of them it leaves 41
    scheduler = make_scheduler(capacity=100, ignore_eos=ignore_eos)
    add(scheduler, 0, 10, 50)
    step(scheduler, 0.0)
    add(scheduler, 1, 20, answer)
    assert step(scheduler, 1.0) == ((0, 20) if is_admitted else (1, 0))


def test_who_does_not_fit_is_tried_again_when_the_batch_has_shrunk() -> None:
    scheduler = make_scheduler(capacity=100)
    add(scheduler, 0, 10, 50)
    add(scheduler, 1, 10, 3)
    step(scheduler, 0.0)
    add(scheduler, 2, 40, 30)
    output = scheduler.schedule(1.0, 1000)
    assert (scheduler.work.batch, output.steps) == (2, 2)  # until the second request ends
    assert not scheduler.enqueue(Request(3, 0.0, 1, 1))
    assert len(scheduler.advance(2, 3.0)) == 1
    # 88 - 47 · 0.7 · … leaves less than 40 + 30 + 1, so the batch is full again
    assert scheduler.schedule(3.0, 1000).steps == 47


def test_the_one_with_the_fewest_outputs_is_retracted_to_the_end_of_the_queue() -> None:
    # 22 tokens are stored when all decode, and three more per step fit in 60 for 12 steps; then the
    # first request has 14 of its tokens, the others have 13
    scheduler = make_scheduler(capacity=60, conservativeness=0.01)
    requests = [add(scheduler, 0, 10, 40)]
    assert [step(scheduler, 0.0), step(scheduler, 1.0)] == [(0, 10), (1, 0)]
    requests += [add(scheduler, 1, 5, 15), add(scheduler, 2, 6, 15)]
    assert [step(scheduler, 2.0 + n) for n in range(14)] == [(0, 11), *[(3, 0)] * 12, (2, 0)]
    assert [request.preemptions for request in requests] == [0, 0, 1]  # the longer prompt
    assert list(scheduler.waiting) == [requests[2]]  # type: ignore[call-overload]
    assert requests[2].generated == 13


def test_the_ratio_falls_from_seven_tenths_to_a_seventh_of_it_in_600_steps() -> None:
    ratio = NewTokenRatio()
    assert ratio.value == pytest.approx(0.7)
    ratio.decay(300)
    assert ratio.value == pytest.approx(0.399)
    ratio.decay(300)
    assert ratio.value == pytest.approx(0.098)
    ratio.decay(10**6)
    assert ratio.value == pytest.approx(0.098)
    ratio.retracted(decoded=60, answers=199, sequences=2)
    assert ratio.value == pytest.approx(0.5)  # (60 + 20 · 2) / 200
    ratio.decay(1)
    assert ratio.value == pytest.approx(0.5 - 0.602 / 600)
    ratio.reset()
    assert ratio.value == pytest.approx(0.7)


def test_promised_tokens_are_a_sum_over_all_requests() -> None:
    random = Random(1)
    promised, inside, clock = PromisedTokens(limit=20), list[Request](), 0
    for number in range(500):
        request = Request(number, 0.0, 1, random.randint(1, 60))
        request.rate, request.ticket = 1, number + 1
        request.finish_clock = clock + request.output_tokens
        promised.join(request, clock)
        inside.append(request)
        clock += random.randint(0, 9)
        promised.advance(clock)
        gone = [each for each in inside if each.finish_clock <= clock or random.random() < 0.1]
        for each in gone:
            inside.remove(each)
            promised.leave(each, clock)
        lefts = [each.finish_clock - clock for each in inside]
        assert promised.left(clock) == sum(lefts)
        assert promised.clipped(clock) == sum(min(left, 20) for left in lefts)
        assert promised.answers == sum(each.output_tokens for each in inside)


def test_polls_after_every_third_decode_step_let_a_request_wait() -> None:
    """The poll after the first prefill is empty; the next one follows three decode steps."""
    scheduler = make_scheduler(receive_interval=3)
    add(scheduler, 0, 10, 9)
    assert step(scheduler, 0.0) == (0, 10)
    assert step(scheduler, 1.0) == (1, 0)
    add(scheduler, 1, 20, 9)
    assert scheduler.queued == 1
    assert [step(scheduler, 2.0 + n) for n in range(3)] == [(1, 0), (1, 0), (0, 20)]
    # after a step with prefill there is a poll at once
    add(scheduler, 2, 30, 9)
    assert step(scheduler, 5.0) == (0, 30)


def test_an_idle_engine_polls_at_once() -> None:
    scheduler = make_scheduler(receive_interval=30)
    add(scheduler, 0, 10, 2)
    assert [step(scheduler, 0.0), step(scheduler, 1.0)] == [(0, 10), (1, 0)]
    add(scheduler, 1, 20, 2)
    assert step(scheduler, 2.0) == (0, 20)


def caching(policy: str, budget: int = 60) -> Scheduler:
    """A scheduler with a prefix cache."""
    limits = SchedulerLimits(max_sequences=256, max_batched_tokens=budget, max_context=4096)
    batching = Continuous.model_validate({"prefill_first": {"schedule_policy": policy}})
    return batching.scheduler(limits, KVCacheSpec(100_000, 1, prefix_caching=True))


def add_text(scheduler: Scheduler, number: int, *pieces: tuple[int, int]) -> Request:
    request = Request(number, 0.0, sum(tokens for _, tokens in pieces), 50, pieces=pieces)
    scheduler.expect(request)
    scheduler.enqueue(request)
    return request


def admitted(scheduler: Scheduler, now_s: float) -> list[int]:
    """Run one step; the requests that are admitted in it."""
    scheduler.schedule(now_s, 1)
    numbers = [request.number for request, _ in scheduler.output.chunks]
    scheduler.advance(1, now_s + 1.0)
    return numbers


@pytest.mark.parametrize(
    ("policy", "expected"), [("fcfs", [[1, 2], [2, 3]]), ("lpm", [[3, 2], [2, 1]])]
)
def test_the_longest_cached_prefix_goes_first_with_lpm(
    policy: str, expected: list[list[int]]
) -> None:
    """Cached: 40 tokens of request 3, 35 of request 2. Steps have 60 tokens, so 50 + 10 of 30."""
    scheduler = caching(policy)
    add_text(scheduler, 0, (7, 35), (8, 5))
    assert admitted(scheduler, 0.0) == [0]
    add_text(scheduler, 1, (1, 50))
    add_text(scheduler, 2, (7, 35), (2, 30))
    add_text(scheduler, 3, (7, 35), (8, 5), (3, 50))
    assert [admitted(scheduler, 1.0), admitted(scheduler, 2.0)] == expected


@pytest.mark.parametrize(
    ("shared", "policy", "expected"),
    [(32, "fcfs", [0, 1, 2]), (32, "lpm", [0, 2, 1]), (31, "lpm", [0, 1, 2])],
)
def test_a_prompt_that_begins_as_one_before_it_comes_last_with_lpm(
    shared: int, policy: str, expected: list[int]
) -> None:
    scheduler = caching(policy, budget=1000)
    for number in range(2):
        add_text(scheduler, number, (7, shared), (10 + number, 10))
    add_text(scheduler, 2, (12, 20))
    assert admitted(scheduler, 0.0) == expected


def test_above_128_waiting_requests_lpm_keeps_their_order() -> None:
    for others, expected in ((127, 999), (128, 0)):
        scheduler = caching("lpm", budget=40)
        add_text(scheduler, 500, (7, 40))
        admitted(scheduler, 0.0)
        for number in range(others):
            add_text(scheduler, number, (1000 + number, 40))
        add_text(scheduler, 999, (7, 40), (8, 40))
        assert admitted(scheduler, 1.0)[0] == expected


def test_prompts_of_one_step_do_not_find_each_other() -> None:
    """The tree gets a prompt when its step has ended; vLLM's steps find it at once."""
    scheduler = caching("fcfs", budget=200)
    for number in range(2):
        add_text(scheduler, number, (7, 40), (10 + number, 10))
    assert admitted(scheduler, 0.0) == [0, 1]
    late = add_text(scheduler, 2, (7, 40), (12, 10))
    assert step(scheduler, 1.0) == (0, 10)
    assert late.prefix_hit_tokens == 40
    assert scheduler.running  # all three decode


@pytest.mark.parametrize(("ranks", "count"), [(1, 1), (2, 2), (4, 4)])
def test_every_rank_has_the_limit_of_prompts_per_step(ranks: int, count: int) -> None:
    """A further prompt of 10 tokens waits once 10 or fewer are left of the 20 of its rank."""
    limits = SchedulerLimits(16, 1_000, 4096, data_parallel=ranks)
    batching = Continuous(prefill_first=PrefillFirst(max_prefill_tokens=20))
    scheduler = batching.scheduler(limits, KVCacheSpec(10_000, 10))
    for number in range(12):
        scheduler.expect(each := Request(number, 0.0, 10, 5))
        scheduler.enqueue(each)
    assert len(scheduler.schedule(0.0, 1).chunks) == count


def test_ranks_reserve_less_of_the_remaining_answers() -> None:
    """The lowest share is 0.7 x 0.14, and 0.3 of it with attention data parallelism."""
    batching = Continuous(prefill_first=PrefillFirst())
    profile = profiles()["sglang-0.5"]
    assert batching.reserved_answers(profile, "both", 1) == pytest.approx(0.098)
    assert batching.reserved_answers(profile, "both", 8) == pytest.approx(0.0294)
