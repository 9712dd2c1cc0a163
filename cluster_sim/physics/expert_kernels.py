"""Time of the experts of one layer on one device: routing and grouped products."""

from __future__ import annotations

from cluster_sim.hardware.device import Device
from cluster_sim.llm.model import Model
from cluster_sim.physics.elementwise import BANDWIDTH_SHARE, EXPERT_PASSES, ffn_passes
from cluster_sim.physics.gemm import ACTIVATION_BYTES
from cluster_sim.physics.products import rounded_max
from cluster_sim.physics.replica_layout import ReplicaLayout
from cluster_sim.physics.systolic import utilisation

EXPERT_TILE = 128
"""Number of tokens per tile of a grouped product, if an expert has as many."""


def experts_s(model: Model, device: Device, layout: ReplicaLayout, tokens: int) -> float:
    """Return the time of the experts of one layer [s].

    The time covers routing, the grouped products of the active experts, and gathering their inputs.

    * The weights of every active expert are read once. Computing overlaps with reading; the
      roofline has a rounded corner.
    * The compute rate is a share of the peak of the next wider format: 8 bit for nvfp4, 16 bit for
      all others. mxfp4 is multiplied in one of these, and at the sizes of experts grouped products
      gain only a part of what narrow formats promise.
    * Tokens are processed in tiles. Per expert, half a tile is empty, but at most as many rows as
      the expert has tokens.
    * A token moves one copy of itself per expert that it is routed to.
    * With groups of whole experts the slowest group counts, by the layout's `expert_load`.

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
    """
    experts, efficiency = model.experts, device.efficiency
    assert experts is not None
    assert efficiency is not None
    overhead, groups = device.overhead(layout.engine), layout.expert_parallel
    bandwidth = device.fast_memory.bandwidth_bytes_per_s
    inner = experts.ffn * groups / (layout.tensor_parallel * layout.data_parallel)
    width = model.expert_hidden
    weights = model.ffn_matrices * width * inner
    rows, touched = layout.expert_load.busiest(layout.spread(experts), tokens)
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
