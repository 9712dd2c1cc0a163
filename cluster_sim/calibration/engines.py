"""Engines in tables of measured kernels, and substitutes for kernels that were not measured."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from cluster_sim.calibration.fit_options import FitOptions
from cluster_sim.hardware.device import Device

ENGINES = {"trtllm": "TensorRT-LLM", "sglang": "SGLang", "vllm": "vLLM"}
"""Names of engines by their names in aiconfigurator's tables. The kernels of the first engine that
a table contains are used for engines without measurements, as those of TensorRT-LLM for
products."""


def by_engine(table: pa.Table, choice: FitOptions) -> Iterator[tuple[str, str, pa.Table]]:
    """Yield the name of the engine, the name of its fits, and its rows.

    The name of the fits is empty if they hold for all engines. A chosen engine excludes the rows of
    other engines. A table without a column for the engine holds rows of the chosen engine.
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


def newest_version(table: pa.Table) -> pa.Table:
    """Return the rows of the newest version of an engine; all rows without such a column.

    Versions are compared number by number, so 1.3.0rc20 is newer than 1.3.0rc10.
    """
    if "version" not in table.column_names or not len(table):
        return table
    versions = pc.unique(table["version"]).to_pylist()
    newest = max(versions, key=lambda text: [int(part) for part in re.findall(r"\d+", text)])
    return table.filter(pc.equal(table["version"], newest))


def shares_of_peaks(device: Device) -> tuple[float, float]:
    """Return the rates of cache traffic and of attention without measurements.

    They are the device's shares of its peaks [B/s, FLOP/s], which step times use too.
    """
    bandwidth, flop_per_s = device.memory.bandwidth_bytes_per_s, device.peak.bf16_flop_per_s
    if (shares := device.efficiency) is None:
        return bandwidth, flop_per_s
    return shares.kv_bandwidth * bandwidth, shares.attention_compute * flop_per_s
