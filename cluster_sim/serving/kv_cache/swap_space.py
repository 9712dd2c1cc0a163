"""SwapSpace: the host's memory for blocks of preempted requests."""

from __future__ import annotations


class SwapSpace:
    """Blocks of the host, as many as were configured, and what it takes to move one.

    As in vLLM V0 (vllm/core/scheduler.py, vllm/worker/worker.py), where the next step waits for
    blocks on their way to the host and back.
    """

    __slots__ = ("_block_s", "_blocks", "free_blocks")

    def __init__(self, blocks: int, block_s: float) -> None:
        self._blocks = self.free_blocks = blocks
        """Number of blocks that hold nothing."""
        self._block_s = block_s

    def has_space(self, blocks: int) -> bool:
        """Return whether `blocks` blocks can be stored."""
        return blocks <= self.free_blocks

    def clear(self) -> None:
        """Hold nothing."""
        self.free_blocks = self._blocks

    def store(self, blocks: int) -> float:
        """Store `blocks` blocks; return the seconds that it takes."""
        self.free_blocks -= blocks
        return blocks * self._block_s

    def fetch(self, blocks: int) -> float:
        """Bring `blocks` blocks back; return the seconds that it takes."""
        self.free_blocks += blocks
        return blocks * self._block_s
