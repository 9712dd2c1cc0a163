"""Types of descriptions: the meaning of pydantic's locations and choices in a file."""

from __future__ import annotations

import re
import types
import typing
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel

from cluster_sim.schema.documents import Trail

_FORM = re.compile(r"(?:literal|function-[a-z]+)\[")


class Located(NamedTuple):
    """Location of a value in a file."""

    trail: Trail
    """Keys in the file."""
    owner: type[BaseModel] | None
    """Description that holds the last key; None if no description does."""
    annotation: Any
    """Type of the value."""


class Tag(NamedTuple):
    """Key and value that distinguish a member of a union, such as `process: poisson`."""

    key: str
    """Key in the file."""
    value: str
    """Only value that the key can have."""


def located(kind: type[BaseModel], data: Any, loc: tuple[str | int, ...]) -> Located:
    """Return the location in a file of the value at pydantic's `loc`.

    In `loc` the tag of a union is between the key of the union and the keys of the member; it is
    omitted here. Steps inside a value that the file writes as a scalar, such as the `tokens` of a
    length that is a bare number, are omitted too, and so are the names of forms of a value that may
    be a word or a mapping.

    Parameters
    ----------
    kind
        Description that the file is read as.
    data
        Values of the file.
    loc
        Location, as pydantic has it.
    """
    trail: list[str | int] = []
    owner: type[BaseModel] | None = kind
    annotation: Any = kind
    for step in loc:
        if (member := _tagged(annotation, step)) is not None:
            annotation = owner = member
            continue
        if is_form(step):
            continue
        if step == "[key]" or not isinstance(data, (dict, list)):
            break
        owner = next((member for member in members(annotation) if is_model(member)), None)
        trail.append(step)
        data = _inside(data, step)
        annotation = item_of(annotation) if owner is None else _field(owner, step)
    return Located(tuple(trail), owner, annotation)


def is_form(step: str | int) -> bool:
    """Return whether a step of pydantic's location names a form of a value and is no key."""
    return isinstance(step, str) and _FORM.match(step) is not None


def _tagged(annotation: Any, step: str | int) -> type[BaseModel] | None:
    """Return the member of a union with a tag; None if the step is not a tag."""
    known = members(annotation)
    if len(known) < 2:
        return None
    tags = ((member, tag_of(member)) for member in known)
    return next((member for member, tag in tags if tag and tag.value == step), None)


def _inside(data: Any, step: str | int) -> Any:
    """Return the value of a list or a mapping at a step; None if there is no value."""
    if isinstance(data, list):
        return data[step] if isinstance(step, int) and step < len(data) else None
    # the numeric keys of a mapping are texts in `loc`
    return next(
        (value for key, value in data.items() if key == step or str(key) == str(step)), None
    )


def _field(model: type[BaseModel], step: str | int) -> Any:
    """Return the type of the field for a key of a file; None if there is no such field."""
    fields = model.model_fields.values()
    return next((info.annotation for info in fields if info.alias == step), None)


def is_model(member: Any) -> bool:
    """Return whether a type is a description."""
    return isinstance(member, type) and issubclass(member, BaseModel)


def members(annotation: Any) -> list[Any]:
    """Return the members of a union, or the single type."""
    if typing.get_origin(annotation) is Annotated:
        return members(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [member for argument in typing.get_args(annotation) for member in members(argument)]
    return [] if annotation is None or annotation is type(None) else [annotation]


def item_of(annotation: Any) -> Any:
    """Return the type of the items of a list, or of the values of a mapping."""
    for member in members(annotation):
        if typing.get_origin(member) in (list, tuple, dict):
            arguments = reversed(typing.get_args(member))
            return next((argument for argument in arguments if argument is not Ellipsis), None)
    return None


def tuple_length(annotation: Any) -> int:
    """Return the number of items of a tuple type such as tuple[str, str]; 0 for other types."""
    tuples = (member for member in members(annotation) if typing.get_origin(member) is tuple)
    return next((len(typing.get_args(member)) for member in tuples), 0)


def tag_of(member: Any) -> Tag | None:
    """Return the tag of a member of a union; None if it has none.

    The tag is the first field that has a single possible value.
    """
    if not is_model(member):
        return None
    for name, info in member.model_fields.items():
        if typing.get_origin(info.annotation) is Literal:
            values = typing.get_args(info.annotation)
            if len(values) == 1:
                return Tag(info.alias or name, str(values[0]))
    return None


def tags_of(annotation: Any) -> list[str]:
    """Return the values of the tags of the members of a union, sorted."""
    return sorted(tag.value for member in members(annotation) if (tag := tag_of(member)))


def choices(annotation: Any) -> list[str]:
    """Return the values of literal types."""
    literals = (member for member in members(annotation) if typing.get_origin(member) is Literal)
    return [str(choice) for member in literals for choice in typing.get_args(member)]
