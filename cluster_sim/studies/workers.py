"""Concurrent calls, in processes of this machine or on a Dask cluster.

The death of one process does not affect the others.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import inf
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pickle import PicklingError
from typing import Any, TypeVar

from cluster_sim.errors import SimulationError

Name = TypeVar("Name")
Call = tuple[Callable[..., Any], tuple[Any, ...]]
Work = Iterable[tuple[Name, Call]]
"""Pairs of name and call, consumed as workers become free."""
Done = Iterator[tuple[Name, Any]]
"""Pairs of name and result, or raised exception, of each call, in the order in which calls end."""

_STARTS = 2  # starts of a call whose process dies: memory may have been short for a moment


class ProcessDied(SimulationError):
    """Death of the process that ran a call: it was killed, or crashed."""

    @classmethod
    def with_code(cls, code: int | None) -> ProcessDied:
        """Return the death of a process with this exit code, which is -N for signal N.

        >>> print(ProcessDied.with_code(-9))
        the process that ran it was killed by SIGKILL, as systems do when memory runs out
        >>> print(ProcessDied.with_code(-11))
        the process that ran it was killed by SIGSEGV
        """
        if code is None or code >= 0:
            return cls(f"the process that ran it ended with exit code {code}")
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        why = ", as systems do when memory runs out" if name == "SIGKILL" else ""
        return cls(f"the process that ran it was killed by {name}{why}")


def called(
    work: Work[Name], workers: int | None = None, dask: str | None = None, hangs_s: float = inf
) -> Done[Name]:
    """Yield the outcome of each call, in the order in which calls end.

    Parameters
    ----------
    work
        Calls by name.
    workers
        Number of processes of this machine; None for one per core, 0 for this process alone.
    dask
        Address of a Dask scheduler that replaces the processes; None for no scheduler.
    hangs_s
        Time after which a process of this machine is killed if its call has not ended [s].
    """
    if dask is not None:
        from cluster_sim.studies.dask_workers import on_dask

        return on_dask(work, dask)
    if workers == 0:
        return _here(work)
    return _Crew(work, cores() if workers is None else workers, hangs_s).outcomes()


def cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _here(work: Work[Name]) -> Done[Name]:
    for name, (function, arguments) in work:
        try:
            outcome = function(*arguments)
        except Exception as error:
            outcome = error
        yield name, outcome


@dataclass
class _Job:
    """Call in progress."""

    name: Any
    call: Call
    starts: int = 0
    """Number of processes that have started the call."""
    began_s: float = 0.0
    """Time of the monotonic clock at the last start of the call [s]."""


class _Worker:
    """New process that runs calls one after another until its pipe closes."""

    def __init__(self) -> None:
        # not forked: threads of numpy and pyarrow may hold locks, which a fork would copy
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        with _interrupts_held_back():
            self._process.start()
        theirs.close()
        self._job: _Job | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a call is in progress."""
        return self._job is not None

    def start(self, job: _Job) -> None:
        """Send a call to the process."""
        job.starts += 1
        job.began_s = time.monotonic()
        self._job = job
        with suppress(BrokenPipeError):  # the process died while idle; its answer reports it
            self.pipe.send(job.call)

    def left_s(self, hangs_s: float) -> float:
        """Return the remaining part of `hangs_s` for the call in progress [s]."""
        assert self._job is not None
        return self._job.began_s + hangs_s - time.monotonic()

    def give_up(self, hangs_s: float) -> tuple[_Job, ProcessDied]:
        """Kill the process after a call longer than `hangs_s` [s]; return its job and outcome."""
        assert self._job is not None
        job, self._job = self._job, None
        job.starts = _STARTS
        return job, ProcessDied(f"the process that ran it was killed after {hangs_s:g} s")

    def finish(self) -> tuple[_Job, Any]:
        """Return the job that has ended and its outcome: ProcessDied if the process has died."""
        assert self._job is not None
        job, self._job = self._job, None
        try:
            return job, self.pipe.recv()
        except (EOFError, ConnectionError):
            self._process.join()
            return job, ProcessDied.with_code(self._process.exitcode)

    def end(self) -> None:
        """End the process."""
        self.pipe.close()
        self._process.kill()
        self._process.join()


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Block Ctrl-C; processes that are started in this context ignore it.

    Only the process that distributes the work reacts to Ctrl-C.
    """
    if not hasattr(signal, "pthread_sigmask"):  # not a POSIX system
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(EOFError, ConnectionError):  # the other side has closed the pipe
        while True:
            function, arguments = pipe.recv()
            try:
                outcome = function(*arguments)
            except Exception as error:
                outcome = error
            _send(pipe, outcome)


def _send(pipe: Connection, outcome: Any) -> None:
    """Send an outcome, or the reason why it cannot be sent."""
    try:
        pipe.send(outcome)
    except (TypeError, ValueError, AttributeError, PicklingError) as error:
        pipe.send(SimulationError(f"{type(outcome).__name__} cannot be sent: {error}"))


class _Crew:
    """Pool of processes of this machine that share calls.

    A call whose process dies is started once more. If that process dies too, the outcome of the
    call is ProcessDied.
    """

    def __init__(self, work: Work[Any], workers: int, hangs_s: float) -> None:
        self._todo = (_Job(name, call) for name, call in work)
        self._again: list[_Job] = []
        self._most = workers
        self._hangs_s = hangs_s
        self._workers: list[_Worker] = []

    def outcomes(self) -> Done[Any]:
        """Yield the outcomes of all calls; end the processes when the generator is closed."""
        try:
            while busy := self._start():
                for pipe in wait(list(busy), self._patience_s(busy.values())):
                    worker = busy.pop(pipe)  # type: ignore[call-overload]  # one of `busy`
                    yield from self._settled(worker, *worker.finish())
                for worker in busy.values():
                    if worker.left_s(self._hangs_s) <= 0.0:
                        yield from self._settled(worker, *worker.give_up(self._hangs_s))
        finally:
            for worker in self._workers:
                worker.end()

    def _start(self) -> dict[Connection, _Worker]:
        """Send calls to idle processes; return the busy processes, by pipe."""
        for slot in range(self._most):
            if slot < len(self._workers) and self._workers[slot].is_busy:
                continue
            job = self._again.pop() if self._again else next(self._todo, None)
            if job is None:
                break
            if slot == len(self._workers):
                self._workers.append(_Worker())
            self._workers[slot].start(job)
        return {worker.pipe: worker for worker in self._workers if worker.is_busy}

    def _patience_s(self, busy: Iterable[_Worker]) -> float | None:
        """Return the maximum time to wait for an answer [s]; None for no limit."""
        if self._hangs_s == inf:
            return None
        return max(min(worker.left_s(self._hangs_s) for worker in busy), 0.0)

    def _settled(self, worker: _Worker, job: _Job, outcome: Any) -> Done[Any]:
        """Yield the outcome of a call; yield nothing if the call is started once more."""
        if isinstance(outcome, ProcessDied):
            worker.end()
            self._workers[self._workers.index(worker)] = _Worker()
            if job.starts < _STARTS:
                self._again.append(job)
                return
        yield job.name, outcome
