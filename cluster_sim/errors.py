"""Errors of the input. Each says where it is, what the input got, what was expected and how to mend it."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import isfinite, isnan
from os import strerror
from unicodedata import category

_MOST_SHOWN = 60  # characters of a value
_MOST_BITS = 200  # of a number; larger ones are slow to write, or cannot be


@dataclass(frozen=True)
class Fault:
    """One thing wrong with the input."""

    where: str
    """Place, as `file:line`, or the command-line option that it came from."""
    what: str
    """Sentence that says what is wrong."""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class ScenarioError(ValueError):
    """Error of the input, with every fault that was found, so that all can be mended at once.

    It is a ValueError, so that pydantic carries one that a validator raises to the other faults of
    the file. Faults of one file stand together, in the order of its lines.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        files: dict[str, int] = {}
        for fault in faults:
            files.setdefault(_file_and_line(fault.where)[0], len(files))

        def place(fault: Fault) -> tuple[int, int]:
            file, line = _file_and_line(fault.where)
            return files[file], line

        self.faults = tuple(sorted(dict.fromkeys(faults), key=place))
        # its one argument, so that those who make it anew, as pickle and SimPy do, can
        super().__init__(self.faults)

    def __str__(self) -> str:
        return "\n".join(map(str, self.faults))

    @classmethod
    def at(cls, where: str, what: str) -> ScenarioError:
        """Return the error of a single fault."""
        return cls([Fault(where, what)])


def _file_and_line(where: str) -> tuple[str, int]:
    file, colon, line = where.rpartition(":")
    return (file, int(line)) if colon and line.isdecimal() else (where, 0)


class OutputError(ScenarioError):
    """Failure to write on a medium that is full, read-only or broken: no fault of the input."""


class SimulationError(Exception):
    """Failure of the simulation itself: a broken invariant of ours, never the user's input."""


class SummaryError(SimulationError):
    """Failure to compute the summary of a run, all tables of which are saved."""


_OF_THE_PATH = {
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.EINVAL,
    errno.ENAMETOOLONG,
    errno.ELOOP,
}
"""Errors of the system for a path at which nothing can be written, whatever the medium."""


def cannot_write(path: object, fault: OSError, rest: str = "") -> ScenarioError:
    """Return the error of output that cannot be written; rest: what becomes of the rest.

    It is an OutputError unless the path itself is at fault.
    """
    kind = ScenarioError if fault.errno in _OF_THE_PATH else OutputError
    reason = strerror(fault.errno) if fault.errno else str(fault)
    return kind.at(str(path), f"cannot be written: {reason}{rest}")


def did_you_mean(value: object, known: Sequence[str]) -> str:
    """Return `; did you mean 'x'?` with the nearest of `known`, or all where none is near.

    >>> did_you_mean("poison", ["gamma", "poisson"])
    "; did you mean 'poisson'?"
    >>> did_you_mean("x", ["gamma", "poisson"])
    '; known: gamma, poisson'
    """
    near = get_close_matches(str(value)[:_MOST_SHOWN], known, n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else f"; known: {', '.join(known)}"


_TURNS_TEXT = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that turn the direction of the text after them, so that it reads as another."""


def is_printable(character: str) -> bool:
    """Return whether a character stands for itself in a line of text.

    Control characters do not, nor do halves of characters, ends of lines and what turns text round.
    """
    return character not in _TURNS_TEXT and category(character) not in ("Cc", "Cs", "Zl", "Zp")


def visible(text: str) -> str:
    r"""Return a text as it may be shown anywhere: what cannot be printed is spelled by its number.

    Tabs and ends of lines stay, so that it does for messages of several lines.

    >>> visible("red \x1b[31m, \x00"), visible("日本語 [b]x[/b] $y$")
    ('red \\x1b[31m, \\x00', '日本語 [b]x[/b] $y$')
    """
    if text.isprintable():
        return text
    return "".join(
        sign if sign in "\n\t" or is_printable(sign) else sign.encode("unicode_escape").decode()
        for sign in text
    )


def shown(value: object) -> str:
    """Return a value as a message shows it: as a file writes it, and not all of a long one.

    >>> shown("8 TBs"), shown(True), shown(None), shown(float("nan")), shown({"a": 1}), shown([])
    ("'8 TBs'", 'true', 'nothing', '.nan', 'a mapping', 'an empty list')
    """
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case dict():
            return "a mapping" if value else "an empty mapping"
        case list() | tuple():
            return "a list" if value else "an empty list"
        case float() if not isfinite(value):
            return ".nan" if isnan(value) else ".inf" if value > 0 else "-.inf"
        case int() if value.bit_length() >= _MOST_BITS:
            return "a huge number"
    text = visible(" ".join(str(value).split()))
    text = text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
    return f"'{text}'" if isinstance(value, str) else text
