"""Metrics by family, one file each; metrics/table.py lists them in the order of summary.json."""
