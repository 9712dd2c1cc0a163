"""A scenario in words, and small tables for notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from cluster_sim.errors import visible

if TYPE_CHECKING:
    from cluster_sim.llm.model import Model
    from cluster_sim.scenario.pool import Pool
    from cluster_sim.scenario.scenario import Scenario
    from cluster_sim.schema import Description


def described(
    scenario: Scenario, devices_per_replica: Mapping[str, int] | None = None
) -> dict[str, str]:
    """Return what a scenario simulates: heading -> sentence.

    Parameters
    ----------
    scenario
        Scenario to describe.
    devices_per_replica
        Number of devices of a replica by the name of its pool. Default: numbers that depend on the
        weights are omitted.
    """
    workload, model = scenario.workload, scenario.model
    lines = {"model": model.name}
    if workload.trace is not None:
        lines["traffic"] = f"trace {_parts(workload.trace)}"
    elif workload.sessions is not None:
        lines["traffic"] = f"sessions: {_parts(workload.sessions)}"
    elif workload.arrivals is not None:
        lines["arrivals"] = _parts(workload.arrivals)
    for name in ("prompt_tokens", "output_tokens"):
        if (lengths := getattr(workload, name)) is not None:
            lines[name.replace("_", " ")] = _parts(lengths)
    if workload.classes:
        lines["classes"] = "; ".join(
            f"{each.name}: {100 * each.share:g} %" for each in workload.classes
        )
    if slo := _parts(scenario.slo):
        lines["SLO"] = slo
    for pool in scenario.cluster.pools:
        size = (devices_per_replica or {}).get(pool.name, pool.replica_devices)
        lines[f"pool {pool.name}"] = _pool(pool, scenario.model, size)
    lines["router"] = _parts(scenario.cluster.router)
    if scenario.cluster.admission.policy != "accept_all":
        lines["admission"] = _parts(scenario.cluster.admission)
    if scenario.cluster.contention != "shared":
        lines["contention"] = scenario.cluster.contention
    if scenario.site is not None and (site := _parts(scenario.site)):
        lines["site"] = site
    ends = {"duration": scenario.duration_s, "warm-up": scenario.warmup_s or None}
    lines["run"] = ", ".join(
        [
            *(f"{name} {value:g} s" for name, value in ends.items() if value is not None),
            f"seed {scenario.seed}",
        ]
    )
    return lines


def scenario_html(scenario: Scenario) -> str:
    """Return the description of a scenario as a table, for notebooks."""
    return html_table(scenario.title, described(scenario))


def as_html(text: str) -> str:
    r"""Return a text as HTML, safe between tags and in quotes.

    >>> as_html("<b> & \"\x1b\"")
    '&lt;b&gt; &amp; &quot;\\x1b&quot;'
    """
    return escape(visible(text))


def html_table(caption: str, rows: Mapping[str, str]) -> str:
    """Return a table of two columns, heading and value, with everything escaped."""
    shown = {as_html(name): as_html(value) for name, value in rows.items()}
    lines = "".join(
        f'<tr><th scope="row" style="text-align:left">{name}</th><td>{value}</td></tr>'
        for name, value in shown.items()
    )
    return f'<table><caption style="text-align:left"><b>{as_html(caption)}</b></caption>{lines}</table>'


def _pool(pool: Pool, model: Model, devices_per_replica: int) -> str:
    plan = pool.replica
    parts = [f"{pool.nodes} x {pool.node.name}"]
    if devices_per_replica:
        count = pool.replica_count(devices_per_replica)
        noun = "replica" if count == 1 else "replicas"
        sizes = pool.autoscale.sizes if pool.autoscale else count
        parts.append(f"{sizes} {noun} of {devices_per_replica} {pool.node.device.name}")
    parts += [
        f"{name.replace('_', ' ')} {getattr(plan, name)}"
        for name in ("pipeline_parallel", "data_parallel", "expert_parallel")
        if getattr(plan, name) > 1
    ]
    parts += [
        f"weights {plan.weights_of(model)}",
        f"KV cache {plan.kv_cache}",
        f"engine {plan.engine.name}",
    ]
    if plan.role != "both":
        parts.append(f"role {plan.role}")
    if pool.frequency is not None:
        parts.append(f"clock by {pool.frequency.policy}")
    if pool.autoscale is not None:
        parts.append(f"scaled to {pool.autoscale.aim}")
    return ", ".join(parts)


def _parts(description: Description) -> str:
    """Return keys and values as a scenario file writes them, without defaults.

    The kind is first if there is one.
    """
    written = description.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude_defaults=True
    )
    own = description.model_dump(mode="json", by_alias=True)
    kind = next(
        (str(own[key]) for key in ("process", "distribution", "policy", "format") if key in own), ""
    )
    keys = ", ".join(
        f"{key.replace('_', ' ')} {_value(value)}"
        for key, value in written.items()
        if str(value) != kind
    )
    return f"{kind}: {keys}" if kind and keys else kind or keys


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "(" + ", ".join(f"{key} {_value(item)}" for key, item in value.items()) + ")"
    if isinstance(value, list):
        return ", ".join(map(_value, value)) if len(value) <= 6 else f"({len(value)} values)"
    number, _, unit = str(value).partition(" ")
    try:
        short = f"{float(number):.6g}"
    except ValueError:
        return str(value)
    return f"{short} {unit}".rstrip()
