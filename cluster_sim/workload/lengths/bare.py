"""A bare integer where a distribution is wanted."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from cluster_sim.errors import shown


def from_integer(came: Any) -> Any:
    """A bare integer means that many tokens, always. Raises ValueError for what is neither that nor
    a mapping.
    """
    if isinstance(came, int) and not isinstance(came, bool):
        return {"distribution": "fixed", "tokens": came}
    if not isinstance(came, (dict, BaseModel)):
        raise ValueError(
            f"came {shown(came)}; wanted a whole number of tokens, or a mapping with a distribution"
        )
    return came
