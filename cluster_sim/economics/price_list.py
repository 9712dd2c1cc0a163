"""Name and date of prices."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cluster_sim.schema import Description
from cluster_sim.typing import CountOrZero


class PriceList(Description):
    """Name and date of prices, which are in US dollars."""

    name: str
    """Name of the prices, as shown in tables."""
    year: CountOrZero
    """Year of the prices, which are in US dollars."""
    month: Annotated[int, Field(ge=1, le=12)] | None = None
    """Month of the prices, from 1 to 12. Default: it is unknown."""
