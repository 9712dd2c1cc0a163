"""Engines that tables of measured kernels name, and what stands for kernels that none measured."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from cluster_sim.calibration.fit_options import FitOptions
from cluster_sim.hardware.device import Device

ENGINES = {"trtllm": "TensorRT-LLM", "sglang": "SGLang", "vllm": "vLLM"}
"""Names of engines by those of aiconfigurator's tables. The kernels of the first one that a table
has hold for engines without any of their own, as those of TensorRT-LLM do for products."""


def by_engine(table: pa.Table, choice: FitOptions) -> Iterator[tuple[str, str, pa.Table]]:
    """Yield the engine's name, the name that its fits are kept under, and its rows.

    The name that they are kept under is empty where they hold for all engines. A choice of one
    engine leaves out the others' rows. A table without a column for the engine holds those of the
    engine that was chosen.
    """
    if "engine" not in table.column_names:
        yield choice.engine, choice.engine, table
        return
    measured = set(pc.unique(table["engine"]).to_pylist())
    known = [name for name in ENGINES if name in measured]
    for name in known:
        engine = ENGINES[name]
        if choice.engine.lower() in ("", engine.lower()):
            kept = engine if choice.engine or name != known[0] else ""
            yield engine, kept, table.filter(pc.equal(table["engine"], name))


def shares_of_peaks(device: Device) -> tuple[float, float]:
    """Return the rates of moving caches and of attention that hold without measurements.

    They are the device's shares of its peaks [B/s, FLOP/s], as step times take them.
    """
    bandwidth, flop_per_s = device.memory.bandwidth_bytes_per_s, device.peak.bf16_flop_per_s
    if (shares := device.efficiency) is None:
        return bandwidth, flop_per_s
    return shares.kv_bandwidth * bandwidth, shares.attention_compute * flop_per_s
