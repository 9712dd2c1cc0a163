"""Kinds of layers for which a device with measured kernels has none."""

from __future__ import annotations

from cluster_sim.hardware.device import Device
from cluster_sim.llm.model import Model


def unmeasured_kinds(model: Model, device: Device, kv_cache: str) -> list[str]:
    """Return the kinds of a model's layers whose kernels were not measured on a device.

    It is empty for a device none of whose kernels were measured.
    """
    if device.kernels is None:
        return []
    names = {"linear": [*device.kernels.linear], "sparse": [*device.kernels.sparse]}
    kinds = []
    for kind in model.attention:
        table, name = kind.fit_name(kv_cache) or ("", "")
        is_measured = any(
            known == name or known.startswith(f"{name}_") for known in names.get(table, [])
        )
        if table and not is_measured and kind.label not in kinds:
            kinds.append(kind.label)
    return kinds
