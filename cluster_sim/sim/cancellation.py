"""Cancellation: removal of requests whose clients have left, wherever they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simpy import Environment

from cluster_sim.request import Request
from cluster_sim.results.recorder import Recorder
from cluster_sim.sim.kv_transfers import KvTransfers
from cluster_sim.sim.replica import Replica
from cluster_sim.sim.router import Router


class Cancellation:
    """Cancellation of requests in the whole cluster.

    Parameters
    ----------
    env
        Environment of the simulation.
    router
        Router, which may hold requests until a replica opens.
    replicas
        All replicas, in order of number.
    transfers
        KV transfers between replicas; None if there are none.
    recorder
        Recorder of the run.
    """

    def __init__(
        self,
        env: Environment,
        router: Router,
        replicas: Sequence[Replica[Any]],
        transfers: KvTransfers | None,
        recorder: Recorder,
    ) -> None:
        self._env, self._router, self._replicas = env, router, replicas
        self._transfers, self._recorder = transfers, recorder
        self._cancelled: set[int] = set()

    def cancel(self, request: Request) -> bool:
        """Cancel a request that has arrived; return False if it has left before.

        No event of the request follows, except for `cancelled` in the recorder: at once, or when
        the step in progress has ended. The request then has its number of tokens so far.
        """
        number, recorder = request.number, self._recorder
        has_left = request.finish_s == request.finish_s  # not NaN
        if has_left or any(
            number in gone for gone in (recorder.rejected, recorder.failed, self._cancelled)
        ):
            return False
        self._cancelled.add(number)
        if self._router.cancel(request):
            recorder.cancels(request, self._env.now, -1)
        elif self._transfers is None or not self._transfers.cancel(request):
            self._replicas[request.replica].cancel(request)
        return True
