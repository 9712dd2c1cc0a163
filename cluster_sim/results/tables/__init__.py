"""Construction of the tables of a run from its recorded rows, one file per table."""
