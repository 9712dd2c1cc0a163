"""KV transfers from prefill replicas to decode replicas.

Effect on a request when the devices of a replica are lost:

| state of the request | loss of its prefill replica | loss of its decode replica |
|---|---|---|
| queued | restart | |
| in prefill | restart | |
| in prefill, KV being sent (`layers`) | restart; the transfer ends | KV so far sent to another |
| prefilled, waits for a decode replica | restart | |
| KV being sent, last byte not arrived | restart; the transfer ends | KV sent to another |
| decoding | | restart |
| finished | | |

A request also restarts if both replicas are lost. A restart means that a replica picked by the
router prefills the prompt and the answer so far. Tokens that the client has are not generated
again. NVIDIA Dynamo does the same if its frontend allows it (its documentation, Request Migration).
A request fails if no available replica can serve it. The router detects this at a restart. The
transfers detect it when the KV cache is complete and no available decode replica can ever hold it.

Effect on a request when its client cancels it:

| state of the request | cancellation |
|---|---|
| queued | leaves at once |
| in prefill | leaves when the step in progress has ended |
| in prefill, KV being sent (`layers`) | as above; the KV so far is still sent, then the promise ends |
| prefilled, waits for a decode replica | leaves at once |
| KV being sent, last byte not arrived | leaves at once; blocks are free when the last byte has arrived |
| decoding | leaves when the step in progress has ended |

See EndingTransfers for transfers in progress. A request that waits for a decode replica frees its
KV cache at once, whereas vLLM's NIXL connector keeps it for up to 480 s
(`VLLM_NIXL_ABORT_REQUEST_TIMEOUT`).

A promise of KV cache blocks ends with its transfer. A replica that comes back after a loss is like
any other replica, with an empty KV cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cluster_sim.request import Request
from cluster_sim.sim.departures import DROPPED
from cluster_sim.sim.kv_sending import KvSending
from cluster_sim.sim.prefilled_request import PrefilledRequest
from cluster_sim.topology import ParallelPaths


class KvTransfers(KvSending):
    """KV transfers that end early: replicas or links are lost, or clients leave."""

    def cancel(self, request: Request) -> bool:
        """Remove a request that is here; return whether it was.

        Its prefill replica removes a request in prefill at the end of the step.
        """
        prefilled = self._prefilled.pop(request.number, None)
        if prefilled is None:
            return False
        source, target = prefilled.source, prefilled.target
        if prefilled.transfer is not None:
            self._send_rest(prefilled)
        elif target is not None:
            target.withdraw(request, prefilled.total_tokens)
        elif not prefilled.is_hopeless:
            self._waiting.remove(prefilled)
        if not prefilled.is_whole:
            source.cancel(request)
        else:
            if prefilled.transfer is None:
                source.release(request)
            # its prefill replica may be lost before the transfer ends
            request.incarnation = DROPPED
            self._recorder.cancels(request, self._env.now, source.number)
        self._assign()
        return True

    def _send_rest(self, prefilled: PrefilledRequest) -> None:
        """Send what can be sent now of the KV cache of a cancelled request, and no more."""
        assert prefilled.transfer is not None
        self._ending.add(prefilled)
        if not prefilled.is_whole:
            elapsed_s = self._env.now - prefilled.since_s
            tokens = prefilled.tokens + prefilled.tokens_per_s * elapsed_s
            total_bytes = prefilled.kv_bytes / prefilled.total_tokens * tokens
            self._fabric.supply(prefilled.transfer, total_bytes)

    def devices_lost(self, number: int) -> None:
        """End the transfers from and to a replica; send KV cache again whose target is lost."""
        self._ending.devices_lost(number)
        again = []
        for prefilled in list(self._prefilled.values()):
            target = prefilled.target
            if prefilled.source.number == number:
                del self._prefilled[prefilled.request.number]
                if target is not None:
                    target.withdraw(prefilled.request, prefilled.total_tokens)
            elif target is not None and target.number == number:
                prefilled.lose_target()
                again.append(prefilled)
        self._queue_again(again)

    def change_paths(self, reaches: Callable[[int, int], bool] | None) -> None:
        """Take the replicas that later transfers reach.

        Parameters
        ----------
        reaches
            Function that returns whether a path leads from a prefill replica to a decode replica,
            given their numbers; None if there are paths between all of them.
        """
        self._reaches = reaches

    def links_lost(self, is_cut: Callable[[ParallelPaths], bool]) -> None:
        """Begin transfers again whose paths are cut, to another replica if none is left.

        All of the KV cache is sent again: with RDMA, a failed queue pair ends the transfer as a
        whole (NIXL reports the state ERR of the transfer, not of its parts).
        """
        self._ending.links_lost(is_cut)
        again = []
        for prefilled in list(self._prefilled.values()):
            target, transfer = prefilled.target, prefilled.transfer
            if target is None or prefilled.is_sent:
                continue
            is_reached = self._reaches is None or self._reaches(
                prefilled.source.number, target.number
            )
            if not is_reached:
                prefilled.lose_target()
                target.withdraw(prefilled.request, prefilled.total_tokens)
                again.append(prefilled)
            elif transfer is not None and is_cut(transfer.channel.paths):
                prefilled.lose_transfer()
                self._supply(prefilled)
        self._queue_again(again)

    def closed(self, number: int) -> None:
        """Give up requests that only the decode replica with this number could have held."""
        if any(decoder.number == number for decoder in self._decoders):
            self._queue_again([])

    def opened(self, number: int) -> None:
        """Assign waiting requests to a decode replica that accepts requests again."""
        self.capacity_freed(number)

    def _queue_again(self, first: Sequence[PrefilledRequest]) -> None:
        """Let the requests of `first` and all waiting requests wait for a decode replica."""
        waiting = [*first, *(other for other in self._waiting if self._is_here(other))]
        self._waiting.clear()
        for prefilled in waiting:
            self._queue(prefilled)
        self._assign()
