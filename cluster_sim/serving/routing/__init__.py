"""Routing policies: which replica a request goes to. A new one is a file here and a name in the union."""

from typing import Annotated

from pydantic import Field

from cluster_sim.serving.routing.least_requests import LeastRequests
from cluster_sim.serving.routing.least_work import LeastWork
from cluster_sim.serving.routing.load import Load
from cluster_sim.serving.routing.round_robin import RoundRobin

Routing = Annotated[RoundRobin | LeastRequests | LeastWork, Field(discriminator="policy")]

__all__ = ["LeastRequests", "LeastWork", "Load", "RoundRobin", "Routing"]
