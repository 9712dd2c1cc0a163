"""ReplicaLayout: parallelism, precisions and engine of one replica on GPUs."""

from __future__ import annotations

from math import ceil, inf, log2
from typing import Literal, NamedTuple

from cluster_sim.hardware.precision import Precision
from cluster_sim.llm.layers.feed_forward import Experts
from cluster_sim.physics.exchange_kinds import ExchangePlan
from cluster_sim.physics.expert_load import EVEN, ExpertLoad, SpreadExperts
from cluster_sim.physics.step_overlap import SplitFrom

Overlap = Literal["none", "two_batch"]
"""Overlap of computing and exchanges of experts in a step.

none: they follow each other. two_batch: the exchange of one half of the batch runs while the other
half computes.
"""


class Hops(NamedTuple):
    """Hops from one pipeline stage to the next one on a different node."""

    times: int = 0
    """Number of such hops per token."""
    latency_s: float = 0.0
    """Latency of one hop [s]."""
    bytes_per_s: float = inf
    """Bandwidth of one hop over the links of all devices of a stage [B/s]."""


class GroupNetwork(NamedTuple):
    """Network between the nodes of a group of devices; the default is a group within one node."""

    nodes: int = 1
    """Number of nodes that the devices of one pipeline stage span."""
    device_bytes_per_s: float = inf
    """Bandwidth between the nodes per device of the group, in one direction [B/s]."""
    latency_s: float = 0.0
    """Latency from a device to a device of another node [s]."""
    sums_in_switch: bool = False
    """Whether the switches between the nodes compute sums."""


class NodeGroup(NamedTuple):
    """A group of devices on several nodes, with the same number of devices on each."""

    nodes: int
    """Number of nodes, at least two."""
    devices: int
    """Number of devices of the group on each node."""
    device_bytes_per_s: float = inf
    """Bandwidth between the nodes per device, in one direction [B/s]."""
    sums_in_switch: bool = False
    """Whether the switches between the nodes compute sums."""

    @property
    def ranks(self) -> int:
        """Number of devices of the group."""
        return self.nodes * self.devices

    @property
    def levels(self) -> int:
        """Number of levels of a binary tree of the nodes."""
        return ceil(log2(self.nodes))


class GraphPlan(NamedTuple):
    """Sizes for which an engine captured CUDA graphs, for one rank, each list ascending.

    A step runs as a graph of the first list that has a size for it, and else eager.
    """

    decode_sequences: tuple[int, ...] = ()
    """Sizes of graphs of whole decode steps [sequences]."""
    step_tokens: tuple[int, ...] = ()
    """Sizes of graphs of whole steps of any kind [tokens]."""
    piece_tokens: tuple[int, ...] = ()
    """Sizes of piecewise graphs of steps of any kind, with attention outside of them [tokens]."""
    padding: bool = True
    """Whether a smaller step is padded to the next size. Without padding only steps of exactly a
    captured size run as graphs."""

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of graphs of each kind; kinds without graphs are omitted."""
        lists = (self.decode_sequences, self.step_tokens, self.piece_tokens)
        return tuple(len(sizes) for sizes in lists if sizes)


def layout_name(tensor: int, pipeline: int, data: int, expert: int) -> str:
    """Return the name of a layout by its degrees of parallelism, in tables and texts.

    >>> layout_name(8, 1, 1, 1), layout_name(1, 2, 8, 8)
    ('TP8', 'TP1PP2DP8EP8')
    """
    sizes = (("TP", tensor), ("PP", pipeline), ("DP", data), ("EP", expert))
    return "".join(f"{name}{size}" for name, size in sizes if size > 1 or name == "TP")


class ReplicaLayout(NamedTuple):
    """Parallelism, precisions and engine of one replica; the default is one GPU in 16 bit."""

    tensor_parallel: int = 1
    """Number of devices that share each layer."""
    pipeline_parallel: int = 1
    """Number of pipeline stages."""
    weights: Precision = "bf16"
    """Precision of the weights."""
    kv_cache: Precision = "bf16"
    """Precision of the KV cache."""
    engine: str = ""
    """Name of the engine, for its overheads on the device."""
    data_parallel: int = 1
    """Number of ranks of attention data parallelism."""
    expert_parallel: int = 1
    """Number of groups over which experts are spread."""
    graph_batches: tuple[int, ...] = ()
    """Batch sizes for which CUDA graphs are captured; empty: batches are not padded. Unused
    with `graphs`."""
    between_nodes: Hops = Hops()
    """Hops of the pipeline that leave a node."""
    graphs: GraphPlan | None = None
    """Captured CUDA graphs. None: every decode step runs as a graph, and no step with a prompt."""
    attention_backend: str = "default"
    """Attention back end, for its kernels on the device."""
    redundant_experts: int = 0
    """Number of further copies of experts in a layer, over all groups."""
    expert_load: ExpertLoad = EVEN
    """Distribution of routed tokens over experts."""
    overlap: Overlap = "none"
    """Overlap of computing and exchanges of experts."""
    fused_experts: bool = False
    """Whether experts and their exchange run in one kernel."""
    split_from: SplitFrom = SplitFrom()
    """Sizes from which a step runs as two batches, with that overlap."""
    network: GroupNetwork = GroupNetwork()
    """Network between the nodes of the devices of one pipeline stage."""
    exchange: ExchangePlan = ExchangePlan()
    """Exchanges between attention and experts by phase."""

    def spread(self, experts: Experts) -> SpreadExperts:
        """Return the spread of a layer's experts and their redundant copies over groups."""
        return SpreadExperts(
            experts.count,
            experts.count + self.redundant_experts,
            experts.top_k,
            self.expert_parallel,
            experts.routing_groups,
            self.network.nodes,
        )

    def expert_copies(self, experts: Experts) -> float:
        """Return the places for experts, if all groups were as full as the fullest, per expert.

        >>> experts = Experts(count=256, top_k=8, ffn=2048)
        >>> wide = ReplicaLayout(expert_parallel=72, redundant_experts=32)
        >>> wide.expert_copies(experts)  # 72 x 4 / 256
        1.125
        >>> ReplicaLayout(expert_parallel=48).expert_copies(experts)  # 48 x 6 / 256
        1.125
        """
        spread = self.spread(experts)
        return ceil(spread.slots / spread.groups) * spread.groups / spread.number

    def nodes_of(self, ranks: int) -> NodeGroup | None:
        """Return the nodes of a group of `ranks` neighbours of a stage; None if it is within one.

        A stage of 32 devices on four nodes: groups of 16 span two nodes, groups of 8 span one.

        >>> wide = ReplicaLayout(16, data_parallel=2, network=GroupNetwork(4, 46e9))
        >>> wide.nodes_of(16)
        NodeGroup(nodes=2, devices=8, device_bytes_per_s=46000000000.0, sums_in_switch=False)
        >>> wide.nodes_of(8) is None
        True
        """
        network = self.network
        devices = self.tensor_parallel * self.data_parallel // network.nodes
        if ranks <= devices:
            return None
        bytes_per_s, sums = network.device_bytes_per_s, network.sums_in_switch
        return NodeGroup(ranks // devices, devices, bytes_per_s, sums)
