"""Description of the failures of a site: rates, repairs, and recorded faults."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator, model_validator

from cluster_sim.reliability.clustered import ClusteredGaps
from cluster_sim.reliability.fault import Fault
from cluster_sim.reliability.gaps import ExponentialGaps, Gaps
from cluster_sim.reliability.recorded import find_recorded, recorded_faults
from cluster_sim.reliability.repairs import Repair
from cluster_sim.schema import Description
from cluster_sim.typing import Count
from cluster_sim.units import PositiveSeconds

DEFAULT = "default"
"""Text that stands for the catalog's figures of a kind of node."""
KINDS_WITH_RATES = ("node", "device", "link")
"""Kinds of places whose faults are drawn, each a key of Failures."""


class FaultRate(Description):
    """Faults of one kind of place: their rate and their repair."""

    mtbf_s: PositiveSeconds | None = None
    """Mean time in operation between the end of a repair and the next fault, per node, device or
    link [s]. Default: the figure of the node's kind in the catalog."""
    repair: Repair | None = None
    """Repair time, such as `6 h`, or its distribution. The weights are loaded after the repair.
    Default: the figure of the node's kind in the catalog."""
    per_devices: Count | None = None
    """Number of devices of the nodes for which `mtbf` holds. Nodes with more devices fail more
    often, in proportion. Default: `mtbf` holds for any node."""

    def scaled_to(self, devices: int) -> FaultRate:
        """Return the rate of a node with this number of devices."""
        if self.per_devices is None or self.mtbf_s is None:
            return self
        mtbf_s = self.mtbf_s * self.per_devices / devices
        return self.model_copy(update={"mtbf_s": mtbf_s, "per_devices": None})


def _empty_where_default(value: Any) -> Any:
    """Return a mapping without keys for the text `default`."""
    return {} if value == DEFAULT else value


Rate = Annotated[
    FaultRate, BeforeValidator(_empty_where_default, json_schema_input_type=str | FaultRate)
]


class Failures(Description):
    """Failures of nodes, devices and links, which are drawn at random or recorded.

    Each node, device and link has a random stream of its own, which its name gives. Variants with
    the same names therefore see the same faults, whatever else differs.
    """

    name: str | None = None
    """Name of the fleet that the figures are from. Default: the figures are the scenario's own."""
    node: Rate | None = None
    """Failures of whole nodes; `default` takes the catalog's figures of the node's kind. Default:
    no node fails."""
    device: Rate | None = None
    """Failures of single devices, each of which stops the whole replica; `default` takes the
    catalog's figures of the node's kind. Default: no device fails."""
    link: Rate | None = None
    """Failures of links of the network outside the nodes; `default` takes the catalog's figures of
    the node's kind. Default: no link fails."""
    gaps: Gaps = Field(default_factory=ExponentialGaps)
    """Gaps between faults: exponential, weibull or clustered. Default: exponential."""
    path: str | None = None
    """Recorded faults to replay: path of a CSV or Parquet file, or of a run folder, whose events
    table has the faults of the run. Default: faults are drawn."""

    @field_validator("path")
    @classmethod
    def _find(cls, path: str | None) -> str | None:
        return None if path is None else find_recorded(path)

    @model_validator(mode="after")
    def _is_drawn_or_recorded(self) -> Failures:
        drawn = [key for key in KINDS_WITH_RATES if getattr(self, key) is not None]
        if self.path is not None and drawn:
            raise ValueError(f"'path' replaces '{drawn[0]}'; expected only one of them")
        if self.path is None and not drawn:
            raise ValueError(
                "no failures; expected 'node', 'device' or 'link' such as 'node: default', or 'path'"
            )
        delay_s = self.gaps.batch_delay_s if isinstance(self.gaps, ClusteredGaps) else None
        for key in drawn:
            rate = self.rate(key)
            if delay_s and rate is not None and rate.mtbf_s is not None and delay_s > rate.mtbf_s:
                raise ValueError(
                    f"got a 'batch_delay' above the 'mtbf' of '{key}'; expected a shorter one"
                )
        _ = self.recorded  # a file that cannot be read is a fault of the scenario
        return self

    @cached_property
    def recorded(self) -> tuple[Fault, ...]:
        """Recorded faults in order of time; empty if faults are drawn."""
        return () if self.path is None else recorded_faults(self.path)

    def rate(self, kind: str) -> FaultRate | None:
        """Return the rate of `node`, `device` or `link`; None if such faults are not drawn."""
        rate: FaultRate | None = getattr(self, kind)
        return rate
