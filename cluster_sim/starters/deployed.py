"""Scenario of a deployment: pools as serve arguments or a manifest state them, beside chosen traffic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import ceil, inf
from pathlib import Path
from typing import Any

from cluster_sim.export.deploy import Deployed
from cluster_sim.export.deploy.facts import nested
from cluster_sim.scenario.pool import Pool
from cluster_sim.schema import Document, describe
from cluster_sim.starters.answers import Answers
from cluster_sim.starters.flow_text import flow_text
from cluster_sim.starters.template import (
    comment_lines,
    line_beside,
    objective_lines,
    workload_lines,
)


def cluster_of(deployment: Deployed, node: str) -> dict[str, Any]:
    """Return the section `cluster` of a scenario.

    Parameters
    ----------
    deployment
        Deployment that was read.
    node
        Node of pools whose node is not stated.
    """
    pools = [_pool(nested({"node": node} | flat)) for flat in deployment.pools]
    return {"pools": pools, **deployment.cluster}


def longest_request(cluster: Mapping[str, Any]) -> float:
    """Return the longest request that fits into a step of each pool, if prompts stay whole."""
    limit = inf
    for keys in cluster["pools"]:
        pool = describe(Pool, Document(keys, "--from"))
        if pool.batching.is_continuous and not pool.chunked_prefill:
            limit = min(limit, pool.max_batched_tokens // pool.replica.data_parallel)
    return limit


def _pool(pool: dict[str, Any]) -> dict[str, Any]:
    """Return a pool with the number of nodes that its replicas need, if it is not stated."""
    if "autoscale" not in pool:
        pool.setdefault("replicas", 1)
    if "nodes" not in pool:
        one = describe(Pool, Document(pool, "--from"))
        devices = one.replica_devices * one.replica_count(1)
        pool["nodes"] = ceil(devices / one.node.devices)
    first = ("name", "node", "nodes", "replicas")
    return _without_ignored({key: pool[key] for key in first if key in pool} | pool)


def _without_ignored(keys: dict[str, Any]) -> dict[str, Any]:
    """Return a pool without the keys that its scheduler ignores, which servers may state."""
    pool = describe(Pool, Document(keys, "--from"))
    sections = {"batching": keys.get("batching"), "kv": keys.get("kv")}
    sections["engine"] = keys["replica"].get("engine")
    ranks, role = pool.replica.data_parallel, pool.replica.role
    for section, key, _ in pool.batching.ignored_keys(pool.engine, role, ranks):
        if isinstance(written := sections[section], dict):
            written.pop(key, None)
    return {key: value for key, value in keys.items() if value != {}}


def deployed_text(keys: Mapping[str, Any], answers: Answers, file: Path) -> str:
    """Return the text of a scenario file.

    Parameters
    ----------
    keys
        Keys of the scenario.
    answers
        Answers that it was made from.
    file
        File that it is written to, for the commands in its comments.
    """
    lines = [
        *comment_lines(
            f"How does the deployment of {answers.recorded.path} serve this traffic within TTFT {answers.slo['ttft']} and TPOT {answers.slo['tpot']} at p{answers.slo['percentile']}?"
        ),
        "#",
        *comment_lines(
            f"Written by `cluster-sim init`. Every line may be changed; `cluster-sim check {file}` finds mistakes. Quantities have units."
        ),
        f"name: {flow_text(keys['name'])}",
        *line_beside(f"seed: {keys['seed']}", "the same seed gives the same run, byte for byte"),
        *(f"{key}: {flow_text(keys[key])}" for key in ("duration", "warmup") if key in keys),
        "",
        *_model_lines(keys["model"], answers),
        "",
        *workload_lines(keys["workload"], answers.recorded),
        "",
        *objective_lines(answers),
        "",
        *_cluster_lines(keys["cluster"], answers),
    ]
    return "\n".join(lines) + "\n"


def _model_lines(model: Any, answers: Answers) -> Iterator[str]:
    if "model" in answers.defaults:
        yield from comment_lines(
            f"TODO: the arguments name the model '{answers.recorded.model_id}', which the catalog does not know. Name one of `cluster-sim catalog` here, or the path of its config.json."
        )
    yield f"model: {flow_text(model)}"


def _cluster_lines(cluster: Mapping[str, Any], answers: Answers) -> Iterator[str]:
    yield "cluster:"
    if "node" in answers.defaults:
        yield from comment_lines("TODO: the arguments do not state the node; name it here.", 2)
    yield "  pools:"
    for pool in cluster["pools"]:
        sign = "-"
        for key, value in pool.items():
            yield f"    {sign} {key}: {flow_text(value)}"
            sign = " "
    for key, value in cluster.items():
        if key != "pools":
            yield f"  {key}: {flow_text(value)}"
