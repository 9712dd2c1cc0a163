"""Requests that arrive in bursts, from arrivals and latencies set by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from cluster_sim.cli.run_table import run_table, verdicts
from cluster_sim.report.charts import views
from cluster_sim.report.run_tables import bursts
from cluster_sim.report.verdict import verdict
from cluster_sim.results.bursts import burst_line, burst_rows, in_bursts
from cluster_sim.results.results import Results
from cluster_sim.sim.simulate import simulate
from tests.scenarios import make_scenario

BURST = {"at": "10 s", "lasts": "5 s", "every": "20 s", "rate": "1 /s"}


@cache
def small_run() -> Results:
    return simulate(make_scenario())


def with_requests(
    arrivals_s: Sequence[float],
    tpot_s: Sequence[float],
    status: str = "finished",
    arrivals: dict[str, Any] | None = None,
    **changes: Any,
) -> Results:
    """A run with these arrivals; TTFT is 0.1 s and answers have 11 tokens."""
    arrivals = arrivals or {"process": "burst", "rate": "1 /s", "bursts": [BURST]}
    workload = {"arrivals": arrivals, "prompt_tokens": 100, "output_tokens": 11}
    slo = {"ttft": "1 s", "tpot": "40 ms", "percentile": 50}
    scenario = make_scenario(**{"workload": workload, "slo": slo, "duration": "60 s"} | changes)
    number = len(arrivals_s)
    arrival_s = np.array(arrivals_s)
    table = small_run().requests.slice(0, number)
    assert len(table) == number
    values = {
        "arrival_s": arrival_s,
        "first_token_s": arrival_s + 0.1,
        "finish_s": arrival_s + 0.1 + 10 * np.array(tpot_s),
        "output_tokens": np.full(number, 11),
        "status": ["finished"] * (number - 1) + [status],
        "counted": [True] * number,
    }
    for name, column in values.items():
        place = table.column_names.index(name)
        table = table.set_column(place, name, pa.array(column, table.schema.field(name).type))
    return replace(small_run(), scenario=scenario, requests=table)


def test_a_burst_holds_its_beginning_its_repetitions_and_not_its_end() -> None:
    run = with_requests([9.9, 10.0, 14.9, 15.0, 30.0, 34.9, 35.0, 52.0], [0.01] * 8)
    of_bursts = in_bursts(run)
    assert of_bursts is not None
    assert of_bursts.requests == 5  # 10.0, 14.9, 30.0, 34.9 and 52.0


def test_a_single_burst_does_not_come_again() -> None:
    once = {key: value for key, value in BURST.items() if key != "every"}
    arrivals = {"process": "burst", "rate": "1 /s", "bursts": [once]}
    of_bursts = in_bursts(with_requests([5.0, 12.0, 32.0], [0.01] * 3, arrivals=arrivals))
    assert of_bursts is not None
    assert of_bursts.requests == 1


def test_a_rate_curve_moves_the_bursts() -> None:
    # at twice the rate, everything happens at half its time: the burst is from 5 s to 7.5 s
    curve = {"points": [["0 s", 2.0]]}
    arrivals = {"process": "burst", "rate": "1 /s", "bursts": [BURST], "rate_curve": curve}
    of_bursts = in_bursts(with_requests([4.9, 5.1, 7.4, 7.6, 12.0], [0.01] * 5, arrivals=arrivals))
    assert of_bursts is not None
    assert of_bursts.requests == 2


def test_a_met_verdict_is_followed_by_the_objectives_that_bursts_miss() -> None:
    # median TPOT: 10 ms of all seven requests, 72 ms of the three in bursts
    run = with_requests(
        [1.0, 2.0, 3.0, 4.0, 11.0, 12.0, 31.0], [0.01, 0.01, 0.01, 0.01, 0.03, 0.072, 0.08]
    )
    assert run.summary()["slo_met"]
    of_bursts = in_bursts(run)
    assert burst_line(of_bursts) == "in bursts: missed (TPOT 72 ms > 40 ms); 33.3 % within SLO"
    assert burst_rows([of_bursts]) == [
        ("in bursts: requests", ["3"]),
        ("  within SLO", ["33.3%"]),
        ("  TTFT p50 [ms]", ["100.0"]),
        ("  TPOT p50 [ms]", ["72.00"]),
    ]


def test_there_is_no_line_if_bursts_meet_the_objectives_or_all_requests_miss_them() -> None:
    calm = with_requests([1.0, 11.0], [0.01, 0.01])
    hopeless = with_requests([1.0, 11.0], [0.08, 0.08])
    assert burst_line(in_bursts(calm)) is None
    assert burst_line(in_bursts(hopeless)) is None
    assert not hopeless.summary()["slo_met"]


def test_a_request_without_an_answer_misses_the_objectives_of_its_burst() -> None:
    run = with_requests([1.0, 2.0, 11.0], [0.01] * 3, status="rejected")
    of_bursts = in_bursts(run)
    assert of_bursts is not None
    assert of_bursts.attainment == 0.0
    line = burst_line(of_bursts)
    assert line is not None
    assert "100% of requests did not finish" in line


def test_a_run_without_slo_has_rows_at_p99() -> None:
    of_bursts = in_bursts(with_requests([1.0, 11.0], [0.01, 0.02], slo={}))
    labels = [label for label, _ in burst_rows([of_bursts])]
    assert labels == ["in bursts: requests", "  TTFT p99 [ms]", "  TPOT p99 [ms]"]


def test_bursts_without_requests_have_a_row_and_no_verdict() -> None:
    of_bursts = in_bursts(with_requests([1.0], [0.01]))
    assert burst_rows([of_bursts]) == [("in bursts: requests", ["0"])]
    assert burst_line(of_bursts) is None


def test_other_arrivals_have_no_rows() -> None:
    arrivals = {"process": "poisson", "rate": "2 /s"}
    assert in_bursts(with_requests([1.0, 11.0], [0.01] * 2, arrivals=arrivals)) is None
    assert burst_rows([None]) == []


def test_the_verdict_and_the_table_of_a_run_show_the_bursts() -> None:
    run = with_requests([1.0, 2.0, 3.0, 11.0], [0.01, 0.01, 0.01, 0.072])
    summaries, of_bursts = {"a": run.summary()}, {"a": in_bursts(run)}
    line = "in bursts: missed (TPOT 72 ms > 40 ms); 0.0 % within SLO"
    assert list(verdicts(summaries, (), of_bursts)) == ["SLO at p50: met", line]
    assert list(verdicts(summaries | {"b": {}}, (), of_bursts))[1] == f"a: {line}"
    labels = list(run_table("x", summaries, None, of_bursts).columns[0].cells)
    assert labels[-4:] == [
        "in bursts: requests",
        "  within SLO",
        "  TTFT p50 [ms]",
        "  TPOT p50 [ms]",
    ]


def test_the_report_shows_the_bursts() -> None:
    shown = views([with_requests([1.0, 2.0, 3.0, 11.0], [0.01, 0.01, 0.01, 0.072])])
    assert "In bursts: missed (TPOT 72 ms > 40 ms); 0.0 % within SLO. " in verdict(shown)[0]
    rows = [[cell.text for cell in row] for row in bursts(shown).rows]
    assert ["in bursts: requests", "1"] in rows


def test_the_summary_has_no_fields_of_bursts() -> None:
    run = with_requests([1.0, 11.0], [0.01, 0.02])
    assert not [name for name in run.summary() if "burst" in name]
