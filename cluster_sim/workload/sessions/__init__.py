"""Sessions: requests of which each waits for the answer before, and whose prompts grow by it."""

from cluster_sim.workload.sessions.description import Sessions
from cluster_sim.workload.sessions.script import Turn, replayed_scripts, scripts

__all__ = ["Sessions", "Turn", "replayed_scripts", "scripts"]
