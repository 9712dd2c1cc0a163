"""How requests go from the replicas that read their prompts to those that decode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol, TypeVar

from cluster_sim.schema import Description

Role = Literal["both", "prefill", "decode"]
"""Part of a request that a replica serves."""


class Decoder(Protocol):
    """What a hand-over sees of a replica that decodes."""

    number: int
    requests: int

    def kv_share(self) -> float:
        """Share of its KV room that is taken or promised, as of this moment."""
        ...


SomeDecoder = TypeVar("SomeDecoder", bound=Decoder)


class HandOver(Description):
    """Between pools of the roles `prefill` and `decode`: who takes a request, and when its KV
    moves.

    The first token is made where the prompt is read and sent to the client at once, as in Splitwise
    (Patel et al., ISCA 2024, section 4.3), DistServe (Zhong et al., OSDI 2024) and TensorRT-LLM:
    time to first token holds no transfer, the first gap between tokens does. (The proxy of vLLM's
    NIXL connector has the decoding side make that token again and send it: there the transfer
    counts for the time to first token instead; the sum is the same.) The decoding server has the
    request by then:
    its overhead for a request is not counted a second time. Answers are not sent back to the
    replicas that read prompts.
    """

    policy: Literal["least_kv", "least_requests", "round_robin"] = "least_kv"
    """Among the replicas that have room: the one whose KV room is least taken, the one with fewest
    requests, or by turns."""
    kv_transfer: Literal["layers", "whole", "off"] = "layers"
    """layers: that of each layer while the next is computed; whole: after the prompt has been read,
    as vLLM's NIXL connector does; off: at once."""

    def chooser(self, kind: type[SomeDecoder]) -> Callable[[Sequence[SomeDecoder]], SomeDecoder]:
        """The policy at work in one run: one of the replicas, which are of this kind; the first of
        equals.
        """
        if self.policy == "least_kv":
            return lambda able: min(able, key=lambda decoder: decoder.kv_share())
        if self.policy == "least_requests":
            return lambda able: min(able, key=lambda decoder: decoder.requests)
        last = -1

        def next_one(able: Sequence[SomeDecoder]) -> SomeDecoder:
            nonlocal last
            chosen = min(able, key=lambda decoder: (decoder.number <= last, decoder.number))
            last = chosen.number
            return chosen

        return next_one
