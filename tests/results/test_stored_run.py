"""Run folders as they are opened: damaged ones are named, earlier ones load with what they have."""

from __future__ import annotations

import json
import re
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster_sim.errors import ScenarioError
from cluster_sim.results.earlier_folder import RunFolderWarning
from cluster_sim.results.results import Results, load_results, load_runs
from cluster_sim.results.run_data import LATER_TABLES, TABLES, TABLES_WITH_ROWS
from cluster_sim.results.run_folder import RUN_FORMAT
from cluster_sim.results.table_files import DESCRIBED
from cluster_sim.sim.simulate import simulate
from tests.commands import call
from tests.machines import GOVERNOR, LIMITS, POWER, SMALL_GPU, node
from tests.scenarios import make_pool, make_scenario

# What run folders of earlier versions lacked, by the first version that had it.
LACKED_BEFORE_CONTENTION = {
    "requests": ["bus_s", "link_s", "kv_contention_s"],
    "stretches": ["clock", "memory_share", "link_share", "bus_s", "link_s", "station_occupancy"],
    "devices": ["max_die_c", "max_memory_c", "throttled_s", "lowest_clock"],
    "links": ["utilisation", "saturated_share"],
}
LACKED_BEFORE_DISAGGREGATION = {
    "requests": [
        *LACKED_BEFORE_CONTENTION["requests"],
        "class",
        "prefill_replica",
        "prefix_hit_tokens",
        "fetched_tokens",
        "hand_over_wait_s",
        "kv_transfer_s",
    ],
    "stretches": [*LACKED_BEFORE_CONTENTION["stretches"], "energy_j"],
    "devices": [*LACKED_BEFORE_CONTENTION["devices"], "energy_j", "mean_power_w"],
    "links": LACKED_BEFORE_CONTENTION["links"],
    "events": ["reason"],
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(make_scenario()).save(tmp_path_factory.mktemp("saved") / "run")


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "run"))


def change_table(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(path)), path)


def change_manifest(folder: Path, **changes: object) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in manifest.items() if value != "gone"}))


def opened(folder: Path) -> Results:
    """The results in a folder that gives no warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return load_results(folder)


@pytest.mark.slow
@pytest.mark.parametrize("lacking", [LACKED_BEFORE_CONTENTION, LACKED_BEFORE_DISAGGREGATION])
def test_a_folder_of_an_earlier_version_loads_with_what_it_has(
    folder: Path, lacking: dict[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    before = opened(folder).summary()
    for name in LATER_TABLES.difference(TABLES_WITH_ROWS):
        (folder / f"{name}.parquet").unlink()
    for name, columns in lacking.items():
        change_table(folder / f"{name}.parquet", lambda table, gone=columns: table.drop(gone))
    change_manifest(folder, format="gone")
    results = opened(folder)
    after = results.summary()
    for key in ("completed", "p99_ttft_ms", "p99_itl_ms", "output_throughput", "duration"):
        assert after[key] == before[key]
    assert results.stretches["clock"].unique().to_pylist() == [1.0]
    assert results.requests["prefill_replica"].null_count == results.requests.num_rows
    for command in (["plot", "phase_breakdown"], ["plot", "timeline"], ["report"], ["trace"]):
        code, _, err = call(capsys, *command, folder, "-o", folder.parent / f"x.{command[0]}.png")
        assert code == 0, err


def test_filled_columns_are_of_the_type_that_runs_write(saved: Path) -> None:
    for name in TABLES:
        table = pq.read_table(saved / f"{name}.parquet")
        for column in DESCRIBED[name]:
            is_written = column.name in table.column_names
            if is_written and column.has_neutral and column.neutral is not None:
                kind = table.schema.field(column.name).type
                assert pa.types.is_integer(kind) == isinstance(column.neutral, int), column.name


def test_every_table_has_the_columns_that_are_described(saved: Path) -> None:
    for name in TABLES:
        names = pq.read_schema(saved / f"{name}.parquet").names
        described = [column.name for column in DESCRIBED[name] if column.is_in_all_versions]
        assert not names or set(described) <= set(names)


@pytest.mark.parametrize("name", [name for name in TABLES if name not in LATER_TABLES])
def test_a_table_that_is_missing_is_named(folder: Path, name: str) -> None:
    (folder / f"{name}.parquet").unlink()
    with pytest.raises(ScenarioError) as error:
        load_results(folder)
    assert str(error.value) == f"{folder / name}.parquet: is missing from the run folder"


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "flipped", "folder"])
def test_a_damaged_table_is_named(folder: Path, damage: str) -> None:
    path = folder / "requests.parquet"
    data = path.read_bytes()
    path.unlink()
    match damage:
        case "cut":
            path.write_bytes(data[: len(data) // 2])
        case "empty":
            path.touch()
        case "text":
            path.write_text("request,status\n1,finished\n")
        case "flipped":
            middle = len(data) // 4
            path.write_bytes(data[:middle] + bytes(200) + data[middle + 200 :])
        case _:
            path.mkdir()
    with pytest.raises(ScenarioError, match=r"requests\.parquet: is damaged: "):
        load_results(folder)


def test_columns_that_are_missing_or_of_another_type_are_named_together(folder: Path) -> None:
    change_table(folder / "requests.parquet", lambda table: table.drop(["arrival_s", "status"]))
    change_table(
        folder / "events.parquet",
        lambda table: table.set_column(0, "at_s", pa.array(["x"] * len(table), pa.string())),
    )
    with pytest.raises(ScenarioError) as error:
        load_results(folder)
    assert [str(fault) for fault in error.value.faults] == [
        f"{folder}/requests.parquet: has no column status, arrival_s, which every run folder has",
        f"{folder}/events.parquet: column at_s: got string; expected numbers",
    ]


def test_a_table_that_has_lost_rows_is_told(folder: Path) -> None:
    table = pq.read_table(folder / "requests.parquet")
    pq.write_table(table.slice(0, 2), folder / "requests.parquet")
    with pytest.raises(ScenarioError) as error:
        load_results(folder)
    assert str(error.value) == (
        f"{folder}/requests.parquet: is damaged: got 2 rows; "
        f"expected {table.num_rows} as in manifest.json"
    )


def test_a_column_that_has_lost_its_values_is_told(folder: Path) -> None:
    def lose(table: pa.Table) -> pa.Table:
        place = table.column_names.index("began_s")
        return table.set_column(place, "began_s", pa.nulls(len(table), pa.float64()))

    change_table(folder / "stretches.parquet", lose)
    with pytest.raises(
        ScenarioError, match=r"is damaged: (\d+) of \1 values of began_s are missing"
    ):
        load_results(folder)


def test_a_time_that_no_run_reaches_is_told(folder: Path) -> None:
    def delay(table: pa.Table) -> pa.Table:
        place = table.column_names.index("finish_s")
        return table.set_column(place, "finish_s", pa.array([1e303] * len(table)))

    change_table(folder / "requests.parquet", delay)
    with pytest.raises(ScenarioError, match=r"column finish_s: got 1e.303 s; expected a time"):
        load_results(folder)


def test_another_column_is_no_fault(folder: Path) -> None:
    change_table(
        folder / "requests.parquet",
        lambda table: table.append_column("mine", pa.array(range(len(table)))),
    )
    assert "mine" in opened(folder).requests.column_names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "manifest.json: is damaged: "),
        ("[]", "manifest.json: is damaged: it does not hold a JSON object"),
        ('{"wall_s": 1', "manifest.json: is damaged: "),
        ("[" * 100_000, "manifest.json: is damaged: "),
        ('{"format": "x"}', "manifest.json: format: got 'x'; expected a whole number"),
    ],
)
def test_a_damaged_manifest_is_named(folder: Path, text: str, message: str) -> None:
    (folder / "manifest.json").write_text(text)
    with pytest.raises(ScenarioError, match=message):
        load_results(folder)


def test_a_folder_of_a_later_form_is_refused(folder: Path) -> None:
    change_manifest(folder, format=RUN_FORMAT + 1)
    with pytest.raises(ScenarioError, match=r"manifest.json: a later version .* in format \d;"):
        load_results(folder)


def test_a_scenario_of_another_version_is_told_as_such(folder: Path) -> None:
    path = folder / "scenario.yaml"
    path.write_text(path.read_text().replace("knee:", "layer_overhead:"))
    change_manifest(folder, scenario_sha256="gone")
    with pytest.raises(ScenarioError) as error:
        load_results(folder)
    first, *_, unknown = map(str, error.value.faults)
    assert first.startswith(f"{folder}: was written by another version")
    assert "unknown key 'layer_overhead'" in unknown


def test_an_edited_scenario_is_noticed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    opened(folder)
    path = folder / "scenario.yaml"
    path.write_text(path.read_text().replace("name: small", "name: large"))
    with pytest.warns(RunFolderWarning, match=r"scenario\.yaml: was edited after the run"):
        assert load_results(folder).scenario.name == "large"
    code, _, err = call(capsys, "trace", folder, "-o", folder.parent / "x.pftrace")
    assert code == 0
    assert err.startswith(f"warning: {path}: was edited after the run")
    assert err.count("\n") == 1


def test_a_folder_with_a_name_that_check_refuses_today_still_loads(tmp_path: Path) -> None:
    folder = simulate(make_scenario(name="team/../x\x1b")).save(tmp_path / "run")
    assert opened(folder).scenario.name == "team/../x\x1b"


def test_names_are_in_tables_as_they_are_written(tmp_path: Path) -> None:
    name = "$x^{ [/b] <b>日本語</b> \x1b[31m 😀"
    pool = make_pool()
    node = pool["node"] | {"device": pool["node"]["device"] | {"name": name}}
    scenario = make_scenario(name=name, cluster={"pools": [pool | {"node": node}]})
    results = opened(simulate(scenario).save(tmp_path / "run"))
    assert results.devices["kind"].unique().to_pylist() == [name]
    assert results.scenario.title == results.summary()["name"] == name


@pytest.mark.parametrize("name", ["x\0", "x" * 5000, "none", "run/manifest.json", ""])
def test_what_is_no_run_folder_is_said_to_be_none(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    for load in (load_results, load_runs):
        if name or load is load_results:
            with pytest.raises(
                ScenarioError, match="expected a folder that `cluster-sim run` has written"
            ):
                load(name)
    assert len(load_runs("")) == 1


def test_line_ends_of_another_system_are_no_edit(folder: Path) -> None:
    path = folder / "scenario.yaml"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    opened(folder)


def test_a_folder_whose_governors_have_keys_of_earlier_versions_loads_without_a_word(
    tmp_path: Path,
) -> None:
    device = SMALL_GPU | {"power": POWER, "governor": GOVERNOR, "limits": LIMITS}
    pool = make_pool(node=node(device))
    folder = simulate(make_scenario(cluster={"pools": [pool]})).save(tmp_path / "run")
    scenario, manifest = folder / "scenario.yaml", folder / "manifest.json"
    old = r"\1power_period: 5 ms\n\1fall_period: 50 ms\n\1rise_period: 100 ms\n"
    text, count = re.subn(
        r"( *)thermal_period: .*\n +thermal_response: .*\n", old, scenario.read_text()
    )
    assert count == 1
    scenario.write_text(text)
    facts = json.loads(manifest.read_text())
    del facts["scenario_sha256"]
    manifest.write_text(json.dumps(facts))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = load_results(folder).scenario.cluster.pools[0].node.device.governor
    assert read is not None and read.thermal_period_s == 0.05 and read.rise_period_s == 0.1
