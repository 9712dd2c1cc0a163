"""Set-up of a deployment, as far as it decides which measured runs are like it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.deployment.fleet import Fleet
from cluster_sim.llm.model import Model
from cluster_sim.physics.replica_layout import layout_name
from cluster_sim.serving.engine import Engine
from cluster_sim.serving.profiles import entry_of, profile_of
from cluster_sim.serving.scheduler import Continuous

_CHANGED = " (changed)"
_OF_CLIENTS = (
    "stream_interval",
    "stream_rule",
    "first_chunk_delay",
    "detokenisation_s",
    "releases",
    "fitted_on",
)
"""Keys of engines that change no step."""


class SetupKey(NamedTuple):
    """Model, precision, drafts, engine, device, layout and formats of a deployment."""

    family: str
    """Family of the model: dense or experts, and its kinds of attention and states."""
    parameters_b: float
    """Number of the model's weights, in thousand millions with one decimal."""
    precision: str
    """Precision of the weights."""
    drafts: str
    """Number of drafted tokens per step; `no` without drafts."""
    engine: str
    """Catalog name of the engine profile, before changes, followed by the attention back end if it is
    not the default."""
    device: str
    """Name of the device."""
    layout: str
    """Parallelism of a replica, such as TP8; that of all pools if prefill and decode are apart."""
    kv_cache: str = ""
    """Format of the KV cache."""
    settings: str = ""
    """Settings that change the scheduler or the engine's times; empty for those of the profile."""

    @property
    def engine_name(self) -> str:
        """Name of the engine without its release; names of pools apart are joined."""
        names = (engine.split(" ")[0].split("-")[0] for engine in self.engine.split("+"))
        return "+".join(dict.fromkeys(names))


def setup_keys(fleet: Fleet) -> list[SetupKey]:
    """Return the set-up of each deployment; pools for prefill and decode are one set-up.

    Parameters
    ----------
    fleet
        Deployments of a scenario.
    """
    apart = [each for each in fleet.deployments if each.role != "both"]
    keys = [_key(each, _layout(each)) for each in fleet.deployments if each.role == "both"]
    if apart:
        ordered = sorted(apart, key=lambda each: each.role != "prefill")
        layout = "+".join(f"{each.replica_count}x{_layout(each)}" for each in ordered)
        keys.append(_together([_key(each, layout) for each in ordered]))
    return keys


def _together(keys: Sequence[SetupKey]) -> SetupKey:
    """Return the set-up of pools apart; a property in which they differ lists all values."""
    joined: dict[str, Any] = {
        name: "+".join(dict.fromkeys(filter(None, (getattr(key, name) for key in keys))))
        for name in ("precision", "drafts", "engine", "device", "kv_cache", "settings")
    }
    # only the pools that decode have drafts
    return keys[-1]._replace(**joined | {"drafts": keys[-1].drafts})


def family_of(model: Model) -> str:
    """Return the family of a model.

    Examples
    --------
    >>> from cluster_sim.llm.model import Model
    >>> from cluster_sim.schema import Document, catalog_entry, describe
    >>> entry = catalog_entry("models", "gpt-oss-120b")
    >>> family_of(describe(Model, Document(entry, "gpt-oss-120b")))
    'experts, full and window'
    """
    kinds = {
        f"{'indexed ' if layers.is_chosen else ''}{layers.kind.replace('_', ' ')}"
        for layers in model.attention
    }
    return f"{'dense' if model.experts is None else 'experts'}, {' and '.join(sorted(kinds))}"


def _key(deployment: Deployment, layout: str) -> SetupKey:
    plan = deployment.pool.replica
    return SetupKey(
        family=family_of(deployment.model),
        parameters_b=round(deployment.model.total_parameters / 1e9, 1),
        precision=deployment.weights,
        drafts="no" if plan.speculation is None else str(plan.speculation.draft_tokens),
        engine=profile_name(plan.engine).removesuffix(_CHANGED),
        device=deployment.device.name,
        layout=layout,
        kv_cache=plan.kv_cache,
        settings=", ".join(_settings(deployment)),
    )


def _settings(deployment: Deployment) -> Iterator[str]:
    """Yield the settings of a deployment that its engine profile does not have."""
    pool, engine = deployment.pool, deployment.pool.replica.engine
    profile = profile_of(engine)
    if profile is None or _plain(engine) != _plain(profile):
        yield "changed engine"
    if not pool.batching.is_continuous:
        yield "static batching"
    elif pool.batching.admission(engine, "both") != Continuous().admission(engine, "both"):
        yield "another scheduler"


def _plain(engine: Engine) -> Engine:
    """Return an engine without its attention back end and the keys that change no step."""
    keys = (*_OF_CLIENTS, "attention_backend")
    plain = {name: Engine.model_fields[name].get_default() for name in keys}
    return engine.model_copy(update=plain | {"name": engine.profile})


def _layout(deployment: Deployment) -> str:
    plan = deployment.pool.replica
    if deployment.pool.is_wafer:
        return "wafers"
    return layout_name(
        plan.tensor_parallel, plan.pipeline_parallel, plan.data_parallel, plan.expert_parallel
    )


def profile_name(engine: Engine) -> str:
    """Return the catalog name of an engine profile, with its attention back end if it has one.

    A profile with other changes is marked `(changed)`.

    Examples
    --------
    >>> from cluster_sim.serving.profiles import profiles
    >>> vllm = profiles()["vllm-0.15"]
    >>> profile_name(vllm), profile_name(vllm.model_copy(update={"max_sequences": 64}))
    ('vllm-0.15', 'vllm-0.15 (changed)')
    >>> profile_name(vllm.model_copy(update={"attention_backend": "flashinfer"}))
    'vllm-0.15 with flashinfer'
    """
    name = with_backend(entry_of(engine) or engine.profile, engine)
    plain = engine.model_copy(update={"attention_backend": "default"})
    return name if plain == profile_of(engine) else f"{name}{_CHANGED}"


def with_backend(name: str, engine: Engine) -> str:
    """Return the name of a profile, with the engine's attention back end if it has one."""
    backend = engine.attention_backend
    return name if backend == "default" else f"{name} with {backend}"
