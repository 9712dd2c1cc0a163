"""What readers of all formats share: rows, what was left out of them, and opening files of any
kind.
"""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice, repeat
from pathlib import Path
from typing import IO, Any, NamedTuple, NoReturn

import numpy as np

from cluster_sim.errors import ScenarioError, shown

Pieces = tuple[tuple[int, int], ...]
Row = tuple[float, int, int, Pieces]
"""Time [s], prompt tokens, output tokens, and the identities of the prompt's beginning, see
`Request.pieces`."""
Blocks = tuple[Sequence[int], int]
"""Identities of the prompt's blocks from the front, and the tokens of each, of which the last may
have fewer; they take a tenth of the room of pieces, so pieces are made where a request is."""
RawRow = tuple[float, int, int, Blocks]

MOST_TOKENS = 10**9
AT_A_TIME = 4096
"""Rows that are read together."""


class Batch(NamedTuple):
    """Rows as columns: times [s], tokens, blocks (None where no row has any), and the line of each
    (0 where it has none).
    """

    time_s: np.ndarray
    prompt: np.ndarray
    output: np.ndarray
    blocks: list[Blocks] | None
    line: np.ndarray

    def take(self, which: np.ndarray) -> Batch:
        """The rows at these places, or where this is true."""
        places = np.nonzero(which)[0] if which.dtype == bool else which
        blocks = None if self.blocks is None else [self.blocks[place] for place in places.tolist()]
        return Batch(
            self.time_s[places], self.prompt[places], self.output[places], blocks, self.line[places]
        )

    def then(self, other: Batch) -> Batch:
        """These rows and those of `other` behind them."""
        blocks = None
        if self.blocks is not None or other.blocks is not None:
            blocks = [
                *(self.blocks or [UNKNOWN] * len(self.line)),
                *(other.blocks or [UNKNOWN] * len(other.line)),
            ]
        return Batch(
            np.concatenate([self.time_s, other.time_s]),
            np.concatenate([self.prompt, other.prompt]),
            np.concatenate([self.output, other.output]),
            blocks,
            np.concatenate([self.line, other.line]),
        )

    def pieces(self) -> Iterator[Pieces]:
        """What each prompt begins with."""
        if self.blocks is None:
            return repeat((), len(self.line))
        return (
            pieces_of(ids, prompt, block_tokens)
            for prompt, (ids, block_tokens) in zip(self.prompt.tolist(), self.blocks, strict=True)
        )

    def rows(self) -> Iterator[Row]:
        """One by one."""
        return zip(
            self.time_s.tolist(),
            self.prompt.tolist(),
            self.output.tolist(),
            self.pieces(),
            strict=True,
        )


def pieces_of(ids: Sequence[int], prompt_tokens: int, block_tokens: int) -> Pieces:
    """The blocks of a prompt as pieces, the last of what is left; blocks beyond the prompt are no
    part of it.
    """
    whole, left = divmod(prompt_tokens, block_tokens)
    pieces = zip(ids, repeat(block_tokens, whole), strict=False)
    return (*pieces, (ids[whole], left)) if left and len(ids) > whole else tuple(pieces)


UNKNOWN: Blocks = ((), 1)
"""Of a prompt that is like no other."""
NONE = Batch(
    np.zeros(0),
    np.zeros(0, dtype=np.int64),
    np.zeros(0, dtype=np.int64),
    None,
    np.zeros(0, dtype=np.int64),
)


def in_batches(rows: Iterator[RawRow], place: Place) -> Iterator[Batch]:
    """Rows as a reader gives them, put together; their lines are where `place` is."""
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


@dataclass
class Tally:
    """What a reader met on its way."""

    rows: int = 0
    """That were read."""
    failed: int = 0
    """Left out: the service answered nothing."""
    empty: int = 0
    """Left out: a prompt or an answer of no tokens."""
    unsorted: int = 0
    """Earlier than a row above; put in their place."""
    others: int = 0
    """Left out: requests of subagents, which go to another model."""

    def said(self) -> Iterator[str]:
        """A sentence for each kind of row that was not taken as it stood."""
        if self.failed:
            yield f"{self.failed:,} of {self.rows:,} rows are failures (no answer) and left out"
        if self.empty:
            yield f"{self.empty:,} of {self.rows:,} rows have no prompt or no answer and are left out"
        if self.unsorted:
            yield f"{self.unsorted:,} of {self.rows:,} rows are earlier than a row above and put in their place"
        if self.others:
            yield f"{self.others:,} requests of subagents go to another model and are left out"


class Place:
    """Where a reader is: the file and the line of the row that it has just given."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.line: Callable[[], int] = lambda: 0

    def refuse(self, what: str) -> NoReturn:
        """Raises ScenarioError at this line."""
        self.refuse_at(self.line(), what)

    def refuse_at(self, line: int, what: str) -> NoReturn:
        """Raises ScenarioError at that line, or for the file where it is 0."""
        raise ScenarioError.at(f"{self.file}:{line}" if line else self.file, what)

    def wanted(self, came: str, wanted: str) -> NoReturn:
        """Raises ScenarioError at this line: came this, wanted that."""
        self.refuse(f"came {shown(came)}; wanted {wanted}")


@contextmanager
def opened(path: str | Path) -> Iterator[IO[str]]:
    """The text of a file, unpacked where it is gzip's, which its first bytes say.

    Raises ScenarioError where it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        kinds: dict[str, Any] = {"encoding": "utf-8", "errors": "replace", "newline": ""}
        with gzip.open(path, "rt", **kinds) if packed else open(path, **kinds) as text:
            yield text
    except (OSError, EOFError) as fault:
        reason = getattr(fault, "strerror", None) or str(fault) or "no reason given"
        raise ScenarioError.at(str(path), f"cannot be read: {reason.lower()}") from fault


def members(path: str | Path) -> Iterator[tuple[str, str]]:
    """(name, text) of every file in a folder, by name, or in a tar archive, in its order.

    Raises ScenarioError where something cannot be read.
    """
    root = Path(path)
    try:
        if root.is_dir():
            for file in sorted(root.rglob("*")):
                if file.is_file() and not file.name.startswith("."):
                    with opened(file) as text:
                        yield str(file), text.read()
            return
        with tarfile.open(root) as archive:
            for (
                entry
            ) in archive:  # in its own order: to go back in a packed archive is to unpack it again
                if entry.isfile() and (data := archive.extractfile(entry)) is not None:
                    yield f"{root}({entry.name})", data.read().decode("utf-8", "replace")
    except (OSError, EOFError, tarfile.TarError) as fault:
        raise ScenarioError.at(
            str(path), f"cannot be read: {getattr(fault, 'strerror', None) or fault}"
        ) from fault


def names(path: str | Path) -> list[str]:
    """Names of the files in a folder or tar archive. Raises ScenarioError where it cannot be read."""
    root = Path(path)
    if root.is_dir():
        return [str(file) for file in root.rglob("*")]
    try:
        with tarfile.open(root) as archive:
            return archive.getnames()
    except (OSError, EOFError, tarfile.TarError) as fault:
        raise ScenarioError.at(
            str(path), f"cannot be read: {getattr(fault, 'strerror', None) or fault}"
        ) from fault


def is_archive(path: str | Path) -> bool:
    """Whether this is a folder, or a tar archive, packed or not."""
    root = Path(path)
    return root.is_dir() or tarfile.is_tarfile(root)
