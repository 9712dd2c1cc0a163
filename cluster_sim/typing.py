"""Aliases of types that several rooms share."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

Array = npt.NDArray[Any]
"""A numpy array of any kind of number."""
