"""Results of a run: its tables, the metrics computed from them, and run folders."""
