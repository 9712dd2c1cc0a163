"""Sessions: sequences of requests that wait for the previous answer and contain it."""

from cluster_sim.workload.sessions.description import Sessions
from cluster_sim.workload.sessions.script import Turn, replayed_scripts, scripts

__all__ = ["Sessions", "Turn", "replayed_scripts", "scripts"]
