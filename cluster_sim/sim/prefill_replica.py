"""A replica that prefills requests for others to decode."""

from __future__ import annotations

from collections.abc import Callable

from simpy import Environment

from cluster_sim.hardware.operating_point import OperatingPoint
from cluster_sim.physics.step_times import StepTimes
from cluster_sim.request import Request
from cluster_sim.results.recorder import Recorder
from cluster_sim.serving.scheduler import PrefillScheduler
from cluster_sim.sim.replica import Replica
from cluster_sim.sim.replica_options import PLAIN, ReplicaOptions


class PrefillReplica(Replica[PrefillScheduler]):
    """Prefills prompts, makes first tokens, and offers the requests to be decoded elsewhere."""

    def __init__(  # noqa: PLR0913 - wires one process to its parts
        self,
        env: Environment,
        number: int,
        scheduler: PrefillScheduler,
        times_at: Callable[[OperatingPoint], StepTimes],
        recorder: Recorder,
        options: ReplicaOptions = PLAIN,
        *,
        longest_decoded: int,
    ) -> None:
        super().__init__(env, number, scheduler, times_at, recorder, options)
        self._longest_prompt, self._longest_decoded = self.longest, longest_decoded
        self.longest = min(self.longest, longest_decoded)

    def holds(self, request: Request) -> bool:
        """Return whether the prompt could ever be prefilled here, and all of it decoded elsewhere."""
        return request.prompt_tokens <= self._longest_prompt and (
            request.output_tokens == 1 or request.footprint <= self._longest_decoded
        )

    def release(self, request: Request) -> None:
        """Free the KV cache of a request, which has been sent away."""
        if self.down:
            return
        self.requests -= 1
        self._scheduler.release(request)
        if self._idle and self._scheduler.waiting:
            self._schedule_soon()

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
