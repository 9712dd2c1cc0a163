"""Models and devices of measured runs."""

from __future__ import annotations

from functools import cache

from cluster_sim.calibration.measured_models import model_keys
from cluster_sim.hardware.device import Device
from cluster_sim.hardware.node import Node
from cluster_sim.llm.model import Model
from cluster_sim.schema import Document, catalog_entry, describe
from cluster_sim.validation.names import NODES, model_name


@cache
def machine_of(model: str, hardware: str) -> tuple[Model, Device]:
    """Return model and device by their names in tables of measurements.

    >>> model, device = machine_of("Llama-3.3-70B-Instruct", "B200")
    >>> model.name, device.name
    ('Llama 3.3 70B', 'NVIDIA B200 SXM')
    """
    name, node = model_name(model), NODES.get(hardware, hardware)
    described = describe(Model, Document(model_keys(name), name))
    return described, describe(Node, Document(catalog_entry("nodes", node), node)).device
