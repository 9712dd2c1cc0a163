"""The only place where time passes: processes that wait. SimPy is imported nowhere else."""
