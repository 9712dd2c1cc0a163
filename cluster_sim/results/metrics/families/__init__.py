"""Metrics by family, one file each; metrics/table.py has them in the order of summary.json."""
