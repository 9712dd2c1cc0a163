"""The power meter of temperatures, while replicas fail, go off and come back."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
from pytest import approx
from simpy import Event

from cluster_sim.deployment.fleet import resolve
from cluster_sim.sim.power_meter import PowerMeter
from cluster_sim.sim.run import run
from cluster_sim.sim.simulate import gather
from tests.changing_clusters import simulation_of_failure_and_scaling


def test_what_is_metered_in_spans_is_the_energy_of_the_devices() -> None:
    simulation = simulation_of_failure_and_scaling()
    specs = resolve(simulation.scenario).replicas
    meter = PowerMeter(specs, simulation.replicas, {0, 1, 2}, simulation.recorder)
    joules, read_s = np.zeros(3), 0.0

    def read(now_s: float) -> None:
        nonlocal read_s
        of_all = meter.read(range(3), read_s, now_s)
        for number in range(3):
            drawn = of_all[number]
            assert drawn.edges_s[0] == read_s and drawn.edges_s[-1] == now_s
            joules[number] += float(np.sum(drawn.watts * np.diff(drawn.edges_s)))
        read_s = now_s

    def meters() -> Generator[Event, Any, None]:
        while True:
            yield simulation.env.pause(0.7)
            if simulation.env.is_over:
                return
            read(simulation.env.now)

    simulation.env.process(meters())
    results = gather(simulation, run(simulation), 0.0)
    read(results.info.simulated_s)
    assert joules == approx(results.devices["energy_j"].to_numpy(), rel=1e-9)
