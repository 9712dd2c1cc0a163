"""Rules of engines for the blocks that an admission reserves; a rule is a file and a name below."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from cluster_sim.serving.reservation.full_isl import FullISL
from cluster_sim.serving.reservation.guaranteed_no_evict import GuaranteedNoEvict
from cluster_sim.serving.reservation.max_utilization import MaxUtilization
from cluster_sim.serving.reservation.reservation import Reservation

CapacitySchedulerPolicy = Literal[
    "first_chunk", "full_isl", "guaranteed_no_evict", "max_utilization"
]

RESERVATIONS: Mapping[CapacitySchedulerPolicy, type[Reservation] | None] = MappingProxyType(
    {
        "first_chunk": None,
        "full_isl": FullISL,
        "guaranteed_no_evict": GuaranteedNoEvict,
        "max_utilization": MaxUtilization,
    }
)
"""Classes of rules by name; None if an admission needs the blocks of its first chunk alone."""

__all__ = [
    "RESERVATIONS",
    "CapacitySchedulerPolicy",
    "FullISL",
    "GuaranteedNoEvict",
    "MaxUtilization",
    "Reservation",
]
