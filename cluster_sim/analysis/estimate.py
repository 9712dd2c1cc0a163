"""What arithmetic alone says of a scenario: room, step times, and the highest rate it can serve."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from math import exp, inf

import numpy as np
from numpy.typing import NDArray

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.deployment.fleet import Fleet, resolve
from cluster_sim.hardware.operating_point import FULL_PACE
from cluster_sim.physics.step_work import StepWork
from cluster_sim.physics.wafer import WaferSteps
from cluster_sim.physics.wafer_placement import cuts
from cluster_sim.scenario.pool import Pool
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.serving.disaggregation import HandOver
from cluster_sim.serving.scheduler import Static
from cluster_sim.topology import FRONT_DOOR, Route, group_path
from cluster_sim.workload.sessions import scripts

_SAMPLE = 20_000  # requests whose lengths are looked at
_GROUPS = 100  # of them, steps' worth


@dataclass(frozen=True)
class Lengths:
    """Moments of the requests' lengths that the arithmetic needs."""

    prompt_tokens: float
    """Mean."""
    output_tokens: float
    """Mean."""
    pairs: float
    """Mean pairs of query and key of a prompt."""
    context: float
    """Mean tokens in the cache of a decoding request, over its steps: long answers are there for
    longer."""
    prompts: NDArray[np.float64]
    """Of each of them, in order of arrival."""
    in_step: bool
    """All answers are equally long: requests that were admitted in one step finish in one step, for
    ever."""
    outputs: NDArray[np.float64]
    """As `prompts`."""

    def longest_of(self, requests: int) -> tuple[float, float]:
        """(prompt, output) tokens of the longest among so many requests, in the mean."""
        groups = max(len(self.prompts) // requests, 1)
        prompt, output = (
            float(np.mean([np.max(part) for part in np.array_split(tokens, groups)]))
            for tokens in (self.prompts, self.outputs)
        )
        return prompt, output


@dataclass(frozen=True)
class WaferArithmetic:
    """The placement of one replica on wafers, and its pipeline."""

    regions: int
    cuts: tuple[str, ...]
    """The first part on each wafer but the first."""
    layer_cores: tuple[int, int]
    """Of the smallest and the largest region with a layer."""
    weight_fill: tuple[float, float]
    """Share of the SRAM that weights take, on the emptiest and on the fullest wafer."""
    kv_tokens: tuple[int, int]
    """Room of the layers on the fullest and on the emptiest wafer; the first is that of the
    replica."""
    slots: float
    station_s: float


@dataclass(frozen=True)
class PoolArithmetic:
    """One pool, worked out without simulating."""

    name: str
    replicas: int
    devices_a_replica: int
    weight_bytes: float
    """Of one device; of all wafers of a replica."""
    kv_token_bytes: float
    kv_tokens: int
    """Room of one replica, in whole blocks."""
    step_at_1_s: float
    """One sequence decoding at the mean context."""
    full_batch: int
    """Sequences that decode at once when there is always another waiting."""
    step_when_full_s: float
    """Mean step then, prompts included."""
    requests_per_s: float
    """Highest rate of the whole pool."""
    bound_by: str
    """What keeps the batch from being larger."""
    parts: dict[str, float]
    """Share of the step when full by what it is spent on."""
    path: Route
    """From the front door to the first device."""
    role: str = "both"
    """Whether it serves requests from prompt to answer, only their prompts, or only what
    follows."""
    load_s: float | None = None
    """Until the weights of a replica are on its devices, as on a cold start; None where the node's
    file does not tell."""
    wafers: WaferArithmetic | None = None
    """How a replica lies on wafers."""
    kv_transfer_s: float | None = None
    """Of a pool that hands over: moving the KV of a prompt of mean length, alone on its way to the
    first replica that decodes."""

    def usd_per_million_output_tokens(
        self, usd_per_hour: float, output_tokens: float
    ) -> float | None:
        """Return the cost of output tokens at the highest rate: no load makes them cheaper.

        Parameters
        ----------
        usd_per_hour
            Running cost of the pool [USD/h].
        output_tokens
            Mean output tokens of a request.

        Returns
        -------
        float | None
            Cost of a million output tokens [USD]; None for a pool that serves only prompts or only
            what follows, and for one that serves nothing.
        """
        if self.role != "both" or not self.requests_per_s:
            return None
        return 1e6 * usd_per_hour / (3600.0 * self.requests_per_s * output_tokens)


def highest_rate_per_s(pools: list[PoolArithmetic]) -> float:
    """Of all pools together: what is handed over is no more than those that read can give and those
    that decode can take.
    """
    by_role = {
        role: sum(pool.requests_per_s for pool in pools if pool.role == role)
        for role in ("both", "prefill", "decode")
    }
    return by_role["both"] + min(by_role["prefill"], by_role["decode"])


def sampled_lengths(scenario: Scenario) -> Lengths:
    """Moments of the first requests of the workload.

    Raises ScenarioError where a trace is malformed.
    """
    workload = scenario.workload
    if workload.trace is not None:
        rows: Iterator[tuple[int, int]] = (
            (prompt, output) for _, prompt, output, _ in workload.trace.rows(scenario.seed)
        )
    elif workload.sessions is not None:
        rows = (
            (turn.prompt_tokens, turn.output_tokens)
            for session in scripts(workload.sessions, scenario.seed)
            for turn in session
        )
    else:
        rows = workload.lengths(scenario.seed)
    prompt, output = np.array(list(islice(rows, _SAMPLE)), dtype=float).T
    if workload.shared_prefix is not None:
        prompt += workload.shared_prefix.tokens
    decode_steps = output - 1
    total_steps = float(np.sum(decode_steps))
    context = (
        float(np.sum(decode_steps * (prompt + output / 2))) / total_steps
        if total_steps
        else float(np.mean(prompt))
    )
    pairs = float(np.mean(prompt * (prompt + 1) / 2))
    return Lengths(
        float(np.mean(prompt)),
        float(np.mean(output)),
        pairs,
        context,
        prompt,
        bool(np.ptp(output) == 0),
        output,
    )


def offered_per_s(scenario: Scenario) -> float | None:
    """Mean arrivals a second of the workload, where it does not depend on the answers."""
    arrivals = scenario.workload.arrivals
    if scenario.workload.trace is not None or arrivals is None:
        return None
    return arrivals.mean_rate_per_s()


def explain(scenario: Scenario) -> list[PoolArithmetic]:
    """Every pool of the scenario, worked out without simulating."""
    seen, fleet = sampled_lengths(scenario), resolve(scenario)
    return _with_transfers(
        scenario,
        [_pool(fleet, deployment, seen) for deployment in fleet.deployments],
        round(seen.prompt_tokens),
    )


def _with_transfers(
    scenario: Scenario, pools: list[PoolArithmetic], prompt_tokens: int
) -> list[PoolArithmetic]:
    """The same, where moving the KV of prompts may be what bounds the rate."""
    plan, fleet = scenario.cluster.hand_over or HandOver(), resolve(scenario)
    source, target = fleet.first_replica("prefill"), fleet.first_replica("decode")
    if source is None or target is None or plan.kv_transfer == "off":
        return pools
    way = group_path(fleet.topology, source.rank_devices, target.rank_devices)
    moved = target.deployment.kv_bytes(prompt_tokens)
    ends = {"prefill": way.out_bytes_per_s, "decode": way.in_bytes_per_s}

    def bounded(pool: PoolArithmetic) -> PoolArithmetic:
        if pool.role == "prefill":
            pool = replace(pool, kv_transfer_s=moved / way.bytes_per_s + way.route.latency_s)
        if (
            pool.role in ends
            and (rate := pool.replicas * ends[pool.role] / moved) < pool.requests_per_s
        ):
            return replace(pool, requests_per_s=rate, bound_by="KV transfer")
        return pool

    return [bounded(pool) for pool in pools]


def _pool(fleet: Fleet, deployment: Deployment, seen: Lengths) -> PoolArithmetic:
    pool, model, times = deployment.pool, deployment.model, deployment.step_times
    if pool.replica.role == "prefill":  # each prompt is followed by another
        seen = replace(seen, output_tokens=1.0)
    placement = deployment.placement
    window = model.window.tokens if model.window else 0

    def windowed(batch: float) -> int:
        return round(batch * min(seen.context, window))

    static = _static(deployment, seen) if isinstance(pool.batching, Static) else None
    batch, bound_by = static[:2] if static else _full_batch(deployment, seen)
    decoding = max(round(batch), 1) if seen.output_tokens > 1 else 0
    replica_times = deployment.times_at(FULL_PACE)
    if pool.replica.role == "decode":
        finishing, follow = batch / _decode_steps(pool, seen), [(0.0, 1.0)]
    else:
        finishing, follow = _prompts_a_step(pool, seen, batch, decoding, bound_by)
    step_s = 0.0
    for count, probability in follow:
        groups = list(_prompts_together(seen, count))
        for prompt, pairs in groups:
            prompt = min(round(prompt), pool.max_batched_tokens - decoding * _tokens_checked(pool))
            work = StepWork(
                batch=decoding,
                context=round(batch * seen.context),
                windowed=windowed(batch),
                prompt_tokens=prompt,
                sampled=decoding + round(count),
                pairs=round(pairs),
                window_pairs=round(pairs),
            )
            step_s += probability / len(groups) * replica_times.ramp(work).first_s
    rate = finishing / step_s
    if static:
        step_s, rate = static[2:]
    path = fleet.topology.route(FRONT_DOOR, f"{pool.name}/0/device0")
    alone = StepWork(batch=1, context=round(seen.context), windowed=windowed(1), sampled=1)
    first_s = replica_times.ramp(alone).first_s
    full = StepWork(
        batch=decoding,
        context=round(batch * seen.context),
        windowed=windowed(batch),
        sampled=decoding,
    )
    if pool.replica.role != "decode":
        full.prompt_tokens = round(finishing * seen.prompt_tokens)
        full.sampled += round(finishing)
        full.pairs = full.window_pairs = round(finishing * seen.pairs)
    return PoolArithmetic(
        name=pool.name,
        replicas=deployment.replica_count,
        devices_a_replica=deployment.devices_per_replica,
        weight_bytes=placement.weight_bytes,
        kv_token_bytes=placement.kv_token_bytes,
        kv_tokens=deployment.kv_tokens,
        step_at_1_s=first_s,
        full_batch=decoding,
        step_when_full_s=step_s,
        requests_per_s=rate * deployment.replica_count,
        bound_by=bound_by,
        parts=times.parts(full),
        path=path,
        role=pool.replica.role,
        load_s=deployment.load_s,
        wafers=_on_wafers(times, pool.node.device.memory.capacity_bytes)
        if isinstance(times, WaferSteps)
        else None,
    )


def _on_wafers(times: WaferSteps, sram_bytes: float) -> WaferArithmetic:
    regions = times.regions
    cores = [region.cores for region in regions if region.kv_token_bytes]
    filled: dict[int, float] = {}
    rooms: dict[int, float] = {}
    for region in regions:
        filled[region.wafer] = filled.get(region.wafer, 0.0) + region.weight_bytes / sram_bytes
        rooms[region.wafer] = min(rooms.get(region.wafer, inf), region.kv_tokens)
    kept = [int(room) for room in rooms.values() if room < inf]
    return WaferArithmetic(
        len(regions), tuple(cuts(regions)), (min(cores), max(cores)), (min(filled.values()), max(filled.values())), (min(kept), max(kept)),
        times.slots, times.station_s,
    )  # fmt: skip


def _static(deployment: Deployment, seen: Lengths) -> tuple[int, str, float, float]:
    """(sequences of a static batch, what keeps them from being more, mean step [s], requests a
    second of a replica).

    All prompts are padded to the longest, and all go on until the longest answer has ended.
    """
    pool, model, times = deployment.pool, deployment.model, deployment.step_times
    batch, bound_by = pool.max_sequences, "max_sequences"
    prompt, output = seen.longest_of(batch)
    while batch > 1 and batch * (prompt + output) > deployment.kv_tokens:
        batch, bound_by = (
            max(min(int(deployment.kv_tokens / (prompt + output)), batch - 1), 1),
            "KV room",
        )
        prompt, output = seen.longest_of(batch)
    window, length = model.window.tokens if model.window else 0, prompt + output / 2
    pairs = round(batch * prompt * (prompt + 1) / 2)
    prefill = StepWork(
        prompt_tokens=round(batch * prompt), sampled=batch, pairs=pairs, window_pairs=pairs
    )
    decode = StepWork(
        batch=batch, context=round(batch * length), windowed=round(batch * min(length, window))
    )
    total_s = times.ramp(prefill).first_s + (output - 1) * times.ramp(decode).first_s
    return batch, bound_by, total_s / output, batch / total_s


def _decode_steps(pool: Pool, seen: Lengths) -> float:
    """Of a request, in the mean; never 0, to be divided by."""
    speculation = pool.replica.speculation
    return max((seen.output_tokens - 1) / (speculation.tokens_a_step if speculation else 1.0), 1e-9)


def _tokens_checked(pool: Pool) -> int:
    """Tokens that a decode step takes of each sequence."""
    return 1 + (pool.replica.speculation.draft_tokens if pool.replica.speculation else 0)


def _full_batch(deployment: Deployment, seen: Lengths) -> tuple[float, str]:
    """(sequences that decode at once in a replica where another always waits, what keeps them from
    being more).
    """
    # As many as there are places, or as the room holds of them, half a block wasted by each; of
    # those, one step in each
    # request's life reads its prompt and the others decode.
    pool = deployment.pool
    decode_steps = _decode_steps(pool, seen)
    limits = {
        "max_sequences": float(pool.max_sequences),
        "KV room": deployment.kv_tokens / (seen.context + pool.block_tokens / 2),
    }
    if pool.replica.role == "decode":  # none of them reads its prompt here
        bound_by = min(limits, key=lambda name: limits[name])
        return limits[bound_by], bound_by
    limits = {name: at_once * decode_steps / (decode_steps + 1) for name, at_once in limits.items()}
    # What decoding leaves of the token budget must take the prompts of the requests that follow: n
    # + n·P/steps = budget.
    limits["max_batched_tokens"] = pool.max_batched_tokens / (
        _tokens_checked(pool) + seen.prompt_tokens / decode_steps
    )
    bound_by = min(limits, key=lambda name: limits[name])
    return max(limits[bound_by], 1e-9), bound_by


def _prompts_a_step(
    pool: Pool, seen: Lengths, batch: float, decoding: int, bound_by: str
) -> tuple[float, list[tuple[float, float]]]:
    """(prompts that a step reads in the mean, how they are spread over steps: each count with its
    probability).
    """
    finishing = batch / _decode_steps(pool, seen)
    if (
        seen.output_tokens <= 1 or bound_by == "max_batched_tokens"
    ):  # every step is filled with prompts to the brim
        finishing = (
            pool.max_batched_tokens - decoding * _tokens_checked(pool)
        ) / seen.prompt_tokens
        return finishing, [(finishing, 1.0)]
    room = pool.max_batched_tokens - decoding * _tokens_checked(pool)
    if seen.prompt_tokens > room > 0:  # a prompt is spread over steps
        steps = seen.prompt_tokens / room
        return finishing, [
            (0.0, max(1.0 - finishing * steps, 0.0)),
            (1.0 / steps, finishing * steps),
        ]
    together = min(room / seen.prompt_tokens, batch)
    if seen.in_step and together > finishing:
        return finishing, [(0.0, 1.0 - finishing / together), (together, finishing / together)]
    # How many finish and are followed by a prompt is close to Poisson, and products are not
    # straight lines in it.
    return finishing, list(_poisson(finishing))


def _prompts_together(seen: Lengths, count: float) -> Iterator[tuple[float, float]]:
    """(tokens, pairs) of `count` prompts in one step, for some such steps: a step is no straight
    line in them.
    """
    if count != round(count) or not 1 <= count <= len(seen.prompts):
        yield count * seen.prompt_tokens, count * seen.pairs
        return
    together = round(count)
    for first in range(0, min(len(seen.prompts) - together + 1, _GROUPS * together), together):
        prompts = seen.prompts[first : first + together]
        yield float(np.sum(prompts)), float(np.sum(prompts * (prompts + 1) / 2))


def _poisson(mean: float) -> Iterator[tuple[float, float]]:
    """(count, probability) of a Poisson distribution, its far tails left out."""
    if mean > 500:
        yield round(mean), 1.0
        return
    probability, count, left = exp(-mean), 0, 1.0
    while left > 1e-9 and count < mean + 60 + 10 * mean**0.5:
        yield count, probability
        left -= probability
        count += 1
        probability *= mean / count
