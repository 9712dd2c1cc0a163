"""Times of collectives between the devices of a node, fitted to measurements."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field

from cluster_sim.hardware.operating_point import scaled_by
from cluster_sim.limits import COUNT
from cluster_sim.schema import Description
from cluster_sim.units import BytesPerSecond, PositiveSeconds, Seconds

CollectiveKind = Literal[
    "all_reduce", "all_reduce_vllm", "nccl_all_reduce", "all_gather", "reduce_scatter", "all_to_all"
]
"""A kind of collective; each has a fit of its own."""


class OneShotFit(Description):
    """An all-reduce in which each rank reads the tensors of all others: best for small tensors."""

    start_s: PositiveSeconds
    """Time of the smallest tensor, before ranks count [s]."""
    rank_s: Seconds = 0.0
    """Additional time per rank beyond the first [s]."""
    bandwidth_bytes_per_s: BytesPerSecond
    """Rate at which a rank reads the tensors of the others [B/s]."""
    overlap: Annotated[float, Field(ge=1.0, le=8.0)] = 1.0
    """Exponent of the norm that joins start and reading. With 1 they do not overlap."""


class CollectiveFit(Description):
    """Time of one kind of collective; a start and a bandwidth are enough.

    `physics.collectives` puts the constants together.
    """

    largest: Annotated[int, Field(ge=2), COUNT] = 8
    """Largest number of ranks that was measured."""
    start_s: PositiveSeconds
    """Time of the smallest tensor, before ranks count [s]."""
    rank_s: Seconds = 0.0
    """Additional time per rank beyond the first: steps of the ring [s]."""
    link_bandwidth_bytes_per_s: BytesPerSecond
    """Rate at which large tensors cross the links of a rank in one direction [B/s]. It is a fit and
    may lie above or below the wire's bandwidth."""
    copy_bandwidth_bytes_per_s: BytesPerSecond | None = None
    """Rate at which the whole tensor is copied in addition, for any number of ranks [B/s]."""
    in_switch: Annotated[float, Field(ge=1.0)] = 1.0
    """Factor by which fewer bytes cross the links in a group so large that switches make the
    sums."""
    climb_s: Seconds = 0.0
    """Time on the links up to which the bandwidth is below half of its final value [s]."""
    climb_exponent: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    """Exponent with which the time on the links grows with the size well below `climb_s`."""
    one_shot: OneShotFit | None = None
    """Algorithm of an all-reduce of small tensors."""

    def at(self, links: float) -> Self:
        """Return this fit with a share (above 0) of the links' bandwidth; starts stay."""
        slower = scaled_by(
            self, {"link_bandwidth_bytes_per_s": links, "copy_bandwidth_bytes_per_s": links}
        )
        one_shot = self.one_shot and scaled_by(self.one_shot, {"bandwidth_bytes_per_s": links})
        return slower.model_copy(update={"one_shot": one_shot})


class CollectiveFits(Description):
    """Collectives of devices that are linked as inside a node, in CUDA graphs.

    They are fitted by `cluster-sim calibrate`.
    """

    all_reduce: CollectiveFit | None = None
    """All-reduce by TensorRT-LLM's kernel, which stands in for engines without a fit of their
    own."""
    all_reduce_vllm: CollectiveFit | None = None
    """All-reduce by vLLM's own kernel."""
    nccl_all_reduce: CollectiveFit | None = None
    """All-reduce by NCCL."""
    all_gather: CollectiveFit | None = None
    """All-gather by NCCL."""
    reduce_scatter: CollectiveFit | None = None
    """Reduce-scatter by NCCL."""
    all_to_all: CollectiveFit | None = None
    """All-to-all by NCCL."""

    def all_reduce_of(self, engine: str) -> CollectiveFit | None:
        """Return the fit of the all-reduce kernel that the engine called `engine` runs."""
        return (
            self.all_reduce_vllm
            if engine.lower() == "vllm" and self.all_reduce_vllm is not None
            else self.all_reduce
        )

    def at(self, links: float) -> Self:
        """Return all fits with a share (above 0) of the links' bandwidth; starts stay."""
        fits = ((kind, getattr(self, kind)) for kind in type(self).model_fields)
        return self.model_copy(
            update={kind: fit.at(links) for kind, fit in fits if fit is not None}
        )

    def updated(self, other: CollectiveFits) -> CollectiveFits:
        """Return these fits with those that `other` sets in place of the ones of the same kind."""
        return self.model_copy(
            update={kind: getattr(other, kind) for kind in other.model_fields_set}
        )
