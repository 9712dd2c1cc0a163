"""Traces of texts: how their tokens are counted, and when their requests come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cluster_sim.errors import ScenarioError
from cluster_sim.workload.arrivals import AnyArrivals
from cluster_sim.workload.random_streams import stream
from cluster_sim.workload.traces.progress import Tally
from cluster_sim.workload.traces.recorded import RecordedSession
from cluster_sim.workload.traces.rows import Batch

_ARRIVALS = "arrivals: {process: poisson, rate: 2 /s}"
_TOKENS = "tokens_per_word: 1.3"


class TextKeys(NamedTuple):
    """What a scenario says of texts."""

    path: str
    """File of the texts."""
    arrivals: AnyArrivals | None
    """Process by which requests come."""
    tokens_per_word: float | None
    """Number of tokens for each word."""
    tokenizer: str | None
    """File of a tokenizer."""

    def given(self) -> list[str]:
        """Return the keys that are there."""
        return [name for name, value in zip(self._fields[1:], self[1:], strict=True) if value]

    def counter(self) -> Callable[[str], int]:
        """Return what counts the tokens of a text.

        Raises ScenarioError where the keys do not say how, or the tokenizer cannot be read.
        """
        if self.tokenizer is not None:
            return _tokens_by(self.tokenizer)
        per_word = self.tokens_per_word
        if per_word is None:
            raise ScenarioError.at(
                self.path,
                f"holds texts without numbers of tokens{self._as_written()}, or tokenizer: tokenizer.json in place of tokens_per_word",
            )

        def count(text: str) -> int:
            words = len(text.split())
            return max(1, round(words * per_word)) if words else 0

        return count

    def starts_s(self, seed: int) -> Iterator[float]:
        """Yield the times [s] at which requests come, or conversations start.

        Raises ScenarioError where no process is given, or one that waits for answers.
        """
        if self.arrivals is None:
            without = "times" if self.given() else "times and numbers of tokens"
            raise ScenarioError.at(self.path, f"holds texts without {without}{self._as_written()}")
        if self.arrivals.waiting_clients() is not None:
            raise ScenarioError.at(
                self.path,
                "has no times, and closed_loop arrivals wait for answers; expected workload.sessions: {trace: {path: …}, concurrency: 8}",
            )
        times_s = self.arrivals.times(stream(seed, "arrivals"))
        return islice(times_s, getattr(self.arrivals, "requests", None))

    def _as_written(self) -> str:
        """Return what a scenario says of such a file, as the end of a message."""
        tokens = _TOKENS if self.tokenizer is None else f"tokenizer: {self.tokenizer}"
        keys = f"path: {Path(self.path).name}, {_ARRIVALS}, {tokens}"
        return f"; expected in a scenario workload: {{trace: {{{keys}}}}}"


def started(
    sessions: Iterator[RecordedSession], starts_s: Iterator[float], tally: Tally
) -> Iterator[RecordedSession]:
    """Yield conversations at these starts; note how many are left when no start is."""
    left = 0
    for session in sessions:
        start_s = next(starts_s, None)
        if start_s is None:
            left += 1
        else:
            yield session._replace(start_s=start_s)
    _note_left(left, "conversations", tally)
    tally.note(
        "the file has no pauses: a later turn of a conversation comes with the answer before it"
    )


def timed(rows: Batch, starts_s: Iterator[float], tally: Tally) -> Batch:
    """Return requests at these times, each of its own; note how many are left when no time is."""
    times_s = np.fromiter(islice(starts_s, len(rows.line)), dtype=float)
    _note_left(len(rows.line) - len(times_s), "requests", tally)
    tally.note("each question is a request of its own, without its conversation's history")
    return rows.take(np.arange(len(times_s)))._replace(time_s=times_s, links=None)


def _note_left(left: int, what: str, tally: Tally) -> None:
    if left:
        tally.note(f"{left:,} {what} are not sent: arrivals end before")


def _tokens_by(path: str) -> Callable[[str], int]:
    """Return what counts tokens by a file of the package tokenizers.

    Raises ScenarioError where the package is not installed, or the file is none of its.
    """
    try:
        import tokenizers
    except ImportError as fault:
        raise ScenarioError.at(
            path,
            "needs the package tokenizers; install it with: pip install 'cluster-sim[tokenizers]', or say tokens_per_word",
        ) from fault
    try:
        tokenizer = tokenizers.Tokenizer.from_file(path)
    # The package raises Exception itself.
    except Exception as fault:
        raise ScenarioError.at(path, f"is no tokenizer.json: {fault}") from fault

    def count(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False).ids) if text.strip() else 0

    return count
