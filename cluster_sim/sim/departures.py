"""Departures: cancelled requests that leave a replica at the end of the step in progress."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from cluster_sim.request import NEVER, Request
from cluster_sim.results.recorder import Recorder
from cluster_sim.serving.scheduler import Scheduler

DROPPED = -1
"""Incarnation of a request that was cancelled on its way to a replica, which drops it on arrival, or
on its way from one, which only keeps its KV cache until the transfer has ended."""


class Departures:
    """Cancelled requests of one replica that take part in the step in progress.

    A request that gets its last token in that step is cancelled too, since its client has left
    before. vLLM does the same: it handles aborts before the outputs of a step
    (`EngineCore._process_aborts_queue` in vllm/v1/engine/core.py, release 0.22).
    """

    __slots__ = ("_number", "_recorder", "requests")

    def __init__(self, number: int, recorder: Recorder) -> None:
        self._number, self._recorder = number, recorder
        self.requests: list[Request] = []
        """Requests that leave when the step in progress has ended."""

    def settle(
        self, scheduler: Scheduler, finished: Sequence[Request], now_s: float
    ) -> list[Request]:
        """Let the requests leave at the end of a step; return the others that finished.

        Tokens of this step come too late for the clients of these requests.
        """
        leaving, self.requests = self.requests, []
        for request in leaving:
            if request.finish_s == request.finish_s:  # not NaN: it got its last token
                request.finish_s, request.generated = NEVER, request.output_tokens
            else:
                scheduler.cancel(request)
            if request.first_token_s == now_s:
                request.first_token_s = NEVER
            self._recorder.cancels(request, now_s, self._number)
        scheduler.stalls[:] = [stall for stall in scheduler.stalls if stall[0] not in leaving]
        return [request for request in finished if request not in leaving]

    def survivors(self, lost: Collection[Request], now_s: float) -> list[Request]:
        """Let the requests leave a lost replica; return its other requests, which are lost."""
        leaving, self.requests = self.requests, []
        for request in leaving:
            self._recorder.cancels(request, now_s, self._number)
        gone = {request for request in lost if request.incarnation == DROPPED}.union(leaving)
        return [request for request in lost if request not in gone]

    def stop(self, scheduler: Scheduler, now_s: float) -> None:
        """Let the requests leave at the end of the run, before the step in progress has ended."""
        leaving, self.requests = self.requests, []
        prefilling = [request for request, _ in scheduler.output.chunks]
        for request in leaving:
            if request not in prefilling:
                scheduler.cancel(request)
            self._recorder.cancels(request, now_s, self._number)
