"""AdmissionRules: optional rules that hold waiting requests back."""

from __future__ import annotations

from typing import NamedTuple

from cluster_sim.serving.reservation import Reservation
from cluster_sim.serving.scheduler.batch_wait import BatchWait


class AdmissionRules(NamedTuple):
    """Rules of one replica that hold waiting requests back in addition to the limits of a step."""

    wait: BatchWait | None = None
    """Rule by which new requests are held back; None if they are not held back."""
    reservation: Reservation | None = None
    """Rule for the blocks that an admission reserves; None if the first chunk is enough."""


NO_RULES = AdmissionRules()
"""Neither of the rules."""
