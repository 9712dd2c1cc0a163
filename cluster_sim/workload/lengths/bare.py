"""A bare integer in place of a distribution."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from cluster_sim.errors import shown


def from_integer(value: Any) -> Any:
    """Return the mapping that a bare integer stands for; mappings as they are.

    Raises ValueError for what is neither.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return {"distribution": "fixed", "tokens": value}
    if not isinstance(value, (dict, BaseModel)):
        raise ValueError(
            f"got {shown(value)}; expected a whole number of tokens, or a mapping with a distribution"
        )
    return value
