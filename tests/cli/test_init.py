"""`cluster-sim init` as a user meets it: files, questions, faults and the next commands."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from cluster_sim.loading.files import load_scenario
from tests.commands import call

pytestmark = pytest.mark.usefixtures("empty_folder")

DRAWN = ("--prompt-tokens", "100", "--output-tokens", "20")
WAIT_S = 60.0


def test_without_a_terminal_defaults_are_taken_and_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = call(capsys, "init")
    assert code == 0
    assert "wrote first.yaml" in err
    for part in ("--model llama-3.3-70b", "--node dgx-h200", "--rate '2 /s'", "--ttft '1 s'"):
        assert part in err
    lines = [line.split("#")[0].strip() for line in out.splitlines() if "cluster-sim" in line]
    assert lines == [f"cluster-sim {name} first.yaml" for name in ("check", "explain", "run")]
    for line in lines[:2]:
        assert call(capsys, *line.split()[1:])[0] == 0


def test_the_written_file_runs(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, _ = call(capsys, "init", "--model", "llama-3.1-8b", *DRAWN)
    assert code == 0
    code, out, _ = call(
        capsys, "run", "first.yaml", "--set", "duration=10 s", "--set", "warmup=0 s"
    )
    assert code == 0
    assert "SLO at p99: met" in out


def test_every_option_is_in_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = call(
        capsys, "init", "--model", "llama-3.1-8b", "--node", "dgx-h100", "--nodes", "2",
        "--rate", "720 /min", "--burst", "20 /s for 1 min every 10 min", "--ttft", "0.5 s",
        "--tpot", "25 ms", "--percentile", "95", *DRAWN, "--out", "mine.yaml",
    )  # fmt: skip
    assert code == 0
    assert "defaults" not in err
    scenario = load_scenario("mine.yaml")
    assert scenario.name == "mine"
    assert (scenario.slo.ttft_s, scenario.slo.tpot_s, scenario.slo.percentile) == (0.5, 0.025, 95)
    [pool] = scenario.cluster.pools
    assert (pool.node.name, pool.nodes) == ("DGX H100", 2)
    # 12 requests/s, and 20 more for one minute in ten
    assert scenario.workload.arrivals is not None
    assert scenario.workload.arrivals.mean_rate_per_s(scenario.duration_s) == pytest.approx(14.0)


def test_all_faults_of_options_are_told_with_what_may_have_been_meant(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, _, err = call(
        capsys, "init", "--model", "lama-3.3-70b", "--node", "dgx-h20", "--rate", "5",
        "--burst", "often", "--nodes", "none",
    )  # fmt: skip
    assert code == 2
    assert "--model: no model 'lama-3.3-70b' in the catalog; did you mean 'llama-3.3-70b'?" in err
    assert "--node: no node 'dgx-h20' in the catalog; did you mean 'dgx-h200'?" in err
    assert "--rate: '5' has no unit; expected a quantity such as '12 /s'" in err
    assert "--burst: got 'often'; expected '10 /s for 1 min every 10 min'" in err
    assert "--nodes: got 'none'; expected a whole number" in err
    assert not list(Path().iterdir())


def test_a_model_that_does_not_fit_names_the_option_that_helps(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, _, err = call(
        capsys, "init", "--model", "llama-3.1-405b", "--node", "cs-3", "--nodes", "1"
    )
    assert code == 2
    assert err.startswith("--nodes: the bf16 weights of Llama 3.1 405B do not fit")
    assert "expected more nodes" in err


def test_a_file_that_exists_is_replaced_with_force_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("first.yaml").write_text("my work")
    code, _, err = call(capsys, "init")
    assert code == 2
    assert "first.yaml: exists and is not replaced" in err
    assert Path("first.yaml").read_text() == "my work"
    assert call(capsys, "init", "--force", "--model", "llama-3.1-8b")[0] == 0
    assert Path("first.yaml").read_text().startswith("# Does one dgx-h200 serve llama-3.1-8b")


class _Terminal:
    """A command on a terminal of its own."""

    def __init__(self, *arguments: str) -> None:
        self.fd, theirs = pty.openpty()
        environment = os.environ | {"TERM": "dumb", "COLUMNS": "200"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cluster_sim.cli", *arguments],
            stdin=theirs, stdout=theirs, stderr=theirs, env=environment,
        )  # fmt: skip
        os.close(theirs)
        self.shown = ""

    def wait_for(self, text: str) -> None:
        """Read until the command has printed a text, or has ended."""
        end_s = time.monotonic() + WAIT_S
        while text not in self.shown:
            assert time.monotonic() < end_s, self.shown
            if select.select([self.fd], [], [], 0.5)[0]:
                try:
                    self.shown += os.read(self.fd, 65536).decode()
                except OSError:  # the command has ended
                    break
        assert text in self.shown, self.shown

    def answer(self, question: str, text: str) -> None:
        """Answer a question."""
        self.wait_for(question)
        self.shown = self.shown.rpartition(question)[2]
        os.write(self.fd, text.encode())

    def interrupt(self) -> None:
        """Send what Ctrl-C sends, again where it came just before the command began to wait."""
        while self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(2.0)

    def end(self) -> int:
        """Return the exit code."""
        try:
            return self.process.wait(WAIT_S)
        finally:
            os.close(self.fd)


@pytest.mark.slow
def test_on_a_terminal_missing_options_are_asked_for_until_the_answer_is_one() -> None:
    terminal = _Terminal(
        "init", "--tpot", "25 ms", "--percentile", "95", "--burst", "9 /s for 1 min"
    )
    terminal.answer("Model", "lama-3.1-8b\n")
    terminal.wait_for("did you mean 'llama-3.1-8b'?")
    terminal.answer("Model", "llama-3.1-8b\n")
    terminal.answer("Node ", "dgx-h100\n")
    terminal.answer("Number of nodes", "2\n")
    terminal.answer("Mean rate of requests, without bursts [2 /s]", "\n")
    terminal.answer("(TTFT) [1 s]", "700 ms\n")
    terminal.wait_for("cluster-sim run first.yaml")
    assert terminal.end() == 0
    scenario = load_scenario("first.yaml")
    assert scenario.model.name == "Llama 3.1 8B"
    assert scenario.cluster.pools[0].nodes == 2
    assert (scenario.slo.tpot_s, scenario.slo.percentile) == (0.025, 95)
    assert scenario.slo.ttft_s == pytest.approx(0.7)


@pytest.mark.slow
def test_the_end_of_input_takes_defaults_for_the_rest_and_ctrl_c_writes_nothing() -> None:
    terminal = _Terminal("init", "--model", "llama-3.1-8b")
    terminal.answer("Node ", "dgx-h100\n")
    terminal.answer("Number of nodes", "\x04")
    terminal.wait_for("cluster-sim run first.yaml")
    assert terminal.end() == 0
    assert load_scenario("first.yaml").cluster.pools[0].node.name == "DGX H100"
    terminal = _Terminal("init", "--out", "other.yaml")
    terminal.wait_for("Model")
    terminal.interrupt()
    terminal.wait_for("interrupted: nothing was saved")
    assert terminal.end() == 130
    assert not Path("other.yaml").exists()


def test_help_lists_init_and_examples_first(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = call(capsys, "--help")
    commands = re.findall(r"(?m)^│ ([a-z]+)  ", out)
    assert commands[:2] == ["init", "examples"]
