"""Times at which single tokens of finished requests were generated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from cluster_sim.physics.ramp import Ramp
from cluster_sim.request import Request
from cluster_sim.results.recorder import EventRow
from cluster_sim.typing import Array


class _DecodeSpan(NamedTuple):
    """A span of time in which one replica decodes a request without preemption."""

    from_s: float
    from_token: int
    """Number of output tokens generated when the span begins."""
    to_s: float
    to_token: int
    """Number of output tokens generated when the span ends."""
    replica: int


class _Interruption(NamedTuple):
    """A preemption of a request, or the resumption after it."""

    at_s: float
    tokens: int
    """Number of output tokens generated before a preemption; unused for a resumption."""
    replica: int
    is_resumption: bool


def token_times_s(
    requests: Sequence[Request], token: Array, stretches: pa.Table, events: Sequence[EventRow]
) -> Array:
    """Return the time at which one token of each request was generated [s].

    The path back to the front door is not included. From its first token, or the first after a
    preemption, until the next preemption or the end, a request gets tokens evenly: one per step, or
    more with speculative decoding.

    Parameters
    ----------
    requests
        Finished requests.
    token
        Number of the token of each request; the first is 1.
    """
    interruptions: dict[int, list[_Interruption]] = {}
    for at_s, what, replica_number, number, value in events:
        if what in ("preempted", "resumed", "retried"):
            interruptions.setdefault(number, []).append(
                _Interruption(at_s, int(value), replica_number, what == "resumed")
            )
    spans = [
        _span_of(request, int(wanted), interruptions.get(request.number, ()))
        for request, wanted in zip(requests, token.tolist(), strict=True)
    ]
    from_s, from_token, to_s, to_token, of_replica = np.array(spans, dtype=float).reshape(-1, 5).T
    replica = of_replica.astype(np.int64)
    times_s: Array = from_s.copy()
    column = {
        name: stretches[name].to_numpy()
        for name in ("replica", "began_s", "first_s", "slope_s", "steps", "ended_s", "batch")
    }
    for number in np.unique(replica).tolist():
        rows = np.nonzero(column["replica"] == number)[0]
        began_s, first_s, slope_s, steps, ended_s, batch = (
            column[name][rows]
            for name in ("began_s", "first_s", "slope_s", "steps", "ended_s", "batch")
        )
        steps = np.where(batch > 0, steps, 0)  # steps in which decoding sequences get a token
        selected = np.nonzero((replica == number) & (token > from_token))[0]
        done = np.cumsum(steps)
        # spans begin and end with stretches; take the nearest, since the clock and the closed form
        # differ by rounding
        middles_s = 0.5 * (ended_s[1:] + ended_s[:-1])
        start, end = (done[np.searchsorted(middles_s, at_s[selected])] for at_s in (from_s, to_s))
        wanted, made = (
            token[selected] - from_token[selected],
            to_token[selected] - from_token[selected],
        )
        step = start + np.ceil(wanted * (end - start) / made).astype(np.int64)
        row = np.searchsorted(done, step)
        inside = step - (done[row] - steps[row])
        times_s[selected] = began_s[row] + Ramp(first_s[row], slope_s[row]).total_s(inside)
    return times_s


def _span_of(request: Request, token: int, interruptions: Sequence[_Interruption]) -> _DecodeSpan:
    """Return the span in which a token of a request was generated."""
    from_s, from_token, made = request.first_token_s, 1, 1
    for at_s, tokens, replica, is_resumption in interruptions:
        if at_s < request.first_token_s:
            continue
        if is_resumption:
            if token <= made:
                break
            from_s, from_token = at_s, made + 1
        elif tokens >= token:
            return _DecodeSpan(from_s, from_token, at_s, tokens, replica)
        else:
            made = tokens
    return _DecodeSpan(from_s, from_token, request.finish_s, request.output_tokens, request.replica)
