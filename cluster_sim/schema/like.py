"""Mappings `{like: NAME, key: value}`: an entry of the catalog or of a file, with changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from cluster_sim.errors import ScenarioError, shown
from cluster_sim.schema.documents import LIKE, Document, Trail, under

ENTRY_KINDS = {
    "model": "models",
    "draft_model": "models",
    "node": "nodes",
    "device": "devices",
    "engine": "engines",
    "drafter": "drafters",
    "network": "links",
    "prices": "prices",
    "materials": "prices",
    "token_prices": "token_prices",
    "failures": "failures",
    "weather": "weather",
}
"""Folder of the catalog, by the key under which a file names an entry of that folder."""
_PREFIX = f"{LIKE} "

# Files that are being read because a `like` names them, to detect a cycle.
_open_files: ContextVar[tuple[Path, ...]] = ContextVar("open_files", default=())


class FromFile(dict[str, Any]):
    """Values that are checked as a separate document, such as those of a named file."""

    def __init__(self, document: Document) -> None:
        super().__init__(document.data)
        self.document = document


class Written(dict[str, Any]):
    """Mapping with the key `like`, with the lines of its keys."""

    def __init__(self, document: Document) -> None:
        super().__init__(document.data)
        self.document = document


def with_lines(document: Document) -> Any:
    """Return the values of a document in which each mapping with `like` has its lines."""
    return _with_lines(document.data, (), document)


def _with_lines(value: Any, trail: Trail, document: Document) -> Any:
    if isinstance(value, dict):
        if LIKE in value:
            return Written(document.part(trail))
        parts = {key: _with_lines(part, (*trail, key), document) for key, part in value.items()}
        return parts if any(parts[key] is not value[key] for key in parts) else value
    if isinstance(value, list):
        items = [_with_lines(part, (*trail, index), document) for index, part in enumerate(value)]
        return (
            items if any(new is not old for new, old in zip(items, value, strict=True)) else value
        )
    return value


def merged_with_entry(
    value: dict[str, Any], read: Callable[[str], Any], bare: Callable[[Any], Any]
) -> FromFile:
    """Return the entry that a mapping names by `like`, with the other keys of the mapping over it.

    Mappings are merged, all other values are replaced as a whole, and null removes a key. A mapping
    over the name of a further entry, such as the device of a node, is merged over that entry.

    Parameters
    ----------
    value
        Mapping with the key `like`.
    read
        Function that returns the values of an entry by its name or path.
    bare
        Function that replaces figures with a source by their values.

    Raises
    ------
    ScenarioError
        There is no such entry, or files name each other in a cycle.
    """
    document = value.document if isinstance(value, Written) else Document(value, "a mapping")
    named = value[LIKE]
    if not isinstance(named, str):
        raise _fault(document, f"got {shown(named)}; expected a name in the catalog or a path")
    try:
        base = _entry(read(named), named)
    except ScenarioError:
        raise
    except ValueError as fault:
        raise _fault(document, str(fault)) from fault
    changes = document.without(LIKE)
    if not changes.data:
        places = base.places | {(): document.place(())}
        return FromFile(Document(base.data, document.file, places, document.trail))
    changes.data = opened(base.data, bare(changes.data))
    merged = base.merged(changes)
    own_name, entry_name = changes.data.get("name"), base.data.get("name")
    if isinstance(entry_name, str) and (own_name is None or isinstance(own_name, str)):
        merged.data["name"] = like_name(entry_name, own_name)
    merged.places.setdefault((), document.place(()))
    return FromFile(Document(merged.data, document.file, merged.places, document.trail))


def _fault(document: Document, what: str) -> ScenarioError:
    return ScenarioError.at(document.place((LIKE,)), f"{under((*document.trail, LIKE))}{what}")


def _entry(values: Any, name: str) -> Document:
    """Return an entry as a document. The caller adds the location of the whole entry."""
    if not isinstance(values, FromFile):
        return Document(values, name)
    document = values.document
    places = {trail: where for trail, where in document.places.items() if trail}
    return Document(document.data, document.file, places)


def opened(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return changes in which mappings over the name of a further entry are like that entry.

    >>> opened({"device": "b200-sxm"}, {"device": {"memory": {"capacity": "90 GB"}}})
    {'device': {'like': 'b200-sxm', 'memory': {'capacity': '90 GB'}}}
    """
    return {
        key: {LIKE: base[key], **value}
        if key in ENTRY_KINDS
        and isinstance(value, dict)
        and LIKE not in value
        and isinstance(base.get(key), str)
        else value
        for key, value in changes.items()
    }


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Record that the file at `path` is being read.

    Raises ValueError if the file is already being read, since it would be like itself.
    """
    files = _open_files.get()
    if path in files:
        names = " -> ".join(file.name for file in (*files[files.index(path) :], path))
        raise ValueError(f"{names} is a cycle; expected a file that is not like itself")
    token = _open_files.set((*files, path))
    try:
        yield
    finally:
        _open_files.reset(token)


def like_name(entry: str, own: str | None = None) -> str:
    """Return the name of an entry that is like `entry`; its own name if it has one.

    >>> like_name("DGX B200"), like_name("DGX B200", "half a node")
    ('like DGX B200', 'half a node (like DGX B200)')
    """
    like = entry if entry.startswith(_PREFIX) else f"{_PREFIX}{entry}"
    return like if own is None else f"{own} ({like})"


def entry_name(name: str) -> str:
    """Return the name of the original entry behind a name.

    >>> entry_name("like TPU v6e (Trillium)"), entry_name("half a node (like DGX B200)")
    ('TPU v6e (Trillium)', 'DGX B200')
    >>> entry_name("DGX B200")
    'DGX B200'
    """
    if name.startswith(_PREFIX):
        return entry_name(name.removeprefix(_PREFIX))
    own, opening, rest = name.partition(f" ({_PREFIX}")
    return entry_name(rest.removesuffix(")")) if opening else own
