"""Checks of the attention back end of an engine: devices, models and plans without its kernels."""

from __future__ import annotations

from collections.abc import Iterator

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.hardware.kernel_fits import KernelFits
from cluster_sim.loading.checks.finding import Finding
from cluster_sim.schema import Trail


def backend_faults(deployment: Deployment, at: Trail) -> Iterator[Finding]:
    """Yield a back end without constants on the device, and options that it does not support."""
    model, plan = deployment.model, deployment.pool.replica
    backend, device = plan.engine.attention_backend, deployment.device
    if backend == "default":
        return
    trail = (*at, "engine", "attention_backend")
    known = (device.kernels or KernelFits()).backends(plan.kv_cache)
    if backend not in known:
        yield (
            trail,
            f"got '{backend}'; expected {' or '.join(['default', *known])}: {device.name} lists no decode kernels of other back ends for a KV cache in {plan.kv_cache}",
        )
    elif plan.speculation is not None:
        yield trail, f"got '{backend}' with speculation; expected default"
    elif any(
        kind.is_chosen or (kind.kind != "full" and kind.decode_heads(1)) for kind in model.attention
    ):
        yield (
            trail,
            f"got '{backend}' for {model.name}; expected default: its kernels are for layers of full attention only",
        )
