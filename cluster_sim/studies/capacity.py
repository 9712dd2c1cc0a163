"""How much a cluster carries within the SLO, and how small a cluster carries what is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, floor, gcd, inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cluster_sim.analysis.estimate import explain
from cluster_sim.deployment.fleet import resolve
from cluster_sim.errors import ScenarioError
from cluster_sim.loading.files import ScenarioFile, open_scenarios
from cluster_sim.results.cost import planned_usd_per_hour
from cluster_sim.results.results import Results
from cluster_sim.scenario.pool import Pool
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.scenario.study_spec import Capacity
from cluster_sim.studies.grid import combinations
from cluster_sim.studies.workers import called
from cluster_sim.typing import Array

if TYPE_CHECKING:
    import pyarrow as pa

_STEP = 1.3  # by which a search goes on until it has one trial within the SLO and one beyond
_MOST_TRIALS = 15  # before a search has both


@dataclass(frozen=True)
class Trial:
    """A cluster under a load, simulated."""

    nodes: int
    """Of the pool that is counted."""
    replicas: int
    rate_per_s: float
    latencies_s: Mapping[str, float]
    """By objective (ttft, tpot, e2el; CLASS.ttft where classes have their own): the percentile that
    is judged, infinite where too few finish."""
    margins: Mapping[str, float]
    """By objective: the share of its limit that is left; negative beyond it."""
    usd_per_hour: float | None

    @property
    def good(self) -> bool:
        """All objectives are met."""
        return self.margin >= 0.0

    @property
    def margin(self) -> float:
        """The least."""
        return min(self.margins.values())

    @property
    def cost(self) -> float:
        """Dollars an hour, else nodes, for each request a second."""
        return (self.nodes if self.usd_per_hour is None else self.usd_per_hour) / self.rate_per_s


@dataclass(frozen=True)
class Option:
    """One way to build the cluster, and what was found of it."""

    values: Mapping[str, Any]
    answer: Trial | None
    """The smallest cluster, or the highest rate, within the SLO; None where there is none."""
    smaller: Trial | None
    """The next smaller cluster, or the next lower rate that was tried."""
    bigger: Trial | None
    """The next bigger cluster, or the next higher rate that was tried."""
    trials: tuple[Trial, ...]
    fault: str = ""
    """Why it is no option at all."""

    @property
    def title(self) -> str:
        """What tells it from the others."""
        return (
            ", ".join(
                f"{key.rpartition('.')[2]} {value}" if key != "variant" else str(value)
                for key, value in self.values.items()
            )
            or "as written"
        )


@dataclass(frozen=True)
class Answer:
    """What `capacity` found."""

    name: str
    rate_per_s: float | None
    """What was asked to be carried; None: the highest rate was looked for."""
    percentile: float
    options: tuple[Option, ...]

    @property
    def objectives(self) -> list[str]:
        """Names of all objectives that some trial was judged by."""
        trials = (trial for option in self.options for trial in option.trials)
        return list(dict.fromkeys(name for trial in trials for name in trial.margins))

    @property
    def counts_nodes_alike(self) -> bool:
        """Whether nodes of several kinds were compared by their number, for want of prices."""
        variants = {option.values.get("variant") for option in self.options}
        return len(variants) > 1 and not any(trial.usd_per_hour for _, trial in self.front)

    @property
    def front(self) -> list[tuple[Option, Trial]]:
        """Trials within the SLO that no other beats in cost, TTFT and TPOT at once (the Pareto
        front), the cheapest first.
        """
        good = [(option, trial) for option in self.options for trial in option.trials if trial.good]

        def of(trial: Trial) -> tuple[float, ...]:
            return trial.cost, *trial.latencies_s.values()

        kept = [
            (option, one)
            for option, one in good
            if not any(_beats(of(other), of(one)) for _, other in good)
        ]
        return sorted(kept, key=lambda pair: pair[1].cost)

    @property
    def table(self) -> pa.Table:
        """One row a trial of every option, with `answer` and `front` as marks."""
        from cluster_sim.studies.store import table

        front = [id(trial) for _, trial in self.front]
        return table(
            {
                **option.values,
                "nodes": trial.nodes,
                "replicas": trial.replicas,
                "rate_per_s": trial.rate_per_s,
                **{f"{name}_s": value for name, value in trial.latencies_s.items()},
                **{f"{name}_margin": value for name, value in trial.margins.items()},
                "usd_per_hour": trial.usd_per_hour,
                "good": trial.good,
                "answer": trial is option.answer,
                "front": id(trial) in front,
            }
            for option in self.options
            for trial in option.trials
        )


def _beats(one: Sequence[float], other: Sequence[float]) -> bool:
    return one != other and all(mine <= theirs for mine, theirs in zip(one, other, strict=True))


def capacity(
    path: str | Path,
    sets: Sequence[str] = (),
    variants: Sequence[str] = (),
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Answer:
    """What the file's `capacity` asks, for every variant and combination of its axes, each searched
    in a process of its own.

    Every trial sees the same traffic but for its rate (common random numbers), so that one that is
    larger or less loaded does better but for the chance that is left in queues. progress is told
    how many options are done, and of how many. Raises ScenarioError for faults in the file, or
    where the traffic has no rate or requests have no SLO.
    """
    file = open_scenarios(path, sets)
    asked = file.capacity or Capacity()
    axes: list[Mapping[str, Sequence[Any]]] = list(asked.axes)
    if names := list(variants) or file.variants:
        axes.insert(0, {"variant": names})
    chosen = list(combinations(axes))
    found: dict[int, Option] = {}
    for number, outcome in called(
        ((number, (searched, (file, asked, values))) for number, values in enumerate(chosen)),
        workers,
    ):
        if isinstance(outcome, Exception):
            raise outcome
        found[number] = outcome
        if progress is not None:
            progress(len(found), len(chosen))
    options = _alike([found[number] for number in sorted(found)])
    if all(option.fault for option in options):
        raise ScenarioError.at(file.place(), options[0].fault)
    return Answer(str(file.document.data.get("name")), asked.rate_per_s, asked.percentile, options)


def _alike(options: Sequence[Option]) -> tuple[Option, ...]:
    """The options with dollars only where all of them have prices: dollars and nodes cannot be
    compared.
    """
    if all(trial.usd_per_hour is not None for option in options for trial in option.trials):
        return tuple(options)
    return tuple(_unpriced(option) for option in options)


def _unpriced(option: Option) -> Option:
    bare = {id(trial): replace(trial, usd_per_hour=None) for trial in option.trials}
    answer, smaller, bigger = (
        bare.get(id(trial)) for trial in (option.answer, option.smaller, option.bigger)
    )
    return replace(
        option, answer=answer, smaller=smaller, bigger=bigger, trials=tuple(bare.values())
    )


def searched(file: ScenarioFile, asked: Capacity, values: Mapping[str, Any]) -> Option:
    """One option's answer."""
    try:
        search = _Search(file, asked, values)
    except ScenarioError as error:
        return Option(values, None, None, None, (), str(error))
    return (
        search.fewest_nodes(asked.rate_per_s)
        if asked.rate_per_s is not None
        else search.highest_rate()
    )


def tried(file: ScenarioFile, asked: Capacity, values: Mapping[str, Any], trial: Trial) -> Scenario:
    """What was simulated in a trial of the option with these values, on its first seed."""
    return _Search(file, asked, values).scenario(trial.nodes, trial.rate_per_s)


class _Search:
    """Trials of one option; each is simulated once."""

    def __init__(self, file: ScenarioFile, asked: Capacity, values: Mapping[str, Any]) -> None:
        self.file, self.asked, self.values = file, asked, values
        self.variant = str(values["variant"]) if "variant" in values else None
        self.rest = {key: value for key, value in values.items() if key != "variant"}
        self.base = file.scenario(self.variant, self.rest, where="axis")
        self.place = _pool_place(self.base, asked.pool, file)
        self.rate_key, self.mean_per_s, self.written_per_s = _rate(self.base, file)
        if not any(limits(self.base)):
            raise ScenarioError.at(
                file.place(),
                "'slo' is missing; wanted what must be met, such as slo: {ttft: 500 ms, tpot: 25 ms}",
            )
        self.known: dict[tuple[int, float], Trial] = {}

    @property
    def pool(self) -> Pool:
        return self.base.cluster.pools[self.place]

    def scenario(self, nodes: int, rate_per_s: float) -> Scenario:
        """So many nodes at this rate."""
        written = f"{self.written_per_s * rate_per_s / self.mean_per_s!r} /s"
        sizes = {f"cluster.pools[{self.place}].nodes": nodes} if nodes != self.pool.nodes else {}
        return self.file.scenario(
            self.variant, {**self.rest, **sizes, self.rate_key: written}, where="capacity"
        )

    def trial(self, nodes: int, rate_per_s: float) -> Trial:
        """The same, simulated on each seed."""
        if (nodes, rate_per_s) not in self.known:
            scenario = self.scenario(nodes, rate_per_s)
            seeds = range(scenario.seed, scenario.seed + self.asked.replications)
            latencies_s = judged(
                [scenario.model_copy(update={"seed": seed}) for seed in seeds],
                self.asked.percentile,
            )
            margins = {
                name: 1.0 - latencies_s[name] / limit_s
                for name, limit_s in named_limits(scenario).items()
            }
            prices = self.asked.usd_per_node_hour
            cost = (
                sum(prices.get(pool.name, 0.0) * pool.nodes for pool in scenario.cluster.pools)
                if prices
                else planned_usd_per_hour(scenario)
            )
            replicas = resolve(scenario).deployments[self.place].replica_count
            self.known[nodes, rate_per_s] = Trial(
                nodes, replicas, rate_per_s, latencies_s, margins, cost
            )
        return self.known[nodes, rate_per_s]

    def found(self, answer: Trial | None, smaller: Trial | None, bigger: Trial | None) -> Option:
        trials = sorted(self.known.values(), key=lambda trial: (trial.nodes, trial.rate_per_s))
        return Option(self.values, answer, smaller, bigger, tuple(trials))

    def highest_rate(self) -> Option:
        """Of the nodes that the file gives."""
        nodes, guess_per_s = (
            self.pool.nodes,
            0.8 * sum(one.requests_per_s for one in explain(self.base)),
        )
        good, bad = _bracket(
            lambda rate_per_s: self.trial(nodes, rate_per_s),
            guess_per_s,
            lambda rate: rate * _STEP,
            lambda rate: rate / _STEP**2,
        )
        while (
            good is not None
            and bad is not None
            and bad.rate_per_s > good.rate_per_s * (1 + self.asked.tolerance)
        ):
            middle = self.trial(nodes, (good.rate_per_s * bad.rate_per_s) ** 0.5)
            good, bad = (middle, bad) if middle.good else (good, middle)
        slower = max(
            (one for one in self.known.values() if good and one.rate_per_s < good.rate_per_s),
            key=lambda one: one.rate_per_s,
            default=None,
        )
        return self.found(good, slower, bad)

    def fewest_nodes(self, rate_per_s: float) -> Option:
        """That carry this rate; whole replicas on whole nodes."""
        devices = self.pool.node.devices
        needed = resolve(self.base).deployments[self.place].devices_per_replica
        unit = needed // gcd(needed, devices)
        most = self.asked.most_nodes // unit

        def at(units: int) -> Trial:
            return self.trial(units * unit, rate_per_s)

        each_per_s = explain(self.base)[self.place].requests_per_s / self.pool.nodes * unit
        guess = min(max(ceil(rate_per_s / each_per_s), 1), most)
        bad, good = _integer_bracket(at, guess, most)
        while good is not None and good - bad > 1:
            middle = (good + bad) // 2
            bad, good = (bad, middle) if at(middle).good else (middle, good)
        if good is None:
            return self.found(None, at(most), None)
        return self.found(
            at(good), at(good - 1) if good > 1 else None, at(good + 1) if good < most else None
        )


def _bracket(
    at: Callable[[float], Trial],
    guess: float,
    more: Callable[[float], float],
    less: Callable[[float], float],
) -> tuple[Trial | None, Trial | None]:
    """(a trial within the SLO, one beyond it), next to each other in the steps made; None where
    there is none.
    """
    good, bad = None, None
    for _ in range(_MOST_TRIALS):
        trial = at(guess)
        good, bad = (trial, bad) if trial.good else (good, trial)
        if good is not None and bad is not None:
            break
        guess = more(guess) if bad is None else less(guess)
    return good, bad


def _integer_bracket(at: Callable[[int], Trial], guess: int, most: int) -> tuple[int, int | None]:
    """(units that are too few, units that are enough): 0 is always too few; None where `most` is
    not enough.
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
    names = [pool.name for pool in scenario.cluster.pools]
    if name is not None and name not in names:
        raise ScenarioError.at(
            file.place(), f"capacity.pool: no pool '{name}'; known: {', '.join(names)}"
        )
    return names.index(name) if name is not None else 0


def _rate(scenario: Scenario, file: ScenarioFile) -> tuple[str, float, float]:
    """(the key that sets how much traffic comes, its mean rate [/s], what the key says [/s])."""
    arrivals = scenario.workload.arrivals
    if scenario.workload.trace is None and arrivals is not None:
        key, mean_rate_per_s = arrivals.rate_key(), arrivals.mean_rate_per_s()
        if key is not None and mean_rate_per_s is not None:
            dotted = f"workload.arrivals.{key.field.removesuffix('_per_s')}"
            return dotted, mean_rate_per_s, key.per_s
    raise ScenarioError.at(
        file.place("workload"),
        "has no rate that can be searched; wanted arrivals such as {process: poisson, rate: 5 /s}",
    )


def limits(scenario: Scenario) -> list[dict[str, float]]:
    """Objectives [s] of each class, or of all requests."""
    each = [{"ttft": slo.ttft_s, "tpot": slo.tpot_s, "e2el": slo.e2el_s} for slo in scenario.slos]
    return [{name: limit_s for name, limit_s in one.items() if limit_s is not None} for one in each]


def named_limits(scenario: Scenario) -> dict[str, float]:
    """The same under names that tell classes apart."""
    return {
        f"{prefix}{name}": limit_s
        for prefix, one in zip(_prefixes(scenario), limits(scenario), strict=True)
        for name, limit_s in one.items()
    }


def _prefixes(scenario: Scenario) -> list[str]:
    return [f"{one.name}." for one in scenario.workload.classes] or [""]


def judged(scenarios: Sequence[Scenario], percentile: float) -> dict[str, float]:
    """By objective: the percentile [s] over the requests of all runs that count, rejected and
    unfinished ones endless.
    """
    from cluster_sim.sim.simulate import simulate

    runs = [simulate(scenario) for scenario in scenarios]
    found = {}
    for prefix, of_class in zip(_prefixes(scenarios[0]), limits(scenarios[0]), strict=True):
        for name in of_class:
            values_s = np.concatenate(
                [_latencies_s(results, name, prefix.removesuffix(".")) for results in runs]
            )
            found[f"{prefix}{name}"] = _percentile(values_s, percentile)
    return found


def _latencies_s(results: Results, name: str, class_: str) -> Array:
    """Of one objective, of each request that counts; those that make one token have no time per
    output token.
    """
    table = results.requests
    arrival_s, first_s, finish_s, tokens = (
        table[column].to_numpy()
        for column in ("arrival_s", "first_token_s", "finish_s", "output_tokens")
    )
    mine = table["counted"].to_numpy() & ((table["class"].to_numpy() == class_) if class_ else True)
    if name == "tpot":
        mine &= tokens > 1
    values_s = {
        "ttft": first_s - arrival_s,
        "tpot": (finish_s - first_s) / np.maximum(tokens - 1, 1),
        "e2el": finish_s - arrival_s,
    }[name]
    endless: Array = np.where(table["status"].to_numpy() == "finished", values_s, inf)[mine]
    return endless


def _percentile(values_s: Array, percentile: float) -> float:
    """Linear, as numpy's; infinite as soon as an endless value has a part in it, and where there is
    no value.
    """
    if not len(values_s):
        return inf
    ordered, position = np.sort(values_s), percentile / 100 * (len(values_s) - 1)
    below, above = float(ordered[floor(position)]), float(ordered[ceil(position)])
    return below if below == above else below + (above - below) * (position - floor(position))
