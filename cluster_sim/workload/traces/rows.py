"""Rows of recorded traces, one by one and as columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice, repeat
from typing import Any, NamedTuple

import numpy as np

from cluster_sim.workload.traces.progress import Place

Pieces = tuple[tuple[int, int], ...]
"""Identity and tokens of each piece at a prompt's beginning, see `Request.pieces`."""
Row = tuple[float, int, int, Pieces]
"""Time [s], prompt tokens, output tokens, and the pieces at the prompt's beginning."""
Blocks = tuple[Sequence[int], int | Sequence[int]]
"""Identities of the prompt's blocks from the front, and the tokens of each: one length, of which the
last block may have fewer, or one length for each. They take a tenth of the memory of pieces, so pieces are made where a request is."""
RawRow = tuple[float, int, int, Blocks]
"""Time [s], prompt tokens, output tokens, and the prompt's blocks."""

MAX_TOKENS = 10**9
"""Greatest length that a row may have [tokens]."""
MAX_EXACT = 1 << 53
"""Number below which a float holds every whole number."""
AT_A_TIME = 4096
"""Number of rows that are read together."""


class Links(NamedTuple):
    """How rows follow one another in conversations, as columns."""

    session: np.ndarray
    """Number of each row's conversation; -1 for a row that belongs to none."""
    answered_s: np.ndarray
    """Recorded time at which each row's answer ended, on the clock of the rows; NaN where the file
    does not say [s]."""
    delay_s: np.ndarray
    """Recorded pause between the answer to the turn before and each row; NaN where the file does not
    say [s]."""
    adds: bool = False
    """Whether prompts hold only what a turn adds to the conversation. Default: the whole of it."""

    def take(self, places: np.ndarray) -> Links:
        """Return the links of the rows at these places."""
        return Links(self.session[places], self.answered_s[places], self.delay_s[places], self.adds)

    def then(self, later: Links) -> Links:
        """Return these links and those of `later` behind them."""
        session, answered_s, delay_s = (
            np.concatenate(pair) for pair in zip(self[:3], later[:3], strict=True)
        )
        return Links(session, answered_s, delay_s, self.adds or later.adds)


def no_links(rows: int) -> Links:
    """Return the links of rows that stand alone."""
    unknown = np.full(rows, np.nan)
    return Links(np.full(rows, -1), unknown, unknown)


class Batch(NamedTuple):
    """Rows as columns."""

    time_s: np.ndarray
    """Arrival times [s]."""
    prompt: np.ndarray
    """Lengths of the prompts [tokens]."""
    output: np.ndarray
    """Lengths of the answers [tokens]."""
    blocks: list[Blocks] | None
    """Blocks of the prompts; None where no row has any."""
    line: np.ndarray
    """Line of each row in its file; 0 where it has none."""
    links: Links | None = None
    """How the rows follow one another; None where each stands alone."""

    def take(self, which: np.ndarray) -> Batch:
        """Return the rows at these places, or where this is true."""
        places = np.nonzero(which)[0] if which.dtype == bool else which
        blocks = None if self.blocks is None else [self.blocks[place] for place in places.tolist()]
        return Batch(
            self.time_s[places],
            self.prompt[places],
            self.output[places],
            blocks,
            self.line[places],
            None if self.links is None else self.links.take(places),
        )

    def then(self, later: Batch) -> Batch:
        """Return these rows and those of `later` behind them."""
        blocks = None
        if self.blocks is not None or later.blocks is not None:
            blocks = [
                *(self.blocks or [UNKNOWN] * len(self.line)),
                *(later.blocks or [UNKNOWN] * len(later.line)),
            ]
        links = None
        if self.links is not None or later.links is not None:
            first = self.links if self.links is not None else no_links(len(self.line))
            links = first.then(
                later.links if later.links is not None else no_links(len(later.line))
            )
        return Batch(
            np.concatenate([self.time_s, later.time_s]),
            np.concatenate([self.prompt, later.prompt]),
            np.concatenate([self.output, later.output]),
            blocks,
            np.concatenate([self.line, later.line]),
            links,
        )

    def pieces(self) -> Iterator[Pieces]:
        """Yield the pieces at the beginning of each prompt."""
        if self.blocks is None:
            return repeat((), len(self.line))
        return (
            pieces_of(ids, prompt, block_tokens)
            for prompt, (ids, block_tokens) in zip(self.prompt.tolist(), self.blocks, strict=True)
        )

    def rows(self) -> Iterator[Row]:
        """Yield the rows one by one."""
        return zip(
            self.time_s.tolist(),
            self.prompt.tolist(),
            self.output.tolist(),
            self.pieces(),
            strict=True,
        )


def batch_of_columns(  # noqa: PLR0913 - the columns of a batch
    time_s: np.ndarray,
    prompt: np.ndarray,
    output: np.ndarray,
    blocks: Sequence[Blocks] | None,
    line: np.ndarray,
    links: Links | None = None,
) -> Batch:
    """Return the rows of these columns.

    A turn that follows an answer after a recorded pause may have the time NaN. Raises ValueError
    where another time is not finite, or a length is negative or too large.
    """
    timed = np.isfinite(time_s)
    if links is not None:
        timed |= np.isnan(time_s) & (links.delay_s >= 0.0)
    if (
        not np.all(timed)
        or min(prompt.min(), output.min()) < 0
        or max(prompt.max(), output.max()) > MAX_TOKENS
    ):
        raise ValueError
    return Batch(time_s, prompt, output, None if blocks is None else list(blocks), line, links)


def tokens(values: Sequence[Any]) -> np.ndarray:
    """Return lengths as a column; 374.0 is 374.

    Raises ValueError where one is no whole number.
    """
    if set(map(type, values)) <= {int}:
        return np.array(values, dtype=np.int64)
    column = numbers(values)
    if not np.all((np.abs(column) < MAX_EXACT) & (column == np.floor(column))):
        raise ValueError
    return column.astype(np.int64)


def numbers(values: Sequence[Any]) -> np.ndarray:
    """Return numbers as a column: int64, or float64 where one has a fraction.

    Raises ValueError where one is no number; true and false are none.
    """
    if not set(map(type, values)) <= {int, float}:
        raise ValueError
    return np.array(values, dtype=np.float64 if any(type(v) is float for v in values) else np.int64)


def pieces_of(ids: Sequence[int], prompt_tokens: int, block_tokens: int | Sequence[int]) -> Pieces:
    """Return the blocks of a prompt as pieces, of which the last holds what is left.

    Blocks beyond the prompt are no part of it.
    """
    if not isinstance(block_tokens, int):
        left = prompt_tokens
        pieces: list[tuple[int, int]] = []
        for identity, length in zip(ids, block_tokens, strict=True):
            if left:
                pieces.append((identity, min(length, left)))
                left -= pieces[-1][1]
        return tuple(pieces)
    whole, left = divmod(prompt_tokens, block_tokens)
    blocks = zip(ids, repeat(block_tokens, whole), strict=False)
    return (*blocks, (ids[whole], left)) if left and len(ids) > whole else tuple(blocks)


UNKNOWN: Blocks = ((), 1)
"""Blocks of a prompt that is like no other."""
NONE = Batch(
    np.zeros(0),
    np.zeros(0, dtype=np.int64),
    np.zeros(0, dtype=np.int64),
    None,
    np.zeros(0, dtype=np.int64),
)
"""A batch of no rows."""


def in_batches(rows: Iterator[RawRow], place: Place) -> Iterator[Batch]:
    """Yield the rows of a reader put together; their lines are where `place` is."""
    lined = ((*row, place.line()) for row in rows)
    for some in iter(lambda: list(islice(lined, AT_A_TIME)), []):
        times_s, prompts, outputs, blocks, lines = zip(*some, strict=True)
        yield Batch(
            np.array(times_s),
            np.array(prompts),
            np.array(outputs),
            list(blocks) if any(ids for ids, _ in blocks) else None,
            np.array(lines),
        )
