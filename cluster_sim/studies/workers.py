"""Many calls at once: in processes of this machine that may die without harm to the others, or on a
Dask cluster.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from cluster_sim.errors import ScenarioError, SimulationError

Name = TypeVar("Name")
Call = tuple[Callable[..., Any], tuple[Any, ...]]
Work = Iterable[tuple[Name, Call]]
"""What is to be called, each under a name; read as workers become free."""
Done = Iterator[tuple[Name, Any]]
"""(name, what the call returned or the exception it raised), in the order in which calls end."""

_STARTS = 2  # of a call whose process dies: a machine may have been short of memory for a moment


class ProcessDied(SimulationError):
    """The process that ran a call was killed, or crashed."""


def called(work: Work[Name], workers: int | None = None, dask: str | None = None) -> Done[Name]:
    """Each call's outcome: from the Dask scheduler at `dask`, or from `workers` processes of this
    machine.

    workers: None for one a core; 0 for none but this one.
    """
    if dask is not None:
        return _on_dask(work, dask)
    return (
        _in_processes(work, cores() if workers is None else workers)
        if workers != 0
        else _here(work)
    )


def cores() -> int:
    """Of this machine, those that this process may use."""
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
    name: Any
    call: Call
    starts: int = 0


class _Worker:
    """A fresh process that makes one call after the other until its pipe closes."""

    def __init__(self) -> None:
        # not forked, as threads of numpy's and pyarrow's may hold locks that a fork would copy
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()
        self.job: _Job | None = None

    def start(self, job: _Job) -> None:
        job.starts += 1
        self.job = job
        with suppress(BrokenPipeError):  # it died while idle: its answer will say so
            self.pipe.send(job.call)

    def answer(self) -> Any:
        """Outcome of the call that has ended. Raises ProcessDied where the process has ended
        instead.
        """
        try:
            return self.pipe.recv()
        except (EOFError, ConnectionError) as fault:
            self.process.join()
            raise ProcessDied("the process that ran it died") from fault

    def end(self) -> None:
        self.pipe.close()
        self.process.kill()
        self.process.join()


def _serve(pipe: Connection) -> None:
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C is for the process that gives the work out
    with suppress(EOFError, ConnectionError):  # it is gone
        while True:
            function, arguments = pipe.recv()
            try:
                outcome = function(*arguments)
            except Exception as error:
                outcome = error
            pipe.send(outcome)


def _in_processes(work: Work[Name], workers: int) -> Done[Name]:
    """A call whose process dies is made once more; when it dies again, its outcome is ProcessDied."""
    todo = (_Job(name, call) for name, call in work)
    again: list[_Job] = []
    crew: list[_Worker] = []
    try:
        while True:
            for slot in range(workers):
                if slot < len(crew) and crew[slot].job:
                    continue
                job = again.pop() if again else next(todo, None)
                if job is None:
                    break
                if slot == len(crew):
                    crew.append(_Worker())
                crew[slot].start(job)
            busy = {worker.pipe: slot for slot, worker in enumerate(crew) if worker.job}
            if not busy:
                return
            for pipe in wait(list(busy)):
                slot = busy[pipe]  # type: ignore[index]  # of what it was given, it returns some
                job = crew[slot].job
                assert job is not None
                crew[slot].job = None
                try:
                    outcome = crew[slot].answer()
                except ProcessDied as died:
                    crew[slot].end()
                    crew[slot] = _Worker()
                    outcome = died
                    if job.starts < _STARTS:
                        again.append(job)
                        continue
                yield job.name, outcome
    finally:
        for worker in crew:
            worker.end()


def _on_dask(work: Work[Name], address: str) -> Done[Name]:
    """On a Dask cluster that somebody has started. Dask gives the work of workers that die to
    others.

    Raises ScenarioError where Dask is not installed or nobody answers at the address.
    """
    try:
        from dask.distributed import Client, KilledWorker, as_completed
    except ImportError as fault:
        raise ScenarioError.at(
            "--dask", "needs the package dask; wanted pip install 'cluster-sim[dask]'"
        ) from fault
    try:
        client = Client(address, timeout="15s", set_as_default=False)
    except (OSError, ValueError) as fault:
        raise ScenarioError.at("--dask", f"no Dask scheduler answers at {address}") from fault
    with client:
        jobs, names = iter(work), {}
        running = as_completed(loop=client.loop)

        def start_next() -> bool:
            if (job := next(jobs, None)) is None:
                return False
            name, (function, arguments) = job
            future = client.submit(function, *arguments, pure=False)
            names[future] = name
            running.add(future)
            return True

        # twice as many as there are threads, so that none waits for the network; more, as workers
        # may join later
        while len(names) < max(2 * sum(client.nthreads().values()), 64) and start_next():
            pass
        for future in running:
            start_next()
            try:
                outcome = future.result()
            except KilledWorker:
                outcome = ProcessDied("the process that ran it died")
            except Exception as error:
                outcome = error
            yield names.pop(future), outcome
