"""Results survive: tables before the summary, folders whole or not at all, full disks, kills."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import cluster_sim
from cluster_sim.errors import OutputError, ScenarioError, SummaryError
from cluster_sim.results import results as results_module
from cluster_sim.results.results import Results, load_results, load_runs
from cluster_sim.results.run_data import TABLES
from cluster_sim.results.run_info import RunInfo
from cluster_sim.sim.simulate import simulate
from cluster_sim.whole_files import TEMPORARY, whole_folder
from tests.commands import call
from tests.scenarios import make_scenario

TABLE_FILES = [f"{name}.parquet" for name in TABLES]


@pytest.fixture(scope="module")
def results() -> Results:
    return simulate(make_scenario())


def fail_summary(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def broken(_: object) -> dict[str, Any]:
        raise error

    monkeypatch.setattr(results_module, "summary", broken)


def contents(folder: Path) -> dict[str, bytes]:
    """Bytes of all files below a folder, less the wall time of runs."""
    kept = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            if path.suffix == ".json":
                document = json.loads(data)
                document.pop("wall_s", None)
                data = json.dumps(document).encode()
            kept[str(path.relative_to(folder))] = data
    return kept


def test_a_summary_that_fails_leaves_a_folder_that_says_so(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_summary(monkeypatch, IndexError("index 3 is out of bounds"))
    fresh = Results(**vars(simulate(make_scenario())))
    with pytest.raises(SummaryError, match=r"run: all tables are saved, but the summary failed: I"):
        fresh.save(tmp_path / "run")
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {*TABLE_FILES, "scenario.yaml", "manifest.json"}
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["summary_failed"] == "IndexError: index 3 is out of bounds"
    monkeypatch.undo()
    loaded = load_results(tmp_path / "run")
    assert loaded.requests.equals(results.requests)
    assert loaded.summary()["completed"] == results.summary()["completed"]


def test_an_interrupt_in_the_summary_leaves_the_tables_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_summary(monkeypatch, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        simulate(make_scenario()).save(tmp_path / "run")
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["summary_failed"] == "KeyboardInterrupt"


def test_ctrl_c_in_the_summary_names_the_folder(
    scenario: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_summary(monkeypatch, KeyboardInterrupt())
    code, _, err = call(capsys, "run", scenario, "--variant", "b200", "--out", "out")
    assert code == 130
    assert err.endswith("interrupted: saved: out/b200, without its summary\n")


def test_the_command_names_the_folder_and_goes_on_with_the_other_variants(
    scenario: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    summarise = results_module.summary

    def broken(run: Results) -> dict[str, Any]:
        if run.scenario.variant == "b200":
            raise IndexError("index 3 is out of bounds")
        return summarise(run)

    monkeypatch.setattr(results_module, "summary", broken)
    code, out, err = call(capsys, "run", scenario, "--out", "out")
    assert code == 1
    assert "out/b200: all tables are saved, but the summary failed: IndexError: index 3" in err
    assert "Traceback" not in err and "cs3" in out
    assert (Path("out/b200") / "requests.parquet").is_file()
    assert (Path("out/cs3") / "summary.json").is_file()
    code, out, err = call(capsys, "run", scenario, "--variant", "b200", "--out", "out", "--json")
    assert code == 1 and out == ""
    code, _, err = call(capsys, "trace", "out/b200", "-o", "x.pftrace")
    assert code == 0, err


def test_a_run_that_ended_early_keeps_its_reason_with_tables_and_summary(
    scenario: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = (
        "run",
        scenario,
        "--variant",
        "b200",
        "--out",
        "out",
        "--time-limit",
        "1 ns",
        "--set",
        "duration=900 s",
    )
    code, _, err = call(capsys, *arguments)
    assert code == 1 and "ended early: the time limit" in err
    assert (Path("out/b200") / "summary.json").is_file()
    stopped = load_results("out/b200").info.stopped
    assert stopped is not None and stopped.startswith("the time limit")
    fail_summary(monkeypatch, ZeroDivisionError("division by zero"))
    code, _, err = call(capsys, *arguments)
    assert code == 1 and "ended early: the time limit" in err and "the summary failed" in err


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file may grow beyond 2,000 bytes, as on a disk that is nearly full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_leaves_the_old_folder_as_it_was(
    results: Results, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    results.save(tmp_path / "run")
    before = contents(tmp_path)
    request.getfixturevalue("full_disk")
    with pytest.raises(OutputError, match="run: cannot be written: File too large"):
        results.save(tmp_path / "run")
    with pytest.raises(OutputError, match="new: cannot be written: File too large"):
        results.save(tmp_path / "new")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("failing", range(len(TABLES)))
def test_a_write_that_fails_at_any_table_leaves_the_old_folder(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    results.save(tmp_path / "run")
    before, write, written = contents(tmp_path), pq.write_table, 0

    def full(*arguments: Any, **options: Any) -> None:
        nonlocal written
        written += 1
        if written > failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(*arguments, **options)

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(OutputError, match="cannot be written: No space left on device"):
        results.save(tmp_path / "run")
    assert contents(tmp_path) == before


def test_a_full_disk_is_exit_code_1_and_a_sentence(
    scenario: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    assert call(capsys, "run", scenario, "--variant", "b200", "--out", "out")[0] == 0
    before = contents(Path("out"))
    request.getfixturevalue("full_disk")
    code, _, err = call(capsys, "run", scenario, "--variant", "b200", "--out", "out")
    assert code == 1 and err.endswith("out/b200: cannot be written: File too large\n")
    assert contents(Path("out")) == before


def test_a_read_only_folder_is_refused_before_anything_is_simulated(
    scenario: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(*_: object, **__: object) -> str:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    assert call(capsys, "run", scenario, "--out", "out")[0] == 0
    before = contents(Path("out"))
    monkeypatch.setattr("tempfile.mkdtemp", read_only)
    monkeypatch.setattr("cluster_sim.sim.simulate.simulate", None)
    code, _, err = call(capsys, "run", scenario, "--out", "out")
    assert code == 1 and err.endswith("cannot be written: Read-only file system\n")
    assert contents(Path("out")) == before


def test_what_is_no_run_folder_stays(scenario: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine").mkdir()
    (Path("mine") / "thesis.tex").write_text("x")
    for place in ("mine", "mine/thesis.tex", "mine/thesis.tex/below"):
        text = scenario.read_text().split("variants:")[0]
        scenario.write_text(text)
        code, _, err = call(capsys, "run", scenario, "--out", place)
        assert code == 2 and "Traceback" not in err, place
    assert contents(Path("mine")) == {"thesis.tex": b"x"}


def test_a_folder_with_other_run_folders_in_it_stays(results: Results, tmp_path: Path) -> None:
    results.save(tmp_path / "run")
    results.save(tmp_path / "run" / "variant")
    before = contents(tmp_path)
    with pytest.raises(ScenarioError, match=r"run: holds other run folders \(variant\), which"):
        results.save(tmp_path / "run")
    assert contents(tmp_path) == before


def test_a_folder_that_was_put_aside_by_a_killed_run_comes_back(
    results: Results, tmp_path: Path
) -> None:
    folder = results.save(tmp_path / "run")
    whole = contents(folder)
    os.rename(folder, tmp_path / f"{TEMPORARY}old-run")
    assert load_results(folder).requests.equals(results.requests)
    os.rename(folder, tmp_path / f"{TEMPORARY}old-run")
    results.save(folder)
    assert contents(folder) == whole
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_folder_that_is_being_written_is_none_of_the_runs(
    results: Results, tmp_path: Path
) -> None:
    results.save(tmp_path / "a")
    with whole_folder(tmp_path / "b") as making:
        for path in (tmp_path / "a").iterdir():
            (making / path.name).write_bytes(path.read_bytes())
        assert len(load_runs(tmp_path)) == 1
    assert len(load_runs(tmp_path)) == 2
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o755


def test_a_link_to_a_folder_is_written_through(results: Results, tmp_path: Path) -> None:
    results.save(tmp_path / "real")
    (tmp_path / "link").symlink_to("real")
    results.save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert {path.name for path in tmp_path.iterdir()} == {"real", "link"}


# A run that is killed at one of its operations on files: the audit hook counts those below the
# folder of the test, so that no clock of the machine decides.
# One process imports the package and makes a child for each number that it reads, so that the
# package is imported once.
KILLED = """
import os, signal, sys
import cluster_sim
from cluster_sim.cli import app
from cluster_sim.sim import simulate
file, out = sys.argv[1], sys.argv[2]
parent = os.path.dirname(out)
def hook(event, arguments):
    global left
    if event in ("open", "os.rename", "os.mkdir", "os.rmdir", "os.chmod", "os.remove"):
        if any(isinstance(each, (str, os.PathLike)) and os.fspath(each).startswith(parent)
               and os.fspath(each) != file for each in arguments):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
for line in sys.stdin:
    child = os.fork()
    if not child:
        left = int(line)
        sys.addaudithook(hook)
        sys.argv = ["cluster-sim", "run", file, "--out", out]
        sys.stdout = sys.stderr
        app.main()
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture
def killed_at(tmp_path: Path) -> Iterator[Callable[[int], bool]]:
    """Function that says whether a run died at an operation on files; else it came to its end."""
    command = [sys.executable, "-c", KILLED, str(tmp_path / "a.yaml")]
    with subprocess.Popen(
        [*command, str(tmp_path / "made" / "run")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None and process.stdout is not None

        def dies_at(operation: int) -> bool:
            print(operation, file=process.stdin, flush=True)
            code = int(process.stdout.readline())
            assert code in (0, -signal.SIGKILL)
            return code != 0

        yield dies_at
        process.stdin.close()


@pytest.mark.slow
@pytest.mark.parametrize("is_there", [False, True], ids=["new", "over an old one"])
def test_a_killed_run_leaves_the_old_folder_or_none_and_the_next_gives_the_same_bytes(
    tmp_path: Path, killed_at: Callable[[int], bool], is_there: bool
) -> None:
    file, out = tmp_path / "a.yaml", tmp_path / "made" / "run"
    whole = simulate(make_scenario())
    expected = contents(whole.save(tmp_path / "expected"))
    file.write_text(make_scenario().as_yaml())
    out.parent.mkdir()
    old = None
    if is_there:
        old = contents(simulate(make_scenario(seed=8)).save(out))
    ends = 0
    for operation in (2, 6, 8, 10, 13, 16, 18, 19, 21, 22, 23, 25):
        ends += killed_at(operation)
        runs = load_runs(out.parent) if any(out.parent.glob("[!.]*")) or is_there else []
        assert all(run.requests is not None for run in runs)
        cluster_sim.whole_files.bring_back(out)
        if out.exists():
            assert contents(out) in (old, expected)
        else:
            assert not is_there
    assert ends >= 9 + is_there  # a new folder takes fewer operations
    assert not killed_at(10**6)
    assert contents(out) == expected
    assert {path.name for path in out.parent.iterdir() if not path.name.startswith(".")} == {"run"}


def test_facts_of_another_kind_are_named() -> None:
    facts = RunInfo(wall_s=0.5, events=12, simulated_s=3.25).manifest()
    for name, value in (("wall_s", "x"), ("events", 1.5), ("simulated_s", True), ("notes", "x")):
        with pytest.raises(ScenarioError, match=rf"manifest.json: {name}: got .*; expected a "):
            RunInfo.from_manifest(facts | {name: value}, "manifest.json")


@pytest.mark.parametrize("manifest", ['{"manifest_version": 3}', "[]", "not JSON", ""])
def test_a_folder_whose_manifest_is_of_something_else_is_not_replaced(
    results: Results, tmp_path: Path, manifest: str
) -> None:
    """Web pages and browser extensions have files of that name."""
    (tmp_path / "app" / "src").mkdir(parents=True)
    (tmp_path / "app" / "manifest.json").write_text(manifest)
    (tmp_path / "app" / "src" / "main.js").write_text("x")
    before = {path: path.read_bytes() for path in (tmp_path / "app").rglob("*") if path.is_file()}
    with pytest.raises(ScenarioError, match="already exists and is not a run folder"):
        results.save(tmp_path / "app")
    assert {path: path.read_bytes() for path in before} == before


def test_what_others_have_put_into_a_run_folder_is_kept_and_told(
    results: Results, tmp_path: Path
) -> None:
    folder = results.save(tmp_path / "run")
    (folder / "vllm").mkdir()
    (folder / "vllm" / "bench.json").write_text("{}")
    (folder / "notes.txt").write_text("mine")
    with pytest.warns(
        UserWarning, match=r"notes\.txt, vllm of the previous run are kept unchanged"
    ):
        results.save(folder)
    assert (folder / "notes.txt").read_text() == "mine"
    assert (folder / "vllm" / "bench.json").read_text() == "{}"
    assert len(load_results(folder).requests) == len(results.requests)
