"""What pydantic found wrong, as sentences with the place in the file."""

from __future__ import annotations

import types
import typing
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ValidationError

from cluster_sim.errors import Fault, ScenarioError, did_you_mean, shown
from cluster_sim.schema.documents import Document, Trail, under
from cluster_sim.units import KINDS, Quantity


def told(kind: type[BaseModel], document: Document, invalid: ValidationError) -> list[Fault]:
    """What pydantic found, in our words."""
    faults: list[Fault] = []
    for error in invalid.errors(include_url=False):
        inner = error.get("ctx", {}).get("error")
        if isinstance(inner, ScenarioError):  # of a file that this one names
            faults += inner.faults
        elif (
            error["type"] != "too_short" or len(error["input"]) < error["ctx"]["min_length"]
        ):  # else its items are at fault, and told
            faults.append(_sentence(kind, document, dict(error)))
    return faults


# What pydantic's types of error wanted; `{…}` is filled in from the error's context.
_WANTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a whole number of fewer digits",
    "float_type": "a number",
    "float_parsing": "a number",
    "truth": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "string_pattern_mismatch": "letters, digits, '_', '.' and '-' only",  # the one pattern there is
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "{ge:g} at least",
    "less_than": "less than {lt:g}",
    "less_than_equal": "{le:g} at most",
    "too_short": "at least {min_length}",
    "too_long": "at most {max_length}",
}


def _sentence(kind: type[BaseModel], document: Document, error: dict[str, Any]) -> Fault:
    trail, owner, annotation = _trail_in_file(kind, document.data, error["loc"])
    came, context = error.get("input"), error.get("ctx", {})
    match error["type"]:
        case "missing" if isinstance(trail[-1], int):
            trail = trail[:-1]
            _, _, pair = _trail_in_file(kind, document.data, error["loc"][:-1])
            what = f"came a list of {len(came) if isinstance(came, (list, tuple)) else 0}; wanted one of {_length(pair)}"
        case "missing":
            what, trail = f"'{trail[-1]}' is missing{_wanted(owner, trail[-1])}", trail[:-1]
        case "extra_forbidden" | "invalid_key":
            if owner is not None and trail[-1] in keys_beside(owner):
                return Fault(
                    document.place(trail), f"'{trail[-1]}' stands at the top of a file only"
                )
            return Fault(
                document.place(trail),
                f"{under(trail[:-1])}unknown key '{trail[-1]}'{did_you_mean(trail[-1], _keys(owner))}",
            )
        case "union_tag_invalid":
            trail = (*trail, str(context["discriminator"]).strip("'"))
            given = came.get(trail[-1]) if isinstance(came, dict) else context["tag"]
            what = (
                f"no {trail[-1]} {shown(given)}{did_you_mean(given, _tags_of(annotation))}"
                if isinstance(given, str)
                else _one_of(given, annotation)
            )
        case "union_tag_not_found":
            tag = str(context["discriminator"]).strip("'")
            if isinstance(came, dict) and came.get(tag) is not None:
                trail, what = (*trail, tag), _one_of(came[tag], annotation)
            else:
                what = f"'{tag}' is missing; wanted one of {', '.join(_tags_of(annotation))}"
        case "literal_error":
            known = [str(choice) for choice in _choices(annotation)]
            what = (
                f"came {shown(came)}{did_you_mean(came, known)}"
                if len(known) > 1
                else f"came {shown(came)}; only '{known[0]}' is known"
            )
        case "value_error":
            what = str(context.get("error", error["msg"]))
        case "quantity":
            what = str(error["msg"])
        case other:
            wanted = (
                _WANTED[other].format_map(context)
                if other in _WANTED
                else str(error["msg"]).removeprefix("Input should be ")
            )
            length = (
                f" of {len(came)}"
                if other == "too_long" and isinstance(came, (list, tuple))
                else ""
            )
            what = f"came {shown(came)}{length}; wanted {wanted}"
    return Fault(document.place(trail), f"{under(trail)}{what}")


def _wanted(owner: type[BaseModel] | None, key: str | int) -> str:
    """`; wanted a rate such as '5 /s'` where the missing field is a quantity."""
    if owner is not None:
        for info in owner.model_fields.values():
            if info.alias == key:
                for note in info.metadata:
                    if isinstance(note, Quantity):
                        return f"; wanted {KINDS[note.unit]} such as '{note.example}'"
    return ""


def keys_beside(kind: type[BaseModel]) -> tuple[str, ...]:
    """Keys of a file that are not the description's own, but are read before it."""
    return getattr(kind, "keys_beside", ())


def _keys(kind: type[BaseModel] | None) -> list[str]:
    return (
        sorted(
            [*(info.alias or name for name, info in kind.model_fields.items()), *keys_beside(kind)]
        )
        if kind
        else []
    )


def _trail_in_file(
    kind: type[BaseModel], data: Any, loc: tuple[str | int, ...]
) -> tuple[Trail, type[BaseModel] | None, Any]:
    """Pydantic's `loc` as keys of the file, the description that holds the last of them, and the
    type of its value.

    A union's tag stands in `loc` between the union's key and the keys of the member; it is left
    out. So is what lies inside a value that the file writes as a scalar, such as the `tokens` of a
    length that is a bare number.
    """
    trail: list[str | int] = []
    owner: type[BaseModel] | None = kind
    annotation: Any = kind
    for step in loc:
        members = _members(annotation)
        tagged = [member for member in members if step in _tags(member)]
        if len(members) > 1 and tagged:
            annotation = owner = tagged[0]
            continue
        if step == "[key]" or not isinstance(data, (dict, list)):
            break
        model = next(
            (
                member
                for member in members
                if isinstance(member, type) and issubclass(member, BaseModel)
            ),
            None,
        )
        owner = model
        trail.append(step)
        if isinstance(data, list):
            data = data[step] if isinstance(step, int) and step < len(data) else None
        else:  # the keys of a mapping of numbers stand as text in `loc`
            data = next(
                (value for key, value in data.items() if key == step or str(key) == str(step)), None
            )
        if model is None:
            annotation = _item(annotation)
        else:
            info = next((info for info in model.model_fields.values() if info.alias == step), None)
            annotation = info.annotation if info else None
    return tuple(trail), owner, annotation


def _members(annotation: Any) -> list[Any]:
    if typing.get_origin(annotation) is Annotated:
        return _members(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [member for argument in typing.get_args(annotation) for member in _members(argument)]
    return [] if annotation is None or annotation is type(None) else [annotation]


def _item(annotation: Any) -> Any:
    for member in _members(annotation):
        if typing.get_origin(member) in (list, tuple, dict):
            return next(
                (
                    argument
                    for argument in reversed(typing.get_args(member))
                    if argument is not Ellipsis
                ),
                None,
            )
    return None


def _length(annotation: Any) -> int:
    """How many items a tuple type such as tuple[str, str] has."""
    return next(
        (
            len(typing.get_args(member))
            for member in _members(annotation)
            if typing.get_origin(member) is tuple
        ),
        0,
    )


def _tags(member: Any) -> list[str]:
    """What may tag a member in its union: the value of the first of its fields that has one value
    only.
    """
    if not (isinstance(member, type) and issubclass(member, BaseModel)):
        return []
    single = (
        typing.get_args(info.annotation)
        for info in member.model_fields.values()
        if typing.get_origin(info.annotation) is Literal
    )
    return [str(values[0]) for values in single if len(values) == 1][:1]


def _tags_of(annotation: Any) -> list[str]:
    return sorted(tag for member in _members(annotation) for tag in _tags(member))


def _one_of(came: Any, union: Any) -> str:
    return f"came {shown(came)}; wanted one of {', '.join(_tags_of(union))}"


def _choices(annotation: Any) -> list[Any]:
    return [
        choice
        for member in _members(annotation)
        if typing.get_origin(member) is Literal
        for choice in typing.get_args(member)
    ]
