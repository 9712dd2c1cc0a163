"""What hardware allows a replica at most: bounds from data sheets and shapes alone, without an
engine, overheads or shares that are reached.
"""

from __future__ import annotations

from collections.abc import Callable

from cluster_sim.analysis.estimate import sampled_lengths
from cluster_sim.deployment.deployment import Deployment
from cluster_sim.physics.step_work import StepWork
from cluster_sim.physics.transformer import linear_flop_per_token, step_weight_bytes
from cluster_sim.scenario.scenario import Scenario

_AT_ONCE_HZ = 1e30  # a hop a cycle: no time at all


def bytes_a_token(scenario: Scenario, deployment: Deployment) -> float:
    """Bytes of weights that one token alone reads, with the experts that it picks."""
    return float(step_weight_bytes(deployment.model, deployment.weights, 1))


def memory_bandwidth_bytes_per_s(scenario: Scenario, deployment: Deployment) -> float:
    """Of all devices of a replica, those that keep the weights."""
    device = deployment.device
    return deployment.devices_per_replica * device.fast_memory.bandwidth_bytes_per_s


def reading_s(scenario: Scenario, deployment: Deployment) -> float:
    """Seconds to read what one token reads of the weights, once, at the bandwidth of the data
    sheet.
    """
    return bytes_a_token(scenario, deployment) / memory_bandwidth_bytes_per_s(scenario, deployment)


def memory_tokens_per_s(scenario: Scenario, deployment: Deployment) -> float:
    """Tokens a second of one user if nothing took time but to read the weights once a step (Pope et
    al., MLSys 2023, arXiv 2211.05102).

    With speculation a step makes as many tokens as are kept of its drafts, in the mean, and one
    more.
    """
    speculation = deployment.pool.replica.speculation
    tokens_a_step = speculation.tokens_a_step if speculation else 1.0
    return tokens_a_step / reading_s(scenario, deployment)


def compute_tokens_per_s(scenario: Scenario, deployment: Deployment) -> float:
    """Tokens a second of all users if nothing took time but the arithmetic of linear layers and
    output head, at the dense peak.
    """
    model, device = deployment.model, deployment.device
    flop = linear_flop_per_token(model) + 2.0 * model.vocabulary * model.hidden
    return deployment.devices_per_replica * device.peak.of(deployment.weights)[1] / flop


def communication_s(scenario: Scenario, deployment: Deployment) -> float:
    """Seconds of one user's token that go into moving it between cores, wafers or GPUs: as the
    simulator has it, no bound.

    On GPUs the collectives; on wafers what the same token would be spared if neither hops over
    cores nor those between wafers took time.
    """
    model, context = deployment.model, round(sampled_lengths(scenario).context)
    windowed = min(context, model.window.tokens) if model.window else 0
    times = deployment.step_times
    work = StepWork(batch=1, growth=1, context=context, windowed=windowed, sampled=1)
    step_s = times.ramp(work).first_s
    if (wafer := deployment.device.wafer) is None:
        return times.parts(work)["collectives"] * step_s
    near = wafer.model_copy(update={"wafer_hop_s": 0.0, "clock_hz": _AT_ONCE_HZ})
    pool = deployment.pool
    node = pool.node.model_copy(
        update={"device": pool.node.device.model_copy(update={"wafer": near})}
    )
    ideal = Deployment(pool.model_copy(update={"node": node}), model, deployment.network)
    return step_s - ideal.step_times.ramp(work).first_s


LIMITS: dict[str, Callable[[Scenario, Deployment], float]] = {
    one.__name__: one
    for one in (
        bytes_a_token,
        memory_bandwidth_bytes_per_s,
        reading_s,
        memory_tokens_per_s,
        compute_tokens_per_s,
        communication_s,
    )
}
"""By the name that files give them."""
