"""Rejection of requests by their predicted time to first token."""

from collections.abc import Iterator, Sequence
from typing import Literal

from cluster_sim.request import Request
from cluster_sim.serving.admission.gate import Gate, Prefill, Refusal
from cluster_sim.serving.admission.policy import AdmissionPolicy
from cluster_sim.serving.load import Load
from cluster_sim.units import PositiveSeconds, duration_text


class PredictedTtft(AdmissionPolicy):
    """Rejection of requests whose predicted time to first token is too long.

    The prediction uses the prompt tokens before the request, its own prompt tokens, and the prefill
    rate of the replica, as Mooncake's Conductor does (Qin et al., Mooncake, arXiv 2407.00079,
    algorithm 1). It is a lower bound: it ignores the share of each step that decode takes, and
    waiting for KV cache or a batch slot.
    """

    policy: Literal["predicted_ttft"] = "predicted_ttft"
    limit_s: PositiveSeconds | None = None
    """Maximum predicted time to first token [s]. Default: the limit in the request's SLO; a request
    without one is never rejected."""

    def faults(self, ttft_s: Sequence[float | None]) -> Iterator[str]:
        """Yield a fault if neither the policy nor any class of requests has a limit."""
        if self.limit_s is None and all(limit_s is None for limit_s in ttft_s):
            yield "'limit' is missing; expected a time such as '2 s', or a ttft in the SLO"

    def refusal(self, ttft_s: float | None, tokens: int) -> Refusal:
        """Return the limit in words."""
        limit_s = self.limit_s or ttft_s
        above = "its limit" if limit_s is None else duration_text(limit_s)
        return Refusal(
            f"predicted TTFT above {above}",
            "more replicas prefill sooner; `cluster.admission.limit` or `slo.ttft` is the limit",
        )

    def gate(self, prefill: Sequence[Prefill], ttft_s: Sequence[float | None]) -> Gate:
        """Return the policy with its state for one run."""
        limits_s = [self.limit_s or limit_s or float("inf") for limit_s in ttft_s]

        def too_late(request: Request, now_s: float, picked: int, loads: Sequence[Load]) -> bool:
            delay_s, tokens_per_s = prefill[picked]
            tokens = loads[picked].pending_prompt_tokens + request.prompt_tokens
            return delay_s + tokens / tokens_per_s > limits_s[request.class_number]

        return Gate(self.policy, too_late)
