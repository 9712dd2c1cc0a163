"""Random streams by name.

Variants of a scenario see identical traffic, whatever else they draw.
"""

from __future__ import annotations

from collections.abc import Callable
from zlib import crc32

import numpy as np
import numpy.random

AT_A_TIME = 4096
"""Count of numbers that are drawn from a stream at once: always the same, so that the same numbers
come."""


def stream(seed: int, name: str) -> np.random.Generator:
    """Return the generator of the stream `name`.

    It is the same for the same seed, whichever other streams there are and in what order.
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(crc32(name.encode()),)))


def numbered(seed: int, name: str) -> Callable[[int, int], np.random.Generator]:
    """Return what gives a generator of the stream `name` for two numbers, whatever the order.

    It is one generator that is moved to another place by key and counter (Salmon et al., Parallel
    Random Numbers: As Easy as 1, 2, 3, SC 2011): the one that was given before must not be used
    any more.
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
