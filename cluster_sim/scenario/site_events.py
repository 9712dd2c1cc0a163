"""Events of a site: failures of cooling, of nodes, devices and links, and spot reclaims."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Annotated, Literal

from pydantic import Field, model_validator

from cluster_sim.reliability import FAULT_KINDS, Fault
from cluster_sim.schema import Description
from cluster_sim.units import Kelvin, PositiveSeconds, Seconds

_NOTICE_S = 120.0
"""Notice of Amazon EC2 before it reclaims a spot instance [s] (its user guide, Spot Instance
interruption notices). Google Cloud and Azure give 30 s (their pages on spot machines)."""

_KEYS: Mapping[str, tuple[str, ...]] = {
    "fan_failure": ("lasts", "factor"),
    "pump_failure": ("lasts", "factor"),
    "inlet_rise": ("lasts", "rise"),
    "node_failure": ("where",),
    "device_failure": ("where",),
    "link_failure": ("where",),
    "link_degraded": ("where", "factor"),
    "spot_reclaim": ("where",),
}
"""Keys that each kind of event needs beside `at` and `what`."""
_EXAMPLES = {
    "lasts": "lasts: 5 min",
    "factor": "factor: 0.5",
    "rise": "rise: 8 K",
    "where": "where: b200/0",
    "notice": "notice: 2 min",
}
_OF_SOME = ("factor", "rise", "notice")  # keys that other kinds of events must not have


class SiteEvent(Description):
    """Something that goes wrong at a time, and for a limited time if it ends."""

    at_s: Seconds
    """Time at which the event begins [s]; for `spot_reclaim`, time of the notice."""
    lasts_s: PositiveSeconds | None = None
    """Length of the event [s]; for a failure of a node, device or link, its repair time, after
    which the weights are loaded; for `spot_reclaim`, the time until there is capacity again.
    Required for failures of cooling. Default: the event does not end."""
    what: Literal[
        "fan_failure",
        "pump_failure",
        "inlet_rise",
        "node_failure",
        "device_failure",
        "link_failure",
        "link_degraded",
        "spot_reclaim",
    ]
    """Kind of event: failure of fans or pumps, rise of the inlet temperature, failure of a node, of
    a device or of a link, loss of a part of a link's bandwidth, or reclaim of a spot instance."""
    where: str | None = None
    """Pool, or node of a pool such as `b200/0`, that the event affects; for `device_failure` also a
    device such as `b200/0/device3`. For links, both ends such as
    `b200/0/nic3 - InfiniBand NDR rail/spine`, or one end with all its links, such as `b200/0/nic3`;
    a node or a device stands for its links of the network. Required but for failures of cooling.
    Default: all nodes."""
    factor: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    """Share of the coolant flow that remains after a failure of fans or pumps, or of the bandwidth
    of a degraded link. Required for such events."""
    rise_kelvin: Kelvin | None = None
    """Rise of the inlet temperature [K]. Required for `inlet_rise`."""
    notice_s: Seconds | None = None
    """Time from the notice of a spot reclaim to the loss of the nodes [s]. The router sends nothing
    new to them from the notice on. Default: 2 min, as of Amazon EC2; Google Cloud and Azure give
    30 s."""

    @model_validator(mode="after")
    def _has_its_keys(self) -> SiteEvent:
        values = {
            "lasts": self.lasts_s,
            "factor": self.factor,
            "rise": self.rise_kelvin,
            "where": self.where,
            "notice": self.notice_s,
        }
        needed = _KEYS[self.what]
        missing = [key for key in needed if values[key] is None]
        allowed = (*needed, *(("notice",) if self.what == "spot_reclaim" else ()))
        excluded = [key for key in _OF_SOME if values[key] is not None and key not in allowed]
        if missing or excluded:
            wanted = missing or [needed[-1]]
            names = " and ".join(f"'{key}'" for key in wanted)
            examples = ", ".join(_EXAMPLES[key] for key in wanted)
            raise ValueError(
                f"{self.what} needs {names}, such as '{examples}'"
                + (f", and no '{excluded[0]}'" if excluded else "")
            )
        return self

    @property
    def is_of_cooling(self) -> bool:
        """Whether the event changes the cooling of nodes."""
        return self.what not in FAULT_KINDS

    @property
    def end_s(self) -> float:
        """Time at which the event ends [s]; inf if it does not end."""
        return inf if self.lasts_s is None else self.at_s + self.lasts_s

    def hits(self, node: str) -> bool:
        """Return whether the event affects the node called `pool/0`."""
        return self.where in (None, node, node.rpartition("/")[0])

    def lasts(self, time_s: float) -> bool:
        """Return whether the event lasts at `time_s`."""
        return self.at_s <= time_s < self.end_s

    def fault(self) -> Fault | None:
        """Return the fault of a node, device or link; None for an event of the cooling."""
        what = next((kind for kind in FAULT_KINDS if kind == self.what), None)
        if what is None:
            return None
        notice_s = 0.0
        if what == "spot_reclaim":
            notice_s = _NOTICE_S if self.notice_s is None else self.notice_s
        return Fault(
            at_s=self.at_s,
            lasts_s=inf if self.lasts_s is None else self.lasts_s,
            what=what,
            where=self.where or "",
            notice_s=notice_s,
            factor=self.factor or 0.0 if what == "link_degraded" else 0.0,
        )
