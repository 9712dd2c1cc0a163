"""Description of the autoscaling of a pool, apart from its metric."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from cluster_sim.limits import DEVICES
from cluster_sim.schema import Description
from cluster_sim.serving.autoscaling.limits import ScalingLimits, ScalingPolicy
from cluster_sim.serving.autoscaling.pool_load import PoolLoad
from cluster_sim.serving.autoscaling.rule import Readings
from cluster_sim.serving.autoscaling.schedule import ScheduledMinimum
from cluster_sim.typing import ClusterCount
from cluster_sim.units import PositiveSeconds, Seconds

ReplicasOrZero = Annotated[int, Field(ge=0), DEVICES]
"""A number from 0 on of replicas, in a description."""

_UP = ScalingLimits(policies=(ScalingPolicy(percent=100.0), ScalingPolicy(replicas=4)))
_DOWN = ScalingLimits(policies=(ScalingPolicy(percent=100.0),))


class Autoscale(Description):
    """Autoscaling of a pool by the rule of Kubernetes' horizontal pod autoscaler.

    Defaults are those of Kubernetes 1.33 (`HPAScalingRules` of autoscaling/v2, and the flags of
    kube-controller-manager), and of KEDA 2.17 for the way to and from zero. `provision` is an
    estimate: a GPU node is ready 2 to 8 minutes after it was requested.
    """

    reads_first_tokens: ClassVar[bool] = False
    """Whether the metric is read from the first tokens of requests."""

    min: ReplicasOrZero = 1
    """Minimum number of replicas. With 0 the pool is switched off when it has no requests."""
    max: ClusterCount
    """Maximum number of replicas. The nodes of the pool must hold them."""
    initial: ReplicasOrZero | None = None
    """Number of replicas at time zero. Default: `min`."""
    period_s: PositiveSeconds = 15.0
    """Time between two evaluations of the rule [s]."""
    tolerance: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    """Share by which the metric may differ from the target without a change."""
    stabilisation_s: Seconds = 300.0
    """Stabilisation window on the way down [s]. The pool keeps the highest number of replicas that
    the rule has asked for in this time."""
    stabilisation_up_s: Seconds = 0.0
    """Stabilisation window on the way up [s]. The pool grows to the lowest number of replicas that
    the rule has asked for in this time."""
    up: ScalingLimits = _UP
    """Limits on the way up. Default: 100 % or 4 replicas per 15 s, whichever is more."""
    down: ScalingLimits = _DOWN
    """Limits on the way down. Default: 100 % per 15 s."""
    readiness_delay_s: Seconds = 30.0
    """Time after a replica has become ready in which its metric is not used [s]. The replica then
    counts as 0 on the way up, and as the target on the way down."""
    provision_s: Seconds = 240.0
    """Time from the decision to add a replica until its nodes are up and load weights [s]. It is 0
    if other replicas of the pool use these nodes already."""
    drain: bool = True
    """Whether a replica that is removed first finishes its requests. Otherwise they are lost, and
    the router sends them to other replicas."""
    warm_pool: ReplicasOrZero = 0
    """Number of replicas beyond the ones that are wanted whose nodes are on, with the weights in
    the host's memory. They become ready without `provision`, and cost as much as others."""
    schedule: tuple[ScheduledMinimum, ...] = ()
    """Minimum number of replicas at certain times of the day, such as `[{from: 8 h, to: 20 h, min:
    4}]`. Default: `min` at any time."""
    activation: Annotated[float, Field(ge=0.0)] = 0.0
    """Number of requests of the pool, waiting or running, above which it is not switched off."""
    cooldown_s: Seconds = 300.0
    """Time without more requests than `activation` after which a pool with a `min` of 0 is switched
    off [s]."""

    @model_validator(mode="after")
    def _has_its_numbers_in_order(self) -> Autoscale:
        if self.min > self.max:
            raise ValueError(f"min: got {self.min}; expected at most max of {self.max}")
        if self.initial is not None and not self.min <= self.initial <= self.max:
            raise ValueError(
                f"initial: got {self.initial}; expected from min to max, {self.min} to {self.max}"
            )
        for part in self.schedule:
            if part.min > self.max:
                raise ValueError(f"schedule: got min of {part.min}; expected at most {self.max}")
        return self

    @property
    def begins_with(self) -> int:
        """Number of replicas at time zero."""
        first = self.min if self.initial is None else self.initial
        return max(first, self.least_at(0.0))

    def up_to(self, most: int) -> dict[str, int]:
        """Return the keys to change, with their values, so that the maximum is `most` replicas."""
        changes = {"max": most}
        if self.min > most:
            changes["min"] = most
        if self.initial is not None and self.initial > most:
            changes["initial"] = most
        return changes

    def least_at(self, time_s: float) -> int:
        """Return the minimum number of replicas at `time_s`."""
        scheduled = (part.min for part in self.schedule if part.holds(time_s))
        return max(self.min, *scheduled, 0)

    def unreachable(self, batch_slots: int) -> str | None:
        """Return why the metric never reaches the target, if it does not.

        Parameters
        ----------
        batch_slots
            Number of batch slots of a replica.
        """
        return None

    @property
    def sizes(self) -> str:
        """Numbers of replicas between which the pool is scaled, as text, such as `1 to 6`."""
        return f"{self.min} to {self.max}"

    @property
    @abstractmethod
    def aim(self) -> str:
        """Metric and target, as text, such as `5 waiting requests per replica`."""

    @property
    @abstractmethod
    def target_value(self) -> float:
        """Value of the metric per replica that is aimed at, in the metric's unit."""

    @abstractmethod
    def readings(self, load: PoolLoad) -> Readings:
        """Return the values of the metric under a load of the pool."""
