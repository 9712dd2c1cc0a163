"""Those who would wait too long are told so at once."""

from collections.abc import Iterator, Sequence
from typing import Literal

from cluster_sim.request import Request
from cluster_sim.serving.admission.gate import Gate, Prefill
from cluster_sim.serving.admission.policy import AdmissionPolicy
from cluster_sim.serving.load import Load
from cluster_sim.units import PositiveSeconds


class PredictedTtft(AdmissionPolicy):
    """A request is shed whose time to first token would be too long: prompt tokens before it and
    its own, at the replica's rate.

    So decides Mooncake's Conductor (Qin et al., Mooncake, arXiv 2407.00079, algorithm 1). The
    prediction is a lower bound: what decoding takes of each step, and waiting for KV room or a
    place in the batch, are not in it.
    """

    policy: Literal["predicted_ttft"] = "predicted_ttft"
    limit_s: PositiveSeconds | None = None
    """Default: the time to first token of the request's SLO; one that has none is never shed."""

    def faults(self, ttft_s: Sequence[float | None]) -> Iterator[str]:
        """Yield a fault where neither the policy nor any class of requests has a limit."""
        if self.limit_s is None and all(limit_s is None for limit_s in ttft_s):
            yield "'limit' is missing; wanted a time such as '2 s', or a ttft in the SLO"

    def gate(self, prefill: Sequence[Prefill], ttft_s: Sequence[float | None]) -> Gate:
        """Return the policy at work in one run."""
        limits_s = [self.limit_s or limit_s or float("inf") for limit_s in ttft_s]

        def too_late(request: Request, now_s: float, picked: int, loads: Sequence[Load]) -> bool:
            way_s, tokens_per_s = prefill[picked]
            tokens = loads[picked].pending_prompt_tokens + request.prompt_tokens
            return way_s + tokens / tokens_per_s > limits_s[request.class_number]

        return Gate(self.policy, too_late)
