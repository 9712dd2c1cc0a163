"""Replay of recorded traffic; a new format is a reader here and an entry of `formats.FORMATS`."""

from cluster_sim.workload.traces.progress import Tally
from cluster_sim.workload.traces.recorded import RecordedSession, RecordedStep
from cluster_sim.workload.traces.refusals import UnknownFormatError
from cluster_sim.workload.traces.rows import Row
from cluster_sim.workload.traces.trace import Trace, find_trace

__all__ = [
    "RecordedSession",
    "RecordedStep",
    "Row",
    "Tally",
    "Trace",
    "UnknownFormatError",
    "find_trace",
]
