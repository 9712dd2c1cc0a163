"""Rule of the horizontal pod autoscaler: the number of replicas that a metric asks for."""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

_ROUNDING = 1e-9
"""Distance from a whole number, or from the tolerance, that counts as rounding."""


class Readings(NamedTuple):
    """Values of a metric of one pool at one time."""

    values: tuple[float, ...]
    """Value of each replica whose value is known."""
    unready: int = 0
    """Number of replicas that start or load their weights."""
    missing: int = 0
    """Number of ready replicas whose value is unknown."""
    beside: float = 0.0
    """Value that belongs to no replica: requests that wait for one."""


def advised_replicas(readings: Readings, target: float, tolerance: float, current: int) -> int:
    """Return the number of replicas that the readings ask for, before all limits.

    It is ceil(current x metric / target). Nothing changes within the tolerance. Replicas without a
    value count as 0 if the pool grows, and as the target if it shrinks; replicas that are not ready
    count as 0 if the pool grows, and are ignored otherwise. Nothing changes if these assumptions
    turn the direction.

    Parameters
    ----------
    readings
        Values of the metric.
    target
        Value per replica that is aimed at, in the metric's unit.
    tolerance
        Share by which the mean value may differ from the target without a change.
    current
        Present number of replicas, those that are not ready included.

    Notes
    -----
    Source: Kubernetes 1.33, `pkg/controller/podautoscaler/replica_calculator.go`
    (`calcPlainMetricReplicas`) and "Horizontal Pod Autoscaling", section "Algorithm details".
    Requests that wait for a replica are added to the sum, as KEDA's Prometheus scaler sums a
    metric.

    Examples
    --------
    Four replicas with 10 waiting requests each and a target of 5 become eight.

    >>> advised_replicas(Readings((10.0,) * 4), target=5.0, tolerance=0.1, current=4)
    8
    """
    known, total = len(readings.values), sum(readings.values) + readings.beside
    if not known:
        return max(current, ceil(total / target - _ROUNDING))
    ratio = total / (target * known)
    grows, counted = ratio > 1.0, known + readings.missing
    if grows:
        counted += readings.unready
    else:
        total += readings.missing * target
    adjusted = total / (target * counted)
    if abs(1.0 - adjusted) <= tolerance + _ROUNDING or (adjusted > 1.0) != grows:
        return current
    advice = ceil(total / target - _ROUNDING)
    return max(advice, current) if grows else min(advice, current)
