"""Concurrent calls on a Dask cluster."""

from __future__ import annotations

from cluster_sim.errors import ScenarioError
from cluster_sim.studies.workers import Done, Name, ProcessDied, Work


def on_dask(work: Work[Name], address: str) -> Done[Name]:
    """Yield the outcomes of calls on a running Dask cluster.

    Dask moves the calls of a worker that dies to other workers.

    Raises
    ------
    ScenarioError
        Dask is not installed, or no scheduler answers at the address.
    """
    try:
        from dask.distributed import Client, KilledWorker, as_completed
    except ImportError as fault:
        raise ScenarioError.at(
            "--dask", "needs the package dask; install it with pip install 'cluster-sim[dask]'"
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

        # twice as many calls as threads, so that no thread waits for the network; more later, as
        # workers may join
        while len(names) < max(2 * sum(client.nthreads().values()), 64) and start_next():
            pass
        for future in running:
            start_next()
            try:
                outcome = future.result()
            except KilledWorker:
                outcome = ProcessDied("the processes that ran the call died")
            except Exception as error:
                outcome = error
            yield names.pop(future), outcome
