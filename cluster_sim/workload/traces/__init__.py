"""Recorded traffic, replayed. A new format is a reader here and a name in `trace.Format`; readers
give rows as they read.
"""

from cluster_sim.workload.traces.recorded import Recorded, Step
from cluster_sim.workload.traces.rows import Row, Tally
from cluster_sim.workload.traces.trace import Trace, find_trace

__all__ = ["Recorded", "Row", "Step", "Tally", "Trace", "find_trace"]
