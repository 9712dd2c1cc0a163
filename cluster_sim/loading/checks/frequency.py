"""Checks of frequency policies: devices, plans and objectives that do not suit them."""

from __future__ import annotations

from collections.abc import Iterator

from cluster_sim.deployment.clock_profile import clock_grid
from cluster_sim.deployment.fleet import Fleet
from cluster_sim.loading.checks.finding import Finding
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.serving.frequency import Clocked


def frequency_faults(scenario: Scenario, fleet: Fleet) -> Iterator[Finding]:
    """Yield the faults of the frequency policies of all pools."""
    for index, deployment in enumerate(fleet.deployments):
        pool = deployment.pool
        if pool.frequency is None:
            continue
        clocked = Clocked(
            device=deployment.device.name,
            grid=clock_grid(deployment),
            role=deployment.role,
            batches_continuously=pool.batching.is_continuous,
            drafts=pool.replica.speculation is not None,
            objectives=[set(each.limits_s) for each in scenario.slos],
        )
        for trail, text in pool.frequency.faults(clocked):
            yield ("cluster", "pools", index, "frequency", *trail), text
