"""Fits of matrix products that several tests use."""

from __future__ import annotations

import numpy as np

from cluster_sim.hardware.kernel_fits import GemmFit

# 100 processors at 1 PFLOP/s and 5 TB/s; a tile of 128 x 128 computes as fast as any other of its
# size
PLAIN = {
    "processors": 100,
    "element": "2 B",
    "launch": "2 us",
    "bandwidth": "5 TB/s",
    "compute": "1 PFLOP/s",
    "overlap": 8.0,
    "tile_overhead": 0.0,
    "epilogue": "0 s",
    "split": "1 us",
    "partial_bandwidth": "1 TB/s",
    "slowdown": 0.0,
    "row": "0 s",
    "activation": "0 s",
}


B200 = PLAIN | {
    "processors": 148,
    "bandwidth": "6.4 TB/s",
    "compute": "1.8 PFLOP/s",
    "overlap": 2.4,
    "tile_overhead": 2700.0,
    "epilogue": "20 ps",
}


B200 |= {"slowdown": 0.13, "row": "0.2 ns", "activation": "0.3 ps"}


def fit_of(keys: dict[str, object]) -> GemmFit:
    return GemmFit.model_validate(keys)


def shapes(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    m, n, k = np.exp2(rng.uniform((0.0, 5.0, 5.0), (14.0, 16.0, 16.0), (rows, 3))).round().T
    return m, n, k
