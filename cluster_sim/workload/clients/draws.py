"""Random numbers of clients, by number of the request: variants of a scenario see the same ones."""

from __future__ import annotations

from typing import NamedTuple

from cluster_sim.workload.clients.description import Clients
from cluster_sim.workload.random_streams import numbered


class TryTimes(NamedTuple):
    """Times for which a client waits in one try."""

    ttft_s: float | None
    """Time to wait for the first token [s]; None for no limit."""
    e2el_s: float | None
    """Time to wait for the whole answer [s]; None for no limit."""


class ClientDraws:
    """Draws of the clients of a run."""

    def __init__(self, seed: int) -> None:
        self._tries = numbered(seed, "client tries")
        self._leavers = numbered(seed, "client cancels")

    def times(self, clients: Clients, request: int, retry: int) -> TryTimes:
        """Return the times for which a client waits in a try.

        Parameters
        ----------
        clients
            Description of the client.
        request
            Number of the client's request.
        retry
            Number of earlier tries.
        """
        ttft, e2el = clients.timeout.ttft_s, clients.timeout.e2el_s
        is_drawn = (ttft is not None and ttft.is_drawn) or (e2el is not None and e2el.is_drawn)
        shares = self._shares(request, retry) if is_drawn else (0.0, 0.0, 0.0)
        return TryTimes(
            None if ttft is None else ttft.quantile_s(shares[0]),
            None if e2el is None else e2el.quantile_s(shares[1]),
        )

    def backoff_s(self, clients: Clients, request: int, retry: int) -> float:
        """Return the pause after a try [s]; the parameters are those of `times`."""
        backoff = clients.backoff
        share = self._shares(request, retry)[2] if backoff.jitter else 0.0
        return backoff.delay_s(retry, share)

    def _shares(self, request: int, retry: int) -> tuple[float, float, float]:
        """Return the random shares of a try: of both timeouts and of the jitter."""
        first, second, third = self._tries(request, retry).random(3).tolist()
        return first, second, third

    def tokens_seen(self, clients: Clients, request: int, output_tokens: int) -> int | None:
        """Return the number of tokens after which the user leaves; None if the user stays.

        Users leave after any token but the last with equal probability, so answers of one token are
        never left.
        """
        if not clients.cancel or output_tokens < 2:
            return None
        leaves, share = self._leavers(request, 0).random(2).tolist()
        return 1 + int(share * (output_tokens - 1)) if leaves < clients.cancel else None
