"""Names that left the output folder, crashed the table or broke every plot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cluster_sim import figures
from cluster_sim.results.results import load_results
from tests.cases import robustness_case
from tests.commands import call


def test_a_variant_that_is_a_path_is_refused_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = robustness_case("variant-path-traversal.yaml")
    inside = tmp_path / "a" / "b" / "c"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    for command in (["check", path], ["run", path, "--out", "out"], ["explain", path]):
        code, _, err = call(capsys, *command)
        assert code == 2
        assert f"{path}:2: name: " in err and "has a control character" in err
        assert f"{path}:16: variant: '../../../evil' is a path" in err
        assert "\x1b" not in err and "\a" not in err
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_name_that_looks_like_markup_is_printed_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = robustness_case("markup-crash.yaml")
    code, out, err = call(capsys, "run", path, "--out", tmp_path / "run")
    assert code == 0, err
    assert "x [/b] y" in out
    assert load_results(tmp_path / "run").scenario.name == "x [/b] y"


def test_variants_in_brackets_have_columns_and_folders_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = robustness_case("variant-brackets.yaml")
    code, out, err = call(capsys, "run", path, "--out", tmp_path / "run")
    assert code == 0, err
    assert "[b200]" in out and "tp[/8]" in out
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"[b200]", "tp[%2F8]"}


@pytest.mark.slow
def test_dollars_in_names_are_drawn_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = robustness_case("dollar-in-variant.yaml")
    code, out, err = call(capsys, "run", path, "--out", tmp_path / "run")
    assert code == 0, err
    assert r"cost $x^{ and $\frac" in out and "$a^{$" in out and "日本語" in out
    for name in figures.NAMES:
        drawn = tmp_path / f"{name}.png"
        code, _, err = call(capsys, "plot", name, tmp_path / "run", "-o", drawn)
        assert (code == 0 and drawn.is_file()) or (code == 2 and "Traceback" not in err), name
    code, _, err = call(capsys, "report", tmp_path / "run", "-o", tmp_path / "page.html")
    assert code == 0, err
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert r"<h1>cost $x^{ and $\frac</h1>" in page
    assert all(f"</svg>{variant}</label>" in page for variant in ("$a^{$", "p$_b", "日本語"))


def test_gaps_of_a_run_in_which_little_is_decoded_have_a_summary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = robustness_case("summary-crash-itl.yaml")
    code, out, err = call(capsys, "run", path, "--out", tmp_path / "run", "--json")
    assert code == 0, err
    summary = json.loads(out)
    assert summary["completed"] > 0
    assert json.loads((tmp_path / "run" / "summary.json").read_text()) == summary
    assert load_results(tmp_path / "run").summary() == summary
