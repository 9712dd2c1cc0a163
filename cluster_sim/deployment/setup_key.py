"""Set-up of a deployment, as far as it decides which measured runs are like it."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.deployment.fleet import Fleet
from cluster_sim.llm.model import Model
from cluster_sim.schema import Document, catalog_entry, catalog_names, describe, second_names
from cluster_sim.serving.engine import Engine


class SetupKey(NamedTuple):
    """Model, precision, drafts, engine, device and layout of a deployment."""

    family: str
    """Family of the model: dense or experts, and its kinds of attention and states."""
    parameters_b: float
    """Number of the model's weights, in thousand millions with one decimal."""
    precision: str
    """Precision of the weights."""
    drafts: str
    """Whether tokens are drafted: `yes` or `no`."""
    engine: str
    """Catalog name of the engine profile; for a changed profile the engine's name and `(changed)`."""
    device: str
    """Name of the device."""
    layout: str
    """Parallelism of a replica, such as TP8; that of all pools if prefill and decode are apart."""

    @property
    def engine_name(self) -> str:
        """Name of the engine without its release."""
        return self.engine.split(" ")[0].split("-")[0]


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
        keys.append(_key(ordered[-1], layout))
    return keys


def family_of(model: Model) -> str:
    """Return the family of a model.

    Examples
    --------
    >>> from cluster_sim.llm.model import Model
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
        drafts="no" if plan.speculation is None else "yes",
        engine=profile_name(plan.engine),
        device=deployment.device.name,
        layout=layout,
    )


def _layout(deployment: Deployment) -> str:
    plan = deployment.pool.replica
    if deployment.pool.is_wafer:
        return "wafers"
    sizes = (
        ("TP", plan.tensor_parallel),
        ("PP", plan.pipeline_parallel),
        ("DP", plan.data_parallel),
        ("EP", plan.expert_parallel),
    )
    return "".join(f"{name}{size}" for name, size in sizes if size > 1 or name == "TP")


def profile_name(engine: Engine) -> str:
    """Return the catalog name of an engine profile; a changed profile is marked `(changed)`.

    Examples
    --------
    >>> vllm = describe(Engine, Document(catalog_entry("engines", "vllm-0.15"), "vllm-0.15"))
    >>> profile_name(vllm), profile_name(vllm.model_copy(update={"max_sequences": 64}))
    ('vllm-0.15', 'vllm-0.15 (changed)')
    """
    for name, profile in _profiles().items():
        if profile == engine:
            return name
    alike = (name for name, profile in _profiles().items() if profile.profile == engine.profile)
    return f"{next(alike, engine.profile)} (changed)"


@cache
def _profiles() -> dict[str, Engine]:
    """Return the engine profiles of the catalog, bare names of engines first.

    Names that stand for a release are omitted.
    """
    entries = set(catalog_names("engines")) - set(second_names("engines"))
    names = sorted(entries, key=lambda name: ("-" in name, name))
    return {
        name: describe(Engine, Document(catalog_entry("engines", name), name)) for name in names
    }
