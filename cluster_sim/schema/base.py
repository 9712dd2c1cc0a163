"""Frozen descriptions: what a file says, checked."""

from __future__ import annotations

import ast
import inspect
import textwrap
import typing
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    ValidatorFunctionWrapHandler,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from cluster_sim.errors import ScenarioError
from cluster_sim.schema.catalog import FromFile, looking_in
from cluster_sim.schema.documents import Document
from cluster_sim.schema.error_messages import told
from cluster_sim.units import key_of

Made = TypeVar("Made", bound="Description")


def _without_truths(schema: Any) -> Any:
    """A core schema whose numbers refuse `true` and `false`, which pydantic takes for 1 and 0."""
    if isinstance(schema, list):
        return [_without_truths(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") in ("int", "float"):
        return core_schema.no_info_before_validator_function(
            _no_truth, typing.cast(CoreSchema, schema)
        )
    if _been_through(schema):
        return schema
    return {
        key: part if key in ("metadata", "config") else _without_truths(part)
        for key, part in schema.items()
    }


def _been_through(schema: dict[str, Any]) -> bool:
    """Whether this part of a schema is of numbers that refuse truths, or of another description,
    which has seen to it itself.
    """
    function = (
        schema["function"]["function"]
        if schema.get("type") in ("function-before", "function-wrap")
        else None
    )
    return function is _no_truth or (
        isinstance(owner := getattr(function, "__self__", None), type)
        and issubclass(owner, Description)
    )


def _no_truth(came: Any) -> Any:
    if isinstance(came, bool):
        raise PydanticCustomError("truth", "a number")
    return came


class Description(BaseModel):
    """What a file says: frozen, its fields are the keys (less their unit), unknown keys are faults."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=key_of, allow_inf_nan=False, defer_build=True
    )

    keys_beside: ClassVar[tuple[str, ...]] = ()
    """Keys of a file that are not the description's own, but are read before it: known, where one
    is misspelt."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        # around all of the description's own validators, as no model_validator is
        return core_schema.no_info_wrap_validator_function(
            cls._read_from_its_file, _without_truths(handler(source))
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """The sentence under each field in the code is its text in the JSON Schema.

        Pydantic can read those sentences itself, but does so when classes are made: a tenth of a
        second at every start.
        """
        written = handler(schema)
        properties = handler.resolve_ref_schema(written).get("properties", {})
        for field, text in _sentences_under_fields(cls).items():
            properties[cls.model_fields[field].alias or field]["description"] = text
        return written

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with some fields changed; cached properties are worked out anew."""
        copied = super().model_copy(update=update, deep=deep)
        if update:
            for name in copied.__dict__.keys() - type(self).model_fields.keys():
                del copied.__dict__[name]
        return copied

    @classmethod
    def _read_from_its_file(cls, came: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        """What a file of its own says is checked as such: its faults name it, and paths in it start
        from its folder.
        """
        if not isinstance(came, FromFile):
            return handler(came)
        with looking_in(Path(came.document.file).parent):
            try:
                return handler(dict(came))
            except ValidationError as invalid:
                raise ScenarioError(told(cls, came.document, invalid)) from invalid


def describe(kind: type[Made], document: Document) -> Made:
    """The frozen description that `document` holds. Raises ScenarioError with every fault in it."""
    try:
        return kind.model_validate(document.data)
    except ValidationError as invalid:
        raise ScenarioError(told(kind, document, invalid)) from invalid


def _sentences_under_fields(kind: type[Description]) -> dict[str, str]:
    """Return the text that follows each field in the class's source, on one line."""
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(body, ast.ClassDef)
    texts = {}
    for field, after in pairwise(body.body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and field.target.id in kind.model_fields
        ):
            match after:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    texts[field.target.id] = " ".join(text.split())
    return texts
