"""Published claims as data: what is said, by whom, and which figures would bear it out.

A file of claims names quantities, each a figure of a run, of arithmetic, of the catalog, of a
measurement or of a source, and says what each claim comes to as an expression of them, under each
reading that it may have.
"""

from __future__ import annotations

import string
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from cluster_sim.claims.expressions import Expression, names_in
from cluster_sim.claims.quantities import Quantity
from cluster_sim.schema import Description, Trail

Outcome = Literal["holds", "holds if", "does not hold", "no figure"]


class ClaimReading(Description):
    """One way to understand a claim."""

    name: str
    """Name, as it stands behind `if it means`: one user, without drafts."""
    found: Expression
    """What the simulator, or the catalog, says under it."""
    limit: Expression | None = None
    """The most that the hardware allows under it."""
    measured: tuple[Expression, ...] = ()
    """What has been published of the same."""

    def expressions(self) -> Iterator[tuple[Trail, str]]:
        """Yield each expression with the keys that lead to it."""
        yield ("found",), self.found
        if self.limit is not None:
            yield ("limit",), self.limit
        for number, expression in enumerate(self.measured):
            yield ("measured", number), expression


class Because(Description):
    """Sentences that say why, by outcome.

    Quantities, `found` and `claimed` stand in braces: {cs3_alone:.0f}.
    """

    holds: str = ""
    """Sentence for a claim that holds."""
    holds_if: str = ""
    """Sentence for a claim that holds if it means something else."""
    does_not_hold: str = ""
    """Sentence for a claim that does not hold."""

    def of(self, outcome: Outcome) -> str:
        """Return the sentence for an outcome; empty where the file has none."""
        sentences = {
            "holds": self.holds,
            "holds if": self.holds_if,
            "does not hold": self.does_not_hold,
        }
        return sentences.get(outcome, "")


class Claim(Description):
    """What somebody says, with its figure."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
    """Name of the claim."""
    text: str
    """What is said."""
    source: str | None = None
    """Who says so. Default: the source of all claims of the file."""
    value: Expression | None = None
    """The figure that is claimed; without one, readings are told and not judged."""
    unit: str = ""
    """Unit of the figure."""
    relation: Literal["about", "at_least", "at_most"] = "about"
    """How the figure is meant."""
    tolerance: Annotated[float, Field(ge=0.0, lt=1.0)] | None = None
    """Share of the figure. Default: the tolerance of all claims of the file."""
    readings: Annotated[tuple[ClaimReading, ...], Field(min_length=1)]
    """Readings, the plain one first."""
    because: Because = Field(default_factory=Because)
    """Sentences that say why."""

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
    """Return the names whose numbers a sentence shows; raises ValueError if braces do not match.

    >>> sorted(names_in_braces("{found} of {all_w:.0f} W"))
    ['all_w', 'found']
    """
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}


class Claims(Description):
    """A file of claims.

    A reading bears a claim out where what is found is within the tolerance of what is claimed
    (about), no less than it (at_least) or no more (at_most), less or more by the tolerance, and
    where measurements were published, at least one of them is too. A claim holds where its plain
    reading bears it out, holds if another is meant where only that does, and does not hold where
    none does.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
    """Name of the file."""
    source: str = ""
    """Who makes the claims."""
    tolerance: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.2
    """Share of a figure by which what is found may be off."""
    quantities: dict[str, Quantity]
    """Quantities by name."""
    claims: Annotated[tuple[Claim, ...], Field(min_length=1)]
    """Claims, in order."""
