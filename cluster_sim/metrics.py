"""Latency, throughput and utilisation: functions of Results. Percentiles are linear, as numpy's and vLLM's are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cluster_sim import bandwidth, costs, energy
from cluster_sim.physics.wafer import WaferSteps
from cluster_sim.sampling import of_whole

if TYPE_CHECKING:
    import pyarrow as pa

    from cluster_sim.results import Results

Array = npt.NDArray[Any]

_BRACKETS = 128
"""Limits between which order statistics are looked for."""


@dataclass(frozen=True)
class Finished:
    """Columns of the finished requests that count: outside the warm-up, and of one pool or class if one is named."""

    arrival_s: Array
    admitted_s: Array
    first_token_s: Array
    finish_s: Array
    prompt_tokens: Array
    output_tokens: Array
    prefix_hit_tokens: Array
    fetched_tokens: Array
    hand_over_wait_s: Array
    """From the first token until a replica that decodes has room; NaN where nothing is handed over."""
    kv_transfer_s: Array
    """From then until its KV is there: what of the transfer was not hidden behind the reading of the prompt."""
    class_number: Array
    """Place among the workload's classes; 0 where there are none."""
    bus_s: Array
    """Of its latency, what its steps took longer because others used the memories of its replicas."""
    link_s: Array
    """The same of the links of its collectives."""
    kv_contention_s: Array
    """What its transfer took longer because others used the links on its way."""
    reasoning_tokens: Array | None = None
    first_output_token_s: Array | None = None
    """When the first token after them was seen; both None where the scenario does not say what is reasoning."""

    @property
    def ttft_s(self) -> Array:
        """Time to first token, from arrival at the front door until the token is back there."""
        return self.first_token_s - self.arrival_s

    @property
    def ttfo_s(self) -> Array | None:
        """Time to first output token, the first after reasoning, as AIPerf has it."""
        return None if self.first_output_token_s is None else self.first_output_token_s - self.arrival_s

    @property
    def e2el_s(self) -> Array:
        """End-to-end latency."""
        return self.finish_s - self.arrival_s

    @property
    def queue_s(self) -> Array:
        """From arrival until the first step that works on it."""
        return self.admitted_s - self.arrival_s

    @property
    def compute_s(self) -> Array:
        """What is left of its latency without queueing, moving its KV and contention: steps as they are alone, and the network's latency."""
        moving_s = np.nan_to_num(self.hand_over_wait_s) + np.nan_to_num(self.kv_transfer_s)
        seconds: Array = self.e2el_s - self.queue_s - moving_s - self.bus_s - self.link_s
        return seconds

    @property
    def tpot_s(self) -> Array:
        """Time per output token after the first; 0 for answers of one token, which have none."""
        gaps: Array = np.maximum(self.output_tokens - 1, 1)
        return (self.finish_s - self.first_token_s) / gaps


def finished(results: Results, pool: str | None = None, class_: str | None = None) -> Finished:
    """The finished requests that count."""
    table = results.requests
    wanted = _counted(results, pool, class_) & (table["status"].to_numpy() == "finished")
    columns = (
        "arrival_s",
        "admitted_s",
        "first_token_s",
        "finish_s",
        "prompt_tokens",
        "output_tokens",
        "prefix_hit_tokens",
        "fetched_tokens",
        "hand_over_wait_s",
        "kv_transfer_s",
    )
    since = ("bus_s", "link_s", "kv_contention_s")  # tables of earlier versions lack them
    class_number = np.zeros(len(wanted), dtype=np.int64)
    for number, one in enumerate(results.scenario.workload.classes):
        class_number[table["class"].to_numpy() == one.name] = number
    reasoning = [table[name].to_numpy()[wanted] for name in ("reasoning_tokens", "first_output_token_s") if name in table.column_names]
    known = [table[name].to_numpy() if name in table.column_names else np.zeros(len(wanted)) for name in since]
    return Finished(*(column[wanted] for column in (*(table[name].to_numpy() for name in columns), class_number, *known)), *reasoning)


def _counted(results: Results, pool: str | None, class_: str | None) -> Array:
    """Which requests are outside the warm-up, and of the pool and the class that are named."""
    table = results.requests
    wanted: Array = table["counted"].to_numpy()
    if class_ is not None:
        wanted = wanted & (table["class"].to_numpy() == class_)
    if pool is not None:  # one that is handed over is of both pools
        wanted = wanted & ((table["pool"].to_numpy() == pool) | np.isin(table["prefill_replica"].to_numpy(), _replicas(results, pool)))
    return wanted


def itl(results: Results, pool: str | None = None) -> Gaps:
    """Every gap between two tokens of every request that counts, exactly: one ramp a stretch, weighted by its batch."""
    table = results.stretches
    replica = table["replica"].to_numpy()
    mine = np.ones(len(replica), dtype=bool) if pool is None else np.isin(replica, _replicas(results, pool))
    weight = table["counted"].to_numpy()
    mine &= weight > 0
    first_s, slope_s, steps = (table[name].to_numpy()[mine] for name in ("first_s", "slope_s", "steps"))
    events = results.events
    resumed = events["what"].to_numpy() == "resumed"
    if resumed.any():  # a preempted request waits longer for its next token than a step
        counted = results.requests["counted"].to_numpy()[events["request"].to_numpy()[resumed]]
        torn_s = events["value"].to_numpy()[resumed]
        if pool is not None:
            counted = counted & np.isin(events["replica"].to_numpy()[resumed], _replicas(results, pool))
        torn_s = torn_s[counted]
        ones = np.ones(len(torn_s), dtype=np.int64)
        first_s, slope_s = np.append(first_s, torn_s), np.append(slope_s, 0.0 * torn_s)
        return Gaps(first_s, slope_s, np.append(steps, ones), np.append(weight[mine], ones))
    return Gaps(first_s, slope_s, steps, weight[mine])


@dataclass(frozen=True)
class Gaps:
    """Pooled durations given as ramps: `weight` copies each of first_s, first_s + slope_s, … for `steps` terms."""

    first_s: Array
    slope_s: Array
    steps: Array
    weight: Array

    @property
    def count(self) -> int:
        """How many durations there are."""
        return int(np.sum(self.steps * self.weight))

    def mean(self) -> float:
        """Their mean, in closed form."""
        n = self.steps.astype(float)
        return float(np.sum(self.weight * (n * self.first_s + self.slope_s * n * (n - 1) / 2)) / self.count)

    def std(self) -> float:
        """Their population standard deviation, in closed form, about the mean so that nothing cancels."""
        n, off_s = self.steps.astype(float), self.first_s - self.mean()
        squares = n * off_s**2 + off_s * self.slope_s * n * (n - 1) + self.slope_s**2 * (n - 1) * n * (2 * n - 1) / 6
        return float(np.sqrt(np.sum(self.weight * squares) / self.count))

    def max(self) -> float:
        """The longest."""
        return float(np.max(self.first_s + self.slope_s * (self.steps - 1)))

    def up_to(self, limits_s: Array) -> Array:
        """How many durations there are up to each of these ascending limits, that long included: exactly, and without writing them out.

        Most ramps lie wholly between two limits; only those that cross some are looked into, at each limit that they cross.
        """
        last_s = self.first_s + self.slope_s * (self.steps - 1)
        low, high = np.searchsorted(limits_s, self.first_s), np.searchsorted(limits_s, last_s)
        of_bin = np.bincount(high, weights=self.steps * self.weight, minlength=len(limits_s) + 1)
        found = np.cumsum(of_bin)[:-1]  # of ramps whose last duration is within each limit
        crosses = np.flatnonzero(high > low)
        times = (high - low)[crosses]
        ramp = np.repeat(crosses, times)
        limit = np.arange(len(ramp)) - np.repeat(np.cumsum(times) - times, times) + low[ramp]
        inside = np.clip(np.floor((limits_s[limit] - self.first_s[ramp]) / self.slope_s[ramp]) + 1, 1, self.steps[ramp] - 1)
        return np.round(found + np.bincount(limit, weights=inside * self.weight[ramp], minlength=len(limits_s))).astype(np.int64)

    def percentiles(self, percents: list[float]) -> list[float]:
        """Linear percentiles of all durations, found without writing them out: order statistics by bisection."""
        positions = [percent / 100 * (self.count - 1) for percent in percents]
        brackets_s = self._brackets_s()
        found = {
            rank: self._order_statistic(rank, *self._bracket_s(rank, *brackets_s))
            for position in positions
            for rank in {int(position), min(int(position) + 1, self.count - 1)}
        }
        return [
            found[int(position)] + (position - int(position)) * (found[min(int(position) + 1, self.count - 1)] - found[int(position)]) for position in positions
        ]

    def _brackets_s(self) -> tuple[Array, Array]:
        """Limits [s] between the shortest and the longest, and how many durations there are up to each."""
        low_s, high_s = float(np.min(self.first_s)), self.max()
        limits_s = np.geomspace(low_s, high_s, _BRACKETS) if low_s > 0.0 else np.linspace(low_s, high_s, _BRACKETS)
        return limits_s, self.up_to(limits_s)

    def _bracket_s(self, rank: int, limits_s: Array, so_far: Array) -> tuple[float, float]:
        """Two limits that have the order statistic between them; a limit further on either side, for counts at a limit are rounded."""
        above = int(np.searchsorted(so_far, rank, side="right"))
        low_s = float(limits_s[above - 2]) if above >= 2 else float(np.min(self.first_s))
        return low_s, float(limits_s[above + 1]) if above + 1 < len(limits_s) else self.max()

    def _order_statistic(self, rank: int, low_s: float, high_s: float) -> float:
        """The duration with exactly `rank` others before it in ascending order, which is known to be from `low_s` to `high_s`.

        Bisection on the value; ramps that lie wholly on one side are counted once and dropped, so it soon looks at few.
        """
        first_s, slope_s, steps, weight = self.first_s, self.slope_s, self.steps, self.weight
        last_s = first_s + slope_s * (steps - 1)
        below = 0
        while low_s < high_s:
            certain = last_s < low_s
            below += int(np.sum((steps * weight)[certain]))
            kept = ~certain & (first_s <= high_s)
            first_s, slope_s, steps, weight, last_s = (column[kept] for column in (first_s, slope_s, steps, weight, last_s))
            if float(np.sum(steps)) <= 4096:
                return self._among(first_s, slope_s, steps, weight, rank - below)
            middle_s = 0.5 * (low_s + high_s)
            if middle_s >= high_s:  # they are neighbours
                middle_s = low_s
            with np.errstate(divide="ignore", invalid="ignore"):
                inside = np.where(slope_s > 0, np.floor((middle_s - first_s) / slope_s) + 1, steps)
            reached = np.where(first_s <= middle_s, np.clip(inside, 1, steps), 0)
            if below + int(np.sum(reached * weight)) > rank:
                high_s = middle_s
            else:
                low_s = float(np.nextafter(middle_s, np.inf))
        return high_s

    @staticmethod
    def _among(first_s: Array, slope_s: Array, steps: Array, weight: Array, rank: int) -> float:
        """The same among ramps that are few enough to write out."""
        row = np.repeat(np.arange(len(steps)), steps)
        place = np.arange(len(row)) - np.repeat(np.cumsum(steps) - steps, steps)
        values_s = first_s[row] + slope_s[row] * place
        order = np.argsort(values_s, kind="stable")
        return float(values_s[order][np.searchsorted(np.cumsum(weight[row][order]), rank, side="right")])


def summary(results: Results) -> dict[str, Any]:
    """The fields of summary.json, names as `vllm bench serve` writes them where it has one.

    Latencies are in ms, rates over the time from the first counted arrival to the last answer. `failed` are requests that had
    not finished when the run ended. Goodput judges each request by its class's SLO where it has one. Fields of what is not
    simulated are absent.
    """
    report: dict[str, Any] = {"name": results.scenario.title} | _of_requests(results)
    whole = _of_machines(results, None)
    report |= whole
    report |= {key: results.info[key] for key in ("simulated_s", "wall_s", "events") if key in results.info}
    every = results.scenario.cluster.pools
    pools = {pool.name: _of_pool(results, pool.name, whole if len(every) == 1 else None) for pool in every}
    money, by_pool = costs.of_run(results, {name: of_pool.get("mean_power_w") for name, of_pool in pools.items()})
    report |= money | {"pools": {name: of_pool | by_pool.get(name, {}) for name, of_pool in pools.items()}}
    if classes := results.scenario.workload.classes:
        report["classes"] = {one.name: _of_requests(results, class_=one.name) for one in classes}
    return of_whole(report, results.scenario.stands_for)


def _of_pool(results: Results, pool: str, whole: dict[str, Any] | None) -> dict[str, Any]:
    """whole: what replicas and gaps of all pools say, where there is this pool alone."""
    report = _of_requests(results, pool)
    del report["rejected"]  # before it came to any pool
    return report | (whole if whole is not None else _of_machines(results, pool))


def _of_machines(results: Results, pool: str | None) -> dict[str, Any]:
    """What the steps of a pool's replicas say, or of all: gaps between tokens, use, power, temperatures."""
    return _of_gaps(results, pool) | _of_replicas(results, pool) | _of_power(results, pool) | _of_heat(results, pool)


def _of_gaps(results: Results, pool: str | None) -> dict[str, float]:
    """Gaps between tokens of a pool or of all; of a class they are not known, for a stretch does not say whose tokens it makes."""
    if not len(finished(results, pool).arrival_s) or not (gaps := itl(results, pool)).count:
        return {}
    return _named("itl", gaps.mean(), gaps.std(), gaps.max(), gaps.percentiles([50, 90, 95, 99]))


def _of_requests(results: Results, pool: str | None = None, class_: str | None = None) -> dict[str, Any]:
    """What the requests of a pool, of a class, or all of them say."""
    done, mine = finished(results, pool, class_), _counted(results, pool, class_)
    status = results.requests["status"].to_numpy()
    unfinished, rejected = int(np.sum(mine & (status == "unfinished"))), int(np.sum(mine & (status == "rejected")))
    completed = len(done.arrival_s)
    span_s = float(np.max(done.finish_s) - np.min(done.arrival_s)) if completed else 0.0
    prompts, outputs = int(np.sum(done.prompt_tokens)), int(np.sum(done.output_tokens))
    good = within_slo(results, done)

    def per_second(amount: float) -> float:
        return amount / span_s if span_s else 0.0

    report: dict[str, Any] = {
        "completed": completed,
        "failed": unfinished,
        "duration": span_s,
        "total_input_tokens": prompts,
        "total_output_tokens": outputs,
        "request_throughput": per_second(completed),
        "output_throughput": per_second(outputs),
        "total_token_throughput": per_second(prompts + outputs),
        "max_concurrent_requests": _most_at_once(done),
        "rejected": rejected,
    }
    if any(other.kv.prefix_caching for other in results.scenario.cluster.pools if pool in (None, other.name)):
        report["prefix_hit_fraction"] = int(np.sum(done.prefix_hit_tokens)) / prompts if prompts else 0.0
    if any(other.kv.offload for other in results.scenario.cluster.pools if pool in (None, other.name)):
        report["offload_hit_fraction"] = int(np.sum(done.fetched_tokens)) / prompts if prompts else 0.0
    if any(other.replica.speculation for other in results.scenario.cluster.pools if pool in (None, other.name)):
        report |= _of_drafts(results, pool)
    if done.reasoning_tokens is not None:
        report["total_reasoning_tokens"] = int(np.sum(done.reasoning_tokens))
    if good is not None:
        report["request_goodput"] = per_second(int(np.sum(good)))
        everyone = completed + unfinished + rejected
        report["slo_attainment"] = int(np.sum(good)) / everyone if everyone else 0.0
    if completed:
        tpot_s = done.tpot_s[done.output_tokens > 1]
        for name, values_s in (("ttft", done.ttft_s), ("ttfo", done.ttfo_s), ("tpot", tpot_s), ("e2el", done.e2el_s), ("queue", done.queue_s)):
            if values_s is not None and len(values_s):
                report |= _statistics(name, values_s)
        if len(results.transfers):
            link_s = done.link_s + done.kv_contention_s
            for name, values_s in (("bus", done.bus_s), ("link", link_s), ("compute", done.compute_s)):
                report |= _statistics(name, values_s)
        for name, values_s in (("hand_over_wait", done.hand_over_wait_s), ("kv_transfer", done.kv_transfer_s)):
            if len(values_s := values_s[~np.isnan(values_s)]):
                report |= _statistics(name, values_s)
    return report


def _of_drafts(results: Results, pool: str | None) -> dict[str, float]:
    """Tokens that a step made of a sequence, in the mean over the whole run."""
    table = results.stretches
    mine = np.isin(
        table["replica"].to_numpy(),
        [
            number
            for other in results.scenario.cluster.pools
            if other.replica.speculation and pool in (None, other.name)
            for number in _replicas(results, other.name)
        ],
    )
    steps, batch, growth = (table[name].to_numpy()[mine] for name in ("steps", "batch", "growth"))
    checks = float(np.sum(steps * batch))
    return {"spec_decode_acceptance_length": float(np.sum(steps * growth)) / checks} if checks else {}


def within_slo(results: Results, done: Finished) -> Array | None:
    """Which of `done` meet every objective of their class, as those of a class that has none do; None where no class has any."""
    slos = results.scenario.slos
    if all(limit_s is None for slo in slos for limit_s in (slo.ttft_s, slo.tpot_s, slo.e2el_s)):
        return None
    good = np.ones(len(done.arrival_s), dtype=bool)
    for number, slo in enumerate(slos):
        mine = done.class_number == number
        for limit_s, values_s in ((slo.ttft_s, done.ttft_s), (slo.tpot_s, done.tpot_s), (slo.e2el_s, done.e2el_s)):
            if limit_s is not None:
                good &= ~mine | (values_s <= limit_s)
    return good


def strictness(results: Results) -> Array | None:
    """Of each request that counts, by what factor all objectives of its class would have to be multiplied for it to meet them.

    1 and less is good; endless for a request that was not answered, 0 for one without objectives. None where no class has any.
    """
    slos = results.scenario.slos
    if all(limit_s is None for slo in slos for limit_s in (slo.ttft_s, slo.tpot_s, slo.e2el_s)):
        return None
    done = finished(results)
    needed = np.zeros(len(done.arrival_s))
    for number, slo in enumerate(slos):
        mine = done.class_number == number
        for limit_s, values_s in ((slo.ttft_s, done.ttft_s), (slo.tpot_s, done.tpot_s), (slo.e2el_s, done.e2el_s)):
            if limit_s is not None:
                needed[mine] = np.maximum(needed[mine], values_s[mine] / limit_s)
    wanted, status = results.requests["counted"].to_numpy(), results.requests["status"].to_numpy()
    factors = np.full(len(status), np.inf)
    factors[wanted & (status == "finished")] = needed
    counted: Array = factors[wanted]
    return counted


def phases(results: Results) -> dict[str, Array]:
    """Where the time of each finished request that counts went [s], phase by phase; together they are its end-to-end latency.

    queue: until the first step that works on it, the way from the front door included; prefill: until its first token is back;
    hand-over and KV transfer: between replicas that read and replicas that decode; preempted: gaps between tokens that
    preemptions tore; contention: what steps took longer because others used memories and links; decode: the rest.
    """
    table, done = results.requests, finished(results)
    wait_s, transfer_s = np.nan_to_num(done.hand_over_wait_s), np.nan_to_num(done.kv_transfer_s)
    resumed = results.events["what"].to_numpy() == "resumed"
    number, gap_s = (results.events[name].to_numpy()[resumed] for name in ("request", "value"))
    torn_s = np.bincount(number, weights=gap_s, minlength=len(table))[: len(table)]
    torn_s = np.where(table["preemptions"].to_numpy() > 0, torn_s, 0.0)[_counted(results, None, None) & (table["status"].to_numpy() == "finished")]
    after_s = done.finish_s - done.first_token_s - wait_s - transfer_s
    preempted_s = np.clip(torn_s - wait_s - transfer_s, 0.0, np.maximum(after_s, 0.0))  # a hand-over tears a gap too
    prefill_s, decode_s = done.first_token_s - done.admitted_s, after_s - preempted_s
    shared_s = np.nan_to_num(done.bus_s) + np.nan_to_num(done.link_s)  # of the prompt and of the answer together: taken off the longer part, the answer
    of_decode_s = np.clip(shared_s, 0.0, np.maximum(decode_s, 0.0))
    of_prefill_s = np.clip(shared_s - of_decode_s, 0.0, np.maximum(prefill_s, 0.0))
    return {
        "queue": done.queue_s,
        "prefill": prefill_s - of_prefill_s,
        "hand-over": wait_s,
        "KV transfer": transfer_s,
        "preempted": preempted_s,
        "contention": of_prefill_s + of_decode_s,
        "decode": decode_s - of_decode_s,
    }


def _most_at_once(done: Finished) -> int:
    """Most requests inside at one time; one that leaves at the moment another arrives is gone."""
    if not len(done.arrival_s):
        return 0
    times_s = np.concatenate([done.arrival_s, done.finish_s])
    change = np.concatenate([np.ones(len(done.arrival_s)), -np.ones(len(done.finish_s))])
    return int(np.max(np.cumsum(change[np.lexsort((change, times_s))])))


def _statistics(name: str, values_s: Array) -> dict[str, float]:
    percentiles = np.percentile(values_s, [50, 90, 95, 99]).tolist()
    return _named(name, float(np.mean(values_s)), float(np.std(values_s)), float(np.max(values_s)), percentiles)


def _named(name: str, mean_s: float, std_s: float, max_s: float, percentiles_s: list[float]) -> dict[str, float]:
    keys = [f"mean_{name}_ms", f"std_{name}_ms", f"max_{name}_ms", f"median_{name}_ms", *(f"p{percent}_{name}_ms" for percent in (90, 95, 99))]
    return {key: 1e3 * value_s for key, value_s in zip(keys, [mean_s, std_s, max_s, *percentiles_s], strict=True)}


def _replicas(results: Results, pool: str) -> list[int]:
    """Numbers of a pool's replicas, which are counted through all pools."""
    numbers, model = 0, results.scenario.model
    for other in results.scenario.cluster.pools:
        count = other.replica_count(model)
        if other.name == pool:
            return list(range(numbers, numbers + count))
        numbers += count
    return []


def _of_replicas(results: Results, pool: str | None) -> dict[str, Any]:
    """KV room and utilisation of the replicas of one pool, or of all; over the whole run, warm-up included."""
    model = results.scenario.model
    report: dict[str, Any] = {"kv_capacity_tokens": 0, "kv_peak_fraction": 0.0}
    table = results.stretches
    replica = table["replica"].to_numpy()
    held = table["kv_tokens"].to_numpy() + _kv_growth(table)
    for other in results.scenario.cluster.pools:
        if pool in (None, other.name):
            room = other.kv_tokens(model)
            report["kv_capacity_tokens"] += other.replica_count(model) * room
            mine = np.isin(replica, _replicas(results, other.name))
            if mine.any():
                report["kv_peak_fraction"] = max(report["kv_peak_fraction"], float(np.max(held[mine])) / room)
    events = results.events
    preempted = events["what"].to_numpy() == "preempted"
    devices = results.devices
    rows = np.ones(len(devices), dtype=bool)
    if pool is not None:
        preempted &= np.isin(events["replica"].to_numpy(), _replicas(results, pool))
        rows = devices["pool"].to_numpy() == pool
    report["preemptions"] = int(np.sum(preempted))
    for name in ("compute_utilisation", "bandwidth_utilisation"):
        report[name] = float(np.mean(devices[name].to_numpy()[rows]))
    report["bandwidth_saturated_fraction"] = bandwidth.saturated_fraction(results, pool)
    return report | _of_pipelines(results, pool)


def _of_pipelines(results: Results, pool: str | None) -> dict[str, float]:
    """Of wafers, while they work: the places of a pipeline, the share of time in which its slowest station is busy, and the bubbles."""
    scenario, table = results.scenario, results.stretches
    wafers = [other for other in scenario.cluster.pools if other.is_wafer and pool in (None, other.name)]
    if not wafers:
        return {}
    mine = np.isin(table["replica"].to_numpy(), [number for other in wafers for number in _replicas(results, other.name)])
    length_s = table["ended_s"].to_numpy()[mine] - table["began_s"].to_numpy()[mine]
    busy = float(np.average(table["station_occupancy"].to_numpy()[mine], weights=length_s)) if length_s.sum() else 0.0
    slots = min(float(times.slots) for other in wafers if isinstance(times := other.step_times(scenario.model), WaferSteps))
    return {"pipeline_slots": slots, "station_occupancy": busy, "pipeline_bubble_fraction": 1.0 - busy}


def _of_power(results: Results, pool: str | None) -> dict[str, float]:
    """Energy and power of the nodes of one pool, or of all, times the site's PUE; over the whole run, warm-up included."""
    nodes = energy.nodes(results, pool)
    simulated_s = float(results.info.get("simulated_s", 0.0))
    if nodes is None or not simulated_s:
        return {}
    site = results.scenario.site
    pue = site.pue if site is not None and site.pue is not None else 1.0
    joules = pue * sum(node.energy_j for node in nodes)
    requests = results.requests
    answered: Array = requests["status"].to_numpy() == "finished"
    if pool is not None:
        answered = answered & (requests["pool"].to_numpy() == pool)
    tokens, prompts = (int(np.sum(requests[name].to_numpy()[answered])) for name in ("output_tokens", "prompt_tokens"))
    report = {"energy_kwh": joules / 3.6e6}
    if tokens:
        report |= {"energy_j_per_output_token": joules / tokens, "energy_j_per_token": joules / (prompts + tokens)}
    if site is not None and site.carbon_intensity_g_per_kwh is not None:
        report["co2_kg"] = site.carbon_intensity_g_per_kwh * joules / 3.6e9
        if tokens:
            report["co2_g_per_million_output_tokens"] = 1e9 * report["co2_kg"] / tokens
    return report | {"mean_power_w": joules / simulated_s, "peak_power_w": pue * energy.together(nodes).peak_w}


def _of_heat(results: Results, pool: str | None) -> dict[str, Any]:
    """Highest temperatures, throttling and lost replicas of one pool, or of all; of temperatures nothing where nothing is known of them."""
    devices, stretches = results.devices, results.stretches
    mine: Array = np.ones(len(devices), dtype=bool) if pool is None else devices["pool"].to_numpy() == pool
    report: dict[str, Any] = {}
    for name in ("max_die_c", "max_memory_c"):
        if name in devices.column_names and not np.isnan(values := devices[name].to_numpy()[mine]).all():
            report[name] = float(np.nanmax(values))
    simulated_s = float(results.info.get("simulated_s", 0.0))
    numbers = None if pool is None else _replicas(results, pool)
    clocks = stretches["clock"].to_numpy()
    if numbers is not None:
        clocks = clocks[np.isin(stretches["replica"].to_numpy(), numbers)]
    if "max_die_c" in report:
        throttled_s, lowest = (devices[name].to_numpy()[mine] for name in ("throttled_s", "lowest_clock"))
        report["throttled_fraction"] = float(np.nanmean(throttled_s)) / simulated_s if simulated_s else 0.0
        report["lowest_clock_fraction"] = float(min(np.nanmin(lowest), np.min(clocks, initial=1.0)))
    elif np.any(clocks < 1.0):
        report["lowest_clock_fraction"] = float(np.min(clocks))
    what, of_replica = results.events["what"].to_numpy(), results.events["replica"].to_numpy()
    for name, event in (("shutdowns", "shutdown"), ("retries", "retried")):
        happened = what == event if numbers is None else (what == event) & np.isin(of_replica, numbers)
        if happened.any():
            report[name] = int(np.sum(happened))
    return report


def _kv_growth(stretches: pa.Table) -> Array:
    """Tokens that each stretch adds to the KV cache, those of requests that finish with it included."""
    growth: Array = (stretches["growth"].to_numpy() + stretches["prompt_tokens"].to_numpy()) * stretches["steps"].to_numpy()
    return growth


@dataclass(frozen=True)
class Timeline:
    """A run over simulated time, in equal bins; all arrays have one value a bin, warm-up included."""

    bin_s: float
    """Width of a bin."""
    time_s: Array
    """Centres of the bins."""
    arrival_per_s: Array
    """Requests that arrived in the bin, those that were rejected included, over its width."""
    waiting: Array
    """Requests that had arrived and no step had worked on yet: the exact mean over the bin. Rejected ones never wait."""
    running: Array
    """Requests admitted and not finished, those that are preempted at the time included: the exact mean over the bin."""
    kv_fraction: Array
    """Tokens in the KV cache over its room: the mean over the bin, and over all replicas."""
    kv_fraction_max: Array
    """The same of the replica that is fullest in the bin."""
    kv_fractions: Array
    """(replicas, bins): the same of each replica."""
    compute_utilisation: Array
    """FLOP done in the bin over what the devices of all replicas could have done at their peak."""
    bandwidth_utilisation: Array
    """Bytes moved in the bin over what the memories of the same devices could have moved."""


def timeline(results: Results, points: int = 300) -> Timeline:
    """`results` over `points` equal bins, from time 0 until the last thing that happened.

    A stretch's work is spread evenly over its time, so sums over the bins are the sums of the table. A run in which no time
    passes gets bins of one second in all.
    """
    table, stretches, model = results.requests, results.stretches, results.scenario.model
    arrival_s, admitted_s, finish_s = (table[name].to_numpy() for name in ("arrival_s", "admitted_s", "finish_s"))
    began_s, ended_s, replica = (stretches[name].to_numpy() for name in ("began_s", "ended_s", "replica"))
    ends_s = [float(np.nanmax(times_s)) for times_s in (arrival_s, finish_s, ended_s) if not np.isnan(times_s).all()]
    edges_s = np.linspace(0.0, max([float(results.info.get("simulated_s", 0.0)), *ends_s]) or 1.0, points + 1)
    bin_s = float(edges_s[-1]) / points
    served = table["status"].to_numpy() != "rejected"
    arrived, admitted, left = (_mean_so_far(times_s[~np.isnan(times_s)], edges_s) for times_s in (arrival_s[served], admitted_s, finish_s))

    work, moved = np.zeros(points), np.zeros(points)
    peak_flop_per_s, peak_bytes_per_s = 0.0, 0.0
    kv: list[Array] = []
    order = np.argsort(replica, kind="stable")
    kv_tokens, growth, flop, bytes_ = (
        column[order]
        for column in (
            stretches["kv_tokens"].to_numpy(),
            _kv_growth(stretches),
            stretches["flop"].to_numpy(),
            stretches["bytes"].to_numpy(),
        )
    )
    began_s, ended_s, replica = began_s[order], ended_s[order], replica[order]
    for pool in results.scenario.cluster.pools:
        device, devices, room = pool.node.device, pool.devices_a_replica(model), pool.placement(model).kv_tokens
        for number in _replicas(results, pool.name):
            peak_flop_per_s += devices * device.peak.of(pool.weights(model))[1]
            peak_bytes_per_s += devices * device.bandwidth_bytes_per_s
            mine = slice(*np.searchsorted(replica, (number, number + 1)))
            if mine.start == mine.stop:
                kv.append(np.zeros(points))
                continue
            row, share = _rows_at(edges_s, began_s[mine], ended_s[mine])
            work += np.diff(_so_far(flop[mine], 0.0 * flop[mine], row, share))
            moved += np.diff(_so_far(bytes_[mine], 0.0 * bytes_[mine], row, share))
            length_s = ended_s[mine] - began_s[mine]
            kv.append(np.diff(_so_far(kv_tokens[mine] * length_s, growth[mine] * length_s / 2, row, share)) / (room * bin_s))
    return Timeline(
        bin_s=bin_s,
        time_s=0.5 * (edges_s[1:] + edges_s[:-1]),
        arrival_per_s=np.histogram(arrival_s, edges_s)[0] / bin_s,
        waiting=np.maximum(arrived - admitted, 0.0),  # a difference of equal sums may be a rounding below zero
        running=np.maximum(admitted - left, 0.0),
        kv_fraction=np.mean(kv, axis=0),
        kv_fraction_max=np.max(kv, axis=0),
        kv_fractions=np.array(kv),
        compute_utilisation=work / (peak_flop_per_s * bin_s),
        bandwidth_utilisation=moved / (peak_bytes_per_s * bin_s),
    )


def _mean_so_far(times_s: Array, edges_s: Array) -> Array:
    """How many of `times_s` have passed, as the exact mean over each bin."""
    bins, bin_s = len(edges_s) - 1, edges_s[-1] / (len(edges_s) - 1)
    place = np.clip(np.searchsorted(edges_s, times_s, side="right") - 1, 0, bins - 1)
    inside = np.bincount(place, minlength=bins)
    # those of earlier bins count whole; those of this one for the part of it that is left when they come
    mean: Array = np.cumsum(inside) - inside + np.bincount(place, weights=(edges_s[place + 1] - times_s) / bin_s, minlength=bins)
    return mean


def _rows_at(edges_s: Array, began_s: Array, ended_s: Array) -> tuple[Array, Array]:
    """Of one replica's stretches, in order: which one each edge falls in, or is the last before it, and the share of it that is over."""
    knots_s = np.maximum.accumulate(np.stack([began_s, ended_s], axis=1).ravel())  # one ends where the next begins, up to a rounding
    place = np.interp(edges_s, knots_s, np.arange(len(knots_s)))
    row = place.astype(np.int64) // 2
    return row, np.minimum(place - 2 * row, 1.0)


def _so_far(amount: Array, growth: Array, row: Array, share: Array) -> Array:
    """What has been summed at the edges, where a stretch in all adds amount + growth: the first evenly, the second as its square."""
    before = np.cumsum(amount + growth) - (amount + growth)
    so_far: Array = before[row] + amount[row] * share + growth[row] * share**2
    return so_far
