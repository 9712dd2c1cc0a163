"""Pydantic's errors as sentences, with the location in the file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from cluster_sim.errors import Fault, ScenarioError, did_you_mean, shown
from cluster_sim.schema.annotations import (
    Located,
    choices,
    is_form,
    is_model,
    located,
    members,
    tags_of,
    tuple_length,
)
from cluster_sim.schema.documents import LIKE, Document, Trail, under
from cluster_sim.schema.like import ENTRY_KINDS
from cluster_sim.schema.mapping_hints import list_hint, mapping_hint
from cluster_sim.schema.nearby_sections import section_with
from cluster_sim.units import KINDS, Quantity

_PERCENT = re.compile(r"([\d.]+) ?%")
"""Percentage as people write it."""

# Words for what each type of pydantic error expected; the context of the error fills in `{…}`.
_EXPECTED = {
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
    "string_pattern_mismatch": "letters, digits, '_', '.' and '-' only",  # the only pattern in descriptions
    "list_type": "a list (`- ` before each entry)",
    "tuple_type": "a list (`- ` before each entry)",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "less than {lt:g}",
    "less_than_equal": "at most {le:g}",
    "too_short": "at least {min_length}",
    "too_long": "at most {max_length}",
}


class _Problem(NamedTuple):
    """One error of pydantic."""

    kind: type[BaseModel]
    """Description as which the file was read."""
    data: Any
    """Values of the file."""
    error: Mapping[str, Any]
    """Error as pydantic reports it."""
    place: Located
    """Location in the file."""

    @property
    def value(self) -> Any:
        """Value that is at fault."""
        return self.error.get("input")

    @property
    def context(self) -> Mapping[str, Any]:
        """Context of the error in addition to its type."""
        context: Mapping[str, Any] = self.error.get("ctx", {})
        return context

    @property
    def length(self) -> int | None:
        """Length of a list; None for other values."""
        return len(self.value) if isinstance(self.value, (list, tuple)) else None


class _Message(NamedTuple):
    """Sentence about an error."""

    at: Trail
    """Keys at which the message points."""
    what: str
    """Sentence of the message."""
    under: Trail | None = None
    """Keys with which the message begins. Default: the keys at which it points."""


def faults_in(kind: type[BaseModel], document: Document, invalid: ValidationError) -> list[Fault]:
    """Return the faults in a document that pydantic reported when it was read as `kind`."""
    faults: list[Fault] = []
    for error in _of_the_form(invalid.errors(include_url=False)):
        inner = error.get("ctx", {}).get("error")
        if isinstance(inner, ScenarioError):  # of a file that this file names
            faults += inner.faults
        elif error["type"] != "too_short" or len(error["input"]) < error["ctx"]["min_length"]:
            faults.append(_fault(kind, document, error))
        # otherwise the items are at fault, and have their own faults
    return list(dict.fromkeys(faults))


def _of_the_form(errors: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the errors without those about the form that a value does not have.

    A key may be a word or a mapping. pydantic then reports that a wrong word is no mapping, and that
    a mapping with a fault is none of the words.
    """
    values = {
        _place(error): error["input"]
        for error in errors
        if error["type"] == "literal_error" and is_form(error["loc"][-1])
    }
    return [error for error in errors if not _is_of_other_form(error, values)]


def _is_of_other_form(error: Mapping[str, Any], values: Mapping[Trail, Any]) -> bool:
    value = values.get(_place(error))
    if error["type"] == "literal_error":
        return isinstance(value, dict)
    is_mapping_error = error["type"] in ("model_type", "model_attributes_type", "dict_type")
    return is_mapping_error and value is not None and not isinstance(value, dict)


def _place(error: Mapping[str, Any]) -> Trail:
    return tuple(step for step in error["loc"] if not is_form(step))


def _fault(kind: type[BaseModel], document: Document, error: Mapping[str, Any]) -> Fault:
    place = located(kind, document.data, error["loc"])
    message = _SENTENCES.get(error["type"], _unexpected)(
        _Problem(kind, document.data, error, place)
    )
    beginning = message.at if message.under is None else message.under
    return Fault(
        document.place(message.at), f"{under((*document.trail, *beginning))}{message.what}"
    )


def _missing(problem: _Problem) -> _Message:
    *parents, last = problem.place.trail
    if isinstance(last, int):
        pair = located(problem.kind, problem.data, problem.error["loc"][:-1]).annotation
        expected = tuple_length(pair)
        what = f"got a list of {problem.length or 0}; expected a list of {expected}"
    else:
        what = f"'{last}' is missing{_example(problem.place.owner, last)}"
    return _Message(tuple(parents), what)


def _example(owner: type[BaseModel] | None, key: str) -> str:
    """Return `; expected a rate such as '5 /s'` if a missing field is a quantity."""
    for info in owner.model_fields.values() if owner is not None else ():
        for note in info.metadata if info.alias == key else ():
            if isinstance(note, Quantity):
                return f"; expected {KINDS[note.unit]} such as '{note.example}'"
    return ""


def _unknown_key(problem: _Problem) -> _Message:
    trail, owner, _ = problem.place
    beside = keys_beside(owner)
    if trail[-1] in beside:
        return _Message(
            trail, f"'{trail[-1]}' is allowed only at the top level of a file", under=()
        )
    fields = owner.model_fields.items() if owner is not None else ()
    known = sorted([*(info.alias or name for name, info in fields), *beside])
    if trail[-1] == LIKE:
        hint = _like_hint(known)
    else:
        hint = (
            _foreign_hint(problem, known)
            or _section_hint(problem, known)
            or did_you_mean(trail[-1], known)
        )
    return _Message(trail, f"unknown key '{trail[-1]}'{hint}", under=trail[:-1])


def _section_hint(problem: _Problem, known: Sequence[str]) -> str:
    """Return the section to which an unknown key belongs; empty if it is rather misspelt."""
    *parents, key = problem.place.trail
    if not isinstance(key, str) or any(_is_slip(key, name) for name in known):
        return ""
    section = section_with(problem.kind, key, tuple(parents))
    return f"; it belongs to {section}" if section else ""


def _is_slip(key: str, name: str) -> bool:
    """Return whether two names differ by one letter that is missing, added or another one."""
    short, long = sorted((key, name), key=len)
    if len(long) - len(short) > 1:
        return False
    first = next((at for at, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), None)
    if first is None:
        return True
    return short[first:] == long[first + 1 :] or short[first + 1 :] == long[first + 1 :]


def _foreign_hint(problem: _Problem, known: Sequence[str]) -> str:
    """Return the key of which an unknown key, or one inside it, is the name in another program.

    The hint is empty without such a name, or if the key is one of `known`.
    """
    names: Mapping[str, str] = getattr(problem.kind, "foreign_names", {})
    trail = problem.place.trail
    inside = problem.value if isinstance(problem.value, dict) else {}
    for name in (*inside, trail[-1]):
        key = names.get(str(name).lower().lstrip("-").replace("-", "_"))
        if key is not None:
            if trail[:2] == ("cluster", "pools") and len(trail) > 2:
                key = key.replace("pools[0]", f"pools[{trail[2]}]")
            last = key.rpartition(".")[2]
            return f"; did you mean '{last if last.partition(':')[0] in known else key}'?"
    return ""


def _like_hint(known: Sequence[str]) -> str:
    """Return where `like` may be written, for a mapping that does not accept it."""
    if "preset" in known:
        return "; expected 'preset: NAME' beside the other keys"
    return f"; expected it in a mapping for {', '.join(ENTRY_KINDS)}"


def keys_beside(kind: type[BaseModel] | None) -> tuple[str, ...]:
    """Return keys of a file that do not belong to the description but are read before it."""
    return getattr(kind, "keys_beside", ())


def _tag_invalid(problem: _Problem) -> _Message:
    tag, value = _tag(problem), problem.value
    given = value.get(tag) if isinstance(value, dict) else problem.context["tag"]
    annotation = problem.place.annotation
    what = (
        f"got {shown(given)}{did_you_mean(given, tags_of(annotation))}"
        if isinstance(given, str)
        else _one_of(given, annotation)
    )
    return _Message((*problem.place.trail, tag), what)


def _tag_not_found(problem: _Problem) -> _Message:
    tag, value = _tag(problem), problem.value
    trail, _, annotation = problem.place
    if isinstance(value, dict) and value.get(tag) is not None:
        return _Message((*trail, tag), _one_of(value[tag], annotation))
    tags = ", ".join(tags_of(annotation))
    return _Message(trail, f"'{tag}' is missing; expected one of {tags}")


def _tag(problem: _Problem) -> str:
    """Return the key that distinguishes the members of a union."""
    return str(problem.context["discriminator"]).strip("'")


def _one_of(value: Any, union: Any) -> str:
    return f"got {shown(value)}; expected one of {', '.join(tags_of(union))}"


def _no_choice(problem: _Problem) -> _Message:
    known = choices(problem.place.annotation)
    if not isinstance(problem.value, str):
        has_mapping = any(map(is_model, members(problem.place.annotation)))
        hint = f"; expected {', '.join(known)}{' or a mapping' * has_mapping}"
    elif len(known) > 1:
        hint = did_you_mean(problem.value, known)
    else:
        hint = f"; expected '{known[0]}'"
    return _Message(problem.place.trail, f"got {shown(problem.value)}{hint}")


def _raised(problem: _Problem) -> _Message:
    """Return the message of one of our validators."""
    return _Message(problem.place.trail, str(problem.context.get("error", problem.error["msg"])))


def _as_raised(problem: _Problem) -> _Message:
    """Return the message of one of our types of fields."""
    return _Message(problem.place.trail, str(problem.error["msg"]))


def _unexpected(problem: _Problem) -> _Message:
    """Return the message "got …; expected …"."""
    type_, length = problem.error["type"], problem.length
    expected = (
        _EXPECTED[type_].format_map(problem.context)
        if type_ in _EXPECTED
        else str(problem.error["msg"]).removeprefix("Input should be ")
    )
    key = problem.place.trail[-1] if problem.place.trail else None
    if expected == "a mapping":
        expected += mapping_hint(key, problem.value, problem.place.annotation)
    elif type_ in ("list_type", "tuple_type"):
        expected += list_hint(key, problem.value, problem.place.annotation)
    if type_ == "float_parsing" and (share := _PERCENT.fullmatch(str(problem.value))):
        expected += f", such as {float(share[1]) / 100:g} for {share[0]}"
    of_length = f" of {length}" if type_ == "too_long" and length is not None else ""
    return _Message(
        problem.place.trail, f"got {shown(problem.value)}{of_length}; expected {expected}"
    )


_SENTENCES: dict[str, Callable[[_Problem], _Message]] = {
    "missing": _missing,
    "extra_forbidden": _unknown_key,
    "invalid_key": _unknown_key,
    "union_tag_invalid": _tag_invalid,
    "union_tag_not_found": _tag_not_found,
    "literal_error": _no_choice,
    "value_error": _raised,
    "quantity": _as_raised,
    "limit": _as_raised,
}
"""Function for each type of error. `_unexpected` handles types without an entry."""
