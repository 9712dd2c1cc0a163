"""Values of one reading of a claim, under any changes of parameters and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from cluster_sim.claims.expressions import names_in, value_of
from cluster_sim.claims.ranges import Side
from cluster_sim.claims.spec import Claim, ClaimReading
from cluster_sim.errors import ScenarioError
from cluster_sim.schema import Document, Trail


@dataclass(frozen=True)
class ReadValues:
    """Values of a reading, all in the unit of the claim."""

    claimed: float | None
    """Claimed value; None if the claim has no number."""
    found: float
    """Simulated value, or value from the catalog."""
    measured: tuple[float, ...]
    """Published measurements."""
    agrees: bool | None
    """Whether the reading agrees with the claim; None if the claim has no number."""
    side: Side
    """Position of the value found; None if the claim has no number."""


@dataclass(frozen=True)
class ReadingOf:
    """One reading of a claim of a file."""

    document: Document
    place: int
    """Position of the claim in the file."""
    claim: Claim
    number: int
    """Position of the reading in the claim."""
    tolerance: float
    """Share of the claimed value by which a simulated value may deviate."""

    @property
    def reading(self) -> ClaimReading:
        """Description of the reading."""
        return self.claim.readings[self.number]

    @cached_property
    def judged_names(self) -> tuple[str, ...]:
        """Names of the quantities and parameters that decide whether the reading agrees."""
        return _names(self.claim.value, self.reading.found, *self.reading.measured)

    @cached_property
    def shown_names(self) -> tuple[str, ...]:
        """Names of the quantities and parameters by which the range is shown."""
        over = self.reading.over
        return _names(over.shown) if over is not None else ()

    def values(self, numbers: Mapping[str, float]) -> ReadValues:
        """Return the values of the reading.

        Parameters
        ----------
        numbers
            Values of `judged_names`.

        Raises
        ------
        ScenarioError
            An expression divides by 0.
        """
        reading, claim = self.reading, self.claim
        trail: Trail = ("readings", self.number)
        found = self.value((*trail, "found"), reading.found, numbers)
        measured = tuple(
            self.value((*trail, "measured", place), expression, numbers)
            for place, expression in enumerate(reading.measured)
        )
        if claim.value is None:
            return ReadValues(None, found, measured, None, None)
        claimed = self.value(("value",), claim.value, numbers)
        agrees = agree(claim.relation, claimed, self.tolerance, found, measured)
        alone = side_of(claim.relation, claimed, self.tolerance, found)
        side = 2 if alone == 0 and not agrees else alone
        return ReadValues(claimed, found, measured, agrees, side)

    def value(self, trail: Trail, expression: str, numbers: Mapping[str, float]) -> float:
        """Return the value of an expression of the claim; trail: keys that lead to it."""
        try:
            return value_of(expression, numbers)
        except ZeroDivisionError as fault:
            raise ScenarioError.at(
                self.document.place(("claims", self.place, *trail)),
                f"'{expression}' divides by a quantity whose value is 0",
            ) from fault


def _names(*expressions: str | None) -> tuple[str, ...]:
    """Return the names in expressions, each once."""
    return tuple(dict.fromkeys(name for text in expressions if text for name in names_in(text)))


def side_of(relation: str, claimed: float, tolerance: float, found: float) -> int:
    """Return whether a value is below what a claim allows (-1), above it (1), or within it (0).

    Parameters
    ----------
    relation
        Relation of the value to the claimed value: about, at_least or at_most.
    claimed
        Claimed value.
    tolerance
        Share of the claimed value by which the value may deviate.
    found
        Value.

    Examples
    --------
    >>> [side_of("about", 100.0, 0.2, value) for value in (79.0, 100.0, 121.0)]
    [-1, 0, 1]
    >>> side_of("at_least", 100.0, 0.0, 1000.0)
    0
    """
    slack = tolerance * abs(claimed)
    if relation != "at_most" and found < claimed - slack:
        return -1
    return 1 if relation != "at_least" and found > claimed + slack else 0


def agree(
    relation: str, claimed: float, tolerance: float, found: float, measured: Sequence[float] = ()
) -> bool:
    """Return whether a reading agrees with a claim.

    The simulated value must agree. If there are measured values, at least one must agree, too.

    Parameters
    ----------
    relation
        Relation of the value to the claimed value: about, at_least or at_most.
    claimed
        Claimed value.
    tolerance
        Share of the claimed value by which values may deviate.
    found
        Simulated value.
    measured
        Published measurements.

    Examples
    --------
    >>> agree("about", 100.0, 0.2, 119.0), agree("at_least", 100.0, 0.0, 99.0)
    (True, False)
    >>> agree("about", 100.0, 0.2, 100.0, (70.0,))
    False
    """

    def is_within(value: float) -> bool:
        return side_of(relation, claimed, tolerance, value) == 0

    return is_within(found) and (not measured or any(map(is_within, measured)))
