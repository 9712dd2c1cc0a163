"""Fault: something that stops working at a time, and works again after its repair."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Literal, NamedTuple, get_args

import numpy as np

FaultKind = Literal[
    "node_failure", "device_failure", "link_failure", "link_degraded", "spot_reclaim"
]
"""Kind of a fault, which is also the kind of its event."""
FAULT_KINDS: tuple[FaultKind, ...] = get_args(FaultKind)
"""All kinds of faults."""

LINK_KINDS: tuple[FaultKind, ...] = ("link_failure", "link_degraded")
"""Kinds of faults of links."""

Streams = Callable[[str], np.random.Generator]
"""Function that returns the random generator of a named stream. The same name always gives a
generator in the same state."""


class Fault(NamedTuple):
    """A fault of a node, a device or a link."""

    at_s: float
    """Time of the fault [s]; for a spot reclaim, time of its notice."""
    lasts_s: float
    """Time from the fault to the end of its repair [s]; inf if it is not repaired. For a spot
    reclaim, it counts from the end of the notice."""
    what: FaultKind
    """Kind of the fault."""
    where: str
    """Name of the pool, node, device or link."""
    notice_s: float = 0.0
    """Time from the notice of a spot reclaim to the loss of the nodes [s]."""
    factor: float = 0.0
    """Share of the bandwidth that a degraded link keeps; 0 for other faults."""

    @property
    def is_repaired(self) -> bool:
        """Whether the fault ends."""
        return self.lasts_s < inf
