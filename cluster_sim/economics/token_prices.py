"""Prices at which tokens are sold, and the revenue that follows."""

from __future__ import annotations

from collections.abc import Mapping

from cluster_sim.economics.estimates import EstimatedUsdPerMtok
from cluster_sim.economics.price_list import PriceList
from cluster_sim.typing import Number


class TokenPrices(PriceList):
    """Prices at which the tokens of a model are sold. Every price may have a range."""

    input_usd_per_mtok: EstimatedUsdPerMtok
    """Price of prompt tokens [USD per million tokens]."""
    cached_input_usd_per_mtok: EstimatedUsdPerMtok | None = None
    """Price of prompt tokens that hit the prefix cache [USD per million tokens]. Default: the price of
    other prompt tokens."""
    output_usd_per_mtok: EstimatedUsdPerMtok
    """Price of output tokens, reasoning included [USD per million tokens]."""


def revenue_usd(
    figures: Mapping[str, Number], prompt_tokens: int, cached_tokens: int, output_tokens: int
) -> Number:
    """Return the price of tokens that were sold [USD].

    Parameters
    ----------
    figures
        Prices by field of `TokenPrices`, or arrays of draws from their ranges [USD per million].
    prompt_tokens
        Number of prompt tokens, cached ones included.
    cached_tokens
        Number of prompt tokens that hit the prefix cache.
    output_tokens
        Number of output tokens.

    Examples
    --------
    >>> prices = {"input_usd_per_mtok": 2.0, "cached_input_usd_per_mtok": 0.5, "output_usd_per_mtok": 8.0}
    >>> revenue_usd(prices, 3_000_000, 1_000_000, 500_000)
    8.5
    """
    usd_per_mtok = figures["input_usd_per_mtok"]
    return (
        usd_per_mtok * (prompt_tokens - cached_tokens)
        + figures.get("cached_input_usd_per_mtok", usd_per_mtok) * cached_tokens
        + figures["output_usd_per_mtok"] * output_tokens
    ) / 1e6
