"""SwapSpace: host memory for blocks of preempted requests."""

from __future__ import annotations


class SwapSpace:
    """Blocks in host memory, with the time to move a block.

    As in vLLM V0 (vllm/core/scheduler.py, vllm/worker/worker.py), the next step waits for blocks
    that move to the host or back.
    """

    __slots__ = ("_block_s", "_blocks", "free_blocks")

    def __init__(self, blocks: int, block_s: float) -> None:
        self._blocks = self.free_blocks = blocks
        """Number of free blocks."""
        self._block_s = block_s

    def has_space(self, blocks: int) -> bool:
        """Return whether `blocks` blocks can be stored."""
        return blocks <= self.free_blocks

    def clear(self) -> None:
        """Drop all blocks."""
        self.free_blocks = self._blocks

    def drop(self, blocks: int) -> None:
        """Drop `blocks` blocks, which takes no time."""
        self.free_blocks += blocks

    def store(self, blocks: int) -> float:
        """Store `blocks` blocks; return the time that the move takes [s]."""
        self.free_blocks -= blocks
        return blocks * self._block_s

    def fetch(self, blocks: int) -> float:
        """Move `blocks` blocks back to the devices; return the time that the move takes [s]."""
        self.free_blocks += blocks
        return blocks * self._block_s
