"""Times of exchanges of tokens between attention and experts, fitted to measurements.

An exchange has two ways: `dispatch` sends tokens to their experts, `combine` sends the outputs
back.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field

from cluster_sim.hardware.link_fits import LinkFits
from cluster_sim.hardware.operating_point import scaled_by
from cluster_sim.schema import Description
from cluster_sim.typing import Count
from cluster_sim.units import BytesPerSecond, PositiveSeconds, Seconds

MeasuredExchange = Literal[
    "deepep_low_latency", "deepep_normal", "nvlink_one_sided", "nvlink_two_sided"
]
"""A kind of exchange that has its own kernels and fits."""

Exponent = Annotated[float, Field(ge=1.0, le=12.0)]


class OneWayFit(Description):
    """Time of one way of an exchange between devices of one node or one NVLink domain.

    `physics.exchange_times` combines the constants. A row is the hidden state of one token, and a
    copy is a row on its way to one expert or to one device.
    """

    start_s: PositiveSeconds
    """Time of one token, without the parts below [s]."""
    doubling_s: Seconds = 0.0
    """Additional start per doubling of the number of ranks [s]."""
    expert_s: Seconds = 0.0
    """Additional time per expert of the layer [s]: counters and flags of each expert."""
    start_copy_s: Seconds = 0.0
    """Additional start per copy of a token [s]."""
    first_row_bandwidth_bytes_per_s: BytesPerSecond | None = None
    """Rate at which a kernel moves its first row before the next one overlaps with it [B/s].
    Default: the start does not depend on the size of a row."""
    first_copies_bandwidth_bytes_per_s: BytesPerSecond | None = None
    """Rate at which a kernel moves the copies of its first row [B/s]. Default: the start does not
    depend on the size of the copies."""
    processors: Count = 1
    """Number of streaming multiprocessors that send. For `deepep_low_latency` it is the number on
    the device, for `deepep_normal` the number that the engine gives the exchange, and 1 if the
    constants below hold for the whole device."""
    token_s: Seconds = 0.0
    """Time per token on one of the processors [s]."""
    copy_s: Seconds = 0.0
    """Time per copy on one of the processors [s]."""
    processor_bandwidth_bytes_per_s: BytesPerSecond
    """Rate at which one of the processors sends copies [B/s]."""
    link_bandwidth_bytes_per_s: BytesPerSecond
    """Rate at which copies cross the links of a device in one direction [B/s]."""
    knee: Exponent = 4.0
    """Exponent of the norm that combines the times of processors and links. With 1 they add up."""
    overlap: Exponent = 1.0
    """Exponent of the norm that combines start and sending. With 1 they add up."""

    def at(self, links: float) -> Self:
        """Return this fit with a share (above 0) of the bandwidth of the links. Starts stay."""
        return scaled_by(self, {"link_bandwidth_bytes_per_s": links})


class ExchangeFit(Description):
    """Times of one kind of exchange, there and back."""

    dispatch: OneWayFit
    """Time of sending tokens to their experts."""
    combine: OneWayFit
    """Time of sending the outputs of experts back."""

    def at(self, links: float) -> Self:
        """Return both ways with a share (above 0) of the bandwidth of the links."""
        ways = {"dispatch": self.dispatch.at(links), "combine": self.combine.at(links)}
        return self.model_copy(update=ways)


class ExchangeFits(LinkFits):
    """Fits of exchanges between attention and experts, which `cluster-sim calibrate` makes."""

    deepep_low_latency: ExchangeFit | None = None
    """DeepEP's low-latency kernels: one copy per chosen expert. Default: not measured."""
    deepep_normal: ExchangeFit | None = None
    """DeepEP's normal kernels: one copy per device with chosen experts, and per node over the
    network. Default: not measured."""
    nvlink_one_sided: ExchangeFit | None = None
    """TensorRT-LLM's one-sided kernels over NVLink: one copy per device with chosen experts.
    Default: not measured."""
    nvlink_two_sided: ExchangeFit | None = None
    """TensorRT-LLM's two-sided kernels over NVLink: one copy per device with chosen experts. The
    time of preparing belongs to the dispatch. Default: not measured."""

    def of(self, kind: str) -> ExchangeFit | None:
        """Return the fit of a kind of exchange; None if it was not measured or has no kernels."""
        fit: ExchangeFit | None = getattr(self, kind, None)
        return fit
