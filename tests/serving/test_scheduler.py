"""Batching policies, on cases that a pencil settles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import cluster_sim
from cluster_sim.deployment.fleet import resolve
from cluster_sim.errors import ScenarioError
from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.physics.limited_view import causal_pairs
from cluster_sim.physics.step_work import StepWork
from cluster_sim.request import Request
from cluster_sim.serving.kv_cache.spec import KVCacheSpec
from cluster_sim.serving.scheduler import Continuous, Scheduler, SchedulerLimits, Static
from cluster_sim.serving.scheduler.queue_orders import QUEUE_ORDERS
from tests.machines import SMALL_GPU, TINY_MODEL, engine, node, small_gpu, tiny_model
from tests.serve import serve

TIMES = GpuSteps(tiny_model(), small_gpu())


def run(requests: list[Request], scheduler: Scheduler) -> list[Request]:
    serve(requests, TIMES, lambda: scheduler, stepping=False)
    return requests


def static(kv_tokens: int, max_sequences: int) -> Scheduler:
    limits = SchedulerLimits(max_sequences, 1 << 40, 4096, chunked_prefill=False)
    return Static().scheduler(limits, KVCacheSpec(kv_tokens, 10))


def continuous(
    blocks: int = 1_000,
    max_sequences: int = 8,
    watermark: float = 0.0,
    swap_blocks: int = 0,
    swap_block_s: float = 0.0,
    **policy: Any,
) -> Scheduler:
    kv_cache = KVCacheSpec(
        blocks * 10, 10, watermark, swap_blocks=swap_blocks, swap_block_s=swap_block_s
    )
    limits = SchedulerLimits(max_sequences, 200, 4096)
    return Continuous.model_validate(policy).scheduler(limits, kv_cache)


def prefill_s(batch: int, prompt: int) -> float:
    return TIMES.ramp(
        StepWork(prompt_tokens=batch * prompt, sampled=batch, pairs=batch * causal_pairs(prompt, 0))
    ).first_s


def decode_s(batch: int, length: int, steps: int) -> float:
    return sum(
        TIMES.ramp(StepWork(batch=batch, growth=batch, context=batch * (length + step))).first_s
        for step in range(1, steps + 1)
    )


def test_a_static_batch_is_padded_and_runs_until_its_last_request_has_finished() -> None:
    """Prompts of 10, 30 and 20 tokens: three of 30. Answers of 2, 5 and 3 tokens: four steps of
    three sequences.
    """
    first, second, third = run(
        [Request(0, 0.0, 10, 2), Request(1, 0.0, 30, 5), Request(2, 0.0, 20, 3)],
        static(10_000, 3),
    )
    begun_s = prefill_s(3, 30)
    assert [request.first_token_s for request in (first, second, third)] == pytest.approx(
        [begun_s] * 3
    )
    assert first.finish_s == pytest.approx(begun_s + decode_s(3, 30, 1), rel=1e-12)
    assert third.finish_s == pytest.approx(begun_s + decode_s(3, 30, 2), rel=1e-12)
    assert second.finish_s == pytest.approx(begun_s + decode_s(3, 30, 4), rel=1e-12)


def test_the_next_static_batch_begins_when_the_one_before_has_ended() -> None:
    requests = run(
        [Request(0, 0.0, 10, 2), Request(1, 0.0, 30, 5), Request(2, 0.0, 20, 3)],
        static(10_000, 2),
    )
    assert requests[2].admitted_s == requests[1].finish_s > requests[0].finish_s


def test_a_static_batch_takes_no_more_than_have_room_as_long_as_the_longest() -> None:
    """Ten blocks of ten: two requests of 10 + 30 tokens and 30 + 10 are both padded to 30 + 30 - 1,
    six blocks each.
    """
    requests = run([Request(0, 0.0, 10, 30), Request(1, 0.0, 30, 10)], static(100, 8))
    assert requests[1].admitted_s == requests[0].finish_s
    requests = run([Request(0, 0.0, 10, 30), Request(1, 0.0, 10, 30)], static(100, 8))
    assert requests[1].admitted_s == requests[0].admitted_s


def test_the_most_urgent_of_those_that_wait_is_admitted_first() -> None:
    requests = [Request(number, 0.0, 10, 5) for number in range(4)]
    for request, priority in zip(requests, (3, 3, -1, 0), strict=True):
        request.priority = priority
    run(requests, continuous(max_sequences=1, order="priority"))
    assert sorted(range(4), key=lambda number: requests[number].admitted_s) == [2, 3, 0, 1]


def test_the_shortest_prompt_is_admitted_first_and_so_the_mean_wait_is_least() -> None:
    """Prompts of 150, 20, 10 and 20 tokens come together and are served one by one, each with an
    answer of one token. First come, first served, they wait for 0, 150, 170 and 180 tokens; shortest
    first for 50, 10, 0 and 30: equals in order of arrival."""
    prompts = (150, 20, 10, 20)
    orders = {"fcfs": ([], [0], [0, 1], [0, 1, 2]), "shortest_first": ([2, 1, 3], [2], [], [2, 1])}
    means = {}
    for order, before in orders.items():
        requests = [Request(number, 0.0, prompt, 1) for number, prompt in enumerate(prompts)]
        run(requests, continuous(max_sequences=1, order=order))
        waits_s = [request.admitted_s for request in requests]
        assert waits_s == pytest.approx(
            [sum(prefill_s(1, prompts[number]) for number in numbers) for numbers in before]
        )
        means[order] = sum(waits_s) / len(waits_s)
    assert means["shortest_first"] < means["fcfs"]


def test_the_longest_prompt_is_preempted_first_where_the_shortest_is_admitted_first() -> None:
    """Prompts of 40 and 30 tokens, answers of 41, in ten blocks of ten."""
    requests = [Request(0, 0.0, 40, 41), Request(1, 0.0, 30, 41)]
    run(requests, continuous(blocks=10, order="shortest_first"))
    assert [request.preemptions for request in requests] == [1, 0]


def test_a_preempted_request_takes_its_place_in_the_queue_s_order_again() -> None:
    """Two of 40 + 40 tokens, and one of 50 that waits: it is longer than the preempted one, which
    arrived before it as well."""
    for order in QUEUE_ORDERS:
        requests = [Request(0, 0.0, 40, 41), Request(1, 0.0, 40, 41), Request(2, 1e-4, 50, 2)]
        run(requests, continuous(blocks=10, max_sequences=2, order=order))
        assert [request.preemptions for request in requests] == [0, 1, 0]
        assert requests[1].finish_s > requests[0].finish_s
        assert requests[2].admitted_s >= requests[0].finish_s


def test_the_least_urgent_is_preempted_whoever_came_last() -> None:
    """Two requests of 40 + 40 tokens in ten blocks of ten; the first to come is the less urgent
    one.
    """
    requests = [Request(0, 0.0, 40, 41), Request(1, 1e-4, 40, 41)]
    requests[0].priority = 1
    run(requests, continuous(blocks=10, order="priority"))
    assert [request.preemptions for request in requests] == [1, 0]
    requests = [Request(0, 0.0, 40, 41), Request(1, 1e-4, 40, 41)]
    run(requests, continuous(blocks=10))
    assert [request.preemptions for request in requests] == [0, 1]


def test_new_requests_wait_for_so_many_steps_of_those_that_decode() -> None:
    """One that comes in the first decode step is admitted after it and five more; a step would have
    had 1 + 10 of 200 tokens.
    """
    arrival_s = prefill_s(1, 10) + 1e-5
    wait = {"batch_wait_timeout_iterations": 5, "batch_wait_max_tokens_ratio": 0.5}
    requests = run([Request(0, 0.0, 10, 50), Request(1, arrival_s, 10, 5)], continuous(**wait))
    assert requests[1].admitted_s == pytest.approx(prefill_s(1, 10) + decode_s(1, 10, 6), rel=1e-12)
    requests = run([Request(0, 0.0, 10, 50), Request(1, arrival_s, 10, 5)], continuous())
    assert requests[1].admitted_s == pytest.approx(prefill_s(1, 10) + decode_s(1, 10, 1), rel=1e-12)


def test_they_wait_no_longer_than_until_there_are_enough() -> None:
    """120 tokens more than half fill a step of 200; the second arrival brings them."""
    arrival_s = prefill_s(1, 10) + 1e-5
    later_s = prefill_s(1, 10) + decode_s(1, 10, 3) + 1e-5
    wait = {"batch_wait_timeout_iterations": 30, "batch_wait_max_tokens_ratio": 0.5}
    requests = run(
        [Request(0, 0.0, 10, 50), Request(1, arrival_s, 60, 5), Request(2, later_s, 60, 5)],
        continuous(**wait),
    )
    assert (
        requests[1].admitted_s
        == requests[2].admitted_s
        == pytest.approx(prefill_s(1, 10) + decode_s(1, 10, 4), rel=1e-12)
    )


def test_nobody_is_held_back_where_nobody_decodes() -> None:
    wait = {"batch_wait_timeout_iterations": 30, "batch_wait_max_tokens_ratio": 1.0}
    assert run([Request(0, 0.5, 10, 5)], continuous(**wait))[0].admitted_s == 0.5


def test_a_watermark_keeps_blocks_free_for_those_that_are_inside() -> None:
    """Ten blocks; a first request of three and a second of five would leave two. With three kept
    free the second waits.
    """
    for watermark, waits in ((0.2, False), (0.3, True)):
        requests = run(
            [Request(0, 0.0, 21, 5), Request(1, 0.0, 50, 2)],
            continuous(blocks=10, watermark=watermark),
        )
        assert (requests[1].admitted_s > 0.0) is waits
    assert run([Request(0, 0.0, 100, 1)], continuous(blocks=10, watermark=0.9))[0].admitted_s == 0.0


def preempted_pair(**swap: Any) -> list[Request]:
    """Two requests of 40 + 40 tokens in ten blocks of ten: the second loses its room when both have
    50, after eleven tokens each.
    """
    return run([Request(0, 0.0, 40, 41), Request(1, 0.0, 40, 41)], continuous(blocks=10, **swap))


def test_a_request_on_the_host_goes_on_where_it_was_once_there_is_room() -> None:
    """Five blocks go and come: the step after the preemption and the one after the return each wait
    five times 1 ms.
    """
    first, second = preempted_pair(swap_blocks=5, swap_block_s=1e-3)
    together_s = prefill_s(2, 40) + decode_s(2, 40, 10)
    assert (first.preemptions, second.preemptions) == (0, 1)
    assert first.finish_s == pytest.approx(together_s + 5e-3 + decode_s(1, 50, 30), rel=1e-12)
    assert second.finish_s == pytest.approx(first.finish_s + 5e-3 + decode_s(1, 50, 30), rel=1e-12)


def test_where_the_host_has_no_room_the_request_is_read_again() -> None:
    full, without = preempted_pair(swap_blocks=4, swap_block_s=1e-3), preempted_pair()
    assert [request.finish_s for request in full] == [request.finish_s for request in without]
    assert without[1].finish_s == pytest.approx(
        without[0].finish_s + prefill_s(1, 51) + decode_s(1, 51, 29), rel=1e-12
    )


def test_blocks_move_over_the_link_between_each_device_and_its_host(tmp_path: Path) -> None:
    """Two devices hold 128 bytes of each token: 16 tokens a block over 1 GB/s; 1 MB of the host
    keeps 976 of them.
    """
    pool = {
        "name": "p", "node": node(SMALL_GPU, 2), "kv": {"preemption": "swap", "swap_space": "1 MB"},
        "replica": {"tensor_parallel": 2, "engine": engine()},
    }  # fmt: skip
    text = {
        "name": "swap", "model": TINY_MODEL, "cluster": {"pools": [pool]},
        "workload": {"arrivals": {"process": "at_once", "requests": 1}, "prompt_tokens": 5, "output_tokens": 5},
    }  # fmt: skip
    path = tmp_path / "swap.yaml"
    path.write_text(json.dumps(text))
    scenario = cluster_sim.load_scenario(path)
    token_bytes = (
        2 * 2 * 16 * 2
    )  # key and value of one head on each device, two layers, two bytes a number
    assert resolve(scenario).deployments[0].swap == (
        int(1e6 / (16 * token_bytes)),
        pytest.approx(16 * token_bytes / 1e9),
    )
    narrow = dict(pool["node"]["links"][0], between=["somewhere", "device"], bandwidth="0.5 GB/s")
    pool["node"]["links"] = [dict(pool["node"]["links"][0], between=["host", "somewhere"]), narrow]
    path.write_text(json.dumps(text))
    scenario = cluster_sim.load_scenario(path)
    assert resolve(scenario).deployments[0].swap[1] == pytest.approx(16 * token_bytes / 0.5e9)
    pool["node"]["links"] = [narrow]
    path.write_text(json.dumps(text))
    with pytest.raises(
        ScenarioError,
        match="test node has no path between host and device; expected swap_bandwidth",
    ):
        cluster_sim.load_scenario(path)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"kv": {"prefix_caching": True}},
            "kv.prefix_caching: static batching does not support this; expected the policy 'continuous'",
        ),
        (
            {"kv": {"watermark": 0.1}},
            "kv.watermark: static batching does not support this; expected the policy 'continuous'",
        ),
        (
            {"replica": {"speculation": {"draft_tokens": 2, "acceptance": 0.5}}},
            "replica.speculation: static batching does not support this",
        ),
    ],
)
def test_static_batching_refuses_what_it_does_not_know(
    tmp_path: Path, keys: dict[str, Any], message: str
) -> None:
    pool = {
        "name": "p",
        "node": node(SMALL_GPU),
        "batching": {"policy": "static"},
        "replica": {"engine": engine()},
    }
    pool |= {key: pool.get(key, {}) | value for key, value in keys.items()}
    text = {
        "name": "static", "model": TINY_MODEL, "cluster": {"pools": [pool]},
        "workload": {"arrivals": {"process": "at_once", "requests": 1}, "prompt_tokens": 5, "output_tokens": 5},
    }  # fmt: skip
    path = tmp_path / "static.yaml"
    path.write_text(json.dumps(text))
    with pytest.raises(ScenarioError) as fault:
        cluster_sim.load_scenario(path)
    assert message in str(fault.value)
