"""Mechanisms whose cost is attributed: their names, and those of the runs without them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

Mechanism = Literal["heat", "power_caps", "contention", "failures"]
"""Mechanism that may cost latency, goodput or money."""

MECHANISMS: tuple[Mechanism, ...] = get_args(Mechanism)
"""All mechanisms, in the order of tables."""

ALL = "all"
"""Name of the run without all mechanisms in play; absent if only one mechanism is in play."""

TITLES: Mapping[str, str] = MappingProxyType({name: name.replace("_", " ") for name in MECHANISMS})
"""Names of the mechanisms in tables and sentences."""
