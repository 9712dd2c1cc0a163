"""Scaler: the rule of a pool with its memory; it has no clock of its own."""

from __future__ import annotations

from cluster_sim.serving.autoscaling.description import Autoscale
from cluster_sim.serving.autoscaling.limits import Change
from cluster_sim.serving.autoscaling.pool_load import PoolLoad
from cluster_sim.serving.autoscaling.rule import advised_replicas
from cluster_sim.serving.autoscaling.window import AT_S, AdviceWindow


class Scaler:
    """Rule of one pool with its memory. The caller passes the time.

    Advice of the rule is stabilised, then limited by policies, then by minimum and maximum, as in
    Kubernetes 1.33, `pkg/controller/podautoscaler/horizontal.go`
    (`normalizeDesiredReplicasWithBehaviors`). The way to and from zero is that of KEDA 2.17: a pool
    of zero replicas starts as soon as it is active, and is switched off `cooldown` after it was
    last active.
    """

    def __init__(self, spec: Autoscale) -> None:
        self._spec = spec
        self._lowest = AdviceWindow(spec.stabilisation_up_s, min)
        self._highest = AdviceWindow(spec.stabilisation_s, max)
        self._has_advice = False
        self._changes: list[Change] = []
        self._active_s = 0.0
        self._kept_s = max(spec.up.longest_period_s, spec.down.longest_period_s)

    def desired(self, now_s: float, current: int, load: PoolLoad) -> int:
        """Return the number of replicas that the pool should have from now on.

        Parameters
        ----------
        now_s
            Present time [s].
        current
            Present number of replicas, those that start or load weights included.
        load
            Load of the pool.
        """
        desired = self._limited(now_s, current, load)
        if desired != current:
            self._changes.append(Change(now_s, desired - current))
        return desired

    def _limited(self, now_s: float, current: int, load: PoolLoad) -> int:
        spec = self._spec
        least = spec.least_at(now_s)
        if is_active := load.inside > spec.activation:
            self._active_s = now_s
        if not current:
            return max(least, int(is_active))
        if not (least or is_active) and now_s >= self._active_s + spec.cooldown_s - AT_S:
            return 0
        least = max(least, 1)
        if current > spec.max or current < least:
            return min(max(current, least), spec.max)
        readings = spec.readings(load)
        advice = advised_replicas(readings, spec.target_value, spec.tolerance, current)
        stable = self._stabilised(now_s, current, advice)
        if stable > current:
            stable = min(stable, spec.up.most(current, self._changes, now_s))
        elif stable < current:
            stable = max(stable, spec.down.least(current, self._changes, now_s))
        return min(max(stable, least), spec.max)

    def _stabilised(self, now_s: float, current: int, advice: int) -> int:
        """Return the advice within the stabilisation windows, and remember it.

        The first advice is the number of replicas that the pool begins with.
        """
        if not self._has_advice:
            self._has_advice = True
            self._remember(now_s, current)
        self._remember(now_s, advice)
        self._changes = [
            change for change in self._changes if change.at_s >= now_s - self._kept_s - AT_S
        ]
        up = self._lowest.extreme_at(now_s, advice)
        down = self._highest.extreme_at(now_s, advice)
        return min(max(current, min(up, advice)), max(down, advice))

    def _remember(self, now_s: float, replicas: int) -> None:
        for window in (self._lowest, self._highest):
            window.add(now_s, replicas)
