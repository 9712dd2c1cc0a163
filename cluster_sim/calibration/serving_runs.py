"""Measured closed-loop runs of serving engines, and closed formulas for their times."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cluster_sim.hardware.precision import Precision
from cluster_sim.llm.model import Model
from cluster_sim.physics.gpu import GpuSteps
from cluster_sim.physics.step_work import StepWork


@dataclass(frozen=True)
class ServingRow:
    """One measured closed-loop run."""

    configuration: str
    """Name of its configuration. Runs of one, at several concurrencies and releases, are left out
    together in cross-validation."""
    model: Model
    tensor_parallel: int
    weights: Precision
    kv_cache: Precision
    engine: str
    """Name of the engine profile."""
    concurrency: int
    """Number of clients, each of which asks again as soon as it is answered."""
    prompt_tokens: float
    """Mean length of prompts [tokens]."""
    output_tokens: float
    """Mean length of answers [tokens]."""
    max_batched_tokens: int
    """Number of tokens that a step may take."""
    tpot_s: float
    """Measured time per output token [s]."""
    ttft_s: float | None = None
    """Measured time to first token [s], where the engine does not hold requests back."""


def times_s(steps: GpuSteps, row: ServingRow, request_s: float) -> tuple[float, float]:
    """Return the time per output token and the time to first token of a closed loop [s].

    Closed formulas do without simulating. Time per output token: with C clients the batch is C, and
    while a request decodes its O tokens each of the others is prefilled once. Time to first token:
    the server's overhead, the rest of the step that runs, the step that prefills, and waiting for
    other prompts; a tenth of the requests, the first of each client, arrive all at once.

    Parameters
    ----------
    steps
        Step times of the replica.
    row
        Run; its measured times are not used.
    request_s
        Time from a request's arrival until the scheduler sees it [s].
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
    # One after the other: prompts arrive as answers end, and a queue of deterministic service forms
    # before the engine.
    busy = min(clients / (output * token_s) * mixed_s, 0.9)
    alone_s = decode_s / 2 + mixed_s + busy / (2 * (1 - busy)) * mixed_s
    # All at once: as many prompts per step as its budget holds; the mean request waits for half of
    # them.
    at_once = max(min(row.max_batched_tokens / prompt, clients), 1e-9)
    full = StepWork(
        prompt_tokens=round(at_once * prompt),
        sampled=max(round(at_once), 1),
        pairs=round(at_once * pairs),
        window_pairs=round(at_once * window_pairs),
    )
    together_s = (clients / at_once + 1) / 2 * steps.ramp(full).first_s
    return token_s, request_s + 0.9 * alone_s + 0.1 * together_s
