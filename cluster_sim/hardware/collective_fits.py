"""Times of collectives between the devices of a node, fitted to measurements."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field

from cluster_sim.hardware.operating_point import scaled_by
from cluster_sim.schema import Description
from cluster_sim.units import BytesPerSecond, PositiveSeconds, Seconds


class OneShotFit(Description):
    """An all-reduce in which each rank reads the tensors of all others: best for small ones."""

    start_s: PositiveSeconds
    """The smallest tensor's time, before ranks are counted."""
    rank_s: Seconds = 0.0
    """More for each rank beyond the first."""
    bandwidth_bytes_per_s: BytesPerSecond
    """At which a rank reads the others' tensors."""
    overlap: Annotated[float, Field(ge=1.0, le=8.0)] = 1.0
    """How well start and reading hide each other: the exponent of the norm that joins them; 1 for
    not at all."""


class CollectiveFit(Description):
    """Time of one kind of collective, as `physics.collectives` puts these together; a start and a
    bandwidth are enough.
    """

    largest: Annotated[int, Field(ge=2)] = 8
    """Most ranks that were measured."""
    start_s: PositiveSeconds
    """The smallest tensor's time, before ranks are counted."""
    rank_s: Seconds = 0.0
    """More for each rank beyond the first: steps of the ring."""
    link_bandwidth_bytes_per_s: BytesPerSecond
    """At which large tensors cross the links of a rank, one direction; a fit, which may lie on
    either side of the wire's."""
    copy_bandwidth_bytes_per_s: BytesPerSecond | None = None
    """At which the whole tensor is gone through besides, whatever the ranks."""
    in_switch: Annotated[float, Field(ge=1.0)] = 1.0
    """How much less crosses the links of a group so large that the switches make the sums."""
    climb_s: Seconds = 0.0
    """Time on the links up to which the bandwidth is less than half of what it climbs to."""
    climb_exponent: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    """With which the time on the links grows with the size well below that."""
    one_shot: OneShotFit | None = None
    """Of an all-reduce: what small tensors take."""

    def at(self, links: float) -> Self:
        """This kind with a share (above 0) of the links' bandwidth left; its starts stay."""
        slower = scaled_by(
            self, {"link_bandwidth_bytes_per_s": links, "copy_bandwidth_bytes_per_s": links}
        )
        one_shot = self.one_shot and scaled_by(self.one_shot, {"bandwidth_bytes_per_s": links})
        return slower.model_copy(update={"one_shot": one_shot})


CollectiveKind = Literal[
    "all_reduce", "all_reduce_vllm", "nccl_all_reduce", "all_gather", "reduce_scatter", "all_to_all"
]


class CollectiveFits(Description):
    """Collectives of devices that are linked as inside a node, in CUDA graphs, fitted by
    `cluster-sim calibrate`.
    """

    all_reduce: CollectiveFit | None = None
    """By TensorRT-LLM's kernel, which stands in for engines without one of their own."""
    all_reduce_vllm: CollectiveFit | None = None
    """By vLLM's own kernel."""
    nccl_all_reduce: CollectiveFit | None = None
    all_gather: CollectiveFit | None = None
    """This and those below by NCCL."""
    reduce_scatter: CollectiveFit | None = None
    all_to_all: CollectiveFit | None = None

    def all_reduce_of(self, engine: str) -> CollectiveFit | None:
        """That of the kernel that the engine called `engine` runs."""
        return (
            self.all_reduce_vllm
            if engine.lower() == "vllm" and self.all_reduce_vllm is not None
            else self.all_reduce
        )

    def at(self, links: float) -> Self:
        """All of them with a share (above 0) of the links' bandwidth left; their starts stay."""
        fits = ((name, getattr(self, name)) for name in type(self).model_fields)
        return self.model_copy(
            update={name: fit.at(links) for name, fit in fits if fit is not None}
        )
