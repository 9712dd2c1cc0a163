"""Time of the experts of one layer on one device: routing and grouped products."""

from __future__ import annotations

from typing import NamedTuple

from cluster_sim.hardware.device import Device
from cluster_sim.hardware.expert_fit import ExpertFit, ExpertUse, expert_fits, used_fits
from cluster_sim.llm.model import Model
from cluster_sim.physics.elementwise import BANDWIDTH_SHARE, EXPERT_PASSES, ffn_passes
from cluster_sim.physics.exchange_kinds import KINDS
from cluster_sim.physics.expert_exchange import reached_devices
from cluster_sim.physics.expert_load import RankLoad
from cluster_sim.physics.gemm import ACTIVATION_BYTES
from cluster_sim.physics.grouped_products import ExpertRows, ExpertShape, expected_tiles, grouped_s
from cluster_sim.physics.products import rounded_max
from cluster_sim.physics.replica_layout import ReplicaLayout
from cluster_sim.physics.systolic import utilisation

_SENDS_TO_EXPERTS = frozenset(("nccl_all_to_all", *KINDS))
"""Kinds of exchanges that send each token to the devices of its experts alone."""
EXPERT_TILE = 128
"""Number of tokens per tile of a grouped product, if an expert has as many."""


class ExpertKernels(NamedTuple):
    """Measured kernels of a model's experts; the default has none, so that a roofline is used."""

    fits: tuple[ExpertFit, ...] = ()
    """Fits of the kernels that the engine can use. The fastest one counts."""
    gets_own_tokens: bool = False
    """Whether a device gets only the tokens that have an expert on it, instead of all tokens."""

    @classmethod
    def of(
        cls, model: Model, device: Device, layout: ReplicaLayout, exchange: str = ""
    ) -> ExpertKernels:
        """Return the kernels that an engine can use for a model's experts.

        There are none if the engine has no ratio to measured kernels (`Overhead.measured_experts`),
        or if no kernel for the format of the experts was measured.

        Parameters
        ----------
        model
            Shape of a model.
        device
            Device that holds the experts.
        layout
            Distribution of the model over devices.
        exchange
            Kind of exchange of tokens between ranks; empty without one.
        """
        if model.experts is None or device.kernels is None:
            return cls()
        if device.overhead(layout.engine).measured_experts is None:
            return cls()
        number_format = model.format_of(layout.weights, "experts")
        use = ExpertUse(
            layout.expert_parallel,
            model.ffn_gated is not False,
            model.stored_in(layout.weights, "shared") == "fp8",
            exchange,
        )
        fits = expert_fits(device.kernels.experts, number_format, layout.engine)
        return cls(used_fits(fits, use), exchange in _SENDS_TO_EXPERTS)

    def seconds(
        self, shape: ExpertShape, tokens: float, top_k: int, load: RankLoad, hidden: float = 0.0
    ) -> float:
        """Return the time of the fastest kernel [s].

        hidden: share of a launch that is hidden behind the kernel before.
        """
        rows = ExpertRows(tokens, tokens * top_k, *load, expected_tiles(*load))
        return min(float(grouped_s(fit, shape, rows)) - hidden * fit.launch_s for fit in self.fits)


def experts_s(
    model: Model,
    device: Device,
    layout: ReplicaLayout,
    tokens: int,
    kernels: ExpertKernels | None = None,
) -> float:
    """Return the time of the experts of one layer [s].

    The time covers routing, the grouped products of the active experts, and gathering their inputs.
    It is that of measured kernels, whose launch is partly hidden behind the kernel before, or a
    roofline without any. With groups of whole experts the slowest group counts, by the layout's
    `expert_load`.

    Parameters
    ----------
    model
        Shape of a model with experts.
    device
        GPU that holds the experts.
    layout
        Distribution of the model over devices.
    tokens
        Number of tokens of all ranks.
    kernels
        Measured kernels. Default: those without an exchange of tokens.
    """
    experts, overhead = model.experts, device.overhead(layout.engine)
    assert experts is not None
    spread = layout.spread(experts)
    load = layout.expert_load.busiest(spread, tokens)
    kernels = ExpertKernels.of(model, device, layout) if kernels is None else kernels
    if not kernels.fits:
        return _roofline_s(model, device, layout, load)
    assert overhead.measured_experts is not None
    slots, inner = spread.slots / spread.groups, _inner(model, layout)
    shape = ExpertShape(model.expert_hidden, inner, model.ffn_matrices, slots, spread.groups)
    routed = float(tokens)
    if kernels.gets_own_tokens:
        routed = min(routed, load.rows * reached_devices(experts, spread.groups) / experts.top_k)
    hidden = overhead.launch_overlap  # kernels were measured alone
    measured_s = kernels.seconds(shape, routed, experts.top_k, load, hidden)
    return overhead.expert_layer_s + overhead.measured_experts * measured_s


def _inner(model: Model, layout: ReplicaLayout) -> float:
    """Return the number of values of an expert's width on one device."""
    assert model.experts is not None
    devices = layout.tensor_parallel * layout.data_parallel
    return model.experts.ffn * layout.expert_parallel / devices


def _roofline_s(model: Model, device: Device, layout: ReplicaLayout, load: RankLoad) -> float:
    """Return the time of the experts with products at shares of the data sheet's peaks [s].

    * The weights of every active expert are read once. Computing overlaps with reading; the
      roofline has a rounded corner.
    * The compute rate is a share of the peak of the next wider format: 8 bit for nvfp4, 16 bit for
      all others. mxfp4 is multiplied in one of these, and at the sizes of experts grouped products
      gain only a part of what narrow formats promise.
    * Tokens are processed in tiles. Per expert, half a tile is empty, but at most as many rows as
      the expert has tokens.
    * A token moves one copy of itself per expert that it is routed to.
    """
    efficiency = device.efficiency
    assert efficiency is not None
    overhead = device.overhead(layout.engine)
    bandwidth = device.fast_memory.bandwidth_bytes_per_s
    inner, width = _inner(model, layout), model.expert_hidden
    weights = model.ffn_matrices * width * inner
    rows, touched = load
    read_s = (
        touched
        * weights
        * model.bytes_per_parameter(layout.weights, "experts")
        / (efficiency.expert_bandwidth * bandwidth)
    )
    is_nvfp4 = model.computed_in(layout.weights, "experts") == "fp4" and model.fp4_format == "nvfp4"
    _, peak = device.peak.of("fp8" if is_nvfp4 else "bf16")
    padded = rows + min(touched * EXPERT_TILE / 2, rows)
    compute_s = overhead.experts * 2.0 * padded * weights / (efficiency.expert_compute * peak)
    if device.systolic is not None:
        # arrays take each expert's tokens as they are, and are as full as the wider of its products
        # fills them
        filled = utilisation(
            device.systolic, rows / touched, (model.ffn_matrices - 1) * inner, width
        )
        compute_s *= rows / padded / filled
    moved = rows * (EXPERT_PASSES * width + ffn_passes(model) * inner) * ACTIVATION_BYTES
    return (
        overhead.expert_layer_s
        + rounded_max(read_s, compute_s, efficiency.knee)
        + moved / (BANDWIDTH_SHARE * bandwidth)
    )
