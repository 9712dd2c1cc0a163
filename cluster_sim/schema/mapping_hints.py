"""Mapping that a file needs where it has one value, as the line to write."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from cluster_sim.errors import nearest, shown
from cluster_sim.schema.annotations import is_model, item_of, members, tag_of
from cluster_sim.units import Quantity

_WILDCARD = "…"
_SPECIAL = set(",[]{}#&*!|>'\"%@`:")
"""Characters because of which YAML needs quotes."""


def mapping_hint(key: str | int | None, value: Any, annotation: Any) -> str:
    """Return what follows "expected a mapping": its keys, and the line to write.

    Parameters
    ----------
    key
        Key of the value in the file.
    value
        Value that the file has instead of a mapping.
    annotation
        Type of the mapping; the hint is empty if it is no description.
    """
    models = [each for each in members(annotation) if is_model(each)]
    if not models or not isinstance(value, (str, int, float)) or isinstance(value, bool):
        return _keys(models[0]) if len(models) == 1 else ""
    if len(models) > 1:
        return _such_as(key, _tagged(models, value))
    keys = _with_bare_value(models[0], value)
    return _such_as(key, keys) if keys else _keys(models[0])


def list_hint(key: str | int | None, value: Any, annotation: Any) -> str:
    """Return the line to write for a list of mappings where a file has one value.

    key, value, annotation: as of `mapping_hint`, with the type of the list.
    """
    models = [each for each in members(item_of(annotation)) if is_model(each)]
    if len(models) != 1 or not isinstance(value, str) or not isinstance(key, str):
        return ""
    keys = _with_bare_value(models[0], value)
    return f", such as `{key}: [{_inside(keys)}]`" if keys else ""


def _tagged(models: list[type[BaseModel]], value: Any) -> dict[str, str]:
    """Return the required keys of the member of a union whose tag is most similar to the value.

    The value stands for the first required quantity if it is no tag.
    """
    tagged = {tag.value: (tag.key, model) for model in models if (tag := tag_of(model))}
    if not tagged:
        return {}
    near = nearest(value, list(tagged)) if isinstance(value, str) else []
    chosen = near[0] if near else next(iter(tagged))
    key, model = tagged[chosen]
    keys = {key: chosen}
    for name, info in model.model_fields.items():
        if info.is_required():
            keys.setdefault(info.alias or name, _example(info.metadata))
    return keys


def _example(notes: list[Any]) -> str:
    """Return a value that a file may write for a required field."""
    return next((note.example for note in notes if isinstance(note, Quantity)), _WILDCARD)


def _with_bare_value(model: type[BaseModel], value: Any) -> dict[str, str]:
    """Return the required keys of a description, with the value for the key that it stands for.

    This is the declared key, or the only required one if it accepts the value. The result is empty
    if there is no such key.
    """
    required = {
        info.alias or name: info for name, info in model.model_fields.items() if info.is_required()
    }
    bare_key = str(getattr(model, "bare_key", ""))
    if not bare_key and len(required) == 1:
        ((only, info),) = required.items()
        is_quantity = any(isinstance(note, Quantity) for note in info.metadata)
        kinds = members(info.annotation)
        accepts = is_quantity or str in kinds if isinstance(value, str) else int in kinds
        bare_key = only if accepts else ""
    if not bare_key:
        return {}
    is_other = not isinstance(value, str) and not _may_be_number(model, bare_key)
    return {key: _example(info.metadata) for key, info in required.items()} | {
        bare_key: _WILDCARD if is_other else _plain(value)
    }


def _may_be_number(model: type[BaseModel], key: str) -> bool:
    """Return whether the value of a key may be a bare number."""
    for name, info in model.model_fields.items():
        if key in (name, info.alias):
            is_quantity = any(isinstance(note, Quantity) for note in info.metadata)
            return not is_quantity and bool({int, float} & set(members(info.annotation)))
    return False


def _plain(value: Any) -> str:
    """Return a value as YAML writes it."""
    text = shown(value)
    return text[1:-1] if text == f"'{value}'" and not set(text[1:-1]) & _SPECIAL else text


def _such_as(key: str | int | None, keys: dict[str, str]) -> str:
    """Return ` such as` and the line for these keys; an empty text without keys."""
    if not keys:
        return ""
    inner = _inside(keys)
    return f", such as `{key}: {inner}`" if isinstance(key, str) else f", such as `{inner}`"


def _inside(keys: dict[str, str]) -> str:
    """Return a mapping as YAML writes it on one line."""
    return "{" + ", ".join(f"{name}: {value}" for name, value in keys.items()) + "}"


def _keys(model: type[BaseModel]) -> str:
    """Return keys of a description, the required ones if there are any."""
    fields = model.model_fields
    required = [name for name, info in fields.items() if info.is_required()]
    keys = [fields[name].alias or name for name in (required or fields)]
    return f" with keys such as {', '.join(keys[:3])}"
