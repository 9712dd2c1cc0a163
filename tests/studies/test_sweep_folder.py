"""The folder of a sweep: what is damaged is told and made again, and other sweeps are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cluster_sim.errors import ScenarioError
from cluster_sim.studies.sweep import sweep
from tests.studies.test_sweep import AXES, write


def swept(path: Path, out: Path) -> tuple[list[str], bytes]:
    """What a sweep warns of, and the bytes of its table."""
    warnings: list[str] = []
    sweep(path, out, workers=0, warned=warnings.append)
    return warnings, (out / "sweep.parquet").read_bytes()


@pytest.fixture
def swept_once(tmp_path: Path) -> tuple[Path, Path, bytes]:
    """A scenario file, the folder of its sweep, and the bytes of its table."""
    path, out = write(tmp_path, {"axes": AXES}), tmp_path / "out"
    warnings, table = swept(path, out)
    assert warnings == []
    return path, out, table


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "is empty, truncated or damaged"),
        (b'{"status": "done", "rea', "is empty, truncated or damaged"),
        (b"\xff\xfe\x00", "is empty, truncated or damaged"),
        (b"[" * 100_000, "is empty, truncated or damaged"),
        (
            b'{"status": "done", "reason": "", "summary": {"completed": 1%d}}' % 10**40,
            "is not an outcome",
        ),
        (b'{"status": "done", "reason": "", "summary": {"completed": NaN}}', "is not an outcome"),
        (
            b'{"status": "done", "reason": "\\ud800", "summary": {"completed": 1}}',
            "is not an outcome",
        ),
        (b'{"status": "failed", "reason": "", "summary": {}}', "is not an outcome"),
        (b"[]", "is not an outcome of a point"),
        (b'{"status": "done", "reason": "", "summary": {}}', "is not an outcome of a point"),
        (b'{"status": "done", "reason": "", "summary": {"classes": 3}}', "is not an outcome"),
        (b'{"status": "maybe", "reason": "", "summary": {}}', "is not an outcome of a point"),
        (
            b'{"status": "failed", "reason": "why", "summary": {}, "key": "other"}',
            "belongs to the point other",
        ),
    ],
)
def test_a_damaged_point_is_kept_under_another_name_and_simulated_again(
    swept_once: tuple[Path, Path, bytes], content: bytes, fault: str
) -> None:
    path, out, table = swept_once
    damaged = sorted((out / "points").glob("*.json"))[1]
    damaged.write_bytes(content)
    warnings, again = swept(path, out)
    assert again == table
    assert len(warnings) == 1
    assert warnings[0].startswith(f"{damaged}: {fault}")
    assert f"the file is kept as {damaged.name}.damaged, and is simulated again" in warnings[0]
    assert damaged.with_name(f"{damaged.name}.damaged").read_bytes() == content
    assert swept(path, out) == ([], table)


def test_a_point_that_is_damaged_twice_keeps_both_and_so_does_a_folder_in_its_place(
    swept_once: tuple[Path, Path, bytes],
) -> None:
    path, out, table = swept_once
    point = next((out / "points").glob("*.json"))
    point.write_text("one")
    swept(path, out)
    point.unlink()
    point.mkdir()
    warnings, again = swept(path, out)
    assert again == table
    assert "is a folder; the file is kept as" in warnings[0]
    assert point.with_name(f"{point.name}.damaged").read_text() == "one"
    assert point.with_name(f"{point.name}.damaged2").is_dir()


@pytest.mark.parametrize(
    "content", ["", "[1, 2]", '{"name": "x", "rows": [{"key": "../../x", "columns": {}}]}']
)
def test_a_damaged_plan_is_set_aside_and_the_sweep_makes_it_again(
    swept_once: tuple[Path, Path, bytes], content: str
) -> None:
    path, out, table = swept_once
    (out / "plans" / "small.json").write_text(content)
    (out / "plans" / "other.json").write_text(content)
    warnings, again = swept(path, out)
    assert again == table
    assert sorted(file.name for file in (out / "plans").iterdir()) == [
        "other.json.damaged",
        "small.json",
        "small.json.damaged",
    ]
    assert [Path(text.partition(": ")[0]).name for text in warnings] == ["small.json", "other.json"]


def test_half_written_files_of_a_killed_sweep_change_nothing(
    swept_once: tuple[Path, Path, bytes],
) -> None:
    path, out, table = swept_once
    (out / "plans" / ".small.json-0a1b2c3d").write_text('{"name": ')
    (out / "points" / ".x.json-0a1b2c3d").write_text("")
    assert swept(path, out) == ([], table)


def other(changes: dict[str, Any], asked: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"asked": asked or {"axes": AXES}, "changes": changes}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "told"),
    [
        (other({"duration": "30 s"}), "duration is '60 s' in the plan and '30 s' in the file"),
        (other({"drain": "1 s"}), "drain is missing in the plan and '1 s' in the file"),
        (
            other({}, {"axes": [{"workload.arrivals.rate": ["1 /s", "3 /s"]}, AXES[1]]}),
            'axis workload.arrivals.rate has "2 /s" only in the plan',
        ),
        (
            other({}, {"axes": [AXES[0], {"seed": [1, 2]}]}),
            "axis workload.prompt_tokens is only in the plan; axis workload.output_tokens is only in the plan; "
            "axis seed is only in the file",
        ),
        (
            other({}, {"axes": AXES, "exclude": [{k: v[0] for a in AXES for k, v in a.items()}]}),
            "points of the plan are excluded in the file",
        ),
    ],
)
def test_a_sweep_of_another_file_is_refused_with_what_differs(
    swept_once: tuple[Path, Path, bytes], tmp_path: Path, file: dict[str, Any], told: str
) -> None:
    _, out, table = swept_once
    (tmp_path / "elsewhere").mkdir()
    path = write(tmp_path / "elsewhere", file["asked"], **file["changes"])
    with pytest.raises(ScenarioError) as caught:
        sweep(path, out, workers=0)
    assert told in str(caught.value)
    assert str(caught.value).startswith(f"{out / 'plans' / 'small.json'}: is not the plan of")
    assert "choose another --out" in str(caught.value)
    assert (out / "sweep.parquet").read_bytes() == table
    (out / "plans" / "small.json").unlink()
    assert swept(path, out)[0] == []


def test_a_sweep_may_get_more_values_replications_and_variants(tmp_path: Path) -> None:
    out = tmp_path / "out"
    swept(write(tmp_path, {"axes": AXES[:1]}, variants={"a": {}}), out)
    more = {"axes": [{"workload.arrivals.rate": ["3 /s", "2 /s", "1 /s"]}], "replications": 2}
    path = write(tmp_path, more, variants={"a": {}, "b": {"seed": 9}})
    assert sweep(path, out, workers=0).num_rows == 2 * 3 * 2


def test_a_plan_of_an_earlier_version_that_tells_no_scenario_is_taken(
    swept_once: tuple[Path, Path, bytes],
) -> None:
    path, out, table = swept_once
    plan_path = out / "plans" / "small.json"
    plan = json.loads(plan_path.read_text())
    del plan["scenario"]
    plan_path.write_text(json.dumps(plan))
    assert swept(path, out) == ([], table)
