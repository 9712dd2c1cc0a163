"""No more than so many may wait."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from cluster_sim.request import Request
from cluster_sim.serving.admission.gate import Gate, Prefill
from cluster_sim.serving.admission.policy import AdmissionPolicy
from cluster_sim.serving.load import Load


class QueueLimit(AdmissionPolicy):
    """A request is refused where as many as are allowed wait already.

    A replica that serves one at a time and lets K - 1 wait is the queue M/G/1/K.
    """

    policy: Literal["queue_limit"] = "queue_limit"
    max_waiting: Annotated[int, Field(gt=0)]
    """Requests that wait for a place in a batch."""
    per: Literal["replica", "cluster"] = "replica"
    """Whether those of the replica that was picked are counted, or those of all."""

    def gate(self, prefill: Sequence[Prefill], ttft_s: Sequence[float | None]) -> Gate:
        """Return the policy at work in one run."""

        def full_replica(
            request: Request, now_s: float, picked: int, loads: Sequence[Load]
        ) -> bool:
            return loads[picked].waiting >= self.max_waiting

        def full_cluster(
            request: Request, now_s: float, picked: int, loads: Sequence[Load]
        ) -> bool:
            return sum(load.waiting for load in loads) >= self.max_waiting

        return Gate(self.policy, full_replica if self.per == "replica" else full_cluster)
