"""Replica that prefills requests, which other replicas decode."""

from __future__ import annotations

from collections.abc import Callable

from simpy import Environment

from cluster_sim.hardware.operating_point import OperatingPoint
from cluster_sim.physics.step_times import StepTimes
from cluster_sim.request import Request
from cluster_sim.results.recorder import Recorder
from cluster_sim.serving.scheduler import PrefillScheduler, RankedPrefillScheduler
from cluster_sim.sim.decode_capacity import DecodeCapacity
from cluster_sim.sim.replica import Replica
from cluster_sim.sim.replica_options import PLAIN, ReplicaOptions


class PrefillReplica(Replica[PrefillScheduler | RankedPrefillScheduler]):
    """Replica of the role `prefill`: it generates first tokens and passes requests on."""

    def __init__(  # noqa: PLR0913 - wires one process to its parts
        self,
        env: Environment,
        number: int,
        scheduler: PrefillScheduler | RankedPrefillScheduler,
        times_at: Callable[[OperatingPoint], StepTimes],
        recorder: Recorder,
        options: ReplicaOptions = PLAIN,
        *,
        decoding: DecodeCapacity,
    ) -> None:
        super().__init__(env, number, scheduler, times_at, recorder, options)
        self._longest_prompt, self._decoding = self.longest, decoding
        self.longest = min(self.longest, decoding.longest)

    def holds(self, request: Request) -> bool:
        """Return whether a request fits here for prefill, and in an available decode replica."""
        return self._holds(request, self._decoding.longest)

    def would_hold(self, request: Request) -> bool:
        """Return whether a request could be served if no devices were lost."""
        return self._holds(request, self._decoding.longest_of_all)

    def _holds(self, request: Request, longest_decoded: int) -> bool:
        """Return whether a request, its answer so far included, fits here and for decode."""
        return request.known_tokens <= self._longest_prompt and (
            request.generated + 1 >= request.output_tokens or request.footprint <= longest_decoded
        )

    @property
    def queued(self) -> int:
        """Number of requests on their way or queued, without those that are prefilled."""
        return self.waiting - self._scheduler.kept

    def release(self, request: Request) -> None:
        """Free the KV cache of a request after its transfer."""
        self.requests -= 1
        may_admit = self._scheduler.release(request)
        self._tell_load_changed()
        if may_admit or (self._idle and self._scheduler.waiting):
            self._schedule_soon()
        self._tell_if_empty()

    def give_up(self, request: Request) -> None:
        """Free the KV cache of a request that no replica can decode; report the request as lost."""
        self.release(request)
        request.begin_anew(request.read_s)
        self.lose(request)

    def _foresee_s(self) -> float:
        duration_s = super()._foresee_s()
        if duration_s:
            for tell in self._listeners.step_began:
                tell(self, self._scheduler.output.chunks, duration_s)
        return duration_s

    def _settle(self) -> None:
        super()._settle()
        if prefilled := self._scheduler.take_prefilled():
            for tell in self._listeners.prefilled:
                for request in prefilled:
                    tell(request, self)
