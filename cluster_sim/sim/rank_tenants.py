"""Attention data-parallel ranks of one replica in the fabric."""

from __future__ import annotations

from collections.abc import Callable

from cluster_sim.sim.tenants import Tenant


class RankTenants:
    """Parts of one replica whose memories and links other traffic uses separately.

    The parts are the first devices of the replica's attention ranks. The ranks run their steps
    together, so all of them have the smallest share of any part.

    Parameters
    ----------
    replica
        Replica of the parts.
    count
        Number of parts.
    """

    def __init__(self, replica: Tenant, count: int) -> None:
        self.replica = replica
        self.parts: list[Tenant] = [RankTenant(self, number) for number in range(count)]
        """Parts, as the fabric sees them."""
        self._on_turn: dict[int, Callable[[bool], None]] = {}
        self._shares: dict[int, tuple[float, ...]] = {}

    def share_memory(self, part: int, on_turn: Callable[[bool], None] | None) -> None:
        """Call `on_turn` before each stretch, until it is None."""
        was_shared = bool(self._on_turn)
        if on_turn is None:
            self._on_turn.pop(part, None)
        else:
            self._on_turn[part] = on_turn
        if was_shared != bool(self._on_turn):
            self.replica.share_memory(self._turn if self._on_turn else None)

    def _turn(self, is_running: bool) -> None:  # noqa: FBT001 - a callback
        for on_turn in self._on_turn.values():
            on_turn(is_running)

    def set_shares(self, part: int, shares: tuple[float, ...]) -> None:
        """Set the shares of bandwidths that other traffic leaves to a part."""
        if min(shares) < 1.0:
            self._shares[part] = shares
        elif self._shares.pop(part, None) is None:
            return
        whole = (1.0,) * len(shares)
        self.replica.set_shares(*map(min, zip(whole, *self._shares.values(), strict=True)))


class RankTenant:
    """Part of a replica; see Tenant for its interface."""

    def __init__(self, ranks: RankTenants, part: int) -> None:
        self._ranks, self._part = ranks, part
        self.number = ranks.replica.number

    @property
    def is_running(self) -> bool:
        """Whether a step is in progress."""
        return self._ranks.replica.is_running

    def share_memory(self, on_turn: Callable[[bool], None] | None) -> None:
        """Call `on_turn` before each stretch with whether there are steps to run; None to stop."""
        self._ranks.share_memory(self._part, on_turn)

    def set_shares(self, *shares: float) -> None:
        """Set the shares of the bandwidths that other traffic leaves."""
        self._ranks.set_shares(self._part, shares)
