"""The cluster: pools, and the policies that distribute requests to them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cluster_sim.hardware.network import NetworkSpec
from cluster_sim.scenario.pool import Pool
from cluster_sim.schema import Description, Named
from cluster_sim.serving.admission import AcceptAll, Admission
from cluster_sim.serving.disaggregation import Disaggregation
from cluster_sim.serving.routing import LeastRequests, Routing


class Cluster(Description):
    """Nodes that serve, and the policies that distribute requests to them."""

    pools: Annotated[tuple[Pool, ...], Field(min_length=1)]
    """Pools of nodes. The nodes of a pool are of one kind."""
    router: Routing = Field(default_factory=LeastRequests)
    """Policy that picks a replica for each request. Default: the replica with the fewest
    requests."""
    disaggregation: Disaggregation | None = None
    """Disaggregated prefill: choice of the decode replica, and KV transfer from pools with the role
    `prefill` to pools with the role `decode`. Default: the replica with the most free KV cache,
    with transfer layer by layer."""
    admission: Admission = Field(default_factory=AcceptAll)
    """Admission policy at the front door, which may reject requests. Default: no request is
    rejected."""
    retry_lost: bool = True
    """Whether the router sends a request that is lost with its replica to another replica. The
    answer so far is kept and its KV cache is computed again. Otherwise the request fails."""
    network: Annotated[NetworkSpec, Named("links")] | None = None
    """Network by which the front door reaches the nodes. Default: the network in each node's
    file."""
    contention: Literal["shared", "none"] = "shared"
    """Sharing of links and memories by KV transfers, swaps, fetches and engine steps. shared: they
    share max-min fairly. none: each transfer has its links to itself and takes no memory bandwidth
    from engine steps, which shows what contention costs."""
