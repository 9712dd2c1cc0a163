"""BatchWait: new requests are held back while others decode, for more to come."""

from __future__ import annotations

from cluster_sim.request import Request


class BatchWait:
    """Holds new requests back for some steps while a step with them would be too small.

    As TensorRT-LLM does with `batch_wait_timeout_iterations` and `batch_wait_max_tokens_ratio`.
    """

    __slots__ = ("_is_holding", "_max_steps", "_min_tokens", "_waited", "_waiting_tokens")

    def __init__(self, max_steps: int, min_tokens: float) -> None:
        self._max_steps, self._min_tokens = max_steps, min_tokens
        self._waited = 0  # steps for which requests have been held back
        self._waiting_tokens = 0  # to be prefilled, of all requests that wait
        self._is_holding = False  # in the scheduled steps

    def add(self, request: Request) -> None:
        """Take note that a request waits."""
        self._waiting_tokens += request.prompt_tokens + request.generated

    def remove(self, request: Request) -> None:
        """Take note that a request waits no more."""
        self._waiting_tokens -= request.prompt_tokens + request.generated

    def changes_with(self, request: Request, decoding_tokens: int) -> bool:
        """Take note that a request waits; return whether requests are held back no more, or anew."""
        before = self._is_too_small(decoding_tokens)
        self.add(request)
        return before != self._is_too_small(decoding_tokens)

    def _is_too_small(self, decoding_tokens: int) -> bool:
        """Return whether a step of all that wait beside `decoding_tokens` would be too small."""
        return decoding_tokens > 0 and decoding_tokens + self._waiting_tokens < self._min_tokens

    def steps_to_hold(self, decoding_tokens: int) -> int:
        """Return for how many steps new requests are held back from now on; 0: they are not."""
        self._is_holding = self._waited < self._max_steps and self._is_too_small(decoding_tokens)
        return self._max_steps - self._waited if self._is_holding else 0

    def stop_holding(self) -> None:
        """Let the scheduled steps hold nobody back."""
        self._is_holding = False

    def prefilled(self) -> None:
        """Begin anew: the scheduled step prefills."""
        self._waited = 0

    def advance(self, steps: int) -> None:
        """Move on by `steps` of the scheduled steps."""
        if self._is_holding:
            self._waited += steps
