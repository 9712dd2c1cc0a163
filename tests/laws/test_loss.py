"""Laws of the loss of replicas: whatever is lost, whenever, and whatever comes back.

The states of a request, and what happens in each when where it is prefilled, where it decodes or
both are lost, are in the docstring of cluster_sim.sim.kv_transfers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from math import inf, isnan
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cluster_sim.request import Request
from cluster_sim.serving.scheduler import PrefillScheduler
from cluster_sim.sim.prefilled_request import PrefilledRequest
from cluster_sim.sim.timetable import timetable
from tests.laws import test_disaggregation as disaggregation
from tests.laws import test_stretches_equal_steps as steps_laws
from tests.laws.test_disaggregation import Cluster

losses = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 4)), min_size=1, max_size=8)
"""Number of events since the change before, and which replica is lost; it comes back if it is lost
already."""


def under_way(cluster: Cluster) -> list[PrefilledRequest]:
    """Requests between two replicas, and cancelled ones whose KV is still being sent."""
    transfers = cluster.transfers
    return [*transfers._prefilled.values(), *transfers._ending._ending]


class Outage(NamedTuple):
    """Time in which a replica is lost."""

    number: int
    since_s: float
    until_s: float = inf


def promises_are_of_transfers_under_way(cluster: Cluster) -> None:
    """KV cache and batch slots are promised to those whose KV is coming, and to nobody else."""
    for decoder in cluster.decoders:
        scheduler = decoder._scheduler
        coming = [prefilled for prefilled in under_way(cluster) if prefilled.target is decoder]
        assert scheduler._in_transfer == len(coming) + len(scheduler._landed)
        if decoder.down:
            assert not coming


def kept_kv_is_of_requests_that_wait_to_be_sent(cluster: Cluster) -> None:
    for reader in cluster.readers:
        whole = {
            prefilled.request.number
            for prefilled in under_way(cluster)
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
                for prefilled in under_way(cluster)
                if prefilled.target is replica
            ]
            tokens += [request.prompt_tokens + request.generated for request in scheduler._landed]
        # Groups that share pages are counted by hand in tests/serving/test_cache_groups.py.
        blocks = sum(
            kv.blocks_for(length) if kv.token_share else -(-length // kv.block_tokens)
            for length in tokens
        )
        assert taken == blocks + kv.partial_blocks <= kv.capacity


def nothing_is_being_moved_from_or_to_what_is_lost(cluster: Cluster) -> None:
    fabric = cluster.transfers._fabric
    for channel in fabric._channels:
        if any(home.tenant.down for home in fabric._ends(channel)):
            assert not (channel.is_sharing or channel.opened or channel.marks or channel.supplied)


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
    lost: list[tuple[int, int]],
    after_event: Callable[[], None] = lambda: None,
) -> list[Outage]:
    """Let all requests come and replicas be lost and come back, with the laws after every event.

    Returns the times in which replicas were lost. `after_event` may do more.
    """
    env, outages, fails = cluster.env, list[Outage](), cluster.recorder.fails

    def fail_only_if_nobody_is_left(request: Request, now_s: float, reason: str) -> None:
        assert not somebody_could_serve(cluster, request)
        assert reason in ("all_down", "too_long")
        fails(request, now_s, reason)

    cluster.recorder.fails = fail_only_if_nobody_is_left  # type: ignore[method-assign]
    env.process(timetable(env, iter(requests), cluster.router.route))
    events, last_s = 0, 0.0
    to_lose = list(lost)
    after = to_lose[0][0] if to_lose else -1
    while env.peek() < float("inf"):
        env.step()
        while to_lose and events >= after:
            replica = cluster.everyone[to_lose.pop(0)[1] % len(cluster.everyone)]
            after += to_lose[0][0] if to_lose else 0
            if replica.down:
                place = max(n for n, row in enumerate(outages) if row.number == replica.number)
                outages[place] = outages[place]._replace(until_s=env.now)
                replica.come_back()
            else:
                outages.append(Outage(replica.number, env.now))
                replica.fail()
        assert env.now >= last_s
        after_event()
        last_s, events = env.now, events + 1
        assert events < 200_000, "the run does not end"
        promises_are_of_transfers_under_way(cluster)
        kept_kv_is_of_requests_that_wait_to_be_sent(cluster)
        blocks_are_those_of_the_requests(cluster)
        nothing_is_being_moved_from_or_to_what_is_lost(cluster)
    return outages


def in_order(times_s: list[float]) -> bool:
    """Whether each time is no earlier than the one before, but for a rounding of the clock."""
    return all(later_s >= time_s - 1e-12 for time_s, later_s in itertools.pairwise(times_s))


def every_request_ends_once(cluster: Cluster, requests: list[Request]) -> None:
    recorder = cluster.recorder
    finished = {request.number for request in requests if not isnan(request.finish_s)}
    failed, rejected = set(recorder.failed), set(recorder.rejected)
    assert recorder.inside == 0
    assert len(finished) + len(failed) + len(rejected) == len(requests)
    assert finished | failed | rejected == {request.number for request in requests}
    for request in requests:
        if request.number in finished:
            times_s = [request.arrival_s, request.admitted_s, request.first_token_s]
            moved_s = [request.read_s, request.sending_s, request.landed_s]
            if not isnan(request.landed_s):
                assert in_order([*moved_s, request.finish_s])
            assert in_order([*times_s, request.finish_s])


def nothing_moves_from_or_to_what_is_lost(cluster: Cluster, outages: list[Outage]) -> None:
    for row in cluster.recorder.transfers:
        for outage in outages:
            if outage.number in (row.from_replica, row.to_replica):
                assert row.ended_s <= outage.since_s or row.began_s >= outage.until_s


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
    outages = run_with_losses(cluster, requests, drawn["lost"])
    every_request_ends_once(cluster, requests)
    nothing_moves_from_or_to_what_is_lost(cluster, outages)
    disaggregation.nothing_is_left(cluster)
    return requests


FEATURE: dict[str, Any] = {
    "static": False,
    "drafts": 0,
    "acceptance": 0.0,
    "prefix_caching": False,
    "order": "fcfs",
    "batch_wait_timeout_iterations": 0,
    "batch_wait_max_tokens_ratio": 0.1,
    "watermark": 0.0,
    "swap_blocks": 0,
    "offload": (),
}
"""Nothing is switched on."""


@pytest.mark.slow
@settings(parent=steps_laws.SETTINGS, max_examples=250, derandomize=True, database=None)
@example(  # a preempted request waits for what was promised to one whose source is lost
    gaps=[(0.0, 1, 1), (0.0, 77, 13), (0.0, 5, 3), (0.0, 44, 2)],
    limit={
        "blocks": 13,
        "block_tokens": 11,
        "max_sequences": 3,
        "budget": 89,
        "chunked": False,
        "window": 0,
    },
    feature=FEATURE,
    link={
        "bytes_per_s": 1e6,
        "latency_s": 1e-5,
        "transfer": "layers",
        "policy": "round_robin",
        "prefill_blocks": 11,
        "decoders": 1,
        "readers": 1,
    },
    lost=[(32, 1)],
)
@given(steps_laws.jobs, steps_laws.limits, steps_laws.features, disaggregation.links, losses)
def test_whatever_is_lost_every_request_ends_and_nothing_stays_taken(
    gaps: list[tuple[float, int, int]],
    limit: dict[str, Any],
    feature: dict[str, Any],
    link: dict[str, Any],
    lost: list[tuple[int, int]],
) -> None:
    lost_runs(link, False, gaps=gaps, limit=limit, feature=feature, lost=lost)


LIMIT: dict[str, Any] = {
    "blocks": 40,
    "block_tokens": 4,
    "max_sequences": 4,
    "budget": 16,
    "chunked": True,
    "window": 0,
}
PROMPT, OUTPUT = 40, 12  # three chunks of prefill, then eleven tokens to decode


class Probe:
    """One request on its way through a cluster, and what state it is in."""

    def __init__(self, transfer: str, survivors: bool) -> None:
        replicas = 2 if survivors else 1
        link = {
            "bytes_per_s": 1e6,  # ten milliseconds for its KV
            "latency_s": 3e-3,
            "transfer": transfer,
            "policy": "least_requests",
            "prefill_blocks": 40,
            "decoders": replicas,
            "readers": replicas,
        }
        self.cluster = disaggregation.make_cluster(LIMIT, FEATURE, link, stepping=True)
        self.request = Request(0, 0.0, PROMPT, OUTPUT)

    @property
    def record(self) -> Any:
        return self.cluster.transfers._prefilled.get(0)

    @property
    def state(self) -> str:
        """The name of its state in the table of cluster_sim.sim.kv_transfers."""
        request, record = self.request, self.record
        if not isnan(request.finish_s):
            return "finished"
        if any(request in decoder._scheduler.running for decoder in self.cluster.decoders):
            return "decoding"
        if any(request in decoder._scheduler._landed for decoder in self.cluster.decoders):
            return "landed"
        if record is not None and record.is_whole:
            if record.target is None:
                return "waiting to be sent"
            ended = [row for row in self.cluster.recorder.transfers if row.request == 0]
            return "arriving" if len(ended) > record.attempt else "transferring"
        if any(request in reader._scheduler.running for reader in self.cluster.readers):
            moving = record is not None and record.transfer is not None
            return "prefilling and sending" if moving else "prefilling"
        return "queued" if self.cluster.readers[0].requests else "not here"

    def run_until(self, state: str) -> None:
        """Let time pass until the request is in a state."""
        while self.state != state:
            self.cluster.env.step()


REACHED = {
    "whole": ["queued", "prefilling", "transferring", "arriving", "landed", "decoding"],
    "layers": [
        "queued",
        "prefilling and sending",
        "transferring",
        "arriving",
        "landed",
        "decoding",
    ],
    "off": ["queued", "prefilling", "transferring", "landed", "decoding"],
}
TRANSITIONS = [
    (transfer, state, lost)
    for transfer, states in REACHED.items()
    for state in states
    for lost in ("source", "target", "both")
]


def lose(probe: Probe, which: str) -> list[Any]:
    """Let the replica fail at which the request is prefilled, decodes, or both; return those."""
    record, request = probe.record, probe.request
    source = record.source if record is not None else None
    target = record.target if record is not None else None
    if source is None:
        at = max(request.prefill_replica, request.replica if target is None else -1)
        for reader in probe.cluster.readers:
            if reader.number in (at, request.replica):
                source = reader
    if target is None:
        for decoder in probe.cluster.decoders:
            if decoder.number == request.replica:
                target = decoder
    chosen = {"source": [source], "target": [target], "both": [source, target]}[which]
    lost = [replica for replica in chosen if replica is not None]
    for replica in lost:
        replica.fail()
    return lost


@pytest.mark.parametrize(("transfer", "state", "which"), TRANSITIONS)
@pytest.mark.parametrize("survivors", [True, False], ids=["survivors", "nobody-left"])
def test_what_is_lost_in_each_state_is_as_the_table_says(
    transfer: str, state: str, which: str, survivors: bool
) -> None:
    probe = Probe(transfer, survivors)
    cluster, request = probe.cluster, probe.request
    cluster.env.process(timetable(cluster.env, iter([request]), cluster.router.route))
    probe.run_until(state)
    made = max(request.generated, 0)
    lost = lose(probe, which)
    promises_are_of_transfers_under_way(cluster)
    kept_kv_is_of_requests_that_wait_to_be_sent(cluster)
    blocks_are_those_of_the_requests(cluster)
    cluster.env.run()
    nothing_is_being_moved_from_or_to_what_is_lost(cluster)

    at_source = state in (
        "queued",
        "prefilling",
        "prefilling and sending",
        "transferring",
        "arriving",
    )
    anew = (at_source and which != "target") or (not at_source and which != "source")
    retries = [row for row in cluster.recorder.events if row[1] == "retried"]
    handed_over = [row for row in cluster.recorder.events if row[1] == "handed_over"]
    disaggregation.nothing_is_left(cluster)
    has_decoded_there = not at_source and which == "source"
    if survivors or not lost or has_decoded_there:
        assert not isnan(request.finish_s) and not cluster.recorder.failed
        assert len(retries) == int(anew)
        # its KV arrives once, and once more where it had arrived before it was lost
        assert len(handed_over) == 1 + int(not at_source and anew)
    else:
        assert isnan(request.finish_s)
        assert cluster.recorder.failed == {0: "all_down"}
    assert request.generated >= made
