"""A file may give times of its engine in place of those of the device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cluster_sim import load_scenario
from cluster_sim.deployment.fleet import resolve
from cluster_sim.errors import ScenarioError
from cluster_sim.physics.step_work import StepWork
from tests.machines import device
from tests.scenarios import make_scenario


def steps(engine: Any) -> Any:
    replica = {"tensor_parallel": 2, "engine": engine}
    pool = {"name": "a", "node": "dgx-h200", "replica": replica}
    scenario = make_scenario(model="llama-3.1-8b", cluster={"pools": [pool]})
    return resolve(scenario).deployments[0]


def test_a_step_is_longer_by_what_the_file_adds_to_the_host_time() -> None:
    plain, own = steps("vllm"), steps({"like": "vllm", "step": "2.1 ms"})
    added_s = 2.1e-3 - device("h200-sxm").overhead("vLLM 0.22").step_s
    work = StepWork(batch=1, context=1000)
    first_s = [each.step_times.ramp(work)[0] for each in (plain, own)]
    assert first_s[1] - first_s[0] == pytest.approx(added_s, rel=1e-6)


def test_the_overhead_of_a_request_is_the_files_and_other_times_stay_the_devices() -> None:
    own = steps({"like": "vllm-0.15", "request": "3 ms"})
    assert own.request_overhead_s == 3e-3
    device_s = device("h200-sxm").overhead("vLLM 0.15").layer_s
    assert own.device.overhead("vLLM 0.15").layer_s == device_s
    assert own.device.overhead("vLLM 0.10").request_s != 3e-3


def test_wafers_refuse_times_of_gpus(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(
        """
name: wafer
duration: 10 s
model: llama-3.1-8b
workload: {arrivals: {process: poisson, rate: 1 /s}, prompt_tokens: 100, output_tokens: 10}
cluster:
  pools:
    - name: w
      node: cs-3
      replica:
        wafers: 1
        engine: {like: cerebras, step: 1 ms}
"""
    )
    with pytest.raises(
        ScenarioError, match=r"x.yaml:12: .*engine.step: got 0.001 s; .* is a wafer"
    ):
        load_scenario(path)
