"""Maximum counts that files may ask for, each with its reason.

The limits keep typing errors, such as a count with nine zeros too many, from filling the memory. A
file within the limits is checked within seconds and two gigabytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from cluster_sim.errors import shown


@dataclass(frozen=True)
class Limit:
    """Maximum count that a file may ask for. As an annotation of a field it is checked on reading."""

    most: int
    """Maximum count."""
    why: str
    """Reason for the limit, as the end of a sentence."""

    def fault(self, count: object, noun: str = "") -> str:
        """Return the sentence that refuses `count`.

        >>> LAYERS.fault(20_000)
        'got 20000; expected at most 1,000: the placement of layers on wafers tries all cuts'
        >>> LAYERS.fault(20_000, "layers")
        'got 20000 layers; expected at most 1,000: the placement of layers on wafers tries all cuts'
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
"""Limit of every count that has no limit of its own."""
NODE_PLACES = Limit(10_000, "each has its own routes inside the node")
"""Limit of the devices of a node, and of its other link ends of one kind."""
DEVICES = Limit(200_000, "each device has its own states, routes and rows in memory")
"""Limit of the devices of all nodes together, and therefore of nodes, replicas and ranks."""
PLACES = Limit(1_000_000, "each link end of each node is in the graph of the cluster")
"""Limit of the link ends of all nodes together: devices, NICs, switches and others."""
SWITCH_PORTS = Limit(65_536, "port counts are tried one by one")
"""Limit of the ports of a switch."""
LAYERS = Limit(1_000, "the placement of layers on wafers tries all cuts")
"""Limit of a model's layers."""
LENGTH = Limit(10_000_000, "the probability of each length is kept in memory")
"""Limit of lengths that are drawn from a table [tokens]."""
DRAFT = Limit(64, "a step verifies at most this draft")
"""Limit of the tokens drafted per step."""
REQUESTS = Limit(100_000_000, "a run keeps 1.4 kB per request in memory")
"""Limit of the requests of a run."""
CLIENTS = Limit(1_000_000, "each waiting client is kept in memory")
"""Limit of the concurrent clients of a run."""
POINTS = Limit(1_000_000, "each point of a study is planned in memory")
"""Limit of the runs of a study: points times replications."""
SEED = Limit(2**128 - 1, "generators of random numbers are seeded with 128 bits")
"""Limit of seeds."""
PERIODS = Limit(10_000_000, "each burst and each stay in a state is drawn separately")
"""Limit of the bursts, silences and stays in a state over a run."""
SESSION_STEPS = Limit(500_000, "the steps of 64 sessions are drawn together")
"""Limit of the steps of a session: number of turns times number of steps per turn."""
MAX_SIGMA = 12.0
"""Limit of standard deviations of a logarithm. The mean of a log-normal, exp(sigma^2 / 2), is a
finite number up to 37; with 12 the 84th percentile is 160,000 times the median."""
MAX_SECONDS = 1e9
"""Limit of the end time of a run [s], 32 years. Up to this time floating-point numbers resolve a
tenth of a microsecond."""
VALUES = Limit(200_000, "each value of a file is kept together with its line")
"""Limit of the values of a file after expansion of aliases. A larger number means that anchors are
used as a bomb."""
