"""Reliability: faults of nodes, devices and links, drawn at random or recorded.

The room has no clock: it says when something fails and how long its repair takes. Processes of the
simulation act on it.
"""

from cluster_sim.reliability.clustered import ClusteredGaps
from cluster_sim.reliability.defaults import (
    CATALOG_KIND,
    CatalogRate,
    DefaultEntry,
    catalog_rate,
    completed,
    default_entries,
    entries_with,
)
from cluster_sim.reliability.draws import Place, drawn_faults, faults_of
from cluster_sim.reliability.failures import KINDS_WITH_RATES, Failures, FaultRate
from cluster_sim.reliability.fault import FAULT_KINDS, LINK_KINDS, Fault, FaultKind, Streams
from cluster_sim.reliability.gaps import AnyGaps, ExponentialGaps, WeibullGaps
from cluster_sim.reliability.recorded import find_recorded, recorded_faults
from cluster_sim.reliability.repairs import ExponentialRepair, FixedRepair, LognormalRepair

__all__ = [
    "CATALOG_KIND",
    "FAULT_KINDS",
    "KINDS_WITH_RATES",
    "LINK_KINDS",
    "AnyGaps",
    "CatalogRate",
    "ClusteredGaps",
    "DefaultEntry",
    "ExponentialGaps",
    "ExponentialRepair",
    "Failures",
    "Fault",
    "FaultKind",
    "FaultRate",
    "FixedRepair",
    "LognormalRepair",
    "Place",
    "Streams",
    "WeibullGaps",
    "catalog_rate",
    "completed",
    "default_entries",
    "drawn_faults",
    "entries_with",
    "faults_of",
    "find_recorded",
    "recorded_faults",
]
