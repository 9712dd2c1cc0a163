"""Arrival processes. A new one is a file here and a name in the union; `times(rng)` yields ascending seconds."""

from typing import Annotated

from pydantic import Field

from cluster_sim.workload.arrivals.at_once import AtOnce
from cluster_sim.workload.arrivals.burst import Burst
from cluster_sim.workload.arrivals.closed_loop import ClosedLoop
from cluster_sim.workload.arrivals.gamma import Gamma
from cluster_sim.workload.arrivals.on_off import OnOff
from cluster_sim.workload.arrivals.poisson import Poisson

Timetable = Poisson | Gamma | OnOff | Burst | AtOnce
Arrivals = Annotated[Poisson | Gamma | OnOff | Burst | AtOnce | ClosedLoop, Field(discriminator="process")]

__all__ = ["Arrivals", "AtOnce", "Burst", "ClosedLoop", "Gamma", "OnOff", "Poisson", "Timetable"]
