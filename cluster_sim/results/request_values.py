"""Attributes of all requests as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from cluster_sim.request import Request
from cluster_sim.typing import Array


def request_values(requests: Sequence[Request], name: str, kind: Any = float) -> Array:
    """Return one attribute of all requests.

    NOTE: `fromiter` takes half the time of an array of a list, 3 % of a short run.
    """
    return np.fromiter(map(attrgetter(name), requests), dtype=kind, count=len(requests))
