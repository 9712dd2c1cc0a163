"""`run --attribute` prints and saves what mechanisms cost; without it, `run` says how to ask."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cluster_sim.cli import simulated
from cluster_sim.loading.files import load_scenario
from cluster_sim.results.results import load_results
from cluster_sim.sim.limits import NO_LIMITS
from cluster_sim.studies.attribution import mechanisms_in_play
from tests.commands import call

FAULT = "site.events=[{at: 1 s, lasts: 1 s, what: device_failure, where: b200/0/device0}]"
ONE = ("--variant", "b200", "--out", "out", "--set", "duration=4 s")


def test_a_run_with_a_mechanism_in_play_says_how_to_ask_for_its_cost(
    scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = call(capsys, "run", scenario, *ONE, "--set", FAULT)
    assert f"cluster-sim run {scenario} --attribute shows the cost of failures\n" in out
    assert "cost_of" not in json.loads(Path("out/b200/summary.json").read_text())
    assert not list(mechanisms_in_play(load_scenario(scenario, "b200")))


def test_a_run_with_attribute_prints_a_table_and_keeps_the_other_runs(
    scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = call(capsys, "run", scenario, *ONE, "--set", FAULT, "--attribute")
    assert code == 0
    assert "b200: cost of each mechanism, as the run minus the run without it" in out
    assert "Latencies are those of the" in out and "--attribute" not in out
    rows = [line.split("│")[1].strip() for line in out.splitlines() if line.startswith("│ ")]
    assert rows[-6:] == [
        "heat",
        "power caps",
        "contention",
        "failures",
        "remainder",
        "all together",
    ]
    assert err.endswith("wrote out/b200\nwrote out/b200/without\n")
    assert load_results("out/b200/without/failures").scenario.variant == "b200"
    code, _, err = call(capsys, "run", scenario, *ONE, "--set", FAULT)
    assert "replaced out/b200 (was small/b200" in err and "with its runs without failures)" in err
    assert not Path("out/b200/without").exists()


def test_the_document_of_a_run_with_attribute_has_the_costs(
    scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = call(capsys, "run", scenario, *ONE, "--set", FAULT, "--attribute", "--json")
    summary = json.loads(out)["variants"]["b200"]
    assert summary["cost_of"]["total"] == summary["cost_of"]["failures"]
    assert summary["cost_of"] == json.loads(Path("out/b200/summary.json").read_text())["cost_of"]


@pytest.mark.slow
def test_an_interrupt_in_a_run_without_a_mechanism_loses_no_run_that_was_written(
    scenario: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    arguments = ("run", scenario, *ONE, "--set", FAULT, "--attribute")
    with monkeypatch.context() as patch:
        patch.setattr("cluster_sim.studies.limited.simulated_within", interrupted)
        code, _, err = call(capsys, *arguments)
    assert code == 130 and err.endswith("interrupted: saved: out/b200\n")
    assert load_results("out/b200").without is None
    assert call(capsys, *arguments)[0] == 0
    monkeypatch.setattr("cluster_sim.studies.limited.simulated_within", interrupted)
    code, _, err = call(capsys, *arguments)  # the same run stands there with its other runs
    assert code == 130 and list(load_results("out/b200").without or ()) == ["failures"]


@pytest.mark.slow
def test_a_run_that_a_limit_ends_is_not_attributed_and_its_table_is_kept(
    scenario: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    long = ("--set", FAULT, "--set", "duration=200 s", "--attribute")
    code, _, err = call(capsys, "run", scenario, *ONE, *long, "--time-limit", "1 ns")
    assert code == 1 and "the run ended early, so the cost of mechanisms is not computed" in err
    assert load_results("out/b200").without is None
    whole = simulated._simulated  # only the other runs are limited
    monkeypatch.setattr(
        simulated,
        "_simulated",
        lambda scenario, limits, *, is_live: whole(scenario, NO_LIMITS, is_live=is_live),
    )
    code, out, err = call(capsys, "run", scenario, *ONE, *long, "--time-limit", "1 ns")
    assert code == 1 and "small/b200 without failures: ended early: the time limit" in err
    assert "cost of each mechanism" not in out
    stopped = load_results("out/b200/without/failures").info.stopped
    assert stopped is not None and stopped.startswith("the time limit")
