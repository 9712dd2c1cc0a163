"""A routing rule: which requests go to which pools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from cluster_sim.request import Request
from cluster_sim.schema import Description
from cluster_sim.typing import CountOrZero


class NumberRange(Description):
    """Range of a number, both ends included."""

    min: CountOrZero | None = None
    """Lowest number that matches. Default: no lower limit."""
    max: CountOrZero | None = None
    """Highest number that matches. Default: no upper limit."""

    @model_validator(mode="after")
    def _is_a_range(self) -> NumberRange:
        if self.min is None and self.max is None:
            raise ValueError("expected 'min' or 'max'")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"got min {self.min} above max {self.max}; expected min up to max")
        return self

    def include(self, number: int) -> bool:
        """Return whether a number is within the range."""
        return (self.min or 0) <= number and (self.max is None or number <= self.max)


def _list_of(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Names = Annotated[
    tuple[str, ...],
    Field(min_length=1),
    BeforeValidator(_list_of, json_schema_input_type=str | list[str]),
]
"""One name, or a list of names."""


class RuleCondition(Description):
    """RuleCondition on what a router sees of a request. All given keys must match."""

    prompt_tokens: NumberRange | None = None
    """Range of the length of the prompt [tokens]. Default: any length."""
    max_output_tokens: NumberRange | None = None
    """Range of the client's limit on the answer [tokens], see `workload.max_output_tokens`.
    Default: any limit."""
    class_: Annotated[Names | None, Field(alias="class")] = None
    """Name of the class of the request, or a list of names. Default: any class."""
    turn: NumberRange | None = None
    """Range of the turn of the request in its session; the first turn is 1, and a request outside
    sessions has turn 0. Default: any turn."""

    @model_validator(mode="after")
    def _limits_something(self) -> RuleCondition:
        if not self.model_fields_set:
            keys = ", ".join(field.alias or name for name, field in type(self).model_fields.items())
            raise ValueError(f"expected one of {keys}; omit 'when' for a rule on every request")
        return self

    def matches(self, request: Request, classes: Sequence[str]) -> bool:
        """Return whether a request meets the condition; `classes`: names of the classes."""
        return (
            (self.prompt_tokens is None or self.prompt_tokens.include(request.prompt_tokens))
            and (self.turn is None or self.turn.include(request.turn))
            and (self.class_ is None or classes[request.class_number] in self.class_)
            and (
                self.max_output_tokens is None
                or self.max_output_tokens.include(request.output_limit)
            )
        )


class Rule(Description):
    """Rule that sends some requests to some pools."""

    when: RuleCondition | None = None
    """RuleCondition on the request. Default: the rule holds for every request."""
    to: Names
    """Name of the pool that serves these requests, or a list of names."""

    def matches(self, request: Request, classes: Sequence[str]) -> bool:
        """Return whether the rule holds for a request; `classes`: names of the classes."""
        return self.when is None or self.when.matches(request, classes)
