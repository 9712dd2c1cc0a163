"""State of retry budgets during a run."""

from __future__ import annotations

from collections import deque
from typing import Protocol

_SLICES = 10
"""Number of parts of a window that are forgotten one after the other, as in Finagle."""
_WHOLE = 1.0 - 1e-9
"""Content that counts as one retry: sums of shares such as 0.2 are rounded."""


class BudgetState(Protocol):
    """Budget of retries and hedges. Extra attempts are those after the first one of a request."""

    def begin(self, now_s: float) -> None:
        """Note that a client sends a new request."""
        ...

    def take(self, now_s: float) -> bool:
        """Take an extra attempt out of the budget, if it allows one; return whether it does."""
        ...

    def attempt_ended(self, outcome: str, *, is_extra: bool) -> None:
        """Note the end of an attempt: finished, rejected, failed, timed_out or cancelled."""
        ...

    def end(self) -> None:
        """Note that a client's request has ended, with all its attempts."""
        ...


class Unlimited:
    """Absence of a budget: every extra attempt is allowed."""

    def begin(self, now_s: float) -> None:
        """Do nothing."""

    def take(self, now_s: float) -> bool:
        """Return that an extra attempt is allowed."""
        return True

    def attempt_ended(self, outcome: str, *, is_extra: bool) -> None:
        """Do nothing."""

    def end(self) -> None:
        """Do nothing."""


class ShareState(Unlimited):
    """Budget that is a share of the requests of a window, and a reserve.

    The window is divided into slices, which are forgotten as a whole.

    Examples
    --------
    >>> budget = ShareState(share=0.5, reserve=0.0, window_s=10.0)
    >>> budget.begin(0.0); budget.begin(0.0)
    >>> budget.take(1.0), budget.take(1.0)
    (True, False)
    """

    def __init__(self, share: float, reserve: float, window_s: float) -> None:
        self._share, self._reserve, self._slice_s = share, reserve, window_s / _SLICES
        self._slices: deque[list[float]] = deque()
        """Number and balance of each slice of the window, in order of time."""
        self._balance = 0.0

    def begin(self, now_s: float) -> None:
        """Deposit the share of a new request."""
        self._put(now_s, self._share)

    def take(self, now_s: float) -> bool:
        """Take an extra attempt out of the budget, if there is one; return whether there is."""
        self._put(now_s, 0.0)
        if self._reserve + self._balance < _WHOLE:
            return False
        self._put(now_s, -1.0)
        return True

    def _put(self, now_s: float, amount: float) -> None:
        slices, number = self._slices, now_s // self._slice_s
        while slices and slices[0][0] <= number - _SLICES:
            slices.popleft()
            self._balance = sum(balance for _, balance in slices)
        if not slices or slices[-1][0] < number:
            slices.append([number, 0.0])
        slices[-1][1] += amount
        self._balance += amount


class TokensState(Unlimited):
    """Bucket of tokens, which failures empty and answers fill.

    Examples
    --------
    >>> budget = TokensState(max_tokens=4.0, token_ratio=0.5)
    >>> budget.attempt_ended("timed_out", is_extra=False)
    >>> budget.take(0.0)
    True
    >>> budget.attempt_ended("rejected", is_extra=True)
    >>> budget.take(0.0)
    False
    """

    def __init__(self, max_tokens: float, token_ratio: float) -> None:
        self._max_tokens, self._token_ratio = max_tokens, token_ratio
        self._tokens = max_tokens

    def take(self, now_s: float) -> bool:
        """Return whether more than half of the bucket is left."""
        return self._tokens > self._max_tokens / 2

    def attempt_ended(self, outcome: str, *, is_extra: bool) -> None:
        """Fill the bucket after an answer; take one token out of it after a failure."""
        if outcome == "finished":
            self._tokens = min(self._tokens + self._token_ratio, self._max_tokens)
        elif outcome != "cancelled":
            self._tokens = max(self._tokens - 1.0, 0.0)


class InFlightState(Unlimited):
    """Budget of extra attempts at a time, a share of the requests in flight.

    Examples
    --------
    >>> budget = InFlightState(share=0.5, min_retries=1)
    >>> budget.begin(0.0)
    >>> budget.take(0.0), budget.take(0.0)
    (True, False)
    """

    def __init__(self, share: float, min_retries: int) -> None:
        self._share, self._min_retries = share, min_retries
        self._requests = self._extra = 0

    def begin(self, now_s: float) -> None:
        """Count a new request in flight."""
        self._requests += 1

    def take(self, now_s: float) -> bool:
        """Count an extra attempt in flight, if one more is allowed; return whether it is."""
        if self._extra + 1 > max(self._min_retries, self._share * self._requests + 1e-9):
            return False
        self._extra += 1
        return True

    def attempt_ended(self, outcome: str, *, is_extra: bool) -> None:
        """Count an extra attempt less."""
        self._extra -= is_extra

    def end(self) -> None:
        """Count a request less."""
        self._requests -= 1
