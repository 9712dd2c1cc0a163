"""The run itself: simulated time, wall time and number of events."""

from __future__ import annotations

from cluster_sim.results.metrics.metric import Heading, Metric, Row, Scope

METRICS = (
    Metric(
        "simulated_s",
        "s",
        "Simulated time from 0 until the last step ends or the last request arrives.",
        lambda selection: selection.run.info.simulated_s,
        scope=Scope.RUN,
        label="simulated time [s]",
        heading=Heading("simulated time [s]", decimals=0),
    ),
    Metric(
        "wall_s",
        "s",
        "Wall time that the run took.",
        lambda selection: selection.run.info.wall_s,
        scope=Scope.RUN,
        label="wall time [s]",
        heading=Heading("wall time [s]", decimals=2),
        row=Row(420, "wall time [s]", ",.2f"),
    ),
    Metric(
        "events",
        "",
        "Number of events that the simulation scheduled.",
        lambda selection: selection.run.info.events,
        scope=Scope.RUN,
        heading=Heading("events", decimals=0),
    ),
)
