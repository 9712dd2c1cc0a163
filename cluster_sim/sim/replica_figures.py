"""Figures of a replica for routing, admission and scaling: its present load."""

from __future__ import annotations

from math import inf
from typing import Generic, TypeVar

from simpy import Environment

from cluster_sim.request import Request
from cluster_sim.serving.frequency import Decoding, Remaining
from cluster_sim.serving.scheduler import Scheduler
from cluster_sim.serving.scheduler.ranked_scheduler import RankedScheduler
from cluster_sim.serving.scheduler.request_batch import RequestBatch
from cluster_sim.sim.stretch import Stretch

_EARLIER = 1.0 - 1e-15
"""Factor that makes the end of a step at most the rounded time at which it is observed."""

SomeScheduler = TypeVar("SomeScheduler", bound=Scheduler)


class ReplicaFigures(Generic[SomeScheduler]):
    """Present load of a replica, from its scheduler and the stretch in progress: a Load."""

    def __init__(self, env: Environment, number: int, scheduler: SomeScheduler) -> None:
        self.number = number
        """Number of the replica among all replicas."""
        self.requests = 0
        """Number of requests that are here or on their way here."""
        self.longest = scheduler.longest
        """Number of tokens of the longest request that can be served here."""
        self._env, self._scheduler = env, scheduler
        self._stretch = Stretch()

    def holds(self, request: Request) -> bool:
        """Return whether the request can ever be served here, given the available replicas."""
        return request.footprint <= self.longest

    def would_hold(self, request: Request) -> bool:
        """Return whether the request could be served here if no devices were lost."""
        return self.holds(request)

    @property
    def pending_tokens(self) -> int:
        """Number of tokens still to process now.

        Steps of the stretch in progress that have ended are subtracted.
        """
        scheduler = self._scheduler
        return scheduler.pending_tokens - self._steps_ended() * scheduler.tokens_per_step

    def falls_below_s(self, tokens: int) -> float:
        """Return the time at which `pending_tokens` falls below `tokens` [s].

        The time may be slightly early, and holds until the next event of the replica. It is
        infinite if an event comes first.
        """
        scheduler, stretch = self._scheduler, self._stretch
        if stretch.steps <= 1 or (per_step := scheduler.tokens_per_step) <= 0:
            return inf
        steps = (scheduler.pending_tokens - tokens) // per_step + 1
        return stretch.end_s(steps) * _EARLIER if steps < stretch.steps else inf

    @property
    def pending_prompt_tokens(self) -> int:
        """Number of prompt tokens still to be prefilled now."""
        scheduler = self._scheduler
        ended = self._steps_ended() * scheduler.work.prompt_tokens
        return scheduler.pending_prompt_tokens - ended

    @property
    def waiting(self) -> int:
        """Number of requests on their way, queued or preempted."""
        return self.requests - len(self._scheduler.running)

    @property
    def queued(self) -> int:
        """Number of requests on their way, queued or preempted, for the autoscaler."""
        return self.waiting

    @property
    def running(self) -> int:
        """Number of requests in the batch."""
        return len(self._scheduler.running)

    @property
    def kv_share(self) -> float:
        """Present KV cache usage, promised blocks included, from 0 to 1."""
        return self._scheduler.kv_share(self._steps_ended())

    @property
    def is_running(self) -> bool:
        """Whether a step is in progress."""
        return self._stretch.steps > 0

    @property
    def prefills(self) -> bool:
        """Whether the step in progress prefills prompt tokens."""
        return self._stretch.steps > 0 and self._scheduler.work.prompt_tokens > 0

    @property
    def decoding(self) -> Decoding:
        """Sequences that decode in the step in progress, and their context."""
        if not self._stretch.steps:
            return Decoding(0, 0.0)
        work = self._scheduler.work
        return Decoding(work.batch, work.context + self._steps_ended() * work.growth)

    def remaining(self) -> list[Remaining]:
        """Return the rest of the answer of each sequence that has begun to decode."""
        assert isinstance(self._scheduler, RequestBatch | RankedScheduler)
        return self._scheduler.remaining(self._steps_ended()) if self._stretch.steps else []

    def _steps_ended(self) -> int:
        """Return the number of ended steps that the scheduler does not know of yet."""
        return self._stretch.steps_ended(self._env.now) if self._stretch.steps > 1 else 0
