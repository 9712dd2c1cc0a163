"""PrefilledRequest: a request between the replicas that prefill and decode it."""

from __future__ import annotations

from dataclasses import dataclass

from cluster_sim.request import Request
from cluster_sim.sim.decode_replica import DecodeReplica
from cluster_sim.sim.replica_events import PromptSource
from cluster_sim.sim.transfer import Transfer


@dataclass(slots=True, eq=False)
class PrefilledRequest:
    """A request from the beginning of its prefill until its KV is where it decodes."""

    request: Request
    source: PromptSource
    total_tokens: int
    """Number of tokens whose KV is sent: its prompt and its answer before this prefill."""
    tokens: float = 0.0
    """Number of tokens whose KV could be sent at the time `since_s`."""
    tokens_per_s: float = 0.0
    """Rate at which further tokens become transferable [tokens/s]."""
    since_s: float = 0.0
    is_whole: bool = False
    """Whether the prefill is over."""
    target: DecodeReplica | None = None
    transfer: Transfer | None = None
    kv_bytes: float = 0.0
    """KV of all its tokens [B]."""
    is_hopeless: bool = False
    """Whether no decode replica that is up could hold it, as of when it began to wait."""
    attempt: int = 0
    """Number of targets that were lost before its KV had arrived."""

    def lose_target(self) -> None:
        """Note that the devices are lost to which its KV was being sent."""
        self.target = self.transfer = None
        self.attempt += 1
