"""PhaseExchanges: kinds of exchange between attention and experts by phase, as a file has them."""

from __future__ import annotations

from typing import ClassVar

from cluster_sim.physics.exchange_kinds import ExchangeName, ExchangePlan
from cluster_sim.schema import Description


class PhaseExchanges(Description):
    """Kinds of exchange between attention and experts in steps with prompts and in decode."""

    bare_key: ClassVar[str] = "decode"

    prefill: ExchangeName = "auto"
    """Kind of exchange of steps with prompts. Default: the engine's choice on the device."""
    decode: ExchangeName = "auto"
    """Kind of exchange of steps that only decode. Default: the engine's choice on the device."""


def exchange_plan(given: ExchangeName | PhaseExchanges) -> ExchangePlan:
    """Return the kinds of both phases for the value of a key.

    >>> exchange_plan("auto"), exchange_plan(PhaseExchanges(decode="deepep_low_latency")).decode
    (ExchangePlan(prefill='auto', decode='auto'), 'deepep_low_latency')
    """
    if isinstance(given, PhaseExchanges):
        return ExchangePlan(given.prefill, given.decode)
    return ExchangePlan(given, given)
