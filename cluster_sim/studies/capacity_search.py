"""Search for the highest rate of a cluster, or for the smallest cluster that carries a rate."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from math import ceil, gcd, inf, isclose
from typing import Any, NamedTuple

from cluster_sim.analysis.estimate import explain
from cluster_sim.analysis.offered_rate import at_offered_rate, offered_per_s, rates_text
from cluster_sim.deployment.deployment import Deployment
from cluster_sim.deployment.fleet import resolve
from cluster_sim.errors import ScenarioError, SimulationError
from cluster_sim.loading.files import ScenarioFile
from cluster_sim.results.cost import planned_usd_per_hour
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.scenario.study_spec import Capacity
from cluster_sim.sim.limits import NO_LIMITS, RunLimits
from cluster_sim.studies.capacity_answer import Option, Trial
from cluster_sim.studies.objectives import judged, objectives
from cluster_sim.studies.runner import reseeded

_STEP = 1.3  # factor between rates until one trial meets the SLO and one misses it
_MOST_TRIALS = 15  # maximum number of trials before both exist
_CLEARLY = 1.01  # factor from which on a mean rate is higher than a base rate
_GUESS = 0.8  # first rate of a search, as a share of the highest rate by arithmetic


class _Outcome(NamedTuple):
    """Outcome of the simulation of a cluster under a load."""

    latencies_s: dict[str, float]
    """Latency at the judged percentile [s], by objective."""
    margins: dict[str, float]
    """Limit minus value, as a share of the limit, by objective."""
    nodes_on: Mapping[str, float]
    """Mean number of nodes that were on, by name of the pool; empty if the simulation failed."""
    fault: str = ""
    """Reason of the failure."""


def needs_rate(scenario: Scenario, file: ScenarioFile) -> None:
    """Raise ScenarioError unless the traffic of a scenario has a rate that can be scaled."""
    if scenario.workload.trace is not None:
        raise ScenarioError.at(
            file.place("workload"),
            "replays a trace, which has a fixed rate; sweep over its speed instead, such as sweep: {axes: [{workload.trace.speedup: [1, 1.5, 2]}]}",
        )
    if not offered_per_s(scenario):
        raise ScenarioError.at(
            file.place("workload"),
            "got arrivals without a rate; expected arrivals such as {process: poisson, rate: 5 /s}",
        )


class Search:
    """Search among trials of one option; each trial is simulated once."""

    def __init__(
        self,
        file: ScenarioFile,
        asked: Capacity,
        values: Mapping[str, Any],
        limits: RunLimits = NO_LIMITS,
    ) -> None:
        self.file, self.asked, self.values, self.limits = file, asked, values, limits
        self.variant = str(values["variant"]) if "variant" in values else None
        self.overrides = {key: value for key, value in values.items() if key != "variant"}
        self.base = file.scenario(self.variant, self.overrides, where="axis")
        self.place = _pool_place(self.base, asked.pool, file)
        needs_rate(self.base, file)
        self.objectives = objectives(self.base, asked)
        if not self.objectives:
            raise ScenarioError.at(
                file.place(),
                "'slo' is missing; expected the objectives, such as slo: {ttft: 500 ms, tpot: 25 ms}",
            )
        self.trials: dict[tuple[int, float], Trial] = {}

    @property
    def deployment(self) -> Deployment:
        """Deployment whose nodes are counted, as written in the file."""
        return resolve(self.base).deployments[self.place]

    @property
    def nodes(self) -> int:
        """Number of nodes of the counted pool, as written in the file."""
        return self.base.cluster.pools[self.place].nodes

    def scenario(self, nodes: int, rate_per_s: float) -> Scenario:
        """Return the scenario with this number of nodes and this mean rate of traffic [1/s]."""
        changes: dict[str, Any] = dict(self.overrides)
        at = f"cluster.pools[{self.place}]"
        if nodes != self.nodes:
            changes[f"{at}.nodes"] = nodes
        scaling = self.base.cluster.pools[self.place].autoscale
        if scaling is not None and self.asked.rate_per_s is not None:
            held = nodes * self.deployment.node.devices // self.deployment.devices_per_replica
            changes |= {
                f"{at}.autoscale.{key}": value for key, value in scaling.up_to(held).items()
            }
        scenario = self.file.scenario(self.variant, changes, where="capacity")
        return at_offered_rate(scenario, rate_per_s)

    def trial(self, nodes: int, rate_per_s: float) -> Trial:
        """Return the trial of this number of nodes at this rate [1/s], simulated on each seed."""
        if (nodes, rate_per_s) not in self.trials:
            scenario = self.scenario(nodes, rate_per_s)
            latencies_s, margins, nodes_on, fault = self._judged(scenario)
            replicas = resolve(scenario).deployments[self.place].replica_count
            usd_per_hour = self._usd_per_hour(scenario, nodes_on)
            self.trials[nodes, rate_per_s] = Trial(
                nodes, replicas, rate_per_s, latencies_s, margins, usd_per_hour, fault
            )
        return self.trials[nodes, rate_per_s]

    def _judged(self, scenario: Scenario) -> _Outcome:
        """Return what the simulation of a cluster gives; a failed one has a reason.

        Raises
        ------
        ScenarioError
            The input is at fault.
        """
        seeds = [reseeded(scenario, number) for number in range(self.asked.replications)]
        try:
            verdict, nodes_on = judged(seeds, self.objectives, self.limits)
        except ScenarioError:
            raise
        except Exception as error:  # a failure of one trial does not end the search
            names = [objective.name for objective in self.objectives]
            kind = "" if isinstance(error, SimulationError) else f"{type(error).__name__}: "
            missed = dict.fromkeys(names, inf), dict.fromkeys(names, -inf)
            return _Outcome(*missed, {}, f"{kind}{error}")
        latencies_s = {each.objective.name: each.value_s for each in verdict.outcomes}
        margins = {each.objective.name: each.margin for each in verdict.outcomes}
        return _Outcome(latencies_s, margins, nodes_on)

    def _usd_per_hour(self, scenario: Scenario, nodes_on: Mapping[str, float]) -> float | None:
        """Return the cost of a cluster [USD/h], at the prices of the search or of its pools.

        A pool that is scaled costs the mean over the run.
        """
        scaled = {
            pool.name: nodes_on[pool.name]
            for pool in scenario.cluster.pools
            if pool.autoscale is not None and pool.name in nodes_on
        }
        prices = self.asked.usd_per_node_hour
        if not prices:
            return planned_usd_per_hour(scenario, nodes_on=scaled)
        return sum(
            prices.get(pool.name, 0.0) * scaled.get(pool.name, pool.nodes)
            for pool in scenario.cluster.pools
        )

    def _option(self, answer: Trial | None, smaller: Trial | None, bigger: Trial | None) -> Option:
        trials = sorted(self.trials.values(), key=lambda trial: (trial.nodes, trial.rate_per_s))
        option = Option(
            self.values, answer, smaller, bigger, tuple(trials), objectives=self.objectives
        )
        rates = None if answer is None else rates_text(self.base, answer.rate_per_s)
        return replace(option, rates=rates, notes=tuple(self._notes()))

    def _notes(self) -> Iterator[str]:
        """Yield a sentence if the rate of the search is the base rate of a higher mean rate."""
        rate_per_s, mean_per_s = self.asked.rate_per_s, offered_per_s(self.base)
        arrivals = self.base.workload.arrivals
        base_per_s = None if arrivals is None else arrivals.base_rate_per_s()
        if rate_per_s is None or base_per_s is None or mean_per_s is None:
            return
        if isclose(rate_per_s, base_per_s) and mean_per_s > _CLEARLY * base_per_s:
            yield (
                f"capacity.rate is a mean rate that includes bursts; got {rate_per_s:.4g} /s, the value of workload.arrivals.rate, which "
                f"excludes them. The traffic of the file has a mean of {mean_per_s:.4g} /s and is scaled down; "
                f"set capacity.rate to '{mean_per_s:.4g} /s' for the traffic as written"
            )

    def highest_rate(self) -> Option:
        """Return the option with the highest rate of the nodes that the file gives."""
        nodes = self.nodes
        guess_per_s = _GUESS * sum(pool.requests_per_s for pool in explain(self.base))
        good, bad = _bracket(lambda rate_per_s: self.trial(nodes, rate_per_s), guess_per_s)
        while (
            good is not None
            and bad is not None
            and bad.rate_per_s > good.rate_per_s * (1 + self.asked.tolerance)
        ):
            middle = self.trial(nodes, (good.rate_per_s * bad.rate_per_s) ** 0.5)
            good, bad = (middle, bad) if middle.good else (good, middle)
        slower = max(
            (
                trial
                for trial in self.trials.values()
                if good and trial.rate_per_s < good.rate_per_s
            ),
            key=lambda trial: trial.rate_per_s,
            default=None,
        )
        return self._option(good, slower, bad)

    def fewest_nodes(self, rate_per_s: float) -> Option:
        """Return the option with the fewest nodes that carry a rate [1/s].

        Nodes and replicas are whole numbers.
        """
        needed = self.deployment.devices_per_replica
        unit = needed // gcd(needed, self.deployment.node.devices)
        most = self.asked.max_nodes // unit

        def at(units: int) -> Trial:
            return self.trial(units * unit, rate_per_s)

        each_per_s = explain(self.base)[self.place].requests_per_s / self.nodes * unit
        guess = min(max(ceil(rate_per_s / each_per_s), 1), most)
        bad, good = _integer_bracket(at, guess, most)
        while good is not None and good - bad > 1:
            middle = (good + bad) // 2
            bad, good = (bad, middle) if at(middle).good else (middle, good)
        if good is None:
            return self._option(None, at(most), None)
        smaller = at(good - 1) if good > 1 else None
        return self._option(at(good), smaller, at(good + 1) if good < most else None)


def _bracket(at: Callable[[float], Trial], rate_per_s: float) -> tuple[Trial | None, Trial | None]:
    """Return a trial that meets the SLO and one that misses it, one step apart.

    Parameters
    ----------
    at
        Function that returns the trial at a rate [1/s].
        rate_per_s
        Rate [1/s] at which the search begins.

    Returns
    -------
    tuple[Trial | None, Trial | None]
        Trial that meets the SLO and trial that misses it; None for one that was not found.
    """
    good, bad = None, None
    for _ in range(_MOST_TRIALS):
        trial = at(rate_per_s)
        good, bad = (trial, bad) if trial.good else (good, trial)
        if good is not None and bad is not None:
            break
        rate_per_s = rate_per_s * _STEP if bad is None else rate_per_s / _STEP**2
    return good, bad


def _integer_bracket(at: Callable[[int], Trial], guess: int, most: int) -> tuple[int, int | None]:
    """Return a number of units that is too small and one that is enough, in steps from `guess`.

    0 units are always too few. The second number is None if even `most` units are not enough.
    """
    bad, good = 0, None
    while good is None or (good - bad > 1 and bad == 0):
        if at(guess).good:
            good = guess
            guess = max(int(guess / _STEP), 1) if guess > 1 else 0
        else:
            bad = guess
            if guess == most:
                break
            guess = min(max(ceil(guess * _STEP), guess + 1), most)
        if guess == 0:
            break
    return bad, good


def _pool_place(scenario: Scenario, name: str | None, file: ScenarioFile) -> int:
    """Return the index of the counted pool; the first pool by default."""
    names = [pool.name for pool in scenario.cluster.pools]
    if name is not None and name not in names:
        raise ScenarioError.at(
            file.place(),
            f"capacity.pool: got '{name}'; expected {'one of ' if len(names) > 1 else ''}{', '.join(names)}",
        )
    return names.index(name) if name is not None else 0
