"""The catalog, and other files that a description names.

Figures are stored together with their sources.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

from cluster_sim.errors import did_you_mean, shown
from cluster_sim.schema.covering_release import covering_release
from cluster_sim.schema.documents import LIKE, Document
from cluster_sim.schema.examples import EXAMPLE, user_file
from cluster_sim.schema.like import ENTRY_KINDS, FromFile, Written, merged_with_entry, reading
from cluster_sim.schema.sourced_figures import Figure, bare, figures
from cluster_sim.schema.yaml_files import read_text, read_yaml

CATALOG = Path(__file__).parents[1] / "catalog"
"""Folder of the catalog."""
_NOUNS = {
    "links": "network",
    "prices": "prices",
    "token_prices": "prices of tokens",
    "failures": "failure rates",
}
"""Noun for an entry of a folder, if the noun is not the name of the folder."""
KINDS = (
    "devices", "nodes", "prices", "links", "models", "token_prices", "engines", "drafters", "workloads", "traces", "failures", "weather",
)  # fmt: skip
"""Folders of the catalog, in the order of listing."""
_ALIAS = re.compile(rf"(?:#.*\n)*{LIKE}: (\S+)\s*")
"""Text of the file of a second name."""
_RANGED = ("prices", "token_prices")  # folders whose descriptions also read the ranges of figures

# Folders in which a relative path from a file is searched before the working directory.
_folder: ContextVar[Path | None] = ContextVar("folder", default=None)


@contextmanager
def looking_in(folder: Path) -> Iterator[None]:
    """Search relative paths in descriptions in `folder` first, then in the working directory."""
    token = _folder.set(folder)
    try:
        yield
    finally:
        _folder.reset(token)


def find(path: str, *, folders: bool = False) -> Path | None:
    """Return the absolute path of a file that a description names; None if there is no such file.

    Parameters
    ----------
    path
        Path as written. A relative path is searched beside the file that names it first, then in
        the working directory. `example:NAME` is a scenario that ships with the package.
    folders
        Whether a folder is accepted too.

    Raises
    ------
    ScenarioError
        There is no example of that name.
    """
    if path.startswith(EXAMPLE):
        return user_file(path).resolve()
    folder = _folder.get()
    try:
        home = Path(path).expanduser()
        candidates = [home] if folder is None else [folder / home, home]
        return next(
            (
                candidate.resolve()
                for candidate in candidates
                if candidate.is_file() or (folders and candidate.is_dir())
            ),
            None,
        )
    except (OSError, RuntimeError, ValueError):
        # a name that is too long, an unknown ~user, a folder without permission to read
        return None


@cache
def catalog_names(kind: str) -> tuple[str, ...]:
    """Return the names in the catalog's folder `kind`, sorted."""
    return tuple(sorted(path.stem for path in (CATALOG / kind).glob("*.yaml")))


def named(kind: str, value: Any, read: Callable[[str], Any] | None = None) -> Any:
    """Return the values behind a catalog name or the path of a YAML file, with bare figures.

    Parameters
    ----------
    kind
        Folder of the catalog, such as `devices`.
    value
        Catalog name, path of a file, or mapping. A mapping stands for itself. With the key `like`
        it stands for the entry of that name, with the other keys of the mapping over it.
    read
        Function that returns the values of the entry that `like` names. Default: the entry is in
        `kind`, or is a YAML file.

    Raises
    ------
    ValueError
        There is no such entry. Pydantic reports the error under the key with the name.
    """
    read = read or partial(named, kind)
    plain = partial(bare, keeps_ranges=kind in _RANGED)
    if isinstance(value, dict):
        return merged_with_entry(value, read, plain) if LIKE in value else value
    if not isinstance(value, str):
        raise ValueError(
            f"got {shown(value)}; expected a name in the catalog, the path of a file, or a mapping"
        )
    if value in catalog_names(kind):
        return catalog_entry(kind, value)
    path = find(value)
    if path is None:
        looks_like_path = "/" in value or value.endswith((".yaml", ".yml", ".json"))
        if looks_like_path:
            raise ValueError(f"no file {shown(value)}")
        noun = _NOUNS.get(kind, kind.removesuffix("s"))
        remedy = covering_release(value, engine_releases()) if kind == "engines" else ""
        remedy = remedy or did_you_mean(value, catalog_names(kind))
        raise ValueError(f"no {noun} {shown(value)} in the catalog{remedy}")
    document = read_yaml(path)
    data = _with_whole_paths(plain(document.data), path.parent)
    document = Document(data, document.file, document.places)
    if LIKE not in document.data:
        return FromFile(document)
    with reading(path), looking_in(path.parent):
        return merged_with_entry(Written(document), read, plain)


@dataclass(frozen=True)
class Named:
    """Annotation of a field that holds an entry: a name, the path of a file, or a mapping."""

    kind: str
    """Folder of the catalog."""
    read: Callable[[Any], Any] | None = None
    """Function that returns the values behind a written value. Default: `named`."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Return the schema of the entry's values, which are read before they are checked.

        NOTE: an entry of the catalog is checked once per process. Descriptions are frozen, so all
        scenarios share it; a device has a thousand quantities, most of the time for a scenario.
        """
        read = self.read or partial(named, self.kind)
        entries: dict[str, Any] = {}

        def checked(value: Any, check: core_schema.ValidatorFunctionWrapHandler) -> Any:
            if not isinstance(value, str) or value not in catalog_names(self.kind):
                return check(read(value))
            if value not in entries:
                entries[value] = check(read(value))
            return entries[value]

        return core_schema.no_info_wrap_validator_function(checked, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the JSON Schema of a name, of a whole entry, and of a mapping with `like`."""
        whole = handler(schema)
        members = [handler.resolve_ref_schema(part) for part in whole.get("oneOf", [whole])]
        keys: dict[str, Any] = {
            key: _about_changed(part)
            for member in members
            for key, part in member.get("properties", {}).items()
        }
        name = {
            "type": "string",
            "description": "Catalog name or path of the entry that gives the values which this mapping omits.",
        }
        like = {
            "type": "object",
            "properties": {LIKE: name, **keys},
            "required": [LIKE],
            "additionalProperties": False,
        }
        return {"anyOf": [{"type": "string"}, whole, like]}


def _about_changed(part: Mapping[str, Any]) -> dict[str, str]:
    """Return the description of a key that changes an entry: its default is that of the entry."""
    about = re.split(r" (?:Default|Required)\b", str(part.get("description", "")))[0]
    return {"description": about} if about else {}


def _with_whole_paths(data: Any, folder: Path) -> Any:
    """Return values of a file in `folder` with absolute paths of the entries in that folder.

    Absolute paths stay valid when the values are merged with those of another file.
    """
    if not isinstance(data, dict):
        return data
    return {
        key: _whole_path(part, folder, ENTRY_KINDS.get(key))
        if isinstance(part, str) and (key in ENTRY_KINDS or key == LIKE)
        else _with_whole_paths(part, folder)
        for key, part in data.items()
    }


def _whole_path(name: str, folder: Path, kind: str | None) -> str:
    if name in catalog_kinds(*(() if kind is None else (kind,))):
        return name
    with looking_in(folder):
        path = find(name, folders=True)
    return name if path is None else str(path)


@cache
def catalog_entry(kind: str, name: str) -> Any:
    """Return the catalog's file `kind`/`name`.yaml with bare figures.

    The result is shared and must not be changed.
    """
    return bare(catalog_data(kind, name), keeps_ranges=kind in _RANGED)


@cache
def catalog_data(kind: str, name: str) -> Any:
    """Return the catalog's file `kind`/`name`.yaml as it is written, figures with their sources.

    A second name of an entry has the values of that entry. The result is shared and must not be
    changed.
    """
    data = read_yaml(CATALOG / kind / f"{name}.yaml").data
    return catalog_data(kind, data[LIKE]) if set(data) == {LIKE} else data


@cache
def second_names(kind: str) -> dict[str, str]:
    """Return the names of the catalog's folder `kind` that stand for another entry, with its name.

    Their files have the key `like` alone, as `vllm` stands for its newest release. Texts tell so
    without the time for parsing the whole folder.
    """
    texts = ((name, read_text(CATALOG / kind / f"{name}.yaml")) for name in catalog_names(kind))
    return {name: match[1] for name, text in texts if (match := _ALIAS.fullmatch(text))}


@cache
def engine_releases() -> dict[str, str]:
    """Return the releases that each engine profile of the catalog covers, empty where not stated.

    The result is shared and must not be changed.
    """
    names = catalog_names("engines")
    return {name: catalog_data("engines", name).get("releases", "") for name in names}


@cache
def catalog_figures(kind: str, name: str) -> tuple[Figure, ...]:
    """Return every figure of the catalog's file `kind`/`name`.yaml."""
    return tuple(figures(catalog_data(kind, name)))


@cache
def catalog_sources() -> dict[str, Any]:
    """Return the citation of each source of the catalog, by the key that figures name.

    The result is shared and must not be changed.
    """
    sources: dict[str, Any] = read_yaml(CATALOG / "sources.yaml").data
    return sources


def catalog_kinds(*kinds: str) -> dict[str, str]:
    """Return the kind of each entry of the catalog, of all kinds or of the given ones."""
    return {name: kind for kind in kinds or KINDS for name in catalog_names(kind)}
