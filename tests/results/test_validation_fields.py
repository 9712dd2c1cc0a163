"""The summary of a run says which measured case is nearest to it, by a table of one case."""

from __future__ import annotations

from pathlib import Path

import pytest

import cluster_sim
from cluster_sim.deployment import validated_cases

TABLE = """\
model,family,parameters_b,precision,drafts,engine,device,layout,kv_cache,runs,fitted,tpot_error,\
ttft_error,throughput_error,releases,datasets
llama-3.3-70b,"dense, full",70.6,fp8,no,vllm-0.22,NVIDIA B200 SXM,{layout},fp8,{runs},0,0.031,,\
0.052,vllm 0.22,a test
"""
FEW = {"workload.arrivals.concurrency": 2, "workload.arrivals.requests": 4}


@pytest.mark.parametrize(
    ("layout", "runs", "status", "differs_in"),
    [
        ("TP8", 12, "validated", None),
        ("TP4", 12, "near", ["layout"]),
        ("TP8", 2, "near", None),  # too few runs
        ("TP4", 2, "outside", ["layout"]),
    ],
)
def test_the_summary_names_status_nearest_case_and_its_errors(
    layout: str,
    runs: int,
    status: str,
    differs_in: list[str] | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The run has Llama 3.3 70B in fp8 on eight B200."""
    path = tmp_path / "cases.csv"
    path.write_text(TABLE.format(layout=layout, runs=runs), encoding="utf-8")
    cases = validated_cases.read_cases(path)
    monkeypatch.setattr(validated_cases, "read_cases", lambda: cases)
    scenario = cluster_sim.load_scenario("example:chat_closed_loop", "b200", FEW)
    expected = {
        "status": status,
        "nearest": f"llama-3.3-70b in fp8 on NVIDIA B200 SXM, {layout}, vllm-0.22",
        "runs": runs,
        "fitted": 0,
        "tpot_error": 0.031,
        "throughput_error": 0.052,
    }
    if differs_in:
        expected["differs_in"] = differs_in
    assert cluster_sim.simulate(scenario).summary()["validation"] == expected
