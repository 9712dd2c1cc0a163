"""TransferPolicy: which decode replica gets a request, and when its KV cache is sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cluster_sim.sim.decode_replica import DecodeReplica


@dataclass(frozen=True)
class TransferPolicy:
    """Policy for the choice of a decode replica, and for the start of KV transfers."""

    choose: Callable[[Sequence[DecodeReplica]], DecodeReplica]
    """Function that picks one of the replicas that can take a request."""
    kv_transfer: str
    """Start of the transfer: `layers`, `whole` or `off`; see serving.disaggregation."""
    asks: bool = True
    """Whether a replica is chosen among those that can take the request; else they take turns."""
