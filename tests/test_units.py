"""Quantities are read in any unit of their dimension, exactly where that is their own, and refused
in words otherwise.
"""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from pytest import approx

from cluster_sim.units import Celsius, FlopPerSecond, Seconds, UsdPerKwh, key_of, parse

# Answers by mental arithmetic.
QUANTITIES = [
    ("20 min", "s", 1200.0),
    ("20 mins", "s", 1200.0),
    ("1 h", "s", 3600.0),
    ("1.5 d", "s", 129600.0),
    ("500 ms", "s", 0.5),
    ("2 us", "s", 2e-6),
    ("2 µs", "s", 2e-6),
    ("2 μs", "s", 2e-6),
    ("8 TB/s", "B/s", 8e12),
    ("8 Tb/s", "B/s", 1e12),
    ("8 Tb", "B", 1e12),
    ("192 GB", "B", 192e9),
    ("1 GiB", "B", 2.0**30),
    ("48 kB", "B", 48e3),
    ("5 /s", "/s", 5.0),
    ("5 1/s", "/s", 5.0),
    ("5 requests/s", "/s", 5.0),
    ("6 /min", "/s", 0.1),
    ("2.25 PFLOP/s", "FLOP/s", 2.25e15),
    ("1.1 GHz", "Hz", 1.1e9),
    ("40 kW", "W", 40e3),
    ("0.0685 USD/kWh", "USD/kWh", 0.0685),
    ("68.5 USD/MWh", "USD/kWh", 0.0685),
    ("380 g/kWh", "g/kWh", 380.0),
    ("0.38 kg/kWh", "g/kWh", 380.0),
    ("25 degC", "degC", 25.0),
    ("25 °C", "degC", 25.0),
    ("298.15 K", "degC", 25.0),
    ("1_000 s", "s", 1000.0),
    ("+1e3s", "s", 1000.0),
    (".5 s", "s", 0.5),
]


@pytest.mark.parametrize(("text", "unit", "value"), QUANTITIES)
def test_a_quantity_is_read_in_any_unit_of_its_dimension(text: str, unit: str, value: float):
    assert parse(text, unit) == approx(value, rel=1e-14)


@given(
    st.floats(min_value=1e-30, max_value=1e30),
    st.sampled_from(["s", "B", "B/s", "/s", "FLOP/s", "W", "Hz", "USD/kWh", "g/kWh", "degC"]),
)
def test_a_quantity_in_its_own_unit_is_read_back_to_the_same_float(value: float, unit: str):
    assert parse(f"{value!r} {unit}", unit) == value


@pytest.mark.parametrize(
    ("text", "unit", "message"),
    [
        ("5", "s", "'5' has no unit"),
        ("s", "s", "'s' is not a quantity"),
        ("", "s", "'' is not a quantity"),
        ("5 TBs", "B", "unknown unit 'TBs'"),
        ("5 s s", "s", "unknown unit 's s'"),
        ("5 __import__('os')", "s", "unknown unit '__import__('os')'"),
        ("5 s**9", "s", "unknown unit 's**9'"),
        ("5 kg", "s", "'kg' is a mass, not a time"),
        ("5 TB", "B/s", "'TB' is an amount of data, not a bandwidth"),
        ("5 TB/s", "B", "'TB/s' is a bandwidth, not an amount of data"),
        ("5 s", "/s", "'s' is a time, not a rate"),
        ("5 W", "degC", "'W' is a power, not a temperature"),
        ("5 USD", "USD/kWh", "'USD' is an amount of money, not a price of energy"),
        ("5 FLOP", "FLOP/s", "'FLOP' is an amount of computation, not a compute rate"),
        ("5 m", "s", "'m' is a length, not a time"),
        ("5 kWh", "W", "'kWh' is an energy, not a power"),
        ("5 tokens", "s", "'tokens' is a bare number, not a time"),
        ("5 m*m", "s", "'m*m' is something else, not a time"),
    ],
)
def test_what_is_no_quantity_of_the_wanted_dimension_is_refused_as_what_it_is(
    text: str, unit: str, message: str
):
    with pytest.raises(ValueError, match=r".") as told:
        parse(text, unit)
    assert str(told.value) == message


@given(
    st.one_of(st.text(max_size=20), st.text("sBKWmkdegC°µ/*1 ", max_size=9)),
    st.sampled_from(["s", "B/s", "degC", "/s"]),
)
def test_any_text_is_a_quantity_or_a_value_error(text: str, unit: str):
    for written in (text, f"5 {text}"):
        with suppress(ValueError):
            assert isinstance(parse(written, unit), float)


def test_a_field_of_a_quantity_says_what_came_and_what_was_wanted():
    for came, kind, message in [
        (True, Seconds, "got true; expected a time such as '20 min'"),
        (None, Seconds, "got nothing; expected a time such as '20 min'"),
        ({"{x}": 1}, Seconds, "got a mapping; expected a time such as '20 min'"),
        (5, Seconds, "5 has no unit; expected a time such as '20 min'"),
        ("{x} s", Seconds, "'{x} s' is not a quantity; expected a time such as '20 min'"),
        ("-1 s", Seconds, "'-1 s' must be at least 0 s; expected a time such as '20 min'"),
        (
            "0 FLOP/s",
            FlopPerSecond,
            "'0 FLOP/s' must be above 0 FLOP/s; expected a compute rate such as '2.25 PFLOP/s'",
        ),
        (
            "-300 degC",
            Celsius,
            "'-300 degC' must be at least -273.15 degC; expected a temperature such as '25 degC'",
        ),
        (
            "inf USD/kWh",
            UsdPerKwh,
            "'inf USD/kWh' is not a finite number; expected a price of energy such as '0.0685 USD/kWh'",
        ),
    ]:
        with pytest.raises(ValidationError) as told:
            TypeAdapter(kind).validate_python(came)
        assert told.value.errors()[0]["msg"] == message


@pytest.mark.parametrize(
    ("field", "key"),
    [("bandwidth_bytes_per_s", "bandwidth"), ("rate_per_s", "rate"), ("reserved_bytes", "reserved"), ("inlet_c", "inlet"), ("rack_power_cap_w", "rack_power_cap"),
     ("electricity_usd_per_kwh", "electricity"), ("clock_hz", "clock"), ("max_sequences", "max_sequences")],
)  # fmt: skip
def test_a_key_is_the_name_of_its_field_without_the_unit(field: str, key: str):
    assert key_of(field) == key
