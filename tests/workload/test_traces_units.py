"""Units of time in traces: what decides, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cluster_sim.errors import ScenarioError
from cluster_sim.workload.traces import Tally, Trace

NAMES = {"arrival": "when", "prompt": "asked", "output": "said"}
SINCE_1970_S = 1_700_000_000


def table(tmp_path: Path, *stamps: Any, name: str = "when") -> str:
    path = tmp_path / "trace.csv"
    path.write_text(f"{name},asked,said\n" + "".join(f"{stamp},3,4\n" for stamp in stamps))
    return str(path)


def lines(tmp_path: Path, *rows: dict[str, Any]) -> str:
    path = tmp_path / "trace.jsonl"
    lengths = {"input_length": 10, "output_length": 2}
    path.write_text("".join(json.dumps(row | lengths) + "\n" for row in rows))
    return str(path)


def times(path: str, **keys: Any) -> tuple[list[float], list[str]]:
    """Times of a trace's requests, and what is said of it."""
    tally = Tally()
    rows = list(Trace.model_validate({"path": path} | keys).rows(0, tally))
    return [row[0] for row in rows], list(tally.said())


def fault(path: str, **keys: Any) -> str:
    with pytest.raises(ScenarioError) as told:
        times(path, **keys)
    return str(told.value).removeprefix(path)


@pytest.mark.parametrize("at", [0, 7, 19])
def test_a_stamp_among_those_since_1970_is_refused_with_its_line(tmp_path: Path, at: int) -> None:
    stamps = [SINCE_1970_S + 2 * number for number in range(20)]
    stamps[at] = 0
    path = table(tmp_path, *stamps)
    assert fault(path, columns=NAMES) == (
        f":{at + 2}: when: got 0; expected seconds since 1970, as in other rows; to read all rows as they are, write time_unit: s"
    )
    found, _ = times(path, columns=NAMES, time_unit="s")
    assert max(found) - min(found) == max(stamps)


def test_a_late_stamp_of_another_unit_is_refused_with_its_line(tmp_path: Path) -> None:
    stamps = [SINCE_1970_S + number for number in range(5000)]
    stamps[4500] *= 1000
    assert fault(table(tmp_path, *stamps), columns=NAMES).startswith(
        ":4502: when: got 1700004500000, the size of milliseconds since 1970; expected seconds"
    )


def test_two_units_since_1970_are_refused(tmp_path: Path) -> None:
    stamps = [(SINCE_1970_S + number) * (1, 1000)[number % 2] for number in range(20)]
    assert fault(table(tmp_path, *stamps), columns=NAMES).startswith(":3: when: got 1700000001000")


def test_one_stamp_far_away_does_not_change_the_unit(tmp_path: Path) -> None:
    """A rate over all rows would be 1e-10 per second; the others come every 2 seconds."""
    stamps = [2 * number for number in range(40)]
    stamps[9] = 4 * 10**11
    assert fault(table(tmp_path, *stamps), columns=NAMES).startswith(
        ":11: when: got 400000000000; expected a time within a year of the other rows; to read all rows as they are, write time_unit: s"
    )
    stamps[9] = 10**6
    _, notes = times(table(tmp_path, *stamps), columns=NAMES)
    assert notes[0].startswith(
        "when is read as seconds: its timestamps are whole numbers, which gives"
    )


def test_a_counter_that_passes_a_thousand_million_is_no_time_since_1970(tmp_path: Path) -> None:
    """20 requests, 0.1 s apart from the second on, in nanoseconds."""
    stamps = [0, *(10**9 + 10**8 * number for number in range(19))]
    found, notes = times(table(tmp_path, *stamps), columns=NAMES)
    assert found[-1] - found[1] == pytest.approx(1.8)
    assert notes[0].startswith("when is read as nanoseconds")


def test_dates_of_14_digits_are_refused(tmp_path: Path) -> None:
    stamps = [20261025143005, 20261025143006, 20261025143100]
    assert fault(table(tmp_path, *stamps), columns=NAMES).startswith(
        ":2: when: got 20261025143005, which seems to be a date; expected dates such as 2026-10-25 14:30:05, or numbers"
    )
    # no minute 75, so no dates
    assert "is read as" in times(table(tmp_path, *stamps, 20261025147500), columns=NAMES)[1][0]


def test_days_of_excel_are_refused(tmp_path: Path) -> None:
    """A request per 2 seconds, in days: 43,200 per second as seconds."""
    stamps = [45955.5 + 2.0 * number / 86_400 for number in range(20)]
    assert fault(table(tmp_path, *stamps), columns=NAMES).startswith(
        ":2: when: got 45955.5, which seems to be a date; expected dates such as 2026-10-25"
    )
    assert times(table(tmp_path, 45955.5, 45957.5), columns=NAMES)[0] == [0.0, 2.0]


@pytest.mark.parametrize(
    ("name", "unit"), [("arrival_min", "minutes"), ("Time (hours)", "hours"), ("tDays", "days")]
)
def test_a_column_of_minutes_hours_or_days_is_refused(tmp_path: Path, name: str, unit: str) -> None:
    path = table(tmp_path, 0.0, 0.5, 1.5, name=name)
    columns = NAMES | {"arrival": name}
    assert fault(path, columns=columns) == (
        f": {name}: got a column of {unit}, by its name; expected seconds, ms, us or ns; if it has seconds, write time_unit: s"
    )
    assert times(path, columns=columns, time_unit="s") == ([0.0, 0.5, 1.5], [])


def test_coarse_stamps_are_said_with_their_tick(tmp_path: Path) -> None:
    path = table(tmp_path, *(3 * (number // 10) for number in range(40)))
    note = "when is coarse: the first 40 rows have 4 times, mostly 3 s apart; use dejitter to spread rows over such a time"
    assert times(path, columns=NAMES)[1][1:] == [note]
    assert note not in times(path, columns=NAMES, dejitter="3 s")[1]
    every = table(tmp_path, *(3 * (number // 2) for number in range(40)))
    assert len(times(every, columns=NAMES)[1]) == 1


def test_a_document_yields_to_stamps_of_the_size_of_another_unit_since_1970(
    tmp_path: Path,
) -> None:
    """Bailian's document says seconds."""
    rows = [
        {"chat_id": number, "parent_chat_id": -1, "timestamp": 1000 * (SINCE_1970_S + 2 * number)}
        for number in range(3)
    ]
    found, notes = times(lines(tmp_path, *rows), replay="timestamps")
    assert [time - found[0] for time in found] == [0.0, 2.0, 4.0]
    assert "timestamp is read as milliseconds: its timestamps have the size" in notes[0]


def test_an_implausible_rate_of_a_document_is_said_with_those_of_other_units(
    tmp_path: Path,
) -> None:
    rows = [
        {"chat_id": number, "parent_chat_id": -1, "timestamp": 2000 * number} for number in range(3)
    ]
    found, notes = times(lines(tmp_path, *rows), replay="timestamps")
    assert found[-1] - found[0] == 4000.0
    assert notes[0] == (
        "timestamp is read as seconds: the format says so, though that gives 0.0005 requests/s (the rate would be 0.5 as milliseconds or 500 as microseconds); for another unit, write time_unit: ms, us or ns"
    )


def test_seconds_in_rows_of_aiperf_are_known_by_their_rate(tmp_path: Path) -> None:
    """Half a second apart: 2,000 per second as milliseconds."""
    rows = [{"session_id": number, "timestamp": 0.5 * number} for number in range(5)]
    found, notes = times(lines(tmp_path, *rows), replay="timestamps")
    assert found[-1] == 2.0
    assert notes[0].startswith("timestamp is read as seconds: milliseconds give 2,000 requests/s")


@pytest.mark.parametrize(("delay", "pause_s"), [(1000, 1.0), (1.5, 1.5)])
def test_delays_beside_stamps_in_seconds_are_as_long_as_is_plausible(
    tmp_path: Path, delay: float, pause_s: float
) -> None:
    path = lines(
        tmp_path,
        {"session_id": "a", "timestamp": SINCE_1970_S},
        {"session_id": "a", "delay": delay},
        {"session_id": "b", "timestamp": SINCE_1970_S + 4},
    )
    tally = Tally()
    first, second = Trace.model_validate({"path": path}).sessions(tally)
    assert second.start_s - first.start_s == 4.0
    assert first.steps[1].gap_s == pause_s
    assert any(note.startswith("delay is read as ") for note in tally.said())


def toks(tmp_path: Path, *stamps: float) -> str:
    path = tmp_path / "trace.jsonl"
    row = {"input_toks": 10, "output_toks": 2}
    path.write_text(
        "".join(json.dumps(row | {"arrival_time_ns": stamp}) + "\n" for stamp in stamps)
    )
    return str(path)


def test_milliseconds_in_a_row_of_nanoseconds_are_said(tmp_path: Path) -> None:
    """2 per second as milliseconds are 2 million per second as nanoseconds."""
    path = toks(tmp_path, 0, 500, 1000)
    found, notes = times(path)
    assert found == [0.0, 5e-7, 1e-6]
    assert notes == [
        "arrival_time_ns is read as nanoseconds: the format says so, though that gives 2e+06 requests/s (the rate would be 2 as milliseconds or 2e+03 as microseconds); for another unit, write time_unit: s, ms or us"
    ]
    assert times(path, time_unit="ms") == ([0.0, 0.5, 1.0], [])


def test_seconds_since_1970_in_rows_of_nanoseconds_are_seconds(tmp_path: Path) -> None:
    found, notes = times(toks(tmp_path, SINCE_1970_S, SINCE_1970_S + 2))
    assert found == [0.0, 2.0]
    assert notes[0].startswith(
        "arrival_time_ns is read as seconds: its timestamps have the size of"
    )


def test_a_unit_that_is_given_holds_for_pauses_of_sessions_too(tmp_path: Path) -> None:
    step = {"input_toks": 10, "output_toks": 2, "tool_duration_ns": 500}
    row = {"session_id": "a", "arrival_time_ns": 3000, "sub_requests": [step, step]}
    path = tmp_path / "trace.jsonl"
    path.write_text(json.dumps(row) + "\n")
    (session,) = Trace.model_validate({"path": str(path), "time_unit": "ms"}).sessions()
    assert (session.start_s, session.steps[1].gap_s) == (3.0, 0.5)


def test_milliseconds_in_a_table_of_blis_are_said(tmp_path: Path) -> None:
    """A request per 5 ms, read as microseconds: 200,000 per second."""
    path = tmp_path / "trace.csv"
    rows = "".join(f"{5 * number},10,2\n" for number in range(4))
    path.write_text(f"arrival_time_us,input_tokens,output_tokens\n{rows}")
    found, notes = times(str(path))
    assert found[-1] == pytest.approx(15e-6)
    assert any(
        "though that gives 2e+05 requests/s (the rate would be 0.2 as" in note for note in notes
    )
    assert times(str(path), time_unit="ms")[0][-1] == 0.015


def test_milliseconds_since_1970_in_a_table_of_blis_decide(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    rows = "".join(f"{1000 * (SINCE_1970_S + number)},10,2\n" for number in range(4))
    path.write_text(f"arrival_time_us,input_tokens,output_tokens\n{rows}")
    found, notes = times(str(path))
    assert found[-1] == 3.0
    assert any(note.startswith("arrival_time_us is read as milliseconds") for note in notes)


def test_milliseconds_in_sessions_of_weka_are_said(tmp_path: Path) -> None:
    """A request per 5 s, in milliseconds."""
    requests = [{"t": 5000 * at, "in": 10, "out": 2, "api_time": 1000} for at in range(4)]
    path = tmp_path / "trace.json"
    path.write_text(json.dumps({"requests": requests, "block_size": 64}))
    tally = Tally()
    (session,) = Trace.model_validate({"path": str(path)}).sessions(tally)
    assert session.steps[1].gap_s == 4000.0
    assert tally.notes[0] == (
        "t is read as seconds: the format says so, though half of the requests arrive 5,000 s or more after the previous request; for another unit, write time_unit: ms, us or ns"
    )
    tally = Tally()
    trace = Trace.model_validate({"path": str(path), "time_unit": "ms"})
    (session,) = trace.sessions(tally)
    assert session.steps[1].gap_s == 4.0
    assert not any(note.startswith("t is read") for note in tally.notes)
