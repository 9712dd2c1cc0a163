"""Recorded traffic, replayed. A new format is a file here and a name in the union; `rows()` yields (time, prompt, output)."""

from cluster_sim.workload.traces.azure import AzureTrace

Trace = AzureTrace

__all__ = ["AzureTrace", "Trace"]
