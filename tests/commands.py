"""The command line called in-process, and a small scenario to call it with."""

from __future__ import annotations

import sys
from functools import cache

import pytest
import typer.main

from cluster_sim.cli import app as cli

# Typer would describe all commands anew for each call
typer.main.get_command = cache(typer.main.get_command)

BURST = """\
# A test
name: small
seed: 7
duration: 20 s
model: llama-3.1-8b
workload:
  arrivals: {process: poisson, rate: 5 /s}
  prompt_tokens: 100
  output_tokens: {distribution: uniform, low: 2, high: 30}
slo: {ttft: 50 ms, tpot: 5 ms}
cluster:
  pools:
    - {name: b200, node: dgx-b200, replica: {tensor_parallel: 8}}
variants:
  b200: {}
  cs3:
    cluster:
      pools:
        - {name: cs3, node: cs-3, replica: {wafers: 1, engine: cerebras}}
"""


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of one command."""
    sys_argv, sys.argv = sys.argv, ["cluster-sim", *map(str, arguments)]
    try:
        cli.main()
        code = 0
    except SystemExit as exit_:
        code = exit_.code if isinstance(exit_.code, int) else 0
    finally:
        sys.argv = sys_argv
    captured = capsys.readouterr()
    return code, captured.out, captured.err
