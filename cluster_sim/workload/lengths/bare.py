"""A bare integer in place of a distribution."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from cluster_sim.errors import shown


def from_integer(value: Any) -> Any:
    """Return a bare integer as a `fixed` distribution; return mappings unchanged.

    Raises ValueError for any other value.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return {"distribution": "fixed", "tokens": value}
    if not isinstance(value, (dict, BaseModel)):
        raise ValueError(
            f"got {shown(value)}; expected a whole number of tokens, or a mapping with a distribution"
        )
    return value
