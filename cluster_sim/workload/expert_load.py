"""Load of experts as a scenario states it: even, by a law, or by a routing trace."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, field_validator, model_validator

from cluster_sim.physics.expert_load import EVEN, ExpertLoad
from cluster_sim.physics.expert_popularity import DRIFT, LogNormalPopularity, TracedPopularity
from cluster_sim.physics.uneven_load import UnevenLoad
from cluster_sim.schema import Description, find
from cluster_sim.typing import Sigma
from cluster_sim.workload.expert_counts import read_counts


class ExpertLoadSpec(Description):
    """Popularity of the experts of a model; without keys all experts are equally popular."""

    bare_key: ClassVar[str] = "sigma"

    sigma: Sigma | None = None
    """Standard deviation of the logarithm of log-normal popularities. 1.05 is what was measured
    with DeepSeek-R1. Default: no such law."""
    path: str | None = None
    """Path of a routing trace: a CSV or Parquet file with the columns layer_id, expert_id and
    count, a JSON file with `logical_count`, or the expert statistic of TensorRT-LLM. Default: no
    trace."""
    drift: Sigma | None = None
    """Standard deviation of the logarithm by which popularities changed since redundant experts
    were placed. Default: 0.12 with a trace, and 0.12 / 1.05 of sigma."""

    @field_validator("path", mode="before")
    @classmethod
    def _find(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        path = find(value, folders=True)
        if path is None:
            raise ValueError(f"no file '{value}'")
        return str(path)

    @model_validator(mode="after")
    def _is_one_of_two(self) -> ExpertLoadSpec:
        if self.sigma is not None and self.path is not None:
            raise ValueError("expected either 'sigma' or 'path'")
        if self.drift is not None and self.sigma is None and self.path is None:
            raise ValueError("got drift of even experts; expected 'sigma' or 'path' beside it")
        if self.path is not None:
            # A file that cannot be read is a fault of the scenario, not of the run.
            _ = self.counts
        return self

    @cached_property
    def counts(self) -> tuple[tuple[float, ...], ...]:
        """Number of tokens per expert in the trace, for each layer with experts; empty without."""
        return () if self.path is None else read_counts(self.path)

    @property
    def is_even(self) -> bool:
        """Whether all experts are equally popular."""
        return self.path is None and not self.sigma

    @cached_property
    def load(self) -> ExpertLoad:
        """Load of experts for the times of steps."""
        if self.is_even:
            return EVEN
        if self.sigma is not None:
            return UnevenLoad(LogNormalPopularity(self.sigma, self.drift))
        drift = DRIFT if self.drift is None else self.drift
        return UnevenLoad(TracedPopularity(self.counts, drift))


def _from_name(value: Any) -> Any:
    if value == "even":
        return {}
    if not isinstance(value, (dict, BaseModel)):
        raise ValueError(
            "expected even, or a mapping such as `{sigma: 1.05}` or `{path: counts.csv}`"
        )
    return value


SomeExpertLoad = Annotated[
    ExpertLoadSpec,
    BeforeValidator(_from_name, json_schema_input_type=Literal["even"] | ExpertLoadSpec),
]
"""Load of experts of a scenario file: `even`, or a mapping."""
