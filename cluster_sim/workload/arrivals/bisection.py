"""Search by bisection for the argument at which a rising function reaches a value."""

from collections.abc import Callable

_MAX_STEPS = 200
"""Number of steps after which the bracket is as narrow as floating-point numbers allow."""


def smallest_reaching(amount: Callable[[float], float], value: float, guess: float) -> float:
    """Return the smallest positive argument at which the rising function `amount` reaches `value`.

    >>> round(smallest_reaching(lambda x: x * x, 2.0, guess=1.0), 9)
    1.414213562
    """
    low, high = 0.0, guess
    for _ in range(_MAX_STEPS):
        if amount(high) >= value:
            break
        low, high = high, 2.0 * high
    for _ in range(_MAX_STEPS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (low, middle) if amount(middle) >= value else (middle, high)
    return high
