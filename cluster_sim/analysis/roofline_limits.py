"""Upper bounds of the speed of a replica, from data sheets and shapes alone.

They include no engine, no overheads, and no efficiency below 1.
"""

from __future__ import annotations

from collections.abc import Callable

from cluster_sim.analysis.request_lengths import sampled_lengths
from cluster_sim.deployment.deployment import Deployment
from cluster_sim.physics.gpu_layers import EXCHANGE
from cluster_sim.physics.limited_view import LimitedView
from cluster_sim.physics.step_work import StepWork
from cluster_sim.physics.transformer import linear_flop_per_token, step_weight_bytes
from cluster_sim.scenario.scenario import Scenario

_AT_ONCE_HZ = 1e30
"""Clock at which a hop per cycle takes no time [Hz]."""


def bytes_a_token(scenario: Scenario, deployment: Deployment) -> float:
    """Return the size of the weights that one token reads, with the experts that it picks [B]."""
    return float(step_weight_bytes(deployment.model, deployment.weights, 1))


def memory_bandwidth_bytes_per_s(scenario: Scenario, deployment: Deployment) -> float:
    """Return the bandwidth of the memories that hold the weights of a replica [B/s]."""
    device = deployment.device
    return deployment.devices_per_replica * device.fast_memory.bandwidth_bytes_per_s


def reading_s(scenario: Scenario, deployment: Deployment) -> float:
    """Return the time to read one token's weights once, at the bandwidth of the data sheet [s]."""
    return bytes_a_token(scenario, deployment) / memory_bandwidth_bytes_per_s(scenario, deployment)


def memory_tokens_per_s(scenario: Scenario, deployment: Deployment) -> float:
    """Return the rate of one user if only reading the weights once per step took time [tokens/s].

    With speculation a step generates one token plus the mean number of accepted draft tokens.
    Source: Pope et al., MLSys 2023, arXiv 2211.05102.
    """
    speculation = deployment.pool.replica.speculation
    tokens_per_step = speculation.tokens_per_step if speculation else 1.0
    return tokens_per_step / reading_s(scenario, deployment)


def compute_tokens_per_s(scenario: Scenario, deployment: Deployment) -> float:
    """Return the rate of all users if only arithmetic took time [tokens/s].

    It counts linear layers and output head, at the dense peak.
    """
    model, device = deployment.model, deployment.device
    flop = linear_flop_per_token(model) + 2.0 * model.vocabulary * model.hidden
    return deployment.devices_per_replica * device.peak.of(deployment.computed_in)[1] / flop


def communication_s(scenario: Scenario, deployment: Deployment) -> float:
    """Return the part of one user's token time that moves data between devices or cores [s].

    It is a result of the simulator's model, not a bound. On GPUs it is the time of collectives and
    of exchanges with experts. On wafers it is the time that a token would save if hops between
    cores and between wafers took no time.
    """
    model, context = deployment.model, round(sampled_lengths(scenario).context)
    windowed = round(LimitedView.of(model).mean_keys(context))
    times = deployment.step_times
    work = StepWork(batch=1, growth=1, context=context, windowed=windowed, sampled=1)
    step_s = times.ramp(work).first_s
    if (wafer := deployment.device.wafer) is None:
        parts = times.parts(work)
        return (parts["collectives"] + parts.get(EXCHANGE, 0.0)) * step_s
    near = wafer.model_copy(update={"wafer_hop_s": 0.0, "clock_hz": _AT_ONCE_HZ})
    pool = deployment.pool
    node = pool.node.model_copy(
        update={"device": pool.node.device.model_copy(update={"wafer": near})}
    )
    ideal = Deployment(pool.model_copy(update={"node": node}), model, deployment.network)
    return step_s - ideal.step_times.ramp(work).first_s


LIMITS: dict[str, Callable[[Scenario, Deployment], float]] = {
    limit.__name__: limit
    for limit in (
        bytes_a_token,
        memory_bandwidth_bytes_per_s,
        reading_s,
        memory_tokens_per_s,
        compute_tokens_per_s,
        communication_s,
    )
}
"""Limits by the name that files use."""
