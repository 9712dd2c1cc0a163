"""The batch of a replica that reads prompts, makes first tokens, and hands the rest to others."""

from __future__ import annotations

from cluster_sim.request import Request
from cluster_sim.serving.scheduler.continuous import ContinuousBatch


class PrefillBatch(ContinuousBatch):
    """Requests leave with their first token; their KV keeps its room until `release`, so that
    prompts wait where nobody takes it.

    A prompt is admitted when there is room for all of it, as vLLM does with
    `scheduler_reserve_full_isl`: chunks of a prompt that cannot be completed would hold room for
    nothing. So none is ever preempted.
    """

    whole_prompts = True
    read: tuple[Request, ...] = ()
    """Requests whose prompts have been read and that nobody has been told of yet; the caller
    empties it."""

    def release(self, request: Request) -> None:
        """The KV of a request has been brought to where it decodes: its room is free."""
        blocks = self._room.blocks_for(request.prompt_tokens)
        self._blocks += blocks
        if self._prefix is not None:
            self._give_back(request, request.prompt_tokens, blocks, again=False)

    def _join(self, request: Request, length: int) -> None:
        """It decodes elsewhere. Blocks that are kept are taken off those that there are."""
        del self.running[request]
        self._blocks -= self._room.blocks_for(length)
        self.read += (request,)
