"""Arithmetic estimates of a scenario: KV cache, step times, and the highest rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil, inf

from cluster_sim.analysis.engine_facts import engine_facts
from cluster_sim.analysis.full_batch import (
    FullBatch,
    PromptsPerStep,
    full_batch,
    prompt_budget,
    prompts_per_step,
)
from cluster_sim.analysis.pool_arithmetic import PoolArithmetic, WaferArithmetic
from cluster_sim.analysis.request_lengths import LengthMoments, sampled_lengths
from cluster_sim.analysis.static_batch import static_batch, static_rate
from cluster_sim.deployment.deployment import Deployment
from cluster_sim.deployment.fleet import Fleet, kv_group_path, resolve
from cluster_sim.hardware.operating_point import FULL_SPEED
from cluster_sim.physics.cache_groups import mean_pages
from cluster_sim.physics.limited_view import LimitedView
from cluster_sim.physics.step_work import StepWork
from cluster_sim.physics.wafer_placement import cuts
from cluster_sim.scenario.pool import Pool
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.serving.disaggregation import Disaggregation
from cluster_sim.serving.kv_cache.grouped_prefix_cache import common_block
from cluster_sim.topology import FRONT_DOOR


def explain(scenario: Scenario) -> list[PoolArithmetic]:
    """Return the estimates of every pool of the scenario, computed without simulation.

    Raises
    ------
    ScenarioError
        A trace is malformed.

    Examples
    --------
    >>> import cluster_sim
    >>> (pool,) = explain(cluster_sim.load_scenario("example:burst_70b", "b200"))
    >>> pool.name, pool.replicas, pool.kv_tokens
    ('b200', 8, 800128)
    """
    lengths, fleet = sampled_lengths(scenario), resolve(scenario)
    pools = [_pool(fleet, deployment, lengths) for deployment in fleet.deployments]
    plan = scenario.cluster.disaggregation or Disaggregation()
    if plan.kv_transfer == "off":
        return pools
    return _bounded_by_transfers(fleet, pools, round(lengths.prompt_tokens))


def _bounded_by_transfers(
    fleet: Fleet, pools: Sequence[PoolArithmetic], prompt_tokens: int
) -> list[PoolArithmetic]:
    """Return the pools with rates that are limited by KV transfers, if these are the bottleneck."""
    source, target = fleet.first_replica("prefill"), fleet.first_replica("decode")
    if source is None or target is None:
        return list(pools)

    def bounded(pool: PoolArithmetic) -> PoolArithmetic:
        own = fleet.replicas[fleet.numbers(pool.name)[0]]
        if pool.role not in ("prefill", "decode"):
            return pool
        ends = (own, target) if pool.role == "prefill" else (source, own)
        path = kv_group_path(fleet.topology, *ends)
        moved = ends[1].deployment.kv_bytes(prompt_tokens)
        bytes_per_s = path.in_bytes_per_s
        if pool.role == "prefill":
            bytes_per_s = path.out_bytes_per_s
            pool = replace(pool, kv_transfer_s=moved / path.bytes_per_s + path.route.latency_s)
        rate_per_s = pool.replicas * own.deployment.attention_ranks * bytes_per_s / moved
        if rate_per_s < pool.requests_per_s:
            return replace(pool, requests_per_s=rate_per_s, bound_by="KV transfer")
        return pool

    return [bounded(pool) for pool in pools]


def _pool(fleet: Fleet, deployment: Deployment, lengths: LengthMoments) -> PoolArithmetic:
    """Return the estimates of one pool, without the limit of KV transfers."""
    pool, placement, scaling = deployment.pool, deployment.placement, deployment.pool.autoscale
    if pool.replica.role == "prefill":  # each prompt is followed by another
        lengths = replace(lengths, output_tokens=1.0)
    is_static = not pool.batching.is_continuous
    batch = (static_batch if is_static else full_batch)(deployment, lengths)
    decoding = _decoding(pool, lengths, batch)
    prompts = prompts_per_step(pool, lengths, batch, decoding)
    limited = lengths.limited_share(LimitedView.of(deployment.model))
    if is_static:
        step_s, rate_per_s = static_rate(deployment, lengths, int(batch.sequences))
    else:
        step_s = _mean_step_s(deployment, lengths, batch, prompts, limited)
        rate_per_s = prompts.mean / step_s
    alone = _work(deployment, lengths, 1.0, 1)
    full = _work(deployment, lengths, batch.sequences, decoding)
    if pool.replica.role != "decode":
        full.prompt_tokens = round(prompts.mean * lengths.prompt_tokens)
        full.sampled += round(prompts.mean)
        full.pairs = round(prompts.mean * lengths.pairs)
        full.window_pairs = round(full.pairs * limited)
    return PoolArithmetic(
        name=pool.name,
        replicas=deployment.replica_count,
        devices_a_replica=deployment.devices_per_replica,
        weight_bytes=placement.weight_bytes,
        runtime_bytes=None
        if pool.is_wafer
        else placement.reserved_bytes - placement.activation_bytes - placement.graph_bytes,
        activation_bytes=placement.activation_bytes,
        kv_bytes=placement.kv_bytes,
        kv_token_bytes=placement.kv_token_bytes,
        kv_tokens=deployment.kv_tokens,
        kv_pages=placement.pages,
        kv_page_bytes=placement.pool.page_bytes if placement.pool else 0.0,
        kv_groups=deployment.kv_cache.groups,
        hit_tokens=_hit_tokens(deployment),
        kv_pages_per_sequence=mean_pages(deployment.kv_cache.groups, lengths.context),
        step_at_1_s=deployment.times_at(FULL_SPEED).ramp(alone).first_s,
        full_batch=decoding,
        step_when_full_s=step_s,
        requests_per_s=rate_per_s * deployment.replica_count,
        bound_by=batch.bound_by,
        parts=deployment.step_times.parts(full),
        path=fleet.topology.route(FRONT_DOOR, f"{pool.name}/0/device0"),
        engine=engine_facts(deployment, lengths.context),
        weights_format=deployment.weights,
        kv_cache_format=pool.replica.kv_cache,
        role=pool.replica.role,
        load_s=deployment.load_s,
        clock="" if pool.frequency is None else pool.frequency.policy,
        scaling="" if scaling is None else f"{scaling.sizes}: {scaling.aim}",
        start_s=None if scaling is None else scaling.provision_s + (deployment.load_s or 0.0),
        wafers=_on_wafers(deployment),
    )


def _work(deployment: Deployment, lengths: LengthMoments, batch: float, decoding: int) -> StepWork:
    """Return a step that decodes `decoding` sequences, with a mean batch of `batch`."""
    windowed = LimitedView.of(deployment.model).mean_keys(lengths.context)
    return StepWork(
        batch=decoding,
        context=round(batch * lengths.context),
        windowed=round(batch * windowed),
        sampled=decoding,
    )


def _hit_tokens(deployment: Deployment) -> int:
    """Return the number of tokens of which every reused prefix is a multiple; 0 without a limit."""
    spec = deployment.kv_cache
    return common_block(spec.groups) if spec.groups and spec.prefix_caching else 0


def _mean_step_s(
    deployment: Deployment,
    lengths: LengthMoments,
    batch: FullBatch,
    prompts: PromptsPerStep,
    limited: float,
) -> float:
    """Return the mean length of a step of a full batch, prefill included [s].

    If steps prefill instead of decode, it is that of a step that decodes and of the steps with
    prefill between two of them.

    limited: share of the query-key pairs of prompts that are read in a limited view.
    """
    pool, times = deployment.pool, deployment.times_at(FULL_SPEED)
    decoding = _decoding(pool, lengths, batch)
    budget = prompt_budget(pool, decoding)
    is_apart = bool(decoding) and pool.prefills_apart
    beside = (0.0, 0) if is_apart else (batch.sequences, decoding)
    step_s = 0.0
    if is_apart:
        step_s = times.ramp(_work(deployment, lengths, batch.sequences, decoding)).first_s
    for count, probability in prompts.counts:
        groups = list(lengths.prompts_together(count))
        for prompt, pairs in groups:
            steps = ceil(round(prompt) / budget) if is_apart else 1
            if not steps:  # no prompt, so no step between two that decode
                continue
            work = _work(deployment, lengths, *beside)
            work.prompt_tokens = min(round(prompt / steps), budget)
            work.sampled += round(count / steps)
            work.pairs = round(pairs / steps)
            work.window_pairs = round(work.pairs * limited)
            step_s += probability / len(groups) * steps * times.ramp(work).first_s
    return step_s


def _decoding(pool: Pool, lengths: LengthMoments, batch: FullBatch) -> int:
    """Return the number of sequences that decode in a step of a full batch.

    A pool of the role decode has such a step even if every answer ends with its first token.
    """
    if lengths.output_tokens > 1 or pool.replica.role == "decode":
        return max(round(batch.sequences), 1)
    return 0


def _on_wafers(deployment: Deployment) -> WaferArithmetic | None:
    """Return the placement of a replica on wafers; None for other devices."""
    times = deployment.wafer_steps
    if times is None:
        return None
    regions, sram_bytes = times.regions, deployment.device.memory.capacity_bytes
    cores = [region.cores for region in regions if region.kv_token_bytes]
    filled: dict[int, float] = {}
    capacities: dict[int, float] = {}
    for region in regions:
        wafer = region.wafer
        filled[wafer] = filled.get(wafer, 0.0) + region.weight_bytes / sram_bytes
        capacities[wafer] = min(capacities.get(wafer, inf), region.kv_tokens)
    kept = [int(capacity) for capacity in capacities.values() if capacity < inf]
    return WaferArithmetic(
        regions=len(regions),
        cuts=tuple(cuts(regions)),
        layer_cores=(min(cores), max(cores)),
        weight_fill=(min(filled.values()), max(filled.values())),
        kv_tokens=(min(kept), max(kept)),
        slots=times.slots,
        station_s=times.station_s,
    )
