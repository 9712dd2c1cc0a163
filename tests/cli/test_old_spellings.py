"""Commands that became groups of commands are still understood as they were spelt before."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster_sim.cli.old_spellings import as_spelt_today
from tests.commands import call


@pytest.mark.parametrize(
    ("spelt", "today"),
    [
        ("workload chat.yaml", "workload show chat.yaml"),
        ("workload --json --seed 3 chat.yaml", "workload show --json --seed 3 chat.yaml"),
        ("workload fit trace.csv --plot p.png", "workload fit trace.csv --plot p.png"),
        ("workload --seed 3 fit trace.csv", "workload fit --seed 3 trace.csv"),
        ("workload --seed=3 --json show a.csv", "workload show --seed=3 --json a.csv"),
        ("workload fetch", "workload fetch"),
        ("workload show fit", "workload show fit"),
        ("workload", "workload"),
        ("workload --help", "workload --help"),
        ("workload chat.yaml --help", "workload show chat.yaml --help"),
        ("calibrate k.csv --device b200-sxm", "calibrate kernels k.csv --device b200-sxm"),
        ("calibrate --device x k.csv", "calibrate kernels --device x k.csv"),
        ("calibrate --power k.csv --device x", "calibrate power k.csv --device x"),
        ("calibrate power k.csv --device x", "calibrate power k.csv --device x"),
        ("calibrate kernels k.csv --device x", "calibrate kernels k.csv --device x"),
        ("run fit --json", "run fit --json"),
        ("", ""),
    ],
)
def test_an_old_spelling_is_read_as_the_one_of_today(spelt: str, today: str) -> None:
    assert as_spelt_today(spelt.split()) == today.split()


def test_both_spellings_of_a_command_print_the_same(
    scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = call(capsys, "workload", scenario, "--variant", "b200")
    assert old == call(capsys, "workload", "show", scenario, "--variant", "b200")
    assert old[0] == 0 and "CV of gaps" in old[1]


def test_a_group_of_commands_names_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "workload", "--help")
    assert code == 0 and all(f" {name} " in out for name in ("show", "fit", "fetch"))
    code, out, _ = call(capsys, "calibrate", "--help")
    assert code == 0 and all(f" {name} " in out for name in ("kernels", "power"))
