"""Pictures of the figures that `plots/` has no picture of, drawn when the site is built."""

from __future__ import annotations

from functools import cache
from io import BytesIO
from typing import Final, NamedTuple

import cluster_sim
from cluster_sim import figures
from cluster_sim.figures.purposes import OF_RUNS
from cluster_sim.results.results import Results
from cluster_sim.schema import example_path
from site_pages.pictures import pictures

FOLDER: Final = "reference/figures"
"""Folder of the pictures within the site."""


class Drawn(NamedTuple):
    """A figure of a run of one variant of a scenario."""

    figure: str
    scenario: str
    variant: str

    @property
    def uri(self) -> str:
        """Path of the picture within the site."""
        return f"{FOLDER}/{self.figure}.png"

    def png(self) -> bytes:
        """Return the picture, for which the run is simulated."""
        return _png(self)


_USUAL: Final = ("burst_70b", "b200")
"""Scenario and variant of most pictures: a run of seconds."""
_OTHERS: Final = {
    "room": ("cooling_in_july", "chiller"),
    "thermal": ("thermal_burst", "h100-30C"),
    "throttle_map": ("thermal_burst", "h100-30C"),
    "wafer_map": ("burst_70b", "cs3"),
}
"""Scenarios and variants of the figures that need a site, temperatures or wafers."""


def drawn() -> list[Drawn]:
    """Return the figures of runs that are drawn when the site is built."""
    has_picture = {picture.figure for picture in pictures()}
    return [Drawn(name, *_OTHERS.get(name, _USUAL)) for name in OF_RUNS if name not in has_picture]


@cache
def _png(drawn: Drawn) -> bytes:
    """Return a picture. A server that builds the site again does not draw it again."""
    picture = BytesIO()
    figures.draw(drawn.figure, _run(drawn.scenario, drawn.variant)).savefig(picture, dpi=110)
    return picture.getvalue()


@cache
def _run(scenario: str, variant: str) -> Results:
    return cluster_sim.simulate(cluster_sim.load_scenario(example_path(scenario), variant))
