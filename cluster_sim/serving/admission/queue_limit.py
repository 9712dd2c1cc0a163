"""A limit on the number of waiting requests."""

from collections.abc import Sequence
from typing import Literal

from cluster_sim.request import Request
from cluster_sim.serving.admission.gate import Gate, Prefill, Refusal
from cluster_sim.serving.admission.policy import AdmissionPolicy
from cluster_sim.serving.load import Load
from cluster_sim.typing import Count


class QueueLimit(AdmissionPolicy):
    """Rejection of requests if the maximum number of requests is already waiting.

    A replica that serves one request at a time and lets K - 1 wait is the queue M/G/1/K.
    """

    policy: Literal["queue_limit"] = "queue_limit"
    max_waiting: Count
    """Maximum number of requests that wait for a batch slot."""
    per: Literal["replica", "cluster"] = "replica"
    """Requests that are counted. replica: those of the replica that was picked. cluster: those of
    all replicas."""

    def refusal(self, ttft_s: float | None, tokens: int) -> Refusal:
        """Return the limit in words."""
        return Refusal(
            f"queue limit of {self.max_waiting:,} per {self.per}",
            "more replicas shorten the queue; `cluster.admission.max_waiting` is the limit",
        )

    def gate(self, prefill: Sequence[Prefill], ttft_s: Sequence[float | None]) -> Gate:
        """Return the policy with its state for one run."""

        def full_replica(
            request: Request, now_s: float, picked: int, loads: Sequence[Load]
        ) -> bool:
            return loads[picked].waiting >= self.max_waiting

        def full_cluster(
            request: Request, now_s: float, picked: int, loads: Sequence[Load]
        ) -> bool:
            return sum(load.waiting for load in loads) >= self.max_waiting

        return Gate(self.policy, full_replica if self.per == "replica" else full_cluster)
