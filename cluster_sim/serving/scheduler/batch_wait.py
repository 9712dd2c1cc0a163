"""BatchWait: new requests are held back during decode, so that more of them join together."""

from __future__ import annotations

from typing import NamedTuple

from cluster_sim.request import Request


class InDecode(NamedTuple):
    """Counts of a decode step."""

    sequences: int
    """Number of decoding requests."""
    tokens: int
    """Number of their tokens in the step, drafts included."""


class BatchWait:
    """Rule that holds new requests back for some steps while a step with them would be too small.

    It is the rule of TensorRT-LLM with `batch_wait_timeout_iterations` and
    `batch_wait_max_tokens_ratio`.
    """

    __slots__ = ("_is_holding", "_max_steps", "_min_tokens", "_waited", "_waiting_tokens")

    def __init__(self, max_steps: int, min_tokens: float) -> None:
        self._max_steps, self._min_tokens = max_steps, min_tokens
        self._waited = 0  # number of steps for which requests have been held back
        self._waiting_tokens = 0  # prompt tokens of all waiting requests
        self._is_holding = False  # whether the scheduled steps hold requests back

    def add(self, request: Request) -> None:
        """Record that a request waits."""
        self._waiting_tokens += request.prompt_tokens + request.generated

    def remove(self, request: Request) -> None:
        """Record that a request no longer waits."""
        self._waiting_tokens -= request.prompt_tokens + request.generated

    def changes_with(self, request: Request, decode: InDecode) -> bool:
        """Record that a request waits; return whether holding back starts or ends with it."""
        before = self._is_too_small(decode)
        self.add(request)
        return before != self._is_too_small(decode)

    def _is_too_small(self, decode: InDecode) -> bool:
        """Return whether a step of all waiting and decoding requests is too small."""
        return decode.tokens > 0 and decode.tokens + self._waiting_tokens < self._min_tokens

    def steps_to_hold(self, decode: InDecode) -> int:
        """Return the number of steps for which new requests are held back from now on, or 0."""
        self._is_holding = self._waited < self._max_steps and self._is_too_small(decode)
        return self._max_steps - self._waited if self._is_holding else 0

    def stop_holding(self) -> None:
        """Let the scheduled steps hold no request back."""
        self._is_holding = False

    def prefilled(self) -> None:
        """Restart the count, since the scheduled step prefills."""
        self._waited = 0

    def advance(self, steps: int) -> None:
        """Advance by `steps` of the scheduled steps."""
        if self._is_holding:
            self._waited += steps
