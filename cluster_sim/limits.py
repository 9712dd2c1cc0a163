"""What can be simulated: the greatest counts that files may ask for, each with its reason.

They keep slips of the pen, such as a count with nine zeros too many, from filling the memory: a
file that stays within them is checked within seconds and two gigabytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from cluster_sim.errors import shown


@dataclass(frozen=True)
class Limit:
    """Greatest count that a file may ask for; beside a field's type it is checked there."""

    most: int
    """Greatest count."""
    why: str
    """Reason for it, as the end of a sentence."""

    def fault(self, count: object, noun: str = "") -> str:
        """Return the sentence that refuses `count`.

        >>> LAYERS.fault(20_000)
        'got 20000; expected at most 1,000: where layers lie on wafers is found by trying all cuts'
        >>> LAYERS.fault(20_000, "layers")
        'got 20000 layers; expected at most 1,000: where layers lie on wafers is found by trying all cuts'
        """
        got = f"{shown(count)} {noun}".rstrip()
        return f"got {got}; expected at most {self.most:,}: {self.why}"

    def _checked(self, count: int) -> int:
        if count > self.most:
            raise PydanticCustomError("limit", "{fault}", {"fault": self.fault(count)})
        return count

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return handler(schema) | {"maximum": self.most}


COUNT = Limit(1_000_000_000, "the product of two counts stays exact in 64 bits")
"""Limit of every count that has none of its own."""
NODE_PLACES = Limit(10_000, "each is a place with routes of its own inside the node")
"""Limit of the devices of a node, and of its other places of one kind."""
DEVICES = Limit(200_000, "each device has states, routes and rows of its own in memory")
"""Limit of the devices of all nodes together, and so of nodes, replicas and ranks."""
PLACES = Limit(1_000_000, "each place of each node stands in the graph of the cluster")
"""Limit of the places of all nodes together: devices, NICs, switches and other ends of links."""
SWITCH_PORTS = Limit(65_536, "numbers of ports are tried one by one")
"""Limit of the ports of a switch."""
LAYERS = Limit(1_000, "where layers lie on wafers is found by trying all cuts")
"""Limit of a model's layers."""
LENGTH = Limit(10_000_000, "each length has a probability of its own in memory")
"""Limit of lengths that are drawn from a table [tokens]."""
DRAFT = Limit(64, "a step checks no longer draft")
"""Limit of the tokens drafted per step."""
REQUESTS = Limit(100_000_000, "a run keeps 1.4 kB of each request in memory")
"""Limit of the requests of a run."""
CLIENTS = Limit(1_000_000, "each client waits in memory for its answer")
"""Limit of the clients that a run has at the same time."""
POINTS = Limit(1_000_000, "each point of a study is planned in memory")
"""Limit of the runs of a study: points times replications."""
SEED = Limit(2**128 - 1, "generators of random numbers are seeded with 128 bits")
"""Limit of seeds."""
PERIODS = Limit(10_000_000, "each burst and each stay in a state is drawn on its own")
"""Limit of the bursts, silences and stays in a state over a run."""
SESSION_STEPS = Limit(500_000, "the steps of 64 sessions are drawn at a time")
"""Limit of the steps of a session: its turns times the steps of each."""
MAX_SIGMA = 12.0
"""Limit of standard deviations of a logarithm: the mean of a log-normal, exp(sigma^2 / 2), is a
number up to 37, and with 12 the 84th percentile is 160,000 times the median."""
MAX_SECONDS = 1e9
"""Limit of the time until a run must have ended [s], 32 years: up to there floating-point numbers
tell a tenth of a microsecond apart."""
VALUES = Limit(200_000, "each value of a file is kept with its line")
"""Limit of the values of a file, with aliases expanded: above it, anchors are used as a bomb."""
