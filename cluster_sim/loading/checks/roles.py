"""Checks of disaggregated prefill: pools that have no partner to share requests with."""

from __future__ import annotations

from collections.abc import Iterator

from cluster_sim.loading.checks.finding import Finding
from cluster_sim.scenario.pool import Pool
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import Trail
from cluster_sim.serving.profiles import is_written
from cluster_sim.units import key_of


def role_faults(scenario: Scenario) -> Iterator[Finding]:
    """Yield pools whose role has no partner pool, or that cannot fill their role."""
    cluster = scenario.cluster
    by_role = {
        role: [pool for pool in cluster.pools if pool.replica.role == role]
        for role in ("prefill", "decode")
    }
    if cluster.disaggregation is not None and not (by_role["prefill"] or by_role["decode"]):
        yield (
            ("cluster", "disaggregation"),
            "got disaggregated prefill without pools for it; expected pools with replica.role prefill and decode",
        )
    for index, pool in enumerate(cluster.pools):
        if pool.replica.role != "both":
            yield from _of_pool(pool, ("cluster", "pools", index), by_role)


def _of_pool(pool: Pool, at: Trail, by_role: dict[str, list[Pool]]) -> Iterator[Finding]:
    role = pool.replica.role
    other = "decode" if role == "prefill" else "prefill"
    if not by_role[other]:
        yield (
            (*at, "replica", "role"),
            f"got {role}; expected another pool with the role {other}",
        )
    if not pool.batching.is_continuous:
        yield (
            (*at, "batching"),
            f"static batching keeps its requests to the end; a pool of the role {role} needs the policy 'continuous'",
        )
    if role == "prefill" and pool.replica.speculation is not None:
        yield (
            (*at, "replica", "speculation"),
            "a pool of the role prefill decodes nothing; expected speculation in the pool of the role decode",
        )
    if role == "prefill":
        yield from _stream_faults(pool, by_role["decode"], (*at, "replica", "engine"))
    if role == "decode":
        for source in by_role["prefill"]:
            if source.replica.kv_cache != pool.replica.kv_cache:
                yield (
                    (*at, "replica", "kv_cache"),
                    f"got {pool.replica.kv_cache}; expected {source.replica.kv_cache}, which pool '{source.name}' sends: a KV transfer does not convert",
                )


_OF_ANSWERS = ("stream_interval", "stream_rule", "first_chunk_delay", "detokenisation_s")
"""Keys of an engine about the path of answers."""


def _stream_faults(pool: Pool, partners: list[Pool], at: Trail) -> Iterator[Finding]:
    """Yield keys about answers of a pool that prefills, which its partners contradict."""
    engine = pool.replica.engine
    for key in _OF_ANSWERS:
        value = getattr(engine, key)
        others = (partner for partner in partners if getattr(partner.replica.engine, key) != value)
        if is_written(engine, key) and (other := next(others, None)):
            wanted = getattr(other.replica.engine, key)
            yield (
                (*at, key_of(key)),
                f"got {value}; expected {wanted}, as in pool '{other.name}', which sends the answers",
            )
