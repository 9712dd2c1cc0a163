"""Memo: values of a function, each computed once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Memo(dict[Key, Value]):
    """Values of a function by its argument; `memo[argument]` computes a missing value.

    NOTE: this replaces functools.cache because a look-up takes 0.07 us less, and a stretch of steps
    makes four look-ups.

    >>> squares = Memo(lambda number: number**2)
    >>> squares[3], squares[3], len(squares)
    (9, 9, 1)
    """

    __slots__ = ("_function",)

    def __init__(self, function: Callable[[Key], Value]) -> None:
        super().__init__()
        self._function = function

    def __missing__(self, key: Key) -> Value:
        """Return the value for `key` and keep it."""
        value = self[key] = self._function(key)
        return value
