"""Engine profiles of the catalog, and the keys in which an engine differs from its profile."""

from __future__ import annotations

from functools import cache

from cluster_sim.schema import Document, catalog_entry, catalog_names, describe, second_names
from cluster_sim.serving.engine import Engine


@cache
def profiles() -> dict[str, Engine]:
    """Return the engine profiles of the catalog, bare names of engines first.

    Names that stand for a release are omitted.
    """
    entries = set(catalog_names("engines")) - set(second_names("engines"))
    names = sorted(entries, key=lambda name: ("-" in name, name))
    return {
        name: describe(Engine, Document(catalog_entry("engines", name), name)) for name in names
    }


def profile_of(engine: Engine) -> Engine | None:
    """Return the profile of the catalog that an engine is or changes; None for an own engine."""
    alike = (profile for profile in profiles().values() if profile.profile == engine.profile)
    return next(alike, None)


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
    value, profile = getattr(engine, key), profile_of(engine)
    if value == Engine.model_fields[key].default:
        return False
    return profile is None or value != getattr(profile, key)
