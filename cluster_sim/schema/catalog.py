"""The catalog, and other files that a description names.

Figures are stored together with their sources.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cluster_sim.errors import did_you_mean, shown
from cluster_sim.schema.documents import Document, Trail, path_text
from cluster_sim.schema.examples import EXAMPLE, user_file
from cluster_sim.schema.yaml_files import read_yaml

CATALOG = Path(__file__).parents[1] / "catalog"
"""Folder of the catalog."""
_NOUNS = {"links": "network", "prices": "prices"}
"""Noun for an entry of a folder, if the noun is not the name of the folder."""
KINDS = ("devices", "nodes", "prices", "links", "models", "engines", "workloads", "traces")
"""Folders of the catalog, in the order of listing."""
_PROVENANCE = ("source", "confidence", "note")
_FIGURE_KEYS = {"value", "range", *_PROVENANCE}
_RANGED = ("prices",)  # folders whose descriptions also read the ranges of figures

# Folders in which a relative path from a file is searched before the working directory.
_folder: ContextVar[Path | None] = ContextVar("folder", default=None)


class FromFile(dict[str, Any]):
    """Values of a file that another file names. They are checked under the name of their own file."""

    def __init__(self, document: Document) -> None:
        super().__init__(document.data)
        self.document = document


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

    With `folders` a folder is accepted too. Raises ScenarioError for an `example:NAME` that does
    not exist.
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


def named(kind: str, value: Any) -> Any:
    """Return the values behind a catalog name or the path of a YAML file, with bare figures.

    A mapping stands for itself. Raises ValueError, so that pydantic reports it under the key with
    the name.
    """
    if isinstance(value, dict):
        return value
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
        raise ValueError(
            f"no {noun} {shown(value)} in the catalog{did_you_mean(value, catalog_names(kind))}"
        )
    document = read_yaml(path)
    data = bare(document.data, keeps_ranges=kind in _RANGED)
    return FromFile(Document(data, document.file, document.places))


@cache
def catalog_entry(kind: str, name: str) -> Any:
    """Return the catalog's file `kind`/`name`.yaml with bare figures.

    The result is shared and must not be changed.
    """
    data = read_yaml(CATALOG / kind / f"{name}.yaml").data
    return bare(data, keeps_ranges=kind in _RANGED)


def bare(data: Any, *, keeps_ranges: bool = False) -> Any:
    """Return values in which each figure is replaced by its value, without provenance.

    A figure is `{value: …, source: …, confidence: …}`. With `keeps_ranges` a figure that has a
    range becomes `{value: …, range: …}`.
    """
    if isinstance(data, dict):
        if "value" in data and data.keys() <= _FIGURE_KEYS:
            if keeps_ranges and "range" in data:
                return {"value": data["value"], "range": data["range"]}
            return data["value"]
        return {
            key: bare(value, keeps_ranges=keeps_ranges)
            for key, value in data.items()
            if key not in _PROVENANCE
        }
    if isinstance(data, list):
        return [bare(item, keeps_ranges=keeps_ranges) for item in data]
    return data


def catalog_kinds(*kinds: str) -> dict[str, str]:
    """Return the kind of each entry of the catalog, of all kinds or of the given ones."""
    return {name: kind for kind in kinds or KINDS for name in catalog_names(kind)}


@dataclass(frozen=True)
class Figure:
    """One figure of a catalog file."""

    path: str
    """Path within the file."""
    value: str
    """Value as written."""
    source: str
    """Keys of its sources, comma-separated; `est` is an estimate."""
    confidence: str
    """Confidence of the figure: high, medium or low."""
    note: str
    """Note on the figure in the file."""
    range: tuple[str, str] | None = None
    """Lowest and highest possible value; None if the file gives no range."""

    @property
    def sources(self) -> list[str]:
        """Keys of the sources, as in `sources.yaml`."""
        return [key.strip() for key in self.source.split(",") if key.strip()]

    @property
    def is_estimate(self) -> bool:
        """Whether the value rests on an estimate."""
        return "est" in self.sources


def figures(
    data: Any, trail: Trail = (), about: tuple[str, str, str] = ("", "", "")
) -> Iterator[Figure]:
    """Yield every figure under `data`.

    Source, confidence and note (`about`) of a mapping also hold for the bare values inside it.
    """
    if isinstance(data, dict):
        source, confidence, note = (
            str(data.get(key, outer)) for key, outer in zip(_PROVENANCE, about, strict=True)
        )
        if "value" in data and data.keys() <= _FIGURE_KEYS:
            low_high = (str(data["range"][0]), str(data["range"][1])) if "range" in data else None
            yield Figure(
                path_text(trail),
                str(data["value"]),
                source,
                confidence,
                str(data.get("note", "")),
                low_high,
            )
            return
        for key, value in data.items():
            if key not in (*_PROVENANCE, "name"):
                yield from figures(value, (*trail, key), (source, confidence, note))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from figures(value, (*trail, index), about)
    else:
        yield Figure(path_text(trail), str(data), *about)
