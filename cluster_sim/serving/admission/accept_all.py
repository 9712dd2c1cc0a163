"""Everybody enters."""

from collections.abc import Sequence
from typing import Literal

from cluster_sim.schema import Description
from cluster_sim.serving.admission.gate import Gate, Prefill


class AcceptAll(Description):
    """No request is refused; queues have no end."""

    policy: Literal["accept_all"] = "accept_all"

    def gate(self, prefill: Sequence[Prefill], ttft_s: Sequence[float | None]) -> Gate | None:
        """There is none."""
        return None
