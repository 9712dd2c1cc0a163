"""A rate limit that lets bursts pass."""

from collections.abc import Sequence
from typing import Literal

from cluster_sim.request import Request
from cluster_sim.serving.admission.gate import Gate, Prefill, Refusal
from cluster_sim.serving.admission.policy import AdmissionPolicy
from cluster_sim.serving.load import Load
from cluster_sim.typing import Count
from cluster_sim.units import PerSecond


class TokenBucket(AdmissionPolicy):
    """Rejects a request where the bucket holds less than its price.

    The bucket is filled at a steady rate, and each request takes its price out of it. The bucket is
    full at first. A request whose price is more than `burst` never enters. (RFC 2697's committed
    rate and burst.)
    """

    policy: Literal["token_bucket"] = "token_bucket"
    rate_per_s: PerSecond
    """Rate at which the bucket is filled [requests/s or tokens/s]."""
    burst: Count
    """Maximum content of the bucket, in requests or tokens."""
    counts: Literal["requests", "tokens"] = "requests"
    """Price of a request: `requests`, one; `tokens`, the tokens of prompt and answer, as gateways
    count that go by `max_tokens`."""

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
        """Return the policy at work in one run."""
        by_tokens = self.counts == "tokens"
        level, filled_s = float(self.burst), 0.0

        def too_little_left(
            request: Request, now_s: float, picked: int, loads: Sequence[Load]
        ) -> bool:
            nonlocal level, filled_s
            level, filled_s = min(level + (now_s - filled_s) * self.rate_per_s, self.burst), now_s
            price = request.prompt_tokens + request.output_tokens if by_tokens else 1
            if price > level:
                return True
            level -= price
            return False

        return Gate(self.policy, too_little_left)
