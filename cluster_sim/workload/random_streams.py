"""Random streams by name.

Variants of a scenario get identical traffic, whatever other random numbers they draw.
"""

from __future__ import annotations

from collections.abc import Callable
from zlib import crc32

import numpy as np
import numpy.random

AT_A_TIME = 4096
"""Count of numbers per draw from a stream. The count is constant, so that a seed always gives the
same numbers."""


def stream(seed: int, name: str) -> np.random.Generator:
    """Return the generator of the stream `name`.

    The generator depends on seed and name only, not on the other streams or their order.
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(crc32(name.encode()),)))


def numbered(seed: int, name: str) -> Callable[[int, int], np.random.Generator]:
    """Return a function of two numbers that returns their generator of the stream `name`.

    The order of calls does not matter. All calls share one generator, which is repositioned by key
    and counter (Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, SC 2011): a generator
    must not be used any more after the next call.
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
