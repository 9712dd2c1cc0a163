"""Clients who wait for an answer before they ask again, as benchmark clients with a fixed
concurrency do.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cluster_sim.schema import Description
from cluster_sim.units import Seconds


class ClosedLoop(Description):
    """`concurrency` clients; each sends its next request when the last has finished and it has
    thought.
    """

    process: Literal["closed_loop"] = "closed_loop"
    concurrency: Annotated[int, Field(gt=0)]
    think_time_s: Seconds = 0.0
    requests: Annotated[int, Field(gt=0)] | None = None
    """Of all clients together; default: until `duration`."""
