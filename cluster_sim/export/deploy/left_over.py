"""Keys of a scenario that a target has no option for: they are named in comments, and read there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cluster_sim.deployment.deployment import Deployment
from cluster_sim.export.deploy.facts import (
    GRAPHS,
    Plain,
    entry,
    facts,
    graph_facts,
    graph_keys,
    nested,
    plain,
    text_of,
)
from cluster_sim.export.deploy.keys import Keys
from cluster_sim.scenario.pool import Pool
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import Document, describe
from cluster_sim.schema.yaml_files import parse_value

ALWAYS = ("name", "node", "nodes", "replicas", "replica.engine")
"""Keys of a pool that are named in any case: they decide where and how often a command is run."""
_BESIDE = ("prices", "power_limit", "placement", "frequency")
"""Keys of a pool that no option stands for."""
_DRAFTS = "replica.speculation."
_LINE = re.compile(r"#\s+(?P<key>model|cluster\.[\w.\[\]]+): (?P<value>.+)")


def keys_left(deployment: Deployment, read: Keys, carried: Sequence[str] = ()) -> Plain:
    """Return the facts of a pool that are not in what was read from its arguments.

    Parameters
    ----------
    deployment
        Pool with its model.
    read
        Keys that the arguments stand for.
    carried
        Keys of `ALWAYS` that the target states elsewhere, such as the replicas of a manifest.
    """
    own = facts(deployment)
    structure = {key: own[key] for key in (*ALWAYS, *_BESIDE) if key in own}
    structure |= {key: own[key] for key in own if key.startswith("replica.engine.")}
    read_pool = pool_of({**read.values, **structure})
    other = Deployment(read_pool, deployment.model, deployment.network)
    found = facts(other)
    left = {key: own[key] for key in structure if key not in carried}
    for key in structure:  # an option of the engine may stand for one of its keys
        if key.startswith("replica.engine.") and read.values.get(key) == own[key]:
            del left[key]
    left |= {key: own[key] for key in own if own[key] != found.get(key)}
    if any(key.startswith(_DRAFTS) for key in left):
        left |= {key: own[key] for key in own if key.startswith(_DRAFTS)}
        left.pop(f"{_DRAFTS}draft_tokens", None)
    if graph_facts(deployment) != graph_facts(other):
        left |= graph_keys(deployment)
    return left


def pool_of(flat: Mapping[str, Any]) -> Pool:
    """Return the pool that dotted keys describe."""
    return describe(Pool, Document(nested(dict(flat)), "arguments"))


def cluster_left(scenario: Scenario) -> Plain:
    """Return the keys of the cluster beside its pools."""
    cluster = scenario.cluster
    left: Plain = {"router": {"policy": cluster.router.policy} | plain(cluster.router)}
    if cluster.disaggregation is not None:
        left["disaggregation"] = plain(cluster.disaggregation)
    if cluster.admission.policy != "accept_all":
        left["admission"] = {"policy": cluster.admission.policy} | plain(cluster.admission)
    if cluster.network is not None:
        left["network"] = entry("links", cluster.network)
    return left


def comment_lines(left: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a comment that name keys with their values."""
    for key, value in left.items():
        yield f"#   {key}: {text_of(value)}"


def read_comments(text: str, where: str) -> Plain:
    """Return the keys that the comments of a text name, by dotted key of a scenario.

    Parameters
    ----------
    text
        Text of a script or manifest.
    where
        Name of its file, for messages.
    """
    found: Plain = {}
    for number, line in enumerate(text.splitlines(), 1):
        if match := _LINE.fullmatch(line.strip()):
            found[match["key"]] = parse_value(match["value"], f"{where}:{number}: {match['key']}")
    return found


def without_arguments_of(comments: Plain, values: Plain) -> Plain:
    """Return the keys of arguments that keys of comments do not replace.

    Speculative decoding in comments is whole, but for the number of drafts, and so is what they say
    of CUDA graphs. Static batching has no limit but that of sequences.
    """
    if comments.get("batching.policy") == "static":
        kept = "batching.max_sequences"
        values = {
            key: value
            for key, value in values.items()
            if not key.startswith("batching.") or key == kept
        }
    if "replica.engine.graph_mode" in comments:
        graphs = {f"replica.engine.{key}" for key in GRAPHS}
        values = {key: value for key, value in values.items() if key not in graphs}
    if any(key.startswith(_DRAFTS) for key in comments):
        values = {
            key: value
            for key, value in values.items()
            if not key.startswith(_DRAFTS) or key == f"{_DRAFTS}draft_tokens"
        }
    return values
