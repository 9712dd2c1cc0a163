"""Traces of texts: counting of tokens, and arrival times of requests."""

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
    """Keys of a scenario for traces of texts."""

    path: str
    """Path of the file of texts."""
    arrivals: AnyArrivals | None
    """Arrival process of requests or conversations."""
    tokens_per_word: float | None
    """Number of tokens per word."""
    tokenizer: str | None
    """Path of the file of a tokenizer."""

    def given(self) -> list[str]:
        """Return the keys that the scenario has."""
        return [name for name, value in zip(self._fields[1:], self[1:], strict=True) if value]

    def counter(self) -> Callable[[str], int]:
        """Return a function that counts the tokens of a text.

        Raises ScenarioError if the scenario gives neither `tokens_per_word` nor a tokenizer, or if the
        tokenizer cannot be read.
        """
        if self.tokenizer is not None:
            return _tokens_by(self.tokenizer)
        per_word = self.tokens_per_word
        if per_word is None:
            raise ScenarioError.at(
                self.path,
                f"has texts without numbers of tokens{self._as_written()}, or tokenizer: tokenizer.json in place of tokens_per_word",
            )

        def count(text: str) -> int:
            words = len(text.split())
            return max(1, round(words * per_word)) if words else 0

        return count

    def starts_s(self, seed: int) -> Iterator[float]:
        """Yield the times [s] at which requests arrive, or conversations start.

        Raises ScenarioError if the scenario gives no process, or a process that waits for answers.
        """
        if self.arrivals is None:
            without = "times" if self.given() else "times and numbers of tokens"
            raise ScenarioError.at(self.path, f"has texts without {without}{self._as_written()}")
        if self.arrivals.waiting_clients() is not None:
            raise ScenarioError.at(
                self.path,
                "has no times, and closed_loop arrivals wait for answers; expected workload.sessions: {trace: {path: …}, concurrency: 8}",
            )
        times_s = self.arrivals.times(stream(seed, "arrivals"))
        return islice(times_s, getattr(self.arrivals, "requests", None))

    def _as_written(self) -> str:
        """Return the keys of a scenario for a file of texts, as the end of a message."""
        tokens = _TOKENS if self.tokenizer is None else f"tokenizer: {self.tokenizer}"
        keys = f"path: {Path(self.path).name}, {_ARRIVALS}, {tokens}"
        return f"; expected in a scenario workload: {{trace: {{{keys}}}}}"


def started(
    sessions: Iterator[RecordedSession], starts_s: Iterator[float], tally: Tally
) -> Iterator[RecordedSession]:
    """Yield conversations at these starts [s]; note the number of conversations without a start."""
    left = 0
    for session in sessions:
        start_s = next(starts_s, None)
        if start_s is None:
            left += 1
        else:
            yield session._replace(start_s=start_s)
    _note_left(left, "conversations", tally)
    tally.note(
        "the file has no pauses: a later turn of a conversation starts when the previous answer ends"
    )


def timed(rows: Batch, starts_s: Iterator[float], tally: Tally) -> Batch:
    """Return independent requests at these times [s]; note the number of requests without a time."""
    times_s = np.fromiter(islice(starts_s, len(rows.line)), dtype=float)
    _note_left(len(rows.line) - len(times_s), "requests", tally)
    tally.note("each question is a separate request, without the history of its conversation")
    return rows.take(np.arange(len(times_s)))._replace(time_s=times_s, links=None)


def _note_left(left: int, what: str, tally: Tally) -> None:
    if left:
        tally.note(f"{left:,} {what} are not sent: the arrivals end before them")


def _tokens_by(path: str) -> Callable[[str], int]:
    """Return a function that counts tokens by a file of the package tokenizers.

    Raises ScenarioError if the package is not installed, or the file is not a tokenizer.
    """
    try:
        import tokenizers
    except ImportError as fault:
        raise ScenarioError.at(
            path,
            "needs the package tokenizers; install it with: pip install 'cluster-sim[tokenizers]', or write tokens_per_word",
        ) from fault
    try:
        tokenizer = tokenizers.Tokenizer.from_file(path)
    # The package raises plain Exception.
    except Exception as fault:
        raise ScenarioError.at(path, f"is not a tokenizer.json: {fault}") from fault

    def count(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False).ids) if text.strip() else 0

    return count
