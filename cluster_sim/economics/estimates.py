"""Figures with a range, as files write them: uncertain prices, shares and times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

from cluster_sim.errors import shown
from cluster_sim.units import Quantity


@dataclass(frozen=True)
class Estimate:
    """A figure and its range. Low and high equal the value if it is certain."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Estimated:
    """Field type of a figure, or of `{value: …, range: [low, high]}`.

    Figures are in the unit of `quantity`, or bare numbers from 0 to `most`.
    """

    quantity: Quantity | None = None
    most: float = 1.0

    def _number(self, value: Any) -> float:
        if self.quantity is not None:
            return self.quantity.read(value)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not 0.0 <= value <= self.most:
            raise PydanticCustomError(
                "quantity", f"got {shown(value)}; expected a number from 0 to {self.most:g}"
            )
        return float(value)

    def _read(self, value: Any) -> Estimate:
        if isinstance(value, Estimate):
            return value
        if not isinstance(value, dict):
            number = self._number(value)
            return Estimate(number, number, number)
        ends = value.get("range", [value.get("value")] * 2)
        if (
            not {"value"} <= value.keys() <= {"value", "range"}
            or not isinstance(ends, (list, tuple))
            or len(ends) != 2
        ):
            raise PydanticCustomError(
                "quantity",
                f"got {shown(value)}; expected a figure, or a mapping {{value: …, range: [low, high]}}",
            )
        number, (low, high) = self._number(value["value"]), map(self._number, ends)
        if not low <= number <= high:
            raise PydanticCustomError(
                "quantity",
                f"got {shown(value['value'])}; expected a value within the range, {shown(ends[0])} to {shown(ends[1])}",
            )
        return Estimate(number, low, high)

    def _write(self, estimate: Estimate) -> Any:
        value, low, high = (
            self.quantity.write(number) if self.quantity else number
            for number in (estimate.value, estimate.low, estimate.high)
        )
        return value if estimate.low == estimate.high else {"value": value, "range": [low, high]}

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self._read, serialization=core_schema.plain_serializer_function_ser_schema(self._write)
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        bare = (
            {"type": "string", "examples": [self.quantity.example]}
            if self.quantity
            else {"type": "number", "minimum": 0, "maximum": self.most}
        )
        unit = f" [{self.quantity.unit.replace('/s', '1/s')}]" if self.quantity else ""
        ranged = {
            "type": "object",
            "properties": {
                "value": {**bare, "description": f"Most likely figure{unit}."},
                "range": {
                    "type": "array",
                    "items": bare,
                    "minItems": 2,
                    "maxItems": 2,
                    "description": f"Lowest and highest figure{unit}. Default: the figure is certain.",
                },
            },
            "required": ["value"],
            "additionalProperties": False,
        }
        return {
            "anyOf": [bare, ranged],
            "description": "A figure with its unit, or a mapping with `value` and `range`."
            if self.quantity
            else f"A number from 0 to {self.most:g}, or a mapping with `value` and `range`.",
        }


EstimatedShare = Annotated[Estimate, Estimated()]
EstimatedUsd = Annotated[Estimate, Estimated(Quantity("USD", "515_000 USD", least=0.0))]
EstimatedUsdPerHour = Annotated[Estimate, Estimated(Quantity("USD/h", "4_500 USD/year", least=0.0))]
EstimatedUsdPerWatt = Annotated[Estimate, Estimated(Quantity("USD/W", "20.8 USD/W", least=0.0))]
EstimatedUsdPerKwh = Annotated[
    Estimate, Estimated(Quantity("USD/kWh", "0.0685 USD/kWh", least=0.0))
]
EstimatedUsdPerMtok = Annotated[
    Estimate, Estimated(Quantity("USD/Mtok", "0.60 USD/Mtok", least=0.0))
]
EstimatedSeconds = Annotated[Estimate, Estimated(Quantity("s", "10 d", least=0.0))]
EstimatedPositiveSeconds = Annotated[Estimate, Estimated(Quantity("s", "5 year", above=0.0))]
EstimatedPerSecond = Annotated[Estimate, Estimated(Quantity("/s", "0.06 /year", least=0.0))]
EstimatedWatts = Annotated[Estimate, Estimated(Quantity("W", "14.3 kW", above=0.0))]
EstimatedFactor = Annotated[Estimate, Estimated(most=3.0)]

ZERO = Estimate(0.0, 0.0, 0.0)
