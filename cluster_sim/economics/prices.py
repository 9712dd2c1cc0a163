"""What a node costs whoever runs it: bought, rented, or committed to by contract. Every price may
carry its range.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

from cluster_sim.errors import shown
from cluster_sim.schema import Description
from cluster_sim.units import Quantity


@dataclass(frozen=True)
class Estimate:
    """A figure and between what it may lie; low and high are the value where it is certain."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Estimated:
    """Field type: a figure, or `{value: …, range: [low, high]}`; in the unit of `quantity`, or a
    bare number from 0 to `most`.
    """

    quantity: Quantity | None = None
    most: float = 1.0

    def _number(self, came: Any) -> float:
        if self.quantity is not None:
            return self.quantity.read(came)
        if (
            isinstance(came, bool)
            or not isinstance(came, (int, float))
            or not 0.0 <= came <= self.most
        ):
            raise PydanticCustomError(
                "quantity", f"came {shown(came)}; wanted a number from 0 to {self.most:g}"
            )
        return float(came)

    def _read(self, came: Any) -> Estimate:
        if isinstance(came, Estimate):
            return came
        if not isinstance(came, dict):
            value = self._number(came)
            return Estimate(value, value, value)
        ends = came.get("range", [came.get("value")] * 2)
        if (
            not {"value"} <= came.keys() <= {"value", "range"}
            or not isinstance(ends, (list, tuple))
            or len(ends) != 2
        ):
            raise PydanticCustomError(
                "quantity",
                f"came {shown(came)}; wanted a figure, or {{value: …, range: [low, high]}}",
            )
        value, (low, high) = self._number(came["value"]), map(self._number, ends)
        if not low <= value <= high:
            raise PydanticCustomError(
                "quantity",
                f"came {shown(came['value'])}; wanted it within its range, {shown(ends[0])} to {shown(ends[1])}",
            )
        return Estimate(value, low, high)

    def _write(self, estimate: Estimate) -> Any:
        value, low, high = (
            self.quantity.write(one) if self.quantity else one
            for one in (estimate.value, estimate.low, estimate.high)
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
        ranged = {
            "type": "object",
            "properties": {
                "value": bare,
                "range": {"type": "array", "items": bare, "minItems": 2, "maxItems": 2},
            },
            "required": ["value"],
            "additionalProperties": False,
        }
        return {
            "anyOf": [bare, ranged],
            "description": "A figure, or with the range that it may lie in.",
        }


EstimatedShare = Annotated[Estimate, Estimated()]
EstimatedUsd = Annotated[Estimate, Estimated(Quantity("USD", "515_000 USD", least=0.0))]
EstimatedUsdPerHour = Annotated[Estimate, Estimated(Quantity("USD/h", "4_500 USD/year", least=0.0))]
EstimatedUsdPerWatt = Annotated[Estimate, Estimated(Quantity("USD/W", "20.8 USD/W", least=0.0))]
EstimatedUsdPerKwh = Annotated[
    Estimate, Estimated(Quantity("USD/kWh", "0.0685 USD/kWh", least=0.0))
]
EstimatedSeconds = Annotated[Estimate, Estimated(Quantity("s", "10 d", least=0.0))]
EstimatedPositiveSeconds = Annotated[Estimate, Estimated(Quantity("s", "5 year", above=0.0))]
EstimatedPerSecond = Annotated[Estimate, Estimated(Quantity("/s", "0.06 /year", least=0.0))]
EstimatedWatts = Annotated[Estimate, Estimated(Quantity("W", "14.3 kW", above=0.0))]
EstimatedFactor = Annotated[Estimate, Estimated(most=3.0)]

ZERO = Estimate(0.0, 0.0, 0.0)


class _Offer(Description):
    name: str
    year: int
    """Of the prices, which are in US dollars."""


class Owned(_Offer):
    """A node that is bought, with its share of everything around it; what is left out costs
    nothing.
    """

    basis: Literal["owned"] = "owned"
    purchase_usd: EstimatedUsd
    """Of a node, with its devices."""
    networking: EstimatedShare = ZERO
    """Switches, cables and adapters of the cluster, as a share of the purchase."""
    networking_mark_up: EstimatedShare = ZERO
    """Share of networking that is the vendor's premium over open Ethernet; told apart, not
    added."""
    storage: EstimatedShare = ZERO
    """Of the purchase."""
    life_s: EstimatedPositiveSeconds
    """Over which node, networking, storage and spares are written off."""
    residual: EstimatedShare = ZERO
    """Share of their price that they sell for after that."""
    cost_of_capital: EstimatedShare = ZERO
    """Interest a year on all that is bought: 0.05 is 5 %."""
    rated_w: EstimatedWatts
    """The most that a node draws, for which the facility is built."""
    facility_usd_per_w: EstimatedUsdPerWatt = ZERO
    """Building, power and cooling."""
    facility_life_s: EstimatedPositiveSeconds = Estimate(
        15.0 * 31_536_000.0, 15.0 * 31_536_000.0, 15.0 * 31_536_000.0
    )
    electricity_usd_per_kwh: EstimatedUsdPerKwh = ZERO
    """Where the site does not say."""
    licences_usd_per_hour: EstimatedUsdPerHour = ZERO
    """Software, of one device."""
    support: EstimatedShare = ZERO
    """Contracts for hardware, a year, as a share of the purchase."""
    porting_usd: EstimatedUsd = ZERO
    """Engineering that bringing the software to this machine takes once, for all nodes of its
    owner; spread over `life`."""
    porting_nodes: Annotated[int, Field(gt=0)] = 1
    """How many those are."""
    staffing_usd_per_hour: EstimatedUsdPerHour = ZERO
    """People who keep a node running."""
    failures_per_s: EstimatedPerSecond = ZERO
    """Of one device."""
    repair_s: EstimatedSeconds = ZERO
    """Until a node with a failed device is back; a spare stands in for it."""


class Rented(_Offer):
    """Devices by the hour, power and all else included."""

    basis: Literal["rented"] = "rented"
    rental_usd_per_hour: EstimatedUsdPerHour
    """Of one device."""
    licences_usd_per_hour: EstimatedUsdPerHour = ZERO
    """Software, of one device, where the rental does not include it."""
    staffing_usd_per_hour: EstimatedUsdPerHour = ZERO
    """Of a node."""


class Committed(_Offer):
    """Capacity by contract: an amount for so much power over so many years, power and all else
    included.
    """

    basis: Literal["committed"] = "committed"
    amount_usd: EstimatedUsd
    term_s: EstimatedPositiveSeconds
    power_w: EstimatedWatts
    """Of the site, with what its cooling takes."""
    rated_w: EstimatedWatts
    """Of one node, before that."""
    pue: EstimatedFactor
    """What the site draws for each watt of its nodes, by which nodes are counted."""


Prices = Annotated[Owned | Rented | Committed, Field(discriminator="basis")]
"""A choice of how a node is paid for."""
