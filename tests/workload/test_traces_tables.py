"""Tables of any columns, delimiters, times and types: what the file says is what arrives."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from cluster_sim.errors import ScenarioError
from cluster_sim.workload.traces import Tally, Trace
from cluster_sim.workload.traces.clock import decided_unit, mooncake_unit
from cluster_sim.workload.traces.known_names import mapping

NAMES = {"arrival": "when", "prompt": "asked", "output": "said"}


def write(tmp_path: Path, text: str | bytes, name: str = "trace.csv") -> str:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def read(path: str, **keys: Any) -> tuple[list[tuple[float, int, int]], list[str]]:
    """Rows of a trace, and what is said of them."""
    tally = Tally()
    trace = Trace.model_validate({"path": path} | keys)
    return [row[:3] for row in trace.rows(tally=tally)], list(tally.said())


def fault(path: str, **keys: Any) -> str:
    """The message on a trace, without its path."""
    with pytest.raises(ScenarioError) as error:
        read(path, **keys)
    return str(error.value).removeprefix(path)


def named(*rows: str, heading: str = "when,asked,said") -> str:
    return "\n".join([heading, *rows]) + "\n"


ROWS = [(0.0, 3, 4), (1.5, 5, 6)]


# --- text with columns


@pytest.mark.parametrize(
    "text",
    [
        "when,asked,said\n0.5,3,4\n2.0,5,6\n",
        "when;asked;said\n0.5;3;4\n2.0;5;6\n",
        "when\tasked\tsaid\n0.5\t3\t4\n2.0\t5\t6",
        "when|asked|said\r\n0.5|3|4\r\n2.0|5|6\r\n",
        "when,asked,said\r0.5,3,4\r2.0,5,6\r",
        "\rwhen,asked,said\n0.5,3,4\n2.0,5,6\n",
        'when,"no\rte",asked,said\n0.5,,3,4\n2.0,,5,6\n',
        "\n \nWHEN , As-Ked,  said\n\n 0.5, 3,4 \n   \n2.0 ,5.0,6e0\n\n",
        '"when","asked","said"\n"0.5","3","4"\n"2.0", "5" ,"6"\n',
        'note,said,when,asked\n"a, ""b""\n\nc",4,0.5,3\n;,6,2.0,5\n',
        "sep=;\nwhen;asked;said\n0.5;3.0;4\n2.0;5;6\n",
        "when,asked,said,\n0.5,3,4,\n2.0,5,6\n",
        "\ufeffwhen,asked,said\n0.5,3,4\n2.0,5,6\n",
        "when;asked;said\n0,5;3,0;4\n2;5,00;6\n",
    ],
)
def test_delimiters_headings_quotes_blanks_and_line_ends_may_be_any(
    tmp_path: Path, text: str
) -> None:
    assert read(write(tmp_path, text), columns=NAMES, time_unit="s")[0] == ROWS


def test_decimal_commas_are_said_and_none_stand_in_comma_files(tmp_path: Path) -> None:
    path = write(tmp_path, named("0,5;3;4", "2,0;5;6", heading="when;asked;said"))
    assert "commas in numbers are read as decimal points" in read(path, columns=NAMES)[1]
    path = write(tmp_path, named('"0,5",3,4'))
    assert fault(path, columns=NAMES, time_unit="s").startswith(""":2: got '"0,5",3,4'""")
    path = write(tmp_path, named("0,5;3;4", "0.7;3;4", heading="when;asked;said"))
    assert fault(path, columns=NAMES, time_unit="s").startswith(":3: got '0.7;3;4'")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "line", "text", "why"),
    [
        (["1,3,4", "", "2,x,6"], 4, "2,x,6", " (asked is 'x': not a number)"),
        (["1,3,4", '2,"5\n\n",6', "3,,6"], 6, "3,,6", " (asked is blank; remove the row, or write 0 to omit it)"),
        (["1,3,4", "3,5,NULL"], 3, "3,5,NULL", " (said is 'NULL': not a number; remove the row, or write 0 to omit it)"),
        (["1,3,4", '2,"\n5.5",6'], 3, '2," 5.5",6', " (asked is '5.5': not whole)"),
        (["1,3,4", "2,5"], 3, "2,5", " (2 fields, but the heading has 3)"),
        (["1,3,4", "end"], 3, "end", " (1 field, but the heading has 3)"),
        (["1,3,4", "2,5,6,7"], 3, "2,5,6,7", " (4 fields, but the heading has 3)"),
        (["1,3,4", "2,1.5,6"], 3, "2,1.5,6", " (asked is '1.5': not whole)"),
        (["1,3,4", "2,-1,6"], 3, "2,-1,6", " (asked is '-1': negative)"),
        (["1,3,4", "nan,1,6"], 3, "nan,1,6", " (when is 'nan': not a time; remove the row)"),
        (["1,3,4", ",1,6"], 3, ",1,6", " (when is blank; remove the row)"),
        (["1,3,4", "Total,1,6"], 3, "Total,1,6", " (when is 'Total': a line of totals is not a request; remove it)"),
        (["1,3,4", "1e300,1,6"], 3, "1e300,1,6", ""),
        (["1,3,4", "2,1e400,6"], 3, "2,1e400,6", " (asked is '1e400': more than 1,000,000,000)"),
        (["1,3,4", "2,2000000000,6"], 3, "2,2000000000,6", " (asked is '2000000000': more than 1,000,000,000)"),
        (["1,3,4", "true,2,6"], 3, "true,2,6", ""),
        (["1,3,4", "2026-10-25 00:00:00,2,6"], 3, "2026-10-25 00:00:00,2,6", ""),
    ],
)  # fmt: skip
def test_a_row_that_is_wrong_is_named_by_its_line_its_field_and_why(
    tmp_path: Path, rows: list[str], line: int, text: str, why: str
) -> None:
    path = write(tmp_path, named(*rows))
    expected = f"when,asked,said: a time, and whole numbers of tokens{why}"
    assert fault(path, columns=NAMES) == f":{line}: got '{text}'; expected {expected}"
    later = ["1,3,4"] * 20_000
    path = write(tmp_path, named(*later, *rows))
    message = fault(path, columns=NAMES)
    assert message == f":{line + 20_000}: got '{text}'; expected {expected}"


def test_a_heading_that_stands_there_again_is_said(tmp_path: Path) -> None:
    path = write(tmp_path, named("1,3,4", "when,asked,said", "2,3,4"))
    assert fault(path, columns=NAMES) == (
        ":3: repeats the heading; expected one heading: remove the line"
    )


def test_a_quote_that_does_not_end_is_named_by_the_line_of_its_row(tmp_path: Path) -> None:
    path = write(tmp_path, named("1,3,4", '2,"5,6', *["3,3,3"] * 50_000))
    assert fault(path, columns=NAMES) == (
        ":3: has a field of more than 131,072 characters; expected a closing quote"
    )


def test_lines_of_rows_that_are_late_count_quoted_line_ends(tmp_path: Path) -> None:
    rows = [f'{number},"3\n",4' for number in range(20_000)]
    path = write(tmp_path, named(*rows, "0,3,4"))
    message = fault(path, columns=NAMES, time_unit="s")
    assert message.startswith(":40002: is ")
    assert "earlier than a row 8,192 rows above" in message


def test_a_reader_that_stops_early_leaves_no_fault(tmp_path: Path) -> None:
    path = write(tmp_path, named(*["1,3,4"] * 300_000, "x"))
    for _ in range(3):
        assert len(read(path, columns=NAMES, limit=5)[0]) == 5


def test_a_heading_that_is_missing_is_the_reason(tmp_path: Path) -> None:
    for keys in ({}, {"columns": NAMES}, {"format": "azure"}):
        assert fault(write(tmp_path, "0.5,3,4\n2.0,5,6\n"), **keys) == (
            ":1: has no heading: got 0.5, 3, 4; expected names of columns in the first line, such as timestamp,prompt_tokens,output_tokens"
        )


def test_two_columns_that_are_alike_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "time_stamp,Timestamp,input_tokens,output_tokens\n1,2,3,4\n")
    columns = {"arrival": "timestamp", "prompt": "input_tokens", "output": "output_tokens"}
    assert fault(path, columns=columns) == (
        ":1: has 2 columns with similar names, time_stamp, Timestamp; expected one of them (case and punctuation do not distinguish names)"
    )
    assert "since time_stamp and Timestamp may both be the arrival" in fault(path)


@pytest.mark.parametrize(
    ("row", "name", "text", "readings"),
    [
        ("0,7;1,000;4", "asked", "1,000", "1000 or 1"),
        ("0,7;4.000;4", "asked", "4.000", "4000 or 4"),
        ("0,7;3;1.234.567", "said", "1.234.567", "1234567"),
        ("1,760,000;3;4", "when", "1,760,000", "1760000"),
    ],
)
def test_points_and_commas_that_may_stand_between_thousands_are_refused(
    tmp_path: Path, row: str, name: str, text: str, readings: str
) -> None:
    why = "(points and commas may separate thousands)"
    said = f"got '{text}' in {name}; expected {readings} {why}"
    path = write(tmp_path, named("0,5;3;4", row, heading="when;asked;said"))
    assert fault(path, columns=NAMES, time_unit="s") == f":3: {said}"


def test_a_key_that_a_row_lacks_is_named(tmp_path: Path) -> None:
    path = write(
        tmp_path, '{"when": 0, "asked": 2, "said": 1}\n{"when": 1, "said": 1}\n', "t.jsonl"
    )
    assert fault(path, columns=NAMES) == (
        """:2: got '{"when": 1, "said": 1}'; expected {"when": time, "asked": tokens, "said": tokens} (asked is blank; remove the row, or write 0 to omit it)"""
    )


def test_a_table_of_one_column_says_what_stands_between_columns(tmp_path: Path) -> None:
    path = write(tmp_path, "timestamp~prompt_tokens~output_tokens\n0.5~3~4\n1.5~5~6\n")
    assert fault(path) == (
        ":1: has no known format: got one column, timestamp~prompt_tokens~output_tokens; expected names separated by , ; tab or |, or a first line such as sep=: with another delimiter"
    )
    text = Path(path).read_text(encoding="utf-8")
    assert len(read(write(tmp_path, f"sep=~\n{text}"))[0]) == 2


def test_thousands_in_texts_of_json_and_quotes_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, '{"when": 0, "asked": "2.000", "said": 1}\n', "t.jsonl")
    assert fault(path, columns=NAMES).startswith(":1: got '2.000' in asked; expected 2000 or 2 (")
    path = write(tmp_path, named('0,"1,983",1'))
    assert fault(path, columns=NAMES).startswith(":2: got '1,983' in asked; expected 1983 or 1.983")


def test_three_decimals_behind_a_comma_are_a_fraction_where_another_time_shows_it(
    tmp_path: Path,
) -> None:
    path = write(tmp_path, named("1,000;3;4", "2,000;3;4", heading="when;asked;said"))
    assert fault(path, columns=NAMES, time_unit="s").startswith(":2: got '1,000' in when; expected")
    for first in ("0,250", "1,5", "0,0001"):
        path = write(tmp_path, named(f"{first};3;4", "2,000;3,0;4,00", heading="when;asked;said"))
        assert len(read(path, columns=NAMES, time_unit="s")[0]) == 2


# --- times


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("2026-10-25 00:30:11.0541000", "2026-10-25 00:30:12.554100"),
        ("2026-10-25T00:30:11Z", "2026-10-25 00:30:12.5z"),
        ("2026-10-25 02:30:11+02:00", "2026-10-24 19:30:12.5-0500"),
        ("2026-10-25 02:30:11+02", "2026-10-25 00:30:12.500000000000 +00:00"),
        ("2026-10-25 06:00:11 +0530", "2026-10-25 00:30:12.5 UTC"),
        ("2026-10-25 00:30:11", "2026-10-25 03:30:12.5+03"),
        ("2026-10-25t00:30:11z", "20261025T003012.5Z"),
        ("20261025T003011", "20261025t023012.5+0200"),
        ("2026-10-25 00:30:11 +0000 UTC m=+0.01", "2026-10-24 17:30:12.5 -0700 PDT"),
        ("2026-02-28 23:59:59.25", "2026-03-01 00:00:00.75"),
        ("2024-02-28 23:59:59", "2024-02-29T00:00:00.5"),
        ("1700000011.0541", "1700000012.5541"),
        ("1700000011054", "1700000012554"),
        ("1700000011054100", "1700000012554100"),
        ("1700000011054100123", "1700000012554100123"),
    ],
)
def test_times_are_dates_with_any_offset_or_numbers_since_1970(
    tmp_path: Path, first: str, second: str
) -> None:
    path = write(tmp_path, named(f"{first},3,4", f"{second},5,6"))
    rows, _ = read(path, columns=NAMES)
    assert rows == [(0.0, 3, 4), (pytest.approx(1.5, abs=2.5e-7), 5, 6)]


def test_offsets_that_some_times_lack_are_counted(tmp_path: Path) -> None:
    rows = ["2026-10-25 00:00:00,3,4", "2026-10-25 02:00:01+02:00,3,4", "2026-10-25 00:00:02,3,4"]
    seconds, notes = read(write(tmp_path, named(*rows)), columns=NAMES)
    assert [row[0] for row in seconds] == [0.0, 1.0, 2.0]
    assert notes == ["2 of 3 times have no offset from UTC and are read as UTC"]
    rows[-1] = rows[-1].replace(",4", ', "4"')  # which Arrow does not take
    assert read(write(tmp_path, named(*rows)), columns=NAMES)[1] == notes


@pytest.mark.parametrize(
    "time", ["10/25/2026 1:30 PM", "25.10.2026 13:30", "2026-13-01 00:00:00", "1600-01-01 00:00:00"]
)
def test_dates_of_other_kinds_are_refused_with_what_is_expected(tmp_path: Path, time: str) -> None:
    path = write(tmp_path, named(f"{time},3,4"))
    assert fault(path, columns=NAMES) == (
        f":2: got '{time},3,4'; expected when,asked,said, with times such as 2026-10-25 13:30:00.5, or numbers"
    )
    heading = "TIMESTAMP,ContextTokens,GeneratedTokens"
    assert fault(write(tmp_path, named(f"{time},3,4", heading=heading))) == (
        f":2: got '{time},3,4'; expected {heading}, with times such as 2026-10-25 13:30:00.5, or numbers"
    )


@pytest.mark.parametrize(("unit", "per_s"), [("s", 1), ("ms", 1e3), ("us", 1e6), ("ns", 1e9)])
def test_a_unit_that_is_given_decides(tmp_path: Path, unit: str, per_s: float) -> None:
    path = write(tmp_path, named("1000,3,4", "4000,5,6"))
    rows, notes = read(path, columns=NAMES, time_unit=unit)
    assert [row[0] for row in rows] == [0.0, pytest.approx(3000 / per_s)]
    assert notes == []
    assert fault(path, columns=NAMES, time_unit="iso") == (
        ":2: got '1000,3,4'; expected when,asked,said, with times in iso"
    )


@pytest.mark.parametrize(
    ("name", "stamps", "unit", "why"),
    [
        ("t_ms", [0, 1000], "ms", None),
        ("startSeconds", [0, 1000], "s", None),
        ("Time (us)", [0, 1000], "us", None),
        ("nanos", [0, 10**6], "ns", None),
        ("time", [1700000011, 1700000012], "s", "its timestamps have the size of seconds since 1970"),
        ("time", [1.7e12, 1.7e12 + 5], "ms", "its timestamps have the size of milliseconds since 1970"),
        ("time", [1700000011054100, 1700000012554100], "us", "its timestamps have the size of microseconds since 1970"),
        ("time", [1700000011054100123], "ns", "its timestamps have the size of nanoseconds since 1970"),
        # 1 in 1.5 s; 2 in 3000.5 s; 1 in 1500.5 s is too rare, so milliseconds: 1 in 1.5 s
        ("time", [0.5, 2.0], "s", "its timestamps have fractions, which gives 0.667 requests/s"),
        ("time", [0.5, 10.0, 501.0], "s", "its timestamps have fractions, which gives 0.004 requests/s"),
        ("time", [0.5, 1501.0], "ms", "its timestamps have fractions, which gives 0.666 requests/s"),
        # 1/20 s is common enough, 1/25 s is not
        ("time", [0, 20], "s", "its timestamps are whole numbers, which gives 0.05 requests/s"),
        ("time", [0, 25], "ms", "its timestamps are whole numbers, which gives 40 requests/s"),
        ("time", [0, 25_000], "us", "its timestamps are whole numbers, which gives 40 requests/s"),
        ("time", [0, 40_000], "us", "its timestamps are whole numbers, which gives 25 requests/s"),
        ("time", [0, 25_000_000], "ns", "its timestamps are whole numbers, which gives 40 requests/s"),
        ("time", [5, 5], "s", "its first rows have only one time"),
        ("t_s", [1.7e12, 1.7e12 + 5], "ms", "its timestamps have the size of milliseconds since 1970, and as seconds are far in the future"),
        ("t_ms", [1.7e9, 1.7e9 + 5], "ms", "the name says so, though its timestamps have the size of seconds since 1970"),
        ("t_ms", [1.7e9, 1.7e9 + 0.5], "s", "its timestamps have the size of seconds since 1970, and as milliseconds give 2,000 requests/s"),
        ("t_ns", [1e9, 2e9, 3e9], "ns", None),
        ("t_s", [0, 2000], "s", "the name says so, though that gives 0.0005 requests/s (the rate would be 0.5 as milliseconds or 500 as microseconds)"),
        ("t_ns", [0, 2000], "ns", "the name says so, though that gives 5e+05 requests/s (the rate would be 0.5 as milliseconds or 500 as microseconds)"),
        # a written point says fractions: 1 in 37 s
        ("time", [0.0, 37.0, 74.0], "s", "its timestamps have fractions, which gives 0.027 requests/s"),
    ],
)  # fmt: skip
def test_the_name_the_size_or_the_rate_decides_on_the_unit(
    name: str, stamps: list[float], unit: str, why: str | None
) -> None:
    assert decided_unit(np.array(stamps), name) == (unit, why)


def test_the_document_decides_before_the_name(tmp_path: Path) -> None:
    assert decided_unit(np.array([0, 1000]), "t_ms", "s") == ("s", None)
    text = "arrived_at,num_prefill_tokens,num_decode_tokens\n0,1,1\n1000,1,1\n"
    assert read(write(tmp_path, text)) == ([(0.0, 1, 1), (1000.0, 1, 1)], [])


def test_a_unit_that_the_data_decided_is_said_with_the_other_choice(tmp_path: Path) -> None:
    path = write(tmp_path, named("0,3,4", "25,5,6"))
    rows, notes = read(path, columns=NAMES)
    assert [row[0] for row in rows] == [0.0, 0.025]
    assert notes == [
        "when is read as milliseconds: its timestamps are whole numbers, which gives 40 requests/s; for another unit, write time_unit: s, us or ns"
    ]


def test_the_first_rows_decide_for_the_whole_file(tmp_path: Path) -> None:
    """4,096 rows of 0.5 s are seconds, whatever follows."""
    stamps = [f"{0.5 * number},1,1" for number in range(5000)] + ["9000000.0,1,1"]
    rows, notes = read(write(tmp_path, named(*stamps)), columns=NAMES)
    assert rows[-1][0] == 9e6
    assert "which gives 2 requests/s" in notes[0]


def test_long_rows_decide_together(tmp_path: Path) -> None:
    """Two rows 25 s apart alone would be milliseconds; of all rows comes 1 per second."""
    stamps = [0, 25, *range(26, 226)]
    text = "".join(f"{at},1,1,{'x' * 40_000}\n" for at in stamps)
    _, notes = read(write(tmp_path, "when,asked,said,text\n" + text), columns=NAMES)
    assert notes[0].startswith("when is read as seconds: its timestamps are whole numbers")


@pytest.mark.parametrize(
    ("stamps", "unit", "words"),
    [
        ([0, 1000], "ms", None),
        ([0, 10], "ms", None),
        ([0, 5], "ms", "milliseconds give 200 requests/s, seconds 0.2"),
        ([0.0, 0.5], "s", "milliseconds give 2,000 requests/s, seconds 2"),
        ([0, 0.5, 5.5], "s", "milliseconds give 364 requests/s, seconds 0.364"),
        (
            [0, 2_000_000],
            "ms",
            "0.0005 requests/s (the rate would be 0.5 as microseconds or 500 as",
        ),
        ([1.7e9, 1.7e9 + 20], "s", "since 1970"),
    ],
)
def test_seconds_under_mooncakes_keys_are_known_by_their_rate(
    stamps: list[float], unit: str, words: str | None
) -> None:
    found, note = mooncake_unit(np.array(stamps), has_blocks=False)
    assert found == unit
    assert (note is None) if words is None else words in str(note)


def test_rows_of_mooncakes_keys_in_seconds_come_in_seconds(tmp_path: Path) -> None:
    row = '{{"timestamp": {}, "input_length": 10, "output_length": 2}}\n'
    path = write(tmp_path, "".join(row.format(0.25 * number) for number in range(9)), "t.jsonl")
    assert read(path)[0][-1][0] == 2.0
    assert "timestamp is read as seconds" in read(path)[1][0]
    assert read(path, time_unit="ms")[0][-1][0] == 0.002


# --- Parquet and JSON


def parquet(tmp_path: Path, **columns: Any) -> str:
    path = tmp_path / "trace.parquet"
    pq.write_table(pa.table(columns), path)
    return str(path)


@pytest.mark.parametrize(
    "when",
    [
        pa.array([0.5, 2.0]),
        pa.array([500, 2000], pa.duration("ms")),
        pa.array([1_700_000_000_500, 1_700_000_002_000], pa.timestamp("ms")),
        pa.array(
            [1_700_000_000_500_000, 1_700_000_002_000_000], pa.timestamp("us", "Europe/Paris")
        ),
        pa.array([1_700_000_000_500, 1_700_000_002_000]),
        pa.array(["2026-10-25 00:00:00.5", "2026-10-25 00:00:02"]),
        pa.array(["0.5", "2"]).dictionary_encode(),
        pa.array(["0.5", "2"], pa.large_string()),
    ],
)
@pytest.mark.parametrize("kind", [pa.int64(), pa.uint16(), pa.float32(), pa.string()])
def test_parquet_of_any_types_is_read(tmp_path: Path, when: pa.Array, kind: pa.DataType) -> None:
    path = parquet(
        tmp_path,
        When=when,
        asked=pa.array([3, 5]).cast(kind),
        said=pa.array([4, 6]).cast(kind),
        model=["a", "b"],
    )
    rows, notes = read(path, columns=NAMES)
    assert rows == ROWS
    assert "not used: model" in notes


def test_a_row_of_parquet_that_is_wrong_is_named_by_its_number(tmp_path: Path) -> None:
    prompts = [*range(1, 6001), None]
    path = parquet(tmp_path, when=[0.5] * 6001, asked=prompts, said=[1] * 6001)
    assert fault(path, columns=NAMES, time_unit="s") == (
        ", row 6001: got '0.5,None,1'; expected when,asked,said, with times in s (asked is blank; remove the row, or write 0 to omit it)"
    )
    path = parquet(tmp_path, when=[True], asked=[1], said=[1])
    assert fault(path, columns=NAMES).startswith(", row 1: got 'True,1,1'")
    path = parquet(tmp_path, when=[0.5], asked=[[1]], said=[1])
    assert fault(path, columns=NAMES).startswith(", row 1: got '0.5,[1],1'")
    path = parquet(tmp_path, when=[0.5], asked=[1], said=[1], of=[{"a": 1}])
    message = fault(path, columns=NAMES | {"session": "of"})
    assert message.startswith(""", row 1: got '0.5,1,1,{"a": 1}'""") or "{'a': 1}" in message


def test_keys_of_json_reach_into_objects_in_lines_and_arrays(tmp_path: Path) -> None:
    rows = [
        {"t": {"Start": 0.5}, "usage": {"in": 3, "out": 4.0}, "id": "a"},
        {"t": {"Start": 2.0}, "usage": {"in": "5", "out": 6}, "id": "b"},
    ]
    columns = {"arrival": "t.start", "prompt": "usage.in", "output": "usage.out"}
    lines = "\n\n".join(map(json.dumps, rows))
    for text in (lines, json.dumps(rows), json.dumps(rows, indent=2)):
        found, notes = read(write(tmp_path, text, "t.json"), columns=columns)
        assert found == ROWS
        assert "not used: id" in notes
    path = write(
        tmp_path, lines + '\n{"t": {"Start": 3}, "usage": {"in": null, "out": 1}}', "t.json"
    )
    assert fault(path, columns=columns) == (
        """:4: got '{"t": {"Start": 3}, "usage": {"in": null, "out": 1}}'; expected {"t.Start": time, "usage.in": tokens, "usage.out": tokens} (usage.in is blank; remove the row, or write 0 to omit it)"""
    )


# --- sessions


def test_sessions_are_linked_by_their_values(tmp_path: Path) -> None:
    text = named("0,3,4,b", "10,5,6,a", "20,7,8,b", "30,9,9,", heading="when,asked,said,chat")
    columns = NAMES | {"session": "Chat"}
    trace = Trace.model_validate(
        {"path": write(tmp_path, text), "columns": columns, "time_unit": "s"}
    )
    assert trace.links_turns
    sessions = list(trace.replayed_sessions())
    assert [own.start_s for own in sessions] == [0.0, 10.0, 30.0]
    assert [[step.prompt_tokens for step in own.steps] for own in sessions] == [[3, 7], [5], [9]]
    assert [step.due_s for step in sessions[0].steps] == [0.0, 20.0]
    rows = '{"when": 0, "asked": 3, "said": 4, "chat": 1}\n{"when": 10, "asked": 3, "said": 4}\n{"when": 20, "asked": 7, "said": 8, "chat": 1}'
    trace = Trace.model_validate({"path": write(tmp_path, rows), "columns": columns})
    assert [len(own.steps) for own in trace.replayed_sessions()] == [2, 1]


def test_sessions_of_burstgpt_wait_from_the_end_of_the_answer(tmp_path: Path) -> None:
    """The first answer ends at 100 + 3 s, so the turn at 110 s waits 7 s; then no end is known."""
    heading = "Session ID,Elapsed time,Timestamp,Model,Request tokens,Response tokens\n"
    text = heading + "a,3,100,m,5,6\na,,110,m,7,8\na,1,130,m,9,9\n,,140,m,1,1\n"
    sessions = list(Trace.model_validate({"path": write(tmp_path, text)}).replayed_sessions())
    assert [own.start_s for own in sessions] == [0.0, 40.0]
    assert [step.gap_s for step in sessions[0].steps] == [0.0, 7.0, 0.0]
    assert [step.due_s for step in sessions[0].steps] == [0.0, 0.0, 30.0]


# --- known names, and refusals


def test_well_known_names_need_no_columns(tmp_path: Path) -> None:
    text = named("0.5,3,4,x", "2.0,5,6,y", heading="Arrival-Time,num_prompt_tokens,OSL,user")
    rows, notes = read(write(tmp_path, text))
    assert rows == ROWS
    assert notes == [
        "columns are recognised by their names: Arrival-Time has arrivals, num_prompt_tokens prompt tokens, OSL output tokens; for other columns, write columns: {arrival: Arrival-Time, prompt: num_prompt_tokens, output: OSL} with their names",
        "Arrival-Time is read as seconds: its timestamps have fractions, which gives 0.667 requests/s; for another unit, write time_unit: ms, us or ns",
        "not used: user",
    ]


@pytest.mark.parametrize(
    ("heading", "said"),
    [
        (
            "user,arrived_s,prompt_len,completion_len",
            "has no known format: got columns user, arrived_s, prompt_len, completion_len; expected columns: {arrival: arrived_s, prompt: prompt_len, output: completion_len}, or a known format (azure, ",
        ),
        (
            "arrived_at,num_prefill,num_decode_tokens",
            "expected columns: {arrival: arrived_at, prompt: num_prefill, output: num_decode_tokens}, or the names of vidur, the most similar format (arrived_at, num_prefill_tokens, num_decode_tokens)",
        ),
        (
            "timestamp,start_time,input_tokens,output_tokens",
            "has no known format, since timestamp and start_time may both be the arrival: got",
        ),
        ("input_time,x,begin", "columns: {arrival: input_time, prompt: …, output: …}"),
        ("Start: s,#in,context", "columns: {arrival: 'Start: s', prompt: context, output: …}"),
    ],
)
def test_names_that_are_not_known_are_named_with_the_line_that_would_work(
    tmp_path: Path, heading: str, said: str
) -> None:
    message = fault(write(tmp_path, named("1,2,3,4", heading=heading)))
    assert message.startswith(":1: ")
    assert said in message


def test_sixty_columns_are_cut(tmp_path: Path) -> None:
    heading = ",".join(f"column_{number}" for number in range(60))
    message = fault(write(tmp_path, heading + "\n"))
    assert "column_11 and 48 more;" in message
    assert len(message) < 500


def test_keys_and_parquet_columns_are_refused_alike(tmp_path: Path) -> None:
    path = write(tmp_path, '{"arrived": 1, "prompt_len": 2, "out": {"n": 3}}\n', "t.jsonl")
    assert "got keys arrived, prompt_len, out; expected" in fault(path)
    assert fault(path, columns=NAMES) == (
        ":1: has no key when, asked, said; got keys arrived, prompt_len, out; expected columns: {arrival: arrived, prompt: prompt_len, output: …}"
    )
    path = parquet(tmp_path, begin=[1], prompt_len=[2], n=[3])
    assert "has no known format: got columns begin, prompt_len, n; expected" in fault(path)
    assert fault(path, format="vidur").startswith(
        ": has no column arrived_at, num_prefill_tokens, num_decode_tokens; got columns begin"
    )


def test_a_format_that_a_file_does_not_have_is_refused_with_what_was_found(tmp_path: Path) -> None:
    path = write(tmp_path, '{"begun": 1, "prompt_len": 2}\n', "t.jsonl")
    assert fault(path, format="mooncake") == (
        ":1: has no key timestamp, input_length, output_length; got keys begun, prompt_len; expected timestamp,input_length,output_length, or no format and columns: {arrival: …, prompt: prompt_len, output: …}"
    )
    assert fault(path, format="table").startswith(":1: has no known format: got keys begun")


def test_columns_belong_to_tables_alone(tmp_path: Path) -> None:
    path = write(tmp_path, named("0.5,3,4", "2.0,5,6"))
    with pytest.raises(
        ValidationError,
        match="got columns and format: azure, which has fixed columns; expected only columns",
    ):
        Trace.model_validate({"path": path, "format": "azure", "columns": NAMES})
    assert read(path, format="table", columns=NAMES)[0] == ROWS


def test_a_unit_is_refused_where_the_format_has_its_own(tmp_path: Path) -> None:
    row = '{"requests": [{"t": 0.0, "in": 10, "out": 2, "hash_ids": [1]}], "block_size": 64}\n'
    assert fault(write(tmp_path, row), time_unit="iso") == (
        ": has format weka; got time_unit: iso; expected s, ms, us, ns"
    )
    row = '{"timestamp": 0, "input_length": 10, "output_length": 2}\n'
    assert fault(write(tmp_path, row), time_unit="iso") == (
        ": has format mooncake; got time_unit: iso; expected s, ms, us, ns"
    )


# --- any table at all

PER_S = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
ZONES = st.sampled_from([None, 0, 120, -300, 330])


@st.composite
def tables(draw: st.DrawFn) -> tuple[bytes, dict[str, Any], list[tuple[int, int, int]]]:
    """A table as bytes, the keys of a scenario that reads it, and its rows in microseconds."""
    rows = draw(
        st.lists(
            st.tuples(st.integers(0, 10**10), st.integers(1, 200_000), st.integers(1, 200_000)),
            min_size=1,
            max_size=30,
        )
    )
    rows.sort(key=lambda row: row[0])
    unit = draw(st.sampled_from(["s", "ms", "us", "ns", "iso"]))
    zone = draw(ZONES)
    since_us = draw(st.sampled_from([0, 1_792_888_211_000_000]))

    def stamp(time_us: int) -> str:
        if unit == "iso":
            moment = datetime(2026, 10, 25, tzinfo=UTC) + timedelta(microseconds=time_us)
            if zone is None:
                return moment.replace(tzinfo=None).isoformat(sep=" ")
            return moment.astimezone(timezone(timedelta(minutes=zone))).isoformat()
        whole, rest = divmod((since_us + time_us) * PER_S[unit], 1_000_000)
        return f"{whole}.{rest:06d}" if rest else str(whole)

    delimiter = draw(st.sampled_from([",", ";", "\t", "|"]))
    case = draw(st.sampled_from([str.upper, str.lower, str.title]))
    floats = draw(st.booleans())
    text = io.StringIO()
    writer = csv.writer(
        text,
        delimiter=delimiter,
        lineterminator=draw(st.sampled_from(["\n", "\r\n", "\n\n"])),
        quoting=draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])),
    )
    order = draw(st.permutations(range(4)))
    note = draw(st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=8))
    writer.writerow(
        [[case(name) for name in ("when", "asked", "said", "note")][at] for at in order]
    )
    for time_us, prompt, output in rows:
        tokens = (f"{prompt}.0", f"{output}.00") if floats else (str(prompt), str(output))
        writer.writerow([(stamp(time_us), *tokens, note)[at] for at in order])
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    keys = {
        "columns": NAMES,
        "time_unit": draw(st.sampled_from([None, "iso"])) if unit == "iso" else unit,
    }
    return text.getvalue().encode(encoding), keys, rows


@pytest.mark.slow
@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(tables())
def test_any_table_is_read_back_exactly(
    tmp_path: Path, table: tuple[bytes, dict[str, Any], list[tuple[int, int, int]]]
) -> None:
    content, keys, rows = table
    found, _ = read(write(tmp_path, content), **keys)
    assert [row[1:] for row in found] == [row[1:] for row in rows]
    first_us = rows[0][0]
    for (time_s, _, _), (time_us, _, _) in zip(found, rows, strict=True):
        assert time_s == pytest.approx((time_us - first_us) / 1e6, abs=5e-7)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.tuples(st.integers(0, 10**10), st.integers(1, 10**6), st.integers(1, 10**6)),
        min_size=1,
        max_size=20,
    ),
    st.sampled_from(["lines", "array", "parquet"]),
    st.sampled_from(["s", "ms", "us", "ns"]),
    st.sampled_from([int, float, str]),
)
def test_any_rows_of_json_and_parquet_are_read_back_exactly(
    tmp_path: Path, rows: list[tuple[int, int, int]], kind: str, unit: str, of: type
) -> None:
    rows.sort(key=lambda row: row[0])
    times = [time_us * PER_S[unit] / 10**6 for time_us, _, _ in rows]
    columns = {
        "When": [int(time) if time == int(time) and of is int else time for time in times],
        "asked": [of(prompt) for _, prompt, _ in rows],
        "said": [of(output) for _, _, output in rows],
    }
    if kind == "parquet":
        path = parquet(tmp_path, **(columns | {"When": times}))
    else:
        own = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        text = json.dumps(own) if kind == "array" else "\n".join(map(json.dumps, own))
        path = write(tmp_path, text, "t.json")
    found, _ = read(path, columns=NAMES, time_unit=unit)
    assert [row[1:] for row in found] == [row[1:] for row in rows]
    for (time_s, _, _), (time_us, _, _) in zip(found, rows, strict=True):
        assert time_s == pytest.approx((time_us - rows[0][0]) / 1e6, abs=5e-7)


# --- what is proposed and what is said


@pytest.mark.parametrize(
    ("names", "arrival"),
    [
        ("startTime,endTime", "startTime"),
        ("endTime", "…"),
        ("ended_at_time", "…"),
        ("inter_arrival_time", "…"),
        ("finish_time,created_at", "created_at"),
        ("completion_time", "…"),
        ("request_latency_time,took_time,ttft_time,delay_time,gap_time", "…"),
        ("send_time", "send_time"),
        ("date,hour", "…"),
        ("date", "date"),
    ],
)
def test_no_other_time_is_proposed_as_arrival(names: str, arrival: str) -> None:
    line = mapping([*names.split(","), "prompt_tokens", "output_tokens"])
    assert line == f"columns: {{arrival: {arrival}, prompt: prompt_tokens, output: output_tokens}}"


@pytest.mark.parametrize("outside", ["", "response.body."])
def test_keys_inside_objects_are_proposed_and_read(tmp_path: Path, outside: str) -> None:
    row: dict[str, Any] = {"created": 1761402605, "usage": {"prompt_tokens": 3, "output_tokens": 4}}
    for key in reversed(outside.split(".")[:-1]):
        row = {key: row}
    path = write(tmp_path, json.dumps({"id": 1} | row) + "\n", "t.jsonl")
    columns = {
        "arrival": "created",
        "prompt": "usage.prompt_tokens",
        "output": "usage.output_tokens",
    }
    columns = {role: outside + name for role, name in columns.items()}
    line = ", ".join(f"{role}: {name}" for role, name in columns.items())
    assert f"expected columns: {{{line}}}" in fault(path)
    assert read(path, columns=columns)[0] == [(0.0, 3, 4)]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cache_read_input_tokens", "is not added to input_tokens: prompts may be longer by these"),
        ("http_status", "is not used: failed requests, if there are any, are replayed too"),
        ("requests", "is not used: each row is replayed as one request"),
        ("model", None),
    ],
)
def test_a_column_that_may_change_what_rows_mean_has_a_note_of_its_own(
    tmp_path: Path, name: str, words: str | None
) -> None:
    path = write(tmp_path, f"timestamp,input_tokens,output_tokens,{name}\n0.5,1,1,1\n")
    notes = read(path)[1]
    assert f"not used: {name}" in notes
    own = [note for note in notes if note.startswith(f"{name} is")]
    assert not own if words is None else own[0].startswith(f"{name} {words}")


def test_times_that_may_be_latencies_are_said(tmp_path: Path) -> None:
    heading = "time,input_tokens,output_tokens"
    rows = [f"{time},1,1" for time in (0.5, 1.2, 0.8, 3.5, 0.1, 2.5, 0.7)]
    words = "time is not sorted and stays below 100 s"
    for own, is_said in ((rows, True), (sorted(rows), False), (sorted(rows)[::-1], False)):
        notes = read(write(tmp_path, named(*own, heading=heading)))[1]
        assert any(note.startswith(words) for note in notes) == is_said


def test_a_result_of_vllm_without_lists_says_what_to_run(tmp_path: Path) -> None:
    text = '{"num_prompts": 9, "request_rate": 2.0, "total_input_tokens": 99}'
    assert "run it with --save-detailed" in fault(write(tmp_path, text, "t.json"))
