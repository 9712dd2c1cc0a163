"""Each attention data-parallel rank has its own slots, budget, KV cache and prefix cache."""

from __future__ import annotations

from typing import Any

import pytest

from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.spec import KVCacheSpec
from cluster_sim.serving.scheduler import Continuous, Drafting, Scheduler, SchedulerLimits
from cluster_sim.serving.speculation import Speculation
from cluster_sim.workload.random_streams import numbered

BLOCK = 10  # tokens


DRAFTING = Drafting(
    Speculation(draft_tokens=2, acceptance=0.5, draft_cost=0.1), numbered(1, "speculation")
)


def scheduler(
    ranks: int = 2,
    slots: int = 4,
    tokens: int = 1_000,
    blocks: int = 100,
    drafting: Drafting | None = None,
    **policy: Any,
) -> Scheduler:
    """Scheduler of ranks with so many slots, tokens per step and blocks each."""
    limits = SchedulerLimits(slots * ranks, tokens * ranks, 4096, data_parallel=ranks)
    spec = KVCacheSpec(
        blocks * ranks * BLOCK, BLOCK, prefix_caching=policy.pop("prefix_caching", False)
    )
    return Continuous.model_validate(policy).scheduler(limits, spec, drafting=drafting)


def send(to: Scheduler, *prompts: int, output: int = 50, **fields: Any) -> list[Request]:
    """Send requests with prompts of so many tokens, all of them now."""
    requests = [
        Request(number, 0.0, prompt, output, **fields) for number, prompt in enumerate(prompts)
    ]
    for request in requests:
        to.expect(request)
        to.enqueue(request)
    return requests


def step(of: Scheduler, at_s: float, steps: int = 1) -> list[Request]:
    """Run steps that end at a time; return the requests that they prefill."""
    chunks = [request for request, _ in of.schedule(at_s, steps).chunks]
    of.advance(of.output.steps, at_s)
    return chunks


def test_a_rank_may_be_full_while_another_has_free_slots() -> None:
    """Four requests in turns on ranks with one slot each: the second pair waits."""
    ranked = scheduler(slots=1)
    first, second, third, fourth = send(ranked, 10, 10, 10, 10, output=3)
    second.output_tokens = 30
    assert step(ranked, 1.0) == [first, second]
    assert [request.rank for request in (first, second, third, fourth)] == [0, 1, 0, 1]
    step(ranked, 2.0)
    step(ranked, 3.0)
    assert step(ranked, 4.0) == [third]  # the first has finished; the slot is not for the fourth
    assert fourth in ranked.waiting


def test_with_one_queue_the_next_request_takes_the_slot_of_any_rank() -> None:
    ranked = scheduler(slots=1, load_balance_method="active_tokens")
    first, second, third, fourth = send(ranked, 10, 20, 10, 10, output=30)
    first.output_tokens = 3
    step(ranked, 1.0)
    assert (len(ranked.waiting), ranked.queued, len(ranked.running)) == (2, 2, 2)
    step(ranked, 2.0)
    step(ranked, 3.0)
    assert step(ranked, 4.0) == [third]
    assert (third.rank, len(ranked.waiting)) == (first.rank, 1)
    assert ranked.cancel(fourth)
    assert (len(ranked.waiting), second in ranked.running) == (0, True)


def test_each_rank_has_the_budget_of_tokens_of_a_step() -> None:
    """Prompts of 60 tokens, 100 tokens per rank and step: one and a part of the next on each."""
    ranked = scheduler(tokens=100)
    send(ranked, 60, 60, 60, 60)
    output = ranked.schedule(0.0, 1)
    assert sorted(chunk for _, chunk in output.chunks) == [40, 40, 60, 60]
    assert ranked.work.prompt_tokens == sum(rank.prompt_tokens for rank in ranked.work.ranks) == 200
    assert ranked.work.rank_tokens == 100


def test_the_longest_request_fits_into_the_cache_of_one_rank() -> None:
    assert scheduler(ranks=4, blocks=20).longest == 20 * BLOCK


def test_a_rank_without_blocks_preempts_although_the_other_has_blocks() -> None:
    """Two requests of 40 tokens on a rank of 10 blocks: they grow to 10 blocks after ten steps each
    has five blocks, and to 11 in the next."""
    ranked = scheduler(blocks=10)
    first, other, second = send(ranked, 40, 10, 40, output=50)
    for at in range(14):
        step(ranked, float(at))
    assert second.preemptions == 1
    assert first.preemptions == other.preemptions == 0


def test_a_prefix_is_found_on_its_own_rank_alone() -> None:
    """Two ranks get one prompt in turns: the first on each rank misses, the next hits."""
    ranked = scheduler(prefix_caching=True)
    for number in range(4):
        (request,) = send(ranked, 100, output=1, pieces=((7, 100),))
        step(ranked, float(number))
        assert request.rank == number % 2
        assert (request.prefix_hit_tokens > 0) is (number >= 2)


def test_counts_are_sums_over_ranks() -> None:
    ranked = scheduler(ranks=3)
    send(ranked, 10, 20, 30, 40)
    assert ranked.pending_prompt_tokens == 100
    assert ranked.pending_tokens == 100 + 4 * 50
    step(ranked, 0.0)
    step(ranked, 1.0)
    assert ranked.work.batch == 4
    assert ranked.work.context == 10 + 20 + 30 + 40 + 4
    assert ranked.pending_tokens == 4 * 50 - 2 * 4
    assert ranked.pending_prompt_tokens == 0


@pytest.mark.parametrize("method", ["round_robin", "active_tokens"])
def test_all_requests_come_back_when_the_replica_is_lost(method: str) -> None:
    ranked = scheduler(slots=1, load_balance_method=method)
    requests = send(ranked, 10, 10, 10, 10, 10)
    step(ranked, 0.0)
    assert set(ranked.drain(1.0)) == set(requests)


@pytest.mark.parametrize(("drafting", "decoding"), [(None, 1), (DRAFTING, 0)])
def test_with_drafts_no_rank_decodes_while_another_prefills(
    drafting: Drafting | None, decoding: int
) -> None:
    """The first request decodes on its rank when the second is prefilled on the other."""
    ranked = scheduler(prefill_first={}, drafting=drafting)
    send(ranked, 10)
    step(ranked, 0.0)
    step(ranked, 1.0)
    send(ranked, 20)
    assert step(ranked, 2.0)
    assert (ranked.work.prompt_tokens, ranked.work.batch) == (20, decoding)
