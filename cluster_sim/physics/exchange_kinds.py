"""Kinds of exchanges between attention and experts, and the one that an engine runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from cluster_sim.hardware.device import Device
from cluster_sim.hardware.engine_releases import is_since, maker
from cluster_sim.hardware.exchange_fits import MeasuredExchange

ExchangeName = (
    Literal["auto", "fastest_collective", "all_gather_reduce_scatter", "nccl_all_to_all"]
    | MeasuredExchange
)
"""Name of a kind of exchange.

auto: the engine's own choice on the device. all_gather_reduce_scatter: NCCL gathers the tokens of
all ranks and scatters sums of outputs. nccl_all_to_all: NCCL sends each token to the ranks of its
experts. fastest_collective: the faster one of these two. Other names are those of
`MeasuredExchange`.
"""

ROW_BYTES: Mapping[str, float] = {
    "bf16": 2.0,
    "fp8": 1.0 + 4.0 / 128.0,
    "mxfp8": 1.0 + 1.0 / 32.0,
    "nvfp4": 0.5 + 1.0 / 16.0,
}
"""Bytes per value of a row by its format, scales included. A scale has 4 B per 128 values for fp8,
1 B per 32 values for mxfp8, and 1 B per 16 values for nvfp4."""


class ExchangeKind(NamedTuple):
    """Way in which a kind of exchange with its own kernels sends tokens."""

    copies: Literal["experts", "devices"]
    """Receivers of copies of a token inside a node: each chosen expert, or each device with chosen
    experts."""
    header_bytes: float = 0.0
    """Size of the header of a sent row [B]."""
    sends_per_expert: bool = False
    """Whether the number of sending processors follows the number of experts."""
    crosses_nodes: bool = True
    """Whether the kernels send over a network between nodes."""
    copies_between_nodes: Literal["experts", "nodes"] = "experts"
    """Receivers of copies of a token on other nodes: each chosen expert, or each node with chosen
    experts, which passes them on over its own links."""


KINDS: Mapping[str, ExchangeKind] = {
    "deepep_low_latency": ExchangeKind("experts", 16.0, sends_per_expert=True),
    "deepep_normal": ExchangeKind("devices", copies_between_nodes="nodes"),
    "nvlink_one_sided": ExchangeKind("devices", crosses_nodes=False),
    "nvlink_two_sided": ExchangeKind("devices", crosses_nodes=False),
}
"""Kinds with kernels of their own.

Sources: DeepEP (deepseek-ai/DeepEP README and csrc/kernels/internode_ll.cu, intranode.cu,
internode.cu), TensorRT-LLM (_torch/modules/fused_moe/communication/nvlink_one_sided.py,
nvlink_two_sided.py).
"""

LARGEST_HOST = 8
"""Maximum number of devices of a host; DeepEP counts larger groups as groups over nodes."""
_OVER_HOSTS = ("vLLM", "SGLang")
"""Engines whose guides give DeepEP for groups over several hosts."""
_BY_EXPERTS = {"bf16": "bf16", "fp8": "bf16", "fp4": "nvfp4", "mxfp4": "mxfp8"}
_BY_DEEPEP = {"bf16": "bf16", "fp8": "fp8", "fp4": "bf16", "mxfp4": "bf16"}


def sent_format(kind: str, engine: str, computed_in: str) -> str:
    """Return the format of the rows that are sent to experts. Outputs return in bf16.

    * TensorRT-LLM quantises before sending, but for experts in fp8 with a scale per block, which it
      sends in bf16 (fused_moe_trtllm_gen.py, quantize_input). vLLM sends so through NVLink.
    * DeepEP itself quantises to fp8 with a scale per 128 values. SGLang and vLLM send other
      experts' rows in bf16; nvfp4 needs a patched DeepEP (SGLang, SGLANG_MOE_NVFP4_DISPATCH).

    Parameters
    ----------
    kind
        Kind of exchange.
    engine
        Name of the engine.
    computed_in
        Precision in which experts compute, or `mxfp4`.

    Examples
    --------
    >>> sent_format("deepep_normal", "SGLang 0.5", "fp8")
    'fp8'
    >>> sent_format("nvlink_one_sided", "", "fp4")
    'nvfp4'
    """
    is_deepep = kind.startswith("deepep") and maker(engine) != "TensorRT-LLM"
    return (_BY_DEEPEP if is_deepep else _BY_EXPERTS)[computed_in]


class ExchangePlan(NamedTuple):
    """Exchanges of an engine by phase."""

    prefill: ExchangeName = "auto"
    """Kind of exchange of steps with prompts."""
    decode: ExchangeName = "auto"
    """Kind of exchange of steps that only decode."""


class GroupShape(NamedTuple):
    """Devices among which an exchange runs."""

    devices: int
    """Number of devices."""
    expert_parallel: int
    """Number of groups that hold different experts."""
    nodes: int
    """Number of nodes."""
    top_k: int
    """Number of experts per token."""


def chosen_kind(
    name: ExchangeName, device: Device, engine: str, shape: GroupShape, *, has_prompts: bool
) -> ExchangeName:
    """Return the kind of exchange of a step: `name` itself, or the engine's choice for `auto`.

    * TensorRT-LLM runs kernels over NVLink where all devices are in one NVLink domain and hold
      whole experts: since 1.2 the one-sided ones (communication_factory.py), before the two-sided
      ones on hosts with Arm processors if there are more groups than experts per token (1.0,
      fused_moe_wide_ep.py, _mnnvl_utils.py). This holds for devices that have constants of the
      kernels, which are Blackwell's; 1.2 has them for Blackwell alone (ai-dynamo/aiconfigurator,
      pull request 551).
    * Groups over several nodes run DeepEP, and so do those of vLLM and SGLang over several hosts of
      one NVLink domain, which are those of more than LARGEST_HOST devices: normal kernels for steps
      with prompts, low-latency kernels for decode (SGLang, `--moe-a2a-backend deepep --deepep-mode
      auto`, layers/moe/utils.py; vLLM, docs/serving/expert_parallel_deployment.md).
    * All others take the faster one of NCCL's collectives. vLLM's default is all-gather with
      reduce-scatter (config/parallel.py, all2all_backend), and so is SGLang's
      (`--moe-a2a-backend none`).

    Parameters
    ----------
    name
        Kind that a scenario gives, or auto.
    device
        Device of the group.
    engine
        Name of the engine.
    shape
        Devices of the group.
    has_prompts
        Whether the step has prompts.
    """
    if name != "auto":
        return name
    fits = device.exchanges
    if shape.expert_parallel == shape.devices:
        if shape.nodes == 1 and maker(engine) == "TensorRT-LLM" and fits.nvlink_one_sided:
            if engine == maker(engine) or is_since(engine, "1.2"):
                return "nvlink_one_sided"
            if shape.expert_parallel > shape.top_k and fits.nvlink_two_sided:
                return "nvlink_two_sided"
        is_wide = shape.nodes > 1 or (maker(engine) in _OVER_HOSTS and shape.devices > LARGEST_HOST)
        if is_wide and has_prompts and fits.deepep_normal:
            return "deepep_normal"
        if is_wide and not has_prompts and fits.deepep_low_latency:
            return "deepep_low_latency"
    return "fastest_collective"
