"""What can go wrong, said so that the reader can mend it: where, what came, what was wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import isfinite

_MOST_SHOWN = 60  # characters of a value that came


@dataclass(frozen=True)
class Fault:
    """One thing wrong with the input. `where` is `file:line`, or the command-line option that it
    came from.
    """

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class ScenarioError(ValueError):
    """The input is at fault. Holds every fault that was found, so that they can be mended in one
    go.

    A ValueError, so that pydantic carries one that a validator raises to the other faults of the
    file. Faults of one file stand together, in the order of its lines.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        files: dict[str, int] = {}
        for fault in faults:
            files.setdefault(_file_and_line(fault.where)[0], len(files))

        def place(fault: Fault) -> tuple[int, int]:
            file, line = _file_and_line(fault.where)
            return files[file], line

        self.faults = tuple(sorted(dict.fromkeys(faults), key=place))
        super().__init__(
            self.faults
        )  # its one argument, so that those who make it anew, as pickle and SimPy do, can

    def __str__(self) -> str:
        return "\n".join(map(str, self.faults))

    @classmethod
    def at(cls, where: str, what: str) -> ScenarioError:
        """The error of a single fault."""
        return cls([Fault(where, what)])


def _file_and_line(where: str) -> tuple[str, int]:
    file, colon, line = where.rpartition(":")
    return (file, int(line)) if colon and line.isdecimal() else (where, 0)


class SimulationError(Exception):
    """The simulation itself failed: a broken invariant of ours, never the user's input."""


def did_you_mean(came: object, known: Sequence[str]) -> str:
    """`; did you mean 'x'?` with the nearest of `known`, or the list of them where nothing is near.

    >>> did_you_mean("poison", ["gamma", "poisson"])
    "; did you mean 'poisson'?"
    >>> did_you_mean("x", ["gamma", "poisson"])
    '; known: gamma, poisson'
    """
    near = get_close_matches(str(came)[:_MOST_SHOWN], known, n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else f"; known: {', '.join(known)}"


def shown(came: object) -> str:
    """A value as a message shows it: as a file writes it, and not all of a long one.

    >>> shown("8 TBs"), shown(True), shown(None), shown(float("nan")), shown({"a": 1}), shown([])
    ("'8 TBs'", 'true', 'nothing', '.nan', 'a mapping', 'an empty list')
    """
    if came is None:
        return "nothing"
    if isinstance(came, bool):
        return "true" if came else "false"
    if isinstance(came, dict):
        return "a mapping" if came else "an empty mapping"
    if isinstance(came, (list, tuple)):
        return "a list" if came else "an empty list"
    if isinstance(came, float) and not isfinite(came):
        return ".nan" if came != came else ".inf" if came > 0 else "-.inf"
    text = (
        " ".join(str(came).split())
        if not isinstance(came, int) or came.bit_length() < 200
        else "a huge number"
    )
    text = text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
    return f"'{text}'" if isinstance(came, str) else text
