"""Published claims as data: text, source, claimed value, and readings.

A file of claims names quantities: metrics of runs, estimates by arithmetic, figures of the catalog,
measurements, or values of other sources. Each reading of a claim is an expression of these
quantities.
"""

from __future__ import annotations

import string
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, model_validator

from cluster_sim.claims.expressions import Expression, names_in
from cluster_sim.claims.quantities import Quantity
from cluster_sim.schema import Description, Trail

Outcome = Literal["holds", "holds if", "does not hold", "no figure"]


class Parameter(Description):
    """Number on which readings depend, with the values between which it is varied.

    Quantities use it in `set`, in braces: {users} or {8 * users}. Expressions use it by its name.
    """

    value: FiniteFloat
    """Value of the readings as they are written."""
    low: FiniteFloat
    """Lowest value."""
    high: FiniteFloat
    """Highest value."""
    unit: str = ""
    """Unit, or the noun that is counted, such as users."""
    whole: bool = False
    """Whether values are whole numbers."""

    @model_validator(mode="after")
    def _is_in_order(self) -> Parameter:
        if not self.low <= self.value <= self.high:
            raise ValueError(
                f"got {self.value:g}; expected a value from {self.low:g} to {self.high:g}, its low and high"
            )
        return self


class Condition(Description):
    """Condition of a reading that is varied, to find where the reading agrees with its claim."""

    parameter: str
    """Name of the parameter that is varied."""
    shown: Expression | None = None
    """Quantity by which the range is shown beside the parameter, such as the time per token."""
    unit: str = ""
    """Unit of `shown`."""


class ClaimReading(Description):
    """One possible meaning of a claim."""

    name: str
    """Name of the reading. It follows `if it means` in verdicts, such as: one user, without drafts."""
    found: Expression
    """Simulated value, or value from the catalog, in the unit of the claim."""
    limit: Expression | None = None
    """Maximum that the hardware allows, in the unit of the claim."""
    measured: tuple[Expression, ...] = ()
    """Published measurements of the quantity, in the unit of the claim."""
    over: Condition | None = None
    """Condition for which the range is found. Default: the reading has no condition."""

    def expressions(self) -> Iterator[tuple[Trail, str]]:
        """Yield each expression with the keys that lead to it."""
        yield ("found",), self.found
        if self.limit is not None:
            yield ("limit",), self.limit
        for number, expression in enumerate(self.measured):
            yield ("measured", number), expression
        if self.over is not None and self.over.shown is not None:
            yield ("over", "shown"), self.over.shown


class Because(Description):
    """Sentences that explain the verdict, one per verdict.

    Quantities, `found` and `claimed` are written in braces: {cs3_alone:.0f}.
    """

    holds: str = ""
    """Sentence for a claim that holds."""
    holds_if: str = ""
    """Sentence for a claim that holds only under another reading."""
    does_not_hold: str = ""
    """Sentence for a claim that does not hold."""

    def of(self, outcome: Outcome) -> str:
        """Return the sentence for a verdict; "" if the file gives none."""
        sentences = {
            "holds": self.holds,
            "holds if": self.holds_if,
            "does not hold": self.does_not_hold,
        }
        return sentences.get(outcome, "")


class Claim(Description):
    """Published claim with its value and readings."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
    """Name of the claim."""
    text: str
    """Text of the claim."""
    source: str | None = None
    """Source of the claim. Default: the source of the file's claims."""
    value: Expression | None = None
    """Claimed value. Without a value, readings are reported and not judged."""
    unit: str = ""
    """Unit of the claimed value."""
    relation: Literal["about", "at_least", "at_most"] = "about"
    """Relation of the value to the claimed value: about, at_least or at_most."""
    tolerance: Annotated[float, Field(ge=0.0, lt=1.0)] | None = None
    """Share of the claimed value by which values may deviate. Default: the file's tolerance."""
    readings: Annotated[tuple[ClaimReading, ...], Field(min_length=1)]
    """Readings of the claim, the plain reading first."""
    because: Because = Field(default_factory=Because)
    """Sentences that explain the verdict."""

    def expressions(self) -> Iterator[tuple[Trail, str]]:
        """Yield each expression with the keys that lead to it."""
        if self.value is not None:
            yield ("value",), self.value
        for number, reading in enumerate(self.readings):
            for trail, expression in reading.expressions():
                yield ("readings", number, *trail), expression

    def quantities(self) -> set[str]:
        """Return the names of the quantities in the claim's expressions and sentences."""
        in_expressions = {name for _, text in self.expressions() for name in names_in(text)}
        sentences = (getattr(self.because, outcome) for outcome in Because.model_fields)
        in_sentences = {name for text in sentences for name in names_in_braces(text)}
        return (in_expressions | in_sentences) - {"found", "claimed"}


def names_in_braces(sentence: str) -> set[str]:
    """Return the names in the braces of a sentence.

    Raises
    ------
    ValueError
        The braces do not match.

    Examples
    --------
    >>> sorted(names_in_braces("{found} of {all_w:.0f} W"))
    ['all_w', 'found']
    """
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}


class Claims(Description):
    """File of claims.

    A reading agrees with its claim if the simulated value is within the tolerance of the claimed
    value (about), not below it by more than the tolerance (at_least), or not above it by more than
    the tolerance (at_most). If measurements were published, at least one must agree, too. A claim
    holds if its plain reading agrees. It holds under a condition if only another reading agrees. It
    does not hold if no reading agrees.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
    """Name of the file."""
    source: str = ""
    """Source of the claims."""
    tolerance: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.2
    """Share of a claimed value by which values may deviate."""
    parameters: dict[str, Parameter] = Field(default_factory=dict)
    """Parameters by name; no quantity has the same name."""
    quantities: dict[str, Quantity]
    """Quantities by name."""
    claims: Annotated[tuple[Claim, ...], Field(min_length=1)]
    """Claims in the order in which they are reported."""
