"""A scenario: everything that one run depends on, read from a file and checked as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, PlainSerializer

from cluster_sim.economics.token_prices import TokenPrices
from cluster_sim.errors import shown
from cluster_sim.hardware.engine_releases import maker
from cluster_sim.limits import COUNT, SEED
from cluster_sim.llm.config_files import read_model
from cluster_sim.llm.model import Model
from cluster_sim.scenario.cluster import Cluster
from cluster_sim.scenario.domains import domain_warnings
from cluster_sim.scenario.empty_hosts import empty_host_warnings
from cluster_sim.scenario.failure_rates import rate_warnings
from cluster_sim.scenario.foreign_names import FOREIGN_NAMES
from cluster_sim.scenario.pools_at_zero import zero_warnings
from cluster_sim.scenario.routed import routed
from cluster_sim.scenario.site import Site
from cluster_sim.scenario.unmeasured import (
    default_times,
    narrow_weights,
    slow_integers,
    unmeasured_device,
    unmeasured_experts,
    unmeasured_groups,
    unmeasured_kinds,
)
from cluster_sim.scenario.workload import Workload
from cluster_sim.schema import Description, Named, yaml_text
from cluster_sim.serving.routing import Routed
from cluster_sim.typing import Count
from cluster_sim.units import PositiveSeconds, Seconds
from cluster_sim.workload.classes import Slo


def _one_in(value: Any) -> Any:
    """Return the 250 of a share such as 1/250."""
    numerator, slash, count = value.partition("/") if isinstance(value, str) else ("", "", "")
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not slash or numerator.strip() != "1" or not count.strip().isdecimal():
        raise ValueError(f"got {shown(value)}; expected a share such as 1/250")
    return int(count)


Sample = Annotated[
    int,
    BeforeValidator(_one_in, json_schema_input_type=str),
    PlainSerializer(lambda one_in: f"1/{one_in}"),
    Field(gt=0),
    COUNT,
]


class Scenario(Description):
    """One run of the simulator: model, traffic, cluster, and the seed of every random choice."""

    keys_beside: ClassVar[tuple[str, ...]] = ("variants", "sweep", "capacity", "plan")
    foreign_names: ClassVar[Mapping[str, str]] = FOREIGN_NAMES

    name: str
    """Name of the scenario, which is also the name of its run folder."""
    variant: str | None = None
    """Name of the variant of the file."""
    seed: Annotated[int, Field(ge=0), SEED] = 0
    """Seed of every random choice."""
    duration_s: PositiveSeconds | None = None
    """Time at which arrivals stop [s]. Default: arrivals stop after `requests`, or at the end of a
    trace."""
    drain_s: Seconds = 3600.0
    """Maximum time from the end of arrivals to the end of the run [s]. The run ends earlier if the
    last request has left."""
    warmup_s: Seconds = 0.0
    """Time before which arriving requests load the cluster but are excluded from the statistics
    [s]."""
    sample: Sample | None = None
    """Share of a large fleet under Poisson traffic that is simulated. 1/250 simulates one in 250
    nodes and requests, and multiplies totals back. Default: the whole fleet."""
    stands_for: Count = 1
    """Number of nodes and requests that each simulated one represents. `sample` sets it."""
    stepping: Literal["stretch", "step"] = "stretch"
    """Number of engine steps per event. stretch: many engine steps in one event, in closed form.
    step: each step is an event, which is slower and gives the same results."""
    model: Annotated[Model, Named("models", read_model)]
    """Model that is served: a catalog name, the path of a Hugging Face config.json or of a model
    file, or a mapping with its keys, such as `{like: llama-3.3-70b, layers: 40}`."""
    token_prices: Annotated[TokenPrices, Named("token_prices")] | None = None
    """Prices at which tokens are sold: a catalog name, the path of a file of prices, or a mapping
    with its keys. Default: the prices in the model's file."""
    workload: Workload
    """Traffic that arrives at the cluster."""
    slo: Slo = Field(default_factory=Slo)
    """Service-level objectives of requests whose class has no objectives of its own. Default: no
    objectives."""
    cluster: Cluster
    """Nodes that serve, and the policies that distribute requests to them."""
    site: Site | None = None
    """Site of the cluster: cooling, power caps, failures, prices of energy. Default: no
    temperatures, power caps or failures."""

    @property
    def title(self) -> str:
        """Name and variant of the scenario."""
        return f"{self.name}/{self.variant}" if self.variant else self.name

    @property
    def sold_at(self) -> TokenPrices | None:
        """Prices at which tokens are sold; None if they are unknown."""
        return self.token_prices or self.model.token_prices

    @property
    def slos(self) -> list[Slo]:
        """Objectives of each class of requests; the scenario's objectives if there are no classes.

        A class without a percentile has that of the scenario.
        """
        return [
            (each.slo or self.slo).at(self.slo.percentile) for each in self.workload.classes
        ] or [self.slo]

    @property
    def routed(self) -> Routed:
        """Facts that matter to the router."""
        return routed(self.model, self.workload, self.cluster.pools)

    @cached_property
    def requests_wanted(self) -> int | None:
        """Number of requests after which arrivals stop; None if it is unknown."""
        workload = self.workload
        if workload.trace:
            return workload.trace.limit
        source = workload.sessions or workload.arrivals
        return source.requests if source else None

    def warnings(self) -> Iterator[str]:
        """Yield the unmeasured figures and the gaps in the model's file on which the run depends."""
        speculations = (pool.replica.speculation for pool in self.cluster.pools)
        drafters = (each.drafting_model for each in speculations if each is not None)
        for model in (self.model, *(drafter for drafter in drafters if drafter is not None)):
            for note in model.notes or ():
                yield f"{model.name}: {note}"
        for pool in self.cluster.pools:
            if (below := pool.offer_below_materials) is not None:
                yield f"prices of pool {pool.name}: {below}"
            if (speculation := pool.replica.speculation) is not None:
                yield from speculation.warnings(self.model.name)
            yield from pool.warnings_of_clocks()
            device = pool.node.device
            engine = pool.replica.engine
            yield from default_times(device, engine.profile)
            nowhere, partly = unmeasured_kinds(
                self.model, device, pool.replica.kv_cache, engine.profile
            )
            for kinds, kernels in ((nowhere, "no"), (partly, "not all")):
                if kinds:
                    yield (
                        f"{device.name}: {kernels} kernels of {' and '.join(kinds)} were measured with {engine.name}; the step times of {self.model.name} are a roofline for them"
                    )
            yield from unmeasured_device(device)
            weights = pool.replica.weights_of(self.model)
            yield from unmeasured_experts(self.model, device, pool.replica.layout_of(self.model))
            yield from unmeasured_groups(device, pool.replica.stage_devices // pool.node.devices)
            yield from narrow_weights(device, weights)
            yield from slow_integers(self.model, device, weights)
        yield from self.cluster.router.warnings(self.routed)
        yield from zero_warnings(self.cluster)
        yield from domain_warnings(self.cluster)
        yield from empty_host_warnings(self.cluster, self.site)
        for clients in (self.workload.clients, *(each.clients for each in self.workload.classes)):
            if clients is not None:
                yield from (f"clients: {text}" for text in clients.warnings())
        yield from self._mixed_engines()
        yield from self._chunks_of_ranks()
        yield from self._idle_tiers()
        if self.site is not None and self.site.failures is not None:
            yield from rate_warnings(self.site.failures, self.cluster.pools)

    def _mixed_engines(self) -> Iterator[str]:
        """Yield a warning for KV transfers between pools of different engines."""
        makers: dict[str, list[str]] = {"prefill": [], "decode": []}
        for pool in self.cluster.pools:
            if pool.replica.role in makers:
                makers[pool.replica.role].append(maker(pool.replica.engine.profile))
        senders, receivers = (sorted(set(names)) for names in makers.values())
        if senders and receivers and senders != receivers:
            yield f"KV transfer from {' and '.join(senders)} to {' and '.join(receivers)}; no engine is known to take the KV cache of another one"

    def _chunks_of_ranks(self) -> Iterator[str]:
        """Yield a warning for each pool in which SGLang would divide its chunk by the ranks."""
        for pool in self.cluster.pools:
            ranks = pool.replica.data_parallel
            chunk = getattr(pool.batching, "max_batched_tokens", None)
            prefills = pool.batching.is_continuous and pool.replica.role != "decode"
            if pool.engine.prefill_first is None or ranks == 1 or chunk or not prefills:
                continue
            tokens = pool.max_batched_tokens // ranks
            yield f"pool '{pool.name}': each of {ranks} ranks takes chunks of {tokens:,} tokens; {pool.engine.profile} divides its chunk by the ranks. batching.max_batched_tokens sets the chunk of a rank"

    def _idle_tiers(self) -> Iterator[str]:
        """Yield a warning for each pool whose tiers keep nothing."""
        if not any(kind.window_values() for kind in self.model.attention):
            return
        for pool in self.cluster.pools:
            if pool.kv.offload and not pool.is_wafer:
                yield f"pool '{pool.name}': the tiers of kv.offload keep nothing of {self.model.name}, because its layers with a window share their blocks with the other layers. This version searches only the cache of the devices for them"

    def as_yaml(self) -> str:
        """Return the resolved scenario as the text of a scenario file.

        Reading the text gives this scenario again.
        """
        return yaml_text(self.model_dump(mode="json", by_alias=True, exclude_none=True))

    def _repr_html_(self) -> str:
        """Return the scenario as a table, for notebooks."""
        # The only circular import of the package: describe.py reads the fields of a Scenario, and
        # notebooks ask the Scenario for its table. It is imported when a notebook asks.
        from cluster_sim.scenario.describe import scenario_html

        return scenario_html(self)
