"""Clients between traffic and router: timeouts, retries, hedges, and users who leave."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from simpy import Event, Timeout

from cluster_sim.request import ClientRequest, Request
from cluster_sim.results.recorder import Recorder
from cluster_sim.sim.client_tries import ClientRules, PendingRequest
from cluster_sim.sim.clock import CountingEnvironment
from cluster_sim.sim.replica_events import ClientEvents, ReplicaEvents, RouterEvents
from cluster_sim.workload.clients import ClientDraws


class Server(NamedTuple):
    """Cluster as its clients see it."""

    send: Callable[[Request], None]
    """Function that sends an attempt to the router."""
    cancel: Callable[[Request], object]
    """Function that tells the cluster that the client of an attempt is gone."""
    answer_s: Sequence[float]
    """Latency of an answer [s] by number of the replica; the last element is for -1, no replica."""


class ClientLayer(ReplicaEvents, RouterEvents):
    """Clients, which send attempts of their requests to the router until one is answered.

    Timeouts are measured at the client: the latency of the network from the replica counts. A
    disconnection reaches the cluster at once. Every attempt ends in one outcome, and every request
    in one status.
    """

    def __init__(
        self,
        env: CountingEnvironment,
        server: Server,
        rules: Sequence[ClientRules],
        draws: ClientDraws,
        recorder: Recorder,
    ) -> None:
        self._env, self._server, self._recorder = env, server, recorder
        self._rules, self._draws = rules, draws
        self._of_attempt: dict[int, PendingRequest] = {}
        """Requests by number of their attempts at the cluster that have not been given up."""
        self._listeners: list[ClientEvents] = []

    def subscribe(self, listener: ClientEvents) -> None:
        """Report how requests of clients end to `listener` from now on."""
        self._listeners.append(listener)

    def send(self, request: Request) -> None:
        """Make the first attempt of a request of a client."""
        record = ClientRequest(request.number, request)
        self._recorder.originals.append(record)
        rules = self._rules[request.class_number]
        tokens_seen = self._draws.tokens_seen(rules.clients, request.number, request.output_tokens)
        rules.budget.begin(self._env.now)
        self._try(PendingRequest(record, rules, tokens_seen))

    # What the cluster does

    def first_token(self, request: Request) -> None:
        """Let the first token win: the other copy of a hedged request is cancelled."""
        if (pending := self._of_attempt.get(request.number)) is None:
            return
        source = request.replica if request.prefill_replica < 0 else request.prefill_replica
        pending.first_s = min(pending.first_s, self._env.now + self._server.answer_s[source])
        self._cancel_others(pending, request)

    def finished(self, request: Request) -> None:
        """End the request of an answered attempt, unless the answer reaches the client too late."""
        request.pieces = ()  # large for a long context, and not needed any more
        if (pending := self._of_attempt.pop(request.number, None)) is None:
            return
        arrives_s = self._env.now + self._server.answer_s[request.replica]
        pending.first_s = min(pending.first_s, arrives_s)
        if arrives_s > pending.gives_up_s:
            return  # it stays alive until the client gives up
        pending.live.remove(request)
        self._cancel_others(pending, request)
        if pending.tokens_seen is None:
            self._attempt_ended(pending, request, "finished")
            self._close(pending, "finished", request, max(arrives_s, pending.first_s))
        else:
            self._give_up(pending, request, "cancelled")
            self._recorder.events.append(
                (
                    self._env.now,
                    "cancelled",
                    request.replica,
                    request.number,
                    float(request.output_tokens),
                )
            )
            self._close(pending, "cancelled", request, max(arrives_s, pending.first_s))

    def refused(self, request: Request) -> None:
        """Retry a request whose attempt was rejected or has failed, or end it."""
        request.pieces = ()
        if (pending := self._of_attempt.pop(request.number, None)) is None:
            return
        pending.live.remove(request)
        outcome = "rejected" if request.number in self._recorder.rejected else "failed"
        self._attempt_ended(pending, request, outcome)
        if not pending.live:  # else the other copy goes on
            self._retry_or_end(pending, outcome)

    # What clients do

    def _try(self, pending: PendingRequest, kind: str = "") -> None:
        """Send an attempt, and wait for its deadlines."""
        rules, now_s = pending.rules, self._env.now
        pending.begin_try(
            now_s, self._draws.times(rules.clients, pending.record.number, pending.retries)
        )
        self._attempt(pending, kind)
        if pending.live:
            self._set_timer(pending)

    def _attempt(self, pending: PendingRequest, kind: str = "", avoid: int = -1) -> None:
        attempt = pending.new_attempt(len(self._recorder.requests), self._env.now)
        attempt.avoid = avoid
        self._of_attempt[attempt.number] = pending
        if kind:
            self._recorder.events.append(
                (attempt.arrival_s, kind, -1, attempt.number, float(attempt.attempt))
            )
        self._server.send(attempt)

    def _set_timer(self, pending: PendingRequest) -> None:
        if (next_s := pending.next_s) < float("inf"):
            pending.timer = self._env.event_at(next_s, pending)
            pending.timer.callbacks.append(self._due)

    def _due(self, event: Event) -> None:
        """Give a try up, or hedge it, at its deadline."""
        pending: PendingRequest = event.value  # type: ignore[assignment]  # SimPy says Any or None
        pending.timer, now_s = None, self._env.now
        if now_s >= pending.gives_up_s:
            for attempt in [*pending.live]:
                pending.live.remove(attempt)
                self._give_up(pending, attempt, "timed_out")
            self._retry_or_end(pending, "timed_out")
            return
        if pending.may_hedge and now_s >= pending.hedge_s:
            self._hedge(pending)
        if pending.live:
            self._set_timer(pending)

    def _hedge(self, pending: PendingRequest) -> None:
        """Send a copy to another replica, if the budget allows it and the request is at one."""
        pending.hedges += 1
        (attempt,) = pending.live
        entry = attempt.replica if attempt.prefill_replica < 0 else attempt.prefill_replica
        if entry >= 0 and self._take(pending):
            self._attempt(pending, "hedged", entry)

    def _cancel_others(self, pending: PendingRequest, winner: Request) -> None:
        for attempt in [attempt for attempt in pending.live if attempt is not winner]:
            pending.live.remove(attempt)
            self._give_up(pending, attempt, "cancelled")

    def _give_up(self, pending: PendingRequest, attempt: Request, outcome: str) -> None:
        """End an attempt for the client, and at the cluster if it aborts such attempts."""
        recorder, now_s = self._recorder, self._env.now
        recorder.given_up[attempt.number] = outcome
        if outcome == "timed_out":
            waited_s = now_s - attempt.arrival_s
            recorder.events.append((now_s, outcome, attempt.replica, attempt.number, waited_s))
        self._attempt_ended(pending, attempt, outcome)
        is_there = self._of_attempt.pop(attempt.number, None) is not None
        if is_there and pending.rules.clients.server_aborts:
            self._server.cancel(attempt)

    def _attempt_ended(self, pending: PendingRequest, attempt: Request, outcome: str) -> None:
        pending.rules.budget.attempt_ended(outcome, is_extra=attempt.attempt > 0)

    def _retry_or_end(self, pending: PendingRequest, outcome: str) -> None:
        """Retry a request after a pause if its client and the budget allow it; else end it."""
        self._stop_timer(pending)
        clients = pending.rules.clients
        may_retry = outcome in clients.retry_on and pending.retries < clients.retries
        if may_retry and self._take(pending):
            pause_s = self._draws.backoff_s(clients, pending.record.number, pending.retries)
            Timeout(self._env, pause_s, pending).callbacks.append(self._retry)
        else:
            self._close(pending, outcome, None, self._env.now)

    def _take(self, pending: PendingRequest) -> bool:
        """Take an attempt out of the retry budget; return whether the budget allows it."""
        is_allowed = pending.rules.budget.take(self._env.now)
        pending.record.denied += not is_allowed
        return is_allowed

    def _retry(self, event: Event) -> None:
        pending: PendingRequest = event.value  # type: ignore[assignment]  # SimPy says Any or None
        pending.retries += 1
        self._try(pending, "retried_by_client")

    def _close(
        self, pending: PendingRequest, status: str, answered: Request | None, end_s: float
    ) -> None:
        """End a request of a client, and report its end."""
        self._stop_timer(pending)
        pending.rules.budget.end()
        record, first = pending.record, pending.record.first
        record.status, record.end_s = status, end_s
        record.winner = answered if status == "finished" else None
        first.replica = -1 if answered is None else answered.replica
        for listener in self._listeners:
            if status == "finished":
                listener.finished(first)
            elif status == "cancelled":
                listener.left(first)
            else:
                listener.refused(first)

    def _stop_timer(self, pending: PendingRequest) -> None:
        if pending.timer is not None:
            self._env.release(pending.timer)
            pending.timer = None
