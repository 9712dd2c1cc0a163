"""Type aliases that several rooms share."""

from __future__ import annotations

from typing import Annotated, Any

import numpy.typing as npt
from pydantic import Field

from cluster_sim.limits import CLIENTS, COUNT, DEVICES, MAX_SIGMA, NODE_PLACES, REQUESTS

Array = npt.NDArray[Any]
"""A numpy array of numbers."""

Number = Any
"""An int, a float, or an array of them. Physics is arithmetic on any of these."""

Line = tuple[Number, Number]
"""A quantity that grows by the same amount from step to step: (first, slope)."""

Count = Annotated[int, Field(gt=0), COUNT]
"""A whole number above 0, in a description."""

CountOrZero = Annotated[int, Field(ge=0), COUNT]
"""A whole number from 0 on, in a description."""

ClusterCount = Annotated[int, Field(gt=0), DEVICES]
"""A number above 0 of devices of a cluster, or of units that consist of devices, in a
description."""

NodeCount = Annotated[int, Field(gt=0), NODE_PLACES]
"""A number above 0 of devices or other link ends of one node, in a description."""

RequestCount = Annotated[int, Field(gt=0), REQUESTS]
"""A number above 0 of requests of a run, in a description."""

ClientCount = Annotated[int, Field(gt=0), CLIENTS]
"""A number above 0 of concurrent clients or sessions, in a description."""

Sigma = Annotated[float, Field(ge=0.0, le=MAX_SIGMA)]
"""A standard deviation of a logarithm, in a description."""

Share = Annotated[float, Field(gt=0.0, le=1.0)]
"""A share above 0 and at most 1, in a description."""
