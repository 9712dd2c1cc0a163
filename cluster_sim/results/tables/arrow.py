"""Arrow columns from numpy arrays, without the cost of Arrow's own conversion."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from cluster_sim.typing import Array


def column(values: Array, missing: Array | None = None) -> pa.Array:
    """Return numbers or booleans as an Arrow array, with nulls where `missing` is true.

    NOTE: the array is made from bytes, since Arrow's own conversion imports numpy.ma, which takes
    half the time of a short run's tables.
    """
    present = None if missing is None else pa.py_buffer(np.packbits(~missing, bitorder="little"))
    if values.dtype == bool:
        return pa.Array.from_buffers(
            pa.bool_(), len(values), [present, pa.py_buffer(np.packbits(values, bitorder="little"))]
        )
    return pa.Array.from_buffers(
        pa.from_numpy_dtype(values.dtype),
        len(values),
        [present, pa.py_buffer(np.ascontiguousarray(values))],
    )


def seconds(times_s: Array) -> pa.Array:
    """Return a column of times; NaN, for an event that has not happened, becomes null."""
    return column(times_s, np.isnan(times_s))
