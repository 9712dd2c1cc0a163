"""Choice of a replica by rules, and the groups of replicas to which rules lead."""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping, Sequence

from cluster_sim.request import Request
from cluster_sim.serving.load import Load
from cluster_sim.serving.routing.picker import Picker, index_of
from cluster_sim.serving.routing.rule import Rule


class RuleGroup:
    """Replicas of some pools, and the policy that chooses among them."""

    def __init__(self, members: Mapping[int, str], picker: Picker) -> None:
        self.members, self.picker = members, picker
        self.open: list[Load] = []
        """Loads of the open replicas, in order of number."""
        self._numbers: set[int] = set()

    def opened(self, load: Load) -> None:
        """Record that a replica is open if it belongs to the group."""
        if load.number in self.members and load.number not in self._numbers:
            self._numbers.add(load.number)
            insort(self.open, load, key=lambda load: load.number)
            self.picker.opened(load)

    def closed(self, load: Load) -> None:
        """Record that a replica is closed."""
        if load.number in self._numbers:
            self._numbers.remove(load.number)
            self.open.remove(load)
            self.picker.closed(load)


class ByRules(Picker):
    """Rules with the groups of replicas to which they lead."""

    def __init__(self, rules: Sequence[tuple[Rule, RuleGroup]], classes: Sequence[str]) -> None:
        self._rules, self._classes = rules, classes
        self._groups = list({id(group): group for _, group in rules}.values())
        self.follows_loads = any(group.picker.follows_loads for group in self._groups)

    def pick(self, request: Request, loads: Sequence[Load]) -> int | None:
        """Return the index of the replica among `loads` by the first rule that leads to some."""
        for rule, group in self._rules:
            if rule.matches(request, self._classes):
                members = [load for load in loads if load.number in group.members]
                if members:
                    index = group.picker.pick(request, members)
                    return None if index is None else index_of(members[index].number, loads)
        return None

    def pick_open(self, request: Request, loads: Sequence[Load], now_s: float) -> int | None:
        """Return the index of the replica by the first rule that leads to an open one."""
        for rule, group in self._rules:
            if group.open and rule.matches(request, self._classes):
                index = group.picker.pick_open(request, group.open, now_s)
                return None if index is None else index_of(group.open[index].number, loads)
        return None

    def allows(self, request: Request, load: Load) -> bool:
        """Return whether a rule leads a request to the pool of a replica."""
        return any(
            load.number in group.members and rule.matches(request, self._classes)
            for rule, group in self._rules
        )

    def sent(self, request: Request, load: Load) -> None:
        """Record that a request was sent to a replica."""
        for group in self._groups:
            if load.number in group.members:
                group.picker.sent(request, load)

    def opened(self, load: Load) -> None:
        """Record that the router may send requests to a replica from now on."""
        for group in self._groups:
            group.opened(load)

    def closed(self, load: Load) -> None:
        """Record that the router sends no more requests to a replica."""
        for group in self._groups:
            group.closed(load)

    def changed(self, number: int) -> None:
        """Record that the load of a replica may be lower, or may fall faster."""
        for group in self._groups:
            if number in group.members:
                group.picker.changed(number)
