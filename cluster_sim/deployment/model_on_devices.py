"""One model on the devices of one replica: its placement and the times of its steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import inf

from cluster_sim.deployment.engine_memory import captured_graphs, memory_use
from cluster_sim.deployment.group_network import group_network
from cluster_sim.hardware.node import Node
from cluster_sim.hardware.operating_point import OperatingPoint
from cluster_sim.hardware.precision import Precision
from cluster_sim.llm.model import Model
from cluster_sim.physics.expert_load import EVEN
from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.physics.placement import Placement, place_on_gpus, place_on_wafers
from cluster_sim.physics.replica_layout import GroupNetwork, Hops, ReplicaLayout
from cluster_sim.physics.wafer import WaferSteps
from cluster_sim.physics.wafer_placement import regions_of
from cluster_sim.physics.wafer_regions import Region, WaferPlan
from cluster_sim.scenario.pool import Pool
from cluster_sim.topology import Topology, group_path, host_bandwidth_bytes_per_s
from cluster_sim.typing import Number

PlainSteps = GpuSteps | WaferSteps
"""Times of engine steps without verification of drafts."""


@dataclass(frozen=True, eq=False)
class ModelOnDevices:
    """A model on the devices of one replica: the served model, or a smaller draft model."""

    model: Model
    pool: Pool
    node: Node
    """Node of the pool, reached by the network of the cluster."""
    devices: int
    """Number of devices of the replica."""

    def beside(self, model: Model) -> ModelOnDevices:
        """Return another model on the same devices."""
        return replace(self, model=model)

    @cached_property
    def drafter(self) -> Model | None:
        """Model whose steps draft: a draft model, or layers of this model on GPUs; else None."""
        speculation = self.pool.replica.speculation
        if speculation is None:
            return None
        if speculation.passed_layers and not self.pool.is_wafer:
            return self.model.last_layers(speculation.passed_layers)
        return speculation.drafting_model

    @cached_property
    def weights(self) -> Precision:
        """Precision of the weights."""
        return self.pool.replica.weights_of(self.model)

    @cached_property
    def wafer_plan(self) -> WaferPlan:
        """Plan by which the model is placed on wafers."""
        plan = self.pool.replica
        return WaferPlan(
            self.devices, self.weights, plan.kv_cache, plan.layout, self.pool.is_streamed, self.pool.max_sequences,
            plan.reserved_rows, plan.defective_cores,
        )  # fmt: skip

    @cached_property
    def regions(self) -> tuple[Region, ...]:
        """Regions of the replica's wafers; empty for other devices."""
        if not self.pool.is_wafer:
            return ()
        return regions_of(self.model, self.node.device, self.wafer_plan)

    @cached_property
    def placement(self) -> Placement:
        """Memory of weights and KV cache, and the memory that is left."""
        if self.pool.is_wafer:
            return place_on_wafers(self.model, self.node.device, self.wafer_plan)
        memory = memory_use(self.pool, self.model, self._layout, self.devices)
        return place_on_gpus(self.model, self.node.device, self._layout, memory)

    def placement_with(self, drafter: Model) -> Placement:
        """Return the memory with a draft model on the same devices."""
        alone, other = self.placement, self.beside(drafter).placement
        if alone.pool is not None:
            memory = memory_use(self.pool, self.model, self._layout, self.devices)
            alone = place_on_gpus(self.model, self.node.device, self._layout, memory, drafter)
        return alone.beside(other)

    @cached_property
    def _layout(self) -> ReplicaLayout:
        """Spread of the model over GPUs, without hops between nodes."""
        layout = self.pool.replica.layout_of(self.model)
        return layout._replace(graphs=captured_graphs(self.pool))

    def more_expert_bytes(self, tokens: Number) -> Number:
        """Return the bytes of experts that a step reads beyond those of even experts [B].

        Parameters
        ----------
        tokens
            Number of tokens of the step, or an array of them.
        """
        model, experts, layout = self.model, self.model.experts, self._layout
        if experts is None:
            return 0.0
        spread = layout.spread(experts)
        even = EVEN.distinct(spread._replace(slots=experts.count), tokens)
        weights = model.moe_layers * model.expert_parameters
        size = weights * model.bytes_per_parameter(self.weights, "experts")
        return size * (layout.expert_load.distinct(spread, tokens) - even)

    def step_times(self, point: OperatingPoint) -> PlainSteps:
        """Return the times of engine steps at an operating point."""
        plan, device = self.pool.replica, self.node.device.at(point)
        if self.pool.is_wafer:
            io_bytes_per_s = (host_bandwidth_bytes_per_s(self.node) or inf) * point.links
            return WaferSteps(
                self.model, device, self.wafer_plan, plan.engine.profile, io_bytes_per_s
            )
        layout = self._layout._replace(between_nodes=self.hops_between_nodes)
        if (network := self.group_network).nodes > 1:
            left = network.device_bytes_per_s * point.rails
            layout = layout._replace(network=network._replace(device_bytes_per_s=left))
        return GpuSteps(self.model, device, layout)

    @cached_property
    def group_network(self) -> GroupNetwork:
        """Network between the nodes of the devices of one pipeline stage."""
        if self.pool.is_wafer:
            return GroupNetwork()
        return group_network(self.node, self.pool.replica.stage_devices)

    @cached_property
    def hops_between_nodes(self) -> Hops:
        """Hops of the replica's pipeline that leave a node.

        The hops of the first replica of a pool represent all.
        """
        plan, devices = self.pool.replica, self.node.devices
        stage = plan.stage_devices
        count = sum(
            first % devices == 0 for first in range(stage, stage * plan.pipeline_parallel, stage)
        )
        if self.pool.is_wafer or not count:
            return Hops()
        ranks = min(plan.tensor_parallel, devices)  # those of one node; others have their own nodes
        sending, receiving = (
            [f"pool/{node}/device{first + rank}" for rank in range(ranks)]
            for node, first in ((0, devices - min(stage, devices)), (1, 0))
        )
        path = group_path(Topology({"pool/0": self.node, "pool/1": self.node}), sending, receiving)
        nodes = plan.tensor_parallel // ranks
        return Hops(count, path.route.latency_s, nodes * path.bytes_per_s)
