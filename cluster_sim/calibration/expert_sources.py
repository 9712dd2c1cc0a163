"""Kernels of routed experts in tables of measurements: names, and when engines use them."""

from __future__ import annotations

from typing import NamedTuple

from cluster_sim.hardware.expert_fit import Used
from cluster_sim.hardware.precision import Precision


class NumberFormat(NamedTuple):
    """Format of the weights of experts in a table."""

    name: str
    """Name of the format in keys of `KernelFits.experts`."""
    computed_in: Precision
    """Precision in which the products are computed."""
    weight_bytes: float
    """Size of one weight including its share of the scales [B]."""


FORMATS = {
    "bfloat16": NumberFormat("bf16", "bf16", 2.0),
    "fp8": NumberFormat("fp8", "fp8", 1.0),
    "fp8_block": NumberFormat("fp8_block", "fp8", 1.000244),
    "nvfp4": NumberFormat("nvfp4", "fp4", 0.5625),
    "w4a8_mxfp4_mxfp8": NumberFormat("mxfp4", "fp8", 0.53125),
    "w4a16_mxfp4": NumberFormat("mxfp4", "bf16", 0.53125),
    "int4_wo": NumberFormat("int4", "bf16", 0.515625),
}
"""Formats by their names in aiconfigurator's tables."""


class KernelRule(NamedTuple):
    """Rule for the use of one measured kernel by its engine."""

    engine: str
    """Name of the engine in the table."""
    source: str
    """Part of the name of the kernel in the table."""
    dtypes: tuple[str, ...]
    """Formats to which the rule applies, by their names in the table; empty: all formats."""
    kernel: str
    """Name of the kernel in the key of its fit; empty for the usual kernel of a format."""
    used: Used = "always"
    gated: bool | None = None
    is_substitute: bool = False
    """Whether the kernel is the usual one on devices without another usual kernel of the format."""


def _by_option(engine: str, source: str, kernel: str, dtypes: tuple[str, ...] = ()) -> KernelRule:
    """Return the rule of a kernel that an option names, or that replaces a missing usual one."""
    return KernelRule(engine, source, dtypes, kernel, "by_option", is_substitute=True)


RULES = (
    KernelRule("trtllm", "nongated", (), "ungated", gated=False),
    # TensorRT-LLM's back ends CUTLASS and TRTLLM: users and its tuning choose the faster one
    KernelRule("trtllm", "min_latency", (), "min-latency", gated=True),
    _by_option("trtllm", "moe_torch_flow", "wide", ("w4a16_mxfp4",)),
    KernelRule("trtllm", "cutlass", ("bfloat16", "fp8", "nvfp4"), "", gated=True),
    KernelRule("trtllm", "", (), ""),
    # SGLang with DeepEP runs DeepGEMM
    KernelRule("sglang", "deepepmoe_context", (), "deepep-normal", "deepep_normal"),
    KernelRule("sglang", "deepepmoe_generation", (), "deepep-low-latency", "deepep_low_latency"),
    # SGLang 0.5.14: FlashInfer's kernels on Blackwell if the model has them, else Triton
    KernelRule("sglang", "flashinfer_cutlass", (), "ungated", gated=False),
    KernelRule("sglang", "sglang_mxfp4_flashinfer", (), "beside-fp8", "beside_fp8"),
    _by_option("sglang", "flashinfer_trtllm", "wide", ("w4a16_mxfp4",)),
    KernelRule("sglang", "flashinfer_trtllm", (), ""),
    _by_option("sglang", "fused_moe_triton", "triton"),
    _by_option("sglang", "marlin", "marlin"),
    # vLLM 0.24.0 on Hopper: FlashInfer's CUTLASS with expert parallelism, else Triton
    KernelRule("vllm", "vllm_fp8moe_flashinfer_cutlass", ("fp8_block",), "groups", "several_groups"),
    KernelRule("vllm", "vllm_fp8moe_triton", ("fp8_block",), "", "one_group"),
    KernelRule("vllm", "mxfp8", ("w4a8_mxfp4_mxfp8",), "beside-fp8", "beside_fp8"),
    _by_option("vllm", "modular", "modular"),
    KernelRule("vllm", "trtllm", (), ""),
    KernelRule("vllm", "oaitriton", (), ""),
    _by_option("vllm", "flashinfer_cutlass", "cutlass"),
    _by_option("vllm", "triton", "triton"),
    _by_option("vllm", "marlin", "marlin"),
)  # fmt: skip
"""Rules in order; the first one that matches a kernel counts."""


def rule_of(engine: str, source: str, dtype: str) -> KernelRule:
    """Return the rule for a kernel; a kernel without a rule is used by option only.

    >>> rule_of("vllm", "vllm_fp8moe_triton_tritonexperts", "fp8_block").used
    'one_group'
    """
    for rule in RULES:
        if rule.engine == engine and rule.source in source and dtype in (rule.dtypes or (dtype,)):
            return rule
    name = "".join(sign if sign.isalnum() else "-" for sign in source)
    return _by_option(engine, source, name)


def rules_of(engine: str, kernels: list[tuple[str, str]]) -> dict[tuple[str, str], KernelRule]:
    """Return the rule for each (source, dtype) of an engine that a table has.

    If a format has no usual kernel, its first substitute in the order of the rules is the usual
    one.

    >>> rules = rules_of("sglang", [("sglang_fused_moe_triton", "fp8_block")])
    >>> [(rule.kernel, rule.used) for rule in rules.values()]
    [('', 'always')]
    """
    rules = {kernel: rule_of(engine, *kernel) for kernel in kernels}
    order = {id(rule): place for place, rule in enumerate(RULES)}
    for name in {FORMATS[dtype].name for _, dtype in kernels}:
        of_format = {
            kernel: rule for kernel, rule in rules.items() if FORMATS[kernel[1]].name == name
        }
        if any(not rule.kernel for rule in of_format.values()):
            continue
        substitutes = [kernel for kernel, rule in of_format.items() if rule.is_substitute]
        if substitutes:
            first = min(substitutes, key=lambda kernel: order.get(id(rules[kernel]), len(order)))
            rules[first] = rules[first]._replace(kernel="", used="always")
    return rules
