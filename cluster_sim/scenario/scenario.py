"""A scenario: everything that one run depends on, read from a file and checked as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, PlainSerializer

from cluster_sim.errors import shown
from cluster_sim.llm.huggingface import read_model
from cluster_sim.llm.model import Model
from cluster_sim.scenario.cluster import Cluster
from cluster_sim.scenario.site import Site
from cluster_sim.scenario.workload import Workload
from cluster_sim.schema import Description, yaml_text
from cluster_sim.typing import Count
from cluster_sim.units import PositiveSeconds, Seconds
from cluster_sim.workload.classes import Slo


def _one_in(came: Any) -> Any:
    """How many there are to each that is kept."""
    one, slash, count = came.partition("/") if isinstance(came, str) else ("", "", "")
    if isinstance(came, int) and not isinstance(came, bool):
        return came
    if not slash or one.strip() != "1" or not count.strip().isdecimal():
        raise ValueError(f"came {shown(came)}; wanted a share such as 1/250")
    return int(count)


Sample = Annotated[
    int,
    BeforeValidator(_one_in, json_schema_input_type=str),
    PlainSerializer(lambda one_in: f"1/{one_in}"),
    Field(gt=0),
]


class Scenario(Description):
    """One run: model, traffic, cluster, and the seed of every random choice."""

    keys_beside: ClassVar[tuple[str, ...]] = ("variants", "sweep", "capacity")

    name: str
    variant: str | None = None
    """Which variant of the file this is."""
    seed: Annotated[int, Field(ge=0)] = 0
    duration_s: PositiveSeconds | None = None
    """Arrivals stop here. May be left out where requests are counted, and with a trace."""
    drain_s: Seconds = 3600.0
    """The run ends when the last request has left, or this long after arrivals have stopped."""
    warmup_s: Seconds = 0.0
    """Requests that arrive before this load the cluster but are left out of the statistics."""
    sample: Sample | None = None
    """Of a large fleet under Poisson traffic: 1/250 simulates one in 250 nodes and requests, and
    multiplies totals back."""
    stands_for: Count = 1
    """How many nodes and requests each one that is simulated stands for; `sample` sets it."""
    stepping: Literal["stretch", "step"] = "stretch"
    """stretch: many engine steps in one event, in closed form. step: each is its own event; slower,
    the same answer."""
    model: Annotated[Model, BeforeValidator(read_model, json_schema_input_type=str | Model)]
    """A catalog name, the path of a Hugging Face config.json or of a model file, or a mapping with
    its keys."""
    workload: Workload
    slo: Slo = Field(default_factory=Slo)
    cluster: Cluster
    site: Site | None = None

    @property
    def title(self) -> str:
        """Name and variant."""
        return f"{self.name}/{self.variant}" if self.variant else self.name

    @property
    def slos(self) -> list[Slo]:
        """By which each class of requests is judged; the scenario's alone where there are no
        classes.
        """
        return [one.slo or self.slo for one in self.workload.classes] or [self.slo]

    @cached_property
    def requests_wanted(self) -> int | None:
        """After how many requests arrivals stop, where that is known."""
        workload = self.workload
        if workload.trace:
            return workload.trace.limit
        source = workload.sessions or workload.arrivals
        return source.requests if source else None

    def warnings(self) -> Iterator[str]:
        """What the run rests on that nobody has measured."""
        for pool in self.cluster.pools:
            device = pool.node.device
            if not device.measured:
                yield (
                    f"{device.name}: no kernels were measured; its step times are a roofline of the data sheet, and the shares of the peaks that are "
                    "reached, the overheads and the collectives are estimates unless its file says otherwise"
                )

    def as_yaml(self) -> str:
        """The scenario with everything resolved, as a scenario file: reading it gives this scenario
        again.
        """
        return yaml_text(self.model_dump(mode="json", by_alias=True, exclude_none=True))

    def _repr_html_(self) -> str:
        """What notebooks show."""
        # The one circle of the house: describe.py reads the fields of a Scenario, and notebooks ask
        # the Scenario itself for its table. It is imported when a notebook asks.
        from cluster_sim.scenario.describe import scenario_html

        return scenario_html(self)
