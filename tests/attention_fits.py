"""Fits of attention kernels that several tests use."""

from __future__ import annotations

from cluster_sim.hardware.device import device_named
from cluster_sim.hardware.kernel_fits import ContextAttentionFit, GenerationAttentionFit, KernelFits


def kernels_of(device: str) -> KernelFits:
    kernels = device_named(device).kernels
    assert kernels is not None
    return kernels


def generation() -> GenerationAttentionFit:
    return kernels_of("h200-sxm").generation["bf16_vllm"]


def context() -> ContextAttentionFit:
    return kernels_of("h200-sxm").context["bf16_vllm"]
