"""Throughput of one group of devices that decodes or prefills alone, without arrivals."""

from __future__ import annotations

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.deployment.fleet import resolve
from cluster_sim.errors import ScenarioError
from cluster_sim.hardware.operating_point import FULL_SPEED
from cluster_sim.physics.limited_view import LimitedView
from cluster_sim.physics.step_work import StepWork
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.validation.measured import MeasuredRun


def rate_alone(measured: MeasuredRun, scenario: Scenario) -> dict[str, float]:
    """Return the throughput of a group alone per device [tokens/s], by its key of `METRICS`.

    Each step is equal. A step that decodes has as many sequences on every rank of attention data
    parallelism as the run states, or as the KV cache and the engine's batch slots hold. Their mean
    context is the prompt and half of the answer. A step that prefills is full, or has the stated
    number of prompts per device, and all tokens of a prompt are new. Host times between steps are
    in the time of a step.

    Parameters
    ----------
    measured
        Run of a group alone.
    scenario
        Scenario of the run.

    Raises
    ------
    ScenarioError
        The memory does not hold the stated number of sequences.
    """
    (deployment,) = resolve(scenario).deployments
    if measured.load == "decode":
        work = _decoding(measured, deployment)
        tokens = work.batch
    else:
        work = _prefilling(measured, deployment)
        tokens = work.prompt_tokens
    step_s = deployment.times_at(FULL_SPEED).ramp(work).first_s
    return {f"{measured.load}_per_device": tokens / step_s / deployment.devices_per_replica}


def _decoding(measured: MeasuredRun, deployment: Deployment) -> StepWork:
    """Return the work of a step that decodes with as many sequences on each rank."""
    ranks = deployment.pool.replica.data_parallel
    context = measured.isl + measured.osl / 2.0
    held = int(deployment.kv_cache.sequences(context)) // ranks
    stated = round(measured.amount * deployment.devices_per_replica / ranks)
    if stated > held or not held:
        raise ScenarioError.at(
            measured.name,
            f"got {stated or 1} sequences per rank; expected at most {held}, which the KV cache "
            f"holds at {context:,.0f} tokens each",
        )
    batch = ranks * (stated or min(held, deployment.pool.max_sequences // ranks))
    keys = round(context)
    view = LimitedView.of(deployment.model)
    return StepWork(
        batch=batch,
        counted=batch,
        growth=batch,
        context=batch * keys,
        windowed=batch * view.mean_keys(keys) if view.tokens else 0,
        longest=keys,
        sampled=batch,
    )


def _prefilling(measured: MeasuredRun, deployment: Deployment) -> StepWork:
    """Return the work of a step that prefills equal shares of a long queue on each rank.

    Where a step does not hold a whole number of prompts, a part of a prompt counts as such: the
    work is the mean over many steps.
    """
    prompt, pool = round(measured.isl), deployment.pool
    tokens = pool.max_batched_tokens
    if measured.amount:
        tokens = round(measured.amount * deployment.devices_per_replica * prompt)
    pairs = (prompt + 1) / 2.0
    view = LimitedView.of(deployment.model)
    return StepWork(
        prompt_tokens=tokens,
        sampled=max(tokens // prompt, pool.replica.data_parallel),
        pairs=round(tokens * pairs),
        window_pairs=round(tokens * view.pairs(prompt, 0) / prompt),
    )
