"""Replica that decodes requests which other replicas have prefilled."""

from __future__ import annotations

from collections.abc import Callable

from simpy import Environment

from cluster_sim.hardware.operating_point import OperatingPoint
from cluster_sim.physics.step_times import StepTimes
from cluster_sim.request import Request
from cluster_sim.results.recorder import Recorder
from cluster_sim.serving.scheduler import DecodeScheduler, RankedDecodeScheduler
from cluster_sim.sim.replica import Replica
from cluster_sim.sim.replica_options import PLAIN, ReplicaOptions


class DecodeReplica(Replica[DecodeScheduler | RankedDecodeScheduler]):
    """Replica of the role `decode`."""

    is_entry = False

    def __init__(  # noqa: PLR0913 - wires one process to its parts
        self,
        env: Environment,
        number: int,
        scheduler: DecodeScheduler | RankedDecodeScheduler,
        times_at: Callable[[OperatingPoint], StepTimes],
        recorder: Recorder,
        options: ReplicaOptions = PLAIN,
    ) -> None:
        super().__init__(env, number, scheduler, times_at, recorder, options)
        self._asleep = False

    @property
    def only_fills(self) -> bool:
        """Whether free blocks only become fewer while the scheduled steps run."""
        return self._scheduler.only_fills

    def can_take(self, request: Request, tokens: int) -> bool:
        """Return whether there are KV cache blocks and a batch slot for a request now.

        Parameters
        ----------
        request
            Request that was, or is being, prefilled.
        tokens
            Number of tokens whose KV cache will be sent.
        """
        return (
            self.is_open
            and self.holds(request)
            and self._scheduler.can_take(request, tokens, self._steps_ended())
        )

    def promise(self, request: Request, tokens: int) -> None:
        """Reserve blocks and a batch slot for a request whose KV cache will be sent here."""
        request.replica, request.rank = self.number, 0
        self.requests += 1
        if self.requests == 1:
            self._tell_busy()
        self._scheduler.promise(request, tokens)
        steps = self._stretch.steps
        if self._asleep and steps > 1 and self._scheduler.steps_within(steps) < steps:
            self._stretch.end_with_this_step(self._env.now, self._alarm)

    def withdraw(self, request: Request, tokens: int) -> None:
        """Cancel a promise: the KV cache of the request will not arrive.

        A preempted request may be waiting for that capacity.
        """
        if self.down:
            return
        self.requests -= 1
        may_admit = self._scheduler.withdraw(request, tokens)
        if may_admit or (self._idle and self._scheduler.waiting):
            self._schedule_soon()
        self._tell_load_changed()
        self._tell_if_empty()

    def land(self, request: Request) -> None:
        """Accept a request whose KV cache has arrived."""
        self._scheduler.land(request)
        self._schedule_soon()

    def _foresee_s(self) -> float:
        duration_s = super()._foresee_s()
        if self.down:
            return duration_s
        self._asleep = False
        for tell in self._listeners.capacity_freed:
            tell(self.number)
        self._asleep = True
        stretch = self._stretch
        if (
            stretch.steps > 1
            and (steps := self._scheduler.steps_within(stretch.steps)) < stretch.steps
        ):
            stretch.steps = steps
            return stretch.ramp.total_s(steps)
        return duration_s

    def _settle(self) -> None:
        self._asleep = False
        super()._settle()
