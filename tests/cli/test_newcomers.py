"""Mistakes that newcomers make: each message says where, what was got, and how to mend it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands import call

MINE = """\
name: mine
duration: 60 s
model: llama-3.1-8b
workload:
  arrivals: {process: poisson, rate: 2 /s}
  prompt_tokens: 500
  output_tokens: 100
slo: {ttft: 500 ms, tpot: 25 ms}
cluster:
  pools:
    - {name: h200, node: dgx-h200, nodes: 1, replica: {tensor_parallel: 8}}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("llama-3.1-8b", "LLAMA-3.1-8B", "mine.yaml:3: model: no model 'LLAMA-3.1-8B' in the catalog; did you mean 'llama-3.1-8b'?"),
        ("prompt_tokens: 500", "prompt_tokens: 200000", "mine.yaml:4: workload: the longest request, 200,100 tokens, exceeds the context of Llama 3.1 8B, 131,072 tokens; expected shorter prompts and answers, such as a `max` of their lengths"),
        ("rate: 2 /s", "rate: 2", "mine.yaml:5: workload.arrivals.rate: 2 has no unit; expected a rate such as '5 /s'"),
        ("tensor_parallel: 8", "tensor_parallel: 2", "llama-3.1-405b"),
        ("tensor_parallel: 8", "tensor_parallel: 3", "mine.yaml:11: cluster.pools[0].replica.tensor_parallel: 3 does not divide the 32 heads of Llama 3.1 8B; expected one of 1, 2, 4, 8, 16, 32"),
        ("tensor_parallel: 8", "tensor_parallel: 16", "1 node holds 8 devices; expected at least 16 for a replica"),
        ("tensor_parallel: 8", "tp: 8", "mine.yaml:11: cluster.pools[0].replica: unknown key 'tp'; did you mean 'tensor_parallel'?"),
        ("ttft: 500 ms", "ttft: 0.5", "mine.yaml:8: slo.ttft: 0.5 has no unit; expected a time such as '500 ms'"),
        ("slo: {ttft: 500 ms, tpot: 25 ms}", "slo: 500 ms", "mine.yaml:8: slo: got '500 ms'; expected a mapping, such as `slo: {ttft: 500 ms}`"),
        ("    - {name", "    {name", "mine.yaml:10: cluster.pools: got a mapping; expected a list (`- ` before each entry)"),
        ("8}}", "8}, kv: {memory_fraction: 90 %}}", "memory_fraction: got '90 %'; expected a number, such as 0.9 for 90 %"),
        ("  arrivals", "\tarrivals", "mine.yaml:5: is not valid YAML: got a tab; expected spaces"),
        ("model: llama-3.1-8b", 'model: "C:\\models\\config.json"', "mine.yaml:3: is not valid YAML: got a backslash inside double quotes, which begins an escape; expected 'single quotes' around a path with backslashes"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_file(
    old: str, new: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = MINE.replace(old, new)
    if message == "llama-3.1-405b":
        text = text.replace("llama-3.1-8b", message)
        message = "0.0 GB left for the KV cache; expected more devices per replica (tensor_parallel, pipeline_parallel), or weights: fp8"
    Path("mine.yaml").write_text(text)
    code, out, err = call(capsys, "run", "mine.yaml")
    assert (code, out) == (2, "")
    assert message in err, err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "runs"], "runs: is a folder; expected a file"),
        (["run", "runs/old"], "runs/old: is a folder; expected a file such as runs/old/scenario.yaml"),
        (["run", "mine2.yaml"], "mine2.yaml: no such file; did you mean 'mine.yaml'?"),
        (["run", "trace.csv"], "trace.csv: got a table; expected a scenario, which replays it as `workload: {trace: {path: trace.csv}}`"),
        (["report", "mine.yaml"], "mine.yaml: is no run folder, no sweep's folder and no table; expected .parquet, .csv or .json"),
        (["report", "gone"], "gone: no such folder; expected a folder that `cluster-sim run` has written, such as runs/NAME/VARIANT"),
        (["plot", "timeline", "mine.yaml"], "mine.yaml: is a file; expected a folder that `cluster-sim run` has written, such as runs/NAME/VARIANT"),
        (["run", "mine.yaml", "--time-limit", "5"], "--time-limit: '5' has no unit; expected a time such as '10 min'"),
        (["plot", "ttft", "runs"], "plot: no figure 'ttft'; did you mean 'ttft_over_time' or 'ttft_tpot_scatter'?"),
    ],
)  # fmt: skip
def test_a_mistake_on_the_command_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine.yaml").write_text(MINE)
    Path("trace.csv").write_text("time,input,output\n0.0,100,20\n")
    Path("runs/old").mkdir(parents=True)
    Path("runs/old/scenario.yaml").write_text(MINE)
    assert call(capsys, *arguments) == (2, "", f"{message}\n")


def test_a_run_without_requests_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.yaml").write_text(MINE.replace("rate: 2 /s", "rate: 0.0001 /s"))
    code, _, err = call(capsys, "run", "mine.yaml")
    assert code == 0
    assert (
        "warning: mine: no request arrived; expected a higher rate, a longer duration or another seed"
        in err
    )
