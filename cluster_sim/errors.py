"""Errors of the input. Each names the location, the input, what was expected, and the remedy."""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import isfinite, isnan
from os import strerror
from typing import Self
from unicodedata import category

_MOST_OFFERED = 6  # names in place of one that is not known
_MOST_SHOWN = 60  # maximum number of characters of a value in a message
_MOST_BITS = 200  # maximum number of bits of a number in a message; larger ones are slow or impossible to write


@dataclass(frozen=True)
class Fault:
    """One fault of the input."""

    where: str
    """Location of the fault, as `file:line`, or the command-line option that holds the value."""
    what: str
    """Sentence that describes the fault."""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class ScenarioError(ValueError):
    """Error of the input, with every fault, so that a user can mend all of them together.

    It is a ValueError, so that pydantic adds one that a validator raises to the other faults of the
    file. Faults of one file are sorted by line and stay together.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        files: dict[str, int] = {}
        for fault in faults:
            files.setdefault(_file_and_line(fault.where)[0], len(files))

        def place(fault: Fault) -> tuple[int, int]:
            file, line = _file_and_line(fault.where)
            return files[file], line

        self.faults = tuple(sorted(dict.fromkeys(faults), key=place))
        # the single argument, so that pickle and SimPy can create the error again
        super().__init__(self.faults)

    def __str__(self) -> str:
        return "\n".join(map(str, self.faults))

    @classmethod
    def at(cls, where: str, what: str) -> Self:
        """Return the error of a single fault.

        >>> str(ScenarioError.at("x.yaml:3", "seed: got -1; expected at least 0"))
        'x.yaml:3: seed: got -1; expected at least 0'
        """
        return cls([Fault(where, what)])


def _file_and_line(where: str) -> tuple[str, int]:
    file, colon, line = where.rpartition(":")
    return (file, int(line)) if colon and line.isdecimal() else (where, 0)


class OutputError(ScenarioError):
    """Failure to write to a medium that is full, read-only or broken. The input is not at fault."""


class SimulationError(Exception):
    """Failure of the simulation itself: a broken invariant of the program, never the user's input."""


class SummaryError(SimulationError):
    """Failure to compute the summary of a run. All tables of the run are saved."""


_OF_THE_PATH = {
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.EINVAL,
    errno.ENAMETOOLONG,
    errno.ELOOP,
}
"""System errors for a path at which nothing can be written, whatever the medium."""


def cannot_write(path: object, fault: OSError, rest: str = "") -> ScenarioError:
    """Return the error for output that cannot be written.

    It is an OutputError unless the path itself is at fault.

    Parameters
    ----------
    path
        File or folder that cannot be written.
    fault
        Error of the operating system.
    rest
        Continuation of the message: what happens to the other output.
    """
    kind = ScenarioError if fault.errno in _OF_THE_PATH else OutputError
    reason = strerror(fault.errno) if fault.errno else str(fault)
    return kind.at(str(path), f"cannot be written: {reason}{rest}")


def did_you_mean(value: object, known: Sequence[str]) -> str:
    """Return `; did you mean 'x'?` with the nearest of `known`, or all of them if none is near.

    Near names contain all words of the value, have similar letters in any case, have words that
    begin with the letters of the value, or contain the value, in this order of preference.

    >>> did_you_mean("b200", ["b200-sxm", "dgx-b200", "gb200"])
    "; did you mean 'b200-sxm' or 'dgx-b200'?"
    >>> did_you_mean("poison", ["gamma", "poisson"])
    "; did you mean 'poisson'?"
    >>> did_you_mean("tp", ["pipeline_parallel", "tensor_parallel"])
    "; did you mean 'tensor_parallel'?"
    >>> did_you_mean("ttft", ["mean_ttft_ms", "duration", "p99_ttft_ms"])
    "; did you mean 'mean_ttft_ms' or 'p99_ttft_ms'?"
    >>> did_you_mean("x", ["gamma", "poisson"])
    '; expected one of gamma, poisson'
    """
    near = [f"'{name}'" for name in nearest(str(value), known)]
    if not near:
        return f"; expected {'one of ' if len(known) > 1 else ''}{', '.join(known)}"
    *others, last = near
    return f"; did you mean {', '.join(others)} or {last}?" if others else f"; did you mean {last}?"


def nearest(text: str, known: Sequence[str]) -> list[str]:
    """Return at most six names that a user may have meant by a text."""
    text = text[:_MOST_SHOWN].lower()
    if with_words := _with_words_of(text, known):
        return with_words[:_MOST_OFFERED]
    names = {name.lower(): name for name in known}
    if close := get_close_matches(text, names, n=1, cutoff=0.6):
        return [names[close[0]]]
    initials = [
        name for name in known if "_" in name and "".join(w[:1] for w in name.split("_")) == text
    ]
    inside = [name for lower, name in names.items() if len(text) > 2 and text in lower]
    return (initials or inside)[:3]


def _with_words_of(text: str, known: Sequence[str]) -> list[str]:
    """Return the names that contain all words of a text of three letters or more."""
    words = _words(text)
    return [name for name in known if words <= _words(name)] if len(text) >= 3 and words else []


def _words(name: str) -> set[str]:
    return {word for word in re.split(r"[^a-z0-9.]+", name.lower()) if word}


_TURNS_TEXT = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that change the direction of the text after them, so that it reads as another text."""


def is_printable(character: str) -> bool:
    """Return whether a character is displayed as itself in a line of text.

    Control characters, halves of surrogate pairs, ends of lines and characters that change the
    direction of text are not.
    """
    return character not in _TURNS_TEXT and category(character) not in ("Cc", "Cs", "Zl", "Zp")


def visible(text: str) -> str:
    r"""Return a text that is safe to display: characters that cannot be printed become escapes.

    Tabs and ends of lines stay, so that messages of several lines can be passed too.

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
    """Return a value as a message shows it: written as in a file, and shortened if it is long.

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
