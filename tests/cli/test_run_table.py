"""The table of a run says first whether objectives are met."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from cluster_sim.cli.run_table import run_table, verdicts
from cluster_sim.results.unanswered import Reason
from tests.commands import BURST, call

TPOT = {"metric": "tpot", "limit_ms": 25.0, "value_ms": 61.0}
MET = {"slo_attainment": 0.97, "slo_percentile": 95.0, "slo_met": True, "slo_missed": []}
MISSED = MET | {"slo_attainment": 0.6, "slo_met": False, "slo_missed": [TPOT]}


def rows(
    reasons: dict[str, tuple[Reason, ...]] | None = None, **summaries: dict[str, Any]
) -> dict[str, list[str]]:
    """Cells of the table by the label of their row, in its order."""
    console = Console(width=200, markup=False)
    with console.capture() as capture:
        console.print(run_table("x", summaries, reasons))
    cells = [
        [cell.strip() for cell in line.split("│")[1:-1]]
        for line in capture.get().splitlines()
        if "│" in line
    ]
    return {label: values for label, *values in cells}


def test_the_verdict_is_one_line_per_variant() -> None:
    assert list(verdicts({"x": MET})) == ["SLO at p95: met"]
    assert list(verdicts({"a": MET, "b": MISSED, "c": {}})) == [
        "a: SLO at p95: met",
        "b: SLO at p95: missed (TPOT 61 ms > 25 ms)",
    ]


def test_the_verdict_is_the_first_row_and_the_share_within_the_slo_stands_beside_it() -> None:
    table = rows(a=MET | {"completed": 9}, b=MISSED, c={"completed": 8})
    assert list(table) == ["SLO at p95", "within SLO", "completed"]
    assert table["SLO at p95"] == ["met", "missed", "-"]
    assert table["within SLO"] == ["97.0%", "60.0%", "-"]
    assert "SLO" not in " ".join(rows(a={"completed": 9}))


def test_variants_that_are_judged_at_other_percentiles_say_so_in_their_cells() -> None:
    table = rows(a=MET, b=MISSED | {"slo_percentile": 99.9})
    assert table["SLO"] == ["met at p95", "missed at p99.9"]


def test_reasons_stand_below_the_row_that_they_add_up_to() -> None:
    long, full = Reason("rejected", "too long", 2, ""), Reason("rejected", "queue full", 3, "")
    late = Reason("failed", "still waiting", 1234, "")
    counts = {"completed": 9, "failed": 0, "rejected": 5}
    table = rows(
        {"a": (full, long), "b": (late,)},
        a=counts,
        b=counts | {"failed": 1234, "rejected": 0},
    )
    assert list(table) == [
        "completed",
        "failed",
        "still waiting",
        "rejected",
        "queue full",
        "too long",
    ]
    assert table["still waiting"] == ["0", "1,234"]
    assert table["queue full"] == ["3", "0"]


@pytest.mark.parametrize(
    ("percentile", "labels"),
    [
        (50.0, ["TTFT p50 [ms]", "TTFT p99 [ms]"]),
        (95.0, ["TTFT p50 [ms]", "TTFT p95 [ms]", "TTFT p99 [ms]"]),
        (99.0, ["TTFT p50 [ms]", "TTFT p99 [ms]"]),
        (99.9, ["TTFT p50 [ms]", "TTFT p99 [ms]", "TTFT p99.9 [ms]"]),
        (10.0, ["TTFT p10 [ms]", "TTFT p50 [ms]", "TTFT p99 [ms]"]),
    ],
)
def test_the_percentile_of_the_slo_stands_among_p50_and_p99(
    percentile: float, labels: list[str]
) -> None:
    latencies = {f"p{value}_ttft_ms": 1.0 for value in (10, 95, 99, 99.9)}
    summary = MET | latencies | {"median_ttft_ms": 1.0, "slo_percentile": percentile}
    assert [label for label in rows(a=summary) if "TTFT" in label] == labels


def test_each_class_has_its_verdict_and_its_percentile() -> None:
    chat = MISSED | {"p95_ttft_ms": 12.34, "p99_ttft_ms": 40.0}
    free = {"p99_ttft_ms": 50.0, "p99_tpot_ms": 8.0, "slo_attainment": 1.0}
    table = rows(a={"classes": {"chat": chat, "free": free}}, b={})
    assert table == {
        "chat: SLO at p95": ["missed", "-"],
        "chat: TTFT p95, p99 [ms], within SLO": ["12.3, 40.0, 60.0%", "-, -, -"],
        "free: TTFT p99 [ms], within SLO": ["50.0, 100.0%", "-, -"],
        "free: TPOT p99 [ms]": ["8.00", "-"],
    }


def test_run_prints_the_verdicts_before_the_table(
    tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(BURST)
    sets = ("--set", "slo.percentile=90", "--set", "duration=3 s", "--out", tmp_path / "runs")
    code, out, _ = call(capsys, "run", path, *sets)
    first, second, title, *_ = out.splitlines()
    assert code == 0
    assert first.startswith("b200: SLO at p90: ")
    assert second.startswith("cs3: SLO at p90: ")
    assert title.strip() == "small"
    code, out, _ = call(capsys, "run", path, "--variant", "b200", *sets)
    assert out.splitlines()[0].startswith("SLO at p90: ")
