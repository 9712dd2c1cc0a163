"""Public measurements of wafers: rows, and names of models."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Mapping
from pathlib import Path

from cluster_sim.calibration.measured_models import model_keys
from cluster_sim.llm.model import Model

LAUNCH = "2024-08"
"""Date of the first release, whose speeds are labelled as measured without speculation."""
IO_BYTES_PER_S = 150e9
"""Bandwidth of the links of one wafer [B/s]."""

_NAMES = {
    "LLaMA3-8B": "llama-3.1-8b",
    "LLaMA2-13B": "llama-2-13b",
    "CodeLlama-34B": "codellama-34b",
    "Qwen2-72B": "qwen2-72b",
    "Llama-3.1-8B-Instruct": "llama-3.1-8b",
    "Llama-3.1-70B-Instruct": "llama-3.3-70b",
    "Llama-3.3-70B-Instruct": "llama-3.3-70b",
    "gpt-oss-120b": "gpt-oss-120b",
    "Qwen3-32B": "qwen3-32b",
}
"""Names of models in the catalog, by their names in the table."""


def catalog_name(name: str) -> str:
    """Return the name in the catalog of a model of the table.

    Raises
    ------
    ValueError
        The model is unknown.
    """
    if name not in _NAMES:
        raise ValueError(f"model: got '{name}'; expected one of {', '.join(_NAMES)}")
    return _NAMES[name]


def model_named(name: str) -> Model:
    """Return the model of a measured row by its name in the table.

    Raises
    ------
    ValueError
        The model is unknown.
    """
    return Model.model_validate(model_keys(catalog_name(name)))


def measured_rows(measurements: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of wafers in a table of measurements (csv.gz).

    Raises
    ------
    OSError
        The file cannot be read.
    """
    with gzip.open(measurements, mode="rt", newline="", encoding="utf-8") as file:
        yield from (
            row for row in csv.DictReader(file) if row["dataset"] in ("waferllm", "cerebras_cs3")
        )


def side(row: Mapping[str, str]) -> int:
    """Return the side of the square of cores of a row, which is written as "420x420 cores"."""
    return int(row["parallelism"].partition("x")[0])


def is_whole(row: Mapping[str, str]) -> bool:
    """Return whether the whole model was measured instead of some of its layers."""
    return "subset of layers" not in row["notes"]
