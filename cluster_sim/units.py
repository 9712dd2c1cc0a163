"""Quantities with units: "8 TB/s" in a file is 8e12 in a field whose name ends in `_bytes_per_s`.

The type of a field gives its unit, and the name of the field ends in that unit. The key in a file
is the name without the unit. Files must write the unit; code sees SI floats only.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

from cluster_sim.errors import shown

if TYPE_CHECKING:
    import pint

# A short list of units instead of Pint's thousand units, which take 0.3 s to read at every start.
# `kilogram` is in the list so that a weight given for a time is refused as a weight.
_DEFINITIONS = """
pico- = 1e-12 = p-
nano- = 1e-9 = n-
micro- = 1e-6 = u- = µ-
milli- = 1e-3 = m-
kilo- = 1e3 = k- = K-
mega- = 1e6 = M-
giga- = 1e9 = G-
tera- = 1e12 = T-
peta- = 1e15 = P-
exa- = 1e18 = E-
kibi- = 1024 = Ki-
mebi- = 1048576 = Mi-
gibi- = 1073741824 = Gi-
tebi- = 1099511627776 = Ti-
second = [time] = s = sec
minute = 60 * second = min
hour = 3600 * second = h = hr
day = 86400 * second = d
year = 8760 * hour = yr
bit = [information] = b
byte = 8 * bit = B
kelvin = [temperature] = K
degree_Celsius = kelvin; offset: 273.15 = degC = celsius = °C
kilogram_base = [mass] = kg
gram = 0.001 * kilogram_base = g
tonne = 1000 * kilogram_base = t
meter = [length] = m
joule = kilogram_base * meter ** 2 / second ** 2 = J
watt = joule / second = W
watt_hour = 3600 * joule = Wh
dollar = [currency] = USD = usd
flop = [computation] = FLOP
hertz = 1 / second = Hz
token = []
tok = [text]
tokens = []
request = []
requests = []
req = []
"""


@cache
def _registry() -> pint.UnitRegistry[float]:
    import pint  # Pint takes a quarter of a second to import, so it is imported for the first quantity

    registry: pint.UnitRegistry[float] = pint.UnitRegistry(None)
    registry.load_definitions([line for line in _DEFINITIONS.splitlines() if line])
    return registry


@cache
def _factor(written: str, expected: str) -> float | None:
    """Return the factor from one unit to another; None if one has an offset, as degC has.

    Raises ValueError for an unknown unit and for a unit of another dimension.
    """
    import pint

    if not _UNIT.fullmatch(written):
        raise ValueError(f"unknown unit '{written}'")
    try:
        unit = _registry().Unit(_readable(written))
    except pint.UndefinedUnitError as fault:
        raise ValueError(f"unknown unit '{written}'") from fault
    if _registry().Unit(_readable(expected)).dimensionality != unit.dimensionality:
        raise ValueError(
            f"'{written}' is {_kind(unit)}, not {KINDS.get(expected, f'in {expected}')}"
        )
    if unit == _registry().Unit(_readable(expected)):
        return 1.0
    if expected == "degC":
        return None
    try:
        return float(_registry().Quantity(1.0, unit).to(_readable(expected)).magnitude)
    except pint.OffsetUnitCalculusError:
        return None


def _readable(unit: str) -> str:
    """Return a unit as Pint reads it: `/s` becomes `1/s`; a rate of things, `requests/s`, stays."""
    unit = unit.strip()
    return f"1{unit}" if unit.startswith("/") else unit.replace("°C", "degC")


def _kind(unit: pint.Unit) -> str:
    kinds = KINDS | {
        "kg": "a mass",
        "m": "a length",
        "J": "an energy",
        "FLOP": "an amount of computation",
    }
    of_same_dimension = (
        kind
        for known, kind in kinds.items()
        if _registry().Unit(_readable(known)).dimensionality == unit.dimensionality
    )
    return next(of_same_dimension, "a bare number" if unit.dimensionless else "something else")


KINDS = {
    "s": "a time",
    "B": "an amount of data",
    "B/s": "a bandwidth",
    "/s": "a rate",
    "FLOP/s": "a compute rate",
    "W": "a power",
    "degC": "a temperature",
    "Hz": "a frequency",
    "USD": "an amount of money",
    "USD/h": "a running cost",
    "USD/W": "a price of power",
    "USD/kWh": "a price of energy",
    "USD/Mtok": "a price per million tokens",
    "g/kWh": "a carbon intensity",
    "J/B": "an energy of data",
    "J/FLOP": "an energy of computation",
    "K/W": "a thermal resistance",
    "J/K": "a heat capacity",
    "K": "a difference of temperatures",
}

_NUMBER_AND_UNIT = re.compile(
    r"\s*([+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?(?:nan|inf|\.nan|\.inf))\s*(.*?)\s*",
    re.I,
)

_UNIT = re.compile(r"(1?\s*/\s*)?[A-Za-zµ]+(\s*[/*]\s*[A-Za-zµ]+)*|°C")


def parse(text: str, unit: str) -> float:
    """Return the number that a text such as "8 TB/s" is in `unit`.

    The result is exact if the text already uses `unit`, so that a scenario file that was written
    reads back to the same float. Raises ValueError with the reason: no number, no unit, an unknown
    unit, or a unit of another dimension.

    >>> parse("8 TB/s", "B/s"), parse("8 Tb/s", "B/s"), parse("20 min", "s")
    (8000000000000.0, 1000000000000.0, 1200.0)
    """
    magnitude, written = number_and_unit(text)
    if not written:
        raise ValueError(f"{shown(text)} has no unit")
    factor = _factor(written, unit)
    if factor is None:
        return float(_registry().Quantity(magnitude, _readable(written)).to(unit).magnitude)
    return magnitude if factor == 1.0 else magnitude * factor


def number_and_unit(text: str) -> tuple[float, str]:
    """Return the number and the unit of a quantity. The unit may be missing and is not checked.

    Raises ValueError for a text that is not a quantity.

    >>> number_and_unit("8 TB/s")
    (8.0, 'TB/s')
    """
    # a Greek letter, and the micro sign that looks like it
    match = _NUMBER_AND_UNIT.fullmatch(text.replace("μ", "µ"))
    if match is None:
        raise ValueError(f"{shown(text)} is not a quantity")
    try:
        return float(match[1].replace("_", "").replace(".n", "n").replace(".i", "i")), match[2]
    except ValueError as fault:
        raise ValueError(f"{shown(text)} is not a quantity") from fault


def percent(share: float) -> str:
    """Return a share in percent: one decimal below 10 %, none above.

    >>> percent(0.028), percent(0.374), percent(1.5)
    ('2.8 %', '37 %', '150 %')
    """
    return f"{100 * share:.0f} %" if share >= 0.0995 else f"{100 * share:.1f} %"


def duration_text(seconds: float) -> str:
    """Return a time as a scenario file writes it, exactly.

    >>> duration_text(0.5), duration_text(2.5), duration_text(90), duration_text(600), duration_text(7200)
    ('500 ms', '2.5 s', '90 s', '10 min', '2 h')
    """
    if 0 < seconds < 1:
        return f"{seconds * 1e3:.10g} ms"
    for unit, size_s in (("h", 3600), ("min", 60)):
        if seconds and seconds % size_s == 0:
            return f"{seconds / size_s:.10g} {unit}"
    return f"{seconds:.10g} s"


@dataclass(frozen=True)
class Quantity:
    """Field type of a float in `unit`. Files may write any unit of that dimension."""

    unit: str
    """Unit of the float."""
    example: str
    """Text that a file may write."""
    above: float | None = None
    """Bound that the value must exceed."""
    least: float | None = None
    """Bound that the value must reach."""

    def read(self, written: Any) -> float:
        """Return the number that a file wrote, in `unit`.

        Raises PydanticCustomError with the message "got …; expected …".
        """
        if isinstance(written, bool) or not isinstance(written, (str, int, float)):
            raise self._fault(f"got {shown(written)}")
        if not isinstance(written, str):
            raise self._fault(f"{shown(written)} has no unit")
        try:
            value = parse(written, self.unit)
        except ValueError as fault:
            raise self._fault(str(fault)) from fault
        if not math.isfinite(value):
            raise self._fault(f"{shown(written)} is not a finite number")
        if self.above is not None and value <= self.above:
            raise self._fault(f"{shown(written)} must be above {self.above:g} {self.unit}")
        if self.least is not None and value < self.least:
            raise self._fault(f"{shown(written)} must be at least {self.least:g} {self.unit}")
        return value

    def _fault(self, what: str) -> PydanticCustomError:
        text = f"{what}; expected {KINDS[self.unit]} such as '{self.example}'"
        return PydanticCustomError("quantity", text)

    def write(self, value: float) -> str:
        """Return a value as a file writes it, exactly."""
        return f"{value!r} {self.unit}"

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.read, serialization=core_schema.plain_serializer_function_ser_schema(self.write)
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {
            "type": "string",
            "examples": [self.example],
            "description": f"{KINDS[self.unit].capitalize()} with its unit.",
        }


Seconds = Annotated[float, Quantity("s", "20 min", least=0.0)]
PositiveSeconds = Annotated[float, Quantity("s", "20 min", above=0.0)]
LatencySeconds = Annotated[float, Quantity("s", "500 ms", above=0.0)]
PerSecond = Annotated[float, Quantity("/s", "5 /s", above=0.0)]
RateOrZero = Annotated[float, Quantity("/s", "5 /s", least=0.0)]
Bytes = Annotated[float, Quantity("B", "192 GB", least=0.0)]
PositiveBytes = Annotated[float, Quantity("B", "192 GB", above=0.0)]
BytesPerSecond = Annotated[float, Quantity("B/s", "8 TB/s", above=0.0)]
FlopPerSecond = Annotated[float, Quantity("FLOP/s", "2.25 PFLOP/s", above=0.0)]
Hertz = Annotated[float, Quantity("Hz", "1.1 GHz", above=0.0)]
Celsius = Annotated[float, Quantity("degC", "25 degC", least=-273.15)]
Watts = Annotated[float, Quantity("W", "40 kW", above=0.0)]
JoulesPerByte = Annotated[float, Quantity("J/B", "40 pJ/B", least=0.0)]
JoulesPerFlop = Annotated[float, Quantity("J/FLOP", "0.4 pJ/FLOP", least=0.0)]
KelvinPerWatt = Annotated[float, Quantity("K/W", "0.02 K/W", least=0.0)]
PositiveKelvinPerWatt = Annotated[float, Quantity("K/W", "0.02 K/W", above=0.0)]
JoulesPerKelvin = Annotated[float, Quantity("J/K", "1500 J/K", above=0.0)]
Kelvin = Annotated[float, Quantity("K", "3 K", least=0.0)]
UsdPerKwh = Annotated[float, Quantity("USD/kWh", "0.0685 USD/kWh", least=0.0)]
GramsPerKwh = Annotated[float, Quantity("g/kWh", "380 g/kWh", least=0.0)]

# A name in code is the key in the file plus the unit. The longest suffix is tried first.
_SUFFIXES = (
    "_bytes_per_s", "_flop_per_s", "_usd_per_kwh", "_usd_per_mtok", "_usd_per_hour", "_usd_per_w", "_g_per_kwh", "_j_per_byte", "_j_per_flop", "_k_per_w", "_j_per_k",
    "_per_s", "_bytes", "_kelvin", "_usd", "_hz", "_s", "_c", "_w",
)  # fmt: skip


def key_of(field: str) -> str:
    """Return the key in a file for the name of a field, which is the name without its unit.

    >>> key_of("bandwidth_bytes_per_s"), key_of("ttft_s"), key_of("max_sequences")
    ('bandwidth', 'ttft', 'max_sequences')
    """
    return next(
        (field.removesuffix(suffix) for suffix in _SUFFIXES if field.endswith(suffix)), field
    )
