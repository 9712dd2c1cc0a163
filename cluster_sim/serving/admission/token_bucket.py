"""A rate limit that allows bursts."""

from collections.abc import Sequence
from typing import Literal

from cluster_sim.request import Request
from cluster_sim.serving.admission.gate import Gate, Prefill, Refusal
from cluster_sim.serving.admission.policy import AdmissionPolicy
from cluster_sim.serving.load import Load
from cluster_sim.typing import Count
from cluster_sim.units import PerSecond


class TokenBucket(AdmissionPolicy):
    """Rejection of requests if a token bucket holds less than their price.

    The bucket is full at first and is refilled at a steady rate; each admitted request takes its
    price out of it. A request whose price exceeds `burst` is always rejected (committed rate and
    burst of RFC 2697).
    """

    policy: Literal["token_bucket"] = "token_bucket"
    rate_per_s: PerSecond
    """Rate at which the bucket is refilled [requests/s or tokens/s]."""
    burst: Count
    """Maximum content of the bucket [requests or tokens]."""
    counts: Literal["requests", "tokens"] = "requests"
    """Price of a request. requests: each request costs one. tokens: a request costs the tokens of
    its prompt and of the longest answer, as in gateways that count `max_tokens`."""

    def refusal(self, ttft_s: float | None, tokens: int) -> Refusal:
        """Return the limit in words: that of one request, else that of the rate."""
        if self.counts == "tokens" and tokens > self.burst:
            return Refusal(
                f"longer than the rate limit's burst of {self.burst:,} tokens",
                "`cluster.admission.burst` of at least the tokens of the longest request",
            )
        return Refusal(
            f"rate limit of {self.rate_per_s:,.6g} {self.counts}/s, burst {self.burst:,}",
            "`cluster.admission.rate` and `burst` are the limits",
        )

    def gate(self, prefill: Sequence[Prefill], ttft_s: Sequence[float | None]) -> Gate:
        """Return the policy with its state for one run."""
        by_tokens = self.counts == "tokens"
        level, filled_s = float(self.burst), 0.0

        def too_little_left(
            request: Request, now_s: float, picked: int, loads: Sequence[Load]
        ) -> bool:
            nonlocal level, filled_s
            level, filled_s = min(level + (now_s - filled_s) * self.rate_per_s, self.burst), now_s
            price = request.prompt_tokens + request.longest_answer if by_tokens else 1
            if price > level:
                return True
            level -= price
            return False

        return Gate(self.policy, too_little_left)
