"""State of a client's request: its attempts, and the times at which the client acts."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

from simpy import Event

from cluster_sim.request import ClientRequest, Request
from cluster_sim.workload.clients import BudgetState, Clients, TryTimes


class ClientRules(NamedTuple):
    """Description of the clients of a class, and their retry budget."""

    clients: Clients
    budget: BudgetState


@dataclass(slots=True, eq=False)
class PendingRequest:
    """Request of a client that has not ended.

    A *try* is one attempt, or two if it is hedged. Deadlines are those of the try: they count from
    the sending of its first attempt.
    """

    record: ClientRequest
    """Row of the request."""
    rules: ClientRules
    """Description of the client, and its retry budget."""
    tokens_seen: int | None
    """Number of tokens after which the user leaves; None if the user stays."""
    retries: int = 0
    """Number of earlier tries."""
    live: list[Request] = field(default_factory=list)
    """Attempts of the try that have not ended for the client."""
    timer: Event | None = None
    """Event at the next deadline; None if there is none."""
    hedges: int = 0
    """Number of hedges of the try."""
    first_s: float = inf
    """Time at which the first token of the try reaches the client [s]."""
    hedge_s: float = inf
    """Time at which the try is hedged if there is no first token [s]."""
    ttft_s: float = inf
    """Time until which the client waits for the first token [s]."""
    e2el_s: float = inf
    """Time until which the client waits for the whole answer [s]."""

    def begin_try(self, now_s: float, times: TryTimes) -> None:
        """Set the deadlines of a new try."""
        hedge_s = self.rules.clients.hedge_after_s
        self.hedges, self.first_s = 0, inf
        self.hedge_s = inf if hedge_s is None else now_s + hedge_s
        self.ttft_s = inf if times.ttft_s is None else now_s + times.ttft_s
        self.e2el_s = inf if times.e2el_s is None else now_s + times.e2el_s

    @property
    def gives_up_s(self) -> float:
        """Time at which the client gives the try up, if nothing more arrives [s]."""
        return self.e2el_s if self.first_s <= self.ttft_s else min(self.ttft_s, self.e2el_s)

    @property
    def may_hedge(self) -> bool:
        """Whether the try will be hedged, if nothing more arrives."""
        return not self.hedges and self.first_s > self.hedge_s

    @property
    def next_s(self) -> float:
        """Time at which the client acts, if nothing more arrives [s]."""
        return min(self.hedge_s, self.gives_up_s) if self.may_hedge else self.gives_up_s

    def new_attempt(self, number: int, now_s: float) -> Request:
        """Return one more attempt, whose answer ends where the user leaves."""
        first, record = self.record.first, self.record
        attempt = Request(
            number,
            now_s,
            first.prompt_tokens,
            first.output_tokens if self.tokens_seen is None else self.tokens_seen,
            first.counted,
            first.pieces,
            first.output_piece,
            first.priority,
            first.class_number,
            first.output_limit,
            first.turn,
        )
        if self.tokens_seen is not None:  # the engine expects the whole answer
            attempt.output_limit = first.longest_answer
        attempt.original, attempt.attempt = record.number, record.attempts
        record.last, record.attempts = attempt, record.attempts + 1
        self.live.append(attempt)
        return attempt
