"""Back-off of clients of a closed loop after rejections."""

from __future__ import annotations

_FIRST_BACKOFF_S, _BACKOFF_FACTOR, _MAX_BACKOFF_S = 1.0, 2.0, 60.0


def backoff_s(failures: int) -> float:
    """Return the time that a client waits after consecutive rejections before it sends again [s].

    The back-off is exponential as in HTTP and gRPC clients, without jitter: 1, 2, 4 … 60 s. The
    values are an assumption; gRPC uses 1 s, a factor of 1.6 and 120 s.

    Source: "gRPC connection backoff protocol".

    Parameters
    ----------
    failures
        Number of consecutive rejections.

    Examples
    --------
    >>> [backoff_s(failures) for failures in (0, 1, 2, 3, 7, 2000)]
    [0.0, 1.0, 2.0, 4.0, 60.0, 60.0]
    """
    if not failures:
        return 0.0
    return min(_FIRST_BACKOFF_S * _BACKOFF_FACTOR ** min(failures - 1, 30), _MAX_BACKOFF_S)
