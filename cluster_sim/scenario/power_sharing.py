"""Policies that share the power caps of racks and rows among nodes."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from cluster_sim.schema import Description
from cluster_sim.typing import Share
from cluster_sim.units import Hertz, PositiveSeconds, Seconds


class _Sharing(Description):
    """Base of the policies that share the cap of a rack or row among its nodes."""

    is_fixed: ClassVar[bool] = True
    """Whether nothing but a schedule changes the shares and clocks."""
    lends: ClassVar[bool] = False
    """Whether shares follow what nodes draw."""
    locks_clocks: ClassVar[bool] = False
    """Whether the policy lowers clocks instead of capping the power of devices."""

    delay_s: Seconds = 0.0
    """Time from a change of a share until devices keep it [s]. Default: 0, as with caps that an
    agent on the node sets. Caps set through the nodes' management controllers take up to 40 s on
    A100 (POLCA, ASPLOS 2024)."""

    @property
    def reads_every_s(self) -> float:
        """Time between two readings of the nodes' power [s]; infinite if the policy reads none."""
        return inf

    @property
    def as_polca(self) -> Polca | None:
        """The policy, if it lowers clocks at thresholds."""
        return None

    def named_pools(self) -> dict[str, tuple[str, ...]]:
        """Return the names of pools in the policy, by the keys that hold them."""
        return {}

    def ranks(self, pools: Sequence[str]) -> dict[str, int]:
        """Return the rank of each pool, by its name; pools of lower rank are served first."""
        return dict.fromkeys(pools, 0)

    def asked_w(self, read_w: float, most_w: float, *, is_slowed: bool) -> float:
        """Return the power that a node asks for [W].

        Parameters
        ----------
        read_w
            Last reading of its power [W].
        most_w
            Power that it can draw [W].
        is_slowed
            Whether its cap slows its devices.
        """
        return most_w


class Proportional(_Sharing):
    """Fixed shares: each node gets its minimum and a part of the rest.

    The parts are proportional to the additional power that nodes could draw.
    """

    policy: Literal["proportional"] = "proportional"


class Priority(_Sharing):
    """Fixed shares: pools are served in the order of the file, up to the most that they can draw."""

    policy: Literal["priority"] = "priority"


class _Lending(_Sharing):
    """Base of the policies that lend power that a node does not draw."""

    is_fixed: ClassVar[bool] = False
    lends: ClassVar[bool] = True

    period_s: PositiveSeconds = 3.0
    """Time between two readings of the nodes' power, each followed by new shares [s]. Default: 3 s,
    as the controllers of Meta's Dynamo (ISCA 2016)."""
    headroom: Annotated[float, Field(ge=0.0, le=1.0)] = 0.1
    """Power that a node may draw above its last reading, as a share of the reading, before others
    get more than they ask for. A node whose devices were slowed by their cap asks for the most that
    it can draw. The default is an estimate."""

    @property
    def reads_every_s(self) -> float:
        """Time between two readings of the nodes' power [s]."""
        return self.period_s

    def asked_w(self, read_w: float, most_w: float, *, is_slowed: bool) -> float:
        """Return the power that a node asks for [W]: its reading and the headroom."""
        return most_w if is_slowed else min((1.0 + self.headroom) * read_w, most_w)


class Lend(_Lending):
    """Max-min fair shares of what nodes ask for.

    No share can grow except at the cost of a share that is as small (Bertsekas and Gallager, Data
    Networks, 2nd edition, 1992, section 6.5.2). The rest is given in equal parts.
    """

    policy: Literal["lend"] = "lend"


class LendByPriority(_Lending):
    """Shares of what nodes ask for, as with `lend`, but pool after pool."""

    policy: Literal["lend_by_priority"] = "lend_by_priority"
    order: tuple[str, ...] | None = None
    """Names of all pools, the most important one first. Default: the order of the file."""

    def named_pools(self) -> dict[str, tuple[str, ...]]:
        """Return the names of pools in the order."""
        return {"order": self.order or ()}

    def ranks(self, pools: Sequence[str]) -> dict[str, int]:
        """Return the rank of each pool, by its name: its place in the order."""
        return {name: rank for rank, name in enumerate(self.order or pools)}


class Polca(_Sharing):
    """Clock locks at two thresholds of the row's power, and a power brake above its cap.

    Above `t1` the devices of pools with low priority are locked to `low_clock`. Above `t2` they are
    locked to `lowest_clock`, and then, if the power is still above it, those of the other pools to
    `high_clock`. Above the cap, the power brake lowers all clocks to `brake_clock`. Locks end below
    the thresholds minus `release`.

    Source: POLCA (Patel et al., Characterizing Power Management Opportunities for LLMs in the
    Cloud, ASPLOS 2024), on a row of A100 servers. Clocks are relative to the device's highest one;
    the defaults are the clocks of the A100 relative to its 1410 MHz.
    """

    is_fixed: ClassVar[bool] = False
    locks_clocks: ClassVar[bool] = True

    policy: Literal["polca"] = "polca"
    low_priority: Annotated[tuple[str, ...], Field(min_length=1)]
    """Names of the pools with low priority, which are slowed first."""
    t1: Share = 0.80
    """First threshold, as a share of the cap."""
    t2: Share = 0.89
    """Second threshold, as a share of the cap: 1 less the largest rise within the delay of a
    command. POLCA saw 11.8 % in 40 s."""
    release: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.05
    """Distance below a threshold at which its locks end, as a share of the cap."""
    low_clock_hz: Hertz | None = None
    """Clock of pools with low priority above the first threshold [Hz]. Default: 1275 of 1410 MHz of
    the device's highest clock."""
    lowest_clock_hz: Hertz | None = None
    """Clock of pools with low priority above the second threshold [Hz]. Default: 1110 of
    1410 MHz."""
    high_clock_hz: Hertz | None = None
    """Clock of the other pools above the second threshold [Hz]. Default: 1305 of 1410 MHz."""
    brake_clock_hz: Hertz | None = None
    """Clock under the power brake [Hz]. Default: 288 of 1410 MHz."""
    period_s: PositiveSeconds = 2.0
    """Time between two readings of the row's power [s]. The default is an estimate."""
    delay_s: Seconds = 40.0
    """Time from a command through the nodes' management controllers until the clock changes [s]."""
    brake_delay_s: Seconds = 5.0
    """Time from a command of the power brake until the clock changes [s]."""

    @property
    def reads_every_s(self) -> float:
        """Time between two readings of the row's power [s]."""
        return self.period_s

    def named_pools(self) -> dict[str, tuple[str, ...]]:
        """Return the names of the pools with low priority."""
        return {"low_priority": self.low_priority}

    @property
    def as_polca(self) -> Polca | None:
        """The policy itself."""
        return self

    @model_validator(mode="after")
    def _thresholds_ascend(self) -> Polca:
        if not self.t1 < self.t2:
            raise ValueError(f"got t1 {self.t1:g} and t2 {self.t2:g}; expected t1 below t2")
        if self.release >= self.t1:
            raise ValueError(f"got a release of {self.release:g}; expected less than t1")
        low_hz, lowest_hz = self.low_clock_hz, self.lowest_clock_hz
        if low_hz is not None and lowest_hz is not None and low_hz < lowest_hz:
            raise ValueError(
                f"got a low_clock of {low_hz / 1e6:g} MHz and a lowest_clock of {lowest_hz / 1e6:g} MHz; expected a lowest_clock that is no higher"
            )
        return self


PowerSharing = Proportional | Priority | Lend | LendByPriority | Polca


def _policy_where_bare(value: Any) -> Any:
    if value == "polca":
        raise ValueError(
            "polca needs 'low_priority', such as {policy: polca, low_priority: [batch]}"
        )
    return {"policy": value} if isinstance(value, str) else value


SomePowerSharing = Annotated[
    Annotated[PowerSharing, Field(discriminator="policy")],
    BeforeValidator(
        _policy_where_bare,
        json_schema_input_type=Literal["proportional", "priority", "lend", "lend_by_priority"]
        | Annotated[PowerSharing, Field(discriminator="policy")],
    ),
]
"""Policy of a scenario file: its name, or a mapping."""
