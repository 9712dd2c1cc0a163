"""PrefilledRequest: a request between its prefill replica and its decode replica."""

from __future__ import annotations

from dataclasses import dataclass

from cluster_sim.request import Request
from cluster_sim.sim.decode_replica import DecodeReplica
from cluster_sim.sim.replica_events import PromptSource
from cluster_sim.sim.transfer import Transfer


@dataclass(slots=True, eq=False)
class PrefilledRequest:
    """Request from the start of its prefill until its KV cache is at its decode replica."""

    request: Request
    source: PromptSource
    total_tokens: int
    """Number of tokens whose KV cache is sent: the prompt, and the answer before this prefill."""
    tokens: float = 0.0
    """Number of tokens whose KV cache can be sent at the time `since_s`."""
    tokens_per_s: float = 0.0
    """Rate at which further tokens become transferable [tokens/s]."""
    since_s: float = 0.0
    is_whole: bool = False
    """Whether the prefill is over."""
    target: DecodeReplica | None = None
    turn: DecodeReplica | None = None
    """Decode replica whose turn it is, if replicas get requests in turn without being asked."""
    transfer: Transfer | None = None
    kv_bytes: float = 0.0
    """Size of the KV cache of all tokens [B]."""
    is_hopeless: bool = False
    """Whether no available decode replica could hold the request when it began to wait."""
    attempt: int = 0
    """Number of transfers that ended before the KV cache had arrived."""
    is_sent: bool = False
    """Whether the last byte is on its way."""

    def lose_target(self) -> None:
        """Record the loss of the decode replica to which the KV cache was being sent."""
        self.target = None
        self.lose_transfer()

    def lose_transfer(self) -> None:
        """Record that the transfer in progress has ended early."""
        self.transfer, self.is_sent = None, False
        self.attempt += 1
