"""Public measurements of wafers: their rows, and the models that they name."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Mapping
from pathlib import Path

from cluster_sim.calibration.measured_models import model_keys
from cluster_sim.llm.model import Model

LAUNCH = "2024-08"
"""Date of the first release, whose speeds are labelled as without speculation."""
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
"""Names of models in the catalog by those of the table."""


def catalog_name(name: str) -> str:
    """Return the catalog's name of a model of the table.

    Raises
    ------
    ValueError
        The shape of the model is not known.
    """
    if name not in _NAMES:
        raise ValueError(f"no shape known of model '{name}'")
    return _NAMES[name]


def model_named(name: str) -> Model:
    """Return the model of a measured row by its name in the table.

    Raises
    ------
    ValueError
        The shape of the model is not known.
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
    """Return the side of the square of cores that a row ran on, written as "420x420 cores"."""
    return int(row["parallelism"].partition("x")[0])


def is_whole(row: Mapping[str, str]) -> bool:
    """Return whether the whole model was run, not some of its layers."""
    return "subset of layers" not in row["notes"]
