"""Frozen descriptions: the checked content of files."""

from __future__ import annotations

import ast
import inspect
import textwrap
import typing
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
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
from cluster_sim.schema.catalog import looking_in
from cluster_sim.schema.documents import Document
from cluster_sim.schema.error_messages import faults_in
from cluster_sim.schema.like import FromFile, with_lines
from cluster_sim.units import key_of

Made = TypeVar("Made", bound="Description")


def _without_truths(schema: Any) -> Any:
    """Return a core schema whose numbers refuse `true` and `false`, for pydantic 1 and 0."""
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
    """Return whether the numbers in this part of a schema already refuse truth values.

    A description has changed the numbers of its own schema.
    """
    if schema.get("type") not in ("function-before", "function-wrap"):
        return False
    function = schema["function"]["function"]
    owner = getattr(function, "__self__", None)
    return function is _no_truth or (isinstance(owner, type) and issubclass(owner, Description))


def _no_truth(value: Any) -> Any:
    if isinstance(value, bool):
        raise PydanticCustomError("truth", "a number")
    return value


class Description(BaseModel):
    """Base of all descriptions of files. It is frozen, and its fields are the keys of the file.

    A key is the name of a field without its unit. Unknown keys are faults.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=key_of, allow_inf_nan=False, defer_build=True
    )

    keys_beside: ClassVar[tuple[str, ...]] = ()
    """Keys of a file that do not belong to the description but are read before it. They are
    suggested for misspelt keys."""

    bare_key: ClassVar[str] = ""
    """Key that a value probably stands for if a file has it instead of the mapping, for messages."""

    foreign_names: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Dotted keys of a whole file by the names that other programs have for them, for messages."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        # around all validators of the description, unlike a model_validator
        return core_schema.no_info_wrap_validator_function(
            cls._read_from_its_file, _without_truths(handler(source))
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the JSON Schema with the docstring of each field as its description.

        Pydantic can read the docstrings itself, but when classes are created, which takes a tenth
        of a second at every start.
        """
        written = handler(schema)
        properties = handler.resolve_ref_schema(written).get("properties", {})
        for field, text in _sentences_under_fields(cls).items():
            properties[cls.model_fields[field].alias or field]["description"] = text
        return written

    @property
    def changed_fields(self) -> set[str]:
        """Names of the fields with a value that is not the default.

        Unlike `model_fields_set` they are those of a file and of its resolved form, which gives the
        defaults of all fields.
        """
        fields = type(self).model_fields
        return {
            name for name in self.model_fields_set if getattr(self, name) != fields[name].default
        }

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with changed fields. Cached properties are computed again."""
        copied = super().model_copy(update=update, deep=deep)
        if update:
            for name in copied.__dict__.keys() - type(self).model_fields.keys():
                del copied.__dict__[name]
        return copied

    @classmethod
    def _read_from_its_file(cls, value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        """Check the content of a separate file under the name of that file.

        Faults name the file, and relative paths in it start from its folder.
        """
        if not isinstance(value, FromFile):
            return handler(value)
        with looking_in(Path(value.document.file).parent):
            try:
                return handler(with_lines(value.document))
            except ValidationError as invalid:
                raise ScenarioError(faults_in(cls, value.document, invalid)) from invalid


def describe(kind: type[Made], document: Document) -> Made:
    """Return the frozen description that a document holds.

    Parameters
    ----------
    kind
        Class of the description.
    document
        Values of a file, with the line of each.

    Returns
    -------
    Description
        Frozen instance of `kind`, with every quantity in its SI unit.

    Raises
    ------
    ScenarioError
        The document has faults, all of which are listed with their lines.
    """
    try:
        return kind.model_validate(with_lines(document))
    except ValidationError as invalid:
        raise ScenarioError(faults_in(kind, document, invalid)) from invalid


def _sentences_under_fields(kind: type[Description]) -> dict[str, str]:
    """Return the docstring of each field in the source of its class, on one line."""
    texts: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if issubclass(base, Description) and base is not Description:
            texts |= _sentences_in(base, kind)
    return texts


def _sentences_in(base: type[Description], kind: type[Description]) -> dict[str, str]:
    body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
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
