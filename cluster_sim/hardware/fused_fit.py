"""Constants of kernels that run the experts of a layer and their exchange together."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field

from cluster_sim.hardware.kernel_fit import KernelFit
from cluster_sim.limits import COUNT
from cluster_sim.units import BytesPerSecond, FlopPerSecond, Seconds


class FusedExpertsFit(KernelFit):
    """Time of one kernel that sends tokens to their experts, computes, and sends outputs back.

    `physics.fused_experts` combines the constants.
    """

    start_s: Seconds
    """Time of the kernel beside reading, computing and sending [s]."""
    bandwidth_bytes_per_s: BytesPerSecond
    """Rate at which weights are read [B/s]."""
    compute_flop_per_s: FlopPerSecond
    """Rate of arithmetic [FLOP/s]."""
    knee: Annotated[float, Field(ge=1.0, le=12.0)]
    """Exponent of the norm that combines the times of reading and computing."""
    link_bandwidth_bytes_per_s: BytesPerSecond
    """Rate at which rows cross the links of a device, in one direction [B/s]."""
    devices: Annotated[int, Field(ge=2), COUNT]
    """Maximum number of devices of a group, which are in one node or NVLink domain."""

    def at(self, clock: float, memory: float = 1.0) -> Self:
        """Return the constants at a lower clock, see `KernelFit.at`; links keep their rate."""
        link = {"link_bandwidth_bytes_per_s": self.link_bandwidth_bytes_per_s}
        return super().at(clock, memory).model_copy(update=link)
