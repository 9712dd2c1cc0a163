"""Recipe: settings of a public run that its table of measurements does not state."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

_NONE: Mapping[str, Any] = MappingProxyType({})


class Recipe(NamedTuple):
    """Settings of a run that differ from the engine profile."""

    engine: Mapping[str, Any] = _NONE
    """Keys of the engine."""
    batching: Mapping[str, Any] = _NONE
    """Keys of `batching`."""
    memory_fraction: float | None = None
    """Share of the memory that the engine uses; None if it is the profile's."""
