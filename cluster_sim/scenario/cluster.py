"""The cluster: pools, and how requests find them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cluster_sim.hardware.network import NetworkSpec
from cluster_sim.scenario.pool import Pool
from cluster_sim.schema import Description, Named
from cluster_sim.serving.admission import AcceptAll, Admission
from cluster_sim.serving.disaggregation import Disaggregation
from cluster_sim.serving.routing import LeastRequests, Routing


class Cluster(Description):
    """The nodes, and how requests find them."""

    pools: Annotated[tuple[Pool, ...], Field(min_length=1)]
    """Pools of nodes of one kind each."""
    router: Routing = Field(default_factory=LeastRequests)
    """Policy that picks a replica for each request. Default: the one with the fewest requests."""
    hand_over: Disaggregation | None = None
    """How requests get from pools of the role `prefill` to those of the role `decode`. Default: to
    the replica with the most free KV cache, layer by layer."""
    admission: Admission = Field(default_factory=AcceptAll)
    """Policy that rejects requests at the front door. Default: it rejects none."""
    network: Annotated[NetworkSpec, Named("links")] | None = None
    """Network by which the front door reaches the nodes. Default: that of each node's file."""
