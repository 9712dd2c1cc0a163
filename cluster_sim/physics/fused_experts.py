"""Time of the experts of a layer and their exchange in one kernel.

DeepGEMM's kernel ("Mega MoE", pull request 316) sends tokens, computes and returns outputs wave by
wave, so that a layer takes the longer one of computing and exchange:

    time = start + max(|read, compute|_knee, exchange), with |x, y|_p = (x^p + y^p)^(1/p)
"""

from __future__ import annotations

from cluster_sim.hardware.device import Device
from cluster_sim.hardware.fused_fit import FusedExpertsFit
from cluster_sim.hardware.kernel_fits import fit_of_engine
from cluster_sim.llm.model import Model
from cluster_sim.physics.exchange_kinds import ROW_BYTES
from cluster_sim.physics.expert_exchange import reached_devices
from cluster_sim.physics.products import rounded_max
from cluster_sim.physics.replica_layout import ReplicaLayout


def fused_fit(model: Model, device: Device, layout: ReplicaLayout) -> FusedExpertsFit | None:
    """Return the fit for the format of a model's experts; None if the device has none."""
    if device.kernels is None or model.experts is None:
        return None
    stored: str = model.stored_in(layout.weights, "experts")
    if stored == "fp4":
        stored = model.fp4_format
    return fit_of_engine(device.kernels.fused_experts, stored, layout.engine)


def fused_experts_s(model: Model, device: Device, layout: ReplicaLayout, tokens: int) -> float:
    """Return the time of the experts of one layer with their exchange [s].

    Rows are sent in 8 bit with a scale per 32 values, one copy per device, and return in 16 bit.

    Parameters
    ----------
    model
        Shape of a model with experts.
    device
        GPU that has such a kernel for the format of the experts.
    layout
        Distribution of the model over devices, with one group of experts per device.
    tokens
        Number of tokens of all ranks, at least one.
    """
    fit, experts = fused_fit(model, device, layout), model.experts
    assert fit is not None and experts is not None
    groups, width = layout.expert_parallel, model.expert_hidden
    rows, active = layout.expert_load.busiest(layout.spread(experts), tokens)
    weights = model.ffn_matrices * width * experts.ffn
    stored = weights * model.bytes_per_parameter(layout.weights, "experts")
    read_s = active * stored / fit.bandwidth_bytes_per_s
    compute_s = 2.0 * rows * weights / fit.compute_flop_per_s
    copies = reached_devices(experts, groups) * (groups - 1) / groups
    fullest = rows * groups / (experts.top_k * tokens)
    row_bytes = width * (ROW_BYTES["mxfp8"] + ROW_BYTES["bf16"])
    sent = min(fullest * copies, experts.top_k) * tokens / groups
    exchange_s = sent * row_bytes / fit.link_bandwidth_bytes_per_s
    routing_s = device.overhead(layout.engine).expert_layer_s
    return routing_s + fit.start_s + max(rounded_max(read_s, compute_s, fit.knee), exchange_s)
