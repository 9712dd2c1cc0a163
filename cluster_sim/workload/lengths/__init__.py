"""Token lengths. A new distribution is a file here and a name in the union; `draw(rng, n)` gives n whole numbers from 1 on."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field

from cluster_sim.errors import shown
from cluster_sim.workload.lengths.empirical import Empirical
from cluster_sim.workload.lengths.fixed import Fixed
from cluster_sim.workload.lengths.lognormal import LogNormal
from cluster_sim.workload.lengths.uniform import Uniform


def _from_integer(came: Any) -> Any:
    """A bare integer means that many tokens, always."""
    if isinstance(came, int) and not isinstance(came, bool):
        return {"distribution": "fixed", "tokens": came}
    if not isinstance(came, (dict, BaseModel)):
        raise ValueError(f"came {shown(came)}; wanted a whole number of tokens, or a mapping with a distribution")
    return came


Lengths = Annotated[
    Annotated[Fixed | Uniform | LogNormal | Empirical, Field(discriminator="distribution")],
    BeforeValidator(_from_integer, json_schema_input_type=Any),
]

__all__ = ["Empirical", "Fixed", "Lengths", "LogNormal", "Uniform"]
