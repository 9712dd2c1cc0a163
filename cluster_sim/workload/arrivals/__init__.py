"""Arrival processes. A new one is a file here and a name in the union; `pieces(rng)` yields
ascending seconds.
"""

from typing import Annotated

from pydantic import Field

from cluster_sim.workload.arrivals.at_once import AtOnce
from cluster_sim.workload.arrivals.burst import Burst
from cluster_sim.workload.arrivals.clients import Clients
from cluster_sim.workload.arrivals.closed_loop import ClosedLoop
from cluster_sim.workload.arrivals.diurnal import Diurnal
from cluster_sim.workload.arrivals.gamma import Gamma
from cluster_sim.workload.arrivals.mmpp import Mmpp
from cluster_sim.workload.arrivals.on_off import OnOff
from cluster_sim.workload.arrivals.poisson import Poisson
from cluster_sim.workload.arrivals.weibull import Weibull

Open = Poisson | Gamma | Weibull | OnOff | Mmpp | Clients | Diurnal | Burst
Timetable = Open | AtOnce
Arrivals = Annotated[
    Poisson | Gamma | Weibull | OnOff | Mmpp | Clients | Diurnal | Burst | AtOnce | ClosedLoop,
    Field(discriminator="process"),
]

__all__ = [
    "Arrivals",
    "AtOnce",
    "Burst",
    "Clients",
    "ClosedLoop",
    "Diurnal",
    "Gamma",
    "Mmpp",
    "OnOff",
    "Open",
    "Poisson",
    "Timetable",
    "Weibull",
]
