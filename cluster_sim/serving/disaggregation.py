"""Disaggregated prefill: how requests go from replicas that prefill to those that decode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol, TypeVar

from cluster_sim.schema import Description
from cluster_sim.serving.load import Load

Role = Literal["both", "prefill", "decode"]
"""Part of a request that a replica serves."""

SomeLoad = TypeVar("SomeLoad", bound=Load)


class Chooser(Protocol):
    """Chooses the replica that decodes a request."""

    def __call__(self, loads: Sequence[SomeLoad]) -> SomeLoad:
        """Return one of the replicas that could take the request, in order of their numbers."""
        ...


class Disaggregation(Description):
    """Way of requests between pools of the roles `prefill` and `decode`.

    The first token is made where the prompt is prefilled and sent to the client at once, as in
    Splitwise (Patel et al., ISCA 2024, section 4.3), DistServe (Zhong et al., OSDI 2024) and
    TensorRT-LLM: time to first token holds no transfer, the first gap between tokens does. (The
    proxy of vLLM's NIXL connector has the decoding side make that token again and send it: there
    the transfer counts for the time to first token instead; the sum is the same.) The decoding
    server has the request by then: its overhead for a request is not counted a second time. Answers
    are not sent back to the replicas that prefill.
    """

    policy: Literal["least_kv", "least_requests", "round_robin"] = "least_kv"
    """Choice among the decode replicas that can take a request: the one whose KV cache is least
    taken, the one with fewest requests, or each in turn."""
    kv_transfer: Literal["layers", "whole", "off"] = "layers"
    """Time at which the KV cache is sent: `layers`, that of each layer while the next one is
    computed; `whole`, after the prompt was prefilled, as vLLM's NIXL connector does; `off`, it
    takes no time."""

    def chooser(self) -> Chooser:
        """Return the policy at work in one run; it takes the first of equals."""
        if self.policy == "least_kv":
            return _Least(lambda load: load.kv_share)
        if self.policy == "least_requests":
            return _Least(lambda load: load.requests)
        return _InTurn()


class _Least:
    """Chooses the replica with the lowest value of a figure."""

    def __init__(self, figure: Callable[[Load], float]) -> None:
        self._figure = figure

    def __call__(self, loads: Sequence[SomeLoad]) -> SomeLoad:
        return min(loads, key=self._figure)


class _InTurn:
    """Chooses the replica with the next higher number than the last one, or the lowest."""

    def __init__(self) -> None:
        self._last = -1

    def __call__(self, loads: Sequence[SomeLoad]) -> SomeLoad:
        chosen = min(loads, key=lambda load: (load.number <= self._last, load.number))
        self._last = chosen.number
        return chosen
