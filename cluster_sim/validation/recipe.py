"""Recipe: settings of a public run that its table of measurements does not state."""

from __future__ import annotations

from typing import Any, NamedTuple

from cluster_sim.hardware.precision import Precision


class Recipe(NamedTuple):
    """Settings of a run that differ from the engine profile."""

    engine: dict[str, Any] = {}  # noqa: RUF012 - shared and never changed
    """Keys of the engine."""
    batching: dict[str, Any] = {}  # noqa: RUF012 - as above
    """Keys of `batching`."""
    memory_fraction: float | None = None
    """Share of the memory that the engine uses; None if it is the profile's."""
    kv_cache: Precision | None = None
    """Precision of the KV cache; None if it is not known to differ from the rule of set-ups."""
    plan: dict[str, Any] = {}  # noqa: RUF012 - as above
    """Further keys of `replica`."""
