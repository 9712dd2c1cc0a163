"""Arrival processes.

A new process is a file in this folder and a name in the union. It derives from `OpenLoop` if its
times do not depend on the answers, else from `ArrivalProcess`. The methods of `ArrivalProcess` are
the interface to other rooms.
"""

from typing import Annotated, get_args

from pydantic import Field

from cluster_sim.workload.arrivals.at_once import AtOnce
from cluster_sim.workload.arrivals.burst import Burst
from cluster_sim.workload.arrivals.client_population import ClientPopulation
from cluster_sim.workload.arrivals.closed_loop import ClosedLoop
from cluster_sim.workload.arrivals.diurnal import Diurnal
from cluster_sim.workload.arrivals.gamma import Gamma
from cluster_sim.workload.arrivals.mmpp import Mmpp
from cluster_sim.workload.arrivals.on_off import OnOff
from cluster_sim.workload.arrivals.poisson import Poisson
from cluster_sim.workload.arrivals.process import (
    ArrivalProcess,
    ClientLoad,
    OpenLoop,
    WaitingClients,
)
from cluster_sim.workload.arrivals.weibull import Weibull

AnyArrivals = (
    Poisson
    | Gamma
    | Weibull
    | OnOff
    | Mmpp
    | ClientPopulation
    | Diurnal
    | Burst
    | AtOnce
    | ClosedLoop
)
Arrivals = Annotated[AnyArrivals, Field(discriminator="process")]

ARRIVAL_PROCESSES: tuple[type[ArrivalProcess], ...] = get_args(AnyArrivals)
"""Classes of all arrival processes, in the order of the union."""

__all__ = [
    "ARRIVAL_PROCESSES",
    "ArrivalProcess",
    "Arrivals",
    "AtOnce",
    "Burst",
    "ClientLoad",
    "ClientPopulation",
    "ClosedLoop",
    "Diurnal",
    "Gamma",
    "Mmpp",
    "OnOff",
    "OpenLoop",
    "Poisson",
    "WaitingClients",
    "Weibull",
]
