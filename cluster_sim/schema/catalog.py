"""The catalog, and other files that a description names: figures with their sources, and how to
find them.
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
from cluster_sim.schema.documents import Document, Trail, path_text, read_yaml

CATALOG = Path(__file__).parents[1] / "catalog"
_NOUNS = {
    "links": "network",
    "prices": "prices",
}  # what the files of a folder are called, where it is not the folder's name
KINDS = ("devices", "nodes", "prices", "links", "models", "engines", "workloads", "traces")
"""Folders of the catalog, in the order in which they are listed."""
_FIGURE_KEYS = {"value", "source", "confidence", "note", "range"}
_RANGED = ("prices",)  # folders whose descriptions read the ranges of figures too

# Folders in which a path written in a file is looked for, beside the working directory.
_folder: ContextVar[Path | None] = ContextVar("folder", default=None)


class FromFile(dict[str, Any]):
    """The values of a file that another one names, to be checked under its own name."""

    def __init__(self, document: Document) -> None:
        super().__init__(document.data)
        self.document = document


@contextmanager
def looking_in(folder: Path) -> Iterator[None]:
    """While this lasts, relative paths in descriptions are looked for in `folder` first, then in
    the working directory.
    """
    token = _folder.set(folder)
    try:
        yield
    finally:
        _folder.reset(token)


def find(path: str, folders: bool = False) -> Path | None:
    """The absolute path of a file (or folder) that a description names, or None where there is
    none.
    """
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
    except (
        OSError,
        RuntimeError,
        ValueError,
    ):  # a name that is too long, a ~user that is none, a folder that may not be read
        return None


@cache
def catalog_names(kind: str) -> tuple[str, ...]:
    """The names in the catalog's folder `kind`, sorted."""
    return tuple(sorted(path.stem for path in (CATALOG / kind).glob("*.yaml")))


def named(kind: str, came: Any) -> Any:
    """What a catalog name or the path of a YAML file stands for, its figures bare; a mapping stands
    for itself.

    Raises ValueError, so that pydantic files it under the key where the name was written.
    """
    if isinstance(came, dict):
        return came
    if not isinstance(came, str):
        raise ValueError(
            f"came {shown(came)}; wanted a name in the catalog, the path of a file, or a mapping"
        )
    if came in catalog_names(kind):
        return catalog_entry(kind, came)
    path = find(came)
    if path is None:
        looks_like_path = "/" in came or came.endswith((".yaml", ".yml", ".json"))
        if looks_like_path:
            raise ValueError(f"no file {shown(came)}")
        noun = _NOUNS.get(kind, kind.removesuffix("s"))
        raise ValueError(
            f"no {noun} {shown(came)} in the catalog{did_you_mean(came, catalog_names(kind))}"
        )
    document = read_yaml(path)
    return FromFile(Document(bare(document.data, kind in _RANGED), document.file, document.places))


@cache
def catalog_entry(kind: str, name: str) -> Any:
    """The catalog's file `kind`/`name`.yaml with its figures bare. Shared: never change it."""
    return bare(read_yaml(CATALOG / kind / f"{name}.yaml").data, kind in _RANGED)


def bare(data: Any, ranged: bool = False) -> Any:
    """`data` with each figure, `{value: …, source: …, confidence: …}`, replaced by its value, and
    provenance left out.

    ranged: a figure that has a range keeps it, as `{value: …, range: …}`.
    """
    if isinstance(data, dict):
        if "value" in data and data.keys() <= _FIGURE_KEYS:
            return (
                {"value": data["value"], "range": data["range"]}
                if ranged and "range" in data
                else data["value"]
            )
        return {
            key: bare(value, ranged)
            for key, value in data.items()
            if key not in ("source", "confidence", "note")
        }
    if isinstance(data, list):
        return [bare(item, ranged) for item in data]
    return data


def catalog_kinds(*kinds: str) -> dict[str, str]:
    """Return the kind of each entry of the catalog, of all kinds or of these."""
    return {name: kind for kind in kinds or KINDS for name in catalog_names(kind)}


@dataclass(frozen=True)
class Figure:
    """One figure of a catalog file: `path` within the file, its value as written, and where that
    comes from.
    """

    path: str
    value: str
    source: str
    confidence: str
    note: str
    range: tuple[str, str] | None = None
    """Between which values it may lie, where the file says."""

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
    """Every figure under `data`; a mapping's own source, confidence and note (`about`) hold for the
    bare values inside it.
    """
    if isinstance(data, dict):
        source, confidence, note = (
            str(data.get(key, held))
            for key, held in zip(("source", "confidence", "note"), about, strict=True)
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
            if key not in ("source", "confidence", "note", "name"):
                yield from figures(value, (*trail, key), (source, confidence, note))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from figures(value, (*trail, index), about)
    else:
        yield Figure(path_text(trail), str(data), *about)
