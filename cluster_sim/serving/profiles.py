"""Engine profiles of the catalog, and the keys in which an engine differs from its profile."""

from __future__ import annotations

import re
from functools import cache

from cluster_sim.schema import CATALOG, Document, catalog_entry, catalog_names, describe
from cluster_sim.serving.engine import Engine

_NAME = re.compile(r"^name: (.+)$", re.MULTILINE)


@cache
def profiles() -> dict[str, Engine]:
    """Return the engine profiles of the catalog, bare names of engines first.

    Names that stand for a release are omitted.
    """
    names = sorted(_entries().values(), key=lambda name: ("-" in name, name))
    return {name: _profile(name) for name in names}


@cache
def _entries() -> dict[str, str]:
    """Return the catalog name of each profile by the name in its file.

    The files are searched and not parsed: a scenario needs one or two of them.
    """
    names = catalog_names("engines")
    texts = ((CATALOG / "engines" / f"{name}.yaml").read_text(encoding="utf-8") for name in names)
    found = zip(names, map(_NAME.search, texts), strict=True)
    return {match[1]: name for name, match in found if match is not None}


@cache
def _profile(name: str) -> Engine:
    return describe(Engine, Document(catalog_entry("engines", name), name))


def entry_of(engine: Engine) -> str | None:
    """Return the catalog name of the profile that an engine is or changes; None for an own one."""
    return _entries().get(engine.profile)


def profile_of(engine: Engine) -> Engine | None:
    """Return the profile of the catalog that an engine is or changes; None for an own engine."""
    name = entry_of(engine)
    return None if name is None else _profile(name)


def is_written(engine: Engine, key: str) -> bool:
    """Return whether a file gives an engine a value: neither the default nor the profile's.

    Examples
    --------
    >>> vllm = profiles()["vllm-0.15"]
    >>> is_written(vllm, "block_tokens")
    False
    >>> is_written(vllm.model_copy(update={"block_tokens": 64}), "block_tokens")
    True
    """
    value = getattr(engine, key)
    if value == Engine.model_fields[key].default:
        return False
    profile = profile_of(engine)
    return profile is None or value != getattr(profile, key)
