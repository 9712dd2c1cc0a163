"""Checks of routing rules: names that do not exist, rules that are never used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cluster_sim.errors import did_you_mean
from cluster_sim.schema import Trail
from cluster_sim.serving.routing.policy import Routed
from cluster_sim.serving.routing.rule import Rule, RuleCondition

_Finding = tuple[Trail, str]


def rule_faults(rules: Sequence[Rule], routed: Routed) -> Iterator[_Finding]:
    """Yield names that do not exist, conditions that nothing meets, and rules never used."""
    for index, rule in enumerate(rules):
        at: Trail = ("rules", index)
        for fault in _pool_faults(rule, routed):
            yield (*at, "to"), fault
        if rule.when is not None:
            for key, fault in _condition_faults(rule.when, routed):
                yield (*at, "when", key), fault
        if (cause := _never_used(rules, index)) is not None:
            yield at, cause


def rule_warnings(rules: Sequence[Rule], routed: Routed) -> Iterator[str]:
    """Yield a last rule with a condition, and pools to which no rule leads."""
    if all(rule.when is not None for rule in rules):
        yield (
            "cluster.router.rules: requests that match no rule are rejected; a last rule "
            "without 'when' takes them"
        )
    reached = {name for rule in rules for name in rule.to}
    if idle := [
        pool.name for pool in routed.pools if pool.takes_requests and pool.name not in reached
    ]:
        yield (
            f"cluster.router.rules: no rule leads to {_list_of(idle)}; it gets no requests"
            if len(idle) == 1
            else f"cluster.router.rules: no rule leads to {_list_of(idle)}; they get no requests"
        )


def _list_of(names: Sequence[str]) -> str:
    pools = " and ".join(f"'{name}'" for name in names)
    return f"pool {pools}" if len(names) == 1 else f"pools {pools}"


def _pool_faults(rule: Rule, routed: Routed) -> Iterator[str]:
    known = {pool.name: pool for pool in routed.pools}
    entries = [pool.name for pool in routed.pools if pool.takes_requests]
    for place, name in enumerate(rule.to):
        if name in rule.to[:place]:
            yield f"got '{name}' twice; expected each pool once"
        elif name not in known:
            yield f"no pool '{name}'{did_you_mean(name, entries)}"
        elif not known[name].takes_requests:
            yield f"pool '{name}' only decodes; expected a pool that takes requests, with replica.role both or prefill"


def _condition_faults(when: RuleCondition, routed: Routed) -> Iterator[tuple[str, str]]:
    for name in when.class_ or ():
        if not routed.classes:
            yield (
                "class",
                f"got '{name}', and the workload has no classes; expected workload.classes",
            )
        elif name not in routed.classes:
            yield "class", f"no class '{name}'{did_you_mean(name, routed.classes)}"
    if when.turn is not None and not routed.has_sessions:
        yield (
            "turn",
            "got a turn, and the requests belong to no sessions; expected workload.sessions, or a trace with replay: sessions",
        )
    if when.max_output_tokens is not None and not routed.has_output_limit:
        yield (
            "max_output_tokens",
            "got a limit on the answer, and clients send none; expected workload.max_output_tokens",
        )


def _never_used(rules: Sequence[Rule], index: int) -> str | None:
    """Return why a rule is never used; None if it may be used.

    A rule on every request decides unless none of its replicas is open and can hold the request.
    Another rule on every request may follow it for that case.
    """
    rule = rules[index]
    for number, earlier in enumerate(rules[:index]):
        if earlier.when is None and rule.when is not None:
            return f"rules[{number}] takes every request before; expected rules with 'when' first"
        if earlier.when in (None, rule.when) and set(rule.to) <= set(earlier.to):
            return f"rules[{number}] takes the same requests to the same pools before; expected one of both"
    return None
