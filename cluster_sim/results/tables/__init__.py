"""Rows of a run that has ended -> the tables of its results, one file for each table."""
