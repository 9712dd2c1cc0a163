"""Frequency policies, which lock the clock of the devices of a pool.

A new policy is a file in this folder and a name in the union. It sees a replica as an
ObservedReplica and knows its profile: times and power of its steps at each clock.
"""

from typing import Annotated

from pydantic import Field

from cluster_sim.serving.frequency.by_phase import ByPhase
from cluster_sim.serving.frequency.dynamo_llm import DynamoLlm
from cluster_sim.serving.frequency.fixed import Fixed
from cluster_sim.serving.frequency.observed import (
    ClockProfile,
    Decoding,
    Known,
    Objectives,
    ObservedReplica,
    Remaining,
)
from cluster_sim.serving.frequency.policy import Clocked, Decider, FrequencyPolicy
from cluster_sim.serving.frequency.throttll_em import ThrottllEm

Frequency = Annotated[Fixed | ByPhase | DynamoLlm | ThrottllEm, Field(discriminator="policy")]

__all__ = [
    "ByPhase",
    "ClockProfile",
    "Clocked",
    "Decider",
    "Decoding",
    "DynamoLlm",
    "Fixed",
    "Frequency",
    "FrequencyPolicy",
    "Known",
    "Objectives",
    "ObservedReplica",
    "Remaining",
    "ThrottllEm",
]
