"""Times of a device that were not measured: kernels of some layers, launches of some steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cluster_sim.hardware.device import Device
from cluster_sim.hardware.engine_releases import GPU_ENGINES, maker
from cluster_sim.hardware.kernel_fit import KernelFit
from cluster_sim.hardware.kernel_fits import fit_of_engine
from cluster_sim.hardware.linear_fit import LinearAttentionFit
from cluster_sim.hardware.precision import Precision
from cluster_sim.hardware.sparse_fit import SparseAttentionFit
from cluster_sim.llm.layers import AttentionLayers
from cluster_sim.llm.model import Model
from cluster_sim.physics.expert_kernels import ExpertKernels
from cluster_sim.physics.replica_layout import ReplicaLayout


def default_times(device: Device, engine: str) -> Iterator[str]:
    """Yield a warning if a device has times of other engines only.

    The default engine of a pool is one of GPUs, whose limits hold on wafers too.
    """
    if device.wafer is not None and maker(engine) in GPU_ENGINES:
        yield f"{device.name}: got {engine}, which runs on GPUs; its limits hold, and the times of steps are those of the wafer; engine: cerebras has the limits of wafers"
    others = sorted({maker(name) for name in device.overheads if name != "default"})
    if others and device.overhead_name(engine) == "default":
        yield f"{device.name}: no times of {engine} are known; the times of `default` hold. The device has times of {' and '.join(others)}"


def unmeasured_device(device: Device) -> Iterator[str]:
    """Yield a warning if no kernel of a device was measured, or only some."""
    if device.measured:
        return
    start = f"{device.name}: no kernels were measured. Its step times are"
    if device.predecessor is not None and device.has_own_kernels:
        start = f"{device.name}: only some kernels were measured. Its other step times are"
    if device.predecessor is None or device.kernels is None:
        yield (
            f"{start} a roofline of the data sheet. The shares of the peaks that kernels "
            "reach, the overheads and the collectives are estimates, unless its file says otherwise"
        )
    else:
        yield (
            f"{start} those of {device.predecessor}, with rates in proportion to the memories, compute "
            "rates and links of both, unless its file has its own"
        )


def narrow_weights(device: Device, weights: Precision) -> Iterator[str]:
    """Yield a warning if the weights on a wafer have fewer than 16 bits."""
    if device.wafer is not None and weights != "bf16":
        yield (
            f"{device.name}: weights in {weights} are an estimate. Its maker states 16 bit and has given no "
            "other format of a served model. They take less SRAM; cores compute in 16 bit, and unpacking takes no time"
        )


def slow_integers(model: Model, device: Device, weights: Precision) -> Iterator[str]:
    """Yield a warning if weights are 8-bit integers, which a device computes slower than fp8."""
    integers, fp8 = device.peak.int8_flop_per_s, device.peak.fp8_flop_per_s
    is_int8 = weights == model.native == "fp8" and model.fp8_format == "int8"
    if is_int8 and integers is not None and fp8 is not None and integers < fp8:
        yield (
            f"{device.name}: {model.name} has weights in int8, which are computed as fp8. The device computes 8-bit integers "
            f"at {integers / 1e12:.0f} TOP/s, {fp8 / integers:.0f} times slower than fp8; weights: bf16 or fp4 are simulated as they are"
        )


def unmeasured_experts(model: Model, device: Device, layout: ReplicaLayout) -> Iterator[str]:
    """Yield a warning if an engine's experts were measured, but not in the format of a model's."""
    if model.experts is None or device.wafer is not None:
        return
    if device.overhead(layout.engine).measured_experts is None:
        return
    if not ExpertKernels.of(model, device, layout).fits:
        name = model.format_of(layout.weights, "experts")
        gate = "" if model.ffn_gated is not False else " without a gate"
        yield (
            f"{device.name}: no kernels of experts{gate} in {name} were measured with {maker(layout.engine)}; the step times of {model.name} are a roofline for them"
        )


def unmeasured_groups(device: Device, nodes: int) -> Iterator[str]:
    """Yield a warning if groups span more nodes than those whose collectives were measured."""
    measured = device.collectives.over_nodes.largest_nodes
    if nodes <= max(measured, 1) or device.wafer is not None:
        return
    if not measured:
        yield f"{device.name}: collectives over nodes were not measured; those of groups over {nodes} nodes have the constants of the H100, an estimate"
    else:
        yield f"{device.name}: collectives over nodes were measured on up to {measured} nodes; those of groups over {nodes} nodes are extrapolated"


def unmeasured_kinds(
    model: Model, device: Device, kv_cache: str, engine: str
) -> tuple[list[str], list[str]]:
    """Return the kinds of a model's layers whose kernels were not measured on a device.

    The first list has kinds without any measured kernel, the second kinds of which only a part was
    measured. Both are empty for a device without measured kernels.
    """
    if device.kernels is None:
        return [], []
    fits: dict[str, Mapping[str, LinearAttentionFit | SparseAttentionFit]] = {
        "linear": device.kernels.linear,
        "sparse": device.kernels.sparse,
    }
    nowhere: list[str] = []
    partly: list[str] = []
    for kind in model.attention:
        table, name = kind.fit_name(kv_cache) or ("", "")
        fit = fit_of_engine(fits.get(table, {}), name, engine)
        kinds = nowhere if fit is None else partly if fit.is_partial else None
        if table and kinds is not None and kind.label not in kinds:
            kinds.append(kind.label)
        measured = _measured_latent(kind, device, kv_cache, engine)
        if not all(measured) and kind.label not in nowhere + partly:
            (partly if any(measured) else nowhere).append(kind.label)
    return nowhere, partly


def _measured_latent(
    kind: AttentionLayers, device: Device, kv_cache: str, engine: str
) -> tuple[bool, ...]:
    """Return whether decode and prefill of latent attention were measured.

    It is empty for other attention, and for engines that do not use these kernels.
    """
    fits = device.kernels
    is_used = device.efficiency is not None and kind.latent_heads(1) is not None
    if fits is None or not is_used or device.overhead(engine).measured_latent is None:
        return ()
    tables: tuple[Mapping[str, KernelFit], ...] = (fits.latent_generation, fits.latent_context)
    return tuple(fit_of_engine(table, kv_cache, engine) is not None for table in tables)
