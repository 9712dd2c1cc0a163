"""An admission policy at work in one run, and what it sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from cluster_sim.request import Request
from cluster_sim.serving.load import Load


class Prefill(NamedTuple):
    """How soon a replica that has nothing else to do reads a prompt."""

    way_s: float
    """From the front door until its scheduler sees a request."""
    tokens_per_s: float
    """Prompt tokens a second, step by full step."""


class Gate(NamedTuple):
    """What a policy does, with whatever it keeps in mind during one run."""

    reason: str
    """Stands beside each refusal."""
    refuses: Callable[[Request, float, int, Sequence[Load]], bool]
    """Of a request, the time [s], the replica that was picked for it, and all replicas: whether it
    is turned away."""
