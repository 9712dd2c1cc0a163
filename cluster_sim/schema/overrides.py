"""Values set from outside a file, by dotted key."""

from __future__ import annotations

import re
from typing import Any

from cluster_sim.errors import ScenarioError, shown
from cluster_sim.schema.catalog import CATALOG, bare, catalog_entry, catalog_names, find
from cluster_sim.schema.documents import Document, Trail, parse_value, path_text, read_yaml

_DOTTED = re.compile(r"[\w-]+(\[\d+\]|\.[\w-]+)*")  # cluster.pools[0].nodes


def override(document: Document, assignment: str) -> Document:
    """`document` with one `key.of[0].value=VALUE` of the command line applied; VALUE is read as
    YAML.
    """
    where = f"--set {assignment}"
    dotted, equals, text = assignment.partition("=")
    if not equals or not dotted.strip():
        raise ScenarioError.at(where, "wanted key=value, such as --set cluster.pools[0].nodes=2")
    return overridden(document, dotted.strip(), parse_value(text, where), where)


def overridden(document: Document, dotted: str, value: Any, where: str) -> Document:
    """`document` with the value at `dotted` (`a.b[0].c`) replaced; `where` says who asked for it.

    Below a name of the catalog, or the path of a YAML file, what it stands for is written out first
    and the value set in that. A value of None takes the key away.
    """
    if not _DOTTED.fullmatch(dotted):
        raise ScenarioError.at(
            where, f"{shown(dotted)} is no key; wanted one such as cluster.pools[0].nodes"
        )
    keys: list[str | int] = [
        int(key) if key.isdecimal() else key
        for key in dotted.replace("[", ".").replace("]", "").split(".")
    ]
    places = dict(document.places)

    def put(tree: Any, trail: Trail, rest: list[str | int]) -> Any:
        if not rest:
            for known in [known for known in places if known[: len(trail)] == trail]:
                del places[known]
            places[trail] = where
            return value
        key, *rest = rest
        if isinstance(tree, list):
            if not isinstance(key, int) or key >= len(tree):
                wanted = (
                    f"an index from 0 to {len(tree) - 1}"
                    if tree
                    else "the list as a whole: it is empty"
                )
                raise ScenarioError.at(
                    where,
                    f"{path_text(trail)} is a list of {len(tree)}; came {shown(key)}, wanted {wanted}",
                )
            return [
                put(item, (*trail, key), rest) if index == key else item
                for index, item in enumerate(tree)
            ]
        if not isinstance(tree, dict):
            places[trail] = (
                # what a scalar stands for gives way to the mapping that the rest of the key asks
                # for
                where
            )
            tree = _behind(tree)
        if value is None and not rest:
            return {name: kept for name, kept in tree.items() if name != key}
        return {**tree, key: put(tree.get(key), (*trail, key), rest)}

    return Document(put(document.data, (), keys), document.file, places)


def _behind(came: Any) -> dict[str, Any]:
    """The mapping that a name of the catalog or the path of a YAML file stands for; an empty one
    where there is none.
    """
    if not isinstance(came, str):
        return {}
    kind = next(
        (
            folder.name
            for folder in CATALOG.iterdir()
            if folder.is_dir() and came in catalog_names(folder.name)
        ),
        None,
    )
    if kind is not None:
        return dict(catalog_entry(kind, came))
    path = find(came) if came.endswith((".yaml", ".yml")) else None
    return dict(bare(read_yaml(path).data)) if path is not None else {}
