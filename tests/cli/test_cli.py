"""The command line as a user meets it: what it prints and writes, and with which exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import cluster_sim
from cluster_sim import figures
from cluster_sim.results.run_data import TABLES
from cluster_sim.schema import catalog_names
from tests.commands import BURST, call

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = sorted(
    path for path in (ROOT / "scenarios").glob("*.yaml") if not path.stem.endswith("_claims")
)


def test_run_prints_one_table_and_writes_a_run_folder_for_each_variant(
    scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = call(capsys, "run", scenario)
    assert code == 0
    for column in ("b200", "cs3", "TTFT p99 [ms]", "output tokens/s", "within SLO"):
        assert column in out
    for variant in ("b200", "cs3"):
        folder = Path("runs/small") / variant
        assert f"wrote {folder}" in err
        files = {path.name for path in folder.iterdir()}
        tables = {f"{name}.parquet" for name in TABLES}
        assert files == {"scenario.yaml", "summary.json", "manifest.json"} | tables
        summary = json.loads((folder / "summary.json").read_text())
        assert (
            summary["completed"] + summary["failed"] + summary["rejected"]
            == cluster_sim.load_results(folder).requests.num_rows
        )


@pytest.mark.slow
def test_the_table_has_a_line_for_each_class(
    scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classes = "classes: [{name: people, share: 0.7}, {name: jobs, share: 0.3, priority: 9, slo: {e2el: 1 s}}]"
    scenario.write_text(BURST.replace("slo:", f"  {classes}\nslo:", 1))
    code, out, _ = call(capsys, "run", scenario)
    assert code == 0
    rows = {line.split("│")[1].strip(): line for line in out.splitlines() if "│" in line}
    assert "100.0%" in rows["jobs: TTFT p99 [ms], within SLO"]
    assert "people: TTFT p99 [ms], within SLO" in rows
    summary = json.loads((Path("runs/small") / "b200" / "summary.json").read_text())
    assert list(summary["classes"]) == ["people", "jobs"]
    assert list(summary["classes"]["people"]) == [
        key for key in summary if key in summary["classes"]["people"]
    ]
    assert (
        call(capsys, "run", "runs/small/b200/scenario.yaml", "--out", "again")[0] == 0
    )  # what was resolved can be read


def test_run_again_from_the_resolved_scenario_gives_the_same_bytes(
    scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(capsys, "run", scenario, "--variant", "cs3", "--out", "first")[0] == 0
    assert call(capsys, "run", "first/cs3/scenario.yaml", "--out", "second")[0] == 0
    (again,) = [path.parent for path in Path("second").rglob("manifest.json")]
    for name in (
        "scenario.yaml",
        "requests.parquet",
        "stretches.parquet",
        "thermal.parquet",
        "devices.parquet",
        "links.parquet",
        "events.parquet",
    ):
        assert (Path("first/cs3") / name).read_bytes() == (again / name).read_bytes()


@pytest.mark.slow
def test_variants_in_another_order_and_in_another_process_give_the_same_bytes(
    scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(capsys, "run", scenario, "--out", "first")[0] == 0
    subprocess.run(
        [
            sys.executable,
            "-m",
            "cluster_sim.cli.app",
            "run",
            str(scenario),
            "--variant",
            "cs3",
            "--variant",
            "b200",
            "--out",
            "second",
        ],
        check=True,
        capture_output=True,
    )
    for variant in ("b200", "cs3"):
        for name in ("requests", "stretches", "devices", "links", "events"):
            assert (Path("first") / variant / f"{name}.parquet").read_bytes() == (
                Path("second") / variant / f"{name}.parquet"
            ).read_bytes()


def test_json_is_one_document_with_the_variants_in_it(
    scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = call(capsys, "run", scenario, "--json")
    document = json.loads(out)
    assert code == 0
    assert document["name"] == "small"
    assert list(document["variants"]) == ["b200", "cs3"]
    assert document["variants"]["cs3"]["p99_ttft_ms"] > 0
    assert set(document["variants"]["cs3"]["pools"]) == {"cs3"}


def test_json_of_a_plain_file_is_its_summary(
    scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario.write_text(BURST.split("variants:")[0])
    document = json.loads(call(capsys, "run", scenario, "--json", "--seed", "9")[1])
    assert document["name"] == "small"
    wanted = {
        "completed", "failed", "rejected", "duration", "total_input_tokens", "total_output_tokens", "request_throughput", "request_goodput",
        "output_throughput", "total_token_throughput", "max_concurrent_requests", "slo_attainment", "kv_capacity_tokens", "kv_peak_fraction",
        "preemptions", "compute_utilisation", "bandwidth_utilisation", "simulated_s", "wall_s", "events",
    } | {f"{statistic}_{metric}_ms" for metric in ("ttft", "tpot", "itl", "e2el", "queue") for statistic in ("mean", "median", "std", "p90", "p95", "p99", "max")}  # fmt: skip
    assert wanted <= set(document)


def test_set_and_seed_change_the_run(scenario: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(
        call(
            capsys,
            "run",
            scenario,
            "--json",
            "--variant",
            "b200",
            "--set",
            "workload.prompt_tokens=7",
            "--set",
            "cluster.pools[0].nodes=2",
        )[1]
    )
    summary = document["variants"]["b200"]
    assert summary["total_input_tokens"] == 7 * summary["completed"]
    other = json.loads(
        call(capsys, "run", scenario, "--json", "--variant", "b200", "--seed", "8")[1]
    )["variants"]["b200"]
    assert (
        other["completed"] != summary["completed"]
        or other["mean_e2el_ms"] != summary["mean_e2el_ms"]
    )


def test_check_says_which_files_are_right_and_exits_2_with_every_fault_of_the_others(
    scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = scenario.with_name("wrong.yaml")
    wrong.write_text(BURST.replace("dgx-b200", "dgx-b20").replace("rate: 5 /s", "rate: 5 kg"))
    code, out, err = call(capsys, "check", scenario, wrong, "none.yaml")
    assert code == 2
    assert out == f"{scenario}: OK (b200, cs3)\n"
    lines = err.splitlines()
    assert (
        f"{wrong}:7: workload.arrivals.rate: 'kg' is a mass, not a rate; expected a rate such as '5 /s'"
        in lines
    )
    assert (
        f"{wrong}:13: cluster.pools[0].node: no node 'dgx-b20' in the catalog; did you mean 'dgx-b200'?"
        in lines
    )
    assert "none.yaml: no such file" in lines
    assert "Traceback" not in err


def test_rows_of_a_trace_that_are_left_out_are_counted_by_check_and_by_run(
    scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("trace.csv").write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2024-01-01 00:00:00,5,6\n2024-01-01 00:00:01,5,0\n2024-01-01 00:00:02,5,1\n"
    )
    scenario.write_text(
        BURST.split("workload:")[0]
        + "workload: {trace: {path: trace.csv}}\nslo:"
        + BURST.split("slo:")[1]
    )
    for command in ("check", "run"):
        code, _, err = call(capsys, command, scenario)
        assert code == 0
        # once for both variants, which replay the same file
        assert err.count("1 of 3 rows are omitted: they have no prompt or no answer") == 1


def test_a_trace_with_a_bad_row_exits_2_with_its_line_from_check_and_from_run(
    scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("trace.csv").write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2024-01-01 00:00:00,5,6\n2024-01-01 00:00:01,5,x\n"
    )
    text = (
        BURST.split("workload:")[0]
        + "workload: {trace: {path: trace.csv}}\nslo:"
        + BURST.split("slo:")[1]
    )
    scenario.write_text(text)
    for command in ("check", "run"):
        code, _, err = call(capsys, command, scenario)
        assert code == 2
        assert err.strip().endswith(
            "trace.csv:3: got '2024-01-01 00:00:01,5,x'; expected TIMESTAMP,ContextTokens,GeneratedTokens (GeneratedTokens is 'x': not a number)"
        )
    assert not Path("runs").exists()


def test_requests_too_long_for_a_replica_are_rejected_and_counted(
    scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("trace.csv").write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2024-01-01 00:00:00,5,6\n2024-01-01 00:00:01,500000,6\n2024-01-01 00:00:02,5,1\n"
    )
    scenario.write_text(
        BURST.split("workload:")[0]
        + "workload: {trace: {path: trace.csv}}\nslo:"
        + BURST.split("slo:")[1]
    )
    summary = json.loads(call(capsys, "run", scenario, "--json")[1])["variants"]["b200"]
    assert (summary["completed"], summary["rejected"], summary["failed"]) == (2, 1, 0)
    table = call(capsys, "run", scenario)[1]
    assert "longer than the context of Llama 3.1 8B, 131,072 tokens" in " ".join(
        table.replace("│", " ").split()
    )
    assert "tokens: shorter prompts and answers, or a model with a longer context" in table


def test_a_folder_that_is_no_run_folder_is_never_overwritten(
    scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    precious = Path("precious/b200")
    precious.mkdir(parents=True)
    (precious / "thesis.txt").write_text("years of work")
    code, _, err = call(capsys, "run", scenario, "--out", "precious")
    assert code == 2
    assert "precious/b200: already exists and is not a run folder" in err
    assert (precious / "thesis.txt").read_text() == "years of work"


def test_a_run_folder_is_replaced_whole_and_nothing_temporary_stays(
    scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert call(capsys, "run", scenario, "--out", "out")[0] == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["b200", "cs3"]


def test_an_output_that_cannot_be_written_is_the_inputs_fault(
    scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").write_text("")
    code, _, err = call(capsys, "run", scenario, "--out", "file/runs")
    assert code == 2
    assert "Traceback" not in err


def test_explain_prints_kv_cache_step_times_and_the_highest_rate(
    scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = call(capsys, "explain", scenario)
    assert code == 0
    for text in (
        "KV cache per replica [tokens]",
        "step with 1 sequence [ms]",
        "highest rate [requests/s]",
        "offered: 5.00 requests/s",
    ):
        assert text in out


def test_explain_prints_the_power_of_nodes_and_the_share_of_a_cap(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A DGX B200 draws 2.3 + 8 x 0.188 + 1.855 x 0.188^2 kW without work, 4.155 + 8 x 1 at most."""
    pool = "{name: gpu, node: dgx-b200, nodes: 2, replica: {tensor_parallel: 1, engine: vllm}}"
    text = BURST.partition("cluster:")[0] + f"cluster: {{pools: [{pool}]}}\n"
    file = tmp_path / "power.yaml"
    file.write_text(text + "site: {row_power_cap: 12.155 kW}\n", encoding="utf-8")
    _, out, _ = call(capsys, "explain", str(file))
    assert "power of all nodes: 7.7 kW without work, 24.3 kW with every device at its limit" in out
    assert "site.row_power_cap: 12.2 kW in all, 50% of the latter" in out


def test_explain_prints_what_takes_the_memory_of_a_device(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    """Llama 3.1 8B in 16 bit on one H100 of 85.5 GB with 0.9 of it; the sampler of July 2025."""
    pool = "{name: gpu, node: dgx-h100, replica: {tensor_parallel: 1, engine: vllm-0.10}}"
    file = tmp_path / "memory.yaml"
    file.write_text(
        BURST.partition("cluster:")[0] + f"cluster: {{pools: [{pool}]}}\n", encoding="utf-8"
    )
    code, out, _ = call(capsys, "explain", str(file))
    rows = dict(
        (cell.strip() for cell in line.strip("│ ").split("│")[:2])
        for line in out.splitlines()
        if line.count("│") == 3
    )
    assert code == 0
    assert rows["weights per device [GB]"] == "16.1"
    assert rows["runtime and dense step per device [GB]"] == "2.20"
    # 1,024 x 128,256 logits of 38 B, 8,192 x 4,096 values of 2 B, less 1.4 GB
    assert rows["expert and sampler buffers per device [GB]"] == "3.66"
    assert rows["KV cache per device [GB]"] == "55.0"  # 76.95 - 16.06 - 2.2 - 3.66


def test_explain_prints_the_usual_paths_and_any_other_hop_by_hop(
    scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "device to device in a node of b200" in call(capsys, "explain", scenario)[1]
    code, out, _ = call(
        capsys, "explain", scenario, "--variant", "b200", "--path", "front_door", "b200/0/device1"
    )
    assert code == 0
    assert "4 hops, 5.00 us, bottleneck 46.0 GB/s from InfiniBand NDR rail/spine to" in out
    assert "pcie5" in out and "highest rate" not in out
    code, _, err = call(
        capsys, "explain", scenario, "--variant", "b200", "--path", "front_dor", "b200/0/device1"
    )
    assert (code, err) == (2, "--path: got 'front_dor'; did you mean 'front_door'?\n")


@pytest.mark.slow
def test_plot_draws_every_figure_and_names_them(
    scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call(capsys, "run", scenario)
    names = call(capsys, "plot", "--list")[1].split()
    assert {"latency_cdf", "timeline", "ttft_over_time", "rate_latency", "tornado"} <= set(names)
    for name in figures.NAMES:
        code, out, _ = call(capsys, "plot", name, "runs/small", "-o", f"{name}.svg")
        assert (code, out) == (0, f"{name}.svg\n")
        assert Path(f"{name}.svg").stat().st_size > 5_000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["plot", "latency_cfd", "runs"],
            "plot: no figure 'latency_cfd'; did you mean 'latency_cdf'?",
        ),
        (["plot", "timeline"], "plot: got no run folder; expected one or more"),
        (
            ["plot", "timeline", "nowhere"],
            "nowhere: no such folder; expected a folder that `cluster-sim run` has written, such as runs/NAME/VARIANT",
        ),
        (["catalog", "dgx-b20"], "catalog: no entry 'dgx-b20'; did you mean 'dgx-b200'?"),
        (
            ["run", "small.yaml", "--variant", "cs4"],
            "small.yaml:14: no variant 'cs4'; did you mean 'cs3'?",
        ),
        (
            ["run", "small.yaml", "--set", "seed"],
            "--set seed: expected key=value, such as --set cluster.pools[0].nodes=2",
        ),
    ],
)
def test_what_cannot_be_done_exits_2_and_says_why(
    scenario: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    code, out, err = call(capsys, *arguments)
    assert (code, out) == (2, "")
    assert said in err.strip()


def test_a_failure_of_ours_exits_1_without_a_traceback_unless_asked(
    scenario: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("cluster_sim.sim.simulate.simulate", broken)
    code, _, err = call(capsys, "run", scenario)
    assert code == 1
    assert err.strip() == "the simulation failed: RuntimeError: a bug (--debug shows where)"
    with pytest.raises(RuntimeError, match="a bug"):
        call(capsys, "--debug", "run", scenario)


@pytest.mark.slow
def test_the_catalog_lists_every_entry_and_shows_figures_with_their_sources(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = call(capsys, "catalog")[1]
    for kind in ("devices", "nodes", "models"):
        assert all(name in out for name in catalog_names(kind))
    out = call(capsys, "catalog", "b200-sxm")[1]
    for text in (
        "memory.bandwidth",
        "7.672 TB/s",
        "ao4002",
        "high",
        "https://github.com/pytorch/ao/pull/4002",
    ):
        assert text in out
    out = call(capsys, "catalog", "hybrid-sram-hbm")[1]
    assert (
        "33 figures: 0 of high confidence, 0 of medium confidence, 33 of low confidence; 33 rest on an estimate"
        in out
    )


@pytest.mark.parametrize("command", ["run", "explain"])
def test_estimates_in_place_of_measured_kernels_are_warned_of(
    scenario: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    scenario.write_text(BURST.replace("dgx-b200", "mi300x-8"))
    code, _, err = call(capsys, command, scenario)
    assert code == 0
    assert (
        err.count(
            "warning: AMD MI300X: no kernels were measured. Its step times are a roofline of the data sheet"
        )
        == 1
    )


@pytest.mark.slow
def test_the_schema_accepts_the_scenarios_and_refuses_a_wrong_key(
    scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from ruamel.yaml import YAML

    schema = json.loads(call(capsys, "schema")[1])
    validator = jsonschema.Draft202012Validator(schema)
    for path in [*SCENARIOS, scenario]:
        validator.validate(YAML(typ="safe", pure=True).load(path.read_text()))
    wrong = YAML(typ="safe", pure=True).load(BURST.replace("seed:", "sead:"))
    assert any("sead" in error.message for error in validator.iter_errors(wrong))


@pytest.mark.slow
@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_every_scenario_of_the_project_opens_with_its_question_and_runs(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert path.read_text().splitlines()[0].startswith("# ")
    assert path.read_text().splitlines()[0].endswith("?")
    arguments = ["run", path, "--out", tmp_path / "run", "--json"]
    if "trace:" in path.read_text():
        trace = tmp_path / "trace.csv"
        trace.write_text(
            "TIMESTAMP,ContextTokens,GeneratedTokens\n"
            + "".join(
                f"2024-01-01 00:00:{second:02d},{100 + second},{1 + second}\n"
                for second in range(60)
            )
        )
        arguments += ["--set", f"workload.trace.path={trace}"]
    is_large = path.stem.startswith("deepseek")  # thousands of requests at once
    if "duration:" in path.read_text() or is_large:
        seconds = 20 if is_large else 90
        arguments += ["--set", f"duration={seconds} s", "--set", "warmup=5 s"]
    code, out, _ = call(capsys, *arguments)
    assert code == 0
    document = json.loads(out)
    for summary in document.get("variants", {"": document}).values():
        assert summary["completed"] > 0
        assert summary["failed"] == summary.get("timed_out", 0)


def test_help_of_every_command_names_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (
        "run",
        "check",
        "explain",
        "compare",
        "sweep",
        "best",
        "capacity",
        "sensitivity",
        "claims",
        "plot",
        "catalog",
        "schema",
    ):
        code, out, _ = call(capsys, command, "--help")
        assert code == 0
        assert "Usage: cluster-sim" in out


@pytest.mark.slow
@pytest.mark.parametrize("module", ["cluster_sim.cli", "cluster_sim.cli.app"])
def test_the_command_line_is_a_module_too(module: str) -> None:
    command = [sys.executable, "-m", module, "catalog"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "devices: " in done.stdout


def described(schema: Any, title: str) -> dict[str, Any]:
    """The part of a schema with a title, in `$defs` or where it is used."""
    parts = schema.values() if isinstance(schema, dict) else schema
    for part in parts:
        if isinstance(part, dict) and part.get("title") == title and "properties" in part:
            return part
        if isinstance(part, dict | list) and (inside := described(part, title)):
            return inside
    return {}


@pytest.mark.slow
def test_the_schema_explains_every_key_that_has_a_sentence_in_the_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    schema = json.loads(call(capsys, "schema")[1])
    assert (
        schema["properties"]["warmup"]["description"]
        == "Time before which arriving requests load the cluster but are excluded from the statistics [s]."
    )
    assert (
        described(schema, "Slo")["properties"]["ttft"]["description"]
        == "Maximum time to first token [s]. Default: no limit."
    )
