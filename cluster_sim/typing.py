"""Type aliases that several rooms share."""

from __future__ import annotations

from typing import Annotated, Any

import numpy.typing as npt
from pydantic import Field

Array = npt.NDArray[Any]
"""A numpy array of numbers."""

Number = Any
"""An int, a float, or an array of them: physics is arithmetic on either."""

Line = tuple[Number, Number]
"""A quantity that grows by the same amount from step to step: (first, slope)."""

Count = Annotated[int, Field(gt=0)]
"""A whole number above 0, in a description."""

Share = Annotated[float, Field(gt=0.0, le=1.0)]
"""A share above 0 and at most 1, in a description."""
