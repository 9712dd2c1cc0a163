"""State of an admission policy during one run, and its input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from cluster_sim.request import Request
from cluster_sim.serving.load import Load


class Prefill(NamedTuple):
    """Prefill speed of an idle replica."""

    delay_s: float
    """Time from the front door until the scheduler sees a request [s]."""
    tokens_per_s: float
    """Rate of prefill in full steps [tokens/s]."""


class Refusal(NamedTuple):
    """Words for a rejection: the limit that a request exceeds, and a remedy."""

    text: str
    """Limit that was exceeded, with its number."""
    remedy: str
    """Change of the scenario that lets more such requests in."""


class Gate(NamedTuple):
    """Admission policy with its state during one run."""

    reason: str
    """Reason that is recorded with each rejection."""
    refuses: Callable[[Request, float, int, Sequence[Load]], bool]
    """Function that returns whether a request is rejected, given the request, the time [s], the
    index of the replica picked for it, and the loads of all replicas."""
