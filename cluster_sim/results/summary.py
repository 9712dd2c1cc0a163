"""The fields of summary.json: latency, throughput, utilisation, power, heat and cost of a run.

Percentiles are linear, as numpy's and vLLM's are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cluster_sim.physics.wafer import WaferSteps
from cluster_sim.results import bandwidth, energy
from cluster_sim.results import cost as costs
from cluster_sim.results.extrapolate import of_whole
from cluster_sim.results.metrics.finished import (
    Array,
    _counted,
    _most_at_once,
    finished,
    within_slo,
)
from cluster_sim.results.metrics.gaps import itl
from cluster_sim.results.metrics.timeline import _kv_growth

if TYPE_CHECKING:
    from cluster_sim.results.run import Run


def summary(results: Run) -> dict[str, Any]:
    """The fields of summary.json, names as `vllm bench serve` writes them where it has one.

    Latencies are in ms, rates over the time from the first counted arrival to the last answer.
    `failed` are requests that had not finished when the run ended. Goodput judges each request by
    its class's SLO where it has one. Fields of what is not simulated are absent.
    """
    report: dict[str, Any] = {"name": results.scenario.title} | _of_requests(results)
    whole = _of_machines(results, None)
    report |= whole
    report |= {key: getattr(results.info, key) for key in ("simulated_s", "wall_s", "events")}
    every = results.scenario.cluster.pools
    pools = {
        pool.name: _of_pool(results, pool.name, whole if len(every) == 1 else None)
        for pool in every
    }
    money, by_pool = costs.of_run(
        results, {name: of_pool.get("mean_power_w") for name, of_pool in pools.items()}
    )
    report |= money | {
        "pools": {name: of_pool | by_pool.get(name, {}) for name, of_pool in pools.items()}
    }
    if classes := results.scenario.workload.classes:
        report["classes"] = {one.name: _of_requests(results, class_=one.name) for one in classes}
    return of_whole(report, results.scenario.stands_for)


def _of_pool(results: Run, pool: str, whole: dict[str, Any] | None) -> dict[str, Any]:
    """whole: what replicas and gaps of all pools say, where there is this pool alone."""
    report = _of_requests(results, pool)
    del report["rejected"]  # before it came to any pool
    return report | (whole if whole is not None else _of_machines(results, pool))


def _of_machines(results: Run, pool: str | None) -> dict[str, Any]:
    """What the steps of a pool's replicas say, or of all: gaps between tokens, use, power,
    temperatures.
    """
    return (
        _of_gaps(results, pool)
        | _of_replicas(results, pool)
        | _of_power(results, pool)
        | _of_heat(results, pool)
    )


def _of_gaps(results: Run, pool: str | None) -> dict[str, float]:
    """Gaps between tokens of a pool or of all; of a class they are not known, for a stretch does
    not say whose tokens it makes.
    """
    if not len(finished(results, pool).arrival_s) or not (gaps := itl(results, pool)).count:
        return {}
    return _named("itl", gaps.mean(), gaps.std(), gaps.max(), gaps.percentiles([50, 90, 95, 99]))


def _of_requests(
    results: Run, pool: str | None = None, class_: str | None = None
) -> dict[str, Any]:
    """What the requests of a pool, of a class, or all of them say."""
    done, mine = finished(results, pool, class_), _counted(results, pool, class_)
    status = results.requests["status"].to_numpy()
    unfinished, rejected = (
        int(np.sum(mine & (status == "unfinished"))),
        int(np.sum(mine & (status == "rejected"))),
    )
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
    if any(
        other.kv.prefix_caching
        for other in results.scenario.cluster.pools
        if pool in (None, other.name)
    ):
        report["prefix_hit_fraction"] = (
            int(np.sum(done.prefix_hit_tokens)) / prompts if prompts else 0.0
        )
    if any(
        other.kv.offload for other in results.scenario.cluster.pools if pool in (None, other.name)
    ):
        report["offload_hit_fraction"] = (
            int(np.sum(done.fetched_tokens)) / prompts if prompts else 0.0
        )
    if any(
        other.replica.speculation
        for other in results.scenario.cluster.pools
        if pool in (None, other.name)
    ):
        report |= _of_drafts(results, pool)
    if done.reasoning_tokens is not None:
        report["total_reasoning_tokens"] = int(np.sum(done.reasoning_tokens))
    if good is not None:
        report["request_goodput"] = per_second(int(np.sum(good)))
        everyone = completed + unfinished + rejected
        report["slo_attainment"] = int(np.sum(good)) / everyone if everyone else 0.0
    if completed:
        tpot_s = done.tpot_s[done.output_tokens > 1]
        for name, values_s in (
            ("ttft", done.ttft_s),
            ("ttfo", done.ttfo_s),
            ("tpot", tpot_s),
            ("e2el", done.e2el_s),
            ("queue", done.queue_s),
        ):
            if values_s is not None and len(values_s):
                report |= _statistics(name, values_s)
        if len(results.transfers):
            link_s = done.link_s + done.kv_contention_s
            for name, values_s in (
                ("bus", done.bus_s),
                ("link", link_s),
                ("compute", done.compute_s),
            ):
                report |= _statistics(name, values_s)
        for name, values_s in (
            ("hand_over_wait", done.hand_over_wait_s),
            ("kv_transfer", done.kv_transfer_s),
        ):
            if len(values_s := values_s[~np.isnan(values_s)]):
                report |= _statistics(name, values_s)
    return report


def _of_drafts(results: Run, pool: str | None) -> dict[str, float]:
    """Tokens that a step made of a sequence, in the mean over the whole run."""
    table = results.stretches
    mine = np.isin(
        table["replica"].to_numpy(),
        [
            number
            for other in results.scenario.cluster.pools
            if other.replica.speculation and pool in (None, other.name)
            for number in results.fleet.numbers(other.name)
        ],
    )
    steps, batch, growth = (table[name].to_numpy()[mine] for name in ("steps", "batch", "growth"))
    checks = float(np.sum(steps * batch))
    return (
        {"spec_decode_acceptance_length": float(np.sum(steps * growth)) / checks} if checks else {}
    )


def _statistics(name: str, values_s: Array) -> dict[str, float]:
    percentiles = np.percentile(values_s, [50, 90, 95, 99]).tolist()
    return _named(
        name,
        float(np.mean(values_s)),
        float(np.std(values_s)),
        float(np.max(values_s)),
        percentiles,
    )


def _named(
    name: str, mean_s: float, std_s: float, max_s: float, percentiles_s: list[float]
) -> dict[str, float]:
    keys = [
        f"mean_{name}_ms",
        f"std_{name}_ms",
        f"max_{name}_ms",
        f"median_{name}_ms",
        *(f"p{percent}_{name}_ms" for percent in (90, 95, 99)),
    ]
    return {
        key: 1e3 * value_s
        for key, value_s in zip(keys, [mean_s, std_s, max_s, *percentiles_s], strict=True)
    }


def _of_replicas(results: Run, pool: str | None) -> dict[str, Any]:
    """KV room and utilisation of the replicas of one pool, or of all; over the whole run, warm-up
    included.
    """
    fleet = results.fleet
    report: dict[str, Any] = {"kv_capacity_tokens": 0, "kv_peak_fraction": 0.0}
    table = results.stretches
    replica = table["replica"].to_numpy()
    held = table["kv_tokens"].to_numpy() + _kv_growth(table)
    for deployment in fleet.deployments:
        if pool in (None, deployment.name):
            room = deployment.kv_tokens
            report["kv_capacity_tokens"] += deployment.replica_count * room
            mine = np.isin(replica, fleet.numbers(deployment.name))
            if mine.any():
                report["kv_peak_fraction"] = max(
                    report["kv_peak_fraction"], float(np.max(held[mine])) / room
                )
    events = results.events
    preempted = events["what"].to_numpy() == "preempted"
    devices = results.devices
    rows = np.ones(len(devices), dtype=bool)
    if pool is not None:
        preempted &= np.isin(events["replica"].to_numpy(), results.fleet.numbers(pool))
        rows = devices["pool"].to_numpy() == pool
    report["preemptions"] = int(np.sum(preempted))
    for name in ("compute_utilisation", "bandwidth_utilisation"):
        report[name] = float(np.mean(devices[name].to_numpy()[rows]))
    report["bandwidth_saturated_fraction"] = bandwidth.saturated_fraction(results, pool)
    return report | _of_pipelines(results, pool)


def _of_pipelines(results: Run, pool: str | None) -> dict[str, float]:
    """Of wafers, while they work: the places of a pipeline, the share of time in which its slowest
    station is busy, and the bubbles.
    """
    table, fleet = results.stretches, results.fleet
    wafers = [
        deployment
        for deployment in fleet.deployments
        if deployment.pool.is_wafer and pool in (None, deployment.name)
    ]
    if not wafers:
        return {}
    mine = np.isin(
        table["replica"].to_numpy(),
        [number for deployment in wafers for number in fleet.numbers(deployment.name)],
    )
    length_s = table["ended_s"].to_numpy()[mine] - table["began_s"].to_numpy()[mine]
    busy = (
        float(np.average(table["station_occupancy"].to_numpy()[mine], weights=length_s))
        if length_s.sum()
        else 0.0
    )
    slots = min(
        float(times.slots)
        for deployment in wafers
        if isinstance(times := deployment.step_times, WaferSteps)
    )
    return {
        "pipeline_slots": slots,
        "station_occupancy": busy,
        "pipeline_bubble_fraction": 1.0 - busy,
    }


def _of_power(results: Run, pool: str | None) -> dict[str, float]:
    """Energy and power of the nodes of one pool, or of all, times the site's PUE; over the whole
    run, warm-up included.
    """
    nodes = energy.nodes(results, pool)
    simulated_s = results.info.simulated_s
    if nodes is None or not simulated_s:
        return {}
    site = results.scenario.site
    pue = site.pue if site is not None and site.pue is not None else 1.0
    joules = pue * sum(node.energy_j for node in nodes)
    requests = results.requests
    answered: Array = requests["status"].to_numpy() == "finished"
    if pool is not None:
        answered = answered & (requests["pool"].to_numpy() == pool)
    tokens, prompts = (
        int(np.sum(requests[name].to_numpy()[answered]))
        for name in ("output_tokens", "prompt_tokens")
    )
    report = {"energy_kwh": joules / 3.6e6}
    if tokens:
        report |= {
            "energy_j_per_output_token": joules / tokens,
            "energy_j_per_token": joules / (prompts + tokens),
        }
    if site is not None and site.carbon_intensity_g_per_kwh is not None:
        report["co2_kg"] = site.carbon_intensity_g_per_kwh * joules / 3.6e9
        if tokens:
            report["co2_g_per_million_output_tokens"] = 1e9 * report["co2_kg"] / tokens
    return report | {
        "mean_power_w": joules / simulated_s,
        "peak_power_w": pue * energy.together(nodes).peak_w,
    }


def _of_heat(results: Run, pool: str | None) -> dict[str, Any]:
    """Highest temperatures, throttling and lost replicas of one pool, or of all; of temperatures
    nothing where nothing is known of them.
    """
    devices, stretches = results.devices, results.stretches
    mine: Array = (
        np.ones(len(devices), dtype=bool) if pool is None else devices["pool"].to_numpy() == pool
    )
    report: dict[str, Any] = {}
    for name in ("max_die_c", "max_memory_c"):
        if (
            name in devices.column_names
            and not np.isnan(values := devices[name].to_numpy()[mine]).all()
        ):
            report[name] = float(np.nanmax(values))
    simulated_s = results.info.simulated_s
    numbers = None if pool is None else results.fleet.numbers(pool)
    clocks = stretches["clock"].to_numpy()
    if numbers is not None:
        clocks = clocks[np.isin(stretches["replica"].to_numpy(), numbers)]
    if "max_die_c" in report:
        throttled_s, lowest = (
            devices[name].to_numpy()[mine] for name in ("throttled_s", "lowest_clock")
        )
        report["throttled_fraction"] = (
            float(np.nanmean(throttled_s)) / simulated_s if simulated_s else 0.0
        )
        report["lowest_clock_fraction"] = float(min(np.nanmin(lowest), np.min(clocks, initial=1.0)))
    elif np.any(clocks < 1.0):
        report["lowest_clock_fraction"] = float(np.min(clocks))
    what, of_replica = results.events["what"].to_numpy(), results.events["replica"].to_numpy()
    for name, event in (("shutdowns", "shutdown"), ("retries", "retried")):
        happened = (
            what == event if numbers is None else (what == event) & np.isin(of_replica, numbers)
        )
        if happened.any():
            report[name] = int(np.sum(happened))
    return report
