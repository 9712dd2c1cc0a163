"""EndingTransfers: KV transfers of cancelled requests, which end by themselves."""

from __future__ import annotations

from collections.abc import Callable

from cluster_sim.sim.prefilled_request import PrefilledRequest
from cluster_sim.topology import ParallelPaths


class EndingTransfers:
    """KV transfers in progress whose requests are cancelled.

    The bytes that could be sent at the cancellation still move, and blocks become free on both
    sides when they have arrived. Otherwise another request could get blocks into which remote
    writes are in progress. vLLM does the same (pull request 32255 of January 2026, `finish_requests`
    in vllm/v1/core/sched/scheduler.py).
    """

    __slots__ = ("_ending",)

    def __init__(self) -> None:
        self._ending: dict[PrefilledRequest, None] = {}

    def add(self, prefilled: PrefilledRequest) -> None:
        """Let the transfer of a cancelled request end by itself."""
        self._ending[prefilled] = None

    def arrived(self, prefilled: PrefilledRequest) -> bool:
        """Free the blocks of a cancelled request on both sides; return whether it is one."""
        if prefilled not in self._ending:
            return False
        del self._ending[prefilled]
        self._free(prefilled, at_source=True, at_target=True)
        return True

    def links_lost(self, is_cut: Callable[[ParallelPaths], bool]) -> None:
        """Free the blocks of requests on both sides whose transfer is cut."""
        for prefilled in list(self._ending):
            transfer = prefilled.transfer
            assert transfer is not None
            if not prefilled.is_sent and is_cut(transfer.channel.paths):
                self.arrived(prefilled)

    def devices_lost(self, number: int) -> None:
        """Free the blocks at the other ends of the transfers from and to a replica."""
        for prefilled in list(self._ending):
            assert prefilled.target is not None
            at_source = prefilled.source.number != number
            at_target = prefilled.target.number != number
            if not (at_source and at_target):
                del self._ending[prefilled]
                self._free(prefilled, at_source=at_source, at_target=at_target)

    def _free(self, prefilled: PrefilledRequest, *, at_source: bool, at_target: bool) -> None:
        if at_source and prefilled.is_whole:
            prefilled.source.release(prefilled.request)
        if at_target:
            assert prefilled.target is not None
            prefilled.target.withdraw(prefilled.request, prefilled.total_tokens)
