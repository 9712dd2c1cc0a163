"""Routing policies, which choose the replica of a request.

A new policy is a file in this folder and a name in the union; it may use any figure of `Load`.
"""

from typing import Annotated

from pydantic import Field

from cluster_sim.serving.load import Load
from cluster_sim.serving.routing.kv_events import KvEvents
from cluster_sim.serving.routing.least_requests import LeastRequests
from cluster_sim.serving.routing.least_work import LeastWork
from cluster_sim.serving.routing.picker import Picker, RoutingSetting
from cluster_sim.serving.routing.policy import Routed, RoutedPool
from cluster_sim.serving.routing.power_of_two import PowerOfTwo
from cluster_sim.serving.routing.prefix_affinity import PrefixAffinity
from cluster_sim.serving.routing.random import Random
from cluster_sim.serving.routing.round_robin import RoundRobin
from cluster_sim.serving.routing.rules import Rules
from cluster_sim.serving.routing.thermal import Thermal

Routing = Annotated[
    RoundRobin | Random | LeastRequests | LeastWork | PowerOfTwo | PrefixAffinity | Rules | Thermal,
    Field(discriminator="policy"),
]

__all__ = [
    "KvEvents",
    "LeastRequests",
    "LeastWork",
    "Load",
    "Picker",
    "PowerOfTwo",
    "PrefixAffinity",
    "Random",
    "RoundRobin",
    "Routed",
    "RoutedPool",
    "Routing",
    "RoutingSetting",
    "Rules",
    "Thermal",
]
