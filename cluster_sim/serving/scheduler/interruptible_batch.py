"""InterruptibleBatch: requests of one replica that may leave its batch before they have finished.

A request is preempted and waits again, is cancelled by its client, or is lost with its replica.
"""

from __future__ import annotations

from cluster_sim.request import Request
from cluster_sim.serving.scheduler.request_batch import RequestBatch


class InterruptibleBatch(RequestBatch):
    """Waiting and running requests of one replica, with preemption, cancellation and loss."""

    __slots__ = ()

    # Preemption

    def _preempt(self, request: Request, now_s: float, free: int) -> None:
        """Preempt a running request: take its blocks and let it wait; it keeps its answer so far.

        Parameters
        ----------
        request
            Running request.
        now_s
            Present time [s].
        free
            Number of blocks that were free when a further block was needed.
        """
        del self.running[request]
        request.preemptions += 1
        self._kv.forget_for_others(free)
        if request is self._partial:
            self._partial = None
            self._preempt_partial(request)
        else:
            self._preempt_decoding(request, now_s)
        if not request.swapped:
            request.prefilled = 0
        self.waiting.put_back(request)
        if self._wait is not None:
            self._wait.add(request)
        if self._reservation is not None:
            self._reservation.end(request)
        self.output.preempted.append(request)

    def _preempt_partial(self, request: Request) -> None:
        """Take the blocks of the request with a partly prefilled prompt."""
        kv, tokens = self._kv, request.prefilled
        kv.drop_partial()
        self.pending_tokens += tokens
        self.pending_prompt_tokens += tokens
        blocks = kv.blocks_for(self._held_tokens(request, tokens))
        kv.give_back(request, tokens, blocks, again=True)

    def _preempt_decoding(self, request: Request, now_s: float) -> None:
        """Move the blocks of a decoding request to host memory if it has space, else drop them."""
        decoding, kv = self._decoding, self._kv
        request.generated = decoding.generated(request)
        request.stalled_s = now_s
        self.pending_tokens += request.output_tokens - request.generated
        self.pending_tokens -= decoding.steps_left(request)
        decoding.stop(request)
        stored = request.prompt_tokens + request.generated - 1  # the last token is not cached yet
        kv.give_back(request, stored, decoding.leave(request, stored), again=True)
        blocks = kv.blocks_for(stored)
        if kv.swap.has_space(blocks):
            request.swapped, request.prefilled = blocks, stored
            self.output.swap_s += kv.swap.store(blocks)
        else:
            self.pending_tokens += request.prompt_tokens + request.generated
            self.pending_prompt_tokens += request.prompt_tokens + request.generated

    # Cancellation

    def cancel(self, request: Request) -> bool:
        """Remove a request without its remaining tokens; return whether it was here.

        A waiting request may be removed at any time, a running one only between `advance` and
        `schedule`.
        """
        if request in self.running:
            self._cancel_running(request)
        elif self.waiting.discard(request):
            self._cancel_waiting(request)
        else:
            return False
        return True

    def _cancel_running(self, request: Request) -> None:
        """Return the blocks of a running request to the free pool."""
        kv = self._kv
        del self.running[request]
        kv.forget_until(kv.free_after(0))  # content that running requests have overwritten
        if request is self._partial:
            self._partial = None
            tokens = request.prefilled
            kv.drop_partial()
            self.pending_tokens += tokens
            self.pending_prompt_tokens += tokens
            self.unexpect(request)
            blocks = kv.blocks_for(self._held_tokens(request, tokens))
        else:
            decoding = self._decoding
            request.generated = decoding.generated(request)
            self.pending_tokens -= decoding.steps_left(request)
            decoding.stop(request)
            tokens = request.known_tokens - 1  # the last token is not cached yet
            blocks = decoding.leave(request, tokens)
            request.prefilled = 0
        # `prefilled` of a partial prompt stays: it is work that was done in vain
        kv.give_back(request, tokens, blocks, again=False)
        if self._reservation is not None:
            self._reservation.end(request)

    def _cancel_waiting(self, request: Request) -> None:
        """Correct the counts for a request that has left the queue, and drop its swapped blocks."""
        if self._wait is not None:
            self._wait.remove(request)
        if request.swapped:
            self.pending_tokens -= request.output_tokens - request.generated
            self._kv.swap.drop(request.swapped)
            request.prefilled = request.swapped = 0
        else:
            self.unexpect(request)
        if request.preemptions:
            self._kv.forget_own(request)

    # Loss

    def drain(self, last_token_s: float) -> list[Request]:
        """Remove and return all requests, running requests first; their KV cache is lost.

        A request keeps the tokens that it has received. All blocks become free, and no rule of
        admission counts the requests any longer.
        """
        prefilling = {request for request, _ in self.output.chunks} | {self._partial}
        for request in self.running:
            if request not in prefilling:
                request.generated = self._decoding.generated(request)
                if request not in self._resuming:
                    request.stalled_s = self._last_token_s(request, last_token_s)
        lost = list(self.running)
        while self.waiting:
            lost.append(self.waiting.pop_first())
            if self._wait is not None:
                self._wait.remove(lost[-1])
        if self._reservation is not None:
            self._reservation.clear()
        self.running.clear()
        self._partial, self._resuming = None, []
        for request in lost:
            request.prefilled = request.swapped = 0
        self._kv.clear()
        self.pending_tokens = self.pending_prompt_tokens = 0
        return lost

    def _last_token_s(self, request: Request, now_s: float) -> float:
        """Return the time of the last token of a decoding request if a step ends at `now_s` [s]."""
        return now_s
