"""Sections of a file that have a key which was written in another section."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import lru_cache

from pydantic import BaseModel

from cluster_sim.schema.annotations import is_model, item_of, members, tag_of
from cluster_sim.schema.documents import Trail

_MOST_STEPS = 2
"""Largest number of steps between two sections that are taken for each other."""
_MACHINES = ("node", "network", "model", "link")
"""Keys of descriptions of machines and models, whose many keys are not what a scenario misplaces."""

Section = tuple[str, ...]
"""Keys that lead to a section, without numbers of items."""


def section_with(kind: type[BaseModel], key: str, trail: Trail) -> str:
    """Return the nearest other section that has a key, such as `cluster.pools[].kv`; else nothing.

    Parameters
    ----------
    kind
        Description that the file is read as.
    key
        Name of the key.
    trail
        Keys that lead to the section in which it was written.
    """
    here = tuple(str(step) for step in trail if not isinstance(step, int))
    steps = {
        section: _steps(here, section)
        for section, keys in _sections(kind).items()
        if key in keys and section != here
    }
    nearest = min(steps, key=lambda section: (steps[section], section), default=None)
    if nearest is None or steps[nearest] > _MOST_STEPS:
        return ""
    return ".".join(f"{step}[]" if step == "pools" else step for step in nearest) or "the file"


def _steps(one: Section, other: Section) -> int:
    common = 0
    for mine, its in zip(one, other, strict=False):
        if mine != its:
            break
        common += 1
    return len(one) + len(other) - 2 * common


@lru_cache(16)
def _sections(kind: type[BaseModel]) -> dict[Section, frozenset[str]]:
    """Return the keys of each section of a description, without those of machines and models."""
    found: dict[Section, set[str]] = {}
    waiting: deque[tuple[Section, type[BaseModel], tuple[type, ...]]] = deque([((), kind, ())])
    while waiting:
        section, owner, above = waiting.popleft()
        names = found.setdefault(section, set())
        for name, info in owner.model_fields.items():
            alias = info.alias or name
            names.add(alias)
            if alias in _MACHINES or owner in above:
                continue
            for inner in _models(info.annotation):
                waiting.append(((*section, alias), inner, (*above, owner)))
    return {section: frozenset(names) for section, names in found.items()}


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    """Yield the descriptions that a value, or an item of it, may be.

    Those that a key such as `policy` tells apart are left out: their keys depend on it.
    """
    for kind in (annotation, item_of(annotation)):
        yield from (member for member in members(kind) if is_model(member) and not tag_of(member))
