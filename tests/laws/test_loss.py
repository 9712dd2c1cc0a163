"""Laws of the loss of replicas: whatever is lost, and whenever.

The states of a request, and what happens in each when where it is prefilled, where it decodes or
both are lost, are in the docstring of cluster_sim.sim.kv_transfers.
"""

from __future__ import annotations

from math import isnan
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from simpy import Timeout

from cluster_sim.request import Request
from cluster_sim.serving.scheduler import PrefillScheduler
from cluster_sim.sim.timetable import timetable
from tests.laws import test_disaggregation as disaggregation
from tests.laws import test_stretches_equal_steps as steps_laws
from tests.laws.test_disaggregation import Cluster

losses = st.lists(
    st.tuples(st.sampled_from([0.0, 1e-4, 2e-3, 0.01, 0.05, 0.3]), st.integers(0, 4)), max_size=5
)
"""Time since the loss before [s], and which replica is lost."""


def promises_are_of_transfers_under_way(cluster: Cluster) -> None:
    """KV cache and batch slots are promised to those whose KV is coming, and to nobody else."""
    for decoder in cluster.decoders:
        scheduler = decoder._scheduler
        coming = [
            prefilled
            for prefilled in cluster.transfers._prefilled.values()
            if prefilled.target is decoder
        ]
        assert scheduler._promised == len(coming) + len(scheduler._landed)
        if decoder.down:
            assert not coming


def kept_kv_is_of_requests_that_wait_to_be_sent(cluster: Cluster) -> None:
    for reader in cluster.readers:
        whole = {
            prefilled.request.number
            for prefilled in cluster.transfers._prefilled.values()
            if prefilled.source is reader and prefilled.is_whole
        }
        kept = {request.number for request in reader._scheduler._kept}
        offered = {request.number for request in reader._scheduler._prefilled_requests}
        assert kept - offered == whole
        if reader.down:
            assert not kept


def blocks_are_those_of_the_requests(cluster: Cluster) -> None:
    """Counted by hand: blocks of requests that decode, and of those whose KV is coming or kept."""
    for replica in cluster.everyone:
        scheduler = replica._scheduler
        kv, taken = scheduler._kv, scheduler.blocks_taken()
        if replica.down:
            assert taken == 0
        if kv.caches_prefixes or kv._decoding.step_tokens > 1:
            continue  # shared blocks count once, and with drafts what is taken is a mean
        prefilling = {request for request, _ in scheduler.output.chunks} | {scheduler._partial}
        tokens = [
            request.offset + scheduler._decoding.now
            for request in scheduler.running
            if request not in prefilling
        ]
        if isinstance(scheduler, PrefillScheduler):
            tokens += scheduler._kept.values()
        else:
            tokens += [
                prefilled.total_tokens + 1
                for prefilled in cluster.transfers._prefilled.values()
                if prefilled.target is replica
            ]
            tokens += [request.prompt_tokens + request.generated for request in scheduler._landed]
        blocks = sum(-(-length // kv.block_tokens) for length in tokens)
        assert taken == blocks + kv.partial_blocks <= kv.capacity


def somebody_could_serve(cluster: Cluster, request: Request) -> bool:
    """By hand: a prefill replica and a decode replica that are up and large enough."""
    last = request.generated + 1 >= request.output_tokens
    decodes = last or any(
        not decoder.down and request.footprint <= decoder._scheduler.longest
        for decoder in cluster.decoders
    )
    tokens = request.prompt_tokens + request.generated
    return decodes and any(
        not reader.down and tokens <= reader._scheduler.longest for reader in cluster.readers
    )


def run_with_losses(
    cluster: Cluster,
    requests: list[Request],
    lost: list[tuple[float, int]],
) -> dict[int, float]:
    """Let all requests come and replicas be lost, looking at the laws after every event.

    Returns the times at which replicas were lost.
    """
    env, down_s, fails = cluster.env, dict[int, float](), cluster.recorder.fails

    def lose() -> Any:
        for gap_s, place in lost:
            yield Timeout(env, gap_s)
            replica = cluster.everyone[place % len(cluster.everyone)]
            if not replica.down:
                down_s[replica.number] = env.now
                replica.fail()

    def fail_only_if_nobody_is_left(request: Request, now_s: float, reason: str) -> None:
        assert not somebody_could_serve(cluster, request)
        assert reason in ("all_down", "too_long")
        fails(request, now_s, reason)

    cluster.recorder.fails = fail_only_if_nobody_is_left  # type: ignore[method-assign]
    env.process(lose())
    env.process(timetable(env, iter(requests), cluster.router.route))
    events, last_s = 0, 0.0
    while env.peek() < float("inf"):
        env.step()
        assert env.now >= last_s
        last_s, events = env.now, events + 1
        assert events < 200_000, "the run does not end"
        promises_are_of_transfers_under_way(cluster)
        kept_kv_is_of_requests_that_wait_to_be_sent(cluster)
        blocks_are_those_of_the_requests(cluster)
    return down_s


def every_request_ends_once(cluster: Cluster, requests: list[Request]) -> None:
    recorder = cluster.recorder
    finished = {request.number for request in requests if not isnan(request.finish_s)}
    failed, rejected = set(recorder.failed), set(recorder.rejected)
    assert recorder.inside == 0
    assert len(finished) + len(failed) + len(rejected) == len(requests)
    assert finished | failed | rejected == {request.number for request in requests}
    for request in requests:
        if request.number in finished:
            assert request.generated == request.output_tokens or request.replica >= 0
            times_s = [request.arrival_s, request.admitted_s, request.first_token_s]
            moved_s = [request.read_s, request.sending_s, request.landed_s]
            if not isnan(request.landed_s):
                assert sorted(moved_s) == moved_s and moved_s[-1] <= request.finish_s
            assert sorted([*times_s, request.finish_s]) == [*times_s, request.finish_s]


def nothing_moves_from_or_to_what_is_lost(cluster: Cluster, down_s: dict[int, float]) -> None:
    for row in cluster.recorder.transfers:
        for number in (row.from_replica, row.to_replica):
            assert row.ended_s <= down_s.get(number, float("inf"))


def lost_runs(link: dict[str, Any], stepping: bool, **drawn: Any) -> list[Request]:
    limit, feature = drawn["limit"], drawn["feature"]
    cluster = disaggregation.make_cluster(limit, feature, link, stepping=stepping)
    longest = min(replica.longest for replica in cluster.everyone)
    requests = [
        request
        for request in steps_laws.make_requests_with(
            drawn["gaps"], disaggregation.decode_scheduler(limit, feature)
        )
        if request.footprint <= longest
    ]
    down_s = run_with_losses(cluster, requests, drawn["lost"])
    every_request_ends_once(cluster, requests)
    nothing_moves_from_or_to_what_is_lost(cluster, down_s)
    disaggregation.nothing_is_left(cluster)
    return requests


@settings(parent=steps_laws.SETTINGS, max_examples=150)
@given(steps_laws.jobs, steps_laws.limits, steps_laws.features, disaggregation.links, losses)
def test_whatever_is_lost_every_request_ends_and_nothing_stays_taken(
    gaps: list[tuple[float, int, int]],
    limit: dict[str, Any],
    feature: dict[str, Any],
    link: dict[str, Any],
    lost: list[tuple[float, int]],
) -> None:
    lost_runs(link, False, gaps=gaps, limit=limit, feature=feature, lost=lost)
