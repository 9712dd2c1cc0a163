"""What can go wrong, said so that the reader can mend it: where, what came, what was wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True)
class Fault:
    """One thing wrong with the input. `where` is `file:line`, or the command-line option that it came from."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class ScenarioError(Exception):
    """The input is at fault. Holds every fault that was found, so that they can be mended in one go."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))

    @classmethod
    def at(cls, where: str, what: str) -> ScenarioError:
        """The error of a single fault."""
        return cls([Fault(where, what)])


class SimulationError(Exception):
    """The simulation itself failed: a broken invariant of ours, never the user's input."""


def did_you_mean(came: object, known: Sequence[str]) -> str:
    """`; did you mean 'x'?` with the nearest of `known`, or the list of them where nothing is near.

    >>> did_you_mean("poison", ["gamma", "poisson"])
    "; did you mean 'poisson'?"
    >>> did_you_mean("x", ["gamma", "poisson"])
    '; known: gamma, poisson'
    """
    near = get_close_matches(str(came), known, n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else f"; known: {', '.join(known)}"
