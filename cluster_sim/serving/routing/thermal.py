"""Routing by the thermal slack of replicas, as TAPAS does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy.random
from pydantic import Field

from cluster_sim.request import Request
from cluster_sim.serving.load import Load
from cluster_sim.serving.routing.picker import UNKNOWN, Picker, RoutingSetting, Slacks
from cluster_sim.serving.routing.policy import RoutingPolicy
from cluster_sim.serving.routing.stale import stale
from cluster_sim.units import Kelvin, PositiveSeconds, Seconds


class Thermal(RoutingPolicy):
    """Routing to the replica with the fewest requests per share of its thermal slack.

    A replica whose hottest device is at least `margin` below its limits has the share 1. The share
    falls in proportion to the slack, to `least` at the limits. So warm replicas get fewer requests
    before they throttle. TAPAS (Stojkovic et al., ASPLOS 2025, arXiv 2501.02600) routes to
    instances with thermal and power slack; the proportion is this project's simplification, and
    power slack is left out.
    """

    policy: Literal["thermal"] = "thermal"
    margin_kelvin: Kelvin = 3.0
    """Distance to the limits below which a replica gets fewer requests [K]. It is an estimate."""
    least: Annotated[float, Field(gt=0.0, le=1.0)] = 0.6
    """Share of the requests of a cool replica that a replica at its limits still gets. It is an
    estimate."""
    telemetry_s: PositiveSeconds = 1.0
    """Time between two readings of temperatures, in whole degrees [s]. Default: 1 s, an
    estimate."""
    staleness_s: Seconds = 0.0
    """Maximum age of the load information that the router uses [s]. Default: the information is
    always current."""

    @property
    def reads_temperatures_every_s(self) -> float:
        """Time between two readings of temperatures [s]."""
        return self.telemetry_s

    def picker(self, rng: numpy.random.Generator, setting: RoutingSetting = UNKNOWN) -> Picker:
        """Return the policy with its state for one run; it uses no random numbers."""
        slacks = setting.slacks
        assert slacks is not None
        return stale(_BySlack(self, slacks), self.staleness_s)

    def share(self, slack_kelvin: float) -> float:
        """Return the share of requests of a replica with this slack.

        >>> Thermal.model_validate({"margin": "8 K", "least": 0.25}).share(4.0)
        0.5
        """
        if self.margin_kelvin <= 0.0:
            return 1.0 if slack_kelvin > 0.0 else self.least
        return min(max(slack_kelvin / self.margin_kelvin, self.least), 1.0)


class _BySlack(Picker):
    """The policy with the temperatures of one run."""

    def __init__(self, policy: Thermal, slacks: Slacks) -> None:
        self._policy, self._slacks = policy, slacks

    def pick(self, request: Request, loads: Sequence[Load]) -> int:
        """Return the index of the replica for a request among `loads`; ties go to the first."""
        share, slack = self._policy.share, self._slacks.slack_kelvin
        used = [(load.requests + 1) / share(slack(load.number)) for load in loads]
        return used.index(min(used))
