"""Special tokens: cached, fetched, drafted and reasoning tokens."""

from __future__ import annotations

import numpy as np

from cluster_sim.results.metrics.families.requests import served
from cluster_sim.results.metrics.metric import Metric, Row
from cluster_sim.results.metrics.selection import Selection
from cluster_sim.typing import Array


def _prefix_hit_fraction(selection: Selection) -> float | None:
    if not any(deployment.pool.kv.prefix_caching for deployment in selection.deployments):
        return None
    return _share_of_prompts(selection, selection.once(served).done.prefix_hit_tokens)


def _offload_hit_fraction(selection: Selection) -> float | None:
    if not any(deployment.pool.kv.offload for deployment in selection.deployments):
        return None
    return _share_of_prompts(selection, selection.once(served).done.fetched_tokens)


def _share_of_prompts(selection: Selection, tokens: Array) -> float:
    prompts = selection.once(served).prompt_tokens
    return int(np.sum(tokens)) / prompts if prompts else 0.0


def _acceptance_length(selection: Selection) -> float | None:
    """Return the mean number of tokens generated per step and sequence over the whole run."""
    speculating = [
        number
        for deployment in selection.deployments
        if deployment.pool.replica.speculation
        for number in selection.run.fleet.numbers(deployment.name)
    ]
    if not speculating:
        return None
    table = selection.run.stretches
    selected = np.isin(table["replica"].to_numpy(), speculating)
    steps, batch, growth = (
        table[name].to_numpy()[selected] for name in ("steps", "batch", "growth")
    )
    checks = float(np.sum(steps * batch))
    return float(np.sum(steps * growth)) / checks if checks else None


def _reasoning_tokens(selection: Selection) -> int | None:
    tokens = selection.once(served).done.reasoning_tokens
    return None if tokens is None else int(np.sum(tokens))


METRICS = (
    Metric(
        "prefix_hit_fraction",
        "share",
        "Share of prompt tokens that hit the prefix cache; absent without prefix caching.",
        _prefix_hit_fraction,
        label="prefix cache hit share",
        row=Row(230, "prompt tokens from prefix cache", ".1%"),
    ),
    Metric(
        "offload_hit_fraction",
        "share",
        "Share of prompt tokens whose KV cache is fetched from offload tiers; absent without such tiers.",
        _offload_hit_fraction,
        label="offload hit share",
        row=Row(240, "prompt tokens from offload tiers", ".1%"),
    ),
    Metric(
        "spec_decode_acceptance_length",
        "tokens",
        "Mean number of tokens generated per step and sequence; absent without speculative decoding.",
        _acceptance_length,
        label="tokens per step and sequence",
    ),
    Metric(
        "total_reasoning_tokens",
        "tokens",
        "Number of reasoning tokens of finished requests; absent if the scenario gives no share of "
        "reasoning tokens.",
        _reasoning_tokens,
        is_extensive=True,
        label="reasoning [tokens]",
    ),
)
