"""The cluster: pools, and how requests find them."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from pydantic import BeforeValidator, Field

from cluster_sim.hardware.network import NetworkSpec
from cluster_sim.llm.model import Model
from cluster_sim.scenario.pool import Pool
from cluster_sim.schema import Description, named
from cluster_sim.serving.admission import AcceptAll, Admission
from cluster_sim.serving.disaggregation import HandOver
from cluster_sim.serving.routing import LeastRequests, Routing
from cluster_sim.topology import Topology


class Cluster(Description):
    """The machines, and how requests find them."""

    pools: Annotated[tuple[Pool, ...], Field(min_length=1)]
    router: Routing = Field(default_factory=LeastRequests)
    hand_over: HandOver | None = None
    """How requests get from pools of the role `prefill` to those of the role `decode`; default: to
    the one with most KV room, layer by layer."""
    admission: Admission = Field(default_factory=AcceptAll)
    """Which requests are turned away at the front door; default: none."""
    network: (
        Annotated[
            NetworkSpec,
            BeforeValidator(partial(named, "links"), json_schema_input_type=str | NetworkSpec),
        ]
        | None
    ) = None
    """How the front door reaches the nodes; default: what each node's file says."""

    def networked(self, pool: Pool) -> Pool:
        """The pool, its nodes reached as this cluster says."""
        return (
            pool
            if self.network is None
            else pool.model_copy(
                update={"node": pool.node.model_copy(update={"network": self.network})}
            )
        )

    def topology(self) -> Topology:
        """All places and links."""
        nodes = {
            f"{pool.name}/{number}": pool.node
            for pool in self.pools
            for number in range(pool.nodes)
        }
        return Topology(nodes, self.network)

    def devices(self, model: Model) -> list[list[str]]:
        """Of every replica, the places of the devices that hold the KV of one of its requests; the
        first is where its server is.
        """
        places: list[list[str]] = []
        for pool in self.pools:
            each = pool.devices_a_replica(model)
            for first in range(0, pool.replica_count(model) * each, each):
                numbers = range(first, first + each // pool.replica.data_parallel)
                places.append(
                    [
                        f"{pool.name}/{number // pool.node.devices}/device{number % pool.node.devices}"
                        for number in numbers
                    ]
                )
        return places
