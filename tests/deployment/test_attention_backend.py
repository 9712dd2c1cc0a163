"""An attention back end is chosen by name, shown, and refused where a device has no constants."""

from __future__ import annotations

from typing import Any

import pytest

from cluster_sim.analysis.engine_facts import engine_facts
from cluster_sim.cli.engine_rows import engine_rows
from cluster_sim.deployment.fleet import resolve
from cluster_sim.loading.checks.scenario import faults_of
from cluster_sim.request import Request
from cluster_sim.results.metrics.finished import finished
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import Document, describe
from cluster_sim.serving.scheduler.longest_sequence import LongestSequence
from cluster_sim.sim.simulate import simulate
from tests.scenarios import make_scenario


def keys(
    backend: str = "flashinfer",
    node: str = "dgx-b200",
    model: str = "llama-3.3-70b",
    **replica: Any,
) -> dict[str, Any]:
    plan = {
        "tensor_parallel": 1,
        "weights": "fp4",
        "kv_cache": "fp8",
        "engine": {"like": "vllm-0.15", "attention_backend": backend},
    }
    return {
        "name": "back end",
        "model": model,
        "workload": {
            "arrivals": {"process": "closed_loop", "concurrency": 40, "requests": 40},
            "prompt_tokens": 2000,
            "output_tokens": 200,
        },
        "cluster": {"pools": [{"name": "a", "node": node, "replica": plan | replica}]},
    }


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"backend": "flex"}, "got 'flex'; expected default or flashinfer: NVIDIA B200 SXM lists"),
        ({"node": "dgx-h200"}, "got 'flashinfer'; expected default: NVIDIA H200 SXM lists no"),
        ({"model": "gpt-oss-120b", "weights": "fp4"}, "layers of full attention only"),
        (
            {"speculation": {"draft_tokens": 2, "acceptance_length": 2.0, "mtp_layers": 1}},
            "got 'flashinfer' with speculation; expected default",
        ),
    ],
)
def test_what_a_back_end_cannot_run_is_refused(changes: dict[str, Any], fault: str) -> None:
    scenario = describe(Scenario, Document(keys(**changes), "test"))
    texts = [text for trail, text in faults_of(scenario) if trail[-1] == "attention_backend"]
    assert len(texts) == 1 and fault in texts[0]


def test_explain_names_the_back_end_only_if_it_is_not_the_default() -> None:
    for backend, rows in (("flashinfer", ["flashinfer"]), ("default", None)):
        facts = engine_facts(resolve(make_scenario(**keys(backend))).deployments[0], 2000)
        assert dict(engine_rows([facts])).get("attention back end") == rows


def test_on_b200_the_default_kernel_is_faster() -> None:
    own, default = (
        finished(simulate(make_scenario(**keys(backend)))).tpot_s.mean()
        for backend in ("flashinfer", "default")
    )
    assert own > 1.02 * default


def test_the_longest_sequence_is_found_after_others_have_left() -> None:
    longest, requests = LongestSequence(), [Request(number, 0.0, 1, 1) for number in range(3)]
    for request, length in zip(requests, (50, 400, 200), strict=True):
        request.ticket, request.offset = request.number + 1, length - 10  # they join at step 10
        longest.join(request)
    assert longest.tokens(10) == 400 and longest.tokens(15) == 405
    requests[1].ticket = -1
    assert longest.tokens(15) == 205
    requests[0].ticket = requests[2].ticket = -1
    assert longest.tokens(20) == 0
