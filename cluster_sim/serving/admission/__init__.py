"""Admission policies, which reject requests at the front door.

A new policy is a file in this folder and a name in the union.
"""

from typing import Annotated

from pydantic import Field

from cluster_sim.serving.admission.accept_all import AcceptAll
from cluster_sim.serving.admission.gate import Gate, Prefill, Refusal
from cluster_sim.serving.admission.predicted_ttft import PredictedTtft
from cluster_sim.serving.admission.queue_limit import QueueLimit
from cluster_sim.serving.admission.token_bucket import TokenBucket

Admission = Annotated[
    AcceptAll | QueueLimit | TokenBucket | PredictedTtft, Field(discriminator="policy")
]

__all__ = [
    "AcceptAll",
    "Admission",
    "Gate",
    "PredictedTtft",
    "Prefill",
    "QueueLimit",
    "Refusal",
    "TokenBucket",
]
