"""Damaged serve arguments and manifests: `init --from` reads them, or refuses them by name."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from random import Random

import pytest

from cluster_sim import load_scenario
from cluster_sim.export.deploy import TARGETS, emitted
from cluster_sim.export.deploy.kubernetes import documents, is_manifest, manifest
from tests.commands import call
from tests.fuzz.laws import breaches_of_a_command, patience
from tests.fuzz.mutations import damaged_bytes, damaged_data

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("empty_folder")]

ENGINES = {"vllm": "vllm", "sglang": "sglang", "trtllm": "trtllm", "llm-d": "vllm", "dynamo": "trtllm"}  # fmt: skip
PLAN = "cluster.pools[{}].replica.{}"


@cache
def text_of(target: str) -> str:
    """A prefill and a decode pool with drafts for a target."""
    changes = {PLAN.format(number, "engine"): ENGINES[target] for number in (0, 1)}
    drafts = {"draft_tokens": 3, "acceptance": 0.7, "draft_model": "llama-3.1-8b"}
    overrides = changes | {PLAN.format(1, "speculation"): drafts}
    scenario = load_scenario("example:disaggregated_70b", "disaggregated", overrides)
    return emitted(scenario, target).text


@pytest.mark.parametrize("number", range(60))
def test_a_damaged_deployment_is_read_or_refused_by_name(
    number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = Random(f"deployment {number}")
    target = rng.choice(sorted(TARGETS))
    text = text_of(target)
    if is_manifest(text) and rng.random() < 0.5:
        data = [damaged_data(rng, document) for document in documents(text, "text")]
        content = manifest(data).encode("utf-8", "surrogatepass")
    else:
        content = damaged_bytes(rng, text.encode())
    name = rng.choice(["deployed.sh", "deployed.yaml"])
    Path(name).write_bytes(content)
    with patience():
        code, _, errors = call(capsys, "init", "--from", name, "--out", "x.yaml")
    assert not list(breaches_of_a_command(code, errors, (name, "x.yaml", "--from"))), text
    if code == 0:
        assert call(capsys, "check", "x.yaml")[0] == 0
