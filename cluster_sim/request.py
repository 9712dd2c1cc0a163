"""Request: one request on its way through the cluster."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

NEVER = float("nan")
"""Time of an event that has not happened."""


@dataclass(slots=True, eq=False)
class Request:
    """A request: its prompt and answer, and the time of each event on its way.

    Times are simulated seconds; NaN means that the event has not happened. Two requests are equal
    only if they are the same object.

    NOTE: this is one flat record instead of several, since every phase of a request writes it and
    several requests are created per simulated millisecond.
    """

    number: int
    """Position in the order of arrival."""
    arrival_s: float
    """Time of arrival [s]."""
    prompt_tokens: int
    """Number of tokens of the prompt."""
    output_tokens: int
    """Number of tokens of the answer."""
    counted: bool = True
    """Whether the request counts for the statistics. Requests of the warm-up only load the
    cluster."""
    pieces: tuple[tuple[int, int], ...] = ()
    """Pairs (identity, tokens) from the front of the prompt. An identity stands for the content
    after exactly the preceding pieces, as the hash of a block includes the hash of its parent.
    Tokens that no piece covers occur in no other prompt."""
    output_piece: int | None = None
    """Identity of the answer if pieces cover the whole prompt. A later turn begins with prompt and
    answer."""
    priority: int = 0
    """Priority of the request. Lower numbers are more urgent."""
    class_number: int = 0
    """Index among the classes of the workload."""

    output_limit: int = 0
    """Client's limit on the tokens of the answer (`max_tokens`); 0 if the limit is the answer's own
    length."""

    turn: int = 0
    """Turn of the request in its session, from 1 on; 0 if it belongs to no session."""

    # Replicas that serve the request

    replica: int = -1
    """Number of the replica that answers or decodes the request; -1 before one is chosen."""
    prefill_replica: int = -1
    """Number of the replica that prefills the request for a decode replica; -1 if there is none."""

    incarnation: int = 0
    """Number of times that the devices of its replica had been lost when the request was sent
    there."""
    rank: int = 0
    """Number of the attention data-parallel rank of `replica` that has the request; 0 without
    attention data parallelism."""
    prefill_rank: int = 0
    """Number of the attention data-parallel rank of `prefill_replica` that prefills the request."""

    # Attempts of a client

    original: int = -1
    """Number of the client's request of which this is an attempt; -1 if clients do not retry."""
    attempt: int = 0
    """Number of earlier attempts of the client's request."""
    avoid: int = -1
    """Number of the replica that has another attempt of the same request; -1 if there is none."""

    # Progress of the request

    admitted_s: float = NEVER
    """Time of the first admission to a batch [s]."""
    first_token_s: float = NEVER
    """Time of the first generated token [s]."""
    finish_s: float = NEVER
    """Time of the last generated token [s]."""
    read_s: float = NEVER
    """Time of the end of prefill for a decode replica [s]."""
    sending_s: float = NEVER
    """Time at which the decode replica reserved space for the request [s]."""
    landed_s: float = NEVER
    """Time at which the KV cache arrived at the decode replica [s]."""
    prefix_hit_tokens: int = 0
    """Number of prompt tokens that were in the KV cache, or fetched into it, at the first
    admission."""
    fetched_tokens: int = 0
    """Number of the prefix-hit tokens that were fetched from a tier."""
    preemptions: int = 0
    """Number of preemptions of the request."""
    generated: int = 0
    """Number of generated tokens, as of the last start or end of decoding."""

    # Notes of the scheduler that holds the request. Steps are those of the scheduler's clock, so
    # that a step changes nothing here: a decoding request has `offset + clock` tokens in the cache.
    # NOTE: fields that are written before they are read begin without a value, which saves 0.15 us
    # per request.

    prefilled: int = 0
    """Number of prompt tokens in the cache during prefill."""
    swapped: int = 0
    """Number of blocks that are swapped to the host."""
    offset: int = field(init=False)
    """Number of tokens in the cache at step 0 of the clock, in units of the decoding sequences."""
    rate: int = field(init=False)
    """Number of tokens that a step adds, in units of the decoding sequences."""
    finish_clock: int = field(init=False)
    """Step after which the request finishes."""
    ticket: int = field(init=False)
    """Number of the request's entry on the clock; -1 if there is no entry."""
    stalled_s: float = field(init=False)
    """Time of the last token before a gap [s]."""
    holds: list[Any] = field(init=False)
    """Use of each piece in the prefix cache."""

    @property
    def footprint(self) -> int:
        """Maximum number of tokens in the KV cache. The last token is never cached."""
        return self.prompt_tokens + self.output_tokens - 1

    @property
    def longest_answer(self) -> int:
        """Number of tokens of the longest answer that an engine must expect."""
        return max(self.output_tokens, self.output_limit)

    @property
    def known_tokens(self) -> int:
        """Number of known tokens: the prompt and the answer so far."""
        return self.prompt_tokens + self.generated

    def begin_anew(self, last_token_s: float) -> None:
        """Forget the state of the KV cache, and keep the tokens of the answer.

        last_token_s: time of the last generated token [s].
        """
        self.prefilled, self.stalled_s = 0, last_token_s

    def forget_transfer(self) -> None:
        """Forget prefill replica and KV transfer, because the transferred KV cache was lost."""
        self.prefill_replica = -1
        self.read_s = self.sending_s = self.landed_s = NEVER


@dataclass(slots=True, eq=False)
class ClientRequest:
    """Request of a client that may make several attempts, each of which is a Request."""

    number: int
    """Position in the order of arrival."""
    first: Request
    """Request as the traffic made it: its arrival, class and whole lengths. Attempts are copies of
    it."""
    status: str = "unfinished"
    """Outcome: finished, unfinished, rejected, failed, timed_out or cancelled."""
    winner: Request | None = None
    """Attempt whose answer the client uses; None if there is none."""
    last: Request | None = None
    """Attempt that was sent last; None before the first one is sent."""
    attempts: int = 0
    """Number of attempts that were sent."""
    denied: int = 0
    """Number of retries and hedges that the retry budget denied."""
    end_s: float = NEVER
    """Time at which the client has its answer or gives up [s]."""
