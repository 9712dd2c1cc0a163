"""Sentences about traffic that `duration` or `warmup` excludes from a run."""

from __future__ import annotations

_MEND = "remove `duration` or raise it"


def trace_goes_on(until_s: float) -> str:
    """Return the note on a trace that has requests after the end of arrivals [s].

    The number of these requests is unknown, because the rest of the trace is not read.
    """
    return (
        f"the trace goes on after `duration` ({until_s:g} s), and its later requests are not "
        f"replayed; {_MEND} (`cluster-sim check` counts them)"
    )


def sessions_go_on(unsent: int, until_s: float) -> str:
    """Return the note on recorded sessions of which requests are not sent after `duration` [s].

    unsent: number of the sessions that have begun and have requests left.
    """
    return (
        f"{unsent:,} sessions of the trace have requests left at the end of `duration` "
        f"({until_s:g} s), which are not replayed; {_MEND}"
    )


def late_requests(late: int, requests: int, until_s: float) -> str:
    """Return the note on the requests of a trace that arrive after the end of arrivals [s].

    late, requests: number of these requests, and of all requests.
    """
    return (
        f"{late:,} of {requests:,} requests arrive after `duration` ({until_s:g} s) and are not "
        f"replayed; {_MEND}"
    )


def fewer_than_wanted(sent: int, wanted: int, until_s: float) -> str:
    """Return the note on arrivals that `duration` [s] ends before `requests` ends them.

    sent, wanted: number of requests that arrived, and the value of `requests`.
    """
    return (
        f"`duration` ({until_s:g} s) ended the arrivals after {sent:,} of {wanted:,} requests; "
        f"{_MEND} to send all"
    )


def drawn_sessions_cut(cut: int, sessions: int, until_s: float) -> str:
    """Return the note on sessions that the end of arrivals [s] cuts.

    cut, sessions: number of these sessions, and of all sessions that have begun.
    """
    return (
        f"{cut:,} of {sessions:,} sessions have requests left at the end of `duration` "
        f"({until_s:g} s), which are not sent: long sessions are cut; raise `duration` to see whole sessions"
    )


def all_in_warmup(requests: int, warmup_s: float, *, is_trace: bool, ends: bool) -> str:
    """Return the note on a run whose requests all arrive in the warm-up [s].

    is_trace: whether a trace is replayed, which is not longer if `duration` is.
    ends: whether `duration` is given.
    """
    longer = " or extend `duration`" if ends or not is_trace else ", or remove it"
    return (
        f"all {requests:,} requests arrive in the warm-up of {warmup_s:g} s, so "
        f"the statistics are empty; shorten `warmup`{longer}"
    )
