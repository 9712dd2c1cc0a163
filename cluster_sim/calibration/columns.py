"""Columns of tables of measured kernels."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from cluster_sim.typing import Array


def numbers(table: pa.Table, name: str) -> Array:
    """Return a column of numbers as an array of floats; empty values are NaN."""
    values: Array = np.asarray(table[name].to_numpy(), dtype=float)
    return values
