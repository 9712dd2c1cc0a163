"""Scenarios that ship with the package: they are listed, read by name, and copied."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster_sim.claims.file import is_claims
from cluster_sim.loading.files import open_scenarios, question_of
from cluster_sim.schema import example_names, examples_folder
from tests.commands import call

pytestmark = pytest.mark.usefixtures("empty_folder")

ROOT = Path(__file__).resolve().parents[2]


def test_every_file_of_the_folder_is_an_example() -> None:
    assert examples_folder() == ROOT / "scenarios"
    assert set(example_names()) == {path.stem for path in (ROOT / "scenarios").glob("*.yaml")}


def test_the_list_has_each_name_once_with_its_question(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "examples")
    assert code == 0
    words = out.split()
    assert all(words.count(name) == 1 for name in example_names())
    assert "Does one DGX B200 carry a code assistant's bursts" in out
    for command in ("run", "sweep", "capacity", "plan", "claims"):
        assert f"cluster-sim {command} example:NAME" in out


@pytest.mark.parametrize("name", ["burst_70b", "burst-70b", "burst_70b.yaml"])
def test_an_example_is_named_with_hyphens_or_a_suffix_too(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = call(capsys, "check", f"example:{name}")
    assert code == 0
    assert out.startswith(f"example:{name}: ")


@pytest.mark.parametrize(
    "command", [["check"], ["run"], ["explain"], ["compare"], ["sweep"], ["capacity"], ["sensitivity"], ["workload", "show"], ["workload", "fit"], ["claims"]],
    ids=" ".join,
)  # fmt: skip
def test_every_command_that_takes_a_scenario_says_what_an_unknown_example_may_have_meant(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = call(capsys, *command, "example:burst_70")
    assert code == 2
    assert "example:burst_70: no example 'burst_70'; did you mean 'burst_70b'?" in err
    assert "cluster-sim examples" in err


def test_the_run_folder_of_an_example_is_named_by_the_scenario(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, _, err = call(
        capsys, "run", "example:burst_70b", "--variant", "cs3", "--set", "duration=2 s",
        "--set", "warmup=0 s",
    )  # fmt: skip
    assert code == 0
    assert "wrote runs/burst-70b/cs3" in err


def test_a_copy_keeps_the_text_and_is_never_written_over_another_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = call(capsys, "examples", "burst-70b", "--out", "mine.yaml")
    assert code == 0
    assert Path("mine.yaml").read_text() == (ROOT / "scenarios/burst_70b.yaml").read_text()
    assert "wrote mine.yaml" in err
    assert "cluster-sim check mine.yaml" in out
    assert "cluster-sim plan mine.yaml" in out
    Path("mine.yaml").write_text("my work")
    code, _, err = call(capsys, "examples", "burst-70b", "--out", "mine.yaml")
    assert code == 2
    assert "mine.yaml: exists and is not replaced" in err
    assert Path("mine.yaml").read_text() == "my work"
    assert call(capsys, "examples", "burst-70b", "--out", "mine.yaml", "--force")[0] == 0
    assert Path("mine.yaml").read_text().startswith("# Does one DGX B200")


@pytest.mark.slow
def test_a_copy_of_claims_finds_the_scenarios_that_it_names_in_any_folder(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, _ = call(capsys, "examples", "article_claims")
    assert code == 0
    assert "cluster-sim claims article_claims.yaml" in out
    assert is_claims("article_claims.yaml")
    assert "scenario: example:burst_70b," in Path("article_claims.yaml").read_text()
    assert call(capsys, "check", "article_claims.yaml")[0] == 0


def test_comments_of_a_copy_name_the_copy(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, "examples", "break_even", "--out", "mine.yaml")[0] == 0
    text = Path("mine.yaml").read_text()
    assert "cluster-sim sweep mine.yaml" in text
    assert "scenarios/" not in text


def test_options_of_a_copy_want_the_name_of_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = call(capsys, "examples", "--force")
    assert code == 2
    assert "--force: got no NAME" in err


def test_python_reads_an_example_by_its_name_too() -> None:
    assert open_scenarios("example:burst_70b").variants == ["b200", "cs3", "split"]
    assert question_of("example:burst_70b").startswith("Does one DGX B200")
