"""Rows of recorded traces, single rows and columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice, repeat
from typing import Any, NamedTuple

import numpy as np

from cluster_sim.workload.traces.progress import Place

Pieces = tuple[tuple[int, int], ...]
"""Identity and tokens of each piece at the beginning of a prompt, see `Request.pieces`."""
Row = tuple[float, int, int, Pieces]
"""Time [s], prompt tokens, output tokens, and the pieces at the beginning of the prompt."""
Blocks = tuple[Sequence[int], int | Sequence[int]]
"""Identities of the blocks of a prompt from its beginning, and their length: one length, or one per
block [tokens]. With one length the last block may be shorter. Blocks need a tenth of the memory of
pieces, so pieces are built only when a request is created."""
RawRow = tuple[float, int, int, Blocks]
"""Time [s], prompt tokens, output tokens, and the blocks of the prompt."""

MAX_TOKENS = 10**9
"""Maximum length of a prompt or an answer in a row [tokens]."""
MAX_EXACT = 1 << 53
"""Number below which a float represents every whole number exactly."""
AT_A_TIME = 4096
"""Number of rows that are read together."""


class Links(NamedTuple):
    """Links between the rows of conversations, as columns."""

    session: np.ndarray
    """Number of the conversation of each row; -1 for a row without a conversation."""
    answered_s: np.ndarray
    """Recorded time at which the answer of each row ended, on the clock of the rows; NaN if it is
    unknown [s]."""
    delay_s: np.ndarray
    """Recorded pause between the previous answer and each row; NaN if it is unknown [s]."""
    adds: bool = False
    """Whether lengths of prompts count only the new tokens of a turn. Default: whole prompts are
    counted."""

    def take(self, places: np.ndarray) -> Links:
        """Return the links of the rows at these positions."""
        return Links(self.session[places], self.answered_s[places], self.delay_s[places], self.adds)

    def then(self, later: Links) -> Links:
        """Return these links, followed by the links of `later`."""
        session, answered_s, delay_s = (
            np.concatenate(pair) for pair in zip(self[:3], later[:3], strict=True)
        )
        return Links(session, answered_s, delay_s, self.adds or later.adds)


def no_links(rows: int) -> Links:
    """Return the links of rows without conversations."""
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
    """Blocks of the prompts; None if no row has blocks."""
    line: np.ndarray
    """Line of each row in its file; 0 if it has no line."""
    links: Links | None = None
    """Links between the rows; None if no row belongs to a conversation."""

    def take(self, which: np.ndarray) -> Batch:
        """Return the rows at these positions, or the rows for which a mask is true."""
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
        """Return these rows, followed by the rows of `later`."""
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
        """Yield single rows."""
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
    """Return a batch of these columns, after a check of their values.

    The time of a turn with a recorded pause after an answer may be NaN. Raises ValueError if any
    other time is not finite, or a length is negative or too large.
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
    """Return lengths as a column [tokens]; 374.0 is read as 374.

    Raises ValueError if a value is not a whole number.
    """
    if set(map(type, values)) <= {int}:
        return np.array(values, dtype=np.int64)
    column = numbers(values)
    if not np.all((np.abs(column) < MAX_EXACT) & (column == np.floor(column))):
        raise ValueError
    return column.astype(np.int64)


def numbers(values: Sequence[Any]) -> np.ndarray:
    """Return numbers as a column: int64, or float64 if a value is a float.

    Raises ValueError if a value is not a number; true and false are not numbers.
    """
    if not set(map(type, values)) <= {int, float}:
        raise ValueError
    return np.array(values, dtype=np.float64 if any(type(v) is float for v in values) else np.int64)


def pieces_of(ids: Sequence[int], prompt_tokens: int, block_tokens: int | Sequence[int]) -> Pieces:
    """Return the blocks of a prompt as pieces; the last piece has the remaining tokens.

    Blocks beyond the end of the prompt are ignored.
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
"""Blocks of a prompt that shares nothing with other prompts."""
NONE = Batch(
    np.zeros(0),
    np.zeros(0, dtype=np.int64),
    np.zeros(0, dtype=np.int64),
    None,
    np.zeros(0, dtype=np.int64),
)
"""A batch of no rows."""


def in_batches(rows: Iterator[RawRow], place: Place) -> Iterator[Batch]:
    """Yield the rows of a reader as batches; the line of a row is the current line of `place`."""
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
