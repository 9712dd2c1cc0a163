"""Routing by rules, from what a router sees of a request to the pools that serve it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Annotated, Any, Literal

import numpy.random
from pydantic import BeforeValidator, Field

from cluster_sim.schema import Trail
from cluster_sim.serving.routing.by_rules import ByRules, RuleGroup
from cluster_sim.serving.routing.least_requests import LeastRequests
from cluster_sim.serving.routing.least_work import LeastWork
from cluster_sim.serving.routing.picker import UNKNOWN, Picker, RoutingSetting
from cluster_sim.serving.routing.policy import Routed, RoutingPolicy
from cluster_sim.serving.routing.power_of_two import PowerOfTwo
from cluster_sim.serving.routing.prefix_affinity import PrefixAffinity
from cluster_sim.serving.routing.random import Random
from cluster_sim.serving.routing.round_robin import OwnTurns, RoundRobin
from cluster_sim.serving.routing.rule import Rule
from cluster_sim.serving.routing.rule_checks import rule_faults, rule_warnings


def _of_a_name(value: Any) -> Any:
    return {"policy": value} if isinstance(value, str) else value


_Within = Annotated[
    RoundRobin | Random | LeastRequests | LeastWork | PowerOfTwo | PrefixAffinity,
    Field(discriminator="policy"),
]
Within = Annotated[_Within, BeforeValidator(_of_a_name, json_schema_input_type=str | _Within)]
"""Policy that chooses among the replicas of a rule; a bare name stands for its defaults."""


class Rules(RoutingPolicy):
    """Routing by rules from requests to pools.

    Rules are tried in order. The first one that matches a request, and whose pools have an open
    replica that can hold it, decides. A request for which there is no such rule is rejected.
    """

    policy: Literal["rules"] = "rules"
    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]
    """Rules in order, such as `{when: {prompt_tokens: {min: 8000}}, to: long}`."""
    within: Within = Field(default_factory=LeastRequests)
    """Policy that chooses among the replicas to which a rule leads: a name, or a mapping with the
    keys of the policy. It has a state of its own for each list of pools. Default: the replica with
    the fewest requests."""

    @property
    def parts_lengths(self) -> bool:
        """Whether a rule asks for the length of the prompt."""
        return any(rule.when is not None and rule.when.prompt_tokens for rule in self.rules)

    @property
    def asks_for_classes(self) -> bool:
        """Whether a rule asks for the class of a request."""
        return any(rule.when is not None and rule.when.class_ for rule in self.rules)

    def leads_past(self, pool: str, others: Collection[str]) -> bool:
        """Return whether each request for a pool may go to one of some other pools instead.

        If all replicas of a rule are off, the next rule that matches decides. Only a rule without
        conditions is known to match.
        """
        to_others = [not set(rule.to).isdisjoint(others) for rule in self.rules]
        rest = [
            leads and rule.when is None for leads, rule in zip(to_others, self.rules, strict=True)
        ]
        leading = [index for index, rule in enumerate(self.rules) if pool in rule.to]
        return bool(leading) and all(to_others[index] or any(rest[index:]) for index in leading)

    @property
    def reads_kv_events(self) -> bool:
        """Whether replicas report the blocks in their prefix caches."""
        return self.within.reads_kv_events

    def faults(self, routed: Routed) -> Iterator[tuple[Trail, str]]:
        """Yield names that do not exist, and rules that are never used."""
        yield from rule_faults(self.rules, routed)
        for trail, text in self.within.faults(routed):
            yield ("within", *trail), text

    def warnings(self, routed: Routed) -> Iterator[str]:
        """Yield requests that may match no rule, and pools to which no rule leads."""
        yield from rule_warnings(self.rules, routed)
        yield from self.within.warnings(routed)

    def picker(self, rng: numpy.random.Generator, setting: RoutingSetting = UNKNOWN) -> Picker:
        """Return the policy with its state for one run."""
        groups: dict[frozenset[str], RuleGroup] = {}
        for rule in self.rules:
            pools = frozenset(rule.to)
            if pools not in groups:
                groups[pools] = self._group(pools, rng, setting)
        return ByRules([(rule, groups[frozenset(rule.to)]) for rule in self.rules], setting.classes)

    def _group(
        self, pools: frozenset[str], rng: numpy.random.Generator, setting: RoutingSetting
    ) -> RuleGroup:
        """Return the replicas of some pools, with the policy that chooses among them."""
        members = {number: pool for number, pool in setting.pools.items() if pool in pools}
        if isinstance(self.within, RoundRobin):
            return RuleGroup(members, OwnTurns())
        return RuleGroup(members, self.within.picker(rng, setting._replace(pools=members)))
