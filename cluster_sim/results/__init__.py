"""What happened in a run: tables, the metrics that follow from them, and run folders."""
