"""Times of collectives between the devices of a node, fitted to measurements."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field

from cluster_sim.hardware.engine_releases import is_since, maker
from cluster_sim.hardware.link_fits import LinkFits
from cluster_sim.hardware.node_collective_fits import AcrossNodesFit
from cluster_sim.hardware.operating_point import scaled_by
from cluster_sim.limits import COUNT
from cluster_sim.schema import Description
from cluster_sim.units import BytesPerSecond, PositiveSeconds, Seconds

CollectiveKind = Literal[
    "all_reduce",
    "all_reduce_vllm",
    "all_reduce_sglang",
    "nccl_all_reduce",
    "all_gather",
    "reduce_scatter",
    "all_to_all",
]
"""A kind of collective. Each kind has its own fit."""


class OneShotFit(Description):
    """An all-reduce in which each rank reads the tensors of all others.

    It is the fastest algorithm for small tensors.
    """

    start_s: PositiveSeconds
    """Time of the smallest tensor, without the time per rank [s]."""
    rank_s: Seconds = 0.0
    """Additional time per rank beyond the first [s]."""
    bandwidth_bytes_per_s: BytesPerSecond
    """Rate at which a rank reads the tensors of the others [B/s]."""
    overlap: Annotated[float, Field(ge=1.0, le=8.0)] = 1.0
    """Exponent of the norm that combines start and reading. With 1 they do not overlap."""


class CollectiveFit(Description):
    """Time of one kind of collective. A start and a bandwidth are enough to describe it.

    `physics.collectives` combines the constants.
    """

    largest: Annotated[int, Field(ge=2), COUNT] = 8
    """Largest number of ranks in the measurements."""
    start_s: PositiveSeconds
    """Time of the smallest tensor, without the time per rank [s]."""
    rank_s: Seconds = 0.0
    """Additional time per rank beyond the first, as for the steps of a ring [s]."""
    link_bandwidth_bytes_per_s: BytesPerSecond
    """Rate at which large tensors cross the links of a rank in one direction [B/s]. It is a fit and
    may lie above or below the wire's bandwidth."""
    copy_bandwidth_bytes_per_s: BytesPerSecond | None = None
    """Rate at which the whole tensor is copied in addition, for any number of ranks [B/s]. Default:
    no copy."""
    in_switch: Annotated[float, Field(ge=1.0)] = 1.0
    """Factor by which fewer bytes cross the links in a group that is large enough for reductions
    inside the switches."""
    climb_s: Seconds = 0.0
    """Time on the links below which less than half of the final bandwidth is reached [s]."""
    climb_exponent: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    """Exponent of the size in the time on the links, for times far below `climb`."""
    meshed: Annotated[int, Field(ge=2), COUNT] | None = None
    """Number of devices that are linked in pairs. A smaller group has only the links among its own
    devices, and so a smaller share of the bandwidths. Default: switches link the devices, and
    groups of all sizes have the whole bandwidths."""
    one_shot: OneShotFit | None = None
    """Separate algorithm for an all-reduce of small tensors. Default: no separate algorithm."""

    def at(self, links: float) -> Self:
        """Return this fit with a share (above 0) of the bandwidth of the links. Start times stay."""
        slower = scaled_by(
            self, {"link_bandwidth_bytes_per_s": links, "copy_bandwidth_bytes_per_s": links}
        )
        one_shot = self.one_shot and scaled_by(self.one_shot, {"bandwidth_bytes_per_s": links})
        return slower.model_copy(update={"one_shot": one_shot})


_ACROSS_NODES = AcrossNodesFit()


class CollectiveFits(LinkFits):
    """Fits of collectives between devices that are linked as inside a node, in CUDA graphs.

    `cluster-sim calibrate` fits them.
    """

    all_reduce: CollectiveFit | None = None
    """All-reduce by TensorRT-LLM's kernel. It is also used for engines without their own fit.
    Default: not measured."""
    all_reduce_vllm: CollectiveFit | None = None
    """All-reduce by vLLM's own kernel. Default: the fit of `all_reduce`."""
    all_reduce_sglang: CollectiveFit | None = None
    """All-reduce by SGLang's own kernel since release 0.5.14. Default: the fit of `all_reduce`,
    which also holds for earlier releases."""
    nccl_all_reduce: CollectiveFit | None = None
    """All-reduce by NCCL. Default: not measured."""
    all_gather: CollectiveFit | None = None
    """All-gather by NCCL. Default: not measured."""
    reduce_scatter: CollectiveFit | None = None
    """Reduce-scatter by NCCL. Default: not measured."""
    all_to_all: CollectiveFit | None = None
    """All-to-all by NCCL. Default: not measured."""
    across_nodes: AcrossNodesFit | None = None
    """Collectives of groups that span nodes. Default: the constants of the H100, as an estimate."""

    @property
    def over_nodes(self) -> AcrossNodesFit:
        """Constants of collectives of groups that span nodes: own ones, or the defaults."""
        return self.across_nodes or _ACROSS_NODES

    def all_reduce_of(self, engine: str) -> CollectiveFit | None:
        """Return the fit of the all-reduce kernel that the engine called `engine` runs."""
        own = {"vLLM": self.all_reduce_vllm}
        if is_since(engine, "0.5.14"):
            own["SGLang"] = self.all_reduce_sglang
        fit = own.get(maker(engine))
        return self.all_reduce if fit is None else fit
