"""Interface of a machine that measures kernels. Tests replace the machine by a substitute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from board import NOTHING, Board
from shapes import Kernel


class CannotError(Exception):
    """Fault of a kernel that the machine cannot run; its text is the reason, on one line."""


@dataclass(frozen=True)
class Timing:
    """Result of a measurement."""

    seconds: float
    """Median time of one launch [s]."""
    spread: float = 0.0
    """Distance from the 10th to the 90th percentile, as a share of the median."""
    board: Board = NOTHING
    """Medians of the board's sensors during the measurement."""
    copied_bytes: float = 0.0
    """Bytes that other streams moved over the memory bus during one launch."""


class Machine(Protocol):
    """GPU, or a substitute for tests."""

    memory_bytes: float
    """Memory that a kernel may use [bytes]."""
    libraries: Mapping[str, Sequence[str]]
    """Names of the attention libraries, by op."""

    def version(self, library: str) -> str:
        """Return the version of the software that runs a kernel; it begins with the library."""

    def timed(self, kernel: Kernel) -> Timing:
        """Measure a kernel.

        Raises
        ------
        CannotError
            The machine cannot run the kernel.
        """


def timing(samples_s: Sequence[float], board: Board = NOTHING, copied_bytes: float = 0.0) -> Timing:
    """Return the timing of one launch from samples of its time [s]."""
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
    """Return the number of copies of one stream between two times; a part counts by its time.

    Parameters
    ----------
    ends_s
        Ascending times at which the copies end [s]. The first must be at or before `began_s`, the
        last at or after `ended_s`.
    began_s, ended_s
        Start and end of the interval [s].
    """

    def done(at_s: float) -> float:
        after = next(index for index, end_s in enumerate(ends_s) if end_s >= at_s)
        if after == 0:
            return 0.0
        before_s = ends_s[after - 1]
        return after - 1 + (at_s - before_s) / (ends_s[after] - before_s)

    return done(ended_s) - done(began_s)
