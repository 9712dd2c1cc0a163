"""Served: the settings of one pool as serving engines take them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.export.deploy.hub_names import entry_of, hub_name, server_name
from cluster_sim.hardware.precision import Precision
from cluster_sim.scenario.pool import ReplicaPlan
from cluster_sim.serving.engine import Engine
from cluster_sim.serving.graphs import GraphSizes, StepLimits
from cluster_sim.serving.prefill_first import PrefillFirst
from cluster_sim.serving.speculation import Speculation

Method = Literal["mtp", "eagle3", "dflash", "dspark", "draft_model", "n_gram"]


class Drafts(NamedTuple):
    """Speculative decoding as an engine takes it."""

    tokens: int
    """Number of drafted tokens per sequence and step."""
    method: Method
    """Method that drafts."""
    model: str | None
    """Name of the draft model; None for methods without one."""


@dataclass(frozen=True)
class Served:
    """The settings of one pool. Limits are those of one attention data-parallel rank."""

    deployment: Deployment
    """Pool with the model that it serves."""

    @property
    def plan(self) -> ReplicaPlan:
        """Plan of each replica."""
        return self.deployment.pool.replica

    @property
    def engine(self) -> Engine:
        """Engine with the values that it chooses on the pool's devices."""
        return self.deployment.pool.engine

    @property
    def stage_devices(self) -> int:
        """Number of devices per pipeline stage."""
        return self.plan.stage_devices

    @property
    def nodes(self) -> int:
        """Number of nodes that hold one replica."""
        return -(-self.deployment.devices_per_replica // self.deployment.pool.node.devices)

    @property
    def weights(self) -> Precision | None:
        """Precision of the weights; None if it is the published one."""
        weights, native = self.deployment.weights, self.deployment.model.native
        return None if weights == native else weights

    @property
    def base_model(self) -> str:
        """Name of the published checkpoint on the hub, else of the model in the catalog."""
        return server_name(self.deployment.model.name)

    @property
    def quantised_model(self) -> str | None:
        """Name of a checkpoint in the precision of the weights; None if none is listed."""
        return hub_name(self.deployment.model.name, self.weights) if self.weights else None

    @property
    def loaded_model(self) -> str:
        """Model that servers load which quantise weights themselves, except to fp4."""
        quantised = self.quantised_model if self.weights == "fp4" else None
        return quantised or self.base_model

    @property
    def sequences(self) -> int:
        """Number of batch slots."""
        return self.deployment.pool.max_sequences // self.plan.data_parallel

    @property
    def tokens(self) -> int | None:
        """Maximum number of tokens per step; None with static batching."""
        batching = self.deployment.pool.batching
        return batching.step_tokens(self.engine) if batching.is_continuous else None

    @property
    def context(self) -> int:
        """Longest sequence: that of the model, or as much as the KV cache of a rank holds."""
        deployment = self.deployment
        held = deployment.kv_tokens // self.plan.data_parallel
        return min(deployment.model.max_context, held)

    @property
    def memory_fraction(self) -> float | None:
        """Share of memory that the engine uses; None if it follows from the engine's rule."""
        if self.engine.static_reserve is not None:
            return self.deployment.pool.kv.memory_fraction
        return self.deployment.pool.kv.memory_fraction or self.engine.memory_fraction

    @property
    def rules(self) -> dict[str, object]:
        """Rules of admission: keys of continuous batching with the engine's values."""
        pool = self.deployment.pool
        return pool.batching.with_defaults(pool.engine).model_dump()

    @property
    def prefill_first(self) -> PrefillFirst | None:
        """Rules of steps that prefill instead of decode; None if a step does both."""
        pool = self.deployment.pool
        if not pool.batching.is_continuous or self.plan.role != "both":
            return None
        chosen = pool.batching.with_defaults(pool.engine)
        rules: PrefillFirst | None = getattr(chosen, "prefill_first", None)
        return rules

    @property
    def limits(self) -> StepLimits:
        """Limits of the steps, on which the sizes of CUDA graphs depend."""
        drafts = self.plan.speculation.draft_tokens if self.plan.speculation else 0
        tokens = self.deployment.pool.batching.step_tokens(self.engine)
        return StepLimits(self.sequences, tokens, drafts)

    def graph_sizes(self, profile: Engine) -> tuple[int, ...] | None:
        """Return the captured sizes of CUDA graphs; None if they are those of the profile."""
        own, usual = self.engine, profile.on(self.deployment.device, self.stage_devices)
        if own.graph_sizes == usual.graph_sizes:
            return None
        return (own.graph_sizes or GraphSizes()).captured(self.limits)

    @property
    def host_bytes(self) -> float | None:
        """Capacity of the host tier of one replica [B]; None without one as the only tier."""
        tiers = self.deployment.pool.kv.offload
        is_own_host = [(tier.tier, tier.shared) for tier in tiers] == [("host", "replica")]
        return tiers[0].capacity_bytes if is_own_host else None

    @property
    def drafts(self) -> Drafts | None:
        """Speculative decoding; None without drafts."""
        speculation = self.plan.speculation
        if speculation is None:
            return None
        method, model = _method(speculation)
        return Drafts(speculation.draft_tokens, method, model)


def _method(speculation: Speculation) -> tuple[Method, str | None]:
    """Return the method that drafts, and the name of the model or head that does; None without."""
    if speculation.draft_model is not None:
        return "draft_model", server_name(speculation.draft_model.name)
    if speculation.mtp_layers is not None:
        return "mtp", None
    drafter = speculation.drafter
    if drafter is None or speculation.draft_cost is not None:
        return "n_gram", None
    if drafter.method in ("mtp", "n_gram"):
        return drafter.method, None
    return drafter.method, entry_of("drafters", drafter.name) or drafter.name
