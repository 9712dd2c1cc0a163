"""Times at which the inlet of a pool's nodes leaves the range for which their maker rates them."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import NamedTuple

from cluster_sim.deployment.climate import Climate, climates_of
from cluster_sim.deployment.idle_heat import idle_heat_warnings
from cluster_sim.hardware.power_and_cooling import InletRating
from cluster_sim.scenario.pool import Pool
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.units import duration_text

_DAY_S = 86400.0


class Excursion(NamedTuple):
    """Time that some nodes of a pool spend outside their rated range of inlet temperatures."""

    pool: Pool
    worst_c: float
    """Inlet temperature that is farthest outside the range [degC]."""
    from_s: float
    """First time outside the range [s]."""
    until_s: float
    """Last time outside the range [s]."""
    outside_s: float
    """Sum of the times outside the range [s]."""
    horizon_s: float
    """Time up to which the inlet was examined [s]."""

    @property
    def distance_kelvin(self) -> float:
        """Greatest distance to the range [K]."""
        rating = _rating(self.pool)
        return max(self.worst_c - rating.most_c, rating.least_c - self.worst_c)

    @property
    def amount(self) -> str:
        """Distance to the range, such as `5 K above`."""
        side = "above" if self.worst_c > _rating(self.pool).most_c else "below"
        return f"{self.distance_kelvin:.3g} K {side}"

    @property
    def when(self) -> str:
        """Time outside the range, such as `60 s to 5 min`."""
        if self.from_s <= 0.0 and self.outside_s >= self.horizon_s:
            return "all the time"
        first, last = (duration_text(round(at_s)) for at_s in (self.from_s, self.until_s))
        if self.outside_s < self.until_s - self.from_s:
            return f"{duration_text(round(self.outside_s))} in all between {first} and {last}"
        return f"{first} to {last}"

    def sentence(self) -> str:
        """Return a warning."""
        rating = _rating(self.pool)
        limit_c = rating.most_c if self.worst_c > rating.most_c else rating.least_c
        return (
            f"pool {self.pool.name}: the inlet reaches {self.worst_c:.3g} degC, {self.amount} the {limit_c:g} degC that {self.pool.node.name} is rated for "
            f"({self.when}); results there are outside of what the machine is built for"
        )


def _rating(pool: Pool) -> InletRating:
    assert pool.node.inlet_rating is not None
    return pool.node.inlet_rating


def excursion(scenario: Scenario, pool: Pool) -> Excursion | None:
    """Return when the nodes of a pool leave their rating; None if they never do.

    Nodes with different events count as one: the worst temperature and all times are those of the
    node that is farthest outside. The result is None too if no inlet or no rating is given.

    Parameters
    ----------
    scenario
        Scenario with the pool.
    pool
        Pool of the scenario.
    """
    site = scenario.site
    if site is None or site.inlet_c is None or pool.node.inlet_rating is None:
        return None
    horizon_s = _horizon_s(scenario)
    found = (_outside(pool, climate, horizon_s) for climate in climates_of(scenario, pool))
    return max(
        (each for each in found if each is not None),
        key=lambda each: (each.distance_kelvin, each.outside_s),
        default=None,
    )


def rating_warnings(scenario: Scenario) -> Iterator[str]:
    """Yield a warning for each pool whose inlet leaves its rating, or whose rating is unknown.

    Pools whose idle devices would become too hot have a warning too.
    """
    if scenario.site is None or scenario.site.inlet_c is None:
        return
    for pool in scenario.cluster.pools:
        if pool.node.inlet_rating is None:
            if pool.node.cooling is not None:
                yield f"pool {pool.name}: the range of inlet temperatures that {pool.node.name} is rated for is not known"
        elif (outside := excursion(scenario, pool)) is not None:
            yield outside.sentence()
    yield from idle_heat_warnings(scenario)


def rating_text(scenario: Scenario) -> str:
    """Return whether the inlets of a scenario stay within the ratings of its nodes, in few words.

    Examples are `within`, `not known` and `5 K above, all the time`.
    """
    if scenario.site is None or scenario.site.inlet_c is None:
        return "-"
    texts = []
    for pool in scenario.cluster.pools:
        if pool.node.inlet_rating is None:
            texts.append("not known")
        elif (outside := excursion(scenario, pool)) is None:
            texts.append("within")
        else:
            texts.append(f"{outside.amount}, {outside.when}")
    return "; ".join(dict.fromkeys(texts))


def _horizon_s(scenario: Scenario) -> float:
    """Return the time up to which a run may last [s]; a day after the last event if it is open."""
    if scenario.duration_s is not None:
        return scenario.duration_s + scenario.drain_s
    events = () if scenario.site is None else scenario.site.events
    ends_s = [end_s for event in events for end_s in (event.at_s, event.end_s) if end_s < inf]
    points = scenario.site.inlet_c.points if scenario.site and scenario.site.inlet_c else None
    return max([*ends_s, *(at_s for at_s, _ in points or ())], default=0.0) + _DAY_S


def _outside(pool: Pool, climate: Climate, horizon_s: float) -> Excursion | None:
    """Return when a climate leaves the rating of a pool's nodes; None if it never does."""
    rating = _rating(pool)
    pieces: list[tuple[float, float, float]] = []
    at_s = 0.0
    while at_s < horizon_s:
        until_s = min(climate.next_change_s(at_s), horizon_s)
        inlet_c = climate.conditions(at_s).supply_c
        if not rating.least_c <= inlet_c <= rating.most_c:
            pieces.append((at_s, until_s, inlet_c))
        at_s = until_s
    if not pieces:
        return None
    worst_c = max(
        (inlet_c for _, _, inlet_c in pieces),
        key=lambda inlet_c: max(inlet_c - rating.most_c, rating.least_c - inlet_c),
    )
    outside_s = sum(until_s - from_s for from_s, until_s, _ in pieces)
    return Excursion(pool, worst_c, pieces[0][0], pieces[-1][1], outside_s, horizon_s)
