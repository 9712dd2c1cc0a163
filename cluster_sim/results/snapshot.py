"""State of a run in progress, summed up from its recorded rows."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from cluster_sim.results.columns import STRETCH_COLUMNS
from cluster_sim.results.recorder import Recorder
from cluster_sim.results.states import READY, WORKING
from cluster_sim.typing import Array

_WINDOW = 10  # number of snapshots over which a rate is taken
_COLUMN = {name: place for place, name in enumerate(STRETCH_COLUMNS)}


@dataclass(frozen=True)
class Snapshot:
    """State of a run at one moment; the state of a replica is that at its last stretch's start."""

    now_s: float
    """Simulated time [s]."""
    arrived: int
    """Number of requests that have arrived; with clients, of attempts."""
    left: int
    """Number of requests that have left the cluster, with or without a whole answer; rejected ones
    are not included."""
    rejected: int
    """Number of requests that were rejected."""
    waiting: int
    """Number of requests in queues."""
    running: int
    """Number of requests in batches."""
    output_tokens: float
    """Number of output tokens so far, warm-up included."""
    sequences: dict[int, tuple[int, int, float]]
    """Running requests, waiting requests and tokens in the KV cache, by replica."""
    hottest: tuple[str, float] | None = None
    """Device with the hottest die among those that can reach a temperature limit, and its
    temperature [degC]; None if no device can."""
    unready: int | None = None
    """Number of replicas that accept no requests now; None if all have been ready so far."""


class SnapshotReader:
    """Reader of the rows that were recorded since its last reading."""

    def __init__(self) -> None:
        self._rows_read = 0
        self._tokens = 0.0
        self._replicas: dict[int, tuple[int, int, float]] = {}
        self._states: dict[int, str] = {}  # of replicas that have changed their state
        self._states_read = 0

    def read(self, now_s: float, recorder: Recorder) -> Snapshot:
        """Return the state of the run at time `now_s` [s]."""
        # a copy, since a bytearray with a view on it cannot grow
        written = bytes(recorder.stretches[self._rows_read :])
        rows = np.frombuffer(written).reshape(-1, len(STRETCH_COLUMNS))
        self._rows_read = len(recorder.stretches)
        self._tokens += _output_tokens(rows)
        last, index = np.unique(rows[::-1, _COLUMN["replica"]], return_index=True)
        for replica, place in zip(last.astype(int).tolist(), index.tolist(), strict=True):
            row = rows[len(rows) - 1 - place]
            self._replicas[replica] = (
                int(row[_COLUMN["running"]]),
                int(row[_COLUMN["waiting"]]),
                float(row[_COLUMN["kv_tokens"]]),
            )
        for change in recorder.states[self._states_read :]:
            self._states[change.replica] = change.state
        self._states_read = len(recorder.states)
        for replica, state in self._states.items():
            if state not in WORKING:
                self._replicas.pop(replica, None)
        queued = sum(waiting for _, waiting, _ in self._replicas.values())
        waiting = min(queued, recorder.inside) if self._replicas else recorder.inside
        rejected = len(recorder.rejected)
        return Snapshot(
            now_s,
            arrived=len(recorder.requests),
            left=recorder.left - rejected,
            rejected=rejected,
            waiting=waiting,
            running=recorder.inside - waiting,
            output_tokens=self._tokens,
            sequences=dict(self._replicas),
            hottest=max(recorder.die_c.items(), key=lambda item: item[1], default=None),
            unready=sum(state != READY for state in self._states.values())
            if self._states
            else None,
        )


def _output_tokens(rows: Array) -> float:
    """Return the number of output tokens of stretches."""
    steps, batch, growth, sampled, running = (
        rows[:, _COLUMN[name]] for name in ("steps", "batch", "growth", "sampled", "running")
    )
    # slots of a static batch whose answers have ended stay in the batch without generating tokens
    alive = np.divide(np.minimum(running, batch), batch, out=np.zeros(len(rows)), where=batch > 0)
    return float(np.sum(steps * (growth * alive + sampled - batch)))


class OutputRate:
    """Rate of output tokens per simulated second, over the last snapshots."""

    def __init__(self) -> None:
        self._past: deque[tuple[float, float]] = deque([(0.0, 0.0)], maxlen=_WINDOW)

    def after(self, snapshot: Snapshot) -> float:
        """Return the rate [tokens/s] after one more snapshot."""
        self._past.append((snapshot.now_s, snapshot.output_tokens))
        (from_s, before), (to_s, after) = self._past[0], self._past[-1]
        return (after - before) / (to_s - from_s) if to_s > from_s else 0.0
