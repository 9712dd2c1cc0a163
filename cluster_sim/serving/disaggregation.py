"""Disaggregated prefill: the path of requests from prefill replicas to decode replicas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol, TypeVar

from cluster_sim.schema import Description
from cluster_sim.serving.load import Load

Role = Literal["both", "prefill", "decode"]
"""Part of a request that a replica serves."""

SomeLoad = TypeVar("SomeLoad", bound=Load)


class Chooser(Protocol):
    """Function that chooses the decode replica of a request."""

    def __call__(self, loads: Sequence[SomeLoad]) -> SomeLoad:
        """Return one of the replicas that can take the request; they are in order of number."""
        ...


class Disaggregation(Description):
    """Disaggregated prefill: policy and KV transfer between prefill pools and decode pools.

    The prefill replica generates the first token and sends it to the client immediately, as in
    Splitwise (Patel et al., ISCA 2024, section 4.3), DistServe (Zhong et al., OSDI 2024) and
    TensorRT-LLM. The KV transfer therefore counts in the first gap between tokens, not in the time
    to first token. The proxy of vLLM's NIXL connector instead lets the decode replica generate that
    token again and send it: the transfer then counts in the time to first token, and the sum is the
    same. The decode server already has the request, so its overhead per request is not counted
    again. Answers are not sent back to the prefill replicas.
    """

    policy: Literal["least_kv", "least_requests", "round_robin", "fixed_turns"] = "least_kv"
    """Choice among the decode replicas that can take a request. least_kv: the one with the least
    used KV cache. least_requests: the one with the fewest requests. round_robin: each in turn.
    fixed_turns: each in turn, whether or not it can take the request now; the request waits for
    it, as with Dynamo's default router (`--router-mode round-robin`)."""
    kv_transfer: Literal["layers", "whole", "off"] = "layers"
    """Time at which the KV cache is sent. layers: the KV cache of each layer is sent while the next
    layer is computed. whole: it is sent after the whole prefill, as vLLM's NIXL connector does.
    off: the transfer takes no time."""

    copied_kv: Literal["first", "by_rank"] = "first"
    """Sender of KV cache that several tensor-parallel devices of a prefill replica hold: that of
    latent attention, or of fewer KV heads than devices. first: the first of them, as in vLLM and
    SGLang. by_rank: each in turn, by the attention data-parallel rank of the decode replica, as in
    TensorRT-LLM."""

    @property
    def asks(self) -> bool:
        """Whether a decode replica is chosen among those that can take a request."""
        return self.policy != "fixed_turns"

    def chooser(self) -> Chooser:
        """Return the policy with its state for one run; ties go to the first replica."""
        if self.policy == "least_kv":
            return _Least(lambda load: load.kv_share)
        if self.policy == "least_requests":
            return _Least(lambda load: load.requests)
        return _InTurn()


class _Least:
    """Choice of the replica with the lowest value of a figure."""

    def __init__(self, figure: Callable[[Load], float]) -> None:
        self._figure = figure

    def __call__(self, loads: Sequence[SomeLoad]) -> SomeLoad:
        return min(loads, key=self._figure)


class _InTurn:
    """Choice of the replicas in turn, by number."""

    def __init__(self) -> None:
        self._last = -1

    def __call__(self, loads: Sequence[SomeLoad]) -> SomeLoad:
        chosen = min(loads, key=lambda load: (load.number <= self._last, load.number))
        self._last = chosen.number
        return chosen
