"""Measured closed-loop runs of serving engines, and closed-form estimates of their times."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil
from typing import NamedTuple

from cluster_sim.hardware.efficiency import Overhead
from cluster_sim.hardware.precision import Precision
from cluster_sim.llm.model import Model
from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.physics.replica_layout import GraphPlan, ReplicaLayout
from cluster_sim.physics.step_work import StepWork

_TOGETHER = 32
"""Maximum number of requests that a server tokenises together, see `sim.front_end`."""


@dataclass(frozen=True)
class ServingRow:
    """One measured closed-loop run."""

    configuration: str
    """Name of the configuration. Cross-validation excludes all runs of a configuration together, at
    all concurrencies and releases."""
    model: Model
    tensor_parallel: int
    weights: Precision
    kv_cache: Precision
    engine: str
    """Name of the engine with its release, such as `vLLM 0.15`."""
    concurrency: int
    """Number of clients; each one sends its next request when it gets an answer."""
    prompt_tokens: float
    """Mean length of prompts [tokens]."""
    output_tokens: float
    """Mean length of answers [tokens]."""
    max_batched_tokens: int
    """Maximum number of tokens per step."""
    tpot_s: float
    """Measured time per output token [s]."""
    ttft_s: float | None = None
    """Measured time to first token [s]; None if the engine holds requests back."""
    ttft_p99_s: float | None = None
    """Measured 99th percentile of the time to first token [s]; None if it is not known."""
    prepares_ahead: bool = False
    """Whether the engine prepares a step during the one before, so arrivals join one step later."""
    graphs: GraphPlan | None = None
    """CUDA graphs that the engine captured. None: every decode step ran as a graph, and no step
    with a prompt."""

    @property
    def layout(self) -> ReplicaLayout:
        """Layout of the replica that ran."""
        return ReplicaLayout(
            tensor_parallel=self.tensor_parallel,
            weights=self.weights,
            kv_cache=self.kv_cache,
            engine=self.engine,
            graphs=self.graphs,
        )


class Times(NamedTuple):
    """Times of a closed loop."""

    token_s: float
    """Mean time per output token [s]."""
    first_s: float
    """Mean time to first token [s]."""
    first_p99_s: float
    """99th percentile of the time to first token [s]."""


def times_s(steps: GpuSteps, row: ServingRow, overhead: Overhead) -> Times:
    """Return the times of a closed loop.

    They are closed-form estimates without a simulation. For the time per output token, the batch is
    the number of clients C, and the C - 1 other requests are prefilled once while a request
    generates its O tokens. The time to first token is the sum of the server's overhead, the rest of
    the present step, the step with the prefill, and waiting for other prompts. A tenth of the
    requests, the first of each client, arrive simultaneously, and wait until the server's front end
    has their first batch done. It works on later batches during the prefill of earlier ones.
    One request in ten of these is slower than the 99th percentile of all requests.

    Parameters
    ----------
    steps
        Step times of the replica.
    row
        Measured run; its measured times are not used.
    overhead
        Overheads of the engine on the device.
    """
    clients, prompt, output = row.concurrency, row.prompt_tokens, row.output_tokens
    mean_context = prompt + output / 2
    window = row.model.view_tokens
    context, windowed = round(clients * mean_context), round(clients * min(mean_context, window))
    decoding = StepWork(batch=clients, growth=clients, context=context, windowed=windowed)
    decode_s = steps.ramp(decoding).first_s
    pairs = round(prompt * prompt / 2)
    window_pairs = round(prompt * min(prompt / 2, window))
    mixed = replace(
        decoding,
        prompt_tokens=round(prompt),
        sampled=clients + 1,
        pairs=pairs,
        window_pairs=window_pairs,
    )
    mixed_s = steps.ramp(mixed).first_s
    token_s = decode_s + (clients - 1) / output * (mixed_s - decode_s)
    # In turns: prompts arrive when answers end, and a queue with deterministic service forms before
    # the engine.
    busy = min(clients / (output * token_s) * mixed_s, 0.9)
    rest_s = decode_s * (1.5 if row.prepares_ahead else 0.5)
    alone_s = rest_s + mixed_s + busy / (2 * (1 - busy)) * mixed_s
    # Simultaneously: each step holds as many prompts as its budget allows, and the mean request
    # waits for half of them.
    at_once = max(min(row.max_batched_tokens / prompt, clients), 1e-9)
    full = StepWork(
        prompt_tokens=round(at_once * prompt),
        sampled=max(round(at_once), 1),
        pairs=round(at_once * pairs),
        window_pairs=round(at_once * window_pairs),
    )
    full_s = steps.ramp(full).first_s
    together_s = (clients / at_once + 1) / 2 * full_s
    late_s = ceil(0.9 * clients / at_once) * full_s
    own_s = overhead.accept_s + overhead.prompt_token_s * prompt
    batch_s = overhead.accept_s * clients
    batch_s += overhead.prompt_token_s * prompt * min(clients, 1 + _TOGETHER)
    return Times(
        token_s,
        overhead.request_s + 0.9 * (own_s + alone_s) + 0.1 * (batch_s + together_s),
        overhead.request_s + batch_s + late_s,
    )
