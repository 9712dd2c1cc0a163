"""Token lengths.

A new distribution is a file in this folder with `draw`, `longest` and `mean`, and a name in the
union.
"""

from typing import Annotated

from pydantic import BeforeValidator, Field

from cluster_sim.typing import Count
from cluster_sim.workload.lengths.bare import from_integer
from cluster_sim.workload.lengths.correlated import in_rank_order
from cluster_sim.workload.lengths.empirical import Empirical
from cluster_sim.workload.lengths.fixed import Fixed
from cluster_sim.workload.lengths.lognormal import LogNormal
from cluster_sim.workload.lengths.mixture import Mixture
from cluster_sim.workload.lengths.uniform import Uniform
from cluster_sim.workload.lengths.zipf import Zipf

_Lengths = Annotated[
    Fixed | Uniform | LogNormal | Zipf | Empirical | Mixture,
    Field(discriminator="distribution"),
]
Lengths = Annotated[
    _Lengths, BeforeValidator(from_integer, json_schema_input_type=Count | _Lengths)
]

__all__ = [
    "Empirical",
    "Fixed",
    "Lengths",
    "LogNormal",
    "Mixture",
    "Uniform",
    "Zipf",
    "in_rank_order",
]
