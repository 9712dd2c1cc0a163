"""Values set from outside a file, by dotted key."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from cluster_sim.errors import ScenarioError, shown
from cluster_sim.schema.catalog import (
    catalog_entry,
    catalog_kinds,
    catalog_names,
    find,
    named,
)
from cluster_sim.schema.documents import LIKE, Document, Trail, forget, inside, path_text
from cluster_sim.schema.like import ENTRY_KINDS, Written, like_name
from cluster_sim.schema.renamed_keys import NewNames, with_new_name
from cluster_sim.schema.sourced_figures import bare
from cluster_sim.schema.yaml_files import parse_value, read_yaml

_KEY = r"[\w-]+(?: \d+(?:[.-]\d+)*)?"  # nodes; an engine with a release, such as vLLM 0.15
_DOTTED = re.compile(rf"{_KEY}(\[\d+\]|\.{_KEY})*")  # cluster.pools[0].nodes
_STEP = re.compile(rf"\d+(?=\])|{_KEY}")


def keys_of(dotted: str) -> list[str]:
    """Return the single keys of a dotted key.

    >>> keys_of("pools[0].overheads.vLLM 0.15.step")
    ['pools', '0', 'overheads', 'vLLM 0.15', 'step']
    """
    return _STEP.findall(dotted)


def override(document: Document, assignment: str, names: NewNames | None = None) -> Document:
    """Return a document with one `key.of[0].value=VALUE` of the command line applied.

    VALUE is read as YAML. `names` are the new names of keys.
    """
    where = f"--set {assignment}"
    dotted, equals, text = assignment.partition("=")
    if not equals or not dotted.strip():
        raise ScenarioError.at(where, "expected key=value, such as --set cluster.pools[0].nodes=2")
    return overridden(document, dotted.strip(), parse_value(text, where), where, names)


def overridden(
    document: Document, dotted: str, value: Any, where: str, names: NewNames | None = None
) -> Document:
    """Return a document with one value replaced.

    If the key goes through a catalog name, the path of a YAML file or a mapping with `like`, the
    values behind it are written out first, and the value is set in them.

    Parameters
    ----------
    document
        Document that stays as it is.
    dotted
        Key of the value, such as `cluster.pools[0].nodes`. An item of a list may be given by its
        name, as in `cluster.pools.b200.nodes`.
    value
        New value; None removes the key.
    where
        Origin of the new value, for messages.
    names
        New names of keys. An old name in `dotted` is replaced, with a warning.

    Raises
    ------
    ScenarioError
        The key is invalid, or an index is beyond its list.
    """
    if not _DOTTED.fullmatch(dotted):
        raise ScenarioError.at(
            where, f"{shown(dotted)} is not a key; expected one such as cluster.pools[0].nodes"
        )
    steps: Trail = tuple(int(key) if key.isdecimal() else key for key in keys_of(dotted))
    steps = with_new_name(steps, names or {}, where)
    places = dict(document.places)
    data = _Override(value, where, places).of(document.data, (), steps)
    return Document(data, document.file, places)


@dataclass(frozen=True)
class _Override:
    """Setting of one value. `places` become those of the result."""

    value: Any
    where: str
    places: dict[Trail, str]

    def of(self, tree: Any, trail: Trail, steps: Trail) -> Any:
        """Return the values at `trail`, with the value set `steps` further down."""
        if not steps:
            forget(self.places, trail)
            self.places[trail] = self.where
            return self.value
        key, rest = steps[0], steps[1:]
        if isinstance(tree, list):
            place = self._index(tree, trail, key)
            return [
                self.of(item, (*trail, index), rest) if index == place else item
                for index, item in enumerate(tree)
            ]
        if not isinstance(tree, dict):
            # the scalar is replaced by the mapping that the rest of the key requires
            self.places[trail] = self.where
            tree = {} if key == LIKE else _behind(tree)
        elif LIKE in tree and key not in (LIKE, "name"):
            tree = self._written_out(tree, trail)
        if self.value is None and not rest:
            kept = {name: item for name, item in tree.items() if name != key}
            return kept | {key: None} if LIKE in tree else kept
        return {**tree, key: self.of(tree.get(key), (*trail, key), rest)}

    def _written_out(self, tree: dict[str, Any], trail: Trail) -> dict[str, Any]:
        """Return the values behind a mapping with `like`; the mapping if the entry is unknown.

        An unknown entry is a fault of the file, which is reported together with the other faults.
        """
        kind, name = ENTRY_KINDS.get(str(trail[-1]) if trail else ""), tree[LIKE]
        # files of models may have other formats, which lower rooms read
        if kind is None or (kind == "models" and name not in catalog_names(kind)):
            return tree
        within = inside(self.places, trail)
        places = {known[len(trail) :]: where for known, where in within.items()}
        try:
            entry = named(kind, Written(Document(tree, self.where, places, trail)))
        except ValueError:
            return tree
        self.places.update(
            {(*trail, *inner): where for inner, where in entry.document.places.items()}
        )
        is_named = tree.keys() == {LIKE} and isinstance(entry.get("name"), str)
        return dict(entry) | ({"name": like_name(entry["name"])} if is_named else {})

    def _index(self, items: list[Any], trail: Trail, key: str | int) -> int:
        """Return the index of an item of a list that a key gives by number or by the item's name.

        Raises ScenarioError if there is no such item.
        """
        if isinstance(key, int) and key < len(items):
            return key
        names = [item.get("name") if isinstance(item, dict) else None for item in items]
        if isinstance(key, str) and names.count(key) == 1:
            return names.index(key)
        expected = (
            f"an index from 0 to {len(items) - 1}"
            if items
            else "a whole list, for this one is empty"
        )
        if known := [name for name in names if isinstance(name, str)]:
            expected += f", or a name: {', '.join(known)}"
        raise ScenarioError.at(
            self.where,
            f"got {shown(key)} as an index of {path_text(trail)}; expected {expected}",
        )


def _behind(value: Any) -> dict[str, Any]:
    """Return the mapping behind a catalog name or the path of a YAML file; empty if there is none."""
    if not isinstance(value, str):
        return {}
    kind = catalog_kinds().get(value)
    if kind is not None:
        return dict(catalog_entry(kind, value))
    path = find(value) if value.endswith((".yaml", ".yml")) else None
    return dict(bare(read_yaml(path).data)) if path is not None else {}
