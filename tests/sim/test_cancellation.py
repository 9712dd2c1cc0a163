"""Requests whose clients leave, in each state that a request may be in."""

from __future__ import annotations

from math import isnan

import pytest
from simpy import Environment

from cluster_sim.deployment.deployment import FrontEndCosts
from cluster_sim.request import Request
from cluster_sim.results.recorder import Recorder
from cluster_sim.serving.routing import LeastRequests
from cluster_sim.serving.scheduler import Scheduler
from cluster_sim.serving.scheduler.queue_orders import QUEUE_ORDERS, QueueOrder
from cluster_sim.sim.cancellation import Cancellation
from cluster_sim.sim.front_end import FrontEnd
from cluster_sim.sim.replica import Replica
from cluster_sim.sim.router import Router, RouterOptions
from cluster_sim.sim.timetable import timetable
from cluster_sim.workload.random_streams import stream
from tests.laws.test_disaggregation import nothing_is_left
from tests.laws.test_loss import REACHED, Probe
from tests.serve import serve
from tests.serving.test_scheduler import TIMES, continuous, decode_s, prefill_s, static


def lose(
    requests: list[Request], scheduler: Scheduler, leaving: int, at_s: float, latency_s: float = 0.0
) -> Recorder:
    return serve(
        requests,
        TIMES,
        lambda: scheduler,
        stepping=False,
        latency_s=latency_s,
        cancel_s={requests[leaving]: at_s},
    )


def test_a_decoding_request_leaves_when_the_step_in_progress_has_ended() -> None:
    """Two decode; one leaves in the fifth step, and the other goes on alone from the sixth on."""
    requests = [Request(0, 0.0, 10, 20), Request(1, 0.0, 10, 20)]
    begun_s = prefill_s(2, 10)
    recorder = lose(requests, continuous(), 1, begun_s + decode_s(2, 10, 5) - 1e-6)
    alone_s = decode_s(1, 15, 14)
    assert requests[0].finish_s == pytest.approx(begun_s + decode_s(2, 10, 5) + alone_s, rel=1e-12)
    assert isnan(requests[1].finish_s)
    ((at_s, what, replica, number, tokens),) = recorder.events
    assert (what, replica, number, tokens) == ("cancelled", 0, 1, 6.0)
    assert at_s == recorder.cancelled[1] == pytest.approx(begun_s + decode_s(2, 10, 5), rel=1e-12)


def test_tokens_of_the_step_in_which_the_client_leaves_come_too_late() -> None:
    """It leaves in the last step of its answer, or in its prefill: the engine made the tokens, and
    nobody reads them."""
    for output, at_s, first in ((1, 1e-6, False), (5, prefill_s(1, 10) + 1e-6, True)):
        request = Request(0, 0.0, 10, output)
        at_s += decode_s(1, 10, 3) if first else 0.0
        recorder = lose([request], continuous(), 0, at_s)
        assert isnan(request.finish_s)
        assert isnan(request.first_token_s) is not first
        assert [row[1] for row in recorder.events] == ["cancelled"]
        assert request.generated == output


def test_a_waiting_request_leaves_at_once_and_the_next_one_takes_its_turn() -> None:
    """One slot; the second request leaves the queue while the first decodes."""
    requests = [Request(number, 0.0, 10, 5) for number in range(3)]
    recorder = lose(requests, continuous(max_sequences=1), 1, 1e-6)
    assert recorder.cancelled == {1: 1e-6}
    assert requests[2].admitted_s == requests[0].finish_s


def test_a_request_on_its_way_is_dropped_on_arrival() -> None:
    """It is not counted as load from the moment on at which its client leaves."""
    request = Request(0, 0.0, 10, 5)
    scheduler = continuous()
    recorder = lose([request], scheduler, 0, 1e-3, latency_s=1.0)
    assert recorder.cancelled == {0: 1e-3}
    assert isnan(request.admitted_s)
    assert scheduler.pending_tokens == 0


def test_a_cancelled_request_keeps_its_place_in_a_static_batch() -> None:
    """Three of 30 tokens; the one with the longest answer leaves in the first decode step. The batch
    computes three sequences until the last of the others has finished, and ends with it.
    """
    requests = [Request(0, 0.0, 10, 2), Request(1, 0.0, 30, 50), Request(2, 0.0, 20, 4)]
    requests.append(Request(3, 0.0, 10, 1))
    begun_s = prefill_s(3, 30)
    recorder = lose(requests, static(10_000, 3), 1, begun_s + 1e-6)
    assert requests[2].finish_s == pytest.approx(begun_s + decode_s(3, 30, 3), rel=1e-12)
    assert requests[3].admitted_s == requests[2].finish_s
    assert recorder.events[0][1:] == ("cancelled", 0, 1, 2.0)


def test_a_static_batch_ends_when_its_last_client_has_left() -> None:
    requests = [Request(0, 0.0, 10, 50), Request(1, 1e-9, 10, 1)]
    lose(requests, static(10_000, 3), 0, prefill_s(1, 10) + 1e-6)
    assert requests[1].admitted_s == pytest.approx(prefill_s(1, 10) + decode_s(1, 10, 1))


@pytest.mark.parametrize("order", QUEUE_ORDERS)
def test_a_queue_without_some_of_its_requests_keeps_its_order(order: QueueOrder) -> None:
    queue = QUEUE_ORDERS[order]()
    requests = [Request(number, float(number), 10 * (number + 1), 5) for number in range(8)]
    for request in requests:
        queue.append(request)
    for number in (0, 5, 7, 1):
        assert queue.discard(requests[number])
        assert not queue.discard(requests[number])
    assert len(queue) == 4 and set(queue) == {requests[number] for number in (2, 3, 4, 6)}
    assert queue.first is requests[2]
    assert [queue.pop_first() for _ in range(4)] == [requests[number] for number in (2, 3, 4, 6)]
    assert not queue
    assert queue.victim({requests[3]: None, requests[4]: None}) is requests[4]


def test_a_request_that_the_router_holds_leaves_at_once() -> None:
    env, recorder = Environment(), Recorder()
    replica = Replica(env, 0, continuous(), lambda _: TIMES, recorder)
    router = Router(
        env,
        LeastRequests().picker(stream(0, "routing")),
        [replica],
        [FrontEnd(env, replica, FrontEndCosts(), 0.0)],
        recorder,
        RouterOptions(holds=True),
    )
    replica.subscribe(router)
    replica.close()
    requests = [Request(0, 0.0, 10, 5), Request(1, 0.0, 10, 5)]
    env.process(timetable(env, iter(requests), router.route))
    env.run()
    assert list(router.held) == requests
    assert Cancellation(env, router, [replica], None, recorder).cancel(requests[0])
    replica.reopen()
    env.run()
    assert recorder.cancelled == {0: 0.0}
    assert isnan(requests[0].finish_s) and not isnan(requests[1].finish_s)


@pytest.mark.parametrize(
    ("transfer", "state"),
    [(transfer, state) for transfer, states in REACHED.items() for state in states],
)
def test_a_request_leaves_each_state_as_the_table_of_kv_transfers_says(
    transfer: str, state: str
) -> None:
    probe = Probe(transfer, survivors=False)
    cluster, request = probe.cluster, probe.request
    (reader,), (decoder,) = cluster.readers, cluster.decoders
    cancellation = Cancellation(
        cluster.env, cluster.router, cluster.everyone, cluster.transfers, cluster.recorder
    )
    cluster.env.process(timetable(cluster.env, iter([request]), cluster.router.route))
    probe.run_until(state)
    is_stepping = reader.is_running or decoder.is_running
    step_end_s = cluster.env.peek()
    moves = probe.record is not None and probe.record.transfer is not None
    left_s = cluster.env.now
    assert cancellation.cancel(request)
    if moves:
        assert decoder.requests == 1  # remote writes are in progress
    elif not is_stepping:
        nothing_is_left(cluster)
    cluster.env.run()
    nothing_is_left(cluster)
    assert isnan(request.finish_s)
    at_s = cluster.recorder.cancelled[0]
    if is_stepping:
        assert at_s >= step_end_s or at_s > left_s
    else:
        assert at_s == left_s
    assert cluster.recorder.left == 1
    assert [row[1] for row in cluster.recorder.events].count("cancelled") == 1
    assert cluster.recorder.events[-1][1] == "cancelled"
    if transfer == "whole" and moves:  # 40 tokens of 256 B at 1 MB/s
        (row,) = cluster.recorder.transfers
        assert row.ended_s - row.began_s == pytest.approx(40 * 256 / 1e6)


@pytest.mark.parametrize("which", ["source", "target"])
@pytest.mark.parametrize("state", ["transferring", "arriving"])
def test_a_cancelled_request_stays_so_where_its_transfer_ends_with_a_replica(
    state: str, which: str
) -> None:
    probe = Probe("whole", survivors=True)
    cluster, request = probe.cluster, probe.request
    cancellation = Cancellation(
        cluster.env, cluster.router, cluster.everyone, cluster.transfers, cluster.recorder
    )
    cluster.env.process(timetable(cluster.env, iter([request]), cluster.router.route))
    probe.run_until(state)
    ends = {"source": probe.record.source, "target": probe.record.target}
    assert cancellation.cancel(request)
    ends[which].fail()
    cluster.env.run()
    nothing_is_left(cluster)
    assert [row[1] for row in cluster.recorder.events] == ["cancelled"]
    assert cluster.recorder.left == 1
