"""Names in tables of measurements, with the names of the catalog."""

from __future__ import annotations

from functools import cache

from cluster_sim.hardware.precision import Precision
from cluster_sim.schema import bare, catalog_entry, catalog_names

NODES = {
    "B200": "dgx-b200",
    "H200": "dgx-h200",
    "H100": "dgx-h100",
    "A100-80GB": "dgx-a100",
    "GB200": "gb200-nvl72",
    "GB300": "gb300-nvl72",
    "B300": "hgx-b300",
    "MI300X": "mi300x-8",
    "MI325X": "mi325x-8",
    "MI355X": "mi355x-8",
    "CS-3": "cs-3",
}
MODELS = {
    "Llama-3.1-8B-Instruct": "llama-3.1-8b",
    "llama3.1-8b": "llama-3.1-8b",
    "Llama-3.1-70B-Instruct": "llama-3.3-70b",
    "Llama-3.3-70B-Instruct": "llama-3.3-70b",
    "llama2-70b": "llama-2-70b",
    "Llama-2-70B": "llama-2-70b",
    "Llama-3.1-405B-Instruct": "llama-3.1-405b",
    "llama3.1-405b": "llama-3.1-405b",
    "DeepSeek-R1": "deepseek-r1",
    "DeepSeek-R1-0528": "deepseek-r1",
    "DeepSeek-V3": "deepseek-r1",  # the same shape
    "DeepSeek-V3-0324": "deepseek-r1",
    "DeepSeek-V3.1": "deepseek-r1",
    "Qwen3-32B": "qwen3-32b",
    "Qwen3.5-397B-A17B": "qwen3.5-397b",
    "Kimi-K2.5": "kimi-k2.5",
    "GLM-5": "glm-5",
    "MiniMax-M2.5": "minimax-m2",  # the same shape
}
PRECISIONS: dict[str, Precision] = {
    "bf16": "bf16",
    "fp16": "bf16",
    "16-bit": "bf16",
    "fp8": "fp8",
    "fp4": "fp4",
    "nvfp4": "fp4",
}


def node_name(hardware: str) -> str | None:
    """Return the catalog name of the node of some hardware; None if the catalog has none.

    >>> node_name("B200"), node_name("abacus")
    ('dgx-b200', None)
    """
    name = NODES.get(hardware, hardware)
    return name if name in catalog_names("nodes") else None


def model_name(model: str) -> str:
    """Return the catalog name of a model in a table; a name that is not listed stays unchanged.

    >>> model_name("llama2-70b"), model_name("gpt-oss-120b")
    ('llama-2-70b', 'gpt-oss-120b')
    """
    return MODELS.get(model, model)


@cache
def node_devices(hardware: str) -> int:
    """Return the number of devices per node of some hardware; 0 for wafers.

    >>> node_devices("B200"), node_devices("GB200")
    (8, 72)
    """
    return int(bare(catalog_entry("nodes", NODES.get(hardware, hardware))).get("devices") or 0)
