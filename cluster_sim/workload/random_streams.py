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
    """Return the random generator of a named stream.

    The generator depends on seed and name only, not on other streams or the order of calls.

    Parameters
    ----------
    seed
        Seed of the scenario.
    name
        Name of the stream, such as "arrivals".

    Examples
    --------
    >>> stream(7, "arrivals").random() == stream(7, "arrivals").random()
    True
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(crc32(name.encode()),)))


def numbered(seed: int, name: str) -> Callable[[int, int], np.random.Generator]:
    """Return a function that returns the random generator of two numbers, such as a request's.

    The order of calls does not matter. All calls share one generator, which is repositioned: a
    generator must not be used any more after the next call.

    Parameters
    ----------
    seed
        Seed of the scenario.
    name
        Name of the stream.

    Source: Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, SC 2011 (key and counter of
    Philox).

    Examples
    --------
    >>> at = numbered(7, "example")
    >>> first = at(3, 0).random()
    >>> at(4, 0).random() == first, at(3, 0).random() == first
    (False, True)
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
