"""Figures of a replica that a frequency policy may see, and the profile that it knows."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import NamedTuple, Protocol

from cluster_sim.hardware.clock_grid import ClockGrid
from cluster_sim.request import Request
from cluster_sim.serving.disaggregation import Role


class Decoding(NamedTuple):
    """Sequences that decode in the step in progress."""

    sequences: int
    """Number of sequences."""
    context_tokens: float
    """Number of tokens in their KV caches."""


class Remaining(NamedTuple):
    """Rest of the answer of a request."""

    request: Request
    tokens: int
    """Number of tokens that are still to be generated."""
    context_tokens: int
    """Number of tokens in the KV cache of the request."""


class ObservedReplica(Protocol):
    """Present figures of one replica that a frequency policy may use."""

    @property
    def number(self) -> int:
        """Number of the replica among all replicas."""
        ...

    @property
    def requests(self) -> int:
        """Number of requests on their way, waiting or running."""
        ...

    @property
    def waiting(self) -> int:
        """Number of requests outside the batch: on their way, queued or preempted."""
        ...

    @property
    def pending_prompt_tokens(self) -> int:
        """Number of tokens still to be prefilled."""
        ...

    @property
    def prefills(self) -> bool:
        """Whether the step in progress prefills prompt tokens."""
        ...

    @property
    def decoding(self) -> Decoding:
        """Sequences that decode in the step in progress."""
        ...

    def remaining(self) -> Sequence[Remaining]:
        """Return the rest of the answer of each sequence that has begun to decode."""
        ...


class Objectives(NamedTuple):
    """Latency objectives of a class of requests; an objective is infinite if it is not given."""

    ttft_s: float = inf
    """Maximum time to first token [s]."""
    tpot_s: float = inf
    """Maximum time per output token after the first [s]."""
    e2el_s: float = inf
    """Maximum end-to-end latency [s]."""
    percentile: float = 99.0
    """Percentile of requests at which each objective must hold."""

    def deadline_s(self, request: Request) -> float:
        """Return the time at which the last token of a request is due [s].

        The end-to-end latency bounds it, and so do both other objectives together.
        """
        by_tokens_s = self.ttft_s + (request.output_tokens - 1) * self.tpot_s
        return request.arrival_s + min(self.e2el_s, by_tokens_s)


class ClockProfile(Protocol):
    """Profile of one replica: times and power of its engine steps at each clock.

    Clocks are shares of the highest clock.
    """

    @property
    def grid(self) -> ClockGrid:
        """Clocks to which the devices can be locked."""
        ...

    @property
    def max_sequences(self) -> int:
        """Number of batch slots."""
        ...

    def decode_s(self, sequences: int, context_tokens: float, clock: float) -> float:
        """Return the length of a step in which sequences decode with this context together [s]."""
        ...

    def prefill_s(self, tokens: float, clock: float) -> float:
        """Return the length of the steps that prefill a prompt of `tokens` tokens [s]."""
        ...

    def decode_w(self, sequences: int, context_tokens: float, clock: float) -> float:
        """Return the power of one device in such a decode step [W]."""
        ...

    def prefill_w(self, tokens: float, clock: float) -> float:
        """Return the power of one device in steps that prefill such a prompt [W]."""
        ...

    def idle_w(self, clock: float) -> float:
        """Return the power of one device that holds the model and runs no step [W]."""
        ...


class Known(NamedTuple):
    """Facts that a policy knows in advance."""

    profile: ClockProfile
    """Profile of the replica."""
    objectives: Sequence[Objectives]
    """Objectives of each class of requests, by number of the class."""
    role: Role = "both"
    """Phases of a request that the replica serves."""

    @property
    def strictest(self) -> Objectives:
        """Lowest limit of each objective over all classes."""
        every = self.objectives
        return Objectives(
            ttft_s=min(each.ttft_s for each in every),
            tpot_s=min(each.tpot_s for each in every),
            e2el_s=min(each.e2el_s for each in every),
            percentile=max(each.percentile for each in every),
        )
