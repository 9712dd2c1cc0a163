"""What measuring asks of a machine, so that it can be tried without one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from board import NOTHING, Board
from shapes import Kernel


class CannotError(Exception):
    """The machine cannot run this kernel; the text says why, in one line."""


@dataclass(frozen=True)
class Timing:
    """What a measurement found."""

    seconds: float
    """Of one launch, the median."""
    spread: float = 0.0
    """From the tenth to the ninetieth percentile, over the median."""
    board: Board = NOTHING
    copied_bytes: float = 0.0
    """What other streams moved over the memory bus in that time."""


class Machine(Protocol):
    """A GPU, or what stands for one."""

    memory_bytes: float
    """That a kernel may touch."""
    libraries: Mapping[str, Sequence[str]]
    """Of attention, by op."""

    def version(self, library: str) -> str:
        """Of the software that runs a kernel; begins with the library, where the kernel has one."""

    def timed(self, kernel: Kernel) -> Timing:
        """Measures. Raises CannotError."""


def timing(samples_s: Sequence[float], board: Board = NOTHING, copied_bytes: float = 0.0) -> Timing:
    """The timing of one launch from several of it."""
    ordered = sorted(samples_s)
    last = len(ordered) - 1
    middle = (ordered[last // 2] + ordered[(last + 1) // 2]) / 2
    return Timing(
        middle,
        (ordered[round(0.9 * last)] - ordered[round(0.1 * last)]) / middle,
        board,
        copied_bytes,
    )


def copied(ends_s: Sequence[float], began_s: float, ended_s: float) -> float:
    """How many copies of one stream, which end one after the other at `ends_s`, fall between two
    times; parts count by their time.

    The first must have ended by `began_s`, the last not before `ended_s`.
    """

    def done(at_s: float) -> float:
        after = next(index for index, end_s in enumerate(ends_s) if end_s >= at_s)
        if after == 0:
            return 0.0
        before_s = ends_s[after - 1]
        return after - 1 + (at_s - before_s) / (ends_s[after] - before_s)

    return done(ended_s) - done(began_s)
