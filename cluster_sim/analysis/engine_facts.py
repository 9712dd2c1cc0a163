"""Limits and CUDA graphs of a pool's engine, as resolved for its devices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.deployment.engine_memory import captured_graphs
from cluster_sim.deployment.setup_key import profile_name
from cluster_sim.physics.exchange_kinds import ExchangePlan
from cluster_sim.physics.replica_layout import GraphPlan
from cluster_sim.scenario.exchanges import exchanges_of


class DraftFacts(NamedTuple):
    """Drafts of one pool."""

    tokens: int
    """Number of drafted tokens per sequence and step."""
    tokens_per_step: float
    """Mean number of tokens generated per sequence and step at the mean context."""
    measured: tuple[float, float] | None
    """Lowest and highest measured mean number of tokens per step; None if they are not known."""


@dataclass(frozen=True)
class EngineFacts:
    """Limits and CUDA graphs of the engine of one pool."""

    profile: str
    """Catalog name of the engine profile; a changed profile is marked `(changed)`."""
    max_sequences: int
    """Number of batch slots of a replica."""
    max_batched_tokens: int
    """Maximum number of tokens of one step of a replica."""
    admission: str
    """Rule of admission: a `capacity_scheduler_policy`, `prefill_first`, `whole_prompts` for pools
    that only prefill, or `static`."""
    reserved_answers: float
    """Share of the remaining answers of running requests for which admission keeps blocks."""
    by_device: bool
    """Whether the engine chooses values by the device."""
    attention_backend: str
    """Kernels of decode attention: `default`, or the name of a back end."""
    exchanges: ExchangePlan | None
    """Kinds of exchange between attention and experts; None if ranks exchange no tokens."""
    graph_mode: str | None
    """Mode of CUDA graphs; None if the profile has no mode."""
    graphs: GraphPlan | None
    """Captured CUDA graphs of a rank; None if the profile has no mode."""
    graph_bytes: float
    """Memory of one device that the engine reserves for CUDA graphs [B]."""
    drafts: DraftFacts | None = None
    """Drafts; None without speculative decoding."""


def engine_facts(deployment: Deployment, context: float) -> EngineFacts:
    """Return the limits, CUDA graphs and drafts of a pool's engine on the devices of the pool.

    Parameters
    ----------
    deployment
        Deployment of the pool.
    context
        Mean number of tokens of a decoding sequence.
    """
    pool = deployment.pool
    speculation = pool.replica.speculation
    return EngineFacts(
        profile=profile_name(pool.replica.engine),
        max_sequences=pool.max_sequences,
        max_batched_tokens=pool.max_batched_tokens,
        admission=pool.admission,
        reserved_answers=pool.reserved_answers,
        by_device=bool(pool.engine.by_device),
        attention_backend=pool.engine.attention_backend,
        exchanges=exchanges_of(pool, deployment.model),
        graph_mode=pool.engine.graph_mode,
        graphs=None if pool.is_wafer else captured_graphs(pool),
        graph_bytes=deployment.placement.graph_bytes,
        drafts=None
        if speculation is None
        else DraftFacts(
            speculation.draft_tokens,
            speculation.tokens_per_step_at(context),
            speculation.measured_range,
        ),
    )
