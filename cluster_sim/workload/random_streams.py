"""Random streams by name, so that variants of a scenario see identical traffic whatever else they
draw.
"""

from __future__ import annotations

from collections.abc import Callable
from zlib import crc32

import numpy as np
import numpy.random

AT_A_TIME = 4096
"""Numbers that are drawn from a stream at once, where many are wanted: always as many, so that the
same ones come."""


def stream(seed: int, name: str) -> np.random.Generator:
    """The generator of the stream `name`: the same for the same seed, whichever other streams there
    are and in what order.
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(crc32(name.encode()),)))


def numbered(seed: int, name: str) -> Callable[[int, int], np.random.Generator]:
    """Generators of the stream `name` by two numbers: each the same in whatever order they are
    asked for.

    One generator that is put to another place, by key and counter (Salmon et al., Parallel Random
    Numbers: As Easy as 1, 2, 3, SC 2011): what was asked for before is not to be used any more.
    """
    key = np.random.SeedSequence(seed, spawn_key=(crc32(name.encode()),)).generate_state(
        1, np.uint64
    )[0]
    bits = np.random.Philox(key=[key, 0])
    rng, state = np.random.Generator(bits), bits.state

    def at(number: int, again: int) -> np.random.Generator:
        state["state"]["key"][1] = number
        state["state"]["counter"][3] = again
        bits.state = state
        return rng

    return at
