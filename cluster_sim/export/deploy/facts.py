"""Facts of a pool: everything that it depends on, by dotted key, with the engine's values filled in.

Two pools with equal facts are the same deployment, however their files were written.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any, TypeVar

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.errors import ScenarioError, shown
from cluster_sim.export.deploy.hub_names import entry_of
from cluster_sim.export.deploy.served import Served
from cluster_sim.llm.config_files import read_model
from cluster_sim.llm.model import Model
from cluster_sim.schema import LIKE, Description, Document, describe, named
from cluster_sim.serving.engine import Engine

Made = TypeVar("Made", bound=Description)
Plain = dict[str, Any]

_IN_BATCHING = frozenset(
    {
        "max_sequences",
        "max_batched_tokens",
        "chunked_prefill",
        "attention_dp_batching_wait_iterations",
        "attention_dp_timeout_iterations",
        "batch_wait_timeout_iterations",
        "batch_wait_max_tokens_ratio",
        "capacity_scheduler_policy",
        "load_balance_method",
        "prefill_first",
    }
)
"""Keys of an engine whose values are among the facts as keys of `batching`."""
_IN_KV = frozenset({"block_tokens", "memory_fraction", "watermark"})
"""Keys of an engine whose values are among the facts as keys of `kv`."""
GRAPHS = ("graph_mode", "graph_sizes", "prefill_graph_sizes", "graph_batches")
"""Keys of an engine about CUDA graphs, which the facts have as captured sizes."""


def plain(value: Description) -> Plain:
    """Return a description as a file writes it, without defaults."""
    return value.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)


def entry(kind: str, value: Description) -> str | Plain:
    """Return a description as a name of the catalog, as a name with changes, or as a mapping."""
    name = entry_of(kind, value.model_dump(include={"name"})["name"])
    if name is None:
        return plain(value)
    entry_value = catalog_value(kind, type(value), name)
    if value == entry_value:  # without writing out the thousand quantities of a device
        return name
    changes = _changes(value, entry_value)
    return {LIKE: name, **changes} if changes else name


def _changes(value: Description, entry_value: Description) -> Plain:
    """Return the changes that make a catalog's entry the description; null removes a key."""
    own, usual = plain(value), plain(entry_value)
    changes = _differences(own, usual)
    defaults = value.model_dump(mode="json", by_alias=True, exclude_none=True)
    changes |= {key: defaults[key] for key in changes if changes[key] is None and key in defaults}
    if "name" in changes and (new := own["name"].partition(f" ({LIKE} ")[0]) != own["name"]:
        changes["name"] = new
    elif "name" in changes and own["name"] == f"{LIKE} {usual['name']}":
        del changes["name"]
    return changes


def _differences(own: Plain, usual: Plain) -> Plain:
    """Return the keys that differ. Mappings are merged, so that theirs are compared as well."""
    changes: Plain = {}
    for key in own | usual:
        here, there = own.get(key), usual.get(key)
        if isinstance(here, dict) and isinstance(there, dict):
            here = _differences(here, there) or there
        if here != there:
            changes[key] = here
    return changes


@cache
def catalog_value(kind: str, cls: type[Made], name: str) -> Made:
    """Return an entry of the catalog."""
    values = read_model(name) if issubclass(cls, Model) else named(kind, name)
    return describe(cls, Document(values, name))


def profile_of(engine: Engine) -> Engine:
    """Return the catalog's engine of the same release; the engine itself if there is none."""
    name = entry_of("engines", engine.name)
    return engine if name is None else catalog_value("engines", Engine, name)


def facts(deployment: Deployment) -> Plain:
    """Return all facts of a pool by dotted key, as a file would write them."""
    pool, served = deployment.pool, Served(deployment)
    written = pool.model_dump(
        mode="json",
        by_alias=True,
        exclude_none=True,
        include={"name", "nodes", "power_limit_w", "replica", "kv"},
        exclude={"replica": {"engine", "speculation"}},
    )
    found: Plain = {key: written[key] for key in ("name", "nodes", "power_limit") if key in written}
    found["node"] = entry("nodes", pool.node)
    if pool.placement != "in_order":
        found["placement"] = pool.placement
    if pool.frequency is not None:
        found["frequency"] = {"policy": pool.frequency.policy, **plain(pool.frequency)}
    if pool.prices is not None:
        found["prices"] = entry("prices", pool.prices)
    if pool.autoscale is None:
        found["replicas"] = deployment.replica_count
    else:
        found["autoscale"] = {"metric": pool.autoscale.metric, **plain(pool.autoscale)}
    found |= {f"replica.{key}": value for key, value in written["replica"].items()}
    found["replica.weights"] = deployment.weights
    found |= _engine(served)
    if (speculation := pool.replica.speculation) is not None:
        mapping = plain(speculation)
        for key, kind in (("drafter", "drafters"), ("draft_model", "models")):
            if (value := getattr(speculation, key)) is not None:
                mapping[key] = entry(kind, value)
        found |= {f"replica.speculation.{key}": value for key, value in mapping.items()}
    found |= _batching(served)
    found |= {f"kv.{key}": value for key, value in written["kv"].items()}
    found |= {"kv.block_tokens": pool.block_tokens, "kv.watermark": pool.watermark}
    if served.memory_fraction is not None:
        found["kv.memory_fraction"] = served.memory_fraction
    return found


def _engine(served: Served) -> Plain:
    """Return the engine's profile and the keys that differ from it."""
    engine = served.plan.engine
    name = entry_of("engines", engine.name)
    if name is None:
        return {"replica.engine": plain(engine)}
    elsewhere = _IN_BATCHING | _IN_KV | set(GRAPHS)
    return {"replica.engine": name} | {
        f"replica.engine.{key}": value
        for key, value in _engine_changes(engine).items()
        if key not in elsewhere
    }


def _engine_changes(engine: Engine) -> Plain:
    """Return the keys of an engine that differ from those of its profile."""
    return _changes(engine, profile_of(engine))


def graph_facts(deployment: Deployment) -> Any:
    """Return the captured sizes of CUDA graphs; None without a mode of graphs."""
    served = Served(deployment)
    return served.engine.graph_batches, served.engine.graphs(served.limits)


def graph_keys(deployment: Deployment) -> Plain:
    """Return the keys about CUDA graphs, as changes of the engine's profile."""
    engine = deployment.pool.replica.engine
    changes = _engine_changes(engine)
    found = {key: changes[key] for key in GRAPHS if key in changes}
    found["graph_mode"] = engine.graph_mode
    return {f"replica.engine.{key}": value for key, value in found.items()}


def _batching(served: Served) -> Plain:
    batching = served.deployment.pool.batching
    found: Plain = {"batching.policy": batching.policy, "batching.max_sequences": served.sequences}
    if not batching.is_continuous:
        return found
    chosen = batching.with_defaults(served.engine)
    written = chosen.model_dump(mode="json", by_alias=True, exclude_none=True)
    rules = written.pop("prefill_first", None) or {}
    found |= {f"batching.{key}": value for key, value in written.items() if key != "max_sequences"}
    found |= {f"batching.prefill_first.{key}": value for key, value in rules.items()}
    found["batching.max_batched_tokens"] = served.tokens
    found["batching.chunked_prefill"] = served.deployment.pool.chunked_prefill
    return found


def nested(flat: Plain) -> Plain:
    """Return dotted keys as a mapping. Keys of an engine are changes of the named engine.

    >>> nested({"kv.block_tokens": 16, "replica.engine": "vllm", "replica.engine.stream_interval": 2})
    {'kv': {'block_tokens': 16}, 'replica': {'engine': {'like': 'vllm', 'stream_interval': 2}}}
    """
    tree: Plain = {}
    for key in sorted(flat, key=lambda key: key.count(".")):
        *above, last = key.split(".")
        section = tree
        for name in above:
            inner = section.setdefault(name, {})
            if isinstance(inner, str):
                inner = section[name] = {LIKE: inner}
            elif inner is None:
                inner = section[name] = {}
            elif not isinstance(inner, dict):
                raise ScenarioError.at(name, f"got {shown(inner)}; expected a mapping")
            section = inner
        section[last] = flat[key]
    return tree


def text_of(value: Any) -> str:
    """Return a value as one line of YAML."""
    is_plain = isinstance(value, str) and value.replace("-", "").replace(".", "").isalnum()
    return str(value) if is_plain else json.dumps(value, ensure_ascii=False)
