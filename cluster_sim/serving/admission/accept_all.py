"""Admission of every request."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from cluster_sim.serving.admission.gate import Gate, Prefill, Refusal
from cluster_sim.serving.admission.policy import AdmissionPolicy


class AcceptAll(AdmissionPolicy):
    """Admission of every request. Queues have no limit."""

    refuses_nobody: ClassVar[bool] = True

    policy: Literal["accept_all"] = "accept_all"

    def refusal(self, ttft_s: float | None, tokens: int) -> Refusal:
        """Return words for a rejection, which this policy never makes."""
        return Refusal("rejected by the admission policy", "")

    def gate(self, prefill: Sequence[Prefill], ttft_s: Sequence[float | None]) -> Gate | None:
        """Return None, since no request is rejected."""
        return None
