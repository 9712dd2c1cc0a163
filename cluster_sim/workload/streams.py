"""Random streams by name, so that variants of a scenario see identical traffic whatever else they draw."""

from __future__ import annotations

from zlib import crc32

import numpy as np
import numpy.random

AT_A_TIME = 4096
"""Numbers that are drawn from a stream at once, where many are wanted: always as many, so that the same ones come."""


def stream(seed: int, name: str) -> np.random.Generator:
    """The generator of the stream `name`: the same for the same seed, whichever other streams there are and in what order."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(crc32(name.encode()),)))
